package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// The tests in this file drive npm's openid-client, which most services on
// Node.js use and which its author had certified. It is told issuer, client id
// and secret, checks every signature, and goes by the machine's clock.

// openidClients runs a test on both databases.
func openidClients(t *testing.T, run func(t *testing.T, p *providertest.P)) {
	t.Helper()
	t.Parallel()
	providertest.Each(t, run, providertest.At(time.Now()))
}

// authenticates registers how the client proves itself at the token endpoint.
func authenticates(method string) func(*clients.Registration) {
	return func(r *clients.Registration) { r.TokenEndpointAuthMethod = method }
}

// asOpenIDClient is what the library does unless it is told otherwise.
var asOpenIDClient = authenticates("client_secret_post")

// Discovery, code with PKCE, ID token, refresh and userinfo, whatever the
// algorithm that the client registered.
func TestOpenIDClientSignsIn(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		for _, alg := range []string{"RS256", "ES256", "EdDSA", "PS256"} {
			t.Run(alg, func(t *testing.T) {
				p := p.In(t)
				rp := p.OpenIDClient("web-"+strings.ToLower(alg), nil, asOpenIDClient, func(r *clients.Registration) { r.IDTokenSignedResponseAlg = alg })
				in := rp.SignIn(p.Browser().SignIn("ada"), providertest.Args{"scope": "openid profile email offline_access"}, nil)
				if got := p.Verify(in.Tokens.ID).Header["alg"]; got != alg {
					t.Errorf("the ID token is signed by %v, want %s", got, alg)
				}
				if in.Claims["iss"] != p.Issuer || in.Claims["aud"] != rp.ID {
					t.Errorf("claims %v", in.Claims)
				}

				var fresh providertest.SignedIn
				rp.Call("refreshTokenGrant", providertest.Args{"token": in.Tokens.Refresh}, &fresh)
				if fresh.Claims["sub"] != in.Claims["sub"] || fresh.Tokens.Access == in.Tokens.Access || fresh.Tokens.Refresh == in.Tokens.Refresh {
					t.Errorf("refreshed %v, before %v", fresh, in)
				}
				var person map[string]any
				rp.Call("fetchUserInfo", providertest.Args{"token": fresh.Tokens.Access, "subject": in.Claims["sub"]}, &person)
				if person["email"] != "ada@example.com" || person["email_verified"] != true || person["name"] != "Ada" {
					t.Errorf("userinfo says %v", person)
				}
			})
		}
	})
}

// However a client proves itself, the library can do it.
func TestOpenIDClientProvesItself(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		for method, how := range map[string]struct {
			args   providertest.Args
			change func(*clients.Registration)
		}{
			"client_secret_post":  {nil, asOpenIDClient},
			"client_secret_basic": {providertest.Args{"authentication": "client_secret_basic"}, authenticates("client_secret_basic")},
			"none":                {providertest.Args{"authentication": "none"}, providertest.Public},
		} {
			t.Run(method, func(t *testing.T) {
				p := p.In(t)
				rp := p.OpenIDClient(strings.ReplaceAll(method, "_", "-"), how.args, how.change)
				in := rp.SignIn(p.Browser().SignIn("ada"), nil, nil)
				rp.Call("refreshTokenGrant", providertest.Args{"token": in.Tokens.Refresh}, nil)
			})
		}
	})
}

// A key in the place of a secret (RFC 7523, OIDC Core section 9), at every endpoint
// that a client proves itself at.
func TestOpenIDClientSignsWhoItIs(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		for _, alg := range []string{"ES256", "Ed25519", "PS256", "RS256"} {
			t.Run(alg, func(t *testing.T) {
				p := p.In(t)
				rp := p.OpenIDClientWithKey("signs-"+strings.ToLower(alg), alg)
				if rp.Secret != "" {
					t.Error("it has a secret too")
				}
				in := rp.SignIn(p.Browser().SignIn("ada"), nil, nil)
				rp.Call("refreshTokenGrant", providertest.Args{"token": in.Tokens.Refresh}, nil)
				rp.Call("clientCredentialsGrant", nil, nil)
				var told struct{ Active bool }
				rp.Call("tokenIntrospection", providertest.Args{"token": in.Tokens.Access}, &told)
				if !told.Active {
					t.Error("its own token is not active")
				}
				rp.Call("tokenRevocation", providertest.Args{"token": in.Tokens.Access}, nil)
			})
		}
		stranger := p.OpenIDClientWithKey("stranger", "ES256", func(r *clients.Registration) {
			r.JWKS = providertest.JWKS(t, providertest.NewSigningKey(t, "ES256", p.Issuer+" stranger"))
		})
		if got := stranger.Trouble("clientCredentialsGrant", nil); got.Status != http.StatusUnauthorized {
			t.Errorf("with a key that is not registered: %s", got)
		}
	})
}

