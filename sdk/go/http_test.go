package doorstep_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

// RFC 6750 sections 2 and 3.
func TestRequireAnswers(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key := newKey("k1")
	i.publish(key)
	good := i.token(key, nil)
	expired := i.token(key, map[string]any{"exp": i.now.Add(-time.Hour).Unix()})
	readOnly := i.token(key, map[string]any{"scope": "cars:read cars:reserve-nothing"})

	for name, c := range map[string]struct {
		authorization []string
		target        string
		status        int
		challenge     string
	}{
		"good":                  {[]string{"Bearer " + good}, "/", 200, ""},
		"scheme in lower case":  {[]string{"bearer " + good}, "/", 200, ""},
		"nothing":               {nil, "/", 401, "Bearer"},
		"in the query":          {nil, "/?access_token=" + good, 401, "Bearer"},
		"another scheme":        {[]string{"Basic YTpi"}, "/", 401, "Bearer"},
		"DPoP scheme":           {[]string{"DPoP " + good}, "/", 401, "Bearer"},
		"no token":              {[]string{"Bearer "}, "/", 400, `Bearer error="invalid_request", error_description="the token is missing"`},
		"two headers":           {[]string{"Bearer " + good, "Bearer " + good}, "/", 400, `Bearer error="invalid_request", error_description="more than one Authorization header"`},
		"expired":               {[]string{"Bearer " + expired}, "/", 401, `Bearer error="invalid_token", error_description="the token has expired"`},
		"not a token":           {[]string{`Bearer "x`}, "/", 401, `Bearer error="invalid_token", error_description="the token is not a JWT signed with an accepted algorithm"`},
		"without all the scope": {[]string{"Bearer " + readOnly}, "/", 403, `Bearer error="insufficient_scope", error_description="the token does not allow this", scope="cars:read cars:reserve"`},
	} {
		t.Run(name, func(t *testing.T) {
			var seen *doorstep.Claims
			h := i.verifier().Require("cars:read", "cars:reserve")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen, _ = doorstep.FromContext(r.Context())
			}))
			r := httptest.NewRequest(http.MethodPost, c.target, nil)
			for _, value := range c.authorization {
				r.Header.Add("Authorization", value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status || w.Header().Get("WWW-Authenticate") != c.challenge {
				t.Errorf("got %d %q", w.Code, w.Header().Get("WWW-Authenticate"))
			}
			if let := seen != nil; let != (c.status == 200) {
				t.Errorf("the handler was reached: %v", let)
			}
			if c.status == 200 {
				if seen.Subject != "p-4711" {
					t.Errorf("subject %q", seen.Subject)
				}
				return
			}
			if w.Header().Get("Cache-Control") != "no-store" || !json.Valid(w.Body.Bytes()) {
				t.Errorf("headers %v, body %q", w.Header(), w.Body)
			}
		})
	}
}

func TestRequireAnswers503WithoutKeys(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	i.down = true
	h := i.verifier().Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let through") }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+i.token(newKey("k1"), nil))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

func TestRequireRefusesWhatIsNoScope(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	defer func() {
		if recover() == nil {
			t.Error("a scope with a quote was taken")
		}
	}()
	i.verifier().Require(`cars"`)
}
