package provider_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// formPost lets a client have its answers in a form.
func formPost(r *clients.Registration) { r.ResponseModes = []string{"query", "form_post"} }

// A request belongs to the browser that began it: whoever sends its address to
// somebody else gets neither their sign-in nor their consent (Dex,
// CVE-2022-39222).
func TestAttack19AnInteractionBelongsToItsBrowser(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		owner, victim := p.Browser().SignIn("ada"), p.Browser().SignIn("bob")
		victim.Authorize(rp, "openid") // signed in, agreed, and with a form token of its own
		begun := p.Browser()
		begun.Get(rp.AuthorizationURL("openid")) // a browser with a cookie and nobody in front of it
		refused := func(step string, filled ...providertest.Param) {
			t.Helper()
			for name, other := range map[string]*providertest.Browser{"a new browser": p.Browser(), "another browser": begun, "a signed-in browser": victim} {
				if a := other.Get(step); a.Status != http.StatusForbidden && a.Status != http.StatusNotFound || a.Header.Get("Location") != "" {
					t.Errorf("%s opens %s: %s %s", name, step, a, a.Header.Get("Location"))
				}
			}
			own := victim.Next(victim.Get(rp.AuthorizationURL("openid", providertest.With("prompt", "login"))))
			to, err := url.Parse(step)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{to.Path, "/signin/cancel"} {
				form := victim.Filled(own, filled...) // good, but for where it goes
				form.URL.Path, form.URL.RawQuery = path, to.RawQuery
				if a := victim.Send(form); a.Status != http.StatusNotFound || a.Header.Get("Location") != "" {
					t.Errorf("a form of the victim's browser for %s of %s: %s %s", path, step, a, a.Header.Get("Location"))
				}
			}
		}
		password := []providertest.Param{providertest.With("identifier", "bob@example.com"), providertest.With("password", providertest.Password)}

		step := owner.Next(owner.Get(rp.AuthorizationURL("openid profile")))
		refused(step, password...)
		ada := []providertest.Param{providertest.With("identifier", "ada@example.com"), providertest.With("password", providertest.Password)}
		step = owner.Next(owner.Send(owner.Filled(step, ada...)))
		refused(step, providertest.With("decision", "allow"))
		step = owner.Next(owner.Send(owner.Filled(step, providertest.With("decision", "allow"))))
		if !strings.HasPrefix(step, p.URL(web.PathAuthorize)) {
			t.Fatalf("after consent the browser goes to %s", step)
		}
		for name, other := range map[string]*providertest.Browser{"a new browser": p.Browser(), "another browser": begun, "a signed-in browser": victim} {
			if a := other.Get(step); a.Status != http.StatusNotFound || a.Header.Get("Location") != "" {
				t.Errorf("%s ends it: %s %s", name, a, a.Header.Get("Location"))
			}
		}
		rp.Exchange(owner.Walk(rp, step).Code()).OK() // none of it took it from its owner

		step = owner.Next(owner.Get(rp.AuthorizationURL("openid", providertest.With("prompt", "select_account"))))
		refused(step, providertest.With("account", "other"))
		step = owner.Next(owner.Get(p.URL(web.PathEndSession) + "?client_id=" + rp.ID))
		refused(step, providertest.With("decision", "signout"))
		silent := providertest.With("prompt", "none")
		owner.Authorize(rp, "openid", silent)
		victim.Authorize(rp, "openid", silent)
	})
}

// hostileTexts try to end an attribute, an element, a script or a header.
var hostileTexts = []string{
	`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `</form><form action=https://evil.example>`, `</script><script>alert(1)//`,
	`"/><input name="code" value="evil`, `" autofocus onfocus="alert(1)`, `javascript:alert(1)`, `{{.}}${7*7}`, "a\r\nLocation: https://evil.example\r\n\r\n<script>", `&quot;&gt;&lt;script&gt;`, "\u2028\u202e<b>",
}

