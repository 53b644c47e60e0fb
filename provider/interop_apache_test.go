package provider_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// The tests in this file drive Debian's Apache with mod_auth_openidc: what
// operators put in front of a program that knows nothing of OpenID. It is told
// issuer, client id and secret, and goes by the machine's clock.

// apaches runs a test on both databases.
func apaches(t *testing.T, run func(t *testing.T, p *providertest.P)) {
	t.Helper()
	t.Parallel()
	providertest.Each(t, run, providertest.At(time.Now()))
}

// Code with PKCE, ID token and userinfo, whatever the algorithm; once somebody
// is in, no further page asks.
func TestApacheSignsIn(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		for _, alg := range []string{"RS256", "ES256", "PS256"} {
			t.Run(alg, func(t *testing.T) {
				p := p.In(t)
				rp := p.Apache("intranet-"+strings.ToLower(alg), "", func(r *clients.Registration) { r.IDTokenSignedResponseAlg = alg })
				ada := p.Person("ada")
				b := p.Browser().SignIn("ada")
				for name, want := range map[string]string{
					"REMOTE_USER": ada.Sub + "@" + p.Issuer, "AUTH_TYPE": "openid-connect",
					"OIDC_CLAIM_iss": p.Issuer, "OIDC_CLAIM_aud": rp.ID, "OIDC_CLAIM_acr": "aal1",
					"OIDC_CLAIM_email": ada.Email, "OIDC_CLAIM_email_verified": "1", "OIDC_CLAIM_name": "Ada",
				} {
					if got := rp.Visit(b, "/protected/a/page?x=1")[name]; got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
				if asked := strings.Count(p.Logs(), `"route":"/oauth2/authorize"`); asked == 0 {
					t.Error("nobody was asked")
				} else if rp.Visit(b, "/protected/another"); strings.Count(p.Logs(), `"route":"/oauth2/authorize"`) != asked {
					t.Error("whoever is in was asked again")
				}
			})
		}
	})
}

// By form_post: a refusal ends at the relying party, which tells it and lets
// nobody in. (By query, Debian's version takes an error that names its issuer, as RFC
// 9207 has it, for a sign-in that a third party began.)
func TestApacheTakesAFormPost(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "OIDCResponseMode form_post\n", formPost)
		ask := func(b *providertest.Browser) *providertest.Answer {
			page := b.Walk(nil, rp.URL+"/protected/")
			form := providertest.ReadForm(page.Body)
			if form == nil || form.Action != rp.RedirectURI {
				t.Fatalf("no form for %s: at %s %s", rp.RedirectURI, page.URL, page.Answer)
			}
			return b.Post(form.Action, form.Fields)
		}
		b := p.Browser().SignIn("ada")
		if got := b.Next(ask(b)); got != rp.URL+"/protected/" {
			t.Errorf("sent on to %s", got)
		}
		if got := rp.Visit(b, "/protected/")["OIDC_CLAIM_email"]; got != "ada@example.com" {
			t.Errorf("%q is in", got)
		}
		b = p.Browser().SignIn("bob").Deny()
		if got := ask(b); !strings.Contains(string(got.Body), "access_denied") || !strings.Contains(string(got.Body), "did not agree") {
			t.Errorf("the relying party says %s", got)
		}
	})
}

// The old response types, for a client that is marked for them: an ID token beside
// the code, with c_hash, or alone (OIDC Core sections 3.2 and 3.3).
func TestApacheTakesAnIDTokenFirst(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		for _, responseType := range []string{"code id_token", "id_token"} {
			rp := p.Apache(strings.ReplaceAll(responseType, " ", "-"), "OIDCResponseMode form_post\nOIDCResponseType \""+responseType+"\"\n", legacy)
			b := p.Browser().SignIn("ada")
			page := b.Walk(nil, rp.URL+"/protected/")
			form := providertest.ReadForm(page.Body)
			if form == nil || form.Action != rp.RedirectURI || !form.Fields.Has("id_token") {
				t.Fatalf("%s: no ID token for %s: at %s %s", responseType, rp.RedirectURI, page.URL, page.Answer)
			}
			if got := b.Next(b.Post(form.Action, form.Fields)); got != rp.URL+"/protected/" {
				t.Errorf("%s: sent on to %s", responseType, got)
			}
			if got := rp.Visit(b, "/protected/")["OIDC_CLAIM_email"]; got != "ada@example.com" {
				t.Errorf("%s: %q is in", responseType, got)
			}
		}
	})
}

