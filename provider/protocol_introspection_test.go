package provider_test

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// api registers a resource whose tokens have this format and are introspected by
// these clients; its one scope is the rest of its name and ":read".
func api(t *testing.T, p *providertest.P, audience, format string, introspects ...*providertest.RP) {
	t.Helper()
	in := &storage.Resource{Audience: audience, Scopes: storage.Strings{scopeOf(audience)}, Format: format}
	for _, rp := range introspects {
		in.Introspects = append(in.Introspects, rp.ID)
	}
	if _, err := p.Clients.CreateResource(t.Context(), in, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
}

// scopeOf is "cars:read" for https://cars.example/api.
func scopeOf(audience string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(audience, "https://"), ".")
	return name + ":read"
}

// RFC 7662 section 2.2: what is told of a token is what the token says, and that it
// is active.
func TestIntrospectionSaysWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		cars := p.Client("cars")
		api(t, p, carsAPI, "jwt", cars)
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read"))
		tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid email offline_access cars:read", resource(p.Issuer), resource(carsAPI)), resource(p.Issuer)).OK()
		forCars := rp.Refresh(tokens.Refresh, resource(carsAPI)).OK()
		for name, c := range map[string]struct {
			as    *providertest.RP
			token string
		}{
			"for userinfo, as its client":     {rp, tokens.Access},
			"for a resource, as its client":   {rp, forCars.Access},
			"for a resource, as the resource": {cars, forCars.Access},
			"a client's own, as the client":   {rp, rp.ClientCredentials(resource(carsAPI)).OK().Access},
			"a client's own, as the resource": {cars, rp.ClientCredentials(resource(carsAPI)).OK().Access},
		} {
			want := maps.Clone(p.Verify(c.token).Claims)
			want["active"], want["token_type"] = true, "Bearer"
			for _, hint := range []string{"", "access_token", "refresh_token", "something_else"} { // section 2.1: a hint, no more
				if got := c.as.Introspect(c.token, providertest.With("token_type_hint", hint)).WantActive(); !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
				}
			}
		}

		access := p.Verify(tokens.Access).Claims
		want := map[string]any{"active": true, "scope": "openid email offline_access cars:read", "exp": float64(p.Clock.Now().Add(14 * 24 * time.Hour).Unix()), "aud": p.Issuer}
		for _, name := range []string{"iss", "sub", "client_id", "iat", "gid", "sid", "acr", "amr", "auth_time"} {
			want[name] = access[name]
		}
		if got := rp.Introspect(forCars.Refresh).WantActive(); !reflect.DeepEqual(got, want) {
			t.Errorf("a refresh token:\ngot  %v\nwant %v", got, want)
		}
		end := float64(p.Clock.Now().Add(180 * 24 * time.Hour).Unix())
		for range 13 { // kept from idling until its absolute end is the nearer one
			p.Clock.Advance(13 * 24 * time.Hour)
			forCars = rp.Refresh(forCars.Refresh, resource(carsAPI)).OK()
		}
		if got := rp.Introspect(forCars.Refresh).WantActive()["exp"]; got != end {
			t.Errorf("near its absolute end a refresh token's exp is %v, want %v", got, end)
		}
	})
}

// RFC 7662 section 2.2: a token that is over is not active, and why is not told.
// Each end of a token is seen at once.
func TestIntrospectionKnowsWhatIsOver(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		for name, end := range map[string]func(rp *providertest.RP, b *providertest.Browser, who string, tokens *providertest.Tokens){
			"its session ended": func(_ *providertest.RP, b *providertest.Browser, _ string, _ *providertest.Tokens) { signOut(t, p, b) },
			"its person was disabled": func(_ *providertest.RP, _ *providertest.Browser, who string, _ *providertest.Tokens) {
				must(p.Directory.Disable(t.Context(), who+"@example.com", events.ActorOperator))
			},
			"its refresh token was revoked": func(rp *providertest.RP, _ *providertest.Browser, _ string, tokens *providertest.Tokens) {
				rp.Revoke(tokens.Refresh).WantStatus(http.StatusOK)
			},
			"an old refresh token was used": func(rp *providertest.RP, _ *providertest.Browser, _ string, tokens *providertest.Tokens) {
				rp.Refresh(rp.Refresh(tokens.Refresh).OK().Refresh).OK()
				rp.Refresh(tokens.Refresh).WantError("invalid_grant")
			},
		} {
			t.Log(name)
			who := strings.ReplaceAll(name, " ", "")
			p.Person(who)
			cars := p.Client("api-" + who)
			audience := "https://" + who + ".example/api"
			api(t, p, audience, "jwt", cars)
			rp := p.Client("web-"+who, providertest.FirstParty, providertest.Scope(scopeOf(audience)))
			b := p.Browser().SignIn(who)
			tokens := rp.Exchange(b.Authorize(rp, "openid "+scopeOf(audience), resource(audience))).OK()
			rp.Introspect(tokens.Access).WantActive()
			cars.Introspect(tokens.Access).WantActive()
			rp.Introspect(tokens.Refresh).WantActive()
			end(rp, b, who, tokens)
			rp.Introspect(tokens.Access).WantInactive()
			cars.Introspect(tokens.Access).WantInactive()
			rp.Introspect(tokens.Refresh).WantInactive()
		}

		cars := p.Client("cars")
		api(t, p, carsAPI, "jwt", cars)
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read"))
		tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access cars:read", resource(carsAPI))).OK()
		p.Clock.Advance(10*time.Minute - time.Second)
		cars.Introspect(tokens.Access).WantActive()
		p.Clock.Advance(time.Second)
		cars.Introspect(tokens.Access).WantInactive() // it expired
		next := rp.Refresh(tokens.Refresh).OK()
		rp.Introspect(tokens.Refresh).WantActive() // the one before the newest still yields it
		p.Clock.Advance(11 * time.Second)
		rp.Introspect(tokens.Refresh).WantInactive()
		rp.Introspect(next.Refresh).WantActive() // asking is not using
		p.Clock.Advance(14 * 24 * time.Hour)
		rp.Introspect(next.Refresh).WantInactive() // idle for too long

		own := rp.ClientCredentials(resource(carsAPI)).OK()
		cars.Introspect(own.Access).WantActive()
		disable(t, p, rp.ID)
		cars.Introspect(own.Access).WantInactive()
		if err := p.Clients.Delete(t.Context(), rp.ID, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		again := p.Client("web", providertest.Scope("cars:read"))
		cars.Introspect(own.Access).WantInactive() // another client, though its id is the same
		p.Clock.Advance(time.Second)
		cars.Introspect(again.ClientCredentials(resource(carsAPI)).OK().Access).WantActive()
	})
}

