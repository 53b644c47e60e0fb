package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// join puts a person into groups that are made for it.
func join(t *testing.T, p *providertest.P, person string, groups ...string) {
	t.Helper()
	for _, name := range groups {
		if _, err := p.Directory.CreateGroup(t.Context(), name, "", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		if err := p.Directory.AddMember(t.Context(), name, p.Person(person).Sub, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
	}
}

// wantGroups fails the test unless a claim of that name has these names, or is not there
// for none.
func wantGroups(t *testing.T, what string, claims map[string]any, names ...any) {
	t.Helper()
	var want any
	if len(names) > 0 {
		want = names
	}
	if diff := cmp.Diff(want, claims["groups"]); diff != "" {
		t.Errorf("%s: groups: -want +got\n%s", what, diff)
	}
}

// RFC 9068 section 2.2.3.1: a client that was given the scope groups has the names of
// the person's groups in userinfo, in ID tokens and in access tokens for every
// audience; what changes is seen at the next one.
func TestGroupsAreToldToWhoHasTheScope(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		asks := p.Client("asks")
		p.Resource("https://api.example", "read")
		api(t, p, carsAPI, "opaque", asks)
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("read", "cars:read"))
		join(t, p, "ada", "shop", "bank")
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid groups offline_access read cars:read",
			providertest.With("resource", "https://api.example"), providertest.And("resource", carsAPI), providertest.And("resource", p.Issuer)), providertest.With("resource", p.Issuer)).OK()
		wantGroups(t, "ID token", p.Verify(tokens.ID).Claims, "bank", "shop")
		wantGroups(t, "access token", p.Verify(tokens.Access).Claims, "bank", "shop")
		wantGroups(t, "userinfo", p.Userinfo(tokens.Access).JSON(), "bank", "shop")
		wantGroups(t, "introspection", rp.Introspect(tokens.Access).WantActive(), "bank", "shop")

		next := rp.Refresh(tokens.Refresh, providertest.With("resource", "https://api.example")).OK()
		wantGroups(t, "access token of an API", p.Verify(next.Access).Claims, "bank", "shop")
		next = rp.Refresh(next.Refresh, providertest.With("resource", carsAPI)).OK()
		wantGroups(t, "opaque token", asks.Introspect(next.Access).WantActive(), "bank", "shop")

		if err := p.Directory.RemoveMember(t.Context(), "bank", "ada@example.com", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		wantGroups(t, "userinfo, when she left one", p.Userinfo(tokens.Access).JSON(), "shop")
		next = rp.Refresh(next.Refresh, providertest.With("resource", p.Issuer)).OK()
		wantGroups(t, "ID token, when she left one", p.Verify(next.ID).Claims, "shop")
		wantGroups(t, "access token, when she left one", p.Verify(next.Access).Claims, "shop")
		next = rp.Refresh(next.Refresh, providertest.With("resource", p.Issuer), providertest.With("scope", "openid")).OK()
		wantGroups(t, "access token of less", p.Verify(next.Access).Claims)
		wantGroups(t, "userinfo by less", p.Userinfo(next.Access).JSON())

		if err := p.Directory.DeleteGroup(t.Context(), "shop", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		next = rp.Refresh(next.Refresh, providertest.With("resource", p.Issuer)).OK()
		wantGroups(t, "ID token, when the last is gone", p.Verify(next.ID).Claims)
		wantGroups(t, "userinfo, when the last is gone", p.Userinfo(next.Access).JSON())
	})
}

// Nobody else is told: without the scope, or when the registration has it no more.
func TestGroupsAreToldToNobodyElse(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		join(t, p, "ada", "shop")
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid profile email")).OK()
		for what, claims := range map[string]map[string]any{
			"ID token": p.Verify(tokens.ID).Claims, "access token": p.Verify(tokens.Access).Claims, "userinfo": p.Userinfo(tokens.Access).JSON(),
			"introspection": rp.Introspect(tokens.Access).WantActive(),
		} {
			wantGroups(t, what, claims)
		}
		own := p.Client("own", providertest.FirstParty, func(r *clients.Registration) { r.Scope = "openid profile" })
		browser.Ask(own, "openid groups").WantError("invalid_scope")
		tokens = own.Exchange(browser.Authorize(own, "openid", claimsParam(`{"userinfo":{"groups":null},"id_token":{"groups":null}}`))).OK()
		wantGroups(t, "by name, without the registration", p.Userinfo(tokens.Access).JSON())
		wantGroups(t, "by name, without the registration", p.Verify(tokens.ID).Claims)
		own.ClientCredentials(providertest.With("scope", "groups")).WantError("invalid_scope")

		tokens = rp.Exchange(browser.Authorize(rp, "openid groups offline_access")).OK()
		wantGroups(t, "with the registration", p.Verify(tokens.ID).Claims, "shop")
		if _, err := p.Clients.Update(t.Context(), rp.ID, []byte(`{"scope":"openid offline_access"}`), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(4 * time.Second) // caches notice
		next := rp.Refresh(tokens.Refresh).OK()
		wantGroups(t, "ID token, when the registration changed", p.Verify(next.ID).Claims)
		wantGroups(t, "access token, when the registration changed", p.Verify(next.Access).Claims)
	})
}

// OIDC Core sections 5.4 and 5.5: by the claims parameter, alone at the authorization
// endpoint, and never through a browser where the token endpoint tells it.
func TestGroupsByNameAndInTheBrowser(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		join(t, p, "ada", "shop")
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid", claimsParam(`{"userinfo":{"groups":{"value":["shop"]}}}`))).OK()
		wantGroups(t, "userinfo, by name", p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON(), "shop")
		wantGroups(t, "ID token, not by name", p.Verify(tokens.ID).Claims)
		tokens = rp.Exchange(browser.Authorize(rp, "openid", claimsParam(`{"id_token":{"groups":null},"userinfo":{"groups":{"value":["bank"]}}}`))).OK()
		wantGroups(t, "ID token, by name", p.Verify(tokens.ID).Claims, "shop")
		wantGroups(t, "userinfo, by another value", p.Userinfo(tokens.Access).JSON())

		old := p.Client("old", legacy)
		alone := browser.Ask(old, "openid groups", responseType("id_token"))
		wantGroups(t, "ID token alone", p.Verify(alone.Params.Get("id_token")).Claims, "shop")
		both := browser.Ask(old, "openid groups", responseType("code id_token"))
		wantGroups(t, "ID token beside a code", p.Verify(both.Params.Get("id_token")).Claims)
	})
}
