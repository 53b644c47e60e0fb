package provider_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// The places that take a form.
var formPaths = []string{web.PathAuthorize, web.PathToken, web.PathUserinfo, web.PathEndSession, web.PathSignIn + "?i=x", web.PathAccount + "?i=x", web.PathConsent + "?i=x", pathCancel + "?i=x", web.PathSignOut}

// OWASP ASVS 5.0 4.2.5, 4.3.1: what is too long, too many or too deep is refused
// before it costs more than its own reading. Slow and long headers: see
// TestAttack87ConnectionsAreBounded.
func TestAttack87TooMuchIsRefusedCheaply(t *testing.T) { // alone: it watches the heap
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		p.Person("ada")
		stop := watchHeap()
		refused := func(what string, a *providertest.Answer, statuses ...int) {
			t.Helper()
			for _, s := range statuses {
				if a.Status == s {
					return
				}
			}
			t.Errorf("%s: %s, want a status of %v", what, a, statuses)
		}
		const bad, large = http.StatusBadRequest, http.StatusRequestEntityTooLarge

		long := strings.Repeat("openid ", 50_000/7)
		refused("50 kB of scope", p.Get(strings.TrimPrefix(rp.AuthorizationURL(long), p.Issuer)), bad)
		refused("50 kB of scope", rp.ClientCredentials(providertest.With("scope", long)).Answer, bad)
		for name, size := range map[string]int{"state": 5000, "nonce": 2000, "login_hint": 5000, "ui_locales": 5000, "acr_values": 5000, "resource": 5000, "redirect_uri": 5000, "unheard_of": 5000} {
			a := p.Get(strings.TrimPrefix(rp.AuthorizationURL("openid", providertest.With(name, strings.Repeat("x", size))), p.Issuer))
			refused(fmt.Sprintf("%d bytes of %s", size, name), a, bad)
		}

		many, same := url.Values{"grant_type": {"client_credentials"}}, url.Values{"grant_type": {"client_credentials"}}
		for i := range 10_000 {
			many.Set(fmt.Sprint(i), "")
			same.Add("resource", "")
		}
		refused("10,000 parameters", p.Send(rp.TokenRequest(many)), bad, large)
		for i := range 5000 {
			many.Del(fmt.Sprint(i))
		}
		refused("5,000 parameters", p.Send(rp.TokenRequest(many)), bad)
		refused("5,000 parameters", p.Get(web.PathAuthorize+"?"+many.Encode()), bad)
		same["resource"] = same["resource"][:1000]
		refused("1,000 times the same", p.Send(rp.TokenRequest(same)), bad)
		refused("1,000 times the same", p.Get(web.PathAuthorize+"?"+same.Encode()), bad)

		body, kind := multipartOf(t, 200_000)
		for _, path := range formPaths {
			r := rawRequest(t, http.MethodPost, p.URL(path), nil)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Type", kind)
			refused("multipart at "+path, p.Send(r), bad)

			r = rawRequest(t, http.MethodPost, p.URL(path), nil, "Content-Type", "application/x-www-form-urlencoded")
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(endless{}, 64<<20)), -1
			if status := shout(t, p, r); status != large {
				t.Errorf("64 MiB at %s: status %d, want %d", path, status, large)
			}
		}

		deep := `{"client_name": ` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`
		if _, err := clients.DecodeRegistration(strings.NewReader(deep)); err == nil {
			t.Error("a registration 10,000 levels deep was read")
		}
		if grown := stop(); grown > 48<<20 {
			t.Errorf("the heap grew by %d MiB", grown>>20)
		}
		rp.ClientCredentials().OK()
	})
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}

func multipartOf(t *testing.T, size int) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, name := range []string{"grant_type", "client_id", "password"} {
		if err := w.WriteField(name, strings.Repeat("x", size/3)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// RFC 8725 sections 3.1 and 3.2: a token is read only when its header is one that
// we write; a decryption, an unpacking or a key of somebody else's is never begun.
func TestAttack88GarbageForATokenIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK()
		for what, token := range garbage(tokens.ID) {
			p.Userinfo(token).WantStatus(http.StatusUnauthorized)
			if token == "" {
				continue
			}
			p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathUserinfo), url.Values{"access_token": {token}})).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
			// A hint that is none hints at nobody (OpenID Connect RP-Initiated Logout section 2).
			if a := p.Get(web.PathEndSession + "?" + url.Values{"id_token_hint": {token}}.Encode()); a.Header.Get("Location") != web.PathSignedOut {
				t.Errorf("%s for a hint: %s", what, a)
			}
			if a := rp.Refresh(token); a.Status != http.StatusBadRequest {
				t.Errorf("%s for a refresh token: %s", what, a)
			}
			if a := rp.Exchange(token); a.Status != http.StatusBadRequest {
				t.Errorf("%s for a code: %s", what, a)
			}
			assertion := url.Values{
				"grant_type": {"client_credentials"}, "client_id": {rp.ID}, "client_assertion": {token},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}
			if a := p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), assertion)); a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized {
				t.Errorf("%s for an assertion: %s", what, a)
			}
		}
		if strings.Contains(p.Logs(), "panic") || fault5xx.MatchString(p.Logs()) {
			t.Error("garbage is a fault of ours")
		}
		p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
	})
}

// garbage is what has the form of a token, and less.
func garbage(signed string) map[string]string {
	enc := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(signed, ".")
	jwe := func(header string) string {
		return strings.Join([]string{enc([]byte(header)), enc([]byte("key")), enc(make([]byte, 12)), enc([]byte("text")), enc(make([]byte, 16))}, ".")
	}
	return map[string]string{
		"nothing":                  "",
		"a dot":                    ".",
		"two dots":                 "..",
		"four dots":                "....",
		"many dots":                strings.Repeat(".", 8000),
		"no base64":                "a b.c d.e f",
		"binary":                   enc([]byte("\x00\xff")) + "." + enc([]byte("\x00")) + "." + enc([]byte("\xff")),
		"2^31 rounds":              jwe(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAAAAAAAAAAAAAAAAAAAA"}`),
		"a zip bomb":               jwe(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`),
		"an empty key":             jwe(`{"alg":"A128KW","enc":"A128GCM"}`),
		"an empty encrypted key":   strings.Join([]string{enc([]byte(`{"alg":"ECDH-ES+A128KW","enc":"A128GCM","epk":{"kty":"EC","crv":"P-256","x":"","y":""}}`)), "", "", "", ""}, "."),
		"no algorithm":             enc([]byte(`{}`)) + "." + parts[1] + "." + parts[2],
		"an array for a header":    enc([]byte(`[]`)) + "." + parts[1] + "." + parts[2],
		"a header that is cut":     parts[0][:10] + "." + parts[1] + "." + parts[2],
		"a deep header":            enc([]byte(`{"alg":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + `}`))[:7000] + "." + parts[1] + ".AAAA",
		"an unknown critical name": enc([]byte(`{"alg":"ES256","crit":["exp"],"exp":1}`)) + "." + parts[1] + "." + parts[2],
		"a key of one's own":       enc([]byte(`{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`)) + "." + parts[1] + "." + parts[2],
		"no payload":               parts[0] + ".." + parts[2],
		"no signature":             parts[0] + "." + parts[1] + ".",
		"a signature of nulls":     parts[0] + "." + parts[1] + "." + enc(make([]byte, 64)),
		"a payload of no JSON":     parts[0] + "." + enc([]byte("null")) + "." + parts[2],
		"JSON serialization":       `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
	}
}