// RFC 7662 sections 2.1 and 2.3: who may ask, and how.
func TestIntrospectionRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, spa := p.Client("web", providertest.FirstParty), p.Client("spa", providertest.FirstParty, providertest.Public)
		browser := p.Browser().SignIn("ada")
		tokens, publics := signedIn(browser, rp), signedIn(browser, spa)
		at, good := p.URL(web.PathIntrospect), basic(rp.ID, rp.Secret)
		form := url.Values{"token": {tokens.Access}}
		for name, c := range map[string]struct {
			r      *http.Request
			status int
			code   string
		}{
			"no token":                  {rawRequest(t, http.MethodPost, at, url.Values{}, "Authorization", good), http.StatusBadRequest, "invalid_request"},
			"an empty token":            {rp.IntrospectRequest(""), http.StatusBadRequest, "invalid_request"},
			"two tokens":                {rp.IntrospectRequest(tokens.Access, providertest.And("token", tokens.Refresh)), http.StatusBadRequest, "invalid_request"},
			"the token in the URL":      {rawRequest(t, http.MethodPost, at+"?"+form.Encode(), url.Values{}, "Authorization", good), http.StatusBadRequest, "invalid_request"},
			"no form":                   {rawRequest(t, http.MethodPost, at, form, "Authorization", good, "Content-Type", "application/json"), http.StatusBadRequest, "invalid_request"},
			"nobody":                    {rawRequest(t, http.MethodPost, at, form), http.StatusUnauthorized, "invalid_client"},
			"a wrong secret":            {rawRequest(t, http.MethodPost, at, form, "Authorization", basic(rp.ID, "dsk_wrong")), http.StatusUnauthorized, "invalid_client"},
			"an unknown client":         {rawRequest(t, http.MethodPost, at, form, "Authorization", basic("nobody", rp.Secret)), http.StatusUnauthorized, "invalid_client"},
			"the client's name":         {rawRequest(t, http.MethodPost, at, url.Values{"token": {tokens.Access}, "client_id": {rp.ID}}), http.StatusUnauthorized, "invalid_client"},
			"a public client":           {spa.IntrospectRequest(publics.Access), http.StatusUnauthorized, "invalid_client"},
			"a public client, no token": {spa.IntrospectRequest("nonsense"), http.StatusUnauthorized, "invalid_client"},
		} {
			a := p.Send(c.r).WantStatus(c.status).WantError(c.code)
			wantPlainDescription(t, a)
			if challenge := a.Header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Basic ") != (c.code == "invalid_client") {
				t.Errorf("%s: challenge %q", name, challenge)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodOptions} {
			p.Send(rawRequest(t, method, at, nil, "Authorization", good)).WantStatus(http.StatusMethodNotAllowed)
		}
		for _, nonsense := range []string{"x", "dsr_x", "a.b.c", "..", strings.Repeat("A", 8192), "\u00e5", tokens.ID, tokens.Access + "A", publics.Access, publics.Refresh} {
			rp.Introspect(nonsense).WantInactive()
		}
	})
}

// RFC 7662 section 2.1 and 2.2, the RFC's own requests and its answer about a token
// that is not active. Its first one has a bearer token for the caller: we take what
// the token endpoint takes, so that is refused.
func TestIntrospectionExamples(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, at := p.Client("s6BhdRkqt3"), p.URL(web.PathIntrospect)
		send := func(body, authorization string) *providertest.Answer {
			r := rawRequest(t, http.MethodPost, at, nil, "Accept", "application/json", "Content-Type", "application/x-www-form-urlencoded", "Authorization", authorization)
			return p.Send(withBody(r, body))
		}
		send("token=2YotnFZFEjr1zCsicMWpAA", "Bearer 23410913-abewfq.123483").WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		a := send("token=mF_9.B5f-4.1JqM&token_type_hint=access_token", basic(rp.ID, rp.Secret)).WantStatus(http.StatusOK)
		if got := string(a.Body); got != `{"active":false}` {
			t.Errorf("%s, want the RFC's answer", a)
		}
	})
}
