package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// browserOf lets e give a browser its cookie, and returns its secret.
func browserOf(t *testing.T, e *edge) (secret string, cookies []*http.Cookie) {
	t.Helper()
	res := e.do(Route{Path: "/x", Dialect: HTML, Handler: func(w http.ResponseWriter, r *http.Request) error {
		secret = e.Browser(w, r)
		if again := e.Browser(w, r); again != secret {
			t.Errorf("two secrets in one request: %s, %s", secret, again)
		}
		return nil
	}}, get("/x"))
	return secret, res.Cookies()
}

func TestCookiesAreOutOfReach(t *testing.T) { // attack case 55
	e := newEdge(t)
	_, cookies := browserOf(t, e)
	if len(cookies) != 1 {
		t.Fatalf("cookies %v, want one", cookies)
	}
	c := cookies[0]
	if c.Name != "__Host-doorstep_browser" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	if _, cookies = browserOf(t, newEdge(t, onHTTP)); cookies[0].Name != "doorstep_browser" || cookies[0].Secure || !cookies[0].HttpOnly {
		t.Errorf("on loopback: %+v", cookies[0])
	}
}

func TestABrowserKeepsItsSecret(t *testing.T) {
	e := newEdge(t)
	secret, cookies := browserOf(t, e)
	if len(secret) != 43 {
		t.Errorf("secret of %d characters, want 256 bits", len(secret))
	}
	for value, kept := range map[string]bool{secret: true, "short": false, secret[:42] + "!": false} {
		r := get("/x")
		r.AddCookie(&http.Cookie{Name: cookies[0].Name, Value: value})
		var got, known string
		res := e.do(Route{Path: "/x", Handler: func(w http.ResponseWriter, r *http.Request) error {
			known, got = e.KnownBrowser(r), e.Browser(w, r)
			return nil
		}}, r)
		if (got == value) != kept || (known == value) != kept || (len(res.Cookies()) == 0) != kept {
			t.Errorf("%q: got %q, known %q, new cookies %v", value, got, known, res.Cookies())
		}
	}
}

func TestAFormNeedsItsTokenAndItsOrigin(t *testing.T) { // attack case 51
	type header = map[string]string
	for name, tc := range map[string]struct {
		headers header
		token   string // "" is the right one
		nobody  bool
		want    int
	}{
		"a program with both":            {nil, "", false, 200},
		"our own page":                   {header{"Origin": "https://id.example", "Sec-Fetch-Site": "same-origin"}, "", false, 200},
		"our own page with no-referrer":  {header{"Origin": "null", "Sec-Fetch-Site": "same-origin"}, "", false, 200},
		"an old browser":                 {header{"Origin": "https://id.example"}, "", false, 200},
		"no token":                       {nil, "none", false, 403},
		"another browser's token":        {nil, "foreign", false, 403},
		"no cookie":                      {nil, "", true, 403},
		"no cookie, token of no cookie":  {nil, "empty", true, 403},
		"Origin: null":                   {header{"Origin": "null"}, "", false, 403},
		"null and cross-site":            {header{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "", false, 403},
		"http of the same host":          {header{"Origin": "http://id.example"}, "", false, 403},
		"the same, said to be same-site": {header{"Origin": "http://id.example", "Sec-Fetch-Site": "same-origin"}, "", false, 403},
		"another port":                   {header{"Origin": "https://id.example:8443"}, "", false, 403},
		"another site":                   {header{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, "", false, 403},
		"a sibling":                      {header{"Sec-Fetch-Site": "same-site"}, "", false, 403},
	} {
		e := newEdge(t)
		secret, cookies := browserOf(t, e)
		other, _ := browserOf(t, e)
		token := e.FormToken(secret)
		switch tc.token {
		case "none":
			token = ""
		case "foreign":
			token = e.FormToken(other)
		case "empty":
			token = e.FormToken("")
		}
		r := post("/x", url.Values{fieldToken: {token}}.Encode())
		r.Host = "id.example"
		if !tc.nobody {
			r.AddCookie(cookies[0])
		}
		for k, v := range tc.headers {
			r.Header.Set(k, v)
		}
		if res := e.do(Route{Method: "POST", Path: "/x", Dialect: HTML, CSRF: true, Handler: says("")}, r); res.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, tc.want)
		}
	}
}

func TestATokenInTheQueryIsNone(t *testing.T) {
	e := newEdge(t)
	secret, cookies := browserOf(t, e)
	r := post("/x?"+fieldToken+"="+e.FormToken(secret), "a=b")
	r.AddCookie(cookies[0])
	if res := e.do(Route{Method: "POST", Path: "/x", Dialect: HTML, CSRF: true, Handler: says("")}, r); res.StatusCode != http.StatusForbidden {
		t.Errorf("a token that stands in URLs was taken: %d", res.StatusCode)
	}
}

// roundTrip sets cookies with set and reads them with read in the next request.
func roundTrip(e *edge, set func(http.ResponseWriter), change func(string) string, read func(*http.Request)) []*http.Cookie {
	res := e.do(Route{Path: "/x", Handler: func(w http.ResponseWriter, _ *http.Request) error { set(w); return nil }}, get("/x"))
	r := get("/x")
	for _, c := range res.Cookies() {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: change(c.Value)})
	}
	e.do(Route{Path: "/x", Handler: func(_ http.ResponseWriter, r *http.Request) error { read(r); return nil }}, r)
	return res.Cookies()
}

func same(s string) string { return s }