// A service's own token, for the API that it names (RFC 6749 section 4.4, RFC
// 8707 section 2).
func TestOpenIDClientActsForItself(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		const api = "https://api.example.com"
		p.Resource(api, "orders:read")
		rp := p.OpenIDClient("report", nil, asOpenIDClient, providertest.Scope("orders:read"))
		var own providertest.SignedIn
		rp.Call("clientCredentialsGrant", providertest.Args{"parameters": providertest.Args{"scope": "orders:read", "resource": api}}, &own)
		if got := p.Verify(own.Tokens.Access).Claims; got["aud"] != api || got["scope"] != "orders:read" || got["sub"] != rp.ID {
			t.Errorf("the token says %v", got)
		}
	})
}

// Form Post Response Mode: the library takes the answer from the body.
func TestOpenIDClientTakesAFormPost(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		rp := p.OpenIDClient("web", nil, asOpenIDClient, formPost)
		mode := providertest.Args{"response_mode": "form_post"}
		browser := p.Browser().SignIn("ada")
		posted := func(parameters providertest.Args) *providertest.Answer {
			page := browser.Walk(nil, rp.AuthorizationURL(parameters, nil))
			form := providertest.ReadForm(page.Body)
			if form == nil || form.Action != rp.RedirectURI {
				t.Fatalf("no form for %s: %s", rp.RedirectURI, page)
			}
			return browser.Post(form.Action, form.Fields)
		}
		if in := rp.Arrived(posted(mode)); in.Claims["iss"] != p.Issuer {
			t.Errorf("claims %v", in.Claims)
		}
		browser = p.Browser()
		mode["prompt"] = "none"
		if got := rp.Troubled(posted(mode)); got.Error != "login_required" {
			t.Errorf("%s, want login_required", got)
		}
	})
}

// The old response types, for clients that are marked for them: an ID token beside
// the code, with c_hash, or alone (OIDC Core sections 3.2 and 3.3).
func TestOpenIDClientTakesAnIDTokenFirst(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		for use, responseType := range map[string]string{"useCodeIdTokenResponseType": "code id_token", "useIdTokenResponseType": "id_token"} {
			t.Run(responseType, func(t *testing.T) {
				p := p.In(t)
				rp := p.OpenIDClient(strings.ToLower(use), providertest.Args{"use": use}, asOpenIDClient, legacy)
				browser := p.Browser().SignIn("ada")
				page := browser.Walk(nil, rp.AuthorizationURL(providertest.Args{"response_mode": "form_post"}, nil))
				form := providertest.ReadForm(page.Body)
				if form == nil || form.Action != rp.RedirectURI {
					t.Fatalf("no form for %s: %s", rp.RedirectURI, page)
				}
				in := rp.Arrived(browser.Post(form.Action, form.Fields))
				if in.Claims["sub"] != p.Person("ada").Sub || (in.Tokens.Access != "") != strings.HasPrefix(responseType, "code") {
					t.Errorf("signed in: %v", in)
				}
			})
		}
	})
}

// The same in a real browser, where the page posts itself.
func TestBrowserOpenIDClientTakesAFormPost(t *testing.T) {
	p := providertest.Start(t, providertest.At(time.Now()))
	rp, ada := p.OpenIDClient("web", nil, asOpenIDClient, formPost, providertest.FirstParty), p.Person("ada")
	v := &tour{Page: providertest.Chromium(t)}
	v.Open(rp.AuthorizationURL(providertest.Args{"response_mode": "form_post"}, nil))
	v.prove(ada.Email, ada.Password)
	if got := v.Text("pre"); v.URL() != rp.RedirectURI || !strings.Contains(got, `"iss":"`+p.Issuer+`"`) {
		t.Errorf("the relying party shows %s at %s", got, v.URL())
	}
}

