package signin_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

func TestAPersonSignsInAgreesAndGoesBack(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, databaseURL string) {
		b := open(t, databaseURL).browser()
		path := b.start("")
		page := b.get(path)
		if page.StatusCode != http.StatusOK || !strings.Contains(page.body, `name="identifier"`) || !strings.Contains(page.body, `name="password"`) {
			t.Fatalf("sign-in page: %d %s", page.StatusCode, page.body)
		}
		signedIn := b.signIn(path, " ADA@example.org", rightPassword)
		b.wantStep(signedIn, "/signin/consent")
		if answer := b.finish(b.send(signedIn.to(), "decision", "allow")); answer.Get("code") == "" || answer.Get("state") != "s" {
			t.Errorf("the client got %v", answer)
		}
		if logs := b.Logs(); strings.Contains(logs, rightPassword) || strings.Contains(logs, ada) { // attack case 90
			t.Errorf("the log knows too much: %s", logs)
		}
	})
}

func TestPagesEscapeAndNameTheClientsOrigin(t *testing.T) { // attack cases 20, 54
	b := open(t, providertest.Database(t)).browser()
	path := b.start("ui_locales=sv&login_hint=" + url.QueryEscape(`"><script>alert(1)</script>`))
	page := b.get(path)
	if strings.Contains(page.body, "<b>Shop</b>") || strings.Contains(page.body, "<script>alert") {
		t.Errorf("not escaped: %s", page.body)
	}
	if !strings.Contains(page.body, `<html lang="sv">`) {
		t.Error("not in Swedish")
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https:;") {
		t.Errorf("policy %q", policy)
	}
}

var oneTime = regexp.MustCompile(`nonce="[^"]*"|name="form_token" value="[^"]*"|value="[a-z]+@example.org"|data-passkey="[^"]*"`)

// TestNobodyAndSomebodyGetTheSameAnswer: same page, status, headers, hashes and
// statements, which are counted on Postgres (attack case 57).
func TestNobodyAndSomebodyGetTheSameAnswer(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, databaseURL string) { sameAnswer(t, open(t, databaseURL)) })
}

func sameAnswer(t *testing.T, h *house) {
	t.Helper()
	known := h.browser().signedIn() // its device is known to one account
	disabled := h.person("cyd@example.org", rightPassword)
	must(t, h.Store.DisablePerson(t.Context(), disabled.ID, storage.At(h.Clock.Now())))
	type answer struct {
		status  int
		headers []string
		body    string
		hashes  uint64
		sent    int
	}
	try := func(email, password string) answer {
		b := h.browser()
		b.setCookie("device", known.cookie("device"))
		path := b.start("")
		b.signIn(path, email, "warm up the statements")
		var res *reply
		before := h.Passwords.Hashes()
		sent := h.Statements.During(func() { res = b.signIn(path, email, password) })
		policy := regexp.MustCompile(`nonce-[^']*`).ReplaceAllString(res.Header.Get("Content-Security-Policy"), "")
		headers := append(slices.Sorted(maps.Keys(res.Header)), policy, res.Header.Get("Cache-Control"))
		body := strings.ReplaceAll(oneTime.ReplaceAllString(res.body, ""), path, "")
		_, id, _ := strings.Cut(path, "i=")
		return answer{res.StatusCode, headers, strings.ReplaceAll(body, id, ""), h.Passwords.Hashes() - before, len(sent)}
	}
	want := try(ada, "not her password at all")
	if want.status != http.StatusUnprocessableEntity || want.hashes != 1 || !strings.Contains(want.body, `id="problem"`) {
		t.Errorf("wrong password: %+v", want)
	}
	for _, email := range []string{"eve@example.org", "cyd@example.org"} {
		password := "not a password at all"
		if email == "cyd@example.org" {
			password = rightPassword
		}
		got := try(email, password)
		if got.status != want.status || got.hashes != want.hashes || got.sent != want.sent || got.body != want.body || !slices.Equal(got.headers, want.headers) {
			t.Errorf("%s:\n%+v\nwant\n%+v", email, got, want)
		}
	}
}

