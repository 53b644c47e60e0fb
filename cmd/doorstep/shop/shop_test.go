package shop_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/cmd/doorstep/shop"
)

// visitor is a browser in front of a shop whose provider is fake.
type visitor struct {
	*http.Client
	t    *testing.T
	shop string // its base URL
	op   *fakeProvider
}

func visit(t *testing.T) *visitor {
	t.Helper()
	op := newFakeProvider(t)
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	s, err := shop.New(shop.Config{
		Issuer: op.URL, ClientID: clientID, ClientSecret: clientSecret, BaseURL: base + "/",
		APIAudience: base + "/api", APIScope: apiScope, Now: op.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = s
	server.Start()
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{Client: &http.Client{Jar: jar}, t: t, shop: base, op: op}
}

// get opens a page of the shop, goes wherever it leads, and returns where that was.
func (v *visitor) get(path string) (landed string, status int, body string) {
	v.t.Helper()
	res, err := v.Get(v.shop + path)
	return v.read(res, err)
}

func (v *visitor) post(path string) (landed string, status int, body string) {
	v.t.Helper()
	res, err := v.PostForm(v.shop+path, nil)
	return v.read(res, err)
}

func (v *visitor) read(res *http.Response, err error) (string, int, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.TrimPrefix(res.Request.URL.String(), v.shop), res.StatusCode, string(body)
}

func (v *visitor) signIn() {
	v.t.Helper()
	if landed, status, _ := v.get("/login"); landed != "/me" || status != 200 {
		v.t.Fatalf("signing in ended at %s with %d", landed, status)
	}
}

// wants fails the test unless body holds every text.
func (v *visitor) wants(body string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(body, text) {
			v.t.Errorf("the page lacks %q:\n%s", text, body)
		}
	}
}

func TestBrowseSignInReserveSignOut(t *testing.T) {
	v := visit(t)
	_, _, body := v.get("/")
	v.wants(body, `id="sign-in"`, `href="/cars/wren"`, `href="/cars/pip"`)
	_, _, body = v.get("/cars/wren")
	v.wants(body, `id="reserve" href="/login?next=%2fcars%2fwren"`)

	landed, status, body := v.get("/login?next=/cars/wren")
	if landed != "/cars/wren" || status != 200 {
		t.Fatalf("signing in ended at %s with %d", landed, status)
	}
	v.wants(body, `<button class="main" id="reserve">`, `id="sign-out"`, ">Ada<")
	asked := v.op.authorize
	if asked.Get("scope") != "openid profile email cars:reserve" || asked.Get("response_type") != "code" ||
		asked.Get("code_challenge_method") != "S256" || asked.Get("nonce") == "" || asked.Get("state") == "" ||
		asked.Get("redirect_uri") != v.shop+"/callback" || !slices.Equal(asked["resource"], []string{v.op.URL, v.shop + "/api"}) {
		t.Errorf("authorization request: %v", asked)
	}

	_, _, body = v.get("/me")
	v.wants(body, `id="who"`, "Ada Lovelace", "ada@example.com", subject, `id="proof"`, "Two different proofs", "aal2",
		"A password and a one-time code", "3 minutes ago, on 1 March at 11:57 UTC", "&#34;nonce&#34;")

	landed, status, body = v.post("/cars/wren/reserve")
	if !strings.HasPrefix(landed, "/reservations/FM-") || status != 200 {
		t.Fatalf("reserving ended at %s with %d: %s", landed, status, body)
	}
	v.wants(body, `id="reservation"`, "The Wren is held for you", "Tuesday 3 March, 12:00 UTC", subject, v.shop+"/api", apiScope)
	_, _, body = v.get("/me")
	v.wants(body, landed)

	landed, _, body = v.post("/logout")
	if !strings.HasPrefix(landed, "/?state=") {
		t.Errorf("signing out ended at %s", landed)
	}
	v.wants(body, `id="signed-out"`, `id="sign-in"`)
	if v.op.ended.Get("post_logout_redirect_uri") != v.shop+"/" || v.op.ended.Get("client_id") != clientID ||
		len(strings.Split(v.op.ended.Get("id_token_hint"), ".")) != 3 {
		t.Errorf("logout request: %v", v.op.ended)
	}
	if _, _, body = v.get(landed); strings.Contains(body, `id="signed-out"`) {
		t.Error("the notice came twice")
	}
}

// Signing out ends the session on the server: whoever kept the cookie has nothing.
func TestASessionEndsWithSigningOut(t *testing.T) {
	v := visit(t)
	v.signIn()
	home, err := url.Parse(v.shop)
	if err != nil {
		t.Fatal(err)
	}
	kept := v.Jar.Cookies(home)
	v.post("/logout")
	v.Jar.SetCookies(home, kept)
	if _, _, body := v.get("/"); !strings.Contains(body, `id="sign-in"`) {
		t.Error("the session outlived signing out")
	}
}

func TestOnlyOnesOwnSignOutIsTold(t *testing.T) {
	v := visit(t)
	v.signIn()
	v.CheckRedirect = func(r *http.Request, _ []*http.Request) error { return http.ErrUseLastResponse }
	v.post("/logout")
	for _, path := range []string{"/", "/?state=", "/?state=other"} {
		if _, _, body := v.get(path); strings.Contains(body, `id="signed-out"`) {
			t.Errorf("%s tells of a sign-out that did not come back", path)
		}
	}
}

// A token is refreshed when it is about to end, with the refresh token that came last.
func TestReserveRefreshesTheToken(t *testing.T) {
	v := visit(t)
	v.signIn()
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {time.Minute, 1}, {8*time.Minute + 29*time.Second, 1}, {time.Second, 2}, {time.Hour, 3}} {
		v.op.set(func() { v.op.now = v.op.now.Add(step.after) })
		if landed, _, body := v.post("/cars/pip/reserve"); !strings.HasPrefix(landed, "/reservations/") {
			t.Fatalf("landed at %s: %s", landed, body)
		}
		if v.op.refreshes != step.want {
			t.Errorf("%v later: %d refreshes, want %d", step.after, v.op.refreshes, step.want)
		}
	}
}

