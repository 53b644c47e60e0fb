package provider_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// kids are the ids of the published keys.
func kids(t *testing.T, p *providertest.P) []string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(p.Get(web.PathJWKS).WantStatus(http.StatusOK).Body, &set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

// RFC 7517 section 5, RFC 9110 section 13.1.2: the keys can be cached, and asked for
// only if they changed.
func TestPublishedKeysCanBeCached(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		first := p.Get(web.PathJWKS).WantStatus(http.StatusOK)
		etag := first.Header.Get("ETag")
		if first.Header.Get("Content-Type") != "application/json" || first.Header.Get("Cache-Control") != "public, max-age=900" || len(etag) < 4 || etag[0] != '"' {
			t.Errorf("headers %v", first.Header)
		}
		if n := len(kids(t, p)); n != 3 {
			t.Errorf("%d keys, want one for each of ES256, RS256, EdDSA", n)
		}
		for _, known := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			a := p.Send(rawRequest(t, http.MethodGet, p.URL(web.PathJWKS), nil, "If-None-Match", known)).WantStatus(http.StatusNotModified)
			if len(a.Body) != 0 || a.Header.Get("ETag") != etag || a.Header.Get("Cache-Control") != "public, max-age=900" {
				t.Errorf("If-None-Match %s: %v %q", known, a.Header, a.Body)
			}
		}
		p.Send(rawRequest(t, http.MethodGet, p.URL(web.PathJWKS), nil, "If-None-Match", `"other"`)).WantStatus(http.StatusOK)
		rotate(t, p, "ES256")
		p.Send(rawRequest(t, http.MethodGet, p.URL(web.PathJWKS), nil, "If-None-Match", etag)).WantStatus(http.StatusOK)
	})
}

// RFC 9110 section 13.1.2: so can the metadata, at both of its addresses; HEAD tells
// of it without sending it.
func TestMetadataCanBeCached(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	for _, path := range []string{web.PathOpenIDConfiguration, web.PathOAuthServer} {
		first := p.Get(path).WantStatus(http.StatusOK)
		etag := first.Header.Get("ETag")
		if first.Header.Get("Content-Type") != "application/json" || first.Header.Get("Cache-Control") != "public, max-age=900" || len(etag) < 4 || etag[0] != '"' {
			t.Errorf("%s: headers %v", path, first.Header)
		}
		for _, known := range []string{etag, "W/" + etag, `"other" , ` + etag, "*"} {
			a := p.Send(rawRequest(t, http.MethodGet, p.URL(path), nil, "If-None-Match", known)).WantStatus(http.StatusNotModified)
			if len(a.Body) != 0 || a.Header.Get("ETag") != etag || a.Header.Get("Cache-Control") != "public, max-age=900" {
				t.Errorf("If-None-Match %s: %v %q", known, a.Header, a.Body)
			}
		}
		for _, other := range []string{`"other"`, etag[1:], "", "W/*"} {
			p.Send(rawRequest(t, http.MethodGet, p.URL(path), nil, "If-None-Match", other)).WantStatus(http.StatusOK)
		}
		head := p.Send(rawRequest(t, http.MethodHead, p.URL(path), nil)).WantStatus(http.StatusOK)
		if len(head.Body) != 0 || head.Header.Get("ETag") != etag || head.Header.Get("Content-Length") != strconv.Itoa(len(first.Body)) {
			t.Errorf("HEAD %s: %v %q", path, head.Header, head.Body)
		}
	}
}

// A document whose path needs no matching is found without the router, and answers
// as the router would have it: HEAD still goes by that.
func TestDocumentsAnswerAsRouted(t *testing.T) {
	t.Parallel()
	// With related origins, or that document is not there.
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) { c.Passkey.Origins = []string{"https://shop.example"} }))
	found := 0
	for _, route := range p.Routes {
		if !route.Document || strings.Contains(route.Path, "{") {
			continue
		}
		found++
		get := p.Get(route.Path).WantStatus(http.StatusOK)
		head := p.Send(rawRequest(t, http.MethodHead, p.URL(route.Path), nil)).WantStatus(http.StatusOK)
		for _, a := range []*providertest.Answer{get, head} {
			a.Header.Del("Date")
			a.Header.Del("X-Request-Id")
		}
		if !maps.EqualFunc(get.Header, head.Header, slices.Equal) {
			t.Errorf("%s: GET answers with %v, HEAD with %v", route.Path, get.Header, head.Header)
		}
		for _, other := range []string{"/" + route.Path, route.Path + "/", strings.Replace(route.Path, "w", "%77", 1)} {
			p.Get(other).WantStatus(http.StatusNotFound)
		}
		p.Send(rawRequest(t, http.MethodPut, p.URL(route.Path), nil)).WantStatus(http.StatusMethodNotAllowed)
		p.Send(rawRequest(t, http.MethodGet, p.URL(route.Path+"?a=%00"), nil)).WantStatus(http.StatusBadRequest)
	}
	if found != 4 {
		t.Errorf("%d documents, want both addresses of the metadata, the key set and the related origins", found)
	}
}

