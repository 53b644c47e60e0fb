package provider_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// secretPost makes a client one that sends its secret in the body.
func secretPost(r *clients.Registration) { r.TokenEndpointAuthMethod = "client_secret_post" }

// basic is the value of an Authorization header.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// percented is s with every byte percent-encoded, as a client may do (RFC 6749
// appendix B).
func percented(s string) string {
	var out strings.Builder
	for _, b := range []byte(s) {
		fmt.Fprintf(&out, "%%%02X", b)
	}
	return out.String()
}

// spent is a token request that is refused with invalid_grant whoever sends it, if
// they are who they say.
func spent(more ...string) url.Values {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"no token"}}
	for i := 0; i < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return form
}

// RFC 6749 section 2.3.1, OIDC Core section 9: a client proves who it is in the way
// that it registered.
func TestClientsProveThemselvesAsTheyRegistered(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		web1, post, spa := p.Client("web.1_x-y"), p.Client("post", secretPost), p.Client("spa", providertest.Public)
		for name, r := range map[string]*http.Request{
			"basic":                        rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", basic(web1.ID, web1.Secret)),
			"basic in another case":        rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", strings.Replace(basic(web1.ID, web1.Secret), "Basic", "bAsIc", 1)),
			"basic, form-encoded":          rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", basic(percented(web1.ID), percented(web1.Secret))),
			"basic, client_id in the body": rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", web1.ID), "Authorization", basic(web1.ID, web1.Secret)),
			"post":                         rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", post.ID, "client_secret", post.Secret)),
			"none":                         rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", spa.ID)),
			"none, a secret without value": rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", spa.ID, "client_secret", "")),
		} {
			if a := p.Send(r); a.Status != http.StatusBadRequest || a.JSON()["error"] != "invalid_grant" {
				t.Errorf("%s: %s, want invalid_grant: the client has proved who it is", name, a)
			}
		}
	})
}

// RFC 6749 section 5.2: 401 with a challenge, and the same answer whatever is wrong,
// so that nobody learns which clients there are.
func TestWhatIsWrongWithAClientIsNotTold(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, post, spa := p.Client("web"), p.Client("post", secretPost), p.Client("spa", providertest.Public)
		first := ""
		for _, c := range []struct {
			name string
			form url.Values
			auth string
		}{
			{"a wrong secret", spent(), basic(rp.ID, "dsk_wrong")},
			{"another client's secret", spent(), basic(rp.ID, post.Secret)},
			{"an empty secret", spent(), basic(rp.ID, "")},
			{"a secret and a byte", spent(), basic(rp.ID, rp.Secret+"x")},
			{"an unknown client", spent(), basic("nobody", rp.Secret)},
			{"an id that none can have", spent(), basic("no body", rp.Secret)},
			{"post for basic", spent("client_id", rp.ID, "client_secret", rp.Secret), ""},
			{"basic for post", spent(), basic(post.ID, post.Secret)},
			{"nothing for basic", spent("client_id", rp.ID), ""},
			{"nothing, unknown", spent("client_id", "nobody"), ""},
			{"basic for none", spent(), basic(spa.ID, "anything")},
			{"post for none", spent("client_id", spa.ID, "client_secret", "anything"), ""},
		} {
			r := rawRequest(t, http.MethodPost, p.URL(web.PathToken), c.form)
			if c.auth != "" {
				r.Header.Set("Authorization", c.auth)
			}
			a := p.Send(r).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
			if got := a.Header.Get("WWW-Authenticate"); got != `Basic realm="`+p.Issuer+`", charset="UTF-8"` {
				t.Errorf("%s: WWW-Authenticate %q", c.name, got)
			}
			if first == "" {
				first = string(a.Body)
			} else if string(a.Body) != first {
				t.Errorf("%s: %s, which differs from %s", c.name, a.Body, first)
			}
		}
	})
}

// RFC 6749 section 2.3: one way at a time, so that nobody can be played against
// another reader of the same request.
func TestAClientProvesItselfInOneWay(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, post := p.Client("web"), p.Client("post", secretPost)
		good := basic(rp.ID, rp.Secret)
		for name, form := range map[string]url.Values{
			"a secret in the body too":   spent("client_id", rp.ID, "client_secret", rp.Secret),
			"an assertion too":           spent("client_assertion", "eyJhbGciOiJub25lIn0.e30."),
			"another client in the body": spent("client_id", post.ID),
		} {
			a := p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), form, "Authorization", good))
			if a.WantError("invalid_request"); a.Status != http.StatusBadRequest {
				t.Errorf("%s: %s", name, a)
			}
		}
		twice := rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", good)
		twice.Header.Add("Authorization", good)
		p.Send(twice).WantStatus(http.StatusBadRequest).WantError("invalid_request")
		for name, header := range map[string]string{
			"bearer": "Bearer abc", "nothing after the scheme": "Basic", "no base64": "Basic !!", "no colon": "Basic " + base64.StdEncoding.EncodeToString([]byte("web")),
			"no form encoding": basic(rp.ID, "%zz"),
		} {
			a := p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent(), "Authorization", header))
			if a.WantError("invalid_client"); a.Status != http.StatusUnauthorized {
				t.Errorf("%s: %s", name, a)
			}
		}
		p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent())).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_assertion", "a.b.c", "client_assertion_type", "x", "client_id", rp.ID))).
			WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	})
}

