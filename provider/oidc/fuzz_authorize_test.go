package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Whatever a query holds, the authorization endpoint answers without a fault of
// ours, and leads to a registered redirect or a page of ours and nowhere else
// (RFC 9700 section 4.11).
func FuzzAuthorizeLeadsNowhereElse(f *testing.F) {
	p := providertest.Start(f)
	rp := p.Client("web", providertest.FirstParty, func(r *clients.Registration) {
		r.ResponseModes, r.Legacy = []string{"query", "form_post"}, true
		r.GrantTypes, r.ResponseTypes = append(r.GrantTypes, "implicit"), []string{"code", "id_token", "code id_token"}
	})
	browser := p.Browser().SignIn("ada")
	browser.Authorize(rp, "openid")
	whole, err := url.Parse(rp.AuthorizationURL("openid", providertest.With("state", "s"), providertest.With("nonce", "n")))
	if err != nil {
		f.Fatal(err)
	}
	cookies, endpoint := browser.Cookies(), p.URL(web.PathAuthorize)
	evil := "https%3A%2F%2Fevil.example"
	for _, seed := range []string{
		whole.RawQuery, whole.RawQuery + "&prompt=none", whole.RawQuery + "&prompt=login+consent", whole.RawQuery + "&response_mode=form_post", whole.RawQuery + "&max_age=0",
		whole.RawQuery + "&redirect_uri=" + evil, strings.Replace(whole.RawQuery, "web.example", "evil.example", 1), whole.RawQuery + "&resource=x&resource=" + evil,
		"", "i=x", "i=0198c0de-0000-7000-8000-000000000000", "client_id=web", "client_id=web&redirect_uri=" + evil, "client_id=web&redirect_uri=" + evil + "&prompt=none&state=%00",
		"client_id=web&redirect_uri=https%3A%2F%2Fweb.example%2Fcallback&response_type=token&scope=%22", "client_id=web&scope=email&response_type=code", "%zz", "a;b", "client_id=%ff",
		whole.RawQuery + "&claims=" + url.QueryEscape(`{"userinfo":{"email":{"essential":true}},"id_token":{"acr":{"values":["aal1","x"]},"sub":{"value":"p_x"}}}`),
		whole.RawQuery + "&claims=" + url.QueryEscape(`{"id_token":{"name":{"value":"\u0000"}}}`), whole.RawQuery + "&claims=%7B", whole.RawQuery + "&claims=" + url.QueryEscape(`{"id_token":{"acr":{"essential":true,"value":1e999}}}`),
		strings.Replace(whole.RawQuery, "response_type=code", "response_type=code+id_token", 1),
		"client_id=web&redirect_uri=https%3A%2F%2Fweb.example%2Fcallback%23f", "client_id=web&redirect_uri=//evil.example&lang=sv", "client_id=web&acr_values=aal9&ui_locales=%C3%A9",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, known := range [][]*http.Cookie{nil, cookies} { // nobody, and somebody signed in
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, endpoint, nil)
			r.URL.RawQuery = query
			for _, c := range known {
				r.AddCookie(c)
			}
			w := httptest.NewRecorder()
			p.Handler.ServeHTTP(w, r)
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("%q: %d %s", query, w.Code, w.Body)
			}
			to := w.Header().Get("Location")
			if form := providertest.ReadForm(w.Body.Bytes()); form != nil {
				to = form.Action + "?"
			}
			switch {
			case to == "", strings.HasPrefix(to, rp.RedirectURI+"?"), strings.HasPrefix(to, rp.RedirectURI+"#"), strings.HasPrefix(to, "/signin/"):
			default:
				t.Errorf("%q leads to %s", query, to)
			}
		}
	})
}
