package provider_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// kidOf returns the id of the key that signed a token, which a replica may not
// have published yet.
func kidOf(t *testing.T, token string) string {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ KID string }
	if err := json.Unmarshal(text, &header); err != nil || header.KID == "" {
		t.Fatalf("header %s: %v", text, err)
	}
	return header.KID
}

const afterSignOut = "https://web.example/bye"

// goodbye has a client's ID tokens signed by the key of its access tokens, and
// leave to come back after a sign-out.
func goodbye(r *clients.Registration) {
	r.PostLogoutRedirectURIs, r.IDTokenSignedResponseAlg = []string{afterSignOut}, keys.ES256
}

// wantHint asks whether an ID token is known at the end of a session: one that is
// names its client, whose redirect is followed (RP-Initiated Logout section 2).
func wantHint(t *testing.T, p *providertest.P, token string, status int) {
	t.Helper()
	p.Send(rawRequest(t, http.MethodGet, endSessionURL(p, "id_token_hint", token, "post_logout_redirect_uri", afterSignOut), nil)).WantStatus(status)
}

// Attack case 38: after a rotation the old key verifies until the last of its tokens
// is gone and no longer; one that is revoked verifies nothing from that moment on,
// whatever a replica remembers of its tokens.
func TestAttack38KeysEndOnThreeReplicas(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.Client("web", providertest.FirstParty, goodbye)
	first := signedIn(p.Browser().SignIn("ada"), rp)
	old := kidOf(t, first.Access)

	// rotated does what `key rotate` did that long ago.
	rotated := func(ago time.Duration) string {
		t.Helper()
		then, err := keys.New(t.Context(), keys.Config{KEK: bytes.Repeat([]byte{7}, 32)}, p.Store, func() time.Time { return time.Now().Add(-ago) })
		if err != nil {
			t.Fatal(err)
		}
		var fresh keys.Key
		err = p.Store.Together(t.Context(), func(ctx context.Context) (err error) {
			fresh, err = then.Rotate(ctx, keys.ES256)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return fresh.KID
	}
	// signs waits until every replica signs with that key: five seconds at most.
	signs := func(tokens *providertest.Tokens, kid string) *providertest.Tokens {
		t.Helper()
		deadline := time.Now().Add(5 * time.Second)
		for same := 0; same < 3; {
			tokens = rp.Refresh(tokens.Refresh).OK()
			if kidOf(t, tokens.Access) == kid {
				same++
				continue
			}
			if same = 0; time.Now().After(deadline) {
				t.Fatalf("a replica still signs with another key than %s", kid)
			}
		}
		return tokens
	}
	each := func(token string, status int) {
		t.Helper()
		for range 3 {
			a := p.Userinfo(token).WantStatus(status)
			if status == http.StatusUnauthorized {
				a.WantError("invalid_token")
			}
		}
	}

	second := rotated(keys.DefaultJWKSMaxAge + 6*time.Second) // a second ago it began to sign
	latest := signs(first, second)
	each(first.Access, http.StatusOK)
	if published := kids(t, p); !slices.Contains(published, old) || !slices.Contains(published, second) {
		t.Errorf("published %v, want %s and %s", published, old, second)
	}

	// The next rotation was so long ago that the last token of the key it retired is
	// gone; here is one that would live on, and the replicas have seen it.
	third := rotated(keys.DefaultJWKSMaxAge + keys.DefaultKeep + 6*time.Second)
	lasting := latest
	latest = signs(latest, third)
	each(lasting.Access, http.StatusUnauthorized)
	for range 3 {
		wantHint(t, p, lasting.ID, http.StatusSeeOther)
	}
	if published := kids(t, p); slices.Contains(published, second) {
		t.Errorf("published %v, with the key that was retired", published)
	}

	each(latest.Access, http.StatusOK)
	revoked, err := p.RevokeKey(t.Context(), third, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	each(latest.Access, http.StatusUnauthorized) // no replica has read the keys since
	after := signs(latest, revoked.Successor.KID)
	each(after.Access, http.StatusOK)
	each(latest.Access, http.StatusUnauthorized)
	for range 3 {
		wantHint(t, p, latest.ID, http.StatusBadRequest)
		if published := kids(t, p); slices.Contains(published, third) || !slices.Contains(published, revoked.Successor.KID) {
			t.Errorf("published %v", published)
		}
	}
}

// A key is revoked with an event that says which, and by whom; the grants of those
// whose tokens it signed live on.
func TestAttack38ARevokedKeyEndsItsTokensAlone(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		other := signedIn(p.Browser().SignIn("bob"), rp)
		p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
		rp.Introspect(tokens.Access).WantActive()
		kid := kidOf(t, tokens.Access)
		revoked, err := p.RevokeKey(t.Context(), kid, events.ActorOperator)
		if err != nil {
			t.Fatal(err)
		}
		for _, access := range []string{tokens.Access, other.Access} { // seen, and never seen
			rp.Introspect(access).WantInactive()
			p.Userinfo(access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		}
		rp.Introspect(tokens.Refresh).WantActive()
		p.Clock.Advance(5 * time.Second)
		rp.Introspect(tokens.Access).WantInactive()
		fresh := rp.Refresh(tokens.Refresh).OK()
		p.Userinfo(fresh.Access).WantStatus(http.StatusOK)
		rp.Introspect(fresh.Access).WantActive()
		if got := kidOf(t, fresh.Access); got != revoked.Successor.KID {
			t.Errorf("signed by %s, want %s", got, revoked.Successor.KID)
		}
		all, err := p.Store.Events(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(e storage.Event) bool { return e.Kind == string(events.KeyRevoked) })
		if i < 0 || all[i].Actor != string(events.ActorOperator) {
			t.Fatalf("no event tells of it: %+v", all)
		}
		var data map[string]string
		if err := json.Unmarshal(all[i].Document.V, &data); err != nil || data["kid"] != kid || data["successor"] != revoked.Successor.KID || !strings.Contains(data["state"], "signing") {
			t.Errorf("the event says %v, %v", data, err)
		}
	})
}

// Attack case 38: a rotation and a revocation, or two of one of them, that were
// thought out from the same keys. Each is right alone; both together leave no key
// that signs, or one that is never retired, and so one of them is carried out.
func TestAttack38KeysChangeOneAtATime(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		replicas := [2]*providertest.P{providertest.Start(t, providertest.On(url)), providertest.Start(t, providertest.On(url))}
		pass := func(d time.Duration) {
			for _, p := range replicas {
				p.Clock.Advance(d)
			}
		}
		// revoke and rotate do what the services do, but leave the flushing to us.
		revoke := func(i int) func(context.Context, *providertest.P, []string) error {
			return func(ctx context.Context, p *providertest.P, chain []string) error {
				_, err := p.Keys.Revoke(ctx, chain[i])
				return err
			}
		}
		rotate := func(ctx context.Context, p *providertest.P, _ []string) error {
			_, err := p.Keys.Rotate(ctx, keys.ES256)
			return err
		}
		changes := []struct {
			name string
			plan func(context.Context, *providertest.P, []string) error
		}{{"the one that signs is revoked", revoke(0)}, {"the next one is revoked", revoke(1)}, {"the last one is revoked", revoke(2)}, {"rotation", rotate}}
		for _, first := range changes {
			for _, second := range changes {
				t.Run(first.name+", "+second.name, func(t *testing.T) {
					chain := threeKeys(t, replicas[0], pass)
					one, two := storage.WithUnit(t.Context()), storage.WithUnit(t.Context())
					if err := errors.Join(first.plan(one, replicas[0], chain), second.plan(two, replicas[1], chain)); err != nil {
						t.Fatal(err)
					}
					if err := replicas[0].Store.Flush(one); err != nil {
						t.Fatal(err)
					}
					if err := replicas[1].Store.Flush(two); !errors.Is(err, storage.ErrStale) {
						t.Errorf("the second: %v, want ErrStale", err)
					}
					wantSigner(t, replicas[1], pass)
				})
			}
		}
		t.Run("all at once", func(t *testing.T) {
			for range 5 {
				chain := threeKeys(t, replicas[0], pass)
				var wait sync.WaitGroup
				for i := range 8 {
					wait.Go(func() {
						p, plan := replicas[i%2], changes[i/2].plan
						err := storage.ErrStale
						for errors.Is(err, storage.ErrStale) {
							err = p.Store.Together(t.Context(), func(ctx context.Context) error { return plan(ctx, p, chain) })
						}
						if err != nil {
							t.Error(err)
						}
					})
				}
				wait.Wait()
				wantSigner(t, replicas[0], pass)
			}
		})
	})
}

