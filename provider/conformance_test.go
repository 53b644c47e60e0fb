package provider_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// A plan is one of the OpenID Foundation's for authorization servers. Its modules are
// played here as its suite plays them: the same requests, the same demands. They run
// in the order of the plan.
type plan struct {
	t       *testing.T
	p       *providertest.P
	mode    string // "": the default of the response type
	rp      *providertest.RP
	second  *providertest.RP // client2 of the suite
	browser *providertest.Browser
}

// basicModules are those of "Basic OP", and in another response mode of "Form Post
// Basic OP".
var basicModules = []struct {
	name string
	play func(*plan)
}{
	{"oidcc-server", (*plan).server},
	{"oidcc-response-type-missing", (*plan).responseTypeMissing},
	{"oidcc-idtoken-signature", (*plan).server},
	{"oidcc-idtoken-unsigned", (*plan).unsigned},
	{"oidcc-userinfo-get", func(s *plan) { s.userinfo(http.MethodGet, true) }},
	{"oidcc-userinfo-post-header", func(s *plan) { s.userinfo(http.MethodPost, true) }},
	{"oidcc-userinfo-post-body", func(s *plan) { s.userinfo(http.MethodPost, false) }},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", (*plan).withoutNonce},
	{"oidcc-scope-profile", func(s *plan) { s.scope("openid profile") }},
	{"oidcc-scope-email", func(s *plan) { s.scope("openid email") }},
	{"oidcc-scope-address", func(s *plan) { s.scope("openid address") }},
	{"oidcc-scope-phone", func(s *plan) { s.scope("openid phone") }},
	{"oidcc-scope-all", func(s *plan) { s.scope("openid profile email address phone") }},
	{"oidcc-ensure-other-scope-order-succeeds", func(s *plan) { s.scope("email openid") }},
	{"oidcc-display-page", func(s *plan) { s.harmless("display", "page") }},
	{"oidcc-display-popup", func(s *plan) { s.harmless("display", "popup") }},
	{"oidcc-prompt-login", func(s *plan) { s.again(true, "prompt", "login") }},
	{"oidcc-prompt-none-not-logged-in", (*plan).promptNoneNotLoggedIn},
	{"oidcc-prompt-none-logged-in", func(s *plan) { s.again(false, "prompt", "none") }},
	{"oidcc-max-age-1", func(s *plan) { s.again(true, "max_age", "1") }},
	{"oidcc-max-age-10000", func(s *plan) { s.again(false, "max_age", "10000") }},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", func(s *plan) { s.harmless("extra", "foobar") }},
	{"oidcc-id-token-hint", (*plan).idTokenHint},
	{"oidcc-login-hint", func(s *plan) { s.harmless("login_hint", "ada@example.com") }},
	{"oidcc-ui-locales", func(s *plan) { s.harmless("ui_locales", "se") }},
	{"oidcc-claims-locales", func(s *plan) { s.harmless("claims_locales", "se") }},
	{"oidcc-ensure-request-with-acr-values-succeeds", func(s *plan) { s.harmless("acr_values", "1 2") }},
	{"oidcc-codereuse", func(s *plan) { s.codeReuse(0) }},
	{"oidcc-codereuse-30seconds", func(s *plan) { s.codeReuse(30 * time.Second) }},
	{"oidcc-ensure-registered-redirect-uri", (*plan).registeredRedirect},
	{"oidcc-ensure-post-request-succeeds", (*plan).postRequest},
	{"oidcc-server-client-secret-post", (*plan).secretPost},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", func(s *plan) { s.refused("request_uri", "https://suite.example/request.jwt") }},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", func(s *plan) { s.refused("request", "eyJhbGciOiJub25lIn0.e30.") }},
	{"oidcc-claims-essential", (*plan).claimsEssential},
	{"oidcc-ensure-request-object-with-redirect-uri", (*plan).requestObjectWithRedirect},
	{"oidcc-refresh-token", (*plan).refreshToken},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", (*plan).server},
}

// The certification profile "Basic OP" (OpenID Connect Conformance Profiles v3.0).
func TestConformanceBasicOP(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) { playBasic(t, p, "") })
}

// The certification profile "Form Post Basic OP": the same by response_mode=form_post.
func TestConformanceFormPostBasicOP(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) { playBasic(t, p, "form_post") })
}

