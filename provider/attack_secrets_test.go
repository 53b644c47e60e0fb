package provider_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// canaries are secrets by what they are, sung wherever they were used.
type canaries map[string]string

func (c canaries) add(what string, secrets ...string) {
	for _, s := range secrets {
		if len(s) >= 8 {
			c[s] = what
		}
	}
}

// wantSilence asks that none of them is in the text.
func (c canaries) wantSilence(t *testing.T, where, text string) {
	t.Helper()
	for secret, what := range c {
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, form) {
				t.Errorf("%s has %s", where, what)
				break
			}
		}
	}
}

// OWASP ASVS 5.0 16.2.5, 14.2.1: what was typed, given out or sent stands in no
// log, metric, event or decision, whether it was right or wrong, in its place or
// not; what is kept of a secret is a hash.
func TestAttack90SecretsAreToldToNobody(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		cars, secrets := p.Client("cars"), canaries{}
		api(t, p, carsAPI, "opaque", cars)
		rp := p.Client("web", providertest.Scope("cars:read"))
		secrets.add("the client's secret", rp.Secret, cars.Secret)
		seen := func(r *http.Request, res *http.Response) {
			for _, c := range res.Cookies() {
				if c.Name != deviceCookie { // an id with its MAC, see below
					secrets.add("the cookie "+c.Name, strings.Split(c.Value, ".")...)
				}
			}
			secrets.add("an address with a code", must(url.Parse(res.Header.Get("Location"))).Query().Get("code"))
		}
		b := p.Browser().Watch(seen).SignIn("ada")
		secrets.add("the password", providertest.Password)
		b.Ask(rp, "openid", providertest.With("scope", "openid nonsense")).WantError("invalid_scope")
		_, mac, _ := strings.Cut(b.Cookie(deviceCookie), ".")
		secrets.add("the device's MAC", mac)

		code := b.Authorize(rp, "openid offline_access")
		tokens := rp.Exchange(code).OK()
		p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
		p.Clock.Advance(time.Minute)
		next := rp.Refresh(tokens.Refresh).OK()
		for _, some := range []*providertest.Tokens{tokens, next} {
			secrets.add("an access token", some.Access)
			secrets.add("an ID token", some.ID)
			secrets.add("a refresh token", some.Refresh)
		}
		opaque := rp.ClientCredentials(resource(carsAPI)).OK()
		secrets.add("an opaque token", opaque.Access)
		for _, token := range []string{opaque.Access, tokens.Access, tokens.ID, next.Refresh, opaque.Access + "x"} {
			cars.Introspect(token)
			cars.Revoke(token)
			rp.Introspect(token)
		}
		wantOver(t, rp.Revoke(opaque.Access))
		form := mistakes(t, p, rp, b, secrets, tokens, code)
		secrets.add("the form token", form)
		b.Send(b.Filled(p.URL(web.PathSignOut), providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
		if len(secrets) < 14 {
			t.Fatalf("only %d secrets were used", len(secrets))
		}

		secrets.wantSilence(t, "the log", p.Logs())
		metrics := httptest.NewRecorder()
		p.Ops.ServeHTTP(metrics, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		if !strings.Contains(metrics.Body.String(), "doorstep_http_request_duration_seconds_count") {
			t.Error("there are no metrics")
		}
		secrets.wantSilence(t, "a metric", metrics.Body.String())
		silent := func(when string, tables map[string]string) {
			t.Helper()
			for table, rows := range tables {
				secrets.wantSilence(t, "the table "+table+when, rows)
			}
			for _, table := range []string{"events", "decisions"} {
				canaries{"127.0.0.1": "an address in the clear"}.wantSilence(t, "the table "+table+when, tables[table])
			}
		}
		tables := providertest.ReadRows(t, database)
		for _, table := range []string{"events", "decisions", "grants", "sessions", "interactions", "clients", "passwords"} {
			if tables[table] == "" {
				t.Errorf("the table %s is empty: this test shows nothing of it", table)
			}
		}
		silent("", tables)
		if n, err := p.Events.Sequence(t.Context()); err != nil || n == 0 {
			t.Fatalf("%d events, %v", n, err)
		}
		silent(" of chained events", providertest.ReadRows(t, database))
		told, err := p.Events.List(t.Context(), events.Filter{}, 0, events.MaxPage)
		if err != nil || len(told.Events) == 0 || told.Events[0].Personal["address"] != "127.0.0.1" {
			t.Fatalf("%+v, %v", told, err)
		}
		secrets.wantSilence(t, "the list of events", string(must(json.Marshal(told))))
		canaries{"127.0.0.1": "an address", "Go-http-client": "a user agent", "ada@example.com": "an e-mail address"}.wantSilence(t, "the log", p.Logs())
	})
}

// mistakes puts secrets where they do not belong, and returns a form's token.
func mistakes(t *testing.T, p *providertest.P, rp *providertest.RP, b *providertest.Browser, secrets canaries, tokens *providertest.Tokens, code string) string {
	t.Helper()
	const typed, name, wrongSecret = "CanaryTypedIntoTheWrongField", "canary@example.com", "dsk_CanaryOfAnotherIssuer"
	secrets.add("what was typed", typed, name)
	secrets.add("a wrong secret", wrongSecret)
	g := guesserAt(t, p, rp, p.Browser())
	g.try(name, typed).WantStatus(wrong)
	g.try(typed, typed).WantStatus(wrong)
	g.try(name, strings.Repeat(typed, 100)).WantStatus(http.StatusRequestEntityTooLarge)
	g.try(name, typed+"\xff").WantStatus(http.StatusBadRequest)
	for range 12 {
		g.try(name, typed)
	}

	other := *rp
	other.Secret = wrongSecret
	other.ClientCredentials().WantError("invalid_client")
	rp.ClientCredentials(providertest.With("client_secret", wrongSecret)).WantError("invalid_request")
	rp.ClientCredentials(providertest.With("client_id", wrongSecret)).WantError("invalid_request")
	rp.Exchange(code, providertest.With("code_verifier", strings.Repeat(typed, 2))).WantError("invalid_grant")
	rp.Exchange(code + "x").WantError("invalid_grant")
	rp.Refresh(tokens.Refresh + "x").WantError("invalid_grant")
	rp.Refresh(tokens.Refresh).WantError("invalid_grant")
	p.Userinfo(tokens.Access + "x").WantStatus(http.StatusUnauthorized)
	for _, secret := range []string{tokens.Access, tokens.Refresh, rp.Secret, typed} {
		q := "?" + url.Values{"access_token": {secret}, "code": {secret}, "id_token_hint": {secret}, "i": {secret}}.Encode()
		for _, path := range []string{web.PathUserinfo, web.PathToken, web.PathAuthorize, web.PathEndSession, web.PathSignIn, web.PathHome, "/nowhere"} {
			p.Get(path + q)
		}
		p.Get("/" + url.PathEscape(secret))
		p.Send(rawRequest(t, http.MethodGet, p.URL(web.PathUserinfo), nil, "Authorization", secret))
		p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), url.Values{"grant_type": {"refresh_token"}}, "Authorization", "Basic "+secret))
	}
	b.Get(p.URL(web.PathEndSession) + "?" + url.Values{"id_token_hint": {tokens.ID}, "client_id": {"other"}}.Encode()).WantStatus(http.StatusBadRequest)
	return b.Filled(p.URL(web.PathSignOut)).PostFormValue("form_token")
}

