package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// nextOf is where the authorization endpoint sends a browser: the path of a page of
// ours, "code", or the error that the client gets.
func nextOf(t *testing.T, browser *providertest.Browser, to string) string {
	t.Helper()
	a := browser.Get(to)
	if a.Header.Get("Location") == "" {
		return "own page"
	}
	u, err := url.Parse(browser.Next(a))
	if err != nil {
		t.Fatal(err)
	}
	switch q := u.Query(); {
	case q.Has("code"):
		return "code"
	case q.Has("error"):
		return q.Get("error")
	}
	return u.Path
}

// OIDC Core section 15.5.1: a code fits wherever a URL does, also that of a request
// as large as one may be.
func TestACodeIsShort(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, browser := p.Client("web", providertest.FirstParty), p.Browser().SignIn("ada")
		for _, more := range []string{"", strings.Repeat("n", 500)} {
			code := browser.Authorize(rp, "openid profile email offline_access", providertest.With("nonce", "x"+more))
			if len(code) == 0 || len(code) > 64 {
				t.Errorf("a code of %d characters, want at most 64: %s", len(code), code)
			}
		}
	})
}

// OIDC Core section 14: strings that differ by their Unicode normalisation alone are
// not the same, in the address of a client and in its state.
func TestStringsAreNotNormalised(t *testing.T) {
	t.Parallel()
	const composed, decomposed = "caf\u00e9", "cafe\u0301"
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, func(r *clients.Registration) {
			r.RedirectURIs = append(r.RedirectURIs, "https://web.example/"+url.PathEscape(composed))
		})
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		for text, want := range map[string]string{composed: "code", decomposed: "own page"} {
			to := rp.AuthorizationURL("openid", providertest.With("redirect_uri", "https://web.example/"+url.PathEscape(text)))
			if got := nextOf(t, browser, to); got != want {
				t.Errorf("redirect to %+q: %s, want %s", text, got, want)
			}
			back := must(url.Parse(browser.Next(browser.Get(rp.AuthorizationURL("openid", providertest.With("state", text))))))
			if got := back.Query().Get("state"); got != text {
				t.Errorf("state %+q came back as %+q", text, got)
			}
		}
	})
}

// OIDC Core section 3.1.2.1: prompt, max_age and acr_values, asked by a browser in
// which nobody is signed in, by one whose person did not agree yet, and by one with
// nothing left to ask. The sign-in is 100 s old.
func TestWhatIsAskedOfAPerson(t *testing.T) {
	t.Parallel()
	const password, consent, account = web.PathSignIn, web.PathConsent, web.PathAccount
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web"), p.Client("other", providertest.FirstParty)
		nobody, stranger, known := p.Browser(), p.Browser().SignIn("bob"), p.Browser().SignIn("ada")
		stranger.Authorize(other, "openid")
		known.Authorize(rp, "openid")
		p.Clock.Advance(100 * time.Second)
		for _, c := range []struct {
			param                   string
			nobody, stranger, known string
		}{
			{"", password, consent, "code"},
			{"prompt=", password, consent, "code"},
			{"prompt=none", "login_required", "consent_required", "code"},
			{"prompt=login", password, password, password},
			{"prompt=consent", password, consent, consent},
			{"prompt=select_account", password, account, account},
			{"prompt=login consent", password, password, password},
			{"prompt=login  login", password, password, password},
			{"prompt=none login", "invalid_request", "invalid_request", "invalid_request"},
			{"prompt=create", "invalid_request", "invalid_request", "invalid_request"},
			{"prompt=NONE", "invalid_request", "invalid_request", "invalid_request"},
			{"max_age=0", password, password, password},
			{"max_age=99", password, password, password},
			{"max_age=100", password, consent, "code"},
			{"max_age=1099511627775", password, consent, "code"},
			{"max_age=1099511627776", "invalid_request", "invalid_request", "invalid_request"},
			{"max_age=-1", "invalid_request", "invalid_request", "invalid_request"},
			{"max_age=1.5", "invalid_request", "invalid_request", "invalid_request"},
			{"max_age=soon", "invalid_request", "invalid_request", "invalid_request"},
			{"max_age=", password, consent, "code"},
			{"prompt=none&max_age=99", "login_required", "login_required", "login_required"},
			{"prompt=none&max_age=100", "login_required", "consent_required", "code"},
			{"acr_values=aal1", password, consent, "code"},
			{"acr_values=urn:unknown 1", password, consent, "code"},
			{"acr_values=urn:unknown aal1", password, consent, "code"},
			{"acr_values=aal2 aal1", password, consent, "code"},
			{"acr_values=aal2", password, "unmet_authentication_requirements", "unmet_authentication_requirements"},
			{"prompt=none&acr_values=aal2", "login_required", "unmet_authentication_requirements", "unmet_authentication_requirements"},
		} {
			for browser, want := range map[*providertest.Browser]string{nobody: c.nobody, stranger: c.stranger, known: c.known} {
				extra, err := url.ParseQuery(c.param)
				if err != nil {
					t.Fatal(err)
				}
				to := rp.AuthorizationURL("openid", func(q url.Values) {
					for name := range extra {
						q.Set(name, extra.Get(name))
					}
				})
				if got := nextOf(t, browser, to); got != want {
					who := map[*providertest.Browser]string{nobody: "nobody", stranger: "somebody who did not agree", known: "somebody who agreed"}[browser]
					t.Errorf("%q by %s: %s, want %s", c.param, who, got, want)
				}
			}
		}
	})
}