func playBasic(t *testing.T, p *providertest.P, mode string) {
	t.Helper()
	p.Person("ada", everything)
	for i, m := range basicModules {
		t.Run(m.name, func(t *testing.T) {
			id := "suite" + string(rune('a'+i/26)) + string(rune('a'+i%26)) // a client of its own, as the suite registers one
			s := &plan{t: t, p: p.In(t), mode: mode, browser: p.In(t).Browser().SignIn("ada")}
			s.rp, s.second = s.p.Client(id, formPost, withoutPKCE), s.p.Client(id+"-2", formPost, withoutPKCE)
			m.play(s)
		})
	}
}

// Every module of the plans has its row in the ledger.
func TestConformancePlansAreInTheLedger(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/specs.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range basicModules {
		if !strings.Contains(string(text), "| `"+m.name+"` |") {
			t.Errorf("docs/specs.md has no row for %s", m.name)
		}
	}
}

const suiteVerifier = "a-verifier-of-more-than-43-characters-for-a-test"

// ask has the browser ask, with PKCE, and returns what the client gets, by whichever
// mode; nil if it is a page of the provider.
func (s *plan) ask(params ...providertest.Param) url.Values {
	s.t.Helper()
	all := []providertest.Param{providertest.With("nonce", "n-0S6_WzA2Mj"), providertest.With("state", "af0ifjsldkj"), providertest.With("code_challenge", s256(suiteVerifier))}
	if s.mode != "" {
		all = append(all, providertest.With("response_mode", s.mode))
	}
	arrival := s.browser.Ask(s.rp, "openid", append(all, params...)...)
	values := arrival.Params
	if s.mode == "form_post" {
		if values != nil {
			s.t.Fatalf("the answer is in the address: %s", values)
		}
		form := providertest.ReadForm(arrival.Body)
		if form == nil || form.Action != s.rp.RedirectURI {
			return nil
		}
		values = form.Fields
	}
	if values != nil && (values.Get("state") != "af0ifjsldkj" || values.Get("iss") != s.p.Issuer) {
		s.t.Errorf("state %q, iss %q", values.Get("state"), values.Get("iss"))
	}
	return values
}

// tokens exchanges the code of an answer and checks the ID token as the suite does
// (OIDC Core section 3.1.3.7).
func (s *plan) tokens(values url.Values) (*providertest.Tokens, map[string]any) {
	s.t.Helper()
	if values.Get("code") == "" || values.Has("error") {
		s.t.Fatalf("the answer is %s", values)
	}
	tokens := s.rp.Exchange(values.Get("code"), providertest.With("code_verifier", suiteVerifier)).OK()
	return tokens, s.idToken(tokens.ID)
}

func (s *plan) idToken(text string) map[string]any {
	s.t.Helper()
	token := s.p.Verify(text) // by a key of the JWKS that has its kid
	now := float64(s.p.Clock.Now().Unix())
	iat, _ := token.Claims["iat"].(float64)
	exp, _ := token.Claims["exp"].(float64)
	sub, _ := token.Claims["sub"].(string)
	if token.Header["alg"] != "RS256" || token.Claims["iss"] != s.p.Issuer || token.Claims["aud"] != s.rp.ID || iat > now || exp <= now || sub == "" || len(sub) > 255 {
		s.t.Errorf("ID token %v %v", token.Header, token.Claims)
	}
	return token.Claims
}

func (s *plan) server() {
	_, claims := s.tokens(s.ask())
	if claims["nonce"] != "n-0S6_WzA2Mj" {
		s.t.Errorf("nonce %v", claims["nonce"])
	}
}

func (s *plan) responseTypeMissing() {
	if values := s.ask(providertest.Without("response_type")); values != nil && !slices.Contains([]string{"invalid_request", "unsupported_response_type"}, values.Get("error")) {
		s.t.Errorf("the answer is %s", values)
	}
}

// unsigned is skipped by the suite where the metadata does not offer it.
func (s *plan) unsigned() {
	algorithms, _ := s.p.Get(web.PathOpenIDConfiguration).JSON()["id_token_signing_alg_values_supported"].([]any)
	if contains(algorithms, "none") || !contains(algorithms, "RS256") {
		s.t.Errorf("ID tokens are signed by %v", algorithms)
	}
}

func (s *plan) userinfo(method string, inHeader bool) {
	tokens, claims := s.tokens(s.ask())
	r := rawRequest(s.t, method, s.p.URL(web.PathUserinfo), nil, "Authorization", "Bearer "+tokens.Access)
	if !inHeader {
		r = rawRequest(s.t, method, s.p.URL(web.PathUserinfo), url.Values{"access_token": {tokens.Access}})
	}
	if got := s.p.Send(r).WantStatus(http.StatusOK).JSON(); got["sub"] != claims["sub"] {
		s.t.Errorf("userinfo is about %v, the ID token about %v", got["sub"], claims["sub"])
	}
}

