package provider_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// everything is a person of whom every standard claim is known.
func everything(in *directory.NewPerson) {
	verified := true
	in.Locale = "sv-SE"
	in.Claims = directory.Claims{
		GivenName: "Ada", FamilyName: "Lovelace", MiddleName: "King", Nickname: "A", PreferredUsername: "ada",
		Profile: "https://ada.example/", Picture: "https://ada.example/a.png", Website: "https://ada.example/w", Gender: "female",
		Birthdate: "1815-12-10", Zoneinfo: "Europe/London", PhoneNumber: "+4670123456", PhoneNumberVerified: &verified,
		Address: &directory.Address{Formatted: "1 St\nLondon", StreetAddress: "1 St", Locality: "London", Region: "L", PostalCode: "W1", Country: "GB"},
	}
}

// OIDC Core sections 5.1, 5.3.2 and 5.4: each scope has its claims, with their JSON
// types; what is not known is left out.
func TestUserinfoHasTheClaimsOfEachScope(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, ada, bob := p.Client("web", providertest.FirstParty), p.Person("ada", everything), p.Person("bob")
		adas, bobs := p.Browser().SignIn("ada"), p.Browser().SignIn("bob")
		profile := map[string]any{
			"name": "Ada", "given_name": "Ada", "family_name": "Lovelace", "middle_name": "King", "nickname": "A", "preferred_username": "ada",
			"profile": "https://ada.example/", "picture": "https://ada.example/a.png", "website": "https://ada.example/w", "gender": "female",
			"birthdate": "1815-12-10", "zoneinfo": "Europe/London", "locale": "sv-SE", "updated_at": float64(p.Clock.Now().Unix()),
		}
		email := map[string]any{"email": "ada@example.com", "email_verified": true}
		address := map[string]any{"address": map[string]any{
			"formatted": "1 St\nLondon", "street_address": "1 St", "locality": "London", "region": "L", "postal_code": "W1", "country": "GB",
		}}
		phone := map[string]any{"phone_number": "+4670123456", "phone_number_verified": true}
		all := map[string]any{}
		for _, some := range []map[string]any{profile, email, address, phone} {
			for name, value := range some {
				all[name] = value
			}
		}
		for _, c := range []struct {
			browser *providertest.Browser
			sub     string
			scope   string
			want    map[string]any
		}{
			{adas, ada.Sub, "openid", map[string]any{}},
			{adas, ada.Sub, "openid profile", profile},
			{adas, ada.Sub, "openid email", email},
			{adas, ada.Sub, "openid address", address},
			{adas, ada.Sub, "openid phone", phone},
			{adas, ada.Sub, "openid profile email address phone offline_access", all},
			{bobs, bob.Sub, "openid profile email address phone", map[string]any{
				"name": "Bob", "updated_at": float64(p.Clock.Now().Unix()), "email": "bob@example.com", "email_verified": true,
			}},
		} {
			tokens := rp.Exchange(c.browser.Authorize(rp, c.scope)).OK()
			answer := p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
			got := answer.JSON()
			if got["sub"] != c.sub || got["sub"] != p.Verify(tokens.ID).Claims["sub"] {
				t.Errorf("%s: sub %v, want that of the ID token", c.scope, got["sub"])
			}
			delete(got, "sub")
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s:\ngot  %#v\nwant %#v", c.scope, got, c.want)
			}
			if kind := answer.Header.Get("Content-Type"); kind != "application/json" || answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Content-Type %q, Cache-Control %q", kind, answer.Header.Get("Cache-Control"))
			}
		}
	})
}

