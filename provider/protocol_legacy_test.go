package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// legacy is an old client that an operator lets have an ID token from the
// authorization endpoint.
func legacy(r *clients.Registration) {
	r.Legacy, r.FirstParty = true, true
	r.GrantTypes = append(r.GrantTypes, "implicit")
	r.ResponseTypes = []string{"code", "id_token code", "id_token"}
	r.ResponseModes = []string{"query", "form_post"}
}

func responseType(value string) providertest.Param {
	return providertest.With("response_type", value)
}

// inFragment fails the test unless the client's answer came in the fragment alone.
func inFragment(t *testing.T, what string, a *providertest.Arrival) {
	t.Helper()
	if at, _, _ := strings.Cut(a.Header.Get("Location"), "#"); a.Params == nil || a.URL.Fragment == "" || at != "https://web.example/callback" {
		t.Errorf("%s: the answer is not in the fragment alone: %s", what, a.Header.Get("Location"))
	}
}

// OIDC Core sections 3.2.2.5 and 3.2.2.10: an ID token alone comes in the fragment,
// carries the claims that the scopes stand for (section 5.4), and nothing else comes
// of it.
func TestIDTokenFromTheAuthorizationEndpoint(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, ada := p.Client("web", legacy), p.Person("ada", everything)
		browser := p.Browser().SignIn("ada")
		signedInAt := p.Clock.Now()
		browser.Authorize(rp, "openid")
		p.Clock.Advance(time.Minute)
		now := p.Clock.Now()
		arrival := browser.Ask(rp, "openid email phone offline_access", responseType("id_token"), providertest.With("nonce", `n "ö&=`), providertest.With("state", "a b&c=d+e"),
			claimsParam(`{"id_token":{"given_name":null},"userinfo":{"nickname":null}}`), providertest.Without("code_challenge"), providertest.Without("code_challenge_method"))
		inFragment(t, "id_token", arrival)
		if got := strings.Join(sorted(arrival.Params), " "); got != "id_token iss state" || arrival.Params.Get("state") != "a b&c=d+e" || arrival.Params.Get("iss") != p.Issuer {
			t.Errorf("the answer has %s: %s", got, arrival.Params)
		}
		token := p.Verify(arrival.Params.Get("id_token"))
		if got := names(token.Claims); got != "acr amr aud auth_time email email_verified exp given_name iat iss jti nonce phone_number phone_number_verified sid sub" {
			t.Errorf("claims are %s", got)
		}
		wantClaims(t, "id_token", token.Claims, map[string]any{
			"iss": p.Issuer, "sub": ada.Sub, "aud": "web", "nonce": `n "ö&=`, "acr": "aal1", "amr": "[pwd]", "auth_time": float64(signedInAt.Unix()),
			"iat": float64(now.Unix()), "exp": float64(now.Add(10 * time.Minute).Unix()), "email": "ada@example.com", "given_name": "Ada",
		})
		if token.Header["alg"] != "RS256" {
			t.Errorf("header %v", token.Header)
		}
		// It is a hint, and the session's own: sid and sub are those that the client knows.
		beside := p.Verify(rp.Exchange(browser.Authorize(rp, "openid")).OK().ID).Claims
		wantClaims(t, "beside a code", beside, map[string]any{"sid": token.Claims["sid"], "sub": token.Claims["sub"]})
		browser.Authorize(rp, "openid", providertest.With("prompt", "none"), providertest.With("id_token_hint", arrival.Params.Get("id_token")))
		p.Userinfo(arrival.Params.Get("id_token")).WantStatus(http.StatusUnauthorized)

		told := eventsOf(t, p, "id_token.given")
		if len(told) != 1 || !reflect.DeepEqual(told[0]["scopes"], []any{"openid", "email", "phone"}) || told[0]["acr"] != "aal1" || told[0]["session"] == "" {
			t.Errorf("the events tell %v, want one ID token, and no offline_access without a code", told)
		}
		if made := eventsOf(t, p, "grant.made"); len(made) != 3 {
			t.Errorf("%d grants were made, want those of the three codes", len(made))
		}
	})
}