func (s *plan) withoutNonce() {
	if _, claims := s.tokens(s.ask(providertest.Without("nonce"))); claims["nonce"] != nil {
		s.t.Errorf("nonce %v", claims["nonce"])
	}
}

// suiteClaims are those that a scope asks for (OIDC Core section 5.4).
var suiteClaims = map[string]string{
	"profile": "name family_name given_name middle_name nickname preferred_username profile picture website gender birthdate zoneinfo locale updated_at",
	"email":   "email email_verified", "address": "address", "phone": "phone_number phone_number_verified",
}

// scope asks that userinfo has every claim of the scopes, and none of another.
func (s *plan) scope(scope string) {
	tokens, claims := s.tokens(s.ask(providertest.With("scope", scope)))
	told := s.p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON()
	want := []string{"sub"}
	for _, name := range strings.Fields(scope) {
		want = append(want, strings.Fields(suiteClaims[name])...)
	}
	slices.Sort(want)
	if names(told) != strings.Join(want, " ") || told["sub"] != claims["sub"] {
		s.t.Errorf("userinfo has %s, want %s", names(told), want)
	}
	for name, value := range told {
		_, text := value.(string)
		_, yes := value.(bool)
		_, number := value.(float64)
		_, object := value.(map[string]any)
		switch name {
		case "email_verified", "phone_number_verified":
			text = yes
		case "updated_at":
			text = number
		case "address":
			text = object
		}
		if !text {
			s.t.Errorf("%s has the wrong JSON type: %#v", name, value)
		}
	}
}

func (s *plan) harmless(name, value string) {
	s.tokens(s.ask(providertest.With(name, value)))
}

// again asks twice, two seconds apart: the second time the person proves who they are
// again, or does not.
func (s *plan) again(proves bool, name, value string) {
	_, first := s.tokens(s.ask())
	s.p.Clock.Advance(2 * time.Second)
	_, second := s.tokens(s.ask(providertest.With(name, value)))
	before, _ := first["auth_time"].(float64)
	after, ok := second["auth_time"].(float64)
	if !ok || proves != (after == before+2) || !proves && after != before || first["sub"] != second["sub"] {
		s.t.Errorf("auth_time %v, then %v; sub %v, then %v", first["auth_time"], second["auth_time"], first["sub"], second["sub"])
	}
}

func (s *plan) promptNoneNotLoggedIn() {
	values := s.ask(providertest.With("prompt", "none"))
	if !slices.Contains([]string{"login_required", "interaction_required"}, values.Get("error")) || values.Has("code") {
		s.t.Errorf("the answer is %s", values)
	}
}

func (s *plan) idTokenHint() {
	tokens, first := s.tokens(s.ask())
	_, second := s.tokens(s.ask(providertest.With("prompt", "none"), providertest.With("id_token_hint", tokens.ID)))
	if first["sub"] != second["sub"] {
		s.t.Errorf("sub %v, then %v", first["sub"], second["sub"])
	}
}

func (s *plan) codeReuse(wait time.Duration) {
	values := s.ask()
	tokens, _ := s.tokens(values)
	s.p.Clock.Advance(wait)
	s.rp.Exchange(values.Get("code"), providertest.With("code_verifier", suiteVerifier)).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
	s.p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized) // revoked by the second use
}

func (s *plan) registeredRedirect() {
	wantOwnPage(s.t, "a redirect that is not registered", s.browser.Get(s.rp.AuthorizationURL("openid", providertest.With("redirect_uri", s.rp.RedirectURI+"/foo"))))
}

func (s *plan) postRequest() {
	s.tokens(s.ask()) // signed in, and agreed
	u, err := url.Parse(s.rp.AuthorizationURL("openid", providertest.With("code_challenge", s256(suiteVerifier))))
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.browser.Post(s.p.URL(web.PathAuthorize), u.Query())
	s.rp.Exchange(s.browser.Walk(s.rp, s.browser.Next(a)).Params.Get("code"), providertest.With("code_verifier", suiteVerifier)).OK()
}

