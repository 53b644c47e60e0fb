package providertest

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

// TestNeeds says what this machine has of what the tests need, and starts each.
func TestNeeds(t *testing.T) {
	if _, err := namedIn("DOORSTEP_TEST_REQUIRE", needs...); err != nil {
		t.Error(err)
	}
	t.Run(needPostgres, func(t *testing.T) {
		s, err := storage.Open(t.Context(), Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.CheckSchema(t.Context()), s.Close()); err != nil {
			t.Fatal(err)
		}
		c, err := postgres()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("Postgres of %s works", c.bin)
	})
	t.Run(needChromium, func(t *testing.T) {
		t.Logf("Chromium works: %s", Chromium(t).Eval("navigator.userAgent"))
	})
	t.Run(needNode, func(t *testing.T) {
		d, err := node()
		need(t, needNode, err)
		t.Logf("openid-client works on Node.js %s", d.version)
	})
	t.Run(needApache, func(t *testing.T) {
		rp := Start(t).Apache("intranet", "")
		if at := Start(t).Browser().Get(rp.URL + "/left"); at.Status != 200 {
			t.Fatal(at)
		}
		t.Log("Apache works with mod_auth_openidc")
	})
	t.Run(needPython, func(t *testing.T) {
		out, err := exec.Command(Python(t), "--version").CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s works", bytes.TrimSpace(out))
	})
	t.Run(needCurl, func(t *testing.T) {
		Curl(t)
		t.Log("curl and openssl are there")
	})
	t.Run(needOathtool, func(t *testing.T) {
		out, err := exec.Command(Oathtool(t), "--version").Output()
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := bytes.Cut(out, []byte("\n"))
		t.Logf("%s works", line)
	})
}