func sorted(q url.Values) []string {
	all := map[string]any{}
	for name := range q {
		all[name] = nil
	}
	return strings.Fields(names(all))
}

// eventsOf are the documents of the events of one kind.
func eventsOf(t *testing.T, p *providertest.P, kind string) []map[string]any {
	t.Helper()
	rows, err := p.Store.Events(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for _, e := range rows {
		if e.Kind != kind {
			continue
		}
		document := map[string]any{}
		if err := json.Unmarshal(e.Document.V, &document); err != nil {
			t.Fatal(err)
		}
		out = append(out, document)
	}
	return out
}

// OIDC Core sections 3.3.2.5 and 3.3.2.11: beside a code the ID token has c_hash and no
// claims of the scopes; its other claims are those of the ID token that the code
// yields (section 3.3.3.6). The order of the words means nothing (RFC 6749 section 3.1.1).
func TestCodeAndIDToken(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", legacy)
		p.Person("ada", everything)
		browser := p.Browser().SignIn("ada")
		for _, words := range []string{"code id_token", "id_token code"} {
			arrival := browser.Ask(rp, "openid email offline_access", responseType(words), claimsParam(`{"id_token":{"locale":null},"userinfo":{"nickname":null}}`))
			inFragment(t, words, arrival)
			code := arrival.Code()
			if got := strings.Join(sorted(arrival.Params), " "); got != "code id_token iss state" {
				t.Errorf("%s: the answer has %s", words, got)
			}
			front := p.Verify(arrival.Params.Get("id_token")).Claims
			if got := names(front); got != "acr amr aud auth_time c_hash exp iat iss jti locale nonce sid sub" {
				t.Errorf("%s: claims are %s", words, got)
			}
			sum := sha256.Sum256([]byte(code))
			wantClaims(t, words, front, map[string]any{"c_hash": base64.RawURLEncoding.EncodeToString(sum[:16])})
			tokens := rp.Exchange(code).OK()
			back := p.Verify(tokens.ID).Claims
			if got := names(back); got != "acr amr at_hash aud auth_time exp iat iss jti locale nonce sid sub" || tokens.Refresh == "" {
				t.Errorf("%s: claims of the ID token of the code are %s", words, got)
			}
			for _, same := range []string{"iss", "sub", "aud", "nonce", "acr", "amr", "auth_time", "sid", "locale"} {
				wantClaims(t, words, back, map[string]any{same: front[same]})
			}
			if got := about(t, p.Userinfo(tokens.Access).JSON()); got != `{"email":"ada@example.com","email_verified":true,"nickname":"A"}` {
				t.Errorf("%s: userinfo says %s", words, got)
			}
			rp.Exchange(code).WantError("invalid_grant")
		}
	})
}