// OIDC Core section 3.1.2.1: what is asked is also enough. A new proof, consent or
// choice goes on to the client, and the ID token says which acr it was.
func TestWhatWasAskedIsEnough(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		for _, param := range []string{
			"prompt=login", "prompt=consent", "prompt=select_account", "prompt=login consent select_account", "max_age=0", "prompt=login&max_age=0",
			"acr_values=urn:unknown", "acr_values=aal1",
		} {
			p.Clock.Advance(time.Minute)
			extra, err := url.ParseQuery(param)
			if err != nil {
				t.Fatal(err)
			}
			code := browser.Authorize(rp, "openid", func(q url.Values) {
				for name := range extra {
					q.Set(name, extra.Get(name))
				}
			})
			claims := p.Verify(rp.Exchange(code).OK().ID).Claims
			proved := strings.Contains(param, "login") || strings.Contains(param, "max_age")
			if at, _ := claims["auth_time"].(float64); claims["acr"] != "aal1" || proved != (int64(at) == p.Clock.Now().Unix()) {
				t.Errorf("%s: acr %v, auth_time %v at %d", param, claims["acr"], claims["auth_time"], p.Clock.Now().Unix())
			}
		}
	})
}

// OIDC Dynamic Client Registration section 2: default_max_age holds where the
// request names none.
func TestDefaultMaxAge(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		age := int64(60)
		rp := p.Client("web", providertest.FirstParty, func(r *clients.Registration) { r.DefaultMaxAge = &age })
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		p.Clock.Advance(61 * time.Second)
		if got := nextOf(t, browser, rp.AuthorizationURL("openid")); got != web.PathSignIn {
			t.Errorf("61 s later: %s, want a proof", got)
		}
		if got := nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("max_age", "62"))); got != "code" {
			t.Errorf("the request names another: %s, want a code", got)
		}
		browser.Authorize(rp, "openid")
		if got := nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("prompt", "none"))); got != "code" {
			t.Errorf("after a proof: %s, want a code", got)
		}
		if got := nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("max_age", "0"))); got != web.PathSignIn {
			t.Errorf("max_age=0 at the moment of a proof: %s, want another one", got)
		}
	})
}

// OIDC Core section 3.1.2.1: login_hint and ui_locales reach the page; display,
// claims_locales, claims and unknown parameters harm nothing (section 3.1.2.2).
func TestHintsAndUnknownParameters(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		for locales, lang := range map[string]string{"sv": "sv", "fr-CA es-MX": "es", "xx": "en", "": "en", "!!": "en"} {
			page := p.Browser().Walk(rp, rp.AuthorizationURL("openid", providertest.With("login_hint", "ada@example.com"), providertest.With("ui_locales", locales)))
			page.WantPage(http.StatusOK)
			if !strings.Contains(string(page.Body), `<html lang="`+lang+`"`) {
				t.Errorf("ui_locales=%s: the page is not in %s", locales, lang)
			}
			if form := providertest.ReadForm(page.Body); form == nil || form.Fields.Get("identifier") != "ada@example.com" {
				t.Errorf("the form does not have the login_hint: %s", page.Body)
			}
		}
		browser := p.Browser().SignIn("ada")
		for _, harmless := range []string{"display=popup", "display=nonsense", "claims_locales=sv en", "claims={}", "resource_type=x", "a b=c", "dpop_jkt=x", "request="} {
			name, value, _ := strings.Cut(harmless, "=")
			browser.Authorize(rp, "openid", providertest.With(name, value))
		}
	})
}