func rotate(t *testing.T, p *providertest.P, alg string) {
	t.Helper()
	err := p.Store.Together(t.Context(), func(ctx context.Context) error {
		_, err := p.Keys.Rotate(ctx, alg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(4 * time.Second) // caches notice
}

// OIDC Core section 10.1.1: the next key is published before it signs, the old one
// until its last token is over; as a hint its tokens count for longer.
func TestKeysRotateWithoutAGap(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty, bye, func(r *clients.Registration) { r.IDTokenSignedResponseAlg = "ES256" })
		browser := p.Browser().SignIn("ada")
		sign := func() *providertest.Tokens { return rp.Exchange(browser.Authorize(rp, "openid")).OK() }
		signer := func(tokens *providertest.Tokens) string {
			kid, _ := p.Verify(tokens.Access).Header["kid"].(string)
			return kid
		}
		before := kids(t, p)
		old := signer(sign())

		rotate(t, p, "ES256")
		published := kids(t, p)
		if len(published) != len(before)+1 {
			t.Fatalf("%d keys published, want the next one too", len(published))
		}
		next := published[slices.IndexFunc(published, func(kid string) bool { return !slices.Contains(before, kid) })]
		if got := signer(sign()); got != old {
			t.Errorf("%s signs at once: nobody who cached the keys knows it", got)
		}
		p.Clock.Advance(15*time.Minute - 2*time.Second) // as old as a copy may be, of a server that noticed late
		last := sign()
		if got := signer(last); got != old {
			t.Errorf("%s signs before every cached copy has lapsed", got)
		}
		p.Clock.Advance(4 * time.Second)
		if got := signer(sign()); got != next {
			t.Errorf("%s signs after the wait, want %s", got, next)
		}
		p.Userinfo(last.Access).WantStatus(http.StatusOK)
		p.Clock.Advance(10*time.Minute - 5*time.Second) // the last second of its life
		p.Userinfo(last.Access).WantStatus(http.StatusOK)
		if !slices.Contains(kids(t, p), old) {
			t.Error("the old key left before its last token")
		}
		p.Clock.Advance(25 * time.Hour)
		if slices.Contains(kids(t, p), old) {
			t.Error("the old key is published for ever")
		}
		hint := endSessionURL(p, "id_token_hint", last.ID, "post_logout_redirect_uri", "https://web.example/bye")
		if to := browser.Next(browser.Get(hint)); to != "https://web.example/bye" {
			t.Errorf("a hint of the retired key leads to %s", to)
		}
		p.Clock.Advance(401 * 24 * time.Hour)
		wantOwnPage(t, "a hint of a forgotten key", browser.Get(hint))
	})
}

// RFC 8414 section 2, OIDC Discovery section 3: one document at two places, any page
// may read it, and it names what is there.
func TestMetadataNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		a := p.Get(web.PathOpenIDConfiguration).WantStatus(http.StatusOK)
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "public, max-age=900" {
			t.Errorf("headers %v", a.Header)
		}
		if other := p.Get(web.PathOAuthServer).WantStatus(http.StatusOK); string(other.Body) != string(a.Body) {
			t.Error("the two documents differ")
		}
		for name, value := range a.JSON() {
			at, ok := value.(string)
			switch {
			case !ok:
				continue
			case name == "issuer":
				if at != p.Issuer {
					t.Errorf("the issuer is %q, want %q", at, p.Issuer)
				}
				continue
			}
			if status := p.Send(rawRequest(t, http.MethodGet, at, nil)).Status; status == http.StatusNotFound || !strings.HasPrefix(at, p.Issuer+"/") {
				t.Errorf("%s: %s answers %d", name, at, status)
			}
		}
		// The issuer is the configured one, whatever the request says (RFC 9700 section 4.4).
		forged := rawRequest(t, http.MethodGet, p.URL(web.PathOpenIDConfiguration), nil, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https")
		forged.Host = "evil.example"
		if got := p.Send(forged).WantStatus(http.StatusOK); string(got.Body) != string(a.Body) {
			t.Errorf("another Host header: %s", got.Body)
		}
	})
}