// Ory Hydra, CVE-2019-8400: what a stranger wrote into a request is text on
// every page that shows it, and comes back to the client unchanged (Form Post
// Response Mode section 2).
func TestAttack20HostileTextStaysText(t *testing.T) {
	t.Parallel()
	showAll := providertest.Configure(func(c *provider.Config) { c.Web.Developer = true })
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", legacy)
		ada := p.Browser().SignIn("ada")
		mode := providertest.With("response_mode", "form_post")
		for _, text := range hostileTexts {
			state := providertest.With("state", text)
			for _, arrival := range []*providertest.Arrival{
				ada.Ask(rp, "openid", responseType("id_token"), state), ada.Ask(rp, "openid", responseType("id_token"), state, providertest.With("scope", "nonsense "+text)),
			} {
				wantFragment(t, rp, arrival, text)
			}
			for _, arrival := range []*providertest.Arrival{
				ada.Ask(rp, "openid", mode, state), ada.Ask(rp, "openid", mode, state, providertest.With("scope", "nonsense "+text)),
			} {
				arrival.WantPage(http.StatusOK)
				wantFormPost(t, rp, arrival.Answer, text)
			}
			for name, wrong := range map[string][]providertest.Param{
				"redirect_uri": {state, providertest.With("redirect_uri", text)}, "client_id": {state, providertest.With("client_id", text)},
				"unknown": {state, providertest.With(text, text), providertest.With("redirect_uri", "https://evil.example/")}, "twice": {providertest.And("state", text)},
			} {
				a := ada.Get(rp.AuthorizationURL("openid", wrong...))
				if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
					t.Errorf("%s %q: %s %s", name, text, a, a.Header.Get("Location"))
				}
				wantInert(t, a, 0)
			}
			wantInert(t, p.Browser().Walk(nil, rp.AuthorizationURL("openid", state, providertest.With("login_hint", text), providertest.With("ui_locales", text))).Answer, 3)
		}
	}, showAll)
}

// wantFragment asks for an answer in the fragment of the client's redirect, with the
// text as its state, and nothing in it that a header or a page would take for its own.
func wantFragment(t *testing.T, rp *providertest.RP, a *providertest.Arrival, state string) {
	t.Helper()
	to := a.Header.Get("Location")
	if !strings.HasPrefix(to, rp.RedirectURI+"#") || strings.Count(to, "#") != 1 || strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>'\`, r) }) {
		t.Errorf("state %q: to %q", state, to)
	}
	for name, values := range a.Params {
		if len(values) != 1 || !slices.Contains([]string{"id_token", "error", "error_description", "state", "iss"}, name) {
			t.Errorf("the fragment has %s=%q", name, values)
		}
	}
	if got := a.Params.Get("state"); got != state {
		t.Errorf("state %q comes back as %q", state, got)
	}
}

// wantFormPost asks for a page with one form, to the client, that carries the
// text as its state, and for a policy that lets it go there only.
func wantFormPost(t *testing.T, rp *providertest.RP, a *providertest.Answer, state string) {
	t.Helper()
	wantInert(t, a, 1)
	form := providertest.ReadForm(a.Body)
	if form.Action != rp.RedirectURI {
		t.Errorf("the form goes to %q", form.Action)
	}
	// A browser reads CR LF in an attribute as LF and sends CR LF; both are the same text.
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	if got := form.Fields["state"]; len(got) != 1 || lines.Replace(got[0]) != lines.Replace(state) {
		t.Errorf("state %q comes back as %q", state, got)
	}
	for name, values := range form.Fields {
		if len(values) != 1 || !slices.Contains([]string{"code", "error", "error_description", "state", "iss"}, name) {
			t.Errorf("the form has the field %s=%q", name, values)
		}
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:;") {
		t.Errorf("policy %s", csp)
	}
}

