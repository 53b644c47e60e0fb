package provider_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// everyPage is one of each page that a browser can be shown, with somebody
// signed in where it needs somebody.
func everyPage(t *testing.T, p *providertest.P, rp *providertest.RP, params ...providertest.Param) map[string]*providertest.Answer {
	t.Helper()
	with := func(name, value string) []providertest.Param {
		return append(slices.Clone(params), providertest.With(name, value))
	}
	b := p.Browser().SignIn("ada")
	pages := map[string]*providertest.Answer{
		"sign-in":       p.Browser().Ask(rp, "openid", with("login_hint", `"><script>alert(1)</script>`)...).Answer,
		"error":         p.Get(web.PathAuthorize + "?client_id=nobody"),
		"redirect":      p.Browser().Ask(rp, "openid", with("redirect_uri", `https://evil.example/"><script>alert(1)</script>`)...).Answer,
		"nothing there": p.Get("/<script>alert(1)</script>"),
		"signed out":    p.Get(web.PathSignedOut),
		"nobody":        p.Get(web.PathHome),
	}
	consent := b.StopAt(web.PathConsent).Ask(rp, "openid email", with("prompt", "consent")...)
	pages["consent"] = b.Get(consent.URL.String())
	b.StopAt("").Authorize(rp, "openid email", params...)
	chooser := b.StopAt(web.PathAccount).Ask(rp, "openid email", with("prompt", "select_account")...)
	pages["account"] = b.Get(chooser.URL.String())
	again := b.StopAt(web.PathSignIn).Ask(rp, "openid email", with("prompt", "login")...)
	pages["again"] = b.Get(again.URL.String())
	pages["wrong"] = b.Send(b.Filled(again.URL.String(), providertest.With("password", `<script>alert(1)</script>`)))
	pages["sign-out"] = b.Get(p.URL(web.PathSignOut))
	pages["somebody"] = b.Get(p.URL(web.PathHome))
	pages["apps"] = b.Get(p.URL(web.PathApps) + "?removed=" + url.QueryEscape(`"><script>alert(1)</script>`))
	pages["form post"] = b.StopAt("").Ask(rp, "openid email", with("response_mode", "form_post")...).Answer

	d := p.Device(phone)
	adding := b.Walk(nil, p.URL(web.PathSecurityAddPasskey))
	pages["add a passkey"] = adding.Answer
	one := passkeyPageOf(t, b, adding)
	one.prompt.Fields.Set("name", passkeyName)
	one.answer(d).WantStatus(http.StatusSeeOther)
	pages["security"] = b.Get(p.URL(web.PathSecurity) + "?done=" + url.QueryEscape(`"><script>alert(1)</script>`))
	pages["prove a passkey"] = b.Ask(rp, "openid email", with("prompt", "login")...).Answer
	pages["a passkey"] = b.Holding(d).Walk(nil, detailsURL(t, p, "ada")).Answer
	return pages
}

// passkeyName is the name that ada gives a passkey: what a hostile one would be.
const passkeyName = `"'><script>alert(1)</script>{{.}}`

// formPoster registers form_post for a client.
func formPoster(r *clients.Registration) { r.ResponseModes = []string{"query", "form_post"} }

// RFC 9700 section 4.16: no page of ours, and no answer at all, is shown in a
// frame.
func TestAttack53NothingIsFramed(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	answers := everyPage(t, p, p.Client("web", formPoster))
	for _, path := range []string{web.PathOpenIDConfiguration, web.PathOAuthServer, web.PathJWKS, web.PathUserinfo, web.PathToken, "/assets/none.css"} {
		answers[path] = p.Get(path)
	}
	answers["a redirect"] = p.Browser().Get(p.Client("other").AuthorizationURL("openid"))
	for what, a := range answers {
		policy := a.Header.Get("Content-Security-Policy")
		if directive(policy, "frame-ancestors") != "'none'" {
			t.Errorf("%s: %s, want frame-ancestors 'none'", what, policy)
		}
		if got := a.Header.Get("X-Frame-Options"); got != "DENY" {
			t.Errorf("%s: X-Frame-Options %q, want DENY", what, got)
		}
	}
}