// Its refresh hook: another access token for the same session (OIDC Core section 12).
func TestApacheRefreshes(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "")
		b := p.Browser().SignIn("ada")
		before := rp.Visit(b, "/protected/")
		again := rp.URL + "/protected/again"
		hook := rp.RedirectURI + "?" + url.Values{"refresh": {again}, "access_token": {before["OIDC_access_token"]}}.Encode()
		if at := b.Walk(nil, hook); at.URL.String() != again {
			t.Fatalf("at %s: %s", at.URL, at.Answer)
		}
		after := rp.Visit(b, "/protected/")
		if after["REMOTE_USER"] != before["REMOTE_USER"] || after["OIDC_access_token"] == before["OIDC_access_token"] {
			t.Errorf("%q has %q, before it was %q with %q", after["REMOTE_USER"], after["OIDC_access_token"], before["REMOTE_USER"], before["OIDC_access_token"])
		}
		p.Userinfo(after["OIDC_access_token"]).WantStatus(http.StatusOK)
	})
}

// Requests at once that all renew the access token keep the session: they use one
// refresh token, and a lost race is no theft (RFC 9700 section 4.14.2). The new token is
// not renewed by one of them once more: a request that waits for long meanwhile would
// bring a refresh token of two generations ago, which is one.
func TestApacheRefreshesInParallel(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		const lifetime, renewed = 600 * time.Second, 10 * time.Second
		rp := p.Apache("intranet", fmt.Sprintf("OIDCRefreshAccessTokenBeforeExpiry %.0f logout_on_error\n", (lifetime-renewed).Seconds()))
		before := map[*providertest.Browser]string{}
		for range 3 {
			b := p.Browser().SignIn("ada")
			before[b] = rp.Visit(b, "/protected/")["OIDC_access_token"]
		}
		time.Sleep(renewed + time.Second) // Apache goes by the machine's clock
		for b, before := range before {
			var requests []*http.Request
			for range 8 {
				requests = append(requests, b.Request(rp.URL+"/protected/"))
			}
			for _, a := range p.AtOnce(requests...) {
				if got := rp.Variables(a)["OIDC_access_token"]; got == "" || got == before {
					t.Errorf("the access token was not renewed: %s", a)
				}
			}
		}
	})
}

// What became of the session at the provider reaches it with the next refresh.
func TestApacheNoticesTheEndOfASession(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "OIDCRefreshAccessTokenBeforeExpiry 3600 logout_on_error\n")
		b := p.Browser().SignIn("ada")
		rp.Visit(b, "/protected/")
		other := p.Client("other", providertest.FirstParty)
		hint := other.Exchange(b.Authorize(other, "openid")).OK().ID
		b.Get(p.URL(web.PathEndSession) + "?" + url.Values{"id_token_hint": {hint}}.Encode())
		if at := b.Get(rp.URL + "/protected/"); strings.Contains(string(at.Body), "REMOTE_USER") {
			t.Errorf("after the session ended: %s", at)
		}
		if at := b.SignedOut().Walk(nil, rp.URL+"/protected/"); !strings.HasPrefix(at.URL.String(), p.URL("/signin/password")) {
			t.Errorf("after the session ended the browser is at %s: %s", at.URL, at.Answer)
		}
	})
}

// OIDC Core section 4: the person's list of apps opens it with the issuer's name; it
// asks the provider and goes where it was told to.
func TestApacheIsOpenedFromTheListOfApps(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "", providertest.FirstParty, func(r *clients.Registration) {
			r.InitiateLoginURI, r.ClientURI = r.RedirectURIs[0], strings.Replace(r.RedirectURIs[0], "callback", "orders", 1)
		})
		b := p.Browser().SignIn("ada")
		page := html.UnescapeString(string(b.Walk(nil, p.URL(web.PathApps)).Body))
		_, link, found := strings.Cut(page, `href="`+rp.RedirectURI)
		if !found {
			t.Fatalf("it is not in the list: %s", page)
		}
		link, _, _ = strings.Cut(link, `"`)
		if at := b.Walk(nil, rp.RedirectURI+link); at.URL.String() != rp.URL+"/protected/orders" || !strings.Contains(string(at.Body), "REMOTE_USER") {
			t.Errorf("%s led to %s: %s", link, at.URL, at.Answer)
		}
	})
}

