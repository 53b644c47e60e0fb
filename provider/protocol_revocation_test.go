package provider_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// withBody gives a request this body, byte for byte.
func withBody(r *http.Request, body string) *http.Request {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
	return r
}

// wantOver asks for the answer of RFC 7009 section 2.2: 200, and nothing to read.
func wantOver(t *testing.T, a *providertest.Answer) {
	t.Helper()
	a.WantStatus(http.StatusOK)
	if len(a.Body) > 0 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q, want an empty answer that is not kept", a, a.Header.Get("Cache-Control"))
	}
}

// told returns the events of a kind, newest first.
func told(t *testing.T, p *providertest.P, kind events.Kind) []storage.Event {
	t.Helper()
	all := must(p.Store.Events(t.Context(), 1000))
	return slices.DeleteFunc(all, func(e storage.Event) bool { return e.Kind != string(kind) })
}

// RFC 7009 section 2.1: a refresh token goes with all that came of the grant. The
// event says who did it, once.
func TestRevokingARefreshTokenEndsTheGrant(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		for _, rp := range []*providertest.RP{p.Client("web", providertest.FirstParty), p.Client("spa", providertest.FirstParty, providertest.Public)} {
			for _, hint := range []string{"", "refresh_token", "access_token", "something_else"} { // a hint, no more
				bystander, tokens := signedIn(browser, rp), signedIn(browser, rp)
				before := len(told(t, p, events.GrantRevoked))
				for range 2 { // again is no error, and no news
					wantOver(t, rp.Revoke(tokens.Refresh, providertest.With("token_type_hint", hint)))
				}
				wantRevoked(t, p, rp, tokens)
				wantAlive(t, p, rp, bystander)
				all := told(t, p, events.GrantRevoked)
				if len(all) != before+1 || all[0].Actor != "client" || all[0].ClientID != rp.ID || all[0].PersonID == "" || !strings.Contains(string(all[0].Document.V), "revoked by its client") {
					t.Errorf("%d events before, now %+v", before, all)
				}
			}
		}
	})
}

// RFC 7009 section 2.1: an access token ends alone; what else its grant has lives on.
func TestRevokingAnAccessTokenEndsItAlone(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		cars := p.Client("cars")
		api(t, p, carsAPI, "jwt", cars)
		rp := p.Client("web", providertest.FirstParty, providertest.Scope("cars:read"))
		first := signedIn(p.Browser().SignIn("ada"), rp)
		second := rp.Refresh(first.Refresh).OK()
		for range 2 {
			wantOver(t, rp.Revoke(first.Access))
		}
		p.Userinfo(first.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		rp.Introspect(first.Access).WantInactive()
		rp.Introspect(second.Access).WantActive()
		third := wantAlive(t, p, rp, second)
		all := told(t, p, events.TokenRevoked)
		jti, _ := p.Verify(first.Access).Claims["jti"].(string)
		if len(all) != 1 || all[0].Actor != "client" || all[0].ClientID != rp.ID || all[0].PersonID == "" || !strings.Contains(string(all[0].Document.V), jti) {
			t.Errorf("the events tell %+v, want that one token was revoked", all)
		}

		own := rp.ClientCredentials(resource(carsAPI)).OK()
		cars.Introspect(own.Access).WantActive()
		wantOver(t, rp.Revoke(own.Access))
		cars.Introspect(own.Access).WantInactive()

		// What was revoked is remembered until it would have ended, and no longer.
		p.Clock.Advance(9 * time.Minute)
		sweep(t, p)
		rp.Introspect(first.Access).WantInactive()
		rp.Introspect(third.Access).WantActive()
		p.Clock.Advance(2*time.Minute + time.Second)
		sweep(t, p)
		if rows := providertest.CountRows(t, database)["revocations"]; rows != 0 {
			t.Errorf("%d revocations are kept of tokens that ended", rows)
		}
		wantOver(t, rp.Revoke(first.Access)) // it is over, and leaves no row
		if rows := providertest.CountRows(t, database)["revocations"]; rows != 0 {
			t.Errorf("%d revocations of a token that had ended", rows)
		}
	})
}

func sweep(t *testing.T, p *providertest.P) {
	t.Helper()
	must(p.Store.Sweep(t.Context(), storage.At(p.Clock.Now()), 1000))
}

// RFC 7009 section 2.2: what is no token of ours is over already. Section 2.2.1: an
// ID token is none that could be revoked, and its client must not believe that it was.
func TestRevokingWhatIsNoToken(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		tokens, code := signedIn(browser, rp), browser.Authorize(rp, "openid")
		for _, nonsense := range []string{"x", "45ghiukldjahdnhzdauz", "dsr_x", "a.b.c", "..", code, tokens.Access + "A", tokens.Refresh + "A", strings.Repeat("A", 8192)} {
			wantOver(t, rp.Revoke(nonsense))
		}
		rp.Revoke(tokens.ID).WantStatus(http.StatusBadRequest).WantError("unsupported_token_type")
		wantAlive(t, p, rp, tokens)
		rp.Exchange(code).OK()
		if all := append(told(t, p, events.GrantRevoked), told(t, p, events.TokenRevoked)...); len(all) > 0 {
			t.Errorf("the events tell of %+v", all)
		}
	})
}

// RFC 7009 section 2.1: who may ask, and how.
func TestRevocationRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		at, good := p.URL(web.PathRevoke), basic(rp.ID, rp.Secret)
		form := url.Values{"token": {tokens.Refresh}}
		for name, c := range map[string]struct {
			r      *http.Request
			status int
			code   string
		}{
			"no token":             {rawRequest(t, http.MethodPost, at, url.Values{}, "Authorization", good), http.StatusBadRequest, "invalid_request"},
			"two tokens":           {rp.RevokeRequest(tokens.Access, providertest.And("token", tokens.Refresh)), http.StatusBadRequest, "invalid_request"},
			"the token in the URL": {rawRequest(t, http.MethodPost, at+"?"+form.Encode(), url.Values{}, "Authorization", good), http.StatusBadRequest, "invalid_request"},
			"nobody":               {rawRequest(t, http.MethodPost, at, form), http.StatusUnauthorized, "invalid_client"},
			"a wrong secret":       {rawRequest(t, http.MethodPost, at, form, "Authorization", basic(rp.ID, "dsk_wrong")), http.StatusUnauthorized, "invalid_client"},
			"the client's name":    {rawRequest(t, http.MethodPost, at, url.Values{"token": {tokens.Refresh}, "client_id": {rp.ID}}), http.StatusUnauthorized, "invalid_client"},
			"the token itself":     {rawRequest(t, http.MethodPost, at, form, "Authorization", "Bearer "+tokens.Access), http.StatusUnauthorized, "invalid_client"},
		} {
			t.Log(name)
			wantPlainDescription(t, p.Send(c.r).WantStatus(c.status).WantError(c.code))
		}
		p.Send(rawRequest(t, http.MethodGet, at, nil, "Authorization", good)).WantStatus(http.StatusMethodNotAllowed)
		wantAlive(t, p, rp, tokens)
	})
}

// RFC 7009 section 2.1, the RFC's own request. Section 2.3 asks for CORS, or JSONP,
// in browsers; ours is CORS for pages of registered redirects.
func TestRevocationExample(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("s6BhdRkqt3")
		r := rawRequest(t, http.MethodPost, p.URL(web.PathRevoke), nil, "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic(rp.ID, rp.Secret))
		wantOver(t, p.Send(withBody(r, "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token")))
	})
}