func TestGuessingIsSlowedDownForEverybodyAlike(t *testing.T) { // attack cases 58-60
	for _, email := range []string{ada, "eve@example.org"} {
		h := open(t, providertest.Database(t))
		owner := h.browser().signedIn()
		b := h.browser()
		path := b.start("")
		spellings := []string{email, strings.ToUpper(email), " " + email}
		var res *reply
		for i := range 10 {
			res = b.signIn(path, spellings[i%len(spellings)], "guess")
			if res.StatusCode != http.StatusUnprocessableEntity {
				t.Fatalf("%s: try %d: %d", email, i, res.StatusCode)
			}
		}
		for _, spoofed := range []string{"", "203.0.113.1"} {
			page := b.get(path)
			form := url.Values{"form_token": {tokenField.FindStringSubmatch(page.body)[1]}, "identifier": {email}, "password": {rightPassword}}
			res = b.post(path, form, "X-Forwarded-For", spoofed, "Forwarded", "for="+spoofed, "X-Real-IP", spoofed)
			if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(res.body, `id="problem"`) {
				t.Errorf("%s: after ten tries: %d, Retry-After %q", email, res.StatusCode, res.Header.Get("Retry-After"))
			}
		}
		if email != ada {
			continue
		}
		owner.wantStep(owner.signIn(owner.start("prompt=login"), ada, rightPassword), "/signin/consent") // a known device
		h.Clock.Advance(time.Hour)
		b.wantStep(b.signIn(b.start(""), ada, rightPassword), "/signin/consent") // not locked out for good
	}
}

func TestARightPasswordForgivesTheWrongOnes(t *testing.T) {
	h := open(t, providertest.Database(t))
	b := h.browser()
	for range 3 {
		path := b.start("prompt=login")
		for range 8 {
			b.signIn(path, ada, "guess")
		}
		b.setCookie("device", "") // a stranger again, each time
		b.wantStep(b.signIn(path, ada, rightPassword), "/signin/consent")
		b.setCookie("device", "")
	}
}

func TestPasswordsAreExactBytes(t *testing.T) { // attack cases 63, 64
	h := open(t, providertest.Database(t))
	long := strings.Repeat("pä", 100) + "\x00" + strings.Repeat("x", 55)
	h.person(bob, long)
	b := h.browser()
	path := b.start("")
	for name, tc := range map[string]struct {
		password string
		status   int
	}{
		"cut at NUL":      {long[:strings.IndexByte(long, 0)], 422},
		"cut at 72 bytes": {long[:72], 422},
		"other after NUL": {long[:len(long)-1] + "y", 422},
		"with a space":    {long + " ", 422},
		"too long":        {strings.Repeat("x", 2000), 413},
		"a megabyte":      {strings.Repeat("x", 1<<20), 413},
		"nothing":         {"", 422},
	} {
		if res := b.signIn(path, bob, tc.password); res.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, tc.status)
		}
	}
	if res := b.signIn(path, bob, long); res.StatusCode != http.StatusSeeOther {
		t.Errorf("as it was set: %d", res.StatusCode)
	}
}

func TestAStepOfAnotherBrowserIsRefused(t *testing.T) { // attack case 19
	h := open(t, providertest.Database(t))
	path := h.browser().start("")
	stranger := h.browser()
	if res := stranger.get(path); res.StatusCode != http.StatusForbidden || !strings.Contains(res.body, "another browser") {
		t.Errorf("without a cookie: %d", res.StatusCode)
	}
	own := stranger.start("")
	if res := stranger.get(path); res.StatusCode != http.StatusNotFound || !strings.Contains(res.body, "expired") {
		t.Errorf("with its own cookie: %d", res.StatusCode)
	}
	token := tokenField.FindStringSubmatch(stranger.get(own).body)[1]
	if res := stranger.post(path, url.Values{"form_token": {token}, "identifier": {ada}, "password": {rightPassword}}); res.StatusCode != http.StatusNotFound {
		t.Errorf("posting: %d", res.StatusCode)
	}
	for _, id := range []string{"", "x", "..", string(storage.NewID())} {
		if res := stranger.get("/signin/consent?i=" + id); res.StatusCode == http.StatusOK {
			t.Errorf("%q: %d", id, res.StatusCode)
		}
	}
	h.Clock.Advance(31 * time.Minute)
	if res := stranger.get(own); res.StatusCode != http.StatusNotFound {
		t.Errorf("lapsed: %d", res.StatusCode)
	}
}