func TestReserveReplacesATokenThatTheAPIRefusesOnce(t *testing.T) {
	v := visit(t)
	v.signIn()
	v.op.set(func() { v.op.spoiled = 1 })
	if landed, _, body := v.post("/cars/pip/reserve"); !strings.HasPrefix(landed, "/reservations/") {
		t.Errorf("landed at %s: %s", landed, body)
	}
	v.op.set(func() { v.op.spoiled, v.op.now, v.op.refreshes = 99, v.op.now.Add(time.Hour), 0 })
	_, status, body := v.post("/cars/pip/reserve")
	if status != 502 || v.op.refreshes != 2 {
		t.Errorf("status %d after %d refreshes", status, v.op.refreshes)
	}
	v.wants(body, "The car is not reserved", `id="again" href="/cars/pip"`)
}

func TestReserveAfterTheSignInEnded(t *testing.T) {
	v := visit(t)
	v.signIn()
	v.op.set(func() { v.op.refresh = "" })
	_, status, body := v.post("/cars/pip/reserve")
	if status != 403 {
		t.Errorf("status %d", status)
	}
	v.wants(body, "Your sign-in has ended", `href="/login?next=/cars/pip"`, `id="sign-in"`)
}

func TestReserveNeedsASession(t *testing.T) {
	v := visit(t)
	if landed, _, _ := v.post("/cars/pip/reserve"); landed != "/cars/pip" {
		t.Errorf("landed at %s", landed) // by way of the provider
	}
	if v.op.refreshes != 0 {
		t.Error("something was reserved")
	}
}

// OpenID Connect Core section 5.3.2.
func TestUserInfoAboutSomebodyElseIsNotBelieved(t *testing.T) {
	v := visit(t)
	v.op.set(func() { v.op.claims = map[string]any{"sub": "p-1"} }) // userinfo still tells of p-4711
	v.signIn()
	if _, _, body := v.get("/me"); strings.Contains(body, "Ada") {
		t.Errorf("the page is about somebody else:\n%s", body)
	}
}

// The shop lives without userinfo, and without acr, amr and auth_time.
func TestALittleKnownVisitor(t *testing.T) {
	v := visit(t)
	v.op.set(func() {
		v.op.anonymous = true
		v.op.claims = map[string]any{"acr": nil, "amr": nil, "auth_time": nil}
	})
	v.signIn()
	_, _, body := v.get("/me")
	v.wants(body, "Hello, friend.", subject, "The provider did not say")
	if strings.Contains(body, "ada@example.com") || strings.Contains(body, "auth_time") && strings.Contains(body, "ago, on") {
		t.Errorf("the page knows too much:\n%s", body)
	}
}