// An API behind Apache asks about each token (RFC 7662), of either format.
func TestApacheGuardsAnAPI(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		// It keeps what it was told until the token ends unless it is told to ask again.
		guard := p.Apache("guard", "<Location /api/>\nOIDCOAuthTokenIntrospectionInterval -1\nRequire claim scope~(^|\\s)(cars|vans):read($|\\s)\n</Location>\n")
		const vansAPI = "https://vans.example/api"
		api(t, p, carsAPI, "jwt", guard.RP)
		api(t, p, vansAPI, "opaque", guard.RP)
		api(t, p, boatsAPI, "jwt", p.Client("boats"))
		web := p.Client("web", providertest.Scope("cars:read", "vans:read", "boats:read"))
		ada := p.Person("ada")
		code := p.Browser().SignIn("ada").Authorize(web, "openid offline_access cars:read vans:read boats:read", resource(carsAPI), resource(vansAPI), resource(boatsAPI))
		refresh := web.Exchange(code, resource(carsAPI)).OK().Refresh
		access := func(audience string) string {
			tokens := web.Refresh(refresh, resource(audience)).OK()
			refresh = tokens.Refresh
			return tokens.Access
		}

		guard.Call("").WantStatus(http.StatusUnauthorized)
		guard.Call("nonsense").WantStatus(http.StatusUnauthorized)
		guard.Call(access(boatsAPI)).WantStatus(http.StatusUnauthorized)
		for _, audience := range []string{carsAPI, vansAPI} {
			token := access(audience)
			told := guard.Variables(guard.Call(token))
			for name, want := range map[string]string{
				"REMOTE_USER": ada.Sub, "AUTH_TYPE": "oauth20",
				"OIDC_CLAIM_client_id": web.ID, "OIDC_CLAIM_aud": audience, "OIDC_CLAIM_scope": scopeOf(audience),
			} {
				if told[name] != want {
					t.Errorf("%s is %q, want %q", name, told[name], want)
				}
			}
			web.Revoke(token).WantStatus(http.StatusOK)
			guard.Call(token).WantStatus(http.StatusUnauthorized)
		}
	})
}

// A page that wants more proof than there is (RFC 9470, OIDC Core section 5.5.1.1)
// asks for it, is told that it cannot be had, and stays shut without going in circles.
func TestApacheAsksForMoreProof(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		const asks = "<Location /protected/%s>\nOIDCUnAutzAction auth\nOIDCPathAuthRequestParams acr_values=%[1]s\nRequire claim acr:%[1]s\n</Location>\n"
		rp := p.Apache("intranet", "OIDCResponseMode form_post\n"+fmt.Sprintf(asks, "aal1")+fmt.Sprintf(asks, "aal3"), formPost, providertest.FirstParty)
		b := p.Browser().SignIn("ada")
		form := providertest.ReadForm(b.Walk(nil, rp.URL+"/protected/aal1").Body)
		b.Post(form.Action, form.Fields)
		if got := rp.Visit(b, "/protected/aal1")["OIDC_CLAIM_acr"]; got != "aal1" {
			t.Errorf("acr is %q", got)
		}
		shut := string(b.Get(rp.URL + "/protected/aal3").Body) // it sends a browser on by a refresh of the page
		_, on, _ := strings.Cut(shut, "url=")
		on, _, _ = strings.Cut(on, `"`)
		page := b.Walk(nil, on)
		if form = providertest.ReadForm(page.Body); form == nil || form.Fields.Get("error") != "unmet_authentication_requirements" {
			t.Fatalf("at %s: %s", page.URL, page.Answer)
		}
		if got := b.Post(form.Action, form.Fields); !strings.Contains(string(got.Body), "unmet_authentication_requirements") || strings.Contains(string(got.Body), "REMOTE_USER") {
			t.Errorf("the relying party says %s", got)
		}
	})
}

// A key that was made after it had read the keys: it reads them again (OIDC Core
// section 10.1.1). Its clock, the machine's, must bear with ours, which has moved.
func TestApacheFollowsKeyRotation(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "OIDCIDTokenIatSlack 3600\nOIDCPassIDTokenAs serialized\n", providertest.FirstParty, func(r *clients.Registration) { r.IDTokenSignedResponseAlg = "ES256" })
		kid := func(name string) any {
			return p.Verify(rp.Visit(p.Browser().SignIn(name), "/protected/")["OIDC_id_token"]).Header["kid"]
		}
		before := kid("ada")
		rotate(t, p, "ES256")
		p.Clock.Advance(20 * time.Minute) // the new one was published for long enough
		if after := kid("bob"); after == before {
			t.Errorf("still signed by %v", after)
		}
	})
}

