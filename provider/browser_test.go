package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// A site is the client's own, on another origin than ours.
type site struct {
	*httptest.Server

	mu      sync.Mutex
	answers []url.Values // to authorization requests, as they came
}

// openSite opens a site that shows how it got an answer. It takes an answer at
// /kept without leaving our page.
func openSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Form.Has("iss") {
			s.answers = append(s.answers, r.Form)
		}
		if r.URL.Path == "/onward" { // to another origin, as a client with a page elsewhere does
			_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
			http.Redirect(w, r, "http://localhost:"+port+"/page?"+r.URL.RawQuery, http.StatusSeeOther)
			return
		}
		if r.URL.Path == "/kept" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Client</title><link rel="icon" href="data:,"><h1>%s, code %v</h1>
			<form method="post" action="%s"><button>Win a car</button></form>`, r.Method, r.PostForm.Has("code") || r.URL.Query().Has("code"), r.URL.Query().Get("target"))
	}))
	t.Cleanup(s.Close)
	return s
}

// codes returns the codes that the client got so far.
func (s *site) codes() (codes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		codes = append(codes, a["code"]...)
	}
	return codes
}

// at makes the site a client's redirect.
func (s *site) at(path string) func(*clients.Registration) {
	return func(r *clients.Registration) {
		r.RedirectURIs, r.PostLogoutRedirectURIs = []string{s.URL + path}, []string{s.URL + "/bye"}
		r.ResponseModes = []string{"query", "form_post"}
	}
}

// A scene is a page in one of its states.
type scene struct {
	name    string
	status  int
	heading string // the message that is its h1; "" where it has a name in it
	has     string // a selector of what no other state has
	enter   func(*tour) int
}

// tour goes through all scenes in one browser, in this order.
type tour struct {
	*providertest.Page
	p, dev            *providertest.P // dev is one whose error pages tell developers more
	site              *site
	rp, verbose, post *providertest.RP // a client; one with a long name; one that gets its answers in forms
}

const scopes = "openid profile email address phone offline_access bookings:read bookings:write"

var scenes = []scene{
	{"home", 200, "welcome.title", "", func(v *tour) int { return v.Open(v.p.URL("/")) }},
	{"signed-out", 200, "signedout.title", "", func(v *tour) int { return v.Open(v.p.URL(web.PathSignedOut)) }},
	{"error-other-browser", 403, "error.other_browser.title", "", func(v *tour) int { return v.Open(v.p.URL(web.PathSignIn + "?i=" + string(storage.NewID()))) }},
	{"error-not-found", 404, "error.not_found.title", "", func(v *tour) int { return v.Open(v.p.URL("/nowhere")) }},
	{"error-client", 400, "error.client_error.title", "main > :only-child", func(v *tour) int { return v.Open(v.p.URL(web.PathAuthorize + "?client_id=nobody")) }},
	{"error-unknown-client", 400, "error.client_error.title", ".diagnosis", func(v *tour) int { return v.Open(v.dev.URL(web.PathAuthorize + "?client_id=nobody")) }},
	{"error-redirect", 400, "error.client_error.title", ".diagnosis", (*tour).mistake},
	{"error-forbidden", 403, "error.forbidden.title", "", (*tour).lured},
	{"signin", 200, "signin.title", "#identifier[autofocus]", func(v *tour) int { return v.Open(v.rp.AuthorizationURL(scopes)) }},
	{"signin-empty", 422, "signin.title", "#problem a[href='#identifier']", func(v *tour) int { return v.Follow(submit) }},
	{"signin-wrong", 422, "signin.title", "#problem a[href='#password']", func(v *tour) int { return v.prove("ada@example.com", "not hers") }},
	{"signin-throttled", 429, "signin.title", "#problem :not(a)", func(v *tour) int { return v.prove("eve@example.com", "anything") }},
	{"error-expired", 404, "error.expired.title", "", func(v *tour) int { return v.Open(v.p.URL(web.PathSignIn + "?i=" + string(storage.NewID()))) }},
	{"signin-long", 200, "signin.title", "#password[autofocus]", func(v *tour) int {
		return v.Open(v.verbose.AuthorizationURL(scopes, providertest.With("login_hint", longName+"@example.com")))
	}},
	{"consent-long", 200, "", "button[value=allow]", func(v *tour) int { return v.prove(longName+"@example.com", providertest.Password) }},
	{"apps-empty", 200, "apps.title", "main:not(:has(h2[id^=app-])) nav", func(v *tour) int { return v.Open(v.p.URL(web.PathApps)) }},
	{"choose-one", 200, "choose.title", "button[value=other]", func(v *tour) int { return v.ask("select_account") }},
	{"consent", 200, "", "button[value=allow]", func(v *tour) int {
		v.Follow("button[value=other]")
		return v.prove("ada@example.com", providertest.Password)
	}},
	{"choose", 200, "choose.title", "li:nth-child(3) button[value=other]", func(v *tour) int { return v.ask("select_account") }},
	{"reauth", 200, "signin.again.title", "input[readonly]", func(v *tour) int { return v.ask("login") }},
	{"reauth-wrong", 422, "signin.again.title", "#problem", func(v *tour) int { v.Fill("#password", "not hers"); return v.Follow(submit) }},
	{"apps", 200, "apps.title", "section + section + section + nav", func(v *tour) int { return v.Open(v.p.URL(web.PathApps)) }},
	{"apps-ask", 200, "apps.title", "details[open] button[value=verbose]", func(v *tour) int { v.Click("section:has(#app-verbose) summary"); return http.StatusOK }},
	{"apps-removed", 200, "apps.title", ".notice[role=status]", func(v *tour) int { return v.Follow("button[value=verbose]") }},
	{"security-empty", 200, "security.title", "a.primary[href$=add-passkey]", func(v *tour) int { return v.Open(v.p.URL(web.PathSecurity)) }},
	{"sessions", 200, "sessions.title", ".pill", func(v *tour) int { return v.Open(v.p.URL(web.PathSessions)) }},
	{"add-passkey", 200, "addpasskey.title", "[data-creates]", func(v *tour) int { return v.Open(v.p.URL(web.PathSecurityAddPasskey)) }},
	{"add-totp", 200, "addtotp.title", "svg.qr", func(v *tour) int { return v.Open(v.p.URL(web.PathSecurityAddTOTP)) }},
	{"add-totp-wrong", 422, "addtotp.title", "#problem a", func(v *tour) int { v.Fill("#code", "nothing"); return v.Follow(submit) }},
	{"recovery-codes", 200, "recovery.title", "input[name=session]", func(v *tour) int { return v.Open(v.p.URL(web.PathSecurityRecovery)) }},
	{"recovery-codes-new", 200, "recovery.title.new", ".codes li:nth-child(10)", func(v *tour) int { return v.Follow(submit) }},
	{"security", 200, "security.title", "[role=status]", func(v *tour) int { return v.Follow("a.primary") }},
	{"home-known", 200, "", "a[href='/signout']", func(v *tour) int { return v.Open(v.p.URL("/")) }},
	{"signout", 200, "signout.title", "button[value=stay]", func(v *tour) int { return v.Follow("a[href='/signout']") }},
	{"signout-client", 200, "signout.title", "form[action*='?i=']", func(v *tour) int {
		return v.Open(v.p.URL(web.PathEndSession + "?client_id=verbose&post_logout_redirect_uri=" + v.site.URL + "/bye"))
	}},
	{"form-post", 200, "formpost.title", "input[name=code]", func(v *tour) int {
		return v.Open(v.post.AuthorizationURL("openid", providertest.With("response_mode", "form_post")))
	}},
	{"totp", 200, "code.totp.title", "input[autocomplete=one-time-code]", func(v *tour) int {
		v.Open(v.rp.AuthorizationURL(scopes, providertest.With("acr_values", "aal2"), providertest.With("prompt", "select_account")))
		v.Follow("button[value=other]")
		return v.prove("grace@example.com", providertest.Password)
	}},
	{"totp-wrong", 422, "code.totp.title", "#problem a", func(v *tour) int { v.Fill("#code", "nothing"); return v.Follow(submit) }},
}

const (
	submit   = "button.primary"
	longName = "maximiliana-wolfeschlegelsteinhausenbergerdorff-of-the-hill"
)

func (v *tour) prove(identifier, password string) int {
	v.Fill("#identifier", identifier)
	v.Fill("#password", password)
	return v.Follow(submit)
}

func (v *tour) ask(prompt string) int {
	return v.Open(v.rp.AuthorizationURL(scopes, providertest.With("prompt", prompt)))
}

// mistake is a client's, with an address as long as they are.
func (v *tour) mistake() int {
	redirect := v.site.URL + "/callback/" + strings.Repeat("tenant-of-the-shop/", 8) + "?x=" + strings.Repeat("0", 80)
	return v.Open(v.dev.URL(web.PathAuthorize + "?client_id=web&response_type=code&scope=openid&redirect_uri=" + url.QueryEscape(redirect)))
}

// lured presses a button on another site that sends one of our forms.
func (v *tour) lured() int {
	v.Open(v.site.URL + "/?target=" + url.QueryEscape(v.p.URL(web.PathSignOut)))
	return v.Follow("button")
}

// newTour prepares the two providers, their clients and their people.
func newTour(t *testing.T) *tour {
	t.Helper()
	v := &tour{p: providertest.Start(t, providertest.At(time.Now())), site: openSite(t)}
	v.dev = providertest.Start(t, providertest.At(time.Now()), providertest.Configure(func(c *provider.Config) { c.Web.Developer = true }))
	v.dev.Client("web", v.site.at("/callback"))
	v.p.Resource("https://bookings.example", "bookings:read", "bookings:write")
	theirs := providertest.Scope("bookings:read", "bookings:write")
	v.rp = v.p.Client("web", v.site.at("/callback"), theirs, initiates)
	v.post = v.p.Client("post", v.site.at("/kept"), providertest.FirstParty)
	v.verbose = v.p.Client("verbose", v.site.at("/callback"), theirs, func(r *clients.Registration) {
		r.Name = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch Bicycle & Perambulator Repairs"
	})
	v.p.Client("kerbside", providertest.FirstParty, initiates, func(r *clients.Registration) { r.Name = "Kerbside" })
	v.p.Person(longName)
	v.authenticator(t, v.p.Person("grace"))
	v.agree(t, v.p.Person("ada"), "web", "openid", "profile", "email", "phone")
	for range throttle.SignInStrangers.Burst {
		if err := v.p.Throttle.Take(t.Context(), throttle.SignInStrangers, "eve@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// authenticator gives somebody an authenticator app.
func (v *tour) authenticator(t *testing.T, person *providertest.Person) {
	t.Helper()
	app, err := v.p.TOTP.Begin(t.Context(), person.Person, "My phone")
	if err == nil {
		_, err = v.p.TOTP.Confirm(t.Context(), person.Person, app.ID, code(t, app.Secret, v.p.Clock.Now()), events.ActorPerson)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// agree has somebody agree to scopes, as the consent page does. The tour asks for
// more of each client, and so is asked all the same.
func (v *tour) agree(t *testing.T, person *providertest.Person, client string, scopes ...string) {
	t.Helper()
	had, err := v.p.Store.ConsentOf(t.Context(), person.ID, client) // another look took it away
	if errors.Is(err, storage.ErrNotFound) {
		had, err = nil, nil
	}
	if err == nil {
		err = v.p.Grants.Give(t.Context(), person.ID, client, had, grants.Asked{Scopes: scopes})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// in is the tour of a subtest, in a browser of its own.
func (v *tour) in(t *testing.T) *tour {
	t.Helper()
	return &tour{
		Page: providertest.Chromium(t), p: v.p.In(t), dev: v.dev.In(t), site: v.site,
		rp: v.rp.In(t), verbose: v.verbose.In(t), post: v.post.In(t),
	}
}

// TestBrowserPages looks at every page in every state: axe finds nothing (WCAG 2.2
// AA), the browser has nothing to complain about (CSP among it), nothing is too
// wide for a small phone, and the words are those of the person's language.
func TestBrowserPages(t *testing.T) {
	all := newTour(t)
	words, err := templates.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []struct {
		name, lang string
		like       func(*tour) // what the person's browser is like
		check      func(*tour)
	}{
		{"light in English", "en", func(*tour) {}, func(v *tour) { v.Axe() }},
		{"dark in Swedish", "sv", func(v *tour) { v.Dark() }, func(v *tour) { v.Axe() }},
		{"narrow in Spanish", "es", func(v *tour) { v.Narrow(320) }, func(v *tour) { v.Fits() }}, // the longest words
	} {
		t.Run(look.name, func(t *testing.T) {
			v := all.in(t)
			v.agree(t, v.p.Person("ada"), "verbose", "openid", "offline_access", "bookings:read", "bookings:write")
			v.Language(look.lang)
			look.like(v)
			for _, scene := range scenes {
				if status := scene.enter(v); status != scene.status || scene.has != "" && !v.Has(scene.has) {
					t.Fatalf("%s: status %d at %s, want %d with %s: %s", scene.name, status, v.URL(), scene.status, scene.has, v.Text("body"))
				}
				if got := v.Text("h1"); scene.heading != "" && got != words.Text(look.lang, scene.heading) {
					t.Errorf("%s: the heading is %q, want %q", scene.name, got, words.Text(look.lang, scene.heading))
				}
				v.Screenshot(scene.name)
				look.check(v)
			}
		})
	}
}

// TestBrowserFormPost: the answer reaches the client in a form, never in a URL,
// by itself or by the person's own press (OAuth 2.0 Form Post Response Mode).
func TestBrowserFormPost(t *testing.T) {
	p := providertest.Start(t, providertest.At(time.Now()))
	s := openSite(t)
	rp, ada := p.Client("web", s.at("/callback"), providertest.FirstParty), p.Person("ada")
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("script %v", script), func(t *testing.T) {
			v := &tour{Page: providertest.Chromium(t), p: p.In(t), rp: rp.In(t)}
			if !script {
				v.WithoutScript()
			}
			v.Open(v.rp.AuthorizationURL("openid", providertest.With("response_mode", "form_post")))
			before := len(s.codes())
			v.prove(ada.Email, ada.Password)
			if !script {
				v.Follow(submit)
			}
			if got := v.Text("h1 + form"); got != "Win a car" || v.Text("h1") != "POST, code true" || v.URL() != s.URL+"/callback" {
				t.Errorf("the client shows %q at %s", v.Text("h1"), v.URL())
			}
			if got := len(s.codes()) - before; got != 1 {
				t.Errorf("the client got %d codes", got)
			}
		})
	}
}

// TestBrowserBackButton: who goes back finds the step that is due, and after the
// last one a calm page; sending its form again gives the client nothing more.
func TestBrowserBackButton(t *testing.T) {
	p := providertest.Start(t, providertest.At(time.Now()))
	s := openSite(t)
	rp, ada := p.Client("web", s.at("/callback")), p.Person("ada")
	v := &tour{Page: providertest.Chromium(t)}
	v.Open(rp.AuthorizationURL("openid"))
	v.prove(ada.Email, ada.Password)
	consent := v.URL()
	if status := v.Back(); status != http.StatusOK || v.URL() != consent {
		t.Errorf("back to the sign-in page: status %d at %s, want %s", status, v.URL(), consent)
	}
	form := v.Eval("document.forms[0].outerHTML")
	v.Follow("button[value=allow]")
	if v.Text("h1") != "GET, code true" {
		t.Fatalf("the client shows %s", v.Text("h1"))
	}
	if status := v.Back(); status != http.StatusGone || v.Text("h1") != "This page has expired" {
		t.Errorf("back to the consent page: status %d, %s", status, v.Text("h1"))
	}
	// A browser that had kept the page as it was shows its form.
	v.Eval("document.querySelector('main').innerHTML = " + strconv.Quote(form))
	if status := v.Follow("button[value=allow]"); status != http.StatusGone || v.Text("h1") != "This page has expired" {
		t.Errorf("allowed again: status %d, %s", status, v.Text("h1"))
	}
	if got := len(s.codes()); got != 1 {
		t.Errorf("the client got %d codes", got)
	}
}

// TestBrowserFormActionAllowsTheClient: a browser holds the redirect after a form
// against the page's form-action, and a form that was answered with a client's
// address ends there; the sign-in form of a first party is one, consent another.
func TestBrowserFormActionAllowsTheClient(t *testing.T) {
	p := providertest.Start(t, providertest.At(time.Now()))
	s := openSite(t)
	ours, theirs, ada := p.Client("ours", s.at("/callback"), providertest.FirstParty), p.Client("theirs", s.at("/callback")), p.Person("ada")
	v := &tour{Page: providertest.Chromium(t)}
	arrived := func(from string) {
		t.Helper()
		if got := v.Text("h1"); got != "GET, code true" || !strings.HasPrefix(v.URL(), s.URL) {
			t.Errorf("from the form of %s to %s: %s", from, v.URL(), got)
		}
	}
	v.Open(ours.AuthorizationURL("openid"))
	v.prove(ada.Email, ada.Password)
	arrived("sign-in")
	v.Open(theirs.AuthorizationURL("openid"))
	v.Follow("button[value=allow]")
	arrived("consent")

	v.Open(p.Client("onward", s.at("/onward")).AuthorizationURL("openid"))
	v.Follow("button[value=allow]")
	if !strings.HasPrefix(v.URL(), "http://localhost:") || !strings.Contains(v.URL(), "/page?") {
		t.Errorf("a callback that redirects to another origin: at %s", v.URL())
	}
}
