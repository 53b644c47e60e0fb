package provider_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// RFC 6749 section 6: a refresh may ask for less than was granted, never for
// more; asking for more costs nothing, so that the client can go on.
func TestAttack26RefreshNeverWidensScope(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		granted := "openid email offline_access"
		first := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, granted)).OK()
		for _, wider := range []string{"openid phone", granted + " profile", "admin", "OPENID", "openid\temail", `"`, "*"} {
			a := rp.Refresh(first.Refresh, providertest.With("scope", wider)).WantStatus(http.StatusBadRequest).WantError("invalid_scope")
			wantPlainDescription(t, a)
		}
		p.Clock.Advance(time.Minute) // beyond every grace: a token that was rotated is dead by now

		narrow := rp.Refresh(first.Refresh, providertest.With("scope", "openid")).OK()
		if claims := p.Verify(narrow.Access).Claims; narrow.Scope != "openid" || claims["scope"] != "openid" {
			t.Errorf("narrowed to openid: scope %q, claim %v", narrow.Scope, claims["scope"])
		}
		if who := p.Userinfo(narrow.Access).WantStatus(http.StatusOK).JSON(); who["email"] != nil {
			t.Errorf("a token without the scope email tells %v", who)
		}
		p.Clock.Advance(time.Minute)

		// What is sent without a value counts as not sent (RFC 6749 section 3.2).
		for _, params := range [][]providertest.Param{nil, {providertest.With("scope", "")}} {
			full := rp.Refresh(narrow.Refresh, params...).OK()
			if full.Scope != granted {
				t.Errorf("after a narrowed refresh the scope is %q, want %q", full.Scope, granted)
			}
			p.Userinfo(full.Access).WantStatus(http.StatusOK)
			narrow = full
			p.Clock.Advance(time.Minute)
		}
	})
}

// wantPlainDescription: RFC 6749 section 5.2 keeps quotes, backslashes and all
// that is not ASCII out of error_description.
func wantPlainDescription(t *testing.T, a *providertest.Answer) {
	t.Helper()
	description, _ := a.JSON()["error_description"].(string)
	if strings.ContainsFunc(description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		t.Errorf("error_description has signs that it must not have: %s", a)
	}
}

// RFC 9700 section 4.14.2: reuse is what a real token shows. Anybody can name a
// grant and a generation; without the MAC that neither costs a statement nor
// harms the grant.
func TestAttack27ForgedRefreshTokenHarmsNobody(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		rotated := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK().Refresh
		p.Clock.Advance(time.Minute)
		second := rp.Refresh(rotated).OK().Refresh
		p.Clock.Advance(time.Minute)
		newest := rp.Refresh(second).OK().Refresh
		p.Clock.Advance(time.Minute)

		body := func(token string) []byte {
			b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "dsr_"))
			if err != nil || len(b) != 57 {
				t.Fatalf("refresh token of %d bytes: %v", len(b), err)
			}
			return b
		}
		with := func(token string, at int, bytes ...byte) string {
			b := body(token)
			copy(b[at:], bytes)
			return "dsr_" + base64.RawURLEncoding.EncodeToString(b)
		}
		forged := map[string]string{
			"an old generation under the newest one's MAC": with(newest, 24, 1),
			"a generation to come":                         with(newest, 24, 200),
			"no generation":                                with(newest, 24, 0),
			"another key id":                               with(rotated, 0, 2),
			"another secret":                               with(rotated, 25, make([]byte, 16)...),
			"no MAC":                                       with(rotated, 41, make([]byte, 16)...),
			"one bit of the MAC":                           with(rotated, 56, body(rotated)[56]^1),
			"the head of an old one, the MAC of the newest": with(newest, 0, body(rotated)[:41]...),
			"a line break inside":                           rotated[:40] + "\n" + rotated[40:],
			"a space at the end":                            rotated + " ",
			"cut":                                           rotated[:len(rotated)-4],
			"longer":                                        rotated + "AAAA",
			"without its prefix":                            strings.TrimPrefix(rotated, "dsr_"),
			"of fosite's form":                              "AAAA." + rotated[20:],
		}
		rp.Refresh("").WantError("invalid_request") // from here on the client is in memory
		for how, token := range forged {
			sent := p.Statements.During(func() { rp.Refresh(token).WantStatus(http.StatusBadRequest).WantError("invalid_grant") })
			if len(sent) > 0 {
				t.Errorf("%s: cost %q", how, sent)
			}
		}
		rp.Refresh(newest).OK() // the family lives
		rp.Refresh(rotated).WantError("invalid_grant")
		rp.Refresh(newest).WantError("invalid_grant") // and what is real still kills it
	})
}

