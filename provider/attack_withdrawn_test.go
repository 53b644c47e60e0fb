package provider_test

import (
	"net/http"
	"testing"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// OWASP ASVS 5.0 7.4.2, 10.4.9: whatever takes a person's access or a client's away
// takes its refresh tokens, those with offline_access too, and its access tokens;
// of the pair, the person or the client that it is about, and of nobody else.
func TestAttack25WhatIsTakenAwayStaysAway(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ada := p.Person("ada")
		for _, c := range []struct {
			what, client string
			take         func(b *providertest.Browser, client string)
			refused      string // what the token endpoint says
			person       bool   // the client of another name loses it too
			bob          bool   // and so does another person with this client
		}{
			{"consent withdrawn by the person", "shop1", func(b *providertest.Browser, client string) {
				remove(b, p, client).WantStatus(http.StatusSeeOther)
			}, "invalid_grant", false, false},
			{"consent withdrawn by an operator", "shop2", func(_ *providertest.Browser, client string) {
				must(p.Grants.Withdraw(t.Context(), ada.ID, client, events.ActorOperator))
			}, "invalid_grant", false, false},
			{"client disabled", "shop3", func(_ *providertest.Browser, client string) { disable(t, p, client) }, "invalid_client", false, true},
			{"client deleted", "shop4", func(_ *providertest.Browser, client string) {
				must(p.Clients.Delete(t.Context(), client, events.ActorOperator))
			}, "invalid_client", false, true},
			{"password set", "shop5", func(*providertest.Browser, string) {
				must(p.Passwords.Set(t.Context(), ada.Person, providertest.Password+"!", events.ActorOperator))
				must(p.Passwords.Set(t.Context(), ada.Person, providertest.Password, events.ActorOperator))
			}, "invalid_grant", true, false},
			{"person disabled", "shop6", func(*providertest.Browser, string) {
				_, err := p.Directory.Disable(t.Context(), ada.Email, events.ActorOperator)
				must(err)
			}, "invalid_grant", true, false},
		} {
			rp, other := p.Client(c.client), p.Client("other-"+c.client)
			tokens := func(b *providertest.Browser, rp *providertest.RP) [2]*providertest.Tokens {
				return [2]*providertest.Tokens{
					rp.Exchange(b.Authorize(rp, "openid")).OK(), rp.Exchange(b.Authorize(rp, "openid offline_access")).OK(),
				}
			}
			browser := p.Browser().SignIn("ada")
			adas, elsewhere, bobs := tokens(browser, rp), tokens(browser, other), tokens(p.Browser().SignIn("bob"), rp)
			c.take(browser, c.client)
			for who, s := range map[string]struct {
				rp     *providertest.RP
				tokens [2]*providertest.Tokens
				dead   bool
			}{"the pair": {rp, adas, true}, "another client": {other, elsewhere, c.person}, "another person": {rp, bobs, c.bob}} {
				for i, kind := range []string{"online", "offline"} {
					refreshed, told := s.rp.Refresh(s.tokens[i].Refresh), p.Userinfo(s.tokens[i].Access)
					if !s.dead {
						refreshed.OK()
						told.WantStatus(http.StatusOK)
						continue
					}
					if refreshed.Status == http.StatusOK || told.Status != http.StatusUnauthorized {
						t.Errorf("%s, %s, %s: refresh %d, userinfo %d", c.what, who, kind, refreshed.Status, told.Status)
						continue
					}
					refreshed.WantError(c.refused)
				}
			}
		}
	})
}