// OAuth 2.0 Multiple Response Types sections 2.1, 3 and 5, Form Post section 2: an
// ID token comes in the fragment, or in a form if the client registered that, and
// never in a query; errors likewise. A nonce is required (OIDC Core sections 3.2.2.1
// and 3.3.2.11); an access token is never given here.
func TestModesOfAnIDToken(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", legacy)
		ada, nobody := p.Browser().SignIn("ada"), p.Browser()
		ada.Authorize(rp, "openid")
		mode := func(value string) providertest.Param { return providertest.With("response_mode", value) }
		for _, words := range []string{"id_token", "code id_token", "id_token code"} {
			of := responseType(words)
			inFragment(t, words, ada.Ask(rp, "openid", of, mode("fragment")))
			inFragment(t, words, ada.Ask(rp, "openid", of, mode("")))
			for code, wrong := range map[string][]providertest.Param{
				"invalid_request":       {mode("query")},
				"login_required":        {providertest.With("prompt", "none"), providertest.With("max_age", "0")},
				"invalid_scope":         {providertest.With("scope", "openid nonsense")},
				"request_not_supported": {providertest.With("request", "eyJhbGciOiJub25lIn0.e30.")},
			} {
				arrival := ada.Ask(rp, "openid", append(wrong, of)...)
				arrival.WantError(code)
				inFragment(t, words+" "+code, arrival)
			}
			for _, wrong := range []providertest.Param{providertest.Without("nonce"), providertest.With("nonce", ""), providertest.With("scope", "email"), mode("jwt")} {
				arrival := ada.Ask(rp, "openid", of, wrong)
				arrival.WantError("invalid_request")
				inFragment(t, words, arrival)
			}
			page := ada.Ask(rp, "openid", of, mode("form_post"))
			page.WantPage(http.StatusOK)
			form := providertest.ReadForm(page.Body)
			if form == nil || form.Action != rp.RedirectURI || form.Fields.Get("iss") != p.Issuer || form.Fields.Has("code") != strings.Contains(words, "code") {
				t.Fatalf("%s: %+v %s", words, form, page)
			}
			p.Verify(form.Fields.Get("id_token"))
			page = nobody.Ask(rp, "openid", of, mode("form_post"), providertest.With("prompt", "none"))
			if form = providertest.ReadForm(page.Body); form == nil || form.Fields.Get("error") != "login_required" || form.Fields.Has("id_token") {
				t.Errorf("%s: %+v %s", words, form, page)
			}
		}
		for _, never := range []string{"token", "id_token token", "code token", "code id_token token", "id_token id_token", "code  id_token", "none"} {
			arrival := ada.Ask(rp, "openid", responseType(never))
			arrival.WantError("unsupported_response_type")
			if arrival.Params.Has("access_token") || arrival.Params.Has("id_token") {
				t.Errorf("%s: %s", never, arrival.Params)
			}
		}
		ada.Authorize(rp, "openid", mode("query"))
		ada.Ask(rp, "openid", mode("fragment")).WantError("invalid_request") // a code in a fragment was not registered
	})
}

// RFC 6749 section 4.1.2.1: what is not registered is not served; a mark is not implied,
// and a client that has it still has to register.
func TestOnlyMarkedClientsHaveIDTokensHere(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		plain := p.Client("plain", providertest.FirstParty)
		marked := p.Client("marked", providertest.FirstParty, func(r *clients.Registration) { r.Legacy = true })
		only := p.Client("only", func(r *clients.Registration) {
			r.Legacy, r.FirstParty, r.GrantTypes, r.ResponseTypes = true, true, []string{"implicit"}, []string{"id_token"}
			r.ResponseModes = []string{"fragment"}
		})
		browser := p.Browser().SignIn("ada")
		browser.Authorize(plain, "openid")
		for _, words := range []string{"id_token", "code id_token"} {
			browser.Ask(plain, "openid", responseType(words)).WantError("unauthorized_client")
			browser.Ask(marked, "openid", responseType(words)).WantError("unauthorized_client")
		}
		p.Verify(browser.Ask(only, "openid", responseType("id_token")).Params.Get("id_token"))
		browser.Ask(only, "openid", responseType("code id_token")).WantError("unauthorized_client")
		browser.Ask(only, "openid").WantError("unauthorized_client")
		p.Send(only.TokenRequest(url.Values{"grant_type": {"implicit"}})).WantStatus(http.StatusBadRequest).WantError("unsupported_grant_type")

		metadata := p.Get(web.PathOpenIDConfiguration).JSON()
		for name, want := range map[string][]any{
			"response_types_supported": {"code", "id_token", "code id_token"}, "response_modes_supported": {"query", "fragment", "form_post"},
		} {
			if !reflect.DeepEqual(metadata[name], want) {
				t.Errorf("metadata: %s %v, want %v", name, metadata[name], want)
			}
		}
		if grants, _ := metadata["grant_types_supported"].([]any); !contains(grants, "implicit") {
			t.Errorf("metadata: grant_types_supported %v", grants)
		}
	})
}

func contains(list []any, value any) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}
