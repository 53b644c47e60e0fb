package provider_test

import (
	"bytes"
	"net/http"
	"net/url"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// wantUnavailable asks for a 503 that says when to come back.
func wantUnavailable(t *testing.T, what string, a *providertest.Answer) {
	t.Helper()
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s, Retry-After %q, want 503 and when to come back", what, a, a.Header.Get("Retry-After"))
	}
}

// RFC 7009 section 2.2.1: a client that hears 200 throws the token away and believes
// it dead. While the store does not take the revocation, or the event that tells of
// it, the answer is 503 and the token stays as it was.
func TestAttack35ARevocationThatWasNotTakenIsNotConfirmed(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		rp := p.Client("web", providertest.FirstParty)
		tokens := signedIn(p.Browser().SignIn("ada"), rp)
		for _, lost := range []string{"events", "revocations", "grants"} {
			providertest.Meddle(t, database, "ALTER TABLE "+lost+" RENAME TO lost")
			wantUnavailable(t, "access token without "+lost, rp.Revoke(tokens.Access))
			wantUnavailable(t, "refresh token without "+lost, rp.Revoke(tokens.Refresh))
			providertest.Meddle(t, database, "ALTER TABLE lost RENAME TO "+lost)
			rp.Introspect(tokens.Access).WantActive()
			rp.Introspect(tokens.Refresh).WantActive()
		}
		tokens = wantAlive(t, p, rp, tokens)
		if all := append(told(t, p, events.GrantRevoked), told(t, p, events.TokenRevoked)...); len(all) > 0 {
			t.Errorf("the events tell of revocations that were not: %+v", all)
		}
		wantOver(t, rp.Revoke("nonsense")) // the client is in memory
		if err := p.Store.Close(); err != nil {
			t.Fatal(err)
		}
		for what, a := range map[string]*providertest.Answer{
			"revoking an access token":         rp.Revoke(tokens.Access),
			"revoking a refresh token":         rp.Revoke(tokens.Refresh),
			"introspecting an access token":    rp.Introspect(tokens.Access).Answer,
			"introspecting a refresh token":    rp.Introspect(tokens.Refresh).Answer,
			"userinfo, with the token in hand": p.Userinfo(tokens.Access),
		} {
			wantUnavailable(t, what, a)
		}
	})
}

// RFC 7662 sections 2.2 and 4: what a token is worth is told to the client that it
// was issued to and to the clients of the resource that it is for. To everybody else
// it is what nonsense is, byte for byte.
func TestAttack36IntrospectionTellsOnlyWhomItConcerns(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		cars, boats := p.Client("cars"), p.Client("boats")
		api(t, p, carsAPI, "jwt", cars)
		api(t, p, boatsAPI, "jwt", boats)
		both := providertest.Scope("cars:read", "boats:read")
		owner, other := p.Client("owner", providertest.FirstParty, both), p.Client("other", providertest.FirstParty, both)
		spa := p.Client("spa", providertest.FirstParty, both, providertest.Public)
		browser := p.Browser().SignIn("ada")
		authorize := func(rp *providertest.RP) *providertest.Tokens {
			return rp.Exchange(browser.Authorize(rp, "openid offline_access cars:read boats:read", resource(p.Issuer), resource(carsAPI), resource(boatsAPI)), resource(carsAPI)).OK()
		}
		first, publics := authorize(owner), authorize(spa)
		second := owner.Refresh(first.Refresh, resource(boatsAPI)).OK()
		third := owner.Refresh(second.Refresh, resource(p.Issuer)).OK()
		nonsense := other.Introspect("nonsense").Body
		for name, c := range map[string]struct {
			token string
			may   []*providertest.RP
		}{
			"for cars":                {first.Access, []*providertest.RP{owner, cars}},
			"for boats":               {second.Access, []*providertest.RP{owner, boats}},
			"for userinfo":            {third.Access, []*providertest.RP{owner}},
			"a refresh token":         {third.Refresh, []*providertest.RP{owner}},
			"a client's own for cars": {owner.ClientCredentials(resource(carsAPI)).OK().Access, []*providertest.RP{owner, cars}},
			"a public client's":       {publics.Access, []*providertest.RP{cars}},
			"its refresh token":       {publics.Refresh, nil},
			"an ID token":             {first.ID, nil},
		} {
			for _, rp := range []*providertest.RP{owner, other, cars, boats} {
				may := false
				for _, one := range c.may {
					may = may || one == rp
				}
				if got := rp.Introspect(c.token); may {
					got.WantActive()
				} else if got.WantInactive(); !bytes.Equal(got.Body, nonsense) {
					t.Errorf("%s, asked by %s: %s, want what nonsense gets", name, rp.ID, got)
				}
			}
		}

		// Who finds a token has no better way in: not as a bearer, not in the URL.
		at := p.URL(web.PathIntrospect)
		form := url.Values{"token": {first.Access}}
		for _, token := range []string{first.Access, first.ID, first.Refresh, publics.Access} {
			p.Send(rawRequest(t, http.MethodPost, at, form, "Authorization", "Bearer "+token)).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
		}
		p.Send(rawRequest(t, http.MethodPost, at+"?"+form.Encode(), url.Values{}, "Authorization", basic(cars.ID, cars.Secret))).
			WantStatus(http.StatusBadRequest).WantError("invalid_request")
		p.Send(rawRequest(t, http.MethodPost, at, url.Values{"token": {publics.Access}, "client_id": {spa.ID}})).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
	})
}

