package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

const (
	carsAPI  = "https://cars.example/api"
	boatsAPI = "https://boats.example/api"
)

// target is what an access token is for, in short: "audience: scopes".
func target(p *providertest.P, tokens *providertest.Tokens) string {
	claims := p.Verify(tokens.Access).Claims
	scope, _ := claims["scope"].(string)
	if scope != tokens.Scope {
		return fmt.Sprintf("the answer says scope %q, the token %q", tokens.Scope, scope)
	}
	aud, _ := claims["aud"].(string)
	return strings.Replace(aud, p.Issuer, "issuer", 1) + ": " + scope
}

// resource asks for one, or for one more.
func resource(audience string) providertest.Param { return providertest.And("resource", audience) }

// RFC 6749 section 3.3: a client gets registered scopes only, and hears which one
// is not.
func TestScopesAreThoseRegistered(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", func(r *clients.Registration) { r.Scope = "openid email" })
		browser := p.Browser().SignIn("ada")
		for _, scope := range []string{"openid profile", "openid EMAIL", "openid admin", `openid "`} {
			browser.Ask(rp, scope).WantError("invalid_scope")
		}
		tokens := rp.Exchange(browser.Authorize(rp, " openid  email openid ")).OK()
		if tokens.Scope != "openid email" {
			t.Errorf("scope %q, want each one once", tokens.Scope)
		}
		if turned := rp.Exchange(browser.Authorize(rp, "email openid")).OK(); turned.ID == "" || turned.Scope != "email openid" {
			t.Errorf("in another order: an ID token %q, scope %q", turned.ID, turned.Scope)
		}
		// OIDC Core section 3.1.2.1: without openid it is no authentication request.
		plain := rp.Exchange(browser.Authorize(rp, "email")).OK()
		if plain.ID != "" || plain.Scope != "email" {
			t.Errorf("without openid: an ID token %q, scope %q", plain.ID, plain.Scope)
		}
		none := rp.Exchange(browser.Authorize(rp, "", providertest.Without("scope"))).OK()
		if none.ID != "" || none.Scope != "" {
			t.Errorf("without a scope: %+v", none)
		}
		// OIDC Core section 11: a client that cannot refresh has no use for offline_access.
		once := p.Client("once", func(r *clients.Registration) {
			r.Scope, r.GrantTypes = "openid offline_access", []string{"authorization_code"}
		})
		if got := once.Exchange(browser.Authorize(once, "openid offline_access")).OK(); got.Scope != "openid" || got.Refresh != "" {
			t.Errorf("without the refresh grant: scope %q, a refresh token %q", got.Scope, got.Refresh)
		}
	})
}