// wantInert asks that the page has that many forms, and no script but its own,
// which the policy knows by its nonce, and nothing else that runs.
func wantInert(t *testing.T, a *providertest.Answer, forms int) {
	t.Helper()
	csp := a.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'; script-src 'nonce-") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "evil") {
		t.Errorf("policy %s", csp)
	}
	root, err := html.Parse(bytes.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "form" {
			found++
		}
		problem := ""
		for _, attr := range n.Attr {
			switch value := strings.ToLower(strings.TrimSpace(attr.Val)); {
			case strings.HasPrefix(attr.Key, "on"), attr.Key == "style", attr.Key == "srcdoc":
				problem = attr.Key
			case slices.Contains([]string{"href", "src", "action", "formaction"}, attr.Key) && (strings.Contains(value, "script:") && !strings.HasPrefix(value, "?") || strings.HasPrefix(value, "data:text")):
				problem = value
			}
		}
		own := n.Data != "script" || slices.ContainsFunc(n.Attr, func(at html.Attribute) bool { return at.Key == "nonce" && strings.Contains(csp, "'nonce-"+at.Val+"'") })
		if problem != "" || !own || slices.Contains([]string{"img", "iframe", "object", "embed", "base", "b"}, n.Data) {
			t.Errorf("the page has <%s> with %s: %s", n.Data, problem, a.Body)
		}
	}
	if found != forms {
		t.Errorf("the page has %d forms, want %d: %s", found, forms, a.Body)
	}
}

// RFC 9207 section 2: every answer of the authorization endpoint says who gave
// it, so that a client of two providers cannot be played against one of them.
func TestAttack21EveryAnswerNamesItsIssuer(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", legacy, func(r *clients.Registration) { r.FirstParty = false })
		for _, path := range []string{web.PathOpenIDConfiguration, web.PathOAuthServer} {
			metadata := p.Get(path).WantStatus(http.StatusOK).JSON()
			if metadata["authorization_response_iss_parameter_supported"] != true || metadata["issuer"] != p.Issuer {
				t.Errorf("%s: %v %v", path, metadata["authorization_response_iss_parameter_supported"], metadata["issuer"])
			}
		}
		ada, bob := p.Browser().SignIn("ada"), p.Browser().SignIn("bob").Deny()
		answers := map[string]func(*providertest.Browser, ...providertest.Param) *providertest.Arrival{}
		ask := func(code string, fixed ...providertest.Param) {
			answers[code] = func(b *providertest.Browser, more ...providertest.Param) *providertest.Arrival {
				return b.Ask(rp, "openid", append(fixed, more...)...)
			}
		}
		ask("")
		ask("invalid_scope", providertest.With("scope", "nonsense"))
		ask("invalid_request", providertest.With("prompt", "nonsense"))
		ask("unsupported_response_type", providertest.With("response_type", "token"))
		ask("request_uri_not_supported", providertest.With("request_uri", "https://web.example/request"))
		ask("login_required", providertest.With("prompt", "none"))
		ask("access_denied", providertest.With("prompt", "login consent"))
		for code, send := range answers {
			browser := map[string]*providertest.Browser{"login_required": p.Browser(), "access_denied": bob}[code]
			if browser == nil {
				browser = ada
			}
			inQuery := send(browser).Params
			form := providertest.ReadForm(send(browser, providertest.With("response_mode", "form_post")).Body)
			if form == nil {
				t.Fatalf("%q: no form", code)
			}
			front := responseType("code id_token")
			if code == "unsupported_response_type" {
				front = responseType("code token")
			}
			inFragment := send(browser, front)
			if !strings.Contains(inFragment.Header.Get("Location"), "#") {
				t.Errorf("%q: no fragment in %s", code, inFragment.Header.Get("Location"))
			}
			for mode, got := range map[string]url.Values{"query": inQuery, "form_post": form.Fields, "fragment": inFragment.Params} {
				if iss := got["iss"]; fmt.Sprint(iss) != "["+p.Issuer+"]" || got.Get("error") != code || got.Has("code") != (code == "") {
					t.Errorf("%q in %s: %s, want one iss %s", code, mode, got, p.Issuer)
				}
			}
		}
		left := p.Browser()
		cancel := left.Filled(left.Next(left.Get(rp.AuthorizationURL("openid"))))
		cancel.URL.Path = "/signin/cancel"
		left.Walk(rp, left.Next(left.Send(cancel))).WantError("access_denied") // which looks at iss
	})
}