// OWASP ASVS 5.0 16.4.1: an input is one value of one line of the log, whatever
// is in it.
func TestAttack90InputCannotForgeTheLog(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web")
	const hostile = "x\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}\n\x1b[2J\x1b]0;owned\x07\u202e\u2028\x7f\x9b"
	text := strings.ToValidUTF8(hostile, "\u009b")
	before := len(strings.Split(p.Logs(), "\n"))
	var sent int
	send := func(r *http.Request) {
		sent++
		if a := p.Send(r); a.Status >= 500 {
			t.Errorf("%s", a)
		} else if strings.ContainsAny(a.Header.Get("WWW-Authenticate")+a.Header.Get("Location"), "\r\n\x1b") {
			t.Errorf("a header with control characters: %v", a.Header)
		}
	}
	for _, name := range []string{"client_id", "redirect_uri", "scope", "state", "response_type", "prompt", "resource", "login_hint", "ui_locales", text} {
		send(rawRequest(t, http.MethodGet, rp.AuthorizationURL("openid", providertest.With(name, text)), nil))
	}
	for _, name := range []string{"grant_type", "scope", "resource", "client_id", "code", text} {
		send(rp.TokenRequest(url.Values{"grant_type": {"client_credentials"}}, providertest.With(name, text)))
	}
	for _, path := range []string{web.PathEndSession + "?post_logout_redirect_uri=", "/signin/password?i=", "/"} {
		send(rawRequest(t, http.MethodGet, p.URL(path)+url.PathEscape(text), nil))
	}
	send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), url.Values{}, "Origin", "https://evil.example\u202e\u009b", "User-Agent", "\u009b", "X-Request-ID", "forged"))

	logged := p.Logs()
	lines := strings.Split(logged, "\n")
	if got := len(lines) - before; got != sent && before > 1 || before == 1 && len(lines) != sent {
		t.Errorf("%d lines for %d requests", len(lines), sent)
	}
	for _, line := range lines {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil || event["msg"] == "forged" || event["request_id"] == "forged" {
			t.Errorf("a line that nobody logged: %s", line)
		}
	}
	if at := strings.IndexFunc(logged, func(r rune) bool {
		return r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e || r == 0x2028
	}); at >= 0 {
		t.Errorf("a terminal would obey: %q", logged[max(0, at-200):min(len(logged), at+20)])
	}
}