func TestEveryProofChangesTheSessionsSecret(t *testing.T) { // attack case 50
	b := open(t, providertest.Database(t)).browser()
	planted := strings.Repeat("A", 43)
	b.setCookie("session", planted)
	b.signedIn()
	first := b.cookie("session")
	if first == "" || strings.HasPrefix(first, planted) {
		t.Fatalf("session cookie %q", first)
	}
	first, _, _ = strings.Cut(first, ".")
	b.setCookie("session", first)
	again := b.start("prompt=login")
	if page := b.get(again); strings.Contains(page.body, `id="identifier"`) || !strings.Contains(page.body, ada) {
		t.Errorf("prompt=login: %s", page.body)
	}
	b.wantStep(b.signIn(again, ada, rightPassword), "/signin/consent")
	second := b.cookie("session")
	if second == first || strings.Contains(second, ".") {
		t.Errorf("secret %q became %q, want one new", first, second)
	}
	thief := b.browser()
	thief.setCookie("session", first)
	if page := thief.get("/"); strings.Contains(page.body, "Hello") {
		t.Error("the old secret still opens the session")
	}
}

func TestFormsNeedTheirToken(t *testing.T) { // attack case 51
	b := open(t, providertest.Database(t)).browser()
	path := b.start("")
	form := url.Values{"identifier": {ada}, "password": {rightPassword}, "decision": {"signout"}, "account": {"other"}}
	for _, target := range []string{path, "/signin/consent?i=x", "/signin/account?i=x", "/signout"} {
		if res := b.post(target, form); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s without a token: %d", target, res.StatusCode)
		}
	}
	form.Set("form_token", tokenField.FindStringSubmatch(b.get(path).body)[1])
	for _, origin := range []string{"null", "https://evil.example", strings.Replace(b.base, "http:", "https:", 1)} {
		if res := b.post(path, form, "Origin", origin); res.StatusCode != http.StatusForbidden {
			t.Errorf("from %s: %d", origin, res.StatusCode)
		}
	}
	if b.cookie("session") != "" {
		t.Error("somebody was signed in")
	}
}

func TestNoStepCanBeSkippedOrRepeated(t *testing.T) {
	b := open(t, providertest.Database(t)).browser()
	password := b.start("")
	_, query, _ := strings.Cut(password, "?")
	consent := "/signin/consent?" + query
	b.wantStep(b.get(consent), "/signin/password")
	token := tokenField.FindStringSubmatch(b.get(password).body)[1]
	b.wantStep(b.post(consent, url.Values{"form_token": {token}, "decision": {"allow"}}), "/signin/password")
	b.wantStep(b.signIn(password, ada, rightPassword), "/signin/consent")
	b.wantStep(b.get(password), "/signin/consent")
	if res := b.send(consent, "decision", "perhaps"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a decision that is none: %d", res.StatusCode)
	}
	if got := b.finish(b.send(consent, "decision", "deny")).Get("error"); got != "access_denied" {
		t.Errorf("error %q", got)
	}
	b.wantStep(b.get("/signin/password"), "/") // a bookmark
}

