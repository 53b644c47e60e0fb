package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// A request costs so many statements on Postgres, BEGIN and COMMIT included. A
// higher number here is a slower provider for everybody.
func TestStatementBudget(t *testing.T) {
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)))
	p.Resource("https://api.example", "read")
	cars := p.Client("cars")
	api(t, p, carsAPI, "opaque", cars)
	rp := p.Client("web", providertest.FirstParty, providertest.Scope("read", "cars:read"))
	browser := p.Browser().SignIn("ada")
	resource := providertest.With("resource", "https://api.example")
	inCars := providertest.With("resource", carsAPI)
	authorize := func() string { return browser.Authorize(rp, "openid profile offline_access") }

	// Once before: statements are prepared, caches filled, the session is new.
	tokens := rp.Exchange(authorize()).OK()
	tokens = rp.Refresh(tokens.Refresh).OK()
	p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
	rp.ClientCredentials(resource).OK()
	signs := p.SigningClient("signs", providertest.Scope("read"))
	signs.ClientCredentials(resource).OK()
	opaque := rp.ClientCredentials(inCars).OK()
	cars.Introspect(opaque.Access).WantActive()

	var code string
	for _, b := range []struct {
		name string
		most int
		do   func()
	}{
		{"client credentials", 0, func() { rp.ClientCredentials(resource).OK() }},
		{"client credentials by an assertion", 1, func() { signs.ClientCredentials(resource).OK() }},
		{"authorize with a live session", 4, func() { code = authorize() }},
		{"code", 2, func() { tokens = rp.Exchange(code).OK() }},
		{"refresh", 2, func() { tokens = rp.Refresh(tokens.Refresh).OK() }},
		{"userinfo", 1, func() { p.Userinfo(tokens.Access).WantStatus(http.StatusOK) }},
		{"introspection", 1, func() { rp.Introspect(tokens.Access).WantActive() }},
		{"introspection of a refresh token", 1, func() { rp.Introspect(tokens.Refresh).WantActive() }},
		{"introspection of nonsense", 0, func() { rp.Introspect("a.b.c").WantInactive() }},
		{"revocation of an access token", 2, func() { rp.Revoke(tokens.Access).WantStatus(http.StatusOK) }},
		{"revocation of a refresh token", 2, func() { rp.Revoke(tokens.Refresh).WantStatus(http.StatusOK) }},
		{"opaque: client credentials", 1, func() { opaque = rp.ClientCredentials(inCars).OK() }},
		{"opaque: introspection", 1, func() { cars.Introspect(opaque.Access).WantActive() }},
		{"opaque: revocation", 2, func() { rp.Revoke(opaque.Access).WantStatus(http.StatusOK) }},
		{"opaque: authorize", 4, func() { code = browser.Authorize(rp, "openid offline_access cars:read", inCars) }},
		{"opaque: code", 2, func() { tokens = rp.Exchange(code, inCars).OK() }},
		{"opaque: refresh", 2, func() { opaque = rp.Refresh(tokens.Refresh, inCars).OK() }},
		{"opaque: the same refresh again", 2, func() { rp.Refresh(tokens.Refresh, inCars).OK() }},
		{"opaque: introspection with a grant", 1, func() { cars.Introspect(opaque.Access).WantActive() }},
		{"metadata", 0, func() { p.Get("/.well-known/openid-configuration").WantStatus(http.StatusOK) }},
		{"jwks", 0, func() { p.Get("/.well-known/jwks.json").WantStatus(http.StatusOK) }},
	} {
		if sent := p.Statements.During(b.do); len(sent) > b.most {
			t.Errorf("%s: %d statements, at most %d:\n%s", b.name, len(sent), b.most, strings.Join(sent, "\n"))
		}
	}
}

// The database grows with grants, not with traffic.
func TestOneRowPerGrantWhateverIsRefreshed(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		rp := p.Client("web")
		tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK()
		before := providertest.CountRows(t, url)
		for range 100 {
			tokens = rp.Refresh(tokens.Refresh).OK()
			p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
			rp.ClientCredentials().OK()
		}
		if after := providertest.CountRows(t, url); !maps.Equal(before, after) {
			t.Errorf("rows before %v, after 100 refreshes %v", before, after)
		}
		if before["grants"] != 1 {
			t.Errorf("%d grants, want 1", before["grants"])
		}
	})
}

// fosite asks the machine for the time; nothing that a client sees may come of it.
func TestTimeIsTheInjectedClocks(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		p.Clock.Advance(10 * 24 * time.Hour)
		rp.Refresh(tokens.Refresh).OK()

		p.Clock.Advance(365 * 24 * time.Hour)
		now := p.Clock.Now()
		browser = p.Browser().SignIn("ada")
		code := browser.Authorize(rp, "openid offline_access")
		p.Clock.Advance(59 * time.Second)
		tokens = rp.Exchange(code).OK()
		now = now.Add(59 * time.Second)
		for name, token := range map[string]string{"access token": tokens.Access, "ID token": tokens.ID} {
			claims := p.Verify(token).Claims
			if got, want := fmt.Sprint(claims["iat"]), fmt.Sprint(float64(now.Unix())); got != want {
				t.Errorf("%s: iat %s, want %s", name, got, want)
			}
			if got, want := fmt.Sprint(claims["exp"]), fmt.Sprint(float64(now.Add(10*time.Minute).Unix())); got != want {
				t.Errorf("%s: exp %s, want %s", name, got, want)
			}
		}
		if tokens.ExpiresIn != 600 {
			t.Errorf("expires_in %d, want 600", tokens.ExpiresIn)
		}
		p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
		p.Clock.Advance(10 * time.Minute)
		p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized)
	})
}