// OIDC Core section 11: with offline_access a grant outlives the session it came
// of, without it dies with it. A client that cannot refresh gets nothing for it.
func TestOfflineAccessOutlivesTheSession(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		// OIDC Core section 11: who agreed to less is asked.
		asks, person := p.Client("asks"), p.Browser().SignIn("ada")
		person.Authorize(asks, "openid")
		if got := nextOf(t, person, asks.AuthorizationURL("openid offline_access")); got != web.PathConsent {
			t.Errorf("offline_access after openid: %s, want the page of consent", got)
		}
		rp := p.Client("web", providertest.FirstParty)
		once := p.Client("once", func(r *clients.Registration) { r.GrantTypes = []string{"authorization_code"} })
		browser := p.Browser().SignIn("ada")
		online := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		offline := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		if online.Refresh == "" || offline.Refresh == "" {
			t.Fatal("a client with the refresh grant gets a refresh token")
		}
		dropped := once.Exchange(browser.Authorize(once, "openid offline_access")).OK()
		if dropped.Refresh != "" || dropped.Scope != "openid" {
			t.Errorf("without the refresh grant: refresh token %q, scope %q", dropped.Refresh, dropped.Scope)
		}
		online, offline = rp.Refresh(online.Refresh).OK(), rp.Refresh(offline.Refresh).OK()
		if online.Scope != "openid" || offline.Scope != "openid offline_access" {
			t.Errorf("refreshed scopes %q and %q", online.Scope, offline.Scope)
		}

		signOut(t, p, browser)
		rp.Refresh(online.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		p.Userinfo(online.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		p.Userinfo(offline.Access).WantStatus(http.StatusOK)
		offline = rp.Refresh(offline.Refresh).OK()

		if _, err := p.Directory.Disable(t.Context(), "ada@example.com", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		rp.Refresh(offline.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		p.Userinfo(offline.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		p.Browser().SignIn("ada").Ask(rp, "openid").WantPage(http.StatusUnprocessableEntity) // and cannot sign in again
	})
}

// A session that lapses is over as well: its grants end with it, however often they
// were refreshed.
func TestALapsedSessionEndsItsGrants(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		online := rp.Exchange(browser.Authorize(rp, "openid")).OK()
		offline := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		for range 3 { // 30 days, of which the browser sees none
			p.Clock.Advance(10*24*time.Hour - time.Second)
			online, offline = rp.Refresh(online.Refresh).OK(), rp.Refresh(offline.Refresh).OK()
		}
		p.Clock.Advance(time.Minute)
		rp.Refresh(online.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		p.Userinfo(online.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		p.Userinfo(rp.Refresh(offline.Refresh).OK().Access).WantStatus(http.StatusOK)
	})
}

// signOut has the person sign out of the provider, on its own page.
func signOut(t *testing.T, p *providertest.P, browser *providertest.Browser) {
	t.Helper()
	browser.Send(browser.Filled(p.URL(web.PathSignOut), providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
}

// RFC 8707 section 2: an access token is for the resource that was asked for, else
// for the client's only one, else for the issuer; scopes follow it. OIDC scopes are
// the issuer's.
func TestAnAccessTokenHasOneAudience(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource(carsAPI, "cars:read", "cars:write")
		p.Resource(boatsAPI, "boats:read")
		none := p.Client("none", providertest.FirstParty)
		one := p.Client("one", providertest.FirstParty, providertest.Scope("cars:read", "cars:write"))
		two := p.Client("two", providertest.FirstParty, providertest.Scope("cars:read", "boats:read"))
		browser := p.Browser().SignIn("ada")
		type params []providertest.Param
		for _, c := range []struct {
			name  string
			rp    *providertest.RP
			scope string
			ask   params // at the authorization endpoint
			token params // at the token endpoint
			want  string
		}{
			{"no resource anywhere", none, "openid email", nil, nil, "issuer: openid email"},
			{"the issuer by name", none, "openid", params{resource(p.Issuer)}, params{resource(p.Issuer)}, "issuer: openid"},
			{"the default", one, "openid cars:read", nil, nil, carsAPI + ": cars:read"},
			{"the default needs a scope of it", one, "openid", nil, nil, "issuer: openid"},
			{"the default without OIDC", one, "cars:read cars:write", nil, nil, carsAPI + ": cars:read cars:write"},
			{"the issuer beside the default", one, "openid cars:read", nil, params{resource(p.Issuer)}, "issuer: openid"},
			{"by name", one, "openid cars:read", params{resource(carsAPI)}, params{resource(carsAPI)}, carsAPI + ": cars:read"},
			{"by name at authorize alone", one, "openid cars:read", params{resource(carsAPI)}, nil, carsAPI + ": cars:read"},
			{"one of two by name at authorize alone", two, "openid cars:read", params{resource(carsAPI)}, nil, carsAPI + ": cars:read"},
			{"two at authorize, the first", two, "openid cars:read boats:read", params{resource(carsAPI), resource(boatsAPI)}, params{resource(carsAPI)}, carsAPI + ": cars:read"},
			{"two at authorize, the second", two, "openid cars:read boats:read", params{resource(carsAPI), resource(boatsAPI)}, params{resource(boatsAPI)}, boatsAPI + ": boats:read"},
			{"the same twice is one", two, "cars:read", params{resource(carsAPI), resource(carsAPI)}, nil, carsAPI + ": cars:read"},
			{"two to choose from, none named", two, "openid cars:read", nil, nil, "issuer: openid"},
		} {
			got := target(p, c.rp.Exchange(browser.Authorize(c.rp, c.scope, c.ask...), c.token...).OK())
			if got != c.want {
				t.Errorf("%s: the token is for %s, want %s", c.name, got, c.want)
			}
		}
		// RFC 8707 section 2.2: a refresh may go to each resource of the grant in turn.
		tokens := two.Exchange(browser.Authorize(two, "openid cars:read boats:read", resource(carsAPI), resource(boatsAPI), resource(p.Issuer)), resource(carsAPI)).OK()
		for _, audience := range []string{boatsAPI, p.Issuer, carsAPI} {
			tokens = two.Refresh(tokens.Refresh, resource(audience)).OK()
			if got := p.Verify(tokens.Access).Claims["aud"]; got != audience {
				t.Errorf("refreshed for %v, want %s", got, audience)
			}
		}
		p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token") // it is for the cars
	})
}

// RFC 8707 sections 2.1 and 2.2: a resource that is unknown, not the client's or not
// the grant's is invalid_target, and so are two for one token.
func TestResourcesThatAreRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource(carsAPI, "cars:read")
		p.Resource(boatsAPI, "boats:read")
		one := p.Client("one", providertest.FirstParty, providertest.Scope("cars:read"))
		two := p.Client("two", providertest.FirstParty, providertest.Scope("cars:read", "boats:read"))
		browser := p.Browser().SignIn("ada")
		for _, audience := range []string{boatsAPI, "https://unknown.example", carsAPI + "/", strings.ToUpper(carsAPI), "cars", ""} {
			browser.Ask(one, "openid cars:read", resource(audience)).WantError("invalid_target")
		}
		browser.Ask(one, "openid cars:read", resource(carsAPI), resource(boatsAPI)).WantError("invalid_target")

		tokens := two.Exchange(browser.Authorize(two, "openid cars:read boats:read", resource(carsAPI))).OK()
		for _, wrong := range [][]providertest.Param{
			{resource(boatsAPI)}, {resource("https://unknown.example")}, {resource(carsAPI), resource(carsAPI)}, {resource(carsAPI), resource(boatsAPI)},
		} {
			two.Refresh(tokens.Refresh, wrong...).WantStatus(http.StatusBadRequest).WantError("invalid_target")
		}
		p.Userinfo(two.Refresh(tokens.Refresh, resource(p.Issuer)).OK().Access).WantStatus(http.StatusOK) // openid was granted
		code := browser.Authorize(two, "cars:read boats:read", resource(carsAPI), resource(boatsAPI))
		two.Exchange(code, resource(carsAPI), resource(boatsAPI)).WantStatus(http.StatusBadRequest).WantError("invalid_target")
		two.Exchange(code, resource("https://unknown.example")).WantStatus(http.StatusBadRequest).WantError("invalid_target")
		tokens = two.Exchange(code, resource(boatsAPI)).OK() // none of it cost the code

		// What the operator takes away is gone at the next refresh, and the rest stays.
		if _, err := p.Clients.Update(t.Context(), two.ID, []byte(`{"scope": "openid cars:read"}`), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		two.Refresh(tokens.Refresh, resource(boatsAPI)).WantStatus(http.StatusBadRequest).WantError("invalid_target")
		tokens = two.Refresh(tokens.Refresh, resource(carsAPI)).OK()
		if got := target(p, tokens); got != carsAPI+": cars:read" {
			t.Errorf("the other resource: %s", got)
		}
		if err := p.Clients.DeleteResource(t.Context(), boatsAPI, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		two.Refresh(tokens.Refresh, resource(boatsAPI)).WantStatus(http.StatusBadRequest).WantError("invalid_target")
		two.Exchange(browser.Authorize(two, "openid cars:read")).OK()
	})
}

// RFC 6749 section 4.4, RFC 8707: what a client gets for itself, by how many
// resources it has.
func TestClientCredentialsReachTheClientsOwnResources(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource(carsAPI, "cars:read", "cars:write")
		p.Resource(boatsAPI, "boats:read")
		none := p.Client("none")
		one := p.Client("one", providertest.Scope("cars:read", "cars:write"))
		two := p.Client("two", providertest.Scope("cars:read", "boats:read"))
		for _, c := range []struct {
			name string
			rp   *providertest.RP
			form url.Values
			want string // the target, or an error
		}{
			{"no resource", none, nil, "issuer: "},
			{"no resource, a scope of one", none, url.Values{"scope": {"cars:read"}}, "invalid_scope"},
			{"no resource, a person's scope", none, url.Values{"scope": {"openid"}}, "invalid_scope"},
			{"no resource, one asked for", none, url.Values{"resource": {carsAPI}}, "invalid_target"},
			{"one", one, nil, carsAPI + ": cars:read cars:write"},
			{"one, by name", one, url.Values{"resource": {carsAPI}}, carsAPI + ": cars:read cars:write"},
			{"one, a scope", one, url.Values{"scope": {"cars:write"}}, carsAPI + ": cars:write"},
			{"one, a scope and a person's", one, url.Values{"scope": {"cars:write email"}}, "invalid_scope"},
			{"one, unregistered scope", one, url.Values{"scope": {"boats:read"}}, "invalid_scope"},
			{"one, another", one, url.Values{"resource": {boatsAPI}}, "invalid_target"},
			{"two, none named", two, nil, "issuer: "},
			{"two, a scope and none named", two, url.Values{"scope": {"cars:read"}}, "invalid_target"},
			{"two, by name", two, url.Values{"resource": {boatsAPI}}, boatsAPI + ": boats:read"},
			{"two, by name with its scope", two, url.Values{"resource": {carsAPI}, "scope": {"cars:read"}}, carsAPI + ": cars:read"},
			{"two, by name with another's scope", two, url.Values{"resource": {carsAPI}, "scope": {"boats:read"}}, "invalid_scope"},
			{"two at once", two, url.Values{"resource": {carsAPI, boatsAPI}}, "invalid_target"},
		} {
			form := url.Values{"grant_type": {"client_credentials"}}
			for name, values := range c.form {
				form[name] = values
			}
			answer := &providertest.TokenAnswer{Answer: p.Send(c.rp.TokenRequest(form))}
			if answer.Status != http.StatusOK {
				if answer.WantStatus(http.StatusBadRequest); answer.JSON()["error"] != c.want {
					t.Errorf("%s: %s, want %s", c.name, answer, c.want)
				}
				continue
			}
			tokens := answer.OK()
			if got := target(p, tokens); got != c.want {
				t.Errorf("%s: the token is for %s, want %s", c.name, got, c.want)
			}
			if sub := p.Verify(tokens.Access).Claims["sub"]; sub != c.rp.ID || tokens.Refresh != "" || tokens.ID != "" {
				t.Errorf("%s: sub %v, refresh %q, ID token %q: a client speaks for itself alone", c.name, sub, tokens.Refresh, tokens.ID)
			}
		}
	})
}
