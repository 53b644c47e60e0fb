package provider_test

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// pairwise makes a client one that knows people by its sector's own subjects.
func pairwise(r *clients.Registration) { r.SubjectType = "pairwise" }

// at gives a client redirects and its post-logout address at this host.
func at(host string) func(*clients.Registration) {
	return func(r *clients.Registration) {
		r.RedirectURIs = []string{"https://" + host + "/" + r.ClientID + "/callback"}
		r.PostLogoutRedirectURIs = []string{"https://" + host + "/bye"}
	}
}

// OIDC Core sections 8 and 8.1: a pairwise client knows a person by a subject that
// its sector alone knows, and by the same one in everything that it is told.
func TestPairwiseSubjectIsOneInASector(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource("https://api.example", "read")
		read := providertest.Scope("read")
		public := p.Client("public", providertest.FirstParty)
		shop := p.Client("shop", providertest.FirstParty, pairwise, at("shop.example"), read)
		sibling := p.Client("sibling", providertest.FirstParty, pairwise, at("shop.example"))
		other := p.Client("other", providertest.FirstParty, pairwise, at("other.example"))
		ada, bob := p.Person("ada"), p.Person("bob")
		browser := p.Browser().SignIn("ada")
		sub := func(b *providertest.Browser, rp *providertest.RP) string {
			t.Helper()
			tokens := rp.Exchange(b.Authorize(rp, "openid")).OK()
			id, _ := p.Verify(tokens.ID).Claims["sub"].(string)
			for what, got := range map[string]any{
				"access token": p.Verify(tokens.Access).Claims["sub"],
				"userinfo":     p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON()["sub"],
				"introspected": rp.Introspect(tokens.Access).WantActive()["sub"],
				"refreshed":    p.Verify(rp.Refresh(tokens.Refresh).OK().ID).Claims["sub"],
			} {
				if got != id {
					t.Errorf("%s: %s has the sub %v, the ID token %s", rp.ID, what, got, id)
				}
			}
			return id
		}
		if got := sub(browser, public); got != ada.Sub {
			t.Errorf("the public client knows Ada as %s, want %s", got, ada.Sub)
		}
		known := sub(browser, shop)
		if again := sub(p.Browser().SignIn("ada"), sibling); again != known {
			t.Errorf("in one sector Ada is %s and %s", known, again)
		}
		api := shop.Exchange(browser.Authorize(shop, "openid read", providertest.With("resource", "https://api.example")),
			providertest.With("resource", "https://api.example")).OK()
		if got := p.Verify(api.Access).Claims["sub"]; got != known {
			t.Errorf("at an API Ada is %v, want %s", got, known)
		}
		elsewhere, bobs := sub(browser, other), sub(p.Browser().SignIn("bob"), shop)
		if !strings.HasPrefix(known, "p_") || known == ada.Sub || elsewhere == known || elsewhere == ada.Sub || bobs == known || bobs == bob.Sub {
			t.Errorf("Ada is %s, elsewhere %s, in public %s; Bob is %s", known, elsewhere, ada.Sub, bobs)
		}
		// What a client may be called a person never is (RFC 9700 section 4.15).
		r := clients.Registration{ClientID: known}
		r.RedirectURIs = []string{"https://evil.example/"}
		if _, _, err := p.Clients.Create(t.Context(), r, events.ActorOperator); err == nil {
			t.Error("a client is registered by a person's subject")
		}
	})
}