// OIDC Core section 5.3.1, RFC 6750 section 2: GET and POST, the token in the header
// or in a form, in one place.
func TestUserinfoTakesTheTokenInHeaderOrBody(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		token := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid")).OK().Access
		at, inBody := p.URL(web.PathUserinfo), url.Values{"access_token": {token}}
		for name, r := range map[string]*http.Request{
			"GET":                       rawRequest(t, http.MethodGet, at, nil, "Authorization", "Bearer "+token),
			"GET, scheme in lower case": rawRequest(t, http.MethodGet, at, nil, "Authorization", "bearer "+token),
			"HEAD":                      rawRequest(t, http.MethodHead, at, nil, "Authorization", "Bearer "+token),
			"POST, header":              rawRequest(t, http.MethodPost, at, nil, "Authorization", "Bearer "+token),
			"POST, header and a form":   rawRequest(t, http.MethodPost, at, url.Values{"schema": {"openid"}}, "Authorization", "Bearer "+token),
			"POST, body":                rawRequest(t, http.MethodPost, at, inBody),
		} {
			if a := p.Send(r); a.Status != http.StatusOK {
				t.Errorf("%s: %s", name, a)
			}
		}
		for name, r := range map[string]*http.Request{
			"header and body":           rawRequest(t, http.MethodPost, at, inBody, "Authorization", "Bearer "+token),
			"a body that is no form":    rawRequest(t, http.MethodPost, at, inBody, "Content-Type", "text/plain"),
			"a form as multipart":       rawRequest(t, http.MethodPost, at, inBody, "Content-Type", "multipart/form-data; boundary=x"),
			"two tokens in two headers": twoHeaders(rawRequest(t, http.MethodGet, at, nil, "Authorization", "Bearer "+token)),
		} {
			if a := p.Send(r); a.Status != http.StatusBadRequest {
				t.Errorf("%s: %s", name, a)
			} else {
				a.WantError("invalid_request")
			}
		}
	})
}

func twoHeaders(r *http.Request) *http.Request {
	r.Header.Add("Authorization", r.Header.Get("Authorization"))
	return r
}

// RFC 6750 section 3: what is wrong with a token, in the challenge; nothing about it
// if there was none.
func TestUserinfoRefusals(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Resource(carsAPI, "cars:read")
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read"))
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid email")).OK()
		forCars := rp.Exchange(browser.Authorize(rp, "openid cars:read", resource(carsAPI))).OK()
		noOpenID := rp.Exchange(browser.Authorize(rp, "email")).OK()
		own := p.Client("job").ClientCredentials().OK()

		const bare = ""
		for _, c := range []struct {
			name, token, code string
			status            int
		}{
			{"another audience", forCars.Access, "invalid_token", http.StatusUnauthorized},
			{"an ID token", tokens.ID, "invalid_token", http.StatusUnauthorized},
			{"a refresh token", tokens.Refresh, "invalid_token", http.StatusUnauthorized},
			{"nonsense", "nonsense", "invalid_token", http.StatusUnauthorized},
			{"an empty token", "", bare, http.StatusUnauthorized},
			{"a byte more", tokens.Access + "A", "invalid_token", http.StatusUnauthorized},
			{"a client's own", own.Access, "insufficient_scope", http.StatusForbidden},
			{"without openid", noOpenID.Access, "insufficient_scope", http.StatusForbidden},
		} {
			a := p.Userinfo(c.token).WantStatus(c.status)
			wantChallenge(t, p, c.name, a, c.code)
		}
		at := p.URL(web.PathUserinfo)
		for name, r := range map[string]*http.Request{
			"no token":       rawRequest(t, http.MethodGet, at, nil),
			"no token, POST": rawRequest(t, http.MethodPost, at, url.Values{}),
			"Basic":          rawRequest(t, http.MethodGet, at, nil, "Authorization", basic(rp.ID, rp.Secret)),
			"DPoP":           rawRequest(t, http.MethodGet, at, nil, "Authorization", "DPoP "+tokens.Access),
		} {
			wantChallenge(t, p, name, p.Send(r).WantStatus(http.StatusUnauthorized), bare)
		}
	})
}

// wantChallenge asks for a Bearer challenge of the issuer with this error, "" for
// none, and a body that says the same.
func wantChallenge(t *testing.T, p *providertest.P, what string, a *providertest.Answer, code string) {
	t.Helper()
	challenge := a.Header.Get("WWW-Authenticate")
	want := `Bearer realm="` + p.Issuer + `"`
	if code == "" {
		if challenge != want || len(a.Body) != 0 {
			t.Errorf("%s: challenge %s and body %q, want the bare %s", what, challenge, a.Body, want)
		}
		return
	}
	if !strings.HasPrefix(challenge, want+`, error="`+code+`", error_description="`) || a.JSON()["error"] != code {
		t.Errorf("%s: challenge %s, body %s, want %s", what, challenge, a.Body, code)
	}
	if got := strings.HasSuffix(challenge, `, scope="openid"`); got != (code == "insufficient_scope") {
		t.Errorf("%s: challenge %s: the scope that is needed belongs to insufficient_scope", what, challenge)
	}
}
