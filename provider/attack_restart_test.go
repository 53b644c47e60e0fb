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

// A request is what it was when it came: nothing that is added to the address of
// one of its steps, or of its end, changes what is answered, how, to whom or for
// what (Keycloak, CVE-2026-7571).
func TestAttack18ARestartedFlowIsTheSameRequest(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", legacy, func(r *clients.Registration) {
			r.FirstParty, r.RedirectURIs = false, append(r.RedirectURIs, "https://web.example/other")
		})
		other := p.Client("other", legacy)
		changes := url.Values{
			"response_type": {"id_token"}, "response_mode": {"form_post"}, "redirect_uri": {"https://web.example/other"}, "scope": {"openid email phone"},
			"state": {"evil"}, "nonce": {"evil"}, "code_challenge": {s256("a-verifier-of-more-than-43-characters-for-a-test")}, "prompt": {"none"},
			"claims": {`{"id_token":{"email":null}}`}, "max_age": {"0"}, "acr_values": {"aal2"}, "resource": {"https://api.example"}, "login_hint": {"eve@example.com"},
		}
		all := "&" + changes.Encode()
		each := []string{all}
		for name := range changes {
			each = append(each, "&"+url.Values{name: changes[name]}.Encode())
		}
		for _, more := range each {
			browser := p.Browser().SignIn("ada")
			with := func(at string) string { return at + more }
			at := with(browser.Next(browser.Get(rp.AuthorizationURL("openid", providertest.With("state", "mine"), providertest.With("nonce", "mine"), providertest.With("prompt", "login consent")))))
			if !strings.Contains(at, web.PathSignIn) {
				t.Fatalf("the first step is %s", at)
			}
			at = with(browser.Next(browser.Send(browser.Filled(at, providertest.With("identifier", "ada@example.com"), providertest.With("password", p.Person("ada").Password)))))
			if !strings.Contains(at, web.PathConsent) {
				t.Fatalf("the second step is %s", at)
			}
			at = with(browser.Next(browser.Send(browser.Filled(at, providertest.With("decision", "allow")))))
			arrival := browser.Walk(rp, at)
			if arrival.Params == nil || arrival.URL.Fragment != "" || strings.Join(sorted(arrival.Params), " ") != "code iss state" || arrival.Params.Get("state") != "mine" {
				t.Fatalf("%s: the answer is %s %s", more, arrival.Answer, arrival.Header.Get("Location"))
			}
			tokens := rp.Exchange(arrival.Code()).OK()
			id := p.Verify(tokens.ID).Claims
			if tokens.Scope != "openid" || id["nonce"] != "mine" || id["email"] != nil || id["sub"] != p.Person("ada").Sub {
				t.Errorf("%s: scope %q, claims %v", more, tokens.Scope, id)
			}
			browser.Get(at).WantStatus(http.StatusGone) // it is answered
		}

		// With a client_id beside the id it is another request, by its own parameters and in its own right.
		browser := p.Browser().SignIn("bob")
		at := browser.Next(browser.Get(rp.AuthorizationURL("openid")))
		end := p.URL(web.PathAuthorize) + "?i=" + strings.SplitN(at, "i=", 2)[1]
		wantOwnPage(t, "the id with another client's id", browser.Get(end+"&client_id=other&redirect_uri=https%3A%2F%2Fweb.example%2Fcallback"))
		code := browser.Ask(other, "openid", providertest.With("i", strings.SplitN(at, "i=", 2)[1])).Code()
		if aud := p.Verify(other.Exchange(code).OK().ID).Claims["aud"]; aud != "other" {
			t.Errorf("aud %v", aud)
		}
		browser.Walk(rp, at).Code() // the first request still waits, and is still its own
	})
}