// A disabled client is as good as unknown, at every door.
func TestADisabledClientIsUnknown(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, other := p.Client("web", providertest.FirstParty), p.Client("other", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		tokens := signedIn(browser, rp)
		code := browser.Authorize(rp, "openid")
		disable(t, p, rp.ID)
		rp.Exchange(code).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		rp.Refresh(tokens.Refresh).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		rp.ClientCredentials().WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		browser.Ask(rp, "openid").WantPage(http.StatusBadRequest)
		browser.Ask(rp, "openid", providertest.With("prompt", "none")).WantPage(http.StatusBadRequest)
		browser.Authorize(other, "openid", providertest.With("prompt", "none"))
	})
}

// RFC 6749 section 5.2 and 3.2: each mistake has its code.
func TestTokenRequestsThatCannotBeServed(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, signInOnly := p.Client("web"), p.Client("plain", func(r *clients.Registration) { r.GrantTypes = []string{"authorization_code"} })
		for _, c := range []struct {
			rp   *providertest.RP
			form url.Values
			code string
		}{
			{rp, url.Values{}, "invalid_request"},
			{rp, url.Values{"grant_type": {""}}, "invalid_request"},
			{rp, url.Values{"grant_type": {"password"}, "username": {"ada@example.com"}, "password": {providertest.Password}}, "unsupported_grant_type"}, // RFC 9700 section 2.4
			{rp, url.Values{"grant_type": {"implicit"}}, "unsupported_grant_type"},
			{rp, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}}, "unsupported_grant_type"},
			{rp, url.Values{"grant_type": {"AUTHORIZATION_CODE"}}, "unsupported_grant_type"},
			{rp, url.Values{"grant_type": {"authorization_code"}}, "invalid_request"},
			{rp, url.Values{"grant_type": {"authorization_code"}, "code": {""}}, "invalid_request"},
			{rp, url.Values{"grant_type": {"authorization_code"}, "code": {"unknown"}}, "invalid_grant"},
			{rp, url.Values{"grant_type": {"refresh_token"}}, "invalid_request"},
			{rp, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"unknown"}}, "invalid_grant"},
			{signInOnly, url.Values{"grant_type": {"client_credentials"}}, "unauthorized_client"},
			{signInOnly, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, "unauthorized_client"},
			{rp, url.Values{"grant_type": {"client_credentials"}, "scope": {strings.Repeat("x", 2049)}}, "invalid_request"},
		} {
			a := p.Send(c.rp.TokenRequest(c.form)).WantStatus(http.StatusBadRequest).WantError(c.code)
			wantPlainDescription(t, a)
			if got := a.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: Content-Type %q", a, got)
			}
		}

		good := url.Values{"grant_type": {"client_credentials"}}
		p.Send(rp.TokenRequest(good)).WantStatus(http.StatusOK)
		inURL := rp.TokenRequest(good)
		inURL.URL.RawQuery = "scope=openid"
		p.Send(inURL).WantStatus(http.StatusBadRequest).WantError("invalid_request")
		for _, kind := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", "", ";"} {
			r := rp.TokenRequest(good)
			r.Header.Set("Content-Type", kind)
			p.Send(r).WantStatus(http.StatusBadRequest).WantError("invalid_request")
		}
		r := rp.TokenRequest(good)
		r.Header.Set("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
		p.Send(r).WantStatus(http.StatusOK)
		// The answer tells all that RFC 6749 section 5.1 names.
		members := p.Send(rp.TokenRequest(good)).JSON()
		if members["token_type"] != "Bearer" || members["expires_in"] != float64(600) || members["refresh_token"] != nil || members["id_token"] != nil {
			t.Errorf("client credentials: %v", members)
		}
	})
}

// disable disables a client, which no command does yet.
func disable(t *testing.T, p *providertest.P, id string) {
	t.Helper()
	c, err := p.Store.Client(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	c.DisabledAt = storage.At(p.Clock.Now())
	if err := p.Store.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(5 * time.Second) // caches notice
}