// OIDC Core section 3.1.2.1: an id_token_hint names the only person that may be
// answered about.
func TestIDTokenHintNamesThePerson(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada, bob := p.Browser().SignIn("ada"), p.Browser().SignIn("bob")
		hint := providertest.With("id_token_hint", rp.Exchange(ada.Authorize(rp, "openid")).OK().ID)
		bob.Authorize(rp, "openid")
		silent := providertest.With("prompt", "none")
		ada.Authorize(rp, "openid", hint, silent)
		bob.Ask(rp, "openid", hint, silent).WantError("login_required")
		ada.Ask(rp, "openid", providertest.With("id_token_hint", "nonsense"), silent).WantError("invalid_request")
	})
}

// RFC 6749 section 4.1.2: state comes back if it was sent, also an empty one, and is
// not made up.
func TestStateComesBackAsItWasSent(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		for _, wrong := range []providertest.Param{providertest.With("display", "page"), providertest.With("scope", "nonsense")} {
			if got := browser.Ask(rp, "openid", wrong, providertest.Without("state")).Params; got.Has("state") || got.Get("iss") != p.Issuer {
				t.Errorf("without a state: %s", got)
			}
			for _, state := range []string{"", " ", "a&b=c#d", "+%2B", strings.Repeat("x", 4096)} {
				if got := browser.Ask(rp, "openid", wrong, providertest.With("state", state)).Params; len(got["state"]) != 1 || got.Get("state") != state {
					t.Errorf("state %q comes back as %q", state, got["state"])
				}
			}
		}
		browser.Ask(rp, "openid", providertest.With("state", strings.Repeat("x", 4097))).WantPage(http.StatusBadRequest)
	})
}

// RFC 6749 section 3.1.1, OIDC Core sections 3.1.2.6 and 6: what is not served is
// named by its code, never half done.
func TestRequestsThatAreNotServed(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		for param, code := range map[string]string{
			"response_type=": "invalid_request", "response_type=token": "unsupported_response_type", "response_type=id_token": "unauthorized_client",
			"response_type=code id_token": "unauthorized_client", "response_type=code token": "unsupported_response_type",
			"response_type=none": "unsupported_response_type", "response_type=CODE": "unsupported_response_type", "response_type=code code": "unsupported_response_type",
			"request=eyJhbGciOiJub25lIn0.e30.": "request_not_supported", "request_uri=urn:x": "request_uri_not_supported", "registration={}": "registration_not_supported",
			"response_mode=form_post": "invalid_request", "response_mode=fragment": "invalid_request", "response_mode=jwt": "invalid_request", "response_mode=web_message": "invalid_request",
		} {
			name, value, _ := strings.Cut(param, "=")
			arrival := browser.Ask(rp, "openid", providertest.With(name, value))
			arrival.WantError(code)
			// Where the client looks for it (OAuth 2.0 Multiple Response Types section 5).
			if got := strings.Contains(arrival.Header.Get("Location"), "#"); got != strings.Contains(value, "token") {
				t.Errorf("%s: the error is in a fragment: %v", param, got)
			}
			wantPlainText(t, arrival.Params.Get("error_description"))
		}
		browser.Ask(rp, "openid", providertest.Without("response_type")).WantError("invalid_request")
		for _, lost := range []providertest.Param{
			providertest.Without("client_id"), providertest.With("client_id", "nobody"), providertest.With("client_id", "a b"), providertest.Without("redirect_uri"), providertest.With("redirect_uri", ""),
		} {
			browser.Ask(rp, "openid", lost).WantPage(http.StatusBadRequest)
		}
	})
}

// wantPlainText asks for what an error_description may have (RFC 6749 section 4.1.2.1).
func wantPlainText(t *testing.T, s string) {
	t.Helper()
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		t.Errorf("error_description %q", s)
	}
}