func TestSessionsAreAListOfAtMostFive(t *testing.T) {
	e := newEdge(t)
	for _, tc := range []struct{ set, want []string }{
		{[]string{"one", "two"}, []string{"one", "two"}},
		{[]string{"1", "2", "3", "4", "5", "6"}, []string{"1", "2", "3", "4", "5"}},
		{[]string{strings.Repeat("x", 200), "two"}, []string{"two"}},
		{nil, nil},
	} {
		var got []string
		cookies := roundTrip(e, func(w http.ResponseWriter) { e.SetSessions(w, tc.set) }, same, func(r *http.Request) { got = e.Sessions(r) })
		if strings.Join(got, " ") != strings.Join(tc.want, " ") {
			t.Errorf("%v: got %v, want %v", tc.set, got, tc.want)
		}
		if removed := cookies[0].MaxAge < 0; removed != (tc.set == nil) {
			t.Errorf("%v: max-age %d", tc.set, cookies[0].MaxAge)
		}
	}
}

func TestADeviceCannotBeMadeUp(t *testing.T) {
	e := newEdge(t)
	id, other := storage.NewID(), storage.NewID()
	for name, tc := range map[string]struct {
		change func(string) string
		want   storage.ID
	}{
		"as set":        {same, id},
		"another id":    {func(s string) string { return strings.Replace(s, string(id), string(other), 1) }, ""},
		"no signature":  {func(string) string { return string(id) }, ""},
		"cut signature": {func(s string) string { return s[:len(s)-1] }, ""},
		"form token":    {func(string) string { return string(id) + "." + e.FormToken(string(id)) }, ""},
		"no id":         {func(string) string { return "x." + e.deviceMAC("x") }, ""},
		"nothing":       {func(string) string { return "" }, ""},
	} {
		var got storage.ID
		cookies := roundTrip(e, func(w http.ResponseWriter) { e.SetDevice(w, id) }, tc.change, func(r *http.Request) { got = e.Device(r) })
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		if cookies[0].MaxAge != 400*24*60*60 {
			t.Errorf("max-age %d, want 400 days", cookies[0].MaxAge)
		}
	}
}

func TestTheLanguageIsThePersonsOwnChoiceFirst(t *testing.T) {
	for _, tc := range []struct{ query, cookie, ui, stored, accept, want string }{
		{"", "", "", "", "", "en"},
		{"", "", "", "", "sv", "sv"},
		{"", "", "", "es", "sv", "es"},
		{"", "", "sv", "es", "en", "sv"},
		{"", "es", "sv", "sv", "sv", "es"},
		{"sv", "es", "en", "es", "en", "sv"},
		{"tlh", "", "", "", "es", "es"},
		{"", "<x>", "", "", "es", "es"},
	} {
		e := newEdge(t)
		r := get("/x?lang=" + url.QueryEscape(tc.query))
		if tc.cookie != "" {
			r.AddCookie(&http.Cookie{Name: "__Host-doorstep_lang", Value: tc.cookie})
		}
		r.Header.Set("Accept-Language", tc.accept)
		var got string
		e.do(Route{Path: "/x", Handler: func(_ http.ResponseWriter, r *http.Request) error {
			got = e.Language(r, tc.ui, tc.stored)
			return nil
		}}, r)
		if got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

func TestAFooterLinkIsKeptUntilTheBrowserCloses(t *testing.T) {
	e := newEdge(t)
	page := Route{Method: "GET", Path: "/x", Dialect: HTML, Handler: func(w http.ResponseWriter, r *http.Request) error {
		return e.Page(w, r, 200, templates.SignedOut{Base: e.Base(r, "", "")})
	}}
	first := e.do(page, get("/x?i=7")).Body
	if !strings.Contains(first, `href="?i=7&amp;lang=sv"`) || strings.Contains(first, "lang=en") {
		t.Errorf("no link to the other languages in %s", first)
	}
	res := e.do(page, get("/x?i=7&lang=sv"))
	if got := res.Body; !strings.Contains(got, `<html lang="sv">`) {
		t.Error("the link does not change the language")
	}
	cookies := res.Cookies()
	if len(cookies) != 1 || cookies[0].Value != "sv" || cookies[0].MaxAge != 0 {
		t.Fatalf("cookies %v", cookies)
	}
	for _, bad := range []string{"tlh", "", "%0d%0aX:1"} {
		if res := e.do(page, get("/x?lang="+bad)); len(res.Cookies()) != 0 {
			t.Errorf("%q was kept", bad)
		}
	}
}

func TestAssetsMayBeKeptForeverByTheirHash(t *testing.T) {
	e := newEdge(t)
	for name, want := range map[string]int{"": 404, "nothing.css": 404, "..%2fpages": 404, ".": 404} {
		if res := e.do(e.Assets(), get("/assets/"+name)); res.StatusCode != want || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d, %s", name, res.StatusCode, res.Header.Get("Cache-Control"))
		}
	}
	page := e.do(Route{Path: "/x", Dialect: HTML, Handler: func(w http.ResponseWriter, r *http.Request) error {
		return e.Page(w, r, 200, templates.SignedOut{Base: e.Base(r, "", "")})
	}}, get("/x")).Body
	_, rest, _ := strings.Cut(page, `rel="stylesheet" href="`)
	href, _, _ := strings.Cut(rest, `"`)
	for target, age := range map[string]string{href: "public, max-age=31536000, immutable", "/assets/figtree-LICENSE.txt": "public, max-age=3600"} {
		res := e.do(e.Assets(), get(target))
		if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != age || len(res.Body) < 1000 {
			t.Errorf("%s: %d, %q", target, res.StatusCode, res.Header.Get("Cache-Control"))
		}
	}
	if kind := e.do(e.Assets(), get(href)).Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/css") {
		t.Errorf("stylesheet as %s", kind)
	}
}