// threeKeys returns the ids of three keys of ES256: the one that signs and the two
// that follow it.
func threeKeys(t *testing.T, p *providertest.P, pass func(time.Duration)) (chain []string) {
	t.Helper()
	pass(time.Hour) // whatever is next by now signs
	for range 2 {
		if _, err := p.RotateKey(t.Context(), keys.ES256, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
	}
	all, err := p.Keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if k.Alg == keys.ES256 && (k.State == keys.StateSigning || k.State == keys.StateNext) {
			chain = append(chain, k.KID)
		}
	}
	if len(chain) != 3 {
		t.Fatalf("%v, want three keys that sign or will", chain)
	}
	return chain
}

// wantSigner asks that a key of ES256 signs now and at each time to come, one at a
// time, and that one of them is to do so until it is rotated.
func wantSigner(t *testing.T, p *providertest.P, pass func(time.Duration)) {
	t.Helper()
	for range 4 {
		pass(5 * time.Second)
		all, err := p.Keys.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		signing, lasting := 0, 0
		for _, k := range all {
			if k.Alg != keys.ES256 || k.State == keys.StateRevoked {
				continue
			}
			if k.State == keys.StateSigning {
				signing++
			}
			if k.RetiredAt.IsZero() {
				lasting++
			}
		}
		if signing != 1 || lasting != 1 {
			t.Fatalf("%d keys sign and %d are to go on, want one of each: %+v", signing, lasting, all)
		}
		pass(keys.DefaultJWKSMaxAge)
	}
}
