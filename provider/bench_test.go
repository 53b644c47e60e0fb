package provider_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// The hot paths, between the router and the answer, on Postgres: no network, one
// goroutine. Compare ratios on one machine, never figures of two.
func BenchmarkHotPaths(b *testing.B) {
	p := providertest.Start(b, providertest.On(providertest.Postgres(b)))
	p.Resource("https://api.example", "read")
	rp := p.Client("web", providertest.FirstParty, providertest.Scope("read"), func(r *clients.Registration) { r.IDTokenSignedResponseAlg = "ES256" })
	browser := p.Browser().SignIn("ada")
	tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
	refresh := tokens.Refresh
	cookies := browser.Cookies()
	bench := func(name string, ask func() *http.Request, want int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				p.Handler.ServeHTTP(w, ask())
				if w.Code != want {
					b.Fatalf("%d: %s", w.Code, w.Body)
				}
				if name == "refresh" {
					refresh = between(w.Body.String(), `"refresh_token":"`, `"`)
				}
			}
		})
	}
	token := func(form url.Values) *http.Request {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, p.Issuer+"/oauth2/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(rp.ID, rp.Secret)
		return r
	}
	get := func(to string) *http.Request {
		return httptest.NewRequestWithContext(context.Background(), http.MethodGet, to, nil)
	}
	bench("client credentials", func() *http.Request {
		return token(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}, "resource": {"https://api.example"}})
	}, http.StatusOK)
	bench("refresh", func() *http.Request {
		return token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	}, http.StatusOK)
	bench("authorize", func() *http.Request {
		r := get(rp.AuthorizationURL("openid offline_access"))
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return r
	}, http.StatusSeeOther)
	bench("userinfo", func() *http.Request {
		r := get(p.Issuer + "/oauth2/userinfo")
		r.Header.Set("Authorization", "Bearer "+tokens.Access)
		return r
	}, http.StatusOK)
	bench("introspection", func() *http.Request {
		r := token(url.Values{"token": {tokens.Access}})
		r.URL.Path = "/oauth2/introspect"
		return r
	}, http.StatusOK)
	bench("jwks", func() *http.Request { return get(p.Issuer + "/.well-known/jwks.json") }, http.StatusOK)
}

func between(s, after, before string) string {
	_, s, _ = strings.Cut(s, after)
	s, _, _ = strings.Cut(s, before)
	return s
}
