package provider_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
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
		kid := kidOf(t, tokens.Access)
		revoked, err := p.RevokeKey(t.Context(), kid, events.ActorOperator)
		if err != nil {
			t.Fatal(err)
		}
		for _, access := range []string{tokens.Access, other.Access} { // seen, and never seen
			p.Userinfo(access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		}
		p.Clock.Advance(5 * time.Second)
		fresh := rp.Refresh(tokens.Refresh).OK()
		p.Userinfo(fresh.Access).WantStatus(http.StatusOK)
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