// Its sign-out link ends both sessions and comes back (RP-Initiated Logout).
func TestApacheSignsOut(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "")
		b := p.Browser().SignIn("ada")
		rp.Visit(b, "/protected/")
		left := rp.URL + "/left"
		if at := b.Walk(nil, rp.RedirectURI+"?"+url.Values{"logout": {left}}.Encode()); at.URL.String() != left || at.Status != http.StatusOK {
			t.Errorf("signed out to %s: %s", at.URL, at.Answer)
		}
		if at := b.SignedOut().Walk(nil, rp.URL+"/protected/"); !strings.HasPrefix(at.URL.String(), p.URL("/signin/password")) {
			t.Errorf("after signing out the browser is at %s: %s", at.URL, at.Answer)
		}
	})
}

// Back-Channel Logout: whoever signs out here is signed out there, without a word from
// their browser; nobody else is, and no other browser of theirs.
func TestApacheHearsOfASignOut(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		for _, alg := range []string{"RS256", "ES256"} {
			rp := p.Apache("intranet-"+strings.ToLower(alg), "", providertest.FirstParty, func(r *clients.Registration) {
				r.IDTokenSignedResponseAlg, r.BackchannelLogoutURI, r.BackchannelLogoutSession = alg, r.RedirectURIs[0]+"?logout=backchannel", true
			})
			ada, other, bob := p.Browser().SignIn("ada"), p.Browser().SignIn("ada"), p.Browser().SignIn("bob")
			for _, b := range []*providertest.Browser{ada, other, bob} {
				rp.Visit(b, "/protected/")
			}
			signOut(t, p, ada)
			if at := ada.SignedOut().Walk(nil, rp.URL+"/protected/"); !strings.HasPrefix(at.URL.String(), p.URL(web.PathSignIn)) {
				t.Errorf("%s: after signing out the browser is at %s: %s", alg, at.URL, at.Answer)
			}
			for who, b := range map[string]*providertest.Browser{"her other browser": other, "bob": bob} {
				if at := b.Get(rp.URL + "/protected/"); !strings.Contains(string(at.Body), "REMOTE_USER") {
					t.Errorf("%s: %s was signed out too: %s", alg, who, at)
				}
			}
		}
	})
}

// When it signs somebody out it revokes what it was given (RFC 7009), which here
// would outlive the session.
func TestApacheRevokesWhenItSignsOut(t *testing.T) {
	apaches(t, func(t *testing.T, p *providertest.P) {
		rp := p.Apache("intranet", "OIDCScope \"openid offline_access\"\nOIDCPassRefreshToken On\n")
		b := p.Browser().SignIn("ada")
		kept := rp.Visit(b, "/protected/")
		rp.Introspect(kept["OIDC_refresh_token"]).WantActive()
		rp.Introspect(kept["OIDC_access_token"]).WantActive()
		b.Walk(nil, rp.RedirectURI+"?"+url.Values{"logout": {rp.URL + "/left"}}.Encode())
		rp.Introspect(kept["OIDC_refresh_token"]).WantInactive()
		rp.Introspect(kept["OIDC_access_token"]).WantInactive()
	})
}

// In a real browser, by form_post: in, and out again.
func TestBrowserApacheByFormPost(t *testing.T) {
	p := providertest.Start(t, providertest.At(time.Now()))
	rp, ada := p.Apache("intranet", "OIDCResponseMode form_post\n", formPost), p.Person("ada")
	v := &tour{Page: providertest.Chromium(t)}
	v.Open(rp.URL + "/protected/")
	v.prove(ada.Email, ada.Password)
	v.Follow("button[value=allow]")
	if got := v.Text("pre"); v.URL() != rp.URL+"/protected/" || !strings.Contains(got, "REMOTE_USER="+ada.Sub+"@"+p.Issuer+"\n") {
		t.Errorf("the relying party shows %s at %s", got, v.URL())
	}
	v.Open(rp.RedirectURI + "?" + url.Values{"logout": {rp.URL + "/left"}}.Encode())
	if got := v.Text("pre"); v.URL() != rp.URL+"/left" || strings.Contains(got, "REMOTE_USER") {
		t.Errorf("after signing out the relying party shows %s at %s", got, v.URL())
	}
	if v.Open(rp.URL + "/protected/"); !strings.HasPrefix(v.URL(), p.Issuer) {
		t.Errorf("after signing out the browser is at %s", v.URL())
	}
}
