package provider_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// The same for the JSON face: no page of another site sends to it, neither with what its
// browser lets it send unasked, a body of text that reads as JSON, nor in any other way;
// nor may one read it.
func TestAttack51ForeignJSONIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		b := p.Browser().SignIn("ada")
		rp := p.Client("web")
		b.Authorize(rp, "openid")
		s := &script{t: t, p: p, b: b, seen: map[string]bool{}}
		s.open(web.PathSignOut, "signout")
		stranger := &script{t: t, p: p, b: p.Browser().SignIn("bob"), seen: map[string]bool{}}
		stranger.b.Authorize(rp, "openid")
		stranger.open(web.PathSignOut, "signout")

		good := func() *http.Request {
			return s.sends("form", "decision", "signout", "session", s.dig("who.id"))
		}
		from := func(r *http.Request, origin, site string) {
			for name, value := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site} {
				r.Header.Del(name)
				if value != "" {
					r.Header.Set(name, value)
				}
			}
		}
		says := func(r *http.Request, body string) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		for how, tc := range map[string]struct {
			change func(*http.Request)
			status int
		}{
			"text that reads as JSON": {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, http.StatusBadRequest},
			"text that reads as JSON, from another site": {func(r *http.Request) {
				from(r, "https://evil.example", "cross-site")
				r.Header.Set("Content-Type", "text/plain")
			}, http.StatusForbidden},
			"no type":         {func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusBadRequest},
			"JSON for a page": {func(r *http.Request) { r.Header.Set("Accept", "*/*") }, http.StatusBadRequest},
			"no token":        {func(r *http.Request) { says(r, `{"decision":"signout","session":"`+s.dig("who.id")+`"}`) }, http.StatusForbidden},
			"another browser's token": {func(r *http.Request) {
				says(r, `{"form_token":"`+stranger.dig("form.token")+`","decision":"signout","session":"`+s.dig("who.id")+`"}`)
			}, http.StatusForbidden},
			"the token in the URL": {func(r *http.Request) {
				says(r, `{"decision":"signout"}`)
				r.URL.RawQuery = "form_token=" + s.dig("form.token")
			}, http.StatusForbidden},
			"another origin":               {func(r *http.Request) { from(r, "https://evil.example", "cross-site") }, http.StatusForbidden},
			"another origin, lying site":   {func(r *http.Request) { from(r, "https://evil.example", "same-origin") }, http.StatusForbidden},
			"an origin that is null":       {func(r *http.Request) { from(r, "null", "") }, http.StatusForbidden},
			"a neighbour":                  {func(r *http.Request) { from(r, "", "same-site") }, http.StatusForbidden},
			"nobody says where it is from": {func(r *http.Request) { from(r, "", "") }, http.StatusForbidden},
		} {
			r := good()
			tc.change(r)
			if a := b.Send(r); a.Status != tc.status || len(a.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %s %v, want status %d and no cookie", how, a, a.Header.Values("Set-Cookie"), tc.status)
			}
		}
		for how, origin := range map[string][2]string{"another site": {"", "cross-site"}, "a neighbour": {"", "same-site"}, "another origin": {"https://evil.example", ""}} {
			r := s.request(http.MethodGet, web.PathSignOut, "")
			from(r, origin[0], origin[1])
			if a := b.Send(r).WantStatus(http.StatusForbidden); strings.Contains(string(a.Body), "ada@") || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s reads %s", how, a.Body)
			}
		}
		preflight := s.request(http.MethodOptions, web.PathSignOut, "")
		from(preflight, "https://evil.example", "cross-site")
		if a := b.Send(preflight); a.Status < 400 || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("a preflight: %s", a)
		}
		s.open(web.PathSignOut, "signout") // still signed in
		s.wantNext(s.send("form", "decision", "signout", "session", s.dig("who.id")), web.PathSignedOut)
	})
}
