package web

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

func preflight(origin string) *http.Request {
	r := httptest.NewRequest(http.MethodOptions, "/x", nil)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization")
	return r
}

func TestCORSAnswersOnlyWhomTheRouteNames(t *testing.T) { // attack case 55
	const known, foreign = "https://app.example", "https://evil.example"
	allow := func(c *Config) {
		c.AllowOrigin = func(_ *http.Request, origin string) bool { return origin == known }
	}
	for _, tc := range []struct {
		cors   CORS
		origin string
		want   string
	}{
		{None, known, ""},
		{Clients, known, known},
		{Clients, foreign, ""},
		{Clients, "null", ""},
	} {
		e := newEdge(t, allow)
		route := Route{Method: "POST", Path: "/x", Dialect: OAuth, CORS: tc.cors, Handler: says("")}
		request := post("/x", "a=b")
		request.Header.Set("Origin", tc.origin)
		for name, r := range map[string]*http.Request{"preflight": preflight(tc.origin), "request": request} {
			res := e.do(route, r)
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != tc.want {
				t.Errorf("%s, %s from %s: allowed %q, want %q", tc.cors, name, tc.origin, got, tc.want)
			}
			if res.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s, %s from %s: credentials are allowed", tc.cors, name, tc.origin)
			}
			if got := e.event(t)["cors_refused"]; (got == tc.origin) != (tc.cors == Clients && tc.want == "") {
				t.Errorf("%s, %s from %s: logged as refused: %v", tc.cors, name, tc.origin, got)
			}
		}
	}
}

func TestTextThatNoDatabaseKeepsIsRefused(t *testing.T) { // attack case 89
	basic := func(id, secret string) *http.Request {
		r := post("/x", "grant_type=client_credentials")
		r.SetBasicAuth(id, secret)
		return r
	}
	typed := func(kind string) *http.Request {
		r := post("/x", "a=b")
		r.Header.Set("Content-Type", kind)
		return r
	}
	path := get("/x")
	path.URL.Path = "/x\x00"
	for name, tc := range map[string]struct {
		r    *http.Request
		want int
	}{
		"plain":                 {post("/x?i=1", "a=b"), 200},
		"nothing":               {post("/x", ""), 200},
		"NUL in the form":       {post("/x", "a=%00"), 400},
		"NUL in the query":      {get("/x?a=%00"), 400},
		"NUL in a name":         {post("/x", "a%00=1"), 400},
		"NUL in the path":       {path, 400},
		"bad UTF-8":             {post("/x", "a=%ff"), 400},
		"bad UTF-8 in query":    {post("/x?a=%c3%28", ""), 400},
		"overlong UTF-8":        {post("/x", "a=%c0%80"), 400},
		"bad escape":            {post("/x", "a=%zz"), 400},
		"semicolon":             {get("/x?a=1;b=2"), 400},
		"NUL in a password":     {post("/x", "password=a%00b"), 200}, // attack case 63: kept exact
		"bad UTF-8 in it":       {post("/x", "password=%ff"), 400},
		"Basic":                 {basic("app", "secret"), 200},
		"Basic with NUL":        {basic("app\x00", "secret"), 400},
		"Basic with hidden NUL": {basic("app%00", "secret"), 400},
		"Basic with bad UTF-8":  {basic("app", "%ff"), 400},
		"a file":                {typed("multipart/form-data; boundary=x"), 400},
		"JSON":                  {typed("application/json"), 400},
		"no type":               {typed(""), 400},
		"with a charset":        {typed("application/x-www-form-urlencoded; charset=utf-8"), 200},
		"too large":             {post("/x", "a="+strings.Repeat("x", defaultMaxBody)), 413},
		"just fits":             {post("/x", "a="+strings.Repeat("x", defaultMaxBody-2)), 200},
		"very many":             {post("/x", strings.Repeat("a&", 20_000)), 400}, // attack case 87
	} {
		if res := newEdge(t).do(Route{Path: "/x", Dialect: OAuth, Handler: says("")}, tc.r); res.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, tc.want)
		}
	}
}

func TestAJSONRouteKeepsItsBodyAndItsLimit(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.MaxBody = 10 })
	echo := Route{Method: "POST", Path: "/x", Dialect: JSON, Handler: func(w http.ResponseWriter, r *http.Request) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}}
	if res := e.do(echo, post("/x", "a=%00")); res.StatusCode != http.StatusOK || res.Body != "a=%00" {
		t.Errorf("the body was read: %d", res.StatusCode)
	}
	if res := e.do(echo, post("/x", "12345678901")); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", res.StatusCode)
	}
	if res := e.do(echo, post("/x?a=%00", "")); res.StatusCode != http.StatusBadRequest {
		t.Errorf("NUL in the query: %d", res.StatusCode)
	}
}

