package provider_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// OWASP ASVS 5.0 15.3.2: what a registration names is no way to our own network,
// and tells nobody what is there.
func TestAttack47SectorIsNotFetchedInside(t *testing.T) {
	t.Parallel()
	const redirect = "https://shop.example/callback"
	server, seen := sectors(t, map[string]string{"/sector": `["` + redirect + `"]`})
	closed := httptest.NewTLSServer(http.NotFoundHandler())
	closed.Close()
	for name, c := range map[string]struct {
		allow []string
		by    events.Actor
		want  bool
	}{
		"an operator, allowed":     {[]string{"127.0.0.0/8"}, events.ActorOperator, true},
		"an operator, not allowed": {nil, events.ActorOperator, false},
		"a client, allowed":        {[]string{"127.0.0.0/8"}, events.ActorClient, false},
		"a client, not allowed":    {nil, events.ActorClient, false},
	} {
		p := providertest.Start(t, reaches(server, c.allow...))
		before := seen.Load()
		register := func(uri string) string {
			r := clients.Registration{}
			r.SectorIdentifierURI, r.RedirectURIs = uri, []string{redirect}
			_, _, err := p.Clients.Create(t.Context(), r, c.by)
			if err == nil {
				return ""
			}
			return fault.All(err)[0].Shown()
		}
		got := register(server.URL + "/sector")
		if (got == "") != c.want || (seen.Load() > before) != c.want {
			t.Errorf("%s: %q, %d requests", name, got, seen.Load()-before)
		}
		for _, inside := range []string{"https://169.254.169.254/latest", "https://[::ffff:169.254.169.254]/", closed.URL + "/", server.URL + "/nothing"} {
			if got := register(inside); got != "sector_identifier_uri: could not be fetched" {
				t.Errorf("%s, %s: %q tells what is there", name, inside, got)
			}
		}
		if got := register(strings.Replace(server.URL, "https:", "http:", 1) + "/sector"); !strings.Contains(got, "must be https") {
			t.Errorf("%s, without TLS: %q", name, got)
		}
	}
}

// The reach of outbound.allow is of who names the URL: an operator who edits the
// rest of a registration lends it to nobody.
func TestAttack47AnOperatorsEditLendsNoReach(t *testing.T) {
	t.Parallel()
	const redirect, other = "https://shop.example/callback", "https://shop.example/other"
	server, seen := sectors(t, map[string]string{"/sector": `["` + redirect + `", "` + other + `"]`, "/two": `["` + redirect + `", "` + other + `"]`})
	p := providertest.Start(t, reaches(server, "127.0.0.0/8"))
	edit, rename := `{"redirect_uris": ["`+other+`"]}`, `{"sector_identifier_uri": "`+server.URL+`/two"}`
	for what, c := range map[string]struct {
		registered string
		by         events.Actor
		patch      string
		want       bool
	}{
		"an operator edits what a client registered":    {"client", events.ActorOperator, edit, false},
		"an operator names another URL":                 {"client", events.ActorOperator, rename, true},
		"an operator edits what an operator registered": {storage.RegisteredByOperator, events.ActorOperator, edit, true},
		"a client edits what an operator registered":    {storage.RegisteredByOperator, events.ActorClient, edit, false},
		"a client names another URL":                    {storage.RegisteredByOperator, events.ActorClient, rename, false},
	} {
		// A client's own URL was outside when it registered, and is inside by now.
		c0 := must(p.Clients.Show(t.Context(), p.Client("plain-"+strings.ToLower(rand.Text())).ID))
		c0.ID, c0.RegisteredBy = "c-"+strings.ToLower(rand.Text()), c.registered
		c0.Metadata.V.SectorIdentifierURI, c0.Metadata.V.RedirectURIs = server.URL+"/sector", []string{redirect}
		if err := p.Store.CreateClient(t.Context(), c0); err != nil {
			t.Fatal(err)
		}
		before := seen.Load()
		_, err := p.Clients.Update(t.Context(), c0.ID, []byte(c.patch), c.by)
		if (err == nil) != c.want || (seen.Load() > before) != c.want {
			t.Errorf("%s: %v, %d requests", what, err, seen.Load()-before)
		}
		if err != nil && fault.All(err)[0].Shown() != "sector_identifier_uri: could not be fetched" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// RFC 9700 section 4.15: a client is never taken for a person, whatever it is
// called: no subject, public or pairwise, can be a client's id, and a token of a
// client's own is about nobody.
func TestAttack92AClientIsNoPerson(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		public, shop := p.Client("public", providertest.FirstParty), p.Client("shop", providertest.FirstParty, pairwise)
		b := p.Browser().SignIn("ada")
		for _, rp := range []*providertest.RP{public, shop} {
			sub, _ := p.Verify(rp.Exchange(b.Authorize(rp, "openid")).OK().ID).Claims["sub"].(string)
			r := clients.Registration{ClientID: sub}
			r.GrantTypes, r.Scope = []string{"client_credentials"}, "openid"
			if _, _, err := p.Clients.Create(t.Context(), r, events.ActorOperator); err == nil || !strings.Contains(err.Error(), "client_id") {
				t.Errorf("%s is registered as a client: %v", sub, err)
			}
		}
		// By the id of her row, which no token names, and by her address: each is another's name.
		for _, id := range []string{string(ada.ID), "ada", strings.TrimPrefix(ada.Sub, "p_")} {
			if !regexp.MustCompile(`^[A-Za-z0-9]`).MatchString(id) || strings.HasPrefix(id, ident.SubPrefix) {
				continue // drawn by lot, and by this lot no client can be called so
			}
			rp := p.Client(id)
			rp.ClientCredentials(providertest.With("scope", "openid")).WantError("invalid_scope")
			own := rp.ClientCredentials().OK()
			p.Userinfo(own.Access).WantStatus(http.StatusForbidden).WantError("insufficient_scope")
			if says := rp.Introspect(own.Access).WantActive(); says["sub"] != id || says["client_id"] != id || says["sid"] != nil || says["auth_time"] != nil {
				t.Errorf("the client's own token says %v", says)
			}
			wantOwnPage(t, "the client's token for a hint", b.Get(endSessionURL(p, "id_token_hint", own.Access, "post_logout_redirect_uri", "https://web.example/bye")))
		}
	})
}