// What the provider refuses reaches the program as the error of the
// specification, by the way that the library looks for it.
func TestOpenIDClientUnderstandsRefusals(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		rp := p.OpenIDClient("web", nil, asOpenIDClient)
		trouble := func(b *providertest.Browser, parameters providertest.Args) *providertest.Trouble {
			return rp.Troubled(b.Walk(nil, rp.AuthorizationURL(parameters, nil)).Answer)
		}
		none := providertest.Args{"prompt": "none"}
		signedIn := p.Browser().SignIn("ada")
		signedIn.Authorize(p.Client("other", providertest.FirstParty), "openid")
		for what, got := range map[string]*providertest.Trouble{
			"login_required":                    trouble(p.Browser(), none),
			"unmet_authentication_requirements": trouble(p.Browser().SignIn("ada"), providertest.Args{"acr_values": "aal3"}),

			"access_denied":    trouble(p.Browser().SignIn("ada").Deny(), nil),
			"invalid_scope":    trouble(p.Browser(), providertest.Args{"scope": "openid orders:write"}),
			"invalid_request":  trouble(p.Browser(), providertest.Args{"prompt": "none login"}),
			"consent_required": trouble(signedIn, none),
		} {
			if got.Code != "OAUTH_AUTHORIZATION_RESPONSE_ERROR" || got.Error != what {
				t.Errorf("%s, want %s", got, what)
			}
		}

		old := rp.SignIn(p.Browser().SignIn("ada"), nil, nil).Tokens
		var fresh providertest.SignedIn
		rp.Call("refreshTokenGrant", providertest.Args{"token": old.Refresh}, &fresh)
		p.Clock.Advance(time.Minute) // beyond the grace of a lost answer
		for range 2 {
			got := rp.Trouble("refreshTokenGrant", providertest.Args{"token": old.Refresh})
			if got.Code != "OAUTH_RESPONSE_BODY_ERROR" || got.Error != "invalid_grant" || got.Status != http.StatusBadRequest {
				t.Errorf("a replayed refresh token: %s", got)
			}
		}
		got := rp.Trouble("fetchUserInfo", providertest.Args{"token": fresh.Tokens.Access, "subject": "anybody"})
		if got.Code != "OAUTH_WWW_AUTHENTICATE_CHALLENGE" || got.Status != http.StatusUnauthorized {
			t.Errorf("a revoked access token: %s", got)
		}

		wrong := p.OpenIDClient("wrong", providertest.Args{"secret": "not-it", "authentication": "client_secret_basic"})
		got = wrong.Trouble("clientCredentialsGrant", nil)
		if got.Status != http.StatusUnauthorized || got.Code != "OAUTH_WWW_AUTHENTICATE_CHALLENGE" {
			t.Errorf("a wrong secret in a header: %s", got)
		}
	})
}

// OIDC Core section 3.1.2.1: the library holds auth_time against the max_age that
// it sent or registered.
func TestOpenIDClientWantsAFreshProof(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		ask, check := providertest.Args{"max_age": 300}, providertest.Args{"maxAge": 300}
		rp := p.OpenIDClient("web", nil, asOpenIDClient)
		registered := p.OpenIDClient("registered", providertest.Args{"metadata": providertest.Args{"default_max_age": 300, "require_auth_time": true}}, asOpenIDClient,
			func(r *clients.Registration) { r.DefaultMaxAge, r.RequireAuthTime = new(int64(300)), true })
		browser := p.Browser().SignIn("ada")
		first := rp.SignIn(browser, ask, check).Claims["auth_time"]
		if again := rp.SignIn(browser, ask, check).Claims["auth_time"]; again != first {
			t.Errorf("auth_time %v within max_age, before it was %v", again, first)
		}
		rp.Later(10 * time.Minute)
		if got := rp.Troubled(browser.Walk(nil, rp.AuthorizationURL(providertest.Args{"prompt": "none", "max_age": 300}, check)).Answer); got.Error != "login_required" {
			t.Errorf("in silence: %s", got)
		}
		second := rp.SignIn(browser, ask, check).Claims["auth_time"]
		if second == first {
			t.Errorf("auth_time is still %v", second)
		}
		rp.Later(10 * time.Minute)
		registered.Later(0)
		if third := registered.SignIn(browser, nil, nil).Claims["auth_time"]; third == second {
			t.Errorf("with a default_max_age auth_time is still %v", third)
		}
	})
}

