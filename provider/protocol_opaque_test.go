package provider_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// A resource that wants opaque tokens gets what says nothing to whoever reads it, and
// by introspection what a JWT would say (RFC 6749 section 1.4, RFC 7662 section 2.2).
func TestOpaqueTokensSpeakByIntrospection(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		cars, boats := p.Client("cars"), p.Client("boats")
		api(t, p, carsAPI, "opaque", cars)
		api(t, p, boatsAPI, "jwt", boats)
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read", "boats:read"))
		other := p.Client("other")
		code := p.Browser().SignIn("ada").Authorize(rp, "openid offline_access cars:read boats:read", resource(p.Issuer), resource(carsAPI), resource(boatsAPI))
		first := rp.Exchange(code, resource(carsAPI)).OK()
		claims := p.Verify(rp.Refresh(first.Refresh, resource(boatsAPI)).OK().Access).Claims
		want := map[string]any{
			"active": true, "token_type": "Bearer", "aud": carsAPI, "scope": "cars:read",
			"iat": float64(p.Clock.Now().Unix()), "exp": float64(p.Clock.Now().Add(10 * time.Minute).Unix()),
		}
		for _, name := range []string{"iss", "sub", "client_id", "gid", "sid", "acr", "amr", "auth_time"} {
			want[name] = claims[name]
		}
		second := rp.Refresh(first.Refresh, resource(carsAPI)).OK() // the same refresh again: within its grace
		third := rp.Refresh(second.Refresh, resource(carsAPI)).OK()
		seen := map[any]bool{}
		for _, token := range []string{first.Access, second.Access, third.Access} {
			if len(token) != len("dsa_")+43 || !strings.HasPrefix(token, "dsa_") {
				t.Errorf("token %s, want 256 random bits that can be found", token)
			}
			for _, as := range []*providertest.RP{cars, rp} {
				got := as.Introspect(token).WantActive()
				seen[got["jti"]] = true
				delete(got, "jti")
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %v\nwant %v", got, want)
				}
			}
			for _, stranger := range []*providertest.RP{boats, other} {
				stranger.Introspect(token).WantInactive()
				stranger.Introspect("dsr_" + token[4:]).WantInactive()
			}
			rp.Introspect(token + "A").WantInactive()
			rp.Introspect(token[:len(token)-1]).WantInactive()
			rp.Introspect("dsa_" + strings.Repeat("A", 43)).WantInactive()
			p.Userinfo(token).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		}
		if len(seen) != 3 {
			t.Errorf("%d ids of three tokens", len(seen))
		}
		own := rp.ClientCredentials(resource(carsAPI)).OK()
		got := cars.Introspect(own.Access).WantActive()
		if got["sub"] != rp.ID || got["gid"] != nil || got["scope"] != "cars:read" || own.ExpiresIn != 600 {
			t.Errorf("a client's own: %v", got)
		}
		for table, rows := range providertest.ReadRows(t, database) {
			for _, token := range []string{first.Access, own.Access} {
				if strings.Contains(rows, token) || strings.Contains(rows, token[4:]) {
					t.Errorf("the table %s has the text of a token", table)
				}
			}
		}

		p.Clock.Advance(10*time.Minute - time.Second)
		cars.Introspect(own.Access).WantActive()
		sweep(t, p)
		p.Clock.Advance(time.Second)
		cars.Introspect(own.Access).WantInactive()
		p.Clock.Advance(time.Second)
		sweep(t, p)
		if rows := providertest.CountRows(t, database)["access_tokens"]; rows != 0 {
			t.Errorf("%d rows are kept of tokens that ended", rows)
		}
	})
}

// What ends a JWT ends an opaque token: itself, its grant, its session, its person,
// its client.
func TestOpaqueTokensEnd(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		cars := p.Client("cars")
		api(t, p, carsAPI, "opaque", cars)
		rp, thief := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read")), p.Client("thief")
		browser := p.Browser().SignIn("ada")
		ask := func() *providertest.Tokens {
			return rp.Exchange(browser.Authorize(rp, "openid cars:read", resource(carsAPI))).OK()
		}
		first := ask()
		sibling := rp.Refresh(first.Refresh).OK()
		thief.Revoke(first.Access).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		cars.Introspect(first.Access).WantActive()
		for range 2 {
			wantOver(t, rp.Revoke(first.Access))
		}
		cars.Introspect(first.Access).WantInactive()
		cars.Introspect(sibling.Access).WantActive()
		if all := told(t, p, events.TokenRevoked); len(all) != 1 || all[0].Actor != "client" || all[0].ClientID != rp.ID || all[0].PersonID == "" {
			t.Errorf("the events tell %+v, want that one token was revoked", all)
		}
		wantOver(t, rp.Revoke(sibling.Refresh))
		cars.Introspect(sibling.Access).WantInactive()

		reused := browser.Authorize(rp, "openid cars:read", resource(carsAPI))
		won := rp.Exchange(reused).OK()
		rp.Exchange(reused).WantError("invalid_grant")
		cars.Introspect(won.Access).WantInactive()

		online := ask()
		cars.Introspect(online.Access).WantActive()
		signOut(t, p, browser)
		cars.Introspect(online.Access).WantInactive()

		browser = p.Browser().SignIn("bob")
		bobs := ask()
		cars.Introspect(bobs.Access).WantActive()
		must(p.Directory.Disable(t.Context(), "bob@example.com", events.ActorOperator))
		cars.Introspect(bobs.Access).WantInactive()

		own := rp.ClientCredentials(resource(carsAPI)).OK()
		cars.Introspect(own.Access).WantActive()
		if err := p.Clients.Delete(t.Context(), rp.ID, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		cars.Introspect(own.Access).WantInactive()
		p.Client("web", providertest.Scope("cars:read"))
		cars.Introspect(own.Access).WantInactive() // another client, though its id is the same
	})
}

// Fifty refreshes at once leave one successor, and opaque tokens that are all good.
func TestOpaqueTokensOfRefreshesAtOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		cars := p.Client("cars")
		api(t, p, carsAPI, "opaque", cars)
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read"))
		first := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access cars:read", resource(carsAPI))).OK()
		successors := map[string]bool{}
		for _, a := range p.AtOnce(refreshes(rp, first.Refresh)...) {
			tokens := (&providertest.TokenAnswer{Answer: a}).OK()
			successors[tokens.Refresh] = true
			cars.Introspect(tokens.Access).WantActive()
		}
		if len(successors) != 1 {
			t.Errorf("%d successors of one refresh token", len(successors))
		}
	})
}