// Only a form of ours goes back: a browser that fetches links ahead, or somebody
// who sends one, ends no sign-in.
func TestOneCanGoBackToTheApp(t *testing.T) {
	b := open(t, providertest.Database(t)).browser()
	goesBack := func(path string) {
		t.Helper()
		_, query, _ := strings.Cut(path, "?")
		cancel := "/signin/cancel?" + query
		page := b.get(path)
		forms := strings.Split(page.body, "<form ")[1:]
		last := forms[len(forms)-1]
		if len(forms) < 2 || !strings.Contains(last, `method="post" action="/auth`+cancel+`"`) {
			t.Fatalf("no way back, or before the step itself: %s", page.body)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequestWithContext(t.Context(), method, b.base+cancel, nil)
			must(t, err)
			if res := b.do(req); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodPost {
				t.Errorf("%s: %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
			}
		}
		token := url.Values{"form_token": tokenField.FindStringSubmatch(last)[1:]}
		if res := b.post(cancel, nil); res.StatusCode != http.StatusForbidden {
			t.Errorf("without the form's token: %d", res.StatusCode)
		}
		stranger := b.browser()
		if res := stranger.post(cancel, token); res.StatusCode != http.StatusForbidden {
			t.Errorf("from another browser: %d", res.StatusCode)
		}
		if res := stranger.post(cancel, stranger.filled(stranger.start(""))); res.StatusCode != http.StatusNotFound {
			t.Errorf("from another browser with its own token: %d", res.StatusCode)
		}
		if res := b.get(path); res.StatusCode != http.StatusOK {
			t.Fatalf("after all that: %d", res.StatusCode)
		}
		if got := b.finish(b.post(cancel, token)).Get("error"); got != "access_denied" {
			t.Errorf("error %q", got)
		}
	}
	goesBack(b.start(""))
	b.signedIn()
	goesBack(b.start("prompt=select_account"))
}

func TestAnAccountIsChosen(t *testing.T) {
	h := open(t, providertest.Database(t))
	h.person(bob, rightPassword)
	b := h.browser().signedIn()
	other := b.start("prompt=select_account")
	b.wantStep(b.send(other, "account", "other"), "/signin/password")
	_, query, _ := strings.Cut(other, "?")
	b.wantStep(b.signIn("/signin/password?"+query, bob, rightPassword), "/signin/consent")
	if n := len(strings.Split(b.cookie("session"), ".")); n != 2 {
		t.Fatalf("%d sessions, want two", n)
	}
	chooser := b.start("prompt=select_account")
	page := b.get(chooser)
	ids := regexp.MustCompile(`name="account" value="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(ids) != 3 || ids[2][1] != "other" || !strings.Contains(page.body, ada) || !strings.Contains(page.body, bob) {
		t.Fatalf("accounts %v", ids)
	}
	for value, status := range map[string]int{"": 400, "x": 404, string(storage.NewID()): 404} {
		if res := b.send(chooser, "account", value); res.StatusCode != status {
			t.Errorf("%q: %d, want %d", value, res.StatusCode, status)
		}
	}
	b.wantStep(b.send(chooser, "account", ids[1][1]), "/signin/consent") // the second one is ada
	if home := b.get("/"); !strings.Contains(home.body, ada) {
		t.Error("ada is not the current one")
	}
}

func TestALinkAloneSignsNobodyOut(t *testing.T) { // attack case 52
	h := open(t, providertest.Database(t))
	b := h.browser().signedIn()
	if home := b.get("/"); !strings.Contains(home.body, ada) || !strings.Contains(home.body, `href="/auth/signout"`) {
		t.Fatalf("front page: %s", home.body)
	}
	if page := b.get("/signout"); page.StatusCode != http.StatusOK || !strings.Contains(page.body, "Sign out?") {
		t.Errorf("asks: %d", page.StatusCode)
	}
	if b.cookie("session") == "" {
		t.Fatal("the link signed out")
	}
	b.wantStep(b.send("/signout", "decision", "stay"), "/")
	if res := b.send("/signout", "decision", ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("no decision: %d", res.StatusCode)
	}
	secret := b.cookie("session")
	otherTab := url.Values{"form_token": {tokenField.FindStringSubmatch(b.get("/signout").body)[1]}, "decision": {"signout"}}
	b.wantStep(b.send("/signout", "decision", "signout"), "/signed-out")
	b.wantStep(b.post("/signout", otherTab), "/signed-out")
	if b.cookie("session") != "" {
		t.Error("the cookie stays")
	}
	b.setCookie("session", secret)
	if home := b.get("/"); strings.Contains(home.body, ada) {
		t.Error("the session lives on")
	}
	b.wantStep(b.get("/signout"), "/signed-out")
	if page := b.get("/signed-out"); page.StatusCode != http.StatusOK || !strings.Contains(page.body, "You are signed out") {
		t.Errorf("signed out: %d", page.StatusCode)
	}
}

func TestAClientsSignOutEndsAtItsProvenAddress(t *testing.T) {
	h := open(t, providertest.Database(t))
	b := h.browser().signedIn()
	path := b.get("/oauth2/end_session?client_id=" + clientID + "&post_logout_redirect_uri=" + url.QueryEscape(leftTo)).to()
	page := b.get(path)
	if !strings.Contains(page.Header.Get("Content-Security-Policy"), "form-action 'self' https:;") {
		t.Errorf("policy %q", page.Header.Get("Content-Security-Policy"))
	}
	if res := h.browser().get(path); res.StatusCode != http.StatusForbidden {
		t.Errorf("another browser: %d", res.StatusCode)
	}
	if res := b.send(path, "decision", "signout"); res.Header.Get("Location") != leftTo || res.StatusCode != http.StatusSeeOther {
		t.Errorf("%d to %s, want %s", res.StatusCode, res.Header.Get("Location"), leftTo)
	}
	if res := b.get(path); res.StatusCode != http.StatusGone {
		t.Errorf("asked again: %d", res.StatusCode)
	}
}
