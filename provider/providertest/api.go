package providertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/web"
)

// API is a client that speaks to the operators' API.
type API struct {
	*RP
	Token string // of the client, for the API
}

// API registers a client with these scopes of the operators' API and gets its token.
func (p *P) API(id string, scopes ...string) *API {
	p.t.Helper()
	rp := p.Client(id, func(r *clients.Registration) {
		r.GrantTypes, r.RedirectURIs, r.Scope = []string{"client_credentials"}, nil, strings.Join(scopes, " ")
	})
	return &API{RP: rp, Token: rp.ClientCredentials().OK().Access}
}

// WithHeader changes a header of a request.
func WithHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// Request is a request to the operators' API; body is nil for none, a string as it
// is, and anything else as JSON.
func (a *API) Request(method, path string, body any, change ...func(*http.Request)) *http.Request {
	a.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.p.URL(web.PathAPI)+path, reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.Token != "" {
		r.Header.Set("Authorization", "Bearer "+a.Token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		if method == http.MethodPatch {
			r.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// Do sends a request to the operators' API.
func (a *API) Do(method, path string, body any, change ...func(*http.Request)) *Answer {
	a.t.Helper()
	return a.p.do(a.Request(method, path, body, change...))
}

// WantProblem fails the test unless the answer is a problem of RFC 9457 with this
// status, and names this field ("" for none in particular).
func (a *Answer) WantProblem(status int, field string) *Answer {
	a.t.Helper()
	a.WantStatus(status)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("%s: Content-Type %q", a, got)
	}
	var problem struct {
		Status    int    `json:"status"`
		Title     string `json:"title"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
		Errors    []struct {
			Field, Detail string
		} `json:"errors"`
	}
	if err := json.Unmarshal(a.Body, &problem); err != nil {
		a.t.Fatalf("%s: %v", a, err)
	}
	if problem.Status != status || problem.Title == "" || problem.Code == "" || problem.RequestID == "" || problem.RequestID != a.Header.Get("X-Request-Id") {
		a.t.Errorf("%s: an incomplete problem", a)
	}
	if field == "" {
		return a
	}
	for _, e := range problem.Errors {
		if e.Field == field && e.Detail != "" {
			return a
		}
	}
	a.t.Errorf("%s: no field %q is named", a, field)
	return a
}

// Path escapes one element of a path.
func Path(s string) string { return url.PathEscape(s) }