// directive returns the sources of one directive of a Content-Security-Policy.
func directive(policy, name string) string {
	for part := range strings.SplitSeq(policy, ";") {
		if found, sources, _ := strings.Cut(strings.TrimSpace(part), " "); found == name {
			return sources
		}
	}
	return ""
}

// OWASP ASVS 5.0 1.2.1 and 3.4.3: what clients, people and requests say of
// themselves is text on our pages, and only our own script runs there.
func TestAttack54NamesAreText(t *testing.T) {
	t.Parallel()
	const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`
	p := providertest.Start(t)
	rp := p.Client("web", formPoster, func(r *clients.Registration) { r.Name = hostile })
	p.Person("ada", func(n *directory.NewPerson) { n.Name = hostile })
	pages := everyPage(t, p, rp, providertest.With("state", hostile), providertest.With("ui_locales", hostile), providertest.With("nonce", hostile))
	nonces := map[string]bool{}
	for what, page := range pages {
		nonce := wantOnlyOurScript(t, what, page)
		if nonces[nonce] {
			t.Errorf("%s: its nonce was used before", what)
		}
		nonces[nonce] = true
	}
	for page, shown := range map[string]string{
		"sign-in": hostile, "consent": hostile, "account": hostile, "apps": hostile, "form post": hostile,
		"prove a passkey": hostile, "security": passkeyName, "a passkey": passkeyName,
	} {
		if text := html.UnescapeString(string(pages[page].Body)); !strings.Contains(text, shown) {
			t.Errorf("%s does not show the name: this test shows nothing of it", page)
		}
	}
	for field, change := range map[string]func(*clients.Registration, string){
		"client_uri":    func(r *clients.Registration, uri string) { r.ClientURI = uri },
		"logo_uri":      func(r *clients.Registration, uri string) { r.LogoURI = uri },
		"policy_uri":    func(r *clients.Registration, uri string) { r.PolicyURI = uri },
		"tos_uri":       func(r *clients.Registration, uri string) { r.TosURI = uri },
		"redirect_uris": func(r *clients.Registration, uri string) { r.RedirectURIs = []string{uri} },
	} {
		for _, uri := range []string{"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "http://web.example/logo", "//web.example/logo", "/logo", `https://web.example/"><script>`} {
			r := clients.Registration{Name: "Evil"}
			r.RedirectURIs = []string{"https://web.example/callback"}
			change(&r, uri)
			_, _, err := p.Clients.Create(t.Context(), r, "operator")
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s %q: %v, want a fault of that field", field, uri, err)
			}
		}
	}
}

// wantOnlyOurScript asks that a page has no script but those with the nonce of
// its policy, no handler, no inline style, and nothing of another origin.
func wantOnlyOurScript(t *testing.T, what string, page *providertest.Answer) (nonce string) {
	t.Helper()
	policy := page.Header.Get("Content-Security-Policy")
	nonce = strings.TrimSuffix(strings.TrimPrefix(directive(policy, "script-src"), "'nonce-"), "'")
	if len(nonce) < 22 || directive(policy, "default-src") != "'none'" || strings.Contains(policy, "unsafe") || directive(policy, "base-uri") != "'none'" {
		t.Errorf("%s: policy %s", what, policy)
	}
	root, err := html.Parse(bytes.NewReader(page.Body))
	if err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" {
			scripts++
			if !slices.Contains(n.Attr, html.Attribute{Key: "nonce", Val: nonce}) {
				t.Errorf("%s: a script without the nonce: %v", what, n.Attr)
			}
		}
		for _, a := range n.Attr {
			scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(a.Val)), ":")
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || slices.Contains([]string{"javascript", "data", "vbscript"}, scheme) && a.Key != "value" {
				t.Errorf("%s: <%s %s=%q>", what, n.Data, a.Key, a.Val)
			}
			if (a.Key == "src" || n.Data == "link" && a.Key == "href") && !strings.HasPrefix(a.Val, "/assets/") {
				t.Errorf("%s: <%s %s=%q> is not ours", what, n.Data, a.Key, a.Val)
			}
		}
	}
	if scripts != 1 {
		t.Errorf("%s: %d scripts, want ours alone: %s", what, scripts, page.Body)
	}
	return nonce
}