// RFC 9700 section 4.14.2, OWASP ASVS 5.0 10.4.8: each refresh makes the idle
// time begin anew, never the absolute one.
func TestAttack28AbsoluteLifetimeSurvivesRotation(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const day = 24 * time.Hour
		rp := p.Client("web")
		browser := p.Browser().SignIn("ada")
		kept := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK().Refresh
		idle := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK().Refresh
		for range 17 {
			p.Clock.Advance(10 * day)
			kept = rp.Refresh(kept).OK().Refresh
		}
		rp.Refresh(idle).WantError("invalid_grant") // unused for 170 days, idle after 14
		p.Clock.Advance(10*day - time.Second)       // one second before the 180th
		last := rp.Refresh(kept).OK()
		p.Clock.Advance(time.Second)
		rp.Refresh(last.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		p.Userinfo(last.Access).WantStatus(http.StatusUnauthorized)
	})
}

// RFC 6750 section 5.3, RFC 9700 section 4.3.2: URLs end in logs and histories,
// so a token in one is refused even where it would be good.
func TestAttack93TokenInURLIsRefused(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK()
		query := "?" + url.Values{"access_token": {tokens.Access}}.Encode()
		for _, r := range []*http.Request{
			rawRequest(t, http.MethodGet, p.URL(web.PathUserinfo)+query, nil),
			rawRequest(t, http.MethodPost, p.URL(web.PathUserinfo)+query, nil),
			rawRequest(t, http.MethodPost, p.URL(web.PathUserinfo)+query, url.Values{"access_token": {tokens.Access}}),
			rawRequest(t, http.MethodGet, p.URL(web.PathUserinfo)+query, nil, "Authorization", "Bearer "+tokens.Access),
			rawRequest(t, http.MethodGet, p.URL(web.PathUserinfo)+"?access_token=", nil, "Authorization", "Bearer "+tokens.Access),
		} {
			p.Send(r).WantStatus(http.StatusBadRequest).WantError("invalid_request")
		}
		for name, form := range map[string]url.Values{
			"refresh_token": {"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}},
			"client_secret": {"grant_type": {"client_credentials"}, "client_id": {rp.ID}, "client_secret": {rp.Secret}},
		} {
			r := rp.TokenRequest(url.Values{"grant_type": {form.Get("grant_type")}})
			r.URL.RawQuery = form.Encode()
			if a := p.Send(r).WantError("invalid_request"); a.Status != http.StatusBadRequest {
				t.Errorf("%s in the URL: %s", name, a)
			}
		}
		p.Userinfo(tokens.Access).WantStatus(http.StatusOK) // in its place it is good
		p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathUserinfo), url.Values{"access_token": {tokens.Access}})).WantStatus(http.StatusOK)
		for _, secret := range []string{tokens.Access, tokens.Refresh, rp.Secret} {
			if strings.Contains(p.Logs(), secret) {
				t.Error("what was sent in a URL stands in the log")
			}
		}
	})
}

// rawRequest is a request with a form, nil for none, and headers in pairs.
func rawRequest(t *testing.T, method, to string, form url.Values, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}
