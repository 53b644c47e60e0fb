package provider_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Text that Postgres does not keep, and that no form may carry.
var unkeepable = map[string]string{
	"NUL": "\x00", "NUL inside": "a\x00b", "a lone byte": "\xff", "a cut sequence": "a\xc3", "a surrogate": "\xed\xa0\x80", "too long a form": "\xc0\x80",
}

var fault5xx = regexp.MustCompile(`"status":5\d\d[^}]*`)

// OWASP ASVS 5.0 1.1.1, 2.2.1: NUL and invalid UTF-8 are refused in front, in
// every parameter by its name and value, before a database can be asked.
func TestAttack89UnkeepableTextIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", func(r *clients.Registration) { r.PostLogoutRedirectURIs = []string{"https://web.example/bye"} })
		b := p.Browser().SignIn("ada")
		code := b.Authorize(rp, "openid offline_access")
		signIn := p.Browser().Ask(rp, "openid")
		form := providertest.ReadForm(signIn.Body)

		authorize := must(url.Parse(rp.AuthorizationURL("openid"))).Query()
		for _, more := range []string{"prompt", "max_age", "login_hint", "ui_locales", "acr_values", "response_mode", "id_token_hint", "resource", "display", "claims", "unheard_of", "lang"} {
			authorize.Set(more, "1")
		}
		logout := url.Values{"id_token_hint": {"x"}, "client_id": {"web"}, "post_logout_redirect_uri": {"x"}, "state": {"x"}, "ui_locales": {"x"}, "logout_hint": {"x"}}
		page := url.Values{"i": {"x"}, "lang": {"sv"}}
		token := url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rp.RedirectURI}, "code_verifier": {"x"}, "refresh_token": {"x"},
			"client_id": {rp.ID}, "client_secret": {rp.Secret}, "scope": {"openid"}, "resource": {"x"}, "client_assertion": {"x"}, "unheard_of": {"x"},
		}
		for _, at := range []struct {
			method, path string
			fields       url.Values
		}{
			{http.MethodGet, web.PathAuthorize, authorize}, {http.MethodPost, web.PathAuthorize, authorize},
			{http.MethodGet, web.PathEndSession, logout}, {http.MethodPost, web.PathEndSession, logout},
			{http.MethodPost, web.PathToken, token},
			{http.MethodPost, web.PathUserinfo, url.Values{"access_token": {"x"}}}, {http.MethodGet, web.PathUserinfo, url.Values{"x": {"x"}}},
			{http.MethodGet, web.PathSignIn, page}, {http.MethodGet, web.PathAccount, page}, {http.MethodGet, web.PathConsent, page},
			{http.MethodGet, web.PathSignOut, page}, {http.MethodGet, web.PathHome, page},
			{http.MethodGet, web.PathApps, url.Values{"removed": {"x"}, "lang": {"sv"}}},
			{http.MethodGet, web.PathOpenIDConfiguration, page}, {http.MethodGet, "/nowhere", page},
			{http.MethodPost, form.Action, url.Values{"form_token": form.Fields["form_token"], "identifier": {"x"}}},
			{http.MethodPost, web.PathApps, url.Values{"form_token": form.Fields["form_token"], "client": {"x"}, "session": {"x"}}},
			{http.MethodPost, pathCancel, url.Values{"form_token": form.Fields["form_token"], "i": {"x"}}},
		} {
			wantTextOnly(t, p, at.method, at.path, at.fields)
		}
		wantTextElsewhere(t, p, rp, code)
		if found := fault5xx.FindString(p.Logs()); found != "" {
			t.Errorf("a fault of ours: %s", found)
		}
		rp.Exchange(code).OK() // nothing of all that touched it
	})
}

// wantTextOnly spoils each of the fields in turn, by value and by name.
func wantTextOnly(t *testing.T, p *providertest.P, method, path string, fields url.Values) {
	t.Helper()
	for what, text := range unkeepable {
		for name := range fields {
			for _, spoiled := range []url.Values{{name: {text}}, {name: {fields.Get(name) + text}}, {name + text: {"x"}}} {
				sent := maps.Clone(fields)
				sent.Del(name)
				maps.Copy(sent, spoiled)
				r := rawRequest(t, method, p.URL(path), sent)
				if method == http.MethodGet {
					r = rawRequest(t, method, p.URL(path)+"?"+sent.Encode(), nil)
				}
				if a := p.Send(r); a.Status != http.StatusBadRequest {
					t.Errorf("%s %s with %s in %s: status %d, want 400", method, path, what, name, a.Status)
				}
			}
		}
	}
}

// wantTextElsewhere spoils what is no parameter: credentials, paths, headers, cookies.
func wantTextElsewhere(t *testing.T, p *providertest.P, rp *providertest.RP, code string) {
	t.Helper()
	for what, text := range unkeepable {
		for _, basic := range [][2]string{{"web" + text, "x"}, {"web", text}, {url.QueryEscape("web" + text), "x"}, {"web", url.QueryEscape(text)}} {
			r := rp.ExchangeRequest(code)
			r.SetBasicAuth(basic[0], basic[1])
			if a := p.Send(r); a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized {
				t.Errorf("%s in the credentials: %s", what, a)
			}
		}
		for _, path := range []string{"/", "/signin/", "/assets/", "/.well-known/"} {
			if a := p.Get(path + url.PathEscape(text)); a.Status != http.StatusBadRequest && a.Status != http.StatusNotFound {
				t.Errorf("%s in %s: %s", what, path, a)
			}
		}
		if strings.Contains(text, "\x00") {
			continue // no header can hold it (RFC 9110 section 5.5)
		}
		g := guesserAt(t, p, rp, p.Browser())
		g.try("ada@example.com", providertest.Password, "User-Agent", "x"+text, "Accept-Language", text, "X-Request-ID", text).WantStatus(signedOn)
		r := rawRequest(t, http.MethodGet, p.URL(web.PathHome), nil, "User-Agent", text, "Accept-Language", text, "X-Request-ID", text, "X-Forwarded-For", text,
			"Cookie", sessionCookie+"="+text+"; "+browserCookie+"="+text+"; "+deviceCookie+"="+text+"; doorstep_lang="+text)
		p.Send(r).WantStatus(http.StatusOK)
		p.Send(rawRequest(t, http.MethodGet, p.URL(web.PathUserinfo), nil, "Authorization", "Bearer "+text)).WantStatus(http.StatusUnauthorized)
		if a := p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), url.Values{}, "Origin", text)); a.Status >= 500 {
			t.Errorf("%s in Origin: %s", what, a)
		}
	}
}

// must is for what cannot fail in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