// OIDC Core section 5.5: single claims where the client wants them, and an acr that
// it must have.
func TestOpenIDClientAsksForClaims(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		rp := p.OpenIDClient("web", nil, asOpenIDClient)
		in := rp.SignIn(p.Browser().SignIn("ada"), providertest.Args{"claims": `{"id_token": {"email": null, "acr": {"essential": true, "values": ["aal1"]}}, "userinfo": {"name": {"essential": true}}}`}, nil)
		if in.Claims["email"] != "ada@example.com" || in.Claims["acr"] != "aal1" || in.Claims["name"] != nil {
			t.Errorf("the ID token says %v", in.Claims)
		}
		var person map[string]any
		rp.Call("fetchUserInfo", providertest.Args{"token": in.Tokens.Access, "subject": in.Claims["sub"]}, &person)
		if person["name"] != "Ada" || person["email"] != nil {
			t.Errorf("userinfo says %v", person)
		}
		beyond := providertest.Args{"claims": `{"id_token": {"acr": {"essential": true, "values": ["aal3"]}}}`}
		got := rp.Troubled(p.Browser().SignIn("ada").Walk(nil, rp.AuthorizationURL(beyond, nil)).Answer)
		if got.Code != "OAUTH_AUTHORIZATION_RESPONSE_ERROR" || got.Error != "unmet_authentication_requirements" {
			t.Errorf("an acr that cannot be reached: %s", got)
		}
	})
}

// Silent renewal: prompt=none with the old ID token as a hint answers about the
// same person and the same proof, and about nobody else.
func TestOpenIDClientRenewsInSilence(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		rp := p.OpenIDClient("web", nil, asOpenIDClient)
		browser := p.Browser().SignIn("ada")
		in := rp.SignIn(browser, nil, nil)
		silent := providertest.Args{"prompt": "none", "id_token_hint": in.Tokens.ID}
		again := rp.SignIn(browser, silent, nil)
		for _, claim := range []string{"sub", "auth_time", "acr", "sid"} {
			if again.Claims[claim] != in.Claims[claim] {
				t.Errorf("%s is %v, before it was %v", claim, again.Claims[claim], in.Claims[claim])
			}
		}
		bob := p.Browser().SignIn("bob")
		rp.SignIn(bob, nil, nil)
		if got := rp.Troubled(bob.Walk(nil, rp.AuthorizationURL(silent, nil)).Answer); got.Error != "login_required" {
			t.Errorf("with a hint of somebody else: %s", got)
		}
	})
}

// OIDC Core section 8.1: a pairwise subject is the same in every token and answer,
// and as a hint.
func TestOpenIDClientKnowsPeopleByAPairwiseSubject(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		rp := p.OpenIDClient("web", nil, asOpenIDClient, func(r *clients.Registration) { r.SubjectType = "pairwise" })
		browser := p.Browser().SignIn("ada")
		in := rp.SignIn(browser, nil, nil)
		sub := in.Claims["sub"]
		if sub == p.Person("ada").Sub {
			t.Errorf("the subject is everybody's: %v", sub)
		}
		var fresh providertest.SignedIn
		rp.Call("refreshTokenGrant", providertest.Args{"token": in.Tokens.Refresh}, &fresh)
		rp.Call("fetchUserInfo", providertest.Args{"token": fresh.Tokens.Access, "subject": sub}, nil)
		var told map[string]any
		rp.Call("tokenIntrospection", providertest.Args{"token": fresh.Tokens.Access}, &told)
		silent := rp.SignIn(browser, providertest.Args{"prompt": "none", "id_token_hint": in.Tokens.ID}, nil)
		for what, got := range map[string]any{"the refreshed ID token": fresh.Claims["sub"], "introspection": told["sub"], "a silent renewal": silent.Claims["sub"]} {
			if got != sub {
				t.Errorf("%s says %v, the first ID token %v", what, got, sub)
			}
		}
	})
}