// An issuer with a path serves everything below it, but for RFC 8414's document,
// whose well-known part stands before the path (section 3).
func TestAnIssuerWithAPathServesEverythingBelowIt(t *testing.T) {
	t.Parallel()
	below := providertest.Configure(func(c *provider.Config) { c.Issuer.Path = "/id/eu" })
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		origin := p.Issuer
		p.Issuer += "/id/eu"
		get := func(at string) *providertest.Answer { return p.Send(rawRequest(t, http.MethodGet, at, nil)) }
		metadata := get(p.Issuer + "/.well-known/openid-configuration").WantStatus(http.StatusOK).JSON()
		if got := get(origin + "/.well-known/oauth-authorization-server/id/eu").WantStatus(http.StatusOK).JSON(); got["issuer"] != p.Issuer || metadata["issuer"] != p.Issuer {
			t.Errorf("issuer %v and %v, want %s", got["issuer"], metadata["issuer"], p.Issuer)
		}
		for _, elsewhere := range []string{
			origin + "/.well-known/openid-configuration", p.Issuer + "/.well-known/oauth-authorization-server", origin + "/.well-known/oauth-authorization-server",
			origin + "/oauth2/authorize", origin + "/oauth2/userinfo", origin + "/signin/password", p.Issuer + "/x/.well-known/openid-configuration",
		} {
			get(elsewhere).WantStatus(http.StatusNotFound)
		}
		rp := p.Client("web", bye)
		browser := p.Browser().SignIn("ada")
		tokens := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
		if iss := p.Verify(tokens.ID).Claims["iss"]; iss != p.Issuer {
			t.Errorf("iss %v", iss)
		}
		p.Userinfo(rp.Refresh(tokens.Refresh).OK().Access).WantStatus(http.StatusOK)
		if page := p.Browser().Walk(rp, rp.AuthorizationURL("openid")); !strings.Contains(string(page.Body), `"/id/eu/assets/`) {
			t.Errorf("a page without its files: %s", page.Body)
		}
		left := browser.Next(browser.Get(endSessionURL(p, "id_token_hint", tokens.ID)))
		if left != origin+"/id/eu/signed-out" {
			t.Errorf("after the sign-out: %s", left)
		}
		get(left).WantStatus(http.StatusOK)
	}, below)
}

// RFC 9110 sections 9.3.2 and 15.5.6: HEAD is GET without a body; another method is
// 405 with those that there are.
func TestMethods(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web", providertest.FirstParty)
	for _, at := range []string{
		p.URL(web.PathOpenIDConfiguration), p.URL(web.PathOAuthServer), p.URL(web.PathJWKS), p.URL(web.PathSignedOut), p.URL(web.PathUserinfo),
		rp.AuthorizationURL("openid"), p.URL("/assets/missing"), p.URL("/missing"),
	} {
		get, head := p.Send(rawRequest(t, http.MethodGet, at, nil)), p.Send(rawRequest(t, http.MethodHead, at, nil))
		if head.Status != get.Status || len(head.Body) != 0 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || head.Header.Get("Cache-Control") != get.Header.Get("Cache-Control") {
			t.Errorf("HEAD %s: %d %v, GET %d %v", at, head.Status, head.Header, get.Status, get.Header)
		}
	}
	for path, allow := range map[string]string{
		web.PathToken: "OPTIONS, POST", web.PathUserinfo: "GET, HEAD, OPTIONS, POST", web.PathAuthorize: "GET, HEAD, POST", web.PathEndSession: "GET, HEAD, POST",
		web.PathOpenIDConfiguration: "GET, HEAD, OPTIONS", web.PathOAuthServer: "GET, HEAD, OPTIONS", web.PathJWKS: "GET, HEAD, OPTIONS",
		web.PathSignIn: "GET, HEAD, POST", web.PathHome: "GET, HEAD", "/elsewhere/.well-known/openid-configuration": "GET, HEAD, OPTIONS",
	} {
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, "PROPFIND"} {
			a := p.Send(rawRequest(t, method, p.URL(path), nil))
			if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q, want 405 and %q", method, path, a.Status, a.Header.Get("Allow"), allow)
			}
		}
	}
	if a := p.Get(web.PathToken); a.Status != http.StatusMethodNotAllowed || a.JSON()["error"] != "invalid_request" {
		t.Errorf("GET at the token endpoint: %s", a)
	}
}

