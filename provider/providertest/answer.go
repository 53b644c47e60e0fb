package providertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Answer is what came back for one request.
type Answer struct {
	t      testing.TB
	what   string
	Status int
	Header http.Header
	Body   []byte
}

func send(t testing.TB, c *http.Client, r *http.Request) *Answer {
	t.Helper()
	a, err := sent(t, c, r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sent is send for goroutines, which cannot end the test.
func sent(t testing.TB, c *http.Client, r *http.Request) (*Answer, error) {
	res, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{t: t, what: r.Method + " " + r.URL.Path, Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// JSON returns the members of the body, which must be a JSON object.
func (a *Answer) JSON() map[string]any {
	a.t.Helper()
	var members map[string]any
	if err := json.Unmarshal(a.Body, &members); err != nil {
		a.t.Fatalf("%s: %v in %s", a, err, a.Body)
	}
	return members
}

// WantStatus fails the test unless the answer has this status.
func (a *Answer) WantStatus(status int) *Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("%s, want status %d", a, status)
	}
	return a
}

// WantError fails the test unless the answer is this OAuth error in the form of
// RFC 6749 section 5.2, or of RFC 6750 section 3 when a resource answers.
func (a *Answer) WantError(code string) *Answer {
	a.t.Helper()
	if challenge := a.Header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Bearer") {
		if !strings.Contains(challenge, `error="`+code+`"`) {
			a.t.Fatalf("%s: challenge %s, want %s", a, challenge, code)
		}
		return a
	}
	if a.Status < 400 || a.Status > 499 {
		a.t.Fatalf("%s, want the error %s", a, code)
	}
	if got := a.JSON()["error"]; got != code {
		a.t.Fatalf("%s: error %v, want %s", a, got, code)
	}
	if got := a.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		a.t.Errorf("%s: Cache-Control %q, want no-store", a, got)
	}
	return a
}

// String says what was asked and answered, in short.
func (a *Answer) String() string {
	body := string(a.Body)
	if len(body) > 500 {
		body = body[:500] + "..."
	}
	return fmt.Sprintf("%s: status %d %s", a.what, a.Status, body)
}