// RFC 7662: a client asks about its own tokens, an API about those made for it,
// signed or opaque.
func TestOpenIDClientIntrospects(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		cars := p.OpenIDClient("cars", providertest.Args{"authentication": "client_secret_basic"})
		for audience, format := range map[string]string{carsAPI: "jwt", boatsAPI: "opaque"} {
			api(t, p, audience, format, cars.RP)
			rp := p.OpenIDClient("web-"+format, nil, asOpenIDClient, providertest.Scope(scopeOf(audience)))
			in := rp.SignIn(p.Browser().SignIn("ada"), providertest.Args{"scope": "openid " + scopeOf(audience), "resource": audience}, nil)
			ask := func(who *providertest.OpenIDClient, token string) map[string]any {
				var told map[string]any
				who.Call("tokenIntrospection", providertest.Args{"token": token, "parameters": providertest.Args{"token_type_hint": "access_token"}}, &told)
				return told
			}
			for _, who := range []*providertest.OpenIDClient{rp, cars} {
				told := ask(who, in.Tokens.Access)
				if told["active"] != true || told["aud"] != audience || told["scope"] != scopeOf(audience) || told["sub"] != in.Claims["sub"] || told["client_id"] != rp.ID {
					t.Errorf("%s is told %v", who.ID, told)
				}
			}
			if told := ask(rp, in.Tokens.Refresh); told["active"] != true {
				t.Errorf("the refresh token: %v", told)
			}
			if told := ask(cars, in.Tokens.Refresh); told["active"] != false || len(told) != 1 {
				t.Errorf("another's refresh token: %v", told)
			}
		}
	})
}

// RFC 7009: what the library revokes is over, and what is not the client's is not
// its to revoke.
func TestOpenIDClientRevokes(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		rp := p.OpenIDClient("web", nil, asOpenIDClient)
		other := p.OpenIDClient("other", nil, asOpenIDClient)
		active := func(token string) bool {
			var told struct{ Active bool }
			rp.Call("tokenIntrospection", providertest.Args{"token": token}, &told)
			return told.Active
		}
		in := rp.SignIn(p.Browser().SignIn("ada"), nil, nil).Tokens
		if got := other.Trouble("tokenRevocation", providertest.Args{"token": in.Refresh}); got.Error != "invalid_grant" || !active(in.Refresh) {
			t.Errorf("another client's revocation: %s, active %v", got, active(in.Refresh))
		}
		rp.Call("tokenRevocation", providertest.Args{"token": in.Access}, nil)
		if active(in.Access) || !active(in.Refresh) {
			t.Errorf("after revoking the access token: access %v, refresh %v", active(in.Access), active(in.Refresh))
		}
		var fresh providertest.SignedIn
		rp.Call("refreshTokenGrant", providertest.Args{"token": in.Refresh}, &fresh)
		rp.Call("tokenRevocation", providertest.Args{"token": fresh.Tokens.Refresh}, nil)
		rp.Call("tokenRevocation", providertest.Args{"token": fresh.Tokens.Refresh}, nil) // section 2.2: already over is no error
		if active(fresh.Tokens.Access) || active(fresh.Tokens.Refresh) {
			t.Errorf("after revoking the refresh token: access %v, refresh %v", active(fresh.Tokens.Access), active(fresh.Tokens.Refresh))
		}
		if got := rp.Trouble("refreshTokenGrant", providertest.Args{"token": fresh.Tokens.Refresh}); got.Error != "invalid_grant" {
			t.Errorf("a revoked refresh token: %s", got)
		}
	})
}

// RP-Initiated Logout: the library's URL signs out and leads back.
func TestOpenIDClientSignsOut(t *testing.T) {
	openidClients(t, func(t *testing.T, p *providertest.P) {
		const left = "https://web.example/left"
		rp := p.OpenIDClient("web", nil, asOpenIDClient, func(r *clients.Registration) { r.PostLogoutRedirectURIs = []string{left} })
		browser := p.Browser().SignIn("ada")
		in := rp.SignIn(browser, nil, nil)
		var to string
		rp.Call("buildEndSessionUrl", providertest.Args{"parameters": providertest.Args{
			"id_token_hint": in.Tokens.ID, "post_logout_redirect_uri": left, "state": "a state",
		}}, &to)
		if got := browser.Next(browser.Get(to)); got != left+"?state=a+state" {
			t.Errorf("signed out to %s", got)
		}
		got := rp.Troubled(browser.Walk(nil, rp.AuthorizationURL(providertest.Args{"prompt": "none"}, nil)).Answer)
		if got.Error != "login_required" {
			t.Errorf("after signing out: %s", got)
		}
		if got := rp.Trouble("refreshTokenGrant", providertest.Args{"token": in.Tokens.Refresh}); got.Error != "invalid_grant" {
			t.Errorf("a refresh after signing out: %s", got)
		}
	})
}
