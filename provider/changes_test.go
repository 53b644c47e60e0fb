package provider_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// soon waits for what happens beside the requests. The clock of those who serve
// stands still meanwhile: nothing that they keep gets old.
func soon(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not yet: %s", what)
		}
	}
}

// everywhere says whether all of n replicas do it: requests go to them in turn.
func everywhere(n int, do func() bool) bool {
	all := true
	for range n {
		all = do() && all
	}
	return all
}

// background does what goes on beside the requests until the test ends.
func background(t *testing.T, p *providertest.P) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { p.Background(ctx) })
	t.Cleanup(func() { stop(); done.Wait() })
}

// What one process changes counts in every replica at once, although nothing that
// they keep is old.
func TestReplicasHearOfChanges(t *testing.T) {
	t.Parallel()
	const replicas = 3
	p := providertest.Replicas(t, replicas, providertest.StandingStill)
	rp := p.Client("web")
	enters := func() bool {
		return everywhere(replicas, func() bool { return rp.ClientCredentials().Status == http.StatusOK })
	}
	soon(t, "all know the client", enters)

	_, secret, err := p.Clients.RotateSecret(t.Context(), rp.ID, 0, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	soon(t, "nobody takes the old secret", func() bool {
		return everywhere(replicas, func() bool { return rp.ClientCredentials().Status == http.StatusUnauthorized })
	})
	if rp.Secret = secret; !enters() {
		t.Error("the new secret is not taken everywhere")
	}

	p.Resource("https://api.example", "read")
	reader := p.Client("reader", providertest.Scope("read"))
	soon(t, "all know the resource", func() bool {
		return everywhere(replicas, func() bool {
			return reader.ClientCredentials(providertest.With("resource", "https://api.example")).Status == http.StatusOK
		})
	})

	kid := p.Verify(rp.ClientCredentials().OK().Access).Header["kid"].(string)
	if err := p.Store.Together(t.Context(), func(ctx context.Context) error { _, err := p.Keys.Revoke(ctx, kid); return err }); err != nil {
		t.Fatal(err)
	}
	soon(t, "nobody publishes the key", func() bool {
		return everywhere(replicas, func() bool { return !strings.Contains(string(p.Get(web.PathJWKS).Body), kid) })
	})
}

// Whoever lost its connection hears again by itself, and has missed nothing.
func TestReplicasHearAgain(t *testing.T) {
	t.Parallel()
	const replicas = 3
	database := providertest.Postgres(t)
	p := providertest.Replicas(t, replicas, providertest.On(database), providertest.StandingStill)
	rp := p.Client("web")
	for range 2 {
		soon(t, "all know the client", func() bool {
			return everywhere(replicas, func() bool { return rp.ClientCredentials().Status == http.StatusOK })
		})
		cut := 0
		soon(t, "all listen", func() bool { cut += providertest.CutListeners(t, database); return cut >= replicas })
		_, secret, err := p.Clients.RotateSecret(t.Context(), rp.ID, 0, events.ActorOperator)
		if err != nil {
			t.Fatal(err)
		}
		soon(t, "nobody takes the old secret", func() bool {
			return everywhere(replicas, func() bool { return rp.ClientCredentials().Status == http.StatusUnauthorized })
		})
		rp.Secret = secret
	}
	if !strings.Contains(p.Logs(), "not heard of") {
		t.Error("no log tells of it")
	}
}

// Fault R14: nobody hears of changes. What is revoked is refused at once all the
// same, since that is never kept in memory, and a client that is disabled when what is
// kept is old.
func TestWhatIsRevokedIsRefusedThoughNobodyHears(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url)) // nothing goes on beside the requests
		browser, rp := p.Browser().SignIn("ada"), p.Client("web", providertest.FirstParty)
		other, err := storage.Open(t.Context(), url) // as another process would
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Close() })
		now := func() storage.Time { return storage.At(p.Clock.Now()) }

		token := signedIn(browser, rp)
		jti := p.Verify(token.Access).Claims["jti"].(string)
		if err := other.Revoke(t.Context(), &storage.Revocation{Kind: storage.RevokedJTI, ID: jti, NotBefore: now(), ExpiresAt: storage.At(now().Add(time.Hour))}); err != nil {
			t.Fatal(err)
		}
		p.Userinfo(token.Access).WantStatus(http.StatusUnauthorized)
		rp.Introspect(token.Access).WantInactive()

		inSession := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		p.Userinfo(inSession.Access).WantStatus(http.StatusOK)
		providertest.Meddle(t, url, "UPDATE sessions SET ended_at = created_at")
		p.Userinfo(inSession.Access).WantStatus(http.StatusUnauthorized)
		rp.Introspect(inSession.Access).WantInactive()
		rp.Refresh(inSession.Refresh).WantError("invalid_grant")
		if next := browser.Next(browser.Get(rp.AuthorizationURL("openid"))); !strings.Contains(next, web.PathSignIn) {
			t.Errorf("the ended session leads to %s", next)
		}

		client, err := other.Client(t.Context(), rp.ID)
		if err != nil {
			t.Fatal(err)
		}
		client.DisabledAt = now()
		if err := other.UpdateClient(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		rp.ClientCredentials().OK() // it is in memory
		p.Clock.Advance(3 * time.Second)
		rp.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	})
}

// A notification that is lost costs the age limit, and the next one is heard.
func TestALostNotificationIsMadeUpForByAge(t *testing.T) {
	t.Parallel()
	database := providertest.Postgres(t)
	p := providertest.Start(t, providertest.On(database))
	rp := p.Client("web")
	background(t, p)
	soon(t, "it hears", func() bool {
		_, metrics := askOps(t, p.Ops, "/metrics")
		return strings.Contains(metrics, "\ndoorstep_changes_heard 1\n")
	})

	rp.ClientCredentials().OK()
	providertest.Meddle(t, database, "ALTER TABLE clients DISABLE TRIGGER tell")
	providertest.Meddle(t, database, "UPDATE clients SET secrets = '[]'")
	providertest.Meddle(t, database, "ALTER TABLE clients ENABLE TRIGGER tell")
	rp.ClientCredentials().OK()
	p.Clock.Advance(3 * time.Second)
	rp.ClientCredentials().WantStatus(http.StatusUnauthorized)

	sum := sha256.Sum256([]byte(rp.Secret))
	client := must(p.Store.Client(t.Context(), rp.ID))
	client.Secrets = storage.Document([]storage.ClientSecret{{SHA256: sum[:]}})
	if err := p.Store.UpdateClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	soon(t, "the secret is taken again", func() bool { return rp.ClientCredentials().Status == http.StatusOK })
}
