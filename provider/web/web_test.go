package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// edge is a Web under test with its log.
type edge struct {
	*Web
	log      *bytes.Buffer
	registry *prometheus.Registry
}

func newEdge(t *testing.T, change ...func(*Config)) *edge {
	t.Helper()
	pages, err := templates.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Issuer:         &url.URL{Scheme: "https", Host: "id.example"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	for _, c := range change {
		c(&cfg)
	}
	e := &edge{log: &bytes.Buffer{}, registry: prometheus.NewRegistry()}
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	e.Web, err = New(cfg, Deps{
		Pages: pages, Key: [32]byte{1}, Log: slog.New(slog.NewJSONHandler(e.log, nil)), Registry: e.registry,
		Now: func() time.Time { now = now.Add(time.Millisecond); return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func onHTTP(c *Config) { c.Issuer = &url.URL{Scheme: "http", Host: "localhost:8080", Path: "/auth"} }

// reply is an answer that was read.
type reply struct {
	StatusCode int
	Header     http.Header
	Body       string
	cookies    []*http.Cookie
}

func (r *reply) Cookies() []*http.Cookie { return r.cookies }

// do sends a request through one route.
func (e *edge) do(route Route, r *http.Request) *reply {
	rec := httptest.NewRecorder()
	e.Handle(route).ServeHTTP(rec, r)
	res := rec.Result()
	defer res.Body.Close()
	return &reply{res.StatusCode, res.Header, rec.Body.String(), res.Cookies()}
}

func get(target string) *http.Request { return httptest.NewRequest(http.MethodGet, target, nil) }

func post(target, form string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// event returns the one event that was logged.
func (e *edge) event(t *testing.T) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(e.log.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("logged %d events, want one: %s", len(lines), e.log)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &event); err != nil {
		t.Fatal(err)
	}
	e.log.Reset()
	return event
}

func says(text string) HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func failing(err error) HandlerFunc {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func TestEveryAnswerCarriesTheStandingHeaders(t *testing.T) { // attack cases 53, 55
	want := map[string]string{
		"Cache-Control":             "no-store",
		"Referrer-Policy":           "no-referrer",
		"X-Content-Type-Options":    "nosniff",
		"X-Frame-Options":           "DENY",
		"Strict-Transport-Security": "max-age=31536000",
		"Content-Security-Policy":   sealedPolicy,
	}
	e := newEdge(t)
	for name, res := range map[string]*reply{
		"answer":    e.do(Route{Method: "GET", Path: "/x", Handler: says("hello")}, get("/x")),
		"json":      e.do(Route{Method: "GET", Path: "/x", Dialect: JSON, Handler: failing(storage.ErrNotFound)}, get("/x")),
		"preflight": e.do(Route{Method: "POST", Path: "/x", Dialect: JSON, CORS: Clients, Handler: says("")}, preflight("https://a.example")),
	} {
		for header, value := range want {
			if got := res.Header.Get(header); got != value {
				t.Errorf("%s: %s = %q, want %q", name, header, got, value)
			}
		}
	}
	if got := newEdge(t, onHTTP).do(Route{Method: "GET", Path: "/x", Handler: says("")}, get("/x")).Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("HSTS on an http issuer: %q", got)
	}
}

func TestAPageOpensThePolicyForItselfOnly(t *testing.T) {
	e := newEdge(t)
	page := func(w http.ResponseWriter, r *http.Request) error {
		AllowForm(r.Context(), "https://app.example/callback?x=1")
		AllowForm(r.Context(), "https://app.example/other")
		return e.Page(w, r, http.StatusOK, templates.SignedOut{Base: e.Base(r, "", "")})
	}
	res := e.do(Route{Method: "GET", Path: "/x", Dialect: HTML, Handler: page}, get("/x"))
	policy := res.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'") {
		t.Errorf("policy %q", policy)
	}
	_, rest, _ := strings.Cut(policy, "script-src 'nonce-")
	nonce, _, _ := strings.Cut(rest, "'")
	if len(nonce) < 20 || !strings.Contains(res.Body, `nonce="`+nonce+`"`) {
		t.Errorf("the page's script does not carry the policy's nonce %q", nonce)
	}
	again := e.do(Route{Method: "GET", Path: "/x", Dialect: HTML, Handler: page}, get("/x")).Header.Get("Content-Security-Policy")
	if again == policy {
		t.Error("two answers share a nonce")
	}
}

func TestFormSourceNamesTheScheme(t *testing.T) {
	for target, want := range map[string]string{
		"https://app.example/cb":       "https:",
		"http://127.0.0.1:9/cb":        "http:",
		"http://[::1]:9/cb":            "http:",
		"com.example.app:/cb":          "com.example.app:",
		"com.example.app://cb":         "com.example.app:",
		"/relative":                    "",
		"":                             "",
		"a;script-src *:/b":            "",
		"https://\x00.example/control": "",
	} {
		if got := formSource(target); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

func TestErrorsBecomeAStatusOnce(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		retry  string
	}{
		{fault.Invalid("scope", "is unknown"), 400, ""},
		{errors.Join(errors.New("x"), &fault.Error{Kind: fault.KindForbidden, Message: "no"}), 403, ""},
		{storage.ErrNotFound, 404, ""},
		{storage.ErrConflict, 409, ""},
		{storage.ErrStale, 409, ""},
		{storage.ErrSpent, 410, ""},
		{&http.MaxBytesError{Limit: 1}, 413, ""},
		{fault.TooMany(1500 * time.Millisecond), 429, "2"},
		{fault.Unavailable(3*time.Second, nil), 503, "3"},
		{errors.New("sql: database is closed"), 503, "2"},
		{errors.New("anything"), 500, ""},
	} {
		for _, dialect := range []Dialect{HTML, JSON} {
			e := newEdge(t)
			res := e.do(Route{Method: "GET", Path: "/x", Dialect: dialect, Handler: failing(tc.err)}, get("/x"))
			if res.StatusCode != tc.status || res.Header.Get("Retry-After") != tc.retry {
				t.Errorf("%s, %v: %d, Retry-After %q; want %d, %q", dialect, tc.err, res.StatusCode, res.Header.Get("Retry-After"), tc.status, tc.retry)
			}
			if got := e.event(t)["error"]; got != tc.err.Error() {
				t.Errorf("%s: logged %v, want %v", dialect, got, tc.err)
			}
		}
	}
}

func TestTheCauseIsLoggedAndNeverShown(t *testing.T) {
	for _, dialect := range []Dialect{HTML, JSON, OAuth} {
		e := newEdge(t)
		res := e.do(Route{Method: "GET", Path: "/x", Dialect: dialect, Handler: failing(errors.New("canary in the cause"))}, get("/x"))
		text := res.Body
		id := res.Header.Get("X-Request-ID")
		if strings.Contains(text, "canary") {
			t.Errorf("%s: shows the cause: %s", dialect, text)
		}
		if id == "" || !strings.Contains(text, id) {
			t.Errorf("%s: the answer does not name its request id %q", dialect, id)
		}
		if event := e.event(t); event["request_id"] != id || event["level"] != "ERROR" {
			t.Errorf("%s: event %v", dialect, event)
		}
	}
}

func TestARoutesOwnErrorWriterGoesFirst(t *testing.T) {
	e := newEdge(t)
	own := func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, "own: "+err.Error(), http.StatusTeapot)
	}
	for name, route := range map[string]Route{
		"an error": {Method: "POST", Path: "/x", Dialect: OAuth, Error: own, Handler: failing(storage.ErrNotFound)},
		"a panic":  {Method: "POST", Path: "/x", Dialect: OAuth, Error: own, Handler: func(http.ResponseWriter, *http.Request) error { panic("no") }},
		"bad text": {Method: "POST", Path: "/x", Dialect: OAuth, Error: own, CORS: Clients, Handler: says("")},
	} {
		if res := e.do(route, post("/x", map[bool]string{true: "a=%00", false: ""}[name == "bad text"])); res.StatusCode != http.StatusTeapot {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

func TestAPanicIsAnAnswerAndKeepsItsSecret(t *testing.T) { // attack case 90
	e := newEdge(t)
	res := e.do(Route{Method: "GET", Path: "/x", Dialect: HTML, Handler: func(http.ResponseWriter, *http.Request) error {
		panic("canary-password")
	}}, get("/x"))
	if res.StatusCode != http.StatusInternalServerError || !strings.Contains(res.Body, "Something went wrong on our side") {
		t.Errorf("status %d", res.StatusCode)
	}
	if strings.Contains(e.log.String(), "canary") || !strings.Contains(e.log.String(), "web_test.go") {
		t.Errorf("want the place and not the value: %s", e.log)
	}
	defer func() {
		if recover() == nil {
			t.Error("ErrAbortHandler did not reach the server")
		}
	}()
	e.do(Route{Method: "GET", Path: "/x", Handler: func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }}, get("/x"))
}

func TestDiagnosisIsShownToADeveloperOnly(t *testing.T) {
	d := Diagnosis{Problem: "the redirect differs", Arrived: []string{"http://a/b"}, Registered: []string{"http://a/c"}, Command: "doorstep client update"}
	for _, developer := range []bool{true, false} {
		e := newEdge(t, func(c *Config) { c.Developer = developer })
		err := WithDiagnosis(fault.Invalid("redirect_uri", "is not registered"), d)
		res := e.do(Route{Method: "GET", Path: "/x", Dialect: HTML, Handler: failing(err)}, get("/x"))
		if got := strings.Contains(res.Body, "doorstep client update"); got != developer || res.StatusCode != http.StatusBadRequest {
			t.Errorf("developer %v: shown %v, status %d", developer, got, res.StatusCode)
		}
		logged, _ := e.event(t)["diagnosis"].(map[string]any)
		if logged["command"] != d.Command || logged["problem"] != d.Problem {
			t.Errorf("developer %v: logged %v", developer, logged)
		}
	}
}

func TestMethodsThatARouteDoesNotKnowAreRefused(t *testing.T) {
	e := newEdge(t)
	res := e.do(Route{Method: "GET", Path: "/x", Dialect: JSON, CORS: Clients, Handler: says("")}, post("/x", ""))
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("%d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	if res := e.do(Route{Method: "GET", Path: "/x", Dialect: JSON, CORS: Clients, Handler: says("")}, httptest.NewRequest(http.MethodOptions, "/x", nil)); res.StatusCode == http.StatusOK {
		t.Error("OPTIONS without a preflight ran the handler")
	}
	rec := httptest.NewRecorder()
	e.NotFound().ServeHTTP(rec, get("/nowhere"))
	if rec.Code != 404 || !strings.Contains(rec.Body.String(), "There is nothing here") {
		t.Errorf("no route: %d", rec.Code)
	}
	rec = httptest.NewRecorder()
	e.MethodNotAllowed(Route{Method: "GET", Path: "/", Dialect: HTML}, Route{Method: "POST", Path: "/", Dialect: HTML}).
		ServeHTTP(rec, httptest.NewRequest(http.MethodDelete, "/", nil))
	if rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("other method: %d, Allow %q", rec.Code, rec.Header().Get("Allow"))
	}
}

func TestAnIssuerWithAPathPrefixesEverything(t *testing.T) {
	e := newEdge(t, onHTTP)
	for got, want := range map[string]string{
		e.Issuer():             "http://localhost:8080/auth",
		e.Path(PathSignIn):     "/auth/signin/password",
		e.URL(PathToken):       "http://localhost:8080/auth/oauth2/token",
		e.Path(PathHome):       "/auth/",
		e.URL(PathOAuthServer): "http://localhost:8080/.well-known/oauth-authorization-server/auth", // RFC 8414 section 3
		e.Paths().Assets:       "/auth/assets",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := newEdge(t).Path(PathOAuthServer); got != PathOAuthServer {
		t.Errorf("without a path: %q", got)
	}
}

func TestNewRefusesAnIssuerThatIsNone(t *testing.T) {
	for _, issuer := range []string{"", "id.example", "ftp://id.example", "https://id.example/", "https://id.example?x=1", "https://u@id.example", "https://id.example#f"} {
		u, err := url.Parse(issuer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Issuer: u}, Deps{Registry: prometheus.NewRegistry()}); err == nil {
			t.Errorf("%q was accepted", issuer)
		}
	}
}
