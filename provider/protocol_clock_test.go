package provider_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// flowOfAYear is what a client and a person get of a whole flow, but for what is
// random or a time.
type flowOfAYear struct {
	Access, ID, Refreshed, Service, Person, State map[string]any
	Lifetime                                      int64
}

// timeless takes out of claims what differs each time, and holds their times
// against the clock.
func timeless(t *testing.T, claims map[string]any, now time.Time) map[string]any {
	t.Helper()
	wantTime := func(name string, want int64) {
		t.Helper()
		if got, ok := claims[name].(float64); ok && int64(got) != want {
			t.Errorf("%s is %s, want %s", name, time.Unix(int64(got), 0).UTC(), time.Unix(want, 0).UTC())
		}
	}
	wantTime("iat", now.Unix())
	wantTime("nbf", now.Unix())
	wantTime("auth_time", now.Unix())
	wantTime("exp", now.Add(10*time.Minute).Unix())
	out := map[string]any{}
	for name, value := range claims {
		if !slices.Contains([]string{"iat", "nbf", "auth_time", "exp", "jti", "gid", "sid", "nonce", "at_hash", "updated_at"}, name) {
			out[name] = value
		}
	}
	return out
}

// walkFlow signs a person in and does with the tokens what can be done with them.
func walkFlow(t *testing.T, p *providertest.P, rp *providertest.RP) (flowOfAYear, *providertest.Tokens) {
	t.Helper()
	now := p.Clock.Now()
	tokens := signedIn(p.Browser().SignIn("ada"), rp)
	out := flowOfAYear{
		Access:   timeless(t, p.Verify(tokens.Access).Claims, now),
		ID:       timeless(t, p.Verify(tokens.ID).Claims, now),
		Person:   p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON(),
		State:    timeless(t, p.Introspect(tokens.Access).WantStatus(http.StatusOK).JSON(), now),
		Lifetime: tokens.ExpiresIn,
	}
	again := rp.Refresh(tokens.Refresh).OK()
	out.Refreshed = timeless(t, p.Verify(again.Access).Claims, now)
	out.Service = timeless(t, p.Verify(rp.ClientCredentials().OK().Access).Claims, now)

	ended := signedIn(p.Browser().SignIn("ada"), rp)
	p.Revoke(ended.Refresh).WantStatus(http.StatusOK)
	wantRevoked(t, p, rp, ended)
	return out, again
}

// A year passes, in which the keys rotate on schedule: what is short-lived has
// lapsed, and all else is as it was. The clock is far from the machine's, first
// behind and then ahead of it, so a token that went by time.Now (fosite's way)
// would tell.
func TestAYearChangesNothingButExpiries(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, goodbye)
		before, old := walkFlow(t, p, rp)
		browser := p.Browser().SignIn("ada")
		code := browser.Authorize(rp, "openid")
		const month = 365 * 24 * time.Hour / 12
		var rotated []keys.Key
		for range 12 {
			p.Clock.Advance(month)
			fresh, err := p.RotateDueKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rotated = append(rotated, fresh...)
		}
		p.Clock.Advance(26 * time.Hour) // the newest key signs, the last one is published no more
		if len(rotated) != 4 {
			t.Errorf("%d rotations in a year of 90 days each", len(rotated))
		}
		after, _ := walkFlow(t, p, rp)
		if !reflect.DeepEqual(before, after) {
			t.Errorf("before %+v\nafter  %+v", before, after)
		}

		p.Userinfo(old.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		rp.Refresh(old.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		if isSignedIn(t, browser, rp) {
			t.Error("a session of a year ago lives on")
		}
		wantHint(t, p, old.ID, http.StatusSeeOther) // its key is known as a hint for 400 days
		published := kids(t, p)
		for i, k := range rotated {
			if newest := i == len(rotated)-1; slices.Contains(published, k.KID) != newest {
				t.Errorf("published %v, want of those that were rotated in %v the newest alone", published, rotated)
			}
		}
		if slices.Contains(published, kidOf(t, old.Access)) {
			t.Error("the key of a year ago is published")
		}
	}, providertest.Configure(func(c *provider.Config) {
		c.Keys.Algorithms, c.Keys.RotateEvery = []string{keys.ES256}, 90*24*time.Hour
	}))
}

// Five replicas whose clocks differ by almost two seconds serve one flow, each
// request on the next one: by the database's clock they agree.
func TestReplicasWhoseClocksDifferServeOneFlow(t *testing.T) {
	p := providertest.ReplicasOff(t, -950*time.Millisecond, 950*time.Millisecond, 0, -500*time.Millisecond, 500*time.Millisecond)
	for range 5 {
		p.Get("/readyz").WantStatus(http.StatusOK)
	}
	rp := p.Client("web", providertest.FirstParty, goodbye)
	browser := p.Browser().SignIn("ada")
	for range 6 { // it takes a turn more or less, so that each step comes to each replica
		tokens := signedIn(browser, rp)
		p.Get("/readyz").WantStatus(http.StatusOK)
		for range 6 {
			p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
			if state := p.Introspect(tokens.Access).WantStatus(http.StatusOK).JSON(); state["active"] != true {
				t.Errorf("introspection says %v", state)
			}
			if got := p.Verify(tokens.Access).Claims; time.Unix(int64(got["iat"].(float64)), 0).After(time.Now().Add(250 * time.Millisecond)) {
				t.Errorf("issued at %v, which is yet to come", got["iat"])
			}
			tokens = rp.Refresh(tokens.Refresh).OK()
		}
		if !isSignedIn(t, browser, rp) {
			t.Error("a replica does not know the session")
		}
		tokens = wantOneSuccessor(t, p, rp, tokens.Refresh)
		p.Revoke(tokens.Refresh).WantStatus(http.StatusOK)
		for range 5 {
			wantRevoked(t, p, rp, tokens)
		}
	}
	code := browser.Authorize(rp, "openid")
	rp.Exchange(code).OK()
	for range 5 {
		rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
	}
}

// A replica whose clock is further off is not ready, and says why.
func TestReplicaWhoseClockIsFarOffIsNotReady(t *testing.T) {
	p := providertest.ReplicasOff(t, 0, 3*time.Second, -3*time.Second)
	ready := 0
	for range 3 {
		switch a := p.Get("/readyz"); {
		case a.Status == http.StatusOK:
			ready++
		case a.Status != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), `"clock":"this machine's clock is`):
			t.Errorf("not ready: %s", a)
		}
	}
	if ready != 1 {
		t.Errorf("%d of 3 replicas are ready, want the one whose clock is right", ready)
	}
}
