package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// RFC 9700 section 4.11.2: an error must not carry a browser to a redirect that
// nobody vouches for: no operator registered the client, and this person never
// agreed to it. prompt=none is a question that no person sees, so that it is
// answered (OIDC Core section 3.1.2.6).
func TestAttack06ErrorsOfStrangersStayHere(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		known, stranger := p.Client("known"), p.Client("stranger").Unvouched()
		bad := map[string]providertest.Param{
			"invalid_scope":             providertest.With("scope", "openid nonsense"),
			"invalid_request":           providertest.Without("code_challenge"),
			"invalid_target":            providertest.With("resource", "https://api.example"),
			"unsupported_response_type": providertest.With("response_type", "token"),
			"request_not_supported":     providertest.With("request", "eyJhbGciOiJub25lIn0.e30."),
		}
		nobody, ada := p.Browser(), p.Browser().SignIn("ada")
		ada.Authorize(known, "openid") // signed in, and a stranger to the stranger
		for code, wrong := range bad {
			nobody.Ask(known, "openid", wrong).WantError(code)
			for _, browser := range []*providertest.Browser{nobody, ada} {
				wantOwnPage(t, code, browser.Get(stranger.AuthorizationURL("openid", wrong)))
				browser.Ask(stranger, "openid", wrong, providertest.With("prompt", "none")).WantError(code)
			}
		}
		silent := providertest.With("prompt", "none")
		nobody.Ask(stranger, "openid", silent).WantError("login_required")
		ada.Ask(stranger, "openid", silent).WantError("consent_required")
		ada.Ask(stranger, "openid", silent, providertest.With("max_age", "abc")).WantError("invalid_request")

		p.Browser().SignIn("bob").Deny().Ask(stranger, "openid").WantError("access_denied") // on a page of ours
		ada.Authorize(stranger, "openid")
		for code, wrong := range bad {
			ada.Ask(stranger, "openid", wrong).WantError(code)
			wantOwnPage(t, code+" in another browser", nobody.Get(stranger.AuthorizationURL("openid", wrong)))
		}
	})
}

// RFC 6749 section 3.1: no parameter more than once. Two readers of one request
// could otherwise see two requests.
func TestAttack07AParameterSentTwiceIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, func(r *clients.Registration) {
			r.PostLogoutRedirectURIs, r.TokenEndpointAuthMethod = []string{"https://web.example/bye"}, "client_secret_post"
		})
		browser := p.Browser().SignIn("ada")
		whole := []providertest.Param{
			providertest.With("response_mode", "query"), providertest.With("prompt", "login"), providertest.With("max_age", "9"), providertest.With("display", "page"),
			providertest.With("acr_values", "aal1"), providertest.With("login_hint", "ada"), providertest.With("ui_locales", "en"), providertest.With("unknown", "x"),
		}
		request, err := url.Parse(rp.AuthorizationURL("openid", whole...))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range request.Query() {
			for _, second := range []string{values[0], "https://evil.example", ""} {
				q := request.Query()
				q.Add(name, second)
				wantOwnPage(t, fmt.Sprintf("%s twice", name), browser.Get(p.URL(web.PathAuthorize)+"?"+q.Encode()))
				wantOwnPage(t, fmt.Sprintf("%s twice, by POST", name), browser.Get(browser.Next(browser.Post(p.URL(web.PathAuthorize), q))))
				split := browser.Post(request.String(), url.Values{name: {second}})
				wantOwnPage(t, fmt.Sprintf("%s in the URL and in the body", name), browser.Get(browser.Next(split)))
			}
		}
		wantTwiceRefusedAtToken(t, p, rp, browser)
		for _, name := range []string{"client_id", "post_logout_redirect_uri", "id_token_hint", "state"} {
			q := url.Values{"client_id": {rp.ID}, "post_logout_redirect_uri": {"https://web.example/bye"}, "state": {"s"}}
			q[name] = append(q[name], "https://web.example/bye", "https://web.example/bye")
			wantOwnPage(t, name+" twice at sign-out", browser.Get(p.URL(web.PathEndSession)+"?"+q.Encode()))
		}
	})
}

func wantTwiceRefusedAtToken(t *testing.T, p *providertest.P, rp *providertest.RP, browser *providertest.Browser) {
	t.Helper()
	form := func(values url.Values) *http.Request {
		r := rp.TokenRequest(values)
		r.Header.Del("Authorization") // every parameter is in the body
		return r
	}
	const verifier = "a-verifier-of-more-than-43-characters-for-a-test"
	code := browser.Authorize(rp, "openid offline_access", providertest.With("code_challenge", s256(verifier)))
	exchange := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rp.RedirectURI}, "code_verifier": {verifier},
		"client_id": {rp.ID}, "client_secret": {rp.Secret}, "scope": {"openid"}, "unknown": {"x"},
	}
	refused := func(values url.Values) {
		t.Helper()
		for name := range values {
			for _, second := range []string{values.Get(name), "other", ""} {
				twice := maps.Clone(values)
				twice[name] = []string{values.Get(name), second}
				p.Send(form(twice)).WantStatus(http.StatusBadRequest).WantError("invalid_request")
			}
		}
	}
	refused(exchange)
	answer := &providertest.TokenAnswer{Answer: p.Send(form(exchange))}
	tokens := answer.OK() // none of the attempts used the code up
	refused(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}, "scope": {"openid"}, "client_id": {rp.ID}, "client_secret": {rp.Secret}})

	userinfo := func(values url.Values) *providertest.Answer { return p.Browser().Post(p.URL(web.PathUserinfo), values) }
	userinfo(url.Values{"access_token": {tokens.Access}}).WantStatus(http.StatusOK)
	userinfo(url.Values{"access_token": {tokens.Access, tokens.Access}}).WantStatus(http.StatusBadRequest).WantError("invalid_request")
}