func TestAddressBelievesTrustedProxiesOnly(t *testing.T) { // attack case 59
	for _, tc := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:1", nil, "192.0.2.1"},
		{"192.0.2.1:1", []string{"203.0.113.9"}, "192.0.2.1"},
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.7, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.7", "203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.7, nonsense"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"[fe80::1%eth0]:1", nil, "fe80::1"},
		{"@", nil, "invalid IP"},
	} {
		e := newEdge(t)
		r := get("/x")
		r.RemoteAddr = tc.remote
		for _, f := range tc.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		for _, spoofed := range []string{"Forwarded", "X_Forwarded_For", "X-Real-Ip", "True-Client-Ip"} {
			r.Header.Set(spoofed, "for=6.6.6.6")
		}
		var got string
		e.do(Route{Path: "/x", Handler: func(_ http.ResponseWriter, r *http.Request) error {
			got = Address(r.Context()).String()
			return nil
		}}, r)
		if got != tc.want {
			t.Errorf("%s %q: %s, want %s", tc.remote, tc.forwarded, got, tc.want)
		}
	}
}

func TestRequestIDComesFromTrustedProxiesOnly(t *testing.T) {
	for _, tc := range []struct {
		remote, id string
		kept       bool
	}{
		{"10.0.0.1:1", "abc-123_x.y", true},
		{"192.0.2.1:1", "abc-123", false},
		{"10.0.0.1:1", "a b", false},
		{"10.0.0.1:1", "<script>", false},
		{"10.0.0.1:1", strings.Repeat("a", 65), false},
		{"10.0.0.1:1", "", false},
	} {
		r := get("/x")
		r.RemoteAddr = tc.remote
		r.Header.Set("X-Request-ID", tc.id)
		got := newEdge(t).do(Route{Path: "/x", Handler: says("")}, r).Header.Get("X-Request-ID")
		if got == "" || (got == tc.id) != tc.kept {
			t.Errorf("%s sent %q: %q", tc.remote, tc.id, got)
		}
	}
}

func TestOneEventTellsOfARequestWithoutItsSecrets(t *testing.T) { // attack case 90
	e := newEdge(t)
	r := post("/x?i=canary-query", "password=canary-password")
	r.RemoteAddr = "192.0.2.77:1"
	r.Header.Set("User-Agent", "canary-agent/1.0")
	r.Header.Set("Cookie", "__Host-doorstep_session=canary-cookie")
	r.Header.Set("Authorization", "Bearer canary-token")
	e.do(Route{Method: "POST", Path: "/x", Dialect: HTML, Handler: func(w http.ResponseWriter, r *http.Request) error {
		Log(r.Context()).Set("client", "app\r\n\x1b[31m")
		Log(r.Context()).Set("client", "app\r\n\x1b[32m")
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}}, r)
	raw := e.log.String()
	if strings.Contains(raw, "canary") || strings.Contains(raw, "192.0.2.77") {
		t.Errorf("the log has what it must not: %s", raw)
	}
	if strings.ContainsAny(strings.TrimSuffix(raw, "\n"), "\r\n\x1b") {
		t.Errorf("the log has raw control characters: %q", raw)
	}
	event := e.event(t)
	for key, want := range map[string]any{"msg": "request", "method": "POST", "route": "/x", "status": 303.0, "ms": 1.0, "client": "app\r\n\x1b[32m"} {
		if event[key] != want {
			t.Errorf("%s = %v, want %v", key, event[key], want)
		}
	}
	if event["address"] == "" || event["agent"] == "" {
		t.Errorf("no hash of address and agent: %v", event)
	}
}