// OIDC Core sections 3.1.2.1 and 8.1: the hint of a pairwise client is matched by
// the subject that it knows; the hint of another sector tells it nothing.
func TestIDTokenHintOfAPairwiseClient(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		public := p.Client("public", providertest.FirstParty)
		shop := p.Client("shop", providertest.FirstParty, pairwise, at("shop.example"))
		sibling := p.Client("sibling", providertest.FirstParty, pairwise, at("shop.example"))
		other := p.Client("other", providertest.FirstParty, pairwise, at("other.example"))
		browser := p.Browser().SignIn("ada")
		hints := map[string]string{}
		for _, rp := range []*providertest.RP{public, shop, sibling, other} {
			hints[rp.ID] = rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		}
		bobs := shop.Exchange(p.Browser().SignIn("bob").Authorize(shop, "openid")).OK().ID
		for _, c := range []struct {
			what, hint  string
			rp          *providertest.RP
			quiet, loud string
		}{
			{"its own", hints["shop"], shop, "code", "code"},
			{"its sector's", hints["sibling"], shop, "code", "code"},
			{"another person's", bobs, shop, "login_required", web.PathSignIn},
			{"another sector's", hints["other"], shop, "login_required", web.PathSignIn},
			{"a public client's", hints["public"], shop, "login_required", web.PathSignIn},
			{"a pairwise client's, by a public one", hints["shop"], public, "login_required", "login_required"},
		} {
			hint := providertest.With("id_token_hint", c.hint)
			if got := nextOf(t, browser, c.rp.AuthorizationURL("openid", hint, providertest.With("prompt", "none"))); got != c.quiet {
				t.Errorf("%s, prompt=none: %s, want %s", c.what, got, c.quiet)
			}
			if got := nextOf(t, browser, c.rp.AuthorizationURL("openid", hint)); got != c.loud {
				t.Errorf("%s: %s, want %s", c.what, got, c.loud)
			}
		}
		// The claim sub by value names the person likewise (section 5.5.1).
		subs := func(rp *providertest.RP, values ...any) string {
			t.Helper()
			wish := must(json.Marshal(map[string]any{"id_token": map[string]any{"sub": map[string]any{"values": values}}}))
			return nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("claims", string(wish)), providertest.With("prompt", "none")))
		}
		own1, public1 := p.Verify(hints["shop"]).Claims["sub"], p.Verify(hints["public"]).Claims["sub"]
		for want, got := range map[string]string{
			"code, own subject": subs(shop, "p_nobody", own1), "login_required, the public one": subs(shop, public1), "login_required, Bob's": subs(shop, p.Verify(bobs).Claims["sub"]),
			"code, a public client": subs(public, public1), "login_required, a pairwise one at a public client": subs(public, own1),
		} {
			if code, _, _ := strings.Cut(want, ","); got != code {
				t.Errorf("sub by value: %s, want %s", got, want)
			}
		}
		// Nobody is signed in: the one who is meant goes on to the client, anybody else does not.
		own := providertest.With("id_token_hint", hints["shop"])
		p.Browser().SignIn("ada").Authorize(shop, "openid", own)
		p.Browser().SignIn("bob").Ask(shop, "openid", own).WantError("login_required")
	})
}

// OIDC RP-Initiated Logout section 2 with pairwise subjects.
func TestAPairwiseHintSignsOutAtOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("shop", providertest.FirstParty, pairwise, at("shop.example"))
		browser := p.Browser().SignIn("ada")
		hint := rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		bobs := rp.Exchange(p.Browser().SignIn("bob").Authorize(rp, "openid")).OK().ID
		back := "https://shop.example/bye"
		if to := browser.Next(browser.Get(endSessionURL(p, "id_token_hint", bobs, "post_logout_redirect_uri", back))); !strings.HasPrefix(to, p.URL(web.PathSignOut)) {
			t.Errorf("another person's hint: goes to %s, want a question", to)
		}
		if to := browser.Next(browser.Get(endSessionURL(p, "id_token_hint", hint, "post_logout_redirect_uri", back))); to != back || isSignedIn(t, browser, rp) {
			t.Errorf("its own hint: goes to %s, want %s", to, back)
		}
	})
}

// A change of subjects changes those of later sign-ins; a grant keeps its own (OIDC
// Core section 12.2: a refreshed ID token has the same sub).
func TestAGrantKeepsItsSubject(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp, ada := p.Client("web", providertest.FirstParty), p.Person("ada")
	browser := p.Browser().SignIn("ada")
	before := rp.Exchange(browser.Authorize(rp, "openid")).OK()
	if _, err := p.Clients.Update(t.Context(), "web", []byte(`{"subject_type": "pairwise"}`), events.ActorOperator, clients.NewSubjects); err != nil {
		t.Fatal(err)
	}
	if got := p.Verify(rp.Refresh(before.Refresh).OK().ID).Claims["sub"]; got != ada.Sub {
		t.Errorf("a refresh changed the subject to %v", got)
	}
	if got := p.Verify(rp.Exchange(browser.Authorize(rp, "openid")).OK().ID).Claims["sub"]; got == ada.Sub {
		t.Error("a new grant has the public subject")
	}
}

// The salt is the database's own: it survives the process, and comes with a backup.
func TestPairwiseSubjectsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		var subs []any
		for _, client := range []string{"one", "two"} {
			p := providertest.Start(t, providertest.On(url))
			rp := p.Client(client, providertest.FirstParty, pairwise, at("shop.example"))
			subs = append(subs, p.Verify(rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid")).OK().ID).Claims["sub"])
			if salt, err := p.Store.SecretNamed(t.Context(), "pairwise-salt"); err != nil || len(salt.Sealed) <= 32 {
				t.Fatalf("the salt: %v, %v", salt, err)
			}
		}
		if subs[0] != subs[1] {
			t.Errorf("after a restart Ada is %s, not %s", subs[1], subs[0])
		}
	})
}

