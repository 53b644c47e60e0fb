package provider_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// WebAuthn Level 3 section 5.11: at the root of the host stands which pages may ask for
// our passkeys, if any but ours may.
func TestRelatedOriginsAreNamed(t *testing.T) {
	providertest.Start(t).Get(web.PathWebAuthn).WantStatus(http.StatusNotFound)

	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) {
		c.Issuer = &url.URL{Scheme: "https", Host: "login.shop.example", Path: "/id"}
		c.Passkey.RPID, c.Passkey.Origins = "shop.example", []string{"https://shop.test", "https://www.shop.test"}
	}))
	a := p.Get(web.PathWebAuthn).WantStatus(http.StatusOK)
	if got, want := string(a.Body), `{"origins":["https://login.shop.example","https://shop.test","https://www.shop.test"]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "public, max-age=900", "X-Content-Type-Options": "nosniff"} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// The same: what a page of a related origin brings is taken, and nobody else's.
func TestRelatedOriginsMayAsk(t *testing.T) {
	const shop = "https://shop.test"
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) { c.Passkey.Origins = []string{shop} }))
	rp := p.Client("web", providertest.FirstParty)
	d := p.Device(phone)
	addPasskey(t, p, "ada", d)
	page := signInPage(t, p, rp)
	page.answer(d, func(s *providertest.Said) { s.Origin = "https://www.shop.test" }).WantStatus(wrong)
	page.answer(d, func(s *providertest.Said) { s.Origin = shop }).WantStatus(signedOn)
}

// A passkey costs so many statements on Postgres: the interaction, the challenge, the
// passkey with its person, its use; then what every sign-in costs.
func TestPasskeyStatementBudget(t *testing.T) {
	p := providertest.Start(t, providertest.On(providertest.Postgres(t)))
	rp := p.Client("web", providertest.FirstParty)
	d := p.Device(phone)
	addPasskey(t, p, "ada", d)
	signInPage(t, p, rp).answer(d).WantStatus(signedOn) // statements are prepared

	page, other, up := signInPage(t, p, rp), signInPage(t, p, rp), stepUpPage(t, p, rp, "ada")
	cost := func(name string, most int, do func()) {
		t.Helper()
		if sent := p.Statements.During(do); len(sent) > most {
			t.Errorf("%s: %d statements, at most %d:\n%s", name, len(sent), most, sent)
		}
	}
	cost("the page", 1, func() { page.b.Get(page.at.String()).WantStatus(http.StatusOK) })
	cost("sign in", 9, func() { page.answer(d).WantStatus(signedOn) })
	cost("a wrong answer", 4, func() {
		other.answer(d, func(s *providertest.Said) { s.Origin = "https://evil.example" }).WantStatus(wrong)
	})
	cost("the page of a second factor", 3, func() { up.b.Get(up.at.String()).WantStatus(http.StatusOK) })
	// It relies on what was read of its person, and so locks them; at first the browser gets
	// another id as well, and is locked.
	cost("the first second factor in a browser", 15, func() { up.answer(d).WantStatus(signedOn) })
	p.Clock.Advance(25 * time.Hour)
	again := passkeyPageOf(t, up.b, up.b.Ask(rp, "openid", providertest.With("acr_values", "aal2")))
	cost("second factor", 14, func() { again.answer(d).WantStatus(signedOn) })
}