// OWASP ASVS 5.0 3.3 and 3.4: cookies and headers of an https issuer.
func TestAttack55HeadersKeepToThemselves(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) { c.Issuer = &url.URL{Scheme: "https", Host: "id.example"} }))
	rp := p.Client("web")
	p.Person("ada")
	seen := map[string]*http.Cookie{}
	walk := func(r *http.Request) *httptest.ResponseRecorder {
		for _, c := range seen {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		r.URL.Scheme, r.URL.Host, r.Host = "", "", "id.example"
		p.Handler.ServeHTTP(w, r)
		for _, line := range w.Header().Values("Set-Cookie") {
			c := must(http.ParseSetCookie(line))
			seen[c.Name] = c
		}
		wantStandingHeaders(t, r.Method+" "+r.URL.Path, w.Header())
		return w
	}
	next := walk(rawRequest(t, http.MethodGet, rp.AuthorizationURL("openid"), nil)).Header().Get("Location")
	form := providertest.ReadForm(walk(rawRequest(t, http.MethodGet, next, nil)).Body.Bytes())
	form.Fields.Set("identifier", "ada@example.com")
	form.Fields.Set("password", providertest.Password)
	if a := walk(rawRequest(t, http.MethodPost, form.Action, form.Fields, "Origin", "https://id.example")); a.Code != http.StatusSeeOther {
		t.Fatalf("signing in: status %d", a.Code)
	}
	for _, name := range []string{"__Host-doorstep_browser", "__Host-doorstep_session", "__Host-doorstep_device"} {
		c := seen[name]
		if c == nil || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %s: %v", name, c)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d cookies: %v", len(seen), seen)
	}
	for _, path := range []string{"/", "/nowhere", web.PathSignedOut, web.PathToken, web.PathUserinfo, web.PathAuthorize + "?client_id=x", web.PathEndSession, web.PathSignIn + "?i=x"} {
		walk(rawRequest(t, http.MethodGet, path, nil))
	}
}

func wantStandingHeaders(t *testing.T, what string, header http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control":             "no-store",
		"Referrer-Policy":           "no-referrer",
		"Strict-Transport-Security": `max-age=(\d{8,}).*`,
		"X-Content-Type-Options":    "nosniff",
	} {
		if got := header.Get(name); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%s: %s is %q, want %s", what, name, got, want)
		}
	}
	for _, name := range []string{"Server", "X-Powered-By"} {
		if got := header.Get(name); got != "" {
			t.Errorf("%s: %s: %s", what, name, got)
		}
	}
}

// RFC 9700 section 2.1, OWASP ASVS 5.0 3.4.2: other origins read what they are
// registered for, never with the browser's credentials, and never pages.
func TestAttack55OtherOriginsReadNoPages(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web")
	const ours, evil = "https://web.example", "https://evil.example"
	tokens := []string{web.PathToken, web.PathUserinfo}
	public := []string{web.PathOpenIDConfiguration, web.PathOAuthServer, web.PathJWKS}
	authorize := strings.TrimPrefix(rp.AuthorizationURL("openid", silently), p.Issuer)
	pages := []string{web.PathHome, web.PathSignIn, web.PathConsent, web.PathAccount, web.PathSignOut, web.PathEndSession, authorize, "/nowhere"}
	for _, origin := range []string{ours, evil, "null", ours + ".evil.example", "http://web.example", p.Issuer} {
		for _, path := range slices.Concat(tokens, public, pages) {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				a := p.Send(rawRequest(t, method, p.URL(path), url.Values{}, "Origin", origin,
					"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"))
				allowed := a.Header.Get("Access-Control-Allow-Origin")
				may := allowed == "" || slices.Contains(public, path) || slices.Contains(tokens, path) && origin == ours && allowed == ours
				if !may || a.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s %s from %s: %v", method, path, origin, a.Header)
				}
				if allowed == "" && origin == ours && method == http.MethodOptions && slices.Contains(tokens, path) {
					t.Errorf("%s is not open to a registered origin", path)
				}
			}
		}
	}
}