// RFC 7009 section 2.1: whichever generation of a refresh token is revoked, its
// family is gone, whichever process is asked. Another client's wish is refused.
func TestAttack37RevocationTakesTheFamilyAndNobodyElses(t *testing.T) {
	t.Parallel()
	p := providertest.Replicas(t, 3)
	rp := p.Client("web", providertest.FirstParty)
	thief, spa := p.Client("thief"), p.Client("spa", providertest.Public, func(r *clients.Registration) { r.FirstParty = true })
	browser := p.Browser().SignIn("ada")
	for generation := range 3 {
		family := []*providertest.Tokens{signedIn(browser, rp)}
		for range 2 {
			family = append(family, rp.Refresh(family[len(family)-1].Refresh).OK())
		}
		newest, bystander := family[2], signedIn(browser, rp)
		for _, stranger := range []*providertest.RP{thief, spa} {
			for _, tokens := range family {
				stranger.Revoke(tokens.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				stranger.Revoke(tokens.Access).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			}
		}
		newest = wantAlive(t, p, rp, newest)
		wantOver(t, rp.Revoke(family[generation].Refresh))
		for range 3 { // one for each
			wantRevoked(t, p, rp, newest)
			rp.Introspect(newest.Access).WantInactive()
			rp.Introspect(newest.Refresh).WantInactive()
			rp.Introspect(family[0].Access).WantInactive()
		}
		wantAlive(t, p, rp, bystander)
	}

	// A refresh that runs meanwhile brings nothing back.
	first := signedIn(browser, rp)
	requests := append(refreshes(rp, first.Refresh), rp.RevokeRequest(first.Refresh))
	for _, a := range p.AtOnce(requests...) {
		switch {
		case a.Status == http.StatusOK && len(a.Body) > 0:
			first = (&providertest.TokenAnswer{Answer: a}).OK()
		case a.Status != http.StatusOK:
			a.WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		}
	}
	for range 3 {
		wantRevoked(t, p, rp, first)
	}
}

// What was rotated away or revoked is so in the database: processes that were started
// anew and saw nothing of it know as well (CVE-2026-9802).
func TestAttack24OldAndRevokedTokensStayDeadAfterARestart(t *testing.T) {
	t.Parallel()
	p := providertest.Replicas(t, 3)
	rp := p.Client("web", providertest.FirstParty)
	browser := p.Browser().SignIn("ada")
	living, revoked, old, ended := signedIn(browser, rp), signedIn(browser, rp), signedIn(browser, rp), signedIn(browser, rp)
	rotated := rp.Refresh(rp.Refresh(old.Refresh).OK().Refresh).OK()
	wantOver(t, rp.Revoke(revoked.Refresh))
	wantOver(t, rp.Revoke(ended.Access))
	p.Restart()
	for range 3 { // one for each
		wantRevoked(t, p, rp, revoked)
		rp.Introspect(revoked.Access).WantInactive()
		rp.Introspect(revoked.Refresh).WantInactive()
		p.Userinfo(ended.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
		rp.Introspect(ended.Access).WantInactive()
		rp.Introspect(old.Refresh).WantInactive()
		rp.Introspect(rotated.Refresh).WantActive()
	}
	for range 3 {
		rp.Refresh(old.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		wantRevoked(t, p, rp, rotated) // reuse is seen too, and ends the family
		living = wantAlive(t, p, rp, living)
		ended = rp.Refresh(ended.Refresh).OK() // its access token was revoked alone
	}
	p.Restart()
	for range 3 {
		wantRevoked(t, p, rp, rotated)
		living = wantAlive(t, p, rp, living)
	}
}