// A browser that several people use: what one of them authorized for later stays
// theirs, whoever signs in after them (Keycloak, CVE-2022-3916).
func TestAttack29OfflineAccessStaysItsPersons(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		ada, bob := p.Person("ada"), p.Person("bob")
		browser := p.Browser()
		scope, chosen := "openid email offline_access", providertest.With("prompt", "select_account")
		wantWhose := func(what string, who *providertest.Person, tokens *providertest.Tokens) {
			t.Helper()
			told := p.Userinfo(tokens.Access).WantStatus(http.StatusOK).JSON()
			if sub := p.Verify(tokens.ID).Claims["sub"]; sub != who.Sub || told["sub"] != who.Sub || told["email"] != who.Email || p.Verify(tokens.Access).Claims["sub"] != who.Sub {
				t.Errorf("%s: of %v, who is %v; want %s", what, sub, told, who.Email)
			}
		}
		adas := rp.Exchange(browser.SignIn("ada").Authorize(rp, scope)).OK()
		wantWhose("ada's first", ada, adas)
		unused := browser.Authorize(rp, scope)

		bobs := rp.Exchange(browser.SignIn("bob").Authorize(rp, scope, chosen)).OK() // in the same browser
		wantWhose("bob's first", bob, bobs)
		wantWhose("ada's code, used when bob is signed in", ada, rp.Exchange(unused).OK())
		if a, b := p.Verify(adas.ID).Claims["sid"], p.Verify(bobs.ID).Claims["sid"]; a == b {
			t.Error("two people have one session")
		}
		for range 3 {
			p.Clock.Advance(time.Hour)
			adas, bobs = rp.Refresh(adas.Refresh).OK(), rp.Refresh(bobs.Refresh).OK()
			wantWhose("ada's refreshed", ada, adas)
			wantWhose("bob's refreshed", bob, bobs)
			browser.Authorize(rp, scope, providertest.With("prompt", "none")) // bob is here
		}
		// Ada leaves the browser: hers goes on, his does not change hands.
		browser.Get(endSessionURL(p, "id_token_hint", adas.ID)).WantStatus(http.StatusSeeOther)
		wantWhose("ada's after signing out", ada, rp.Refresh(adas.Refresh).OK())
		wantWhose("bob's after ada signed out", bob, rp.Refresh(bobs.Refresh).OK())
		wantWhose("the browser's", bob, rp.Exchange(browser.Authorize(rp, scope, providertest.With("prompt", "none"))).OK())
	})
}

// OIDC Core section 3.1.2.1: how fresh a proof has to be is a number of seconds, 0
// included; a prompt is met once; an essential acr is met or refused. A sign-in of an
// hour ago stands for none of it.
func TestAttack46FreshnessIsWhatIsAsked(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		silent := providertest.With("prompt", "none")
		for _, age := range []time.Duration{0, time.Hour} {
			p.Clock.Advance(age)
			if got := nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("max_age", "0"))); got != web.PathSignIn {
				t.Errorf("max_age=0, %v after a proof: %s, want another proof", age, got)
			}
			browser.Ask(rp, "openid", providertest.With("max_age", "0"), silent).WantError("login_required")
		}
		for _, nonsense := range []string{"-1", "-0", "+1", "abc", "1e3", "0x10", "1.0", " 1", "1 ", "١", "18446744073709551617", "null"} {
			for _, more := range [][]providertest.Param{{}, {silent}} {
				arrival := browser.Ask(rp, "openid", append(more, providertest.With("max_age", nonsense))...)
				arrival.WantError("invalid_request")
				wantPlainText(t, arrival.Params.Get("error_description"))
			}
		}
		for _, acr := range []string{`{"essential":true,"value":"aal2"}`, `{"essential":true,"values":["urn:gold","phrh"]}`} {
			browser.Ask(rp, "openid", claimsParam(`{"id_token":{"acr":`+acr+`}}`)).WantError("unmet_authentication_requirements")
		}

		// The same link again asks again, and what was met is not met once more.
		login := rp.AuthorizationURL("openid", providertest.With("prompt", "login"), providertest.With("state", "s"))
		at := browser.Next(browser.Get(login))
		end := browser.Next(browser.Send(browser.Filled(at, providertest.With("password", p.Person("ada").Password))))
		code := browser.Walk(rp, end).Code()
		proved := p.Verify(rp.Exchange(code).OK().ID).Claims["auth_time"]
		if proved != float64(p.Clock.Now().Unix()) {
			t.Errorf("auth_time %v, want now", proved)
		}
		for what, again := range map[string]string{"the step": at, "the end": end} {
			if a := browser.Get(again); a.Status != http.StatusNotFound && a.Status != http.StatusGone || a.Header.Get("Location") != "" {
				t.Errorf("%s of a request that was answered: %s %s", what, a, a.Header.Get("Location"))
			}
		}
		if got := nextOf(t, browser, login); got != web.PathSignIn {
			t.Errorf("prompt=login again: %s, want a proof", got)
		}
		// A proof of a minute ago that was given for one request is none for another that began later.
		p.Clock.Advance(time.Minute)
		if got := nextOf(t, browser, rp.AuthorizationURL("openid", providertest.With("max_age", "59"))); got != web.PathSignIn {
			t.Errorf("max_age=59 after 60 s: %s, want a proof", got)
		}
		browser.Authorize(rp, "openid", providertest.With("max_age", "60"), silent)
	})
}