// preflight is what a browser asks before a page's request.
func preflight(t *testing.T, at, origin, method string) *http.Request {
	t.Helper()
	return rawRequest(t, http.MethodOptions, at, nil, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type")
}

// Fetch section 3.2: pages of registered redirects may call the token-style
// endpoints, any page may read the documents, and no page the rest.
func TestPagesOfRegisteredRedirectsMayCall(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		spa := p.Client("spa", providertest.Public, providertest.FirstParty)
		const own, foreign = "https://spa.example", "https://evil.example"
		shared := func(a *providertest.Answer) string { return a.Header.Get("Access-Control-Allow-Origin") }
		for path, method := range map[string]string{web.PathToken: http.MethodPost, web.PathRevoke: http.MethodPost, web.PathUserinfo: http.MethodGet} {
			a := p.Send(preflight(t, p.URL(path), own, method))
			if a.Status/100 != 2 || shared(a) != own || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), method) ||
				!strings.Contains(strings.ToLower(a.Header.Get("Access-Control-Allow-Headers")), "authorization") || a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("preflight of %s: %d %v", path, a.Status, a.Header)
			}
			for _, origin := range []string{foreign, "null", own + ".evil.example", "http://spa.example", own + ":8443", "https://SPA.example/"} {
				if a := p.Send(preflight(t, p.URL(path), origin, method)); shared(a) != "" {
					t.Errorf("preflight of %s from %s: %v", path, origin, a.Header)
				}
			}
		}
		tokens := spa.Exchange(p.Browser().SignIn("ada").Authorize(spa, "openid")).OK()
		r := rawRequest(t, http.MethodGet, p.URL(web.PathUserinfo), nil, "Authorization", "Bearer "+tokens.Access, "Origin", own)
		a := p.Send(r).WantStatus(http.StatusOK)
		if shared(a) != own || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") || !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "Www-Authenticate") {
			t.Errorf("userinfo from %s: %v", own, a.Header)
		}
		r.Header.Set("Origin", foreign)
		if a := p.Send(r); shared(a) != "" {
			t.Errorf("userinfo from %s: %v", foreign, a.Header)
		}
		refused := rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", spa.ID), "Origin", own)
		if a := p.Send(refused).WantError("invalid_grant"); shared(a) != own {
			t.Errorf("the page cannot read what was wrong: %v", a.Header)
		}
		for _, path := range []string{web.PathOpenIDConfiguration, web.PathOAuthServer, web.PathJWKS} {
			for origin, want := range map[string]string{own: own, foreign: ""} {
				for _, r := range []*http.Request{preflight(t, p.URL(path), origin, http.MethodGet), rawRequest(t, http.MethodGet, p.URL(path), nil, "Origin", origin)} {
					if a := p.Send(r); shared(a) != want || a.Status/100 != 2 {
						t.Errorf("%s %s from %s: %d %v", r.Method, path, origin, a.Status, a.Header)
					}
				}
			}
		}
		for _, path := range []string{web.PathAuthorize, web.PathEndSession, web.PathIntrospect, web.PathSignIn, web.PathConsent, web.PathHome, web.PathSignedOut} {
			for _, r := range []*http.Request{preflight(t, p.URL(path), own, http.MethodGet), rawRequest(t, http.MethodGet, p.URL(path), nil, "Origin", own)} {
				if a := p.Send(r); strings.Contains(names(anyOf(a.Header)), "Access-Control") {
					t.Errorf("%s %s: %v", r.Method, path, a.Header)
				}
			}
		}
	})
}

func anyOf(h http.Header) map[string]any {
	out := map[string]any{}
	for name, values := range h {
		out[name] = values
	}
	return out
}
