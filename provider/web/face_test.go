package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestWhoGetsJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/html": false, "application/*": false, "application/json5": false, ";;": false,
		"application/json": true, "application/json, */*;q=0.1": true, "text/plain, Application/JSON;q=0.9": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false, "application/json, text/html": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		if got := wantsJSON(r); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

// objects are bodies that a form may come as, and what is wrong with others.
var objects = map[string]string{
	`{}`:                      "",
	`{"a":"b","c":""}`:        "",
	` {"a" : "\u00e5\n"} `:    "",
	`{"password":"a\u0000b"}`: "",
	``:                        "body: is not valid JSON",
	`a=b`:                     "body: is not valid JSON",
	`{"a":"b"} {}`:            "body: is not valid JSON",
	`{"a":"b",}`:              "body: is not valid JSON",
	"{\"a\":\"\xff\"}":        "body: is not valid JSON",
	`null`:                    "body: must be an object",
	`["a"]`:                   "body: must be an object",
	`"a"`:                     "body: must be an object",
	`{"a":1}`:                 "a: must be text",
	`{"a":null}`:              "a: must be text",
	`{"a":["b"]}`:             "a: must be text",
	`{"a":{"b":"c"}}`:         "a: must be text",
	`{"a":"b","a":"b"}`:       "a: is given twice",
	`{"a":"b","\u0061":"c"}`:  "a: is given twice",
	strings.Repeat(`[`, 50):   "body: is not valid JSON",
	`{"a":` + strings.Repeat(`{"a":`, 9) + `"b"` + strings.Repeat("}", 10): "a: must be text",
}

func TestObjectsAreForms(t *testing.T) {
	for body, want := range objects {
		_, err := parseObject([]byte(body))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}

// What is taken is what encoding/json reads, with every name once.
func FuzzObjectsAreForms(f *testing.F) {
	for body := range objects {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := parseObject(body)
		if err != nil {
			return
		}
		var want map[string]string
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("%q is taken: %v", body, err)
		}
		got := map[string]string{}
		for name, values := range form {
			if len(values) != 1 {
				t.Errorf("%q: %q has %d values", body, name, len(values))
			}
			got[name] = values[0]
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q is %v, want %v", body, got, want)
		}
	})
}

// The face of a page, of the way on, and of an error.
func TestFaceOfARoute(t *testing.T) {
	e := newEdge(t)
	route := Route{Method: http.MethodPost, Path: "/step", Dialect: HTML, Face: true, CSRF: true, Fields: []string{"name"}, Handler: func(rw http.ResponseWriter, r *http.Request) error {
		return SeeOther(rw, "/next?of="+r.PostForm.Get("name")+r.Form.Get("q"))
	}}
	send := func(body string, headers ...string) *reply {
		secret := newSecret()
		r := httptest.NewRequest(http.MethodPost, "/step?q=1", strings.NewReader(strings.ReplaceAll(body, "TOKEN", e.FormToken(secret))))
		r.AddCookie(&http.Cookie{Name: e.cookieName(cookieBrowser), Value: secret})
		for name, value := range map[string]string{"Accept": jsonType, "Content-Type": jsonType, "Origin": e.origin} {
			r.Header.Set(name, value)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
			if headers[i+1] == "" {
				r.Header.Del(headers[i])
			}
		}
		return e.do(route, r)
	}
	good := send(`{"form_token":"TOKEN","name":"x"}`)
	if good.StatusCode != http.StatusOK || good.Body != `{"next":"/next?of=x1"}`+"\n" || good.Header.Get("Content-Type") != jsonType || good.Header.Get("Vary") != "Accept" {
		t.Errorf("%d %v %s", good.StatusCode, good.Header, good.Body)
	}
	if a := send("form_token=TOKEN&name=x", "Content-Type", "application/x-www-form-urlencoded"); a.Body != good.Body {
		t.Errorf("a form: %d %s", a.StatusCode, a.Body)
	}
	if a := send("form_token=TOKEN&name=x", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Vary") != "Accept" {
		t.Errorf("a page: %d %s", a.StatusCode, a.Body)
	}
	large := `{"form_token":"TOKEN","name":"` + strings.Repeat("x", defaultMaxBody) + `"}`
	for name, tc := range map[string]struct {
		a      *reply
		status int
		says   string
	}{
		"an unknown name": {send(`{"form_token":"TOKEN","nam":"x"}`), 400, `"field":"nam"`},
		"a name twice":    {send(`{"form_token":"TOKEN","name":"x","name":"y"}`), 400, `"field":"name"`},
		"no text":         {send(`{"form_token":"TOKEN","name":"a\u0000"}`), 400, `"field":"name"`},
		"too large":       {send(large), 413, `"code":"request_entity_too_large"`},
		"no JSON wanted":  {send(`{"form_token":"TOKEN"}`, "Accept", "text/html"), 400, "<html"},
		"no JSON sent":    {send(`{"form_token":"TOKEN"}`, "Content-Type", "text/plain"), 400, `"field":"Content-Type"`},
		"no token":        {send(`{"name":"x"}`), 403, `"code":"other_browser"`},
		"no origin":       {send(`{"form_token":"TOKEN"}`, "Origin", ""), 403, `"status":403`},
		"another origin":  {send(`{"form_token":"TOKEN"}`, "Origin", "https://evil.example"), 403, `"status":403`},
		"a neighbour":     {send(`{"form_token":"TOKEN"}`, "Sec-Fetch-Site", "same-site"), 403, `"status":403`},
	} {
		if tc.a.StatusCode != tc.status || !strings.Contains(tc.a.Body, tc.says) {
			t.Errorf("%s: %d %s", name, tc.a.StatusCode, tc.a.Body)
		}
		if html := name == "no JSON wanted"; html == (tc.a.Header.Get("Content-Type") == ProblemType) {
			t.Errorf("%s: %v", name, tc.a.Header)
		}
	}
	if fields, _ := e.forms.Load("/step"); !slices.Equal(fields.([]string), route.Fields) {
		t.Errorf("fields %v", fields)
	}
}