// RFC 6749 sections 3.1.2.3 and 4.1.3: with one redirect registered it may be left
// out, at both endpoints; OIDC Core section 3.1.2.1 always wants it sent.
func TestTheOnlyRedirectMayBeLeftOut(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		one := p.Client("one", providertest.FirstParty)
		two := p.Client("two", providertest.FirstParty, func(r *clients.Registration) { r.RedirectURIs = append(r.RedirectURIs, "https://two.example/other") })
		browser := p.Browser().SignIn("ada")
		left := providertest.Without("redirect_uri")
		one.Exchange(browser.Authorize(one, "email", left), left).OK()
		browser.Ask(one, "openid email", left).WantPage(http.StatusBadRequest)
		browser.Ask(two, "email", left).WantPage(http.StatusBadRequest)
		one.Exchange(browser.Authorize(one, "email"), left).WantError("invalid_grant") // it was sent: it is sent again
	})
}

// Form Post Response Mode section 2: code, errors, state and iss in a form, for a
// client that registered the mode.
func TestFormPostCarriesTheAnswer(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", formPost)
		browser := p.Browser().SignIn("ada")
		const verifier = "a-verifier-of-more-than-43-characters-for-a-test"
		params := []providertest.Param{providertest.With("response_mode", "form_post"), providertest.With("state", "s"), providertest.With("code_challenge", s256(verifier))}
		page := browser.Ask(rp, "openid", params...)
		page.WantPage(http.StatusOK)
		form := providertest.ReadForm(page.Body)
		if form == nil || form.Action != rp.RedirectURI || form.Fields.Get("state") != "s" || form.Fields.Get("iss") != p.Issuer || page.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%+v %s", form, page)
		}
		if !strings.Contains(string(page.Body), `type="submit"`) {
			t.Errorf("no button for a browser without scripts: %s", page)
		}
		rp.Exchange(form.Fields.Get("code"), providertest.With("code_verifier", verifier)).OK()

		page = p.Browser().Ask(rp, "openid", append(params, providertest.With("prompt", "none"))...)
		page.WantPage(http.StatusOK)
		if form = providertest.ReadForm(page.Body); form == nil || form.Fields.Get("error") != "login_required" || form.Fields.Get("state") != "s" || form.Fields.Has("code") {
			t.Errorf("%+v %s", form, page)
		}
		browser.Authorize(rp, "openid", providertest.With("response_mode", "query"))
	})
}

// OIDC Core section 3.1.2.1: a POST is served as well, also from another site: it
// becomes a GET, in which the browser sends its cookies.
func TestPostToTheAuthorizationEndpointBecomesAGet(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		u, err := url.Parse(rp.AuthorizationURL("openid", providertest.With("state", "a b&c=d"), providertest.With("prompt", "none")))
		if err != nil {
			t.Fatal(err)
		}
		whole, q := u.Query(), url.Values{}
		q.Set("prompt", whole.Get("prompt"))
		whole.Del("prompt")
		u.RawQuery = q.Encode() // some parameters in the URL, the others in the body
		r := rawRequest(t, http.MethodPost, u.String(), whole, "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
		a := browser.Send(r).WantStatus(http.StatusSeeOther)
		next := browser.Next(a)
		if !strings.HasPrefix(next, p.URL(web.PathAuthorize)+"?") || len(a.Body) != 0 {
			t.Fatalf("%s to %s", a, next)
		}
		arrival := browser.Walk(rp, next)
		if arrival.Params.Get("state") != "a b&c=d" || !arrival.Params.Has("code") {
			t.Errorf("after the POST: %s", arrival.Params)
		}
		whole.Set("prompt", "none")
		all := browser.Send(rawRequest(t, http.MethodPost, p.URL(web.PathAuthorize), whole)).WantStatus(http.StatusSeeOther)
		if back := browser.Walk(rp, browser.Next(all)).Params; back.Get("state") != "a b&c=d" || !back.Has("code") {
			t.Errorf("after the POST of all: %s", back)
		}
		browser.Send(rawRequest(t, http.MethodPost, p.URL(web.PathAuthorize), whole, "Content-Type", "application/json")).WantStatus(http.StatusBadRequest)
	})
}