func TestWhatIsLoggedIsBounded(t *testing.T) {
	e := newEdge(t)
	e.do(Route{Path: "/x", Handler: func(_ http.ResponseWriter, r *http.Request) error {
		Log(r.Context()).Set("client", strings.Repeat("x", 100_000))
		return nil
	}}, get("/x"))
	if e.log.Len() > 2*maxLogged {
		t.Errorf("the event has %d bytes", e.log.Len())
	}
	Log(t.Context()).Set("outside", "of a request") // must not panic: services log too
	if b, err := json.Marshal(shorten("a\xff")); err != nil || string(b) != `"a\ufffd"` && string(b) != "\"a\uFFFD\"" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestTheMetricIsLabelledByTemplate(t *testing.T) {
	e := newEdge(t)
	route := Route{Path: "/client/{id}", Dialect: JSON, Handler: failing(storage.ErrNotFound)}
	e.do(route, get("/client/1"))
	e.do(route, get("/client/2"))
	odd := get("/client/3")
	odd.Method = "BREW"
	e.do(route, odd)
	families, err := e.registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "doorstep_http_request_duration_seconds" {
		t.Fatalf("metrics %v, %v", families, err)
	}
	got := map[string]uint64{}
	for _, m := range families[0].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetValue())
		}
		got[strings.Join(labels, " ")] = m.GetHistogram().GetSampleCount()
	}
	if len(got) != 2 || got["404 GET /client/{id}"] != 2 || got["404 other /client/{id}"] != 1 {
		t.Errorf("series %v", got)
	}
}

// That a public document was read is counted and no event; everything else about it is one.
func TestADocumentIsAnEventOnlyWhenThereIsMoreToTell(t *testing.T) {
	origin := func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }
	for name, tc := range map[string]struct {
		handler HandlerFunc
		change  func(r *http.Request)
		level   slog.Level // of the log
		want    string     // the event's level; "" for none
	}{
		"read":                 {handler: says("{}")},
		"read, with debug":     {handler: says("{}"), level: slog.LevelDebug, want: "DEBUG"},
		"unchanged":            {handler: func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNotModified); return nil }},
		"missing":              {handler: failing(storage.ErrNotFound), want: "INFO"},
		"broken":               {handler: failing(errors.New("broken")), want: "ERROR"},
		"a panic":              {handler: func(http.ResponseWriter, *http.Request) error { panic("broken") }, want: "ERROR"},
		"by another site":      {handler: says("{}"), change: origin, want: "INFO"},
		"with another method":  {handler: says("{}"), change: func(r *http.Request) { r.Method = http.MethodPut }, want: "INFO"},
		"with something wrong": {handler: diagnosing, want: "WARN"},
	} {
		e := newEdge(t)
		e.Web.log = slog.New(slog.NewJSONHandler(e.log, &slog.HandlerOptions{Level: tc.level}))
		r := get("/x")
		if tc.change != nil {
			tc.change(r)
		}
		e.do(Route{Method: http.MethodGet, Path: "/x", Dialect: JSON, CORS: Clients, Document: true, Handler: tc.handler}, r)
		switch {
		case tc.want == "" && e.log.Len() > 0:
			t.Errorf("%s: %s", name, e.log)
		case tc.want != "" && e.event(t)["level"] != tc.want:
			t.Errorf("%s: another level than %s", name, tc.want)
		}
		if families, err := e.registry.Gather(); err != nil || len(families) != 1 || families[0].GetMetric()[0].GetHistogram().GetSampleCount() != 1 {
			t.Errorf("%s: not counted: %v, %v", name, families, err)
		}
	}
}

func diagnosing(_ http.ResponseWriter, r *http.Request) error {
	Log(r.Context()).Diagnose(Diagnosis{Problem: "the issuer is another one"})
	return nil
}

// What a document waits for it bounds itself; a handler of any other kind is bounded.
func TestOnlyDocumentsHaveNoDeadline(t *testing.T) {
	for _, document := range []bool{false, true} {
		newEdge(t).do(Route{Method: http.MethodGet, Path: "/x", Dialect: JSON, Document: document, Handler: func(_ http.ResponseWriter, r *http.Request) error {
			if _, limited := r.Context().Deadline(); limited == document {
				t.Errorf("document %v: a deadline: %v", document, limited)
			}
			return nil
		}}, get("/x"))
	}
}

// Who records what happened asks which request it was.
func TestOriginIsTheRequests(t *testing.T) {
	e := newEdge(t)
	var id, address string
	res := e.do(Route{Path: "/x", Handler: func(_ http.ResponseWriter, r *http.Request) error {
		id, address = Origin(r.Context())
		return nil
	}}, get("/x"))
	if id == "" || id != res.Header.Get("X-Request-ID") || address != "192.0.2.1" {
		t.Errorf("request %q from %q, want %q from 192.0.2.1", id, address, res.Header.Get("X-Request-ID"))
	}
	if id, address := Origin(t.Context()); id != "" || address != "" {
		t.Errorf("outside of a request: %q from %q", id, address)
	}
}