// sectors serves sector identifier documents by their path, on loopback.
func sectors(t *testing.T, documents map[string]string) (server *httptest.Server, seen *atomic.Int32) {
	t.Helper()
	seen = &atomic.Int32{}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		body, ok := documents[r.URL.Path]
		if to, redirects := strings.CutPrefix(body, "to "); redirects {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, body) // the client may have left
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, seen
}

// reaches lets the provider go out to a server on loopback.
func reaches(server *httptest.Server, allow ...string) providertest.Option {
	return providertest.Configure(func(c *provider.Config) {
		c.Outbound.Roots = x509.NewCertPool()
		c.Outbound.Roots.AddCert(server.Certificate())
		for _, prefix := range allow {
			c.Outbound.Allow = append(c.Outbound.Allow, netip.MustParsePrefix(prefix))
		}
	})
}

// OIDC Registration section 5, Core section 8.1: the sector_identifier_uri lists
// every redirect, or the registration is refused; its host is the sector.
func TestASectorVouchesForItsRedirects(t *testing.T) {
	t.Parallel()
	const one, two = "https://shop.example/callback", "https://app.example/callback"
	server, seen := sectors(t, map[string]string{
		"/both": `["` + one + `", "` + two + `", "https://third.example/"]`, "/one": `["` + one + `"]`, "/empty": `[]`, "/null": `null`,
		"/object": `{"redirect_uris": ["` + one + `"]}`, "/numbers": `[1, 2]`, "/page": `<html>`, "/trailing": `["` + one + `"] x`,
		"/case": `["HTTPS://shop.example/callback"]`, "/prefix": `["https://shop.example/"]`, "/elsewhere": "to /both",
		"/huge": `["` + strings.Repeat("x", 200<<10) + `"]`,
	})
	p := providertest.Start(t, reaches(server, "127.0.0.0/8"))
	register := func(id, path string, redirects ...string) error {
		r := clients.Registration{ClientID: id}
		r.SubjectType, r.SectorIdentifierURI, r.RedirectURIs = "pairwise", server.URL+path, redirects
		r.FirstParty = true
		_, _, err := p.Clients.Create(t.Context(), r, events.ActorOperator)
		return err
	}
	for path, why := range map[string]string{
		"/one": `does not list the redirect "` + two + `"`, "/empty": "does not list", "/case": "does not list", "/prefix": "does not list",
		"/null": "is not a JSON array", "/object": "is not a JSON array", "/numbers": "is not a JSON array", "/page": "is not a JSON array",
		"/trailing": "is not a JSON array", "/nothing": "could not be fetched", "/elsewhere": "could not be fetched", "/huge": "could not be fetched",
	} {
		err := register("", path, one, two)
		if all := fault.All(err); len(all) == 0 || all[0].Field != "sector_identifier_uri" || !strings.Contains(all[0].Shown(), why) {
			t.Errorf("%s: %v, want %s", path, err, why)
		}
	}
	for id, redirects := range map[string][]string{"shop": {one}, "app": {two}, "all": {one, two}} {
		if err := register(id, "/both", redirects...); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	// One sector over three clients of two hosts.
	ada := p.Person("ada").Person
	subject := func(id string) string {
		c, err := p.Clients.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return p.Clients.Subject(c, ada)
	}
	if sub := subject("shop"); sub != subject("app") || sub != subject("all") || sub == ada.Sub {
		t.Errorf("in one sector Ada is %s, %s and %s", sub, subject("app"), subject("all"))
	}
	// An update is held against the list when it adds a redirect, and only then.
	before := seen.Load()
	update := func(patch string) error {
		_, err := p.Clients.Update(t.Context(), "all", []byte(patch), events.ActorOperator)
		return err
	}
	if err := update(`{"client_name": "All of it", "redirect_uris": ["` + two + `"]}`); err != nil || seen.Load() != before {
		t.Errorf("another name, a redirect less: %v, %d requests", err, seen.Load()-before)
	}
	if err := update(`{"redirect_uris": ["https://evil.example/"]}`); err == nil || !strings.Contains(err.Error(), "does not list") {
		t.Errorf("a redirect that is not listed: %v", err)
	}
	if err := update(`{"redirect_uris": ["` + one + `", "https://third.example/"]}`); err != nil || seen.Load() != before+2 {
		t.Errorf("two that are listed: %v, %d requests", err, seen.Load()-before)
	}
}
