package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// What a command changes counts in a running server at once, also on SQLite, where
// nobody is told of anything: the server's clock stands still, so that nothing it keeps
// in memory gets old.
func TestAServerSeesWhatACommandChanges(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url), providertest.At(time.Now()))
		ctx, stop := context.WithCancel(t.Context())
		var background sync.WaitGroup
		background.Go(func() { p.Background(ctx) })
		t.Cleanup(func() { stop(); background.Wait() })
		rp := p.Client("web")
		rp.ClientCredentials().OK()

		cmd := exec.CommandContext(t.Context(), "doorstep", "client", "rotate-secret", "web", "--overlap", "0", "--output", "json")
		cmd.Env = append(cmd.Environ(), "DOORSTEP_DATABASE__URL="+url, "DOORSTEP_ISSUER="+p.Issuer,
			"DOORSTEP_KEYS__KEK="+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var changed struct {
			Secret string `json:"client_secret"`
		}
		if err := json.Unmarshal(out, &changed); err != nil || changed.Secret == "" {
			t.Fatalf("%v in %s", err, out)
		}
		for deadline := time.Now().Add(20 * time.Second); rp.ClientCredentials().Status != http.StatusUnauthorized; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the old secret is still taken")
			}
		}
		rp.Secret = changed.Secret
		rp.ClientCredentials().OK()
	})
}
