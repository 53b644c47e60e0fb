package signin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// TestBrowserSignsInAndOut: a real browser lets our forms through to a client
// of another origin, though it says "Origin: null" with them and holds every
// redirect against form-action; with script and without.
func TestBrowserSignsInAndOut(t *testing.T) {
	for _, script := range []string{"with script", "without script"} {
		t.Run(script, func(t *testing.T) {
			client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, err := w.Write([]byte(`<link rel="icon" href="data:,"><h1>` + map[bool]string{true: "got a code", false: "got none"}[r.URL.Query().Has("code")] + `</h1>`))
				if err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(client.Close)
			p := providertest.Start(t, providertest.At(time.Now()))
			rp := p.Client("shop", func(r *clients.Registration) {
				r.RedirectURIs = []string{client.URL + "/callback"}
				r.PostLogoutRedirectURIs = []string{client.URL + "/bye"}
			})
			person := p.Person("ada")
			page := providertest.Chromium(t)
			if script == "without script" {
				page.WithoutScript()
			}
			status := func(want, got int) {
				t.Helper()
				if got != want {
					t.Fatalf("status %d at %s, want %d: %s", got, page.URL(), want, page.Text("h1"))
				}
			}
			status(200, page.Open(rp.AuthorizationURL("openid email")))
			status(200, page.Follow("form[action*='/signin/cancel'] button"))
			if got := page.Text("h1"); got != "got none" || !strings.Contains(page.URL(), "error=access_denied") {
				t.Fatalf("went back to %s: %s", page.URL(), got)
			}
			status(200, page.Open(rp.AuthorizationURL("openid email")))
			page.Fill("#identifier", person.Email)
			page.Fill("#password", "not the password")
			status(422, page.Follow("button[type=submit].primary"))
			page.Fill("#password", person.Password)
			status(200, page.Follow("button[type=submit].primary"))
			status(200, page.Follow("button[value=allow]"))
			if got := page.Text("h1"); got != "got a code" || !strings.HasPrefix(page.URL(), client.URL) {
				t.Fatalf("at %s: %s", page.URL(), got)
			}
			status(200, page.Open(p.URL("/oauth2/end_session?client_id=shop&post_logout_redirect_uri="+client.URL+"/bye")))
			status(200, page.Follow("button[value=signout]"))
			if !strings.HasPrefix(page.URL(), client.URL+"/bye") {
				t.Errorf("signed out at %s", page.URL())
			}
			status(200, page.Open(p.URL("/")))
			if page.Has(`a[href$="/signout"]`) {
				t.Error("still signed in")
			}
		})
	}
}