// OpenID Connect Core section 3.1.2.6.
func TestErrorResponsesAreShownCalmly(t *testing.T) {
	for code, want := range map[string]string{
		"access_denied":           "that is fine",
		"login_required":          "ask you something first",
		"temporarily_unavailable": "having a moment",
		"<b>odd":                  "turned our request down (&lt;b&gt;odd)",
	} {
		v := visit(t)
		v.op.answer = map[string]string{"code": "", "error": code}
		landed, status, body := v.get("/login")
		if !strings.HasPrefix(landed, "/callback?") || status != 200 {
			t.Errorf("%s: landed at %s with %d", code, landed, status)
		}
		v.wants(body, "You are not signed in", want, `id="again"`, `id="sign-in"`)
	}
}

// RFC 6749 section 10.12, RFC 9207 section 2.4, OpenID Connect Core section 3.1.3.7.
func TestCallbackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(op *fakeProvider)
		status int
		want   string
	}{
		"another state": {func(op *fakeProvider) { op.answer = map[string]string{"state": "other"} }, 400, "not one that we know"},
		"no state":      {func(op *fakeProvider) { op.answer = map[string]string{"state": ""} }, 400, "not one that we know"},
		"no iss":        {func(op *fakeProvider) { op.answer = map[string]string{"iss": ""} }, 400, "came from somewhere else"},
		"another iss":   {func(op *fakeProvider) { op.answer = map[string]string{"iss": "https://evil.example"} }, 400, "came from somewhere else"},
		"another iss, unannounced": {func(op *fakeProvider) {
			op.silentIss, op.answer = true, map[string]string{"iss": "https://evil.example"}
		}, 400, "came from somewhere else"},
		"an error from another iss": {func(op *fakeProvider) {
			op.answer = map[string]string{"iss": "https://evil.example", "code": "", "error": "access_denied"}
		}, 400, "came from somewhere else"},
		"another code":     {func(op *fakeProvider) { op.answer = map[string]string{"code": "stolen"} }, 502, "could not finish"},
		"another nonce":    {func(op *fakeProvider) { op.claims = map[string]any{"nonce": "other"} }, 502, "could not finish"},
		"another audience": {func(op *fakeProvider) { op.claims = map[string]any{"aud": "other"} }, 502, "could not finish"},
		"an expired token": {func(op *fakeProvider) { op.claims = map[string]any{"exp": op.now.Add(-time.Hour).Unix()} }, 502, "could not finish"},
		"a wrong at_hash":  {func(op *fakeProvider) { op.claims = map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"} }, 502, "could not finish"},
		"another issuer":   {func(op *fakeProvider) { op.claims = map[string]any{"iss": "https://evil.example"} }, 502, "could not finish"},
	} {
		t.Run(name, func(t *testing.T) {
			v := visit(t)
			c.set(v.op)
			landed, status, body := v.get("/login")
			if !strings.HasPrefix(landed, "/callback?") || status != c.status {
				t.Errorf("landed at %s with %d", landed, status)
			}
			v.wants(body, c.want, `id="sign-in"`)
		})
	}
	t.Run("iss is not needed where it is not announced", func(t *testing.T) {
		v := visit(t)
		v.op.silentIss, v.op.answer = true, map[string]string{"iss": ""}
		v.signIn()
	})
}

func TestCallbackTakesAnAnswerOnceAndFromItsBrowserOnly(t *testing.T) {
	v := visit(t)
	var answer string
	v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			answer = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}
	v.get("/login")
	v.CheckRedirect = nil
	home, err := url.Parse(v.shop)
	if err != nil {
		t.Fatal(err)
	}
	kept := v.Jar.Cookies(home)
	stranger := &visitor{Client: &http.Client{}, t: t, shop: v.shop, op: v.op}
	if _, status, _ := stranger.get(answer); status != 400 {
		t.Errorf("another browser got %d", status)
	}
	if _, status, _ := v.get(answer + "&scope=a&scope=b"); status != 400 {
		t.Errorf("a repeated parameter got %d", status)
	}
	v.Jar.SetCookies(home, kept)
	if _, status, body := v.get(answer); status != 400 {
		t.Errorf("a spent answer got %d: %s", status, body)
	}
	v.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			v.op.set(func() { v.op.now = v.op.now.Add(15 * time.Minute) })
		}
		return nil
	}
	if _, status, _ := v.get("/login"); status != 400 {
		t.Errorf("a sign-in of a quarter of an hour got %d", status)
	}
}

func TestLoginReturnsToCarsOnly(t *testing.T) {
	for _, next := range []string{"https://evil.example/", "//evil.example", "/cars/none", "/logout", "/cars/../logout", ""} {
		v := visit(t)
		if landed, _, _ := v.get("/login?next=" + url.QueryEscape(next)); landed != "/me" {
			t.Errorf("next=%s landed at %s", next, landed)
		}
	}
}