func (s *plan) secretPost() {
	s.rp = s.p.Client(s.rp.ID+"-post", formPost, func(r *clients.Registration) { r.TokenEndpointAuthMethod = "client_secret_post" })
	r := s.rp.ExchangeRequest(s.ask().Get("code"), providertest.With("code_verifier", suiteVerifier), providertest.With("client_id", s.rp.ID), providertest.With("client_secret", s.rp.Secret))
	r.Header.Del("Authorization")
	s.idToken((&providertest.TokenAnswer{Answer: s.p.Send(r)}).OK().ID)
}

func (s *plan) refused(name, value string) {
	if values := s.ask(providertest.With(name, value)); values.Get("error") != name+"_not_supported" {
		s.t.Errorf("the answer is %s", values)
	}
	if s.p.Get(web.PathOpenIDConfiguration).JSON()[name+"_parameter_supported"] != false {
		s.t.Errorf("the metadata offers %s", name)
	}
}

func (s *plan) claimsEssential() {
	tokens, _ := s.tokens(s.ask(claimsParam(`{"userinfo":{"name":{"essential":true}}}`)))
	if got := s.p.Userinfo(tokens.Access).JSON(); got["name"] != "Ada" {
		s.t.Errorf("userinfo says %v", got)
	}
}

// requestObjectWithRedirect: what cannot be read cannot mend a wrong redirect.
func (s *plan) requestObjectWithRedirect() {
	wrong := []providertest.Param{providertest.With("request", "eyJhbGciOiJub25lIn0.e30."), providertest.With("redirect_uri", s.rp.RedirectURI+"/wrong")}
	wantOwnPage(s.t, "a request object and a wrong redirect", s.browser.Get(s.rp.AuthorizationURL("openid", wrong...)))
}

func (s *plan) refreshToken() {
	scope := []providertest.Param{providertest.With("scope", "openid offline_access"), providertest.With("prompt", "consent")}
	tokens, first := s.tokens(s.ask(scope...))
	s.p.Clock.Advance(time.Second)
	again := s.rp.Refresh(tokens.Refresh).OK()
	second := s.idToken(again.ID)
	if tokens.Access == again.Access || first["sub"] != second["sub"] || first["auth_time"] != second["auth_time"] || second["iat"] == first["iat"] || second["nonce"] != nil {
		s.t.Errorf("before %v, after %v", first, second)
	}
	s.p.Userinfo(again.Access).WantStatus(http.StatusOK)
	s.second.Refresh(again.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
	s.rp.Refresh(again.Refresh).OK()
}

// The certification profile "Config OP": module oidcc-discovery-endpoint-verification.
func TestConformanceConfigOP(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		a := p.Get(web.PathOpenIDConfiguration).WantStatus(http.StatusOK)
		metadata := a.JSON()
		if kind := a.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("Content-Type %s", kind)
		}
		if metadata["issuer"] != p.Issuer {
			t.Errorf("issuer %v", metadata["issuer"])
		}
		for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"} {
			at, _ := metadata[endpoint].(string)
			if !strings.HasPrefix(at, p.Issuer+"/") { // whose scheme is https in production: serve refuses another
				t.Errorf("%s is %q", endpoint, at)
			}
		}
		for list, least := range map[string][]string{
			"response_types_supported": {"code"}, "subject_types_supported": {"public"}, "id_token_signing_alg_values_supported": {"RS256"}, "scopes_supported": {"openid"},
			"grant_types_supported": {"authorization_code"}, "code_challenge_methods_supported": {"S256"}, "token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post"},
			"claims_supported": {"sub", "name", "email"}, "ui_locales_supported": {"en", "sv", "es"}, "response_modes_supported": {"query", "form_post"},
		} {
			values, _ := metadata[list].([]any)
			for _, value := range least {
				if !contains(values, value) {
					t.Errorf("%s is %v, without %s", list, metadata[list], value)
				}
			}
		}
		for name, want := range map[string]bool{"claims_parameter_supported": true, "request_parameter_supported": false, "request_uri_parameter_supported": false} {
			if metadata[name] != want {
				t.Errorf("%s is %v, want %v", name, metadata[name], want)
			}
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(p.Get(web.PathJWKS).WantStatus(http.StatusOK).Body, &set); err != nil || len(set.Keys) == 0 {
			t.Fatalf("keys %v, %v", set, err)
		}
		seen := map[any]bool{}
		for _, key := range set.Keys {
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if key[private] != nil {
					t.Errorf("the key %v has %s", key["kid"], private)
				}
			}
			if key["kty"] == "oct" || key["use"] != "sig" || key["kid"] == nil || seen[key["kid"]] {
				t.Errorf("key %v", key)
			}
			seen[key["kid"]] = true
		}
	})
}
