package provider_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// byCommand is the clients service as a command has it: another process, which
// shares nothing with the server but the database.
func byCommand(p *providertest.P) *clients.Service {
	return clients.New(clients.Config{Issuer: p.Issuer}, p.Store, p.Events, p.Clock.Now)
}

func rotateSecret(t *testing.T, p *providertest.P, rp *providertest.RP, overlap time.Duration) *providertest.RP {
	t.Helper()
	_, secret, err := byCommand(p).RotateSecret(t.Context(), rp.ID, overlap, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(5 * time.Second) // what a running server needs to notice
	next := *rp
	next.Secret = secret
	return &next
}

// RFC 6749 section 2.3.1: a secret is replaced while its successor is brought out.
// Both are taken until the overlap ends, and the new one alone after it.
func TestTwoSecretsOverlap(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		first := p.Client("web", providertest.FirstParty)
		post := p.Client("post", secretPost)
		takes := func(rp *providertest.RP, want bool) {
			t.Helper()
			a := rp.ClientCredentials()
			if want {
				a.OK()
			} else {
				a.WantStatus(http.StatusUnauthorized).WantError("invalid_client")
			}
		}
		takes(first, true)
		second := rotateSecret(t, p, first, time.Hour)
		if second.Secret == first.Secret || !strings.HasPrefix(second.Secret, "dsk_") {
			t.Fatalf("the new secret is %q", second.Secret)
		}
		takes(first, true)
		takes(second, true)
		tokens := first.Exchange(p.Browser().SignIn("ada").Authorize(first, "openid")).OK()
		p.Clock.Advance(time.Hour - 6*time.Second) // the last second of the overlap
		takes(first, true)
		takes(second, true)
		p.Clock.Advance(time.Second)
		takes(first, false)
		takes(second, true)
		second.Refresh(tokens.Refresh).OK() // what it had is still its own

		// Never more than two: rotated again within the overlap, the oldest ends.
		third := rotateSecret(t, p, second, time.Hour)
		fourth := rotateSecret(t, p, third, time.Hour)
		takes(second, false)
		takes(third, true)
		takes(fourth, true)

		// Without an overlap the old ones end at once.
		fifth := rotateSecret(t, p, fourth, 0)
		takes(third, false)
		takes(fourth, false)
		takes(fifth, true)

		// The overlap is as long as was said.
		sixth := rotateSecret(t, p, fifth, time.Minute)
		p.Clock.Advance(time.Minute)
		takes(fifth, false)
		takes(sixth, true)
		byCommandOnly(t, p, post)

		rows := fmt.Sprint(providertest.ReadRows(t, database))
		for _, rp := range []*providertest.RP{first, second, third, fourth, fifth, sixth} {
			if strings.Contains(rows, rp.Secret) || strings.Contains(p.Logs(), rp.Secret) {
				t.Error("a secret is in the database or in the log")
			}
		}
		if n := strings.Count(providertest.ReadRows(t, database)["events"], "kind=secret.rotated"); n != 6 {
			t.Errorf("%d events of 6 rotations", n)
		}
	})
}

// byCommandOnly shows that a server which has the client in memory takes the new
// secret within 5 s, and until then the old one.
func byCommandOnly(t *testing.T, p *providertest.P, rp *providertest.RP) {
	t.Helper()
	send := func(secret string) int {
		return p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", rp.ID, "client_secret", secret))).Status
	}
	if got := send(rp.Secret); got != http.StatusBadRequest { // it has proved who it is
		t.Fatalf("status %d", got)
	}
	_, secret, err := byCommand(p).RotateSecret(t.Context(), rp.ID, 0, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(5 * time.Second)
	if fresh, old := send(secret), send(rp.Secret); fresh != http.StatusBadRequest || old != http.StatusUnauthorized {
		t.Errorf("5 s later: %d with the new secret, %d with the old one", fresh, old)
	}
}

// Of two operators who rotate at once one is told to look again, and no third
// secret lives; who has no secret gets none.
func TestRotationsOfASecretDoNotMeet(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		errs, secrets := make([]error, 8), make([]string, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, secrets[i], errs[i] = byCommand(p).RotateSecret(t.Context(), rp.ID, time.Hour, events.ActorOperator)
			})
		}
		wg.Wait()
		for _, err := range errs {
			if f := (*fault.Error)(nil); err != nil && (!errors.As(err, &f) || f.Kind != fault.KindConflict) {
				t.Errorf("a loser got %v", err)
			}
		}
		c, err := p.Clients.Show(t.Context(), rp.ID)
		if err != nil || len(c.Secrets.V) != 2 {
			t.Fatalf("%d secrets, %v", len(c.Secrets.V), err)
		}
		won := map[string]bool{} // by the hash; whoever rotated after another knew of the other's secret
		for _, secret := range slices.DeleteFunc(secrets, func(s string) bool { return s == "" }) {
			sum := sha256.Sum256([]byte(secret))
			won[string(sum[:])] = true
		}
		if kept := c.Secrets.V; !won[string(kept[0].SHA256)] || len(won) > 1 && !won[string(kept[1].SHA256)] {
			t.Errorf("of %d rotations that were not refused one was lost", len(won))
		}
		public, signs := p.Client("public", providertest.Public), p.SigningClient("signs")
		for _, rp := range []*providertest.RP{public, signs} {
			if _, _, err := p.Clients.RotateSecret(t.Context(), rp.ID, 0, events.ActorOperator); len(fault.All(err)) == 0 {
				t.Errorf("%s: %v", rp.ID, err)
			}
		}
		for _, overlap := range []time.Duration{-time.Second, clients.MaxOverlap + time.Second} {
			if _, _, err := p.Clients.RotateSecret(t.Context(), rp.ID, overlap, events.ActorOperator); len(fault.All(err)) == 0 {
				t.Errorf("%s: %v", overlap, err)
			}
		}
		if _, _, err := p.Clients.RotateSecret(t.Context(), "nobody", 0, events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}