func TestTheShopOpensBeforeItsProvider(t *testing.T) {
	v := visit(t)
	v.op.set(func() { v.op.down = true })
	if _, status, _ := v.get("/"); status != 200 {
		t.Errorf("the cars: %d", status)
	}
	_, status, body := v.get("/login")
	if status != 503 {
		t.Errorf("status %d", status)
	}
	v.wants(body, "not open yet", `id="again" href="/login"`)
	v.op.set(func() { v.op.down = false })
	v.signIn()
}

func TestSignOutWithoutAnEndSessionEndpoint(t *testing.T) {
	v := visit(t)
	v.op.noLogout = true
	v.signIn()
	landed, _, body := v.post("/logout")
	if !strings.HasPrefix(landed, "/?state=") {
		t.Errorf("landed at %s", landed)
	}
	v.wants(body, `id="signed-out"`, `id="sign-in"`)
}

func TestAnotherSiteCannotPost(t *testing.T) {
	v := visit(t)
	v.signIn()
	for _, path := range []string{"/logout", "/cars/pip/reserve"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.shop+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		res, err := v.Do(r)
		if _, status, body := v.read(res, err); status != 403 || !strings.Contains(body, "did not come from our pages") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if landed, _, _ := v.get("/me"); landed != "/me" || v.op.refreshes != 0 {
		t.Error("something was done all the same")
	}
}

// The API goes by the access token alone: a session's cookie is nothing to it.
func TestTheAPIWantsItsOwnToken(t *testing.T) {
	v := visit(t)
	v.signIn()
	call := func(authorization, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.shop+"/api/reservations", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		res, err := v.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header.Get("WWW-Authenticate")
	}
	token := func(resource, scope string) string {
		v.op.mu.Lock()
		defer v.op.mu.Unlock()
		return "Bearer " + v.op.accessToken(resource, scope)
	}
	good := token(v.shop+"/api", apiScope)
	for name, c := range map[string]struct {
		authorization, body string
		status              int
		challenge           string
	}{
		"cookie only":        {"", `{"car":"pip"}`, 401, "Bearer"},
		"userinfo's token":   {token(v.op.URL, apiScope), `{"car":"pip"}`, 401, "another audience"},
		"another scope":      {token(v.shop+"/api", "cars:read"), `{"car":"pip"}`, 403, `scope="cars:reserve"`},
		"its own":            {good, `{"car":"pip"}`, 201, ""},
		"an unknown car":     {good, `{"car":"none"}`, 404, ""},
		"not JSON":           {good, `car=pip`, 400, ""},
		"more than an order": {good, `{"car":"` + strings.Repeat("x", 1<<10) + `"}`, 400, ""},
	} {
		if status, challenge := call(c.authorization, c.body); status != c.status || !strings.Contains(challenge, c.challenge) {
			t.Errorf("%s: %d %s", name, status, challenge)
		}
	}
}

func TestPagesAreLockedDown(t *testing.T) {
	v := visit(t)
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, status := range map[string]int{"/": 200, "/cars/wren": 200, "/cars/none": 404, "/nowhere": 404, "/me": 303, "/login": 303, "/reservations/FM-1": 303} {
		res, err := v.Get(v.shop + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		if res.StatusCode != status || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
			!strings.Contains(csp, "form-action 'self' "+v.op.URL) || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		for _, c := range res.Cookies() {
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
				t.Errorf("%s: cookie %s", path, c)
			}
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	good := shop.Config{
		Issuer: "http://localhost:8080", ClientID: clientID, ClientSecret: clientSecret, BaseURL: "http://localhost:8081",
		APIAudience: "http://localhost:8081/api", APIScope: apiScope, Now: time.Now,
	}
	if _, err := shop.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*shop.Config){
		"issuer":   func(c *shop.Config) { c.Issuer = "http://id.example.com" },
		"client":   func(c *shop.Config) { c.ClientID = "" },
		"secret":   func(c *shop.Config) { c.ClientSecret = "" },
		"base URL": func(c *shop.Config) { c.BaseURL = "http://localhost:8081/shop" },
		"audience": func(c *shop.Config) { c.APIAudience = "" },
		"scope":    func(c *shop.Config) { c.APIScope = "" },
		"clock":    func(c *shop.Config) { c.Now = nil },
	} {
		bad := good
		spoil(&bad)
		if _, err := shop.New(bad); err == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
}
