package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
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

// OWASP ASVS 5.0 10.4.9: a code that is not spent yet dies with the rest, also that
// of a client of the operator's own, to whom nobody agreed and which has nothing else.
func TestAttack25AWithdrawalTakesACodeThatWaits(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ours := p.Client("ours", providertest.FirstParty)
		b := p.Browser().SignIn("ada")
		b.Authorize(p.Client("shop"), "openid") // one that is listed, with the form
		waits := b.Authorize(ours, "openid offline_access")
		remove(b, p, ours.ID).WantStatus(http.StatusSeeOther)
		ours.Exchange(waits).WantError("invalid_grant")
		ours.Exchange(b.Authorize(ours, "openid offline_access")).OK()
	})
}

// OWASP ASVS 5.0 10.4.9: a withdrawal takes what is on its way too. An
// authorization that had read the consent before and writes its grant afterwards
// has made a dead one; what is let in again lives, at the same moment.
func TestAttack25AWithdrawalMeetsAnAuthorizationUnderWay(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada, verifier := p.Person("ada"), strings.Repeat("v", 43)
		challenge := sha256.Sum256([]byte(verifier))
		unit := storage.WithUnit(t.Context())
		_, secret, err := p.Sessions.Start(unit, ada.ID, session.Agent{}, policy.Standing{Evidence: []policy.Evidence{{Method: policy.Password, At: p.Clock.Now()}}})
		if err != nil || p.Store.Flush(unit) != nil {
			t.Fatal(err)
		}
		for _, rp := range []*providertest.RP{p.Client("shop"), p.Client("ours", providertest.FirstParty)} {
			p.Browser().SignIn("ada").Authorize(rp, "openid") // a consent, or none
			client := must(p.Clients.Get(t.Context(), rp.ID))
			authorize := func(meanwhile func()) *providertest.TokenAnswer {
				t.Helper()
				about := must(p.Store.LoadSignIn(t.Context(), session.Hash(secret), rp.ID, storage.At(p.Clock.Now())))
				unit := storage.WithUnit(t.Context())
				out := must(p.Engine.Authorize(unit, &engine.Authorization{
					Client: client, ResponseType: engine.ResponseCode, About: about, Sub: ada.Sub, Sid: "s", RedirectURI: rp.RedirectURI, RedirectSent: true,
					Scopes: []string{"openid", "offline_access"}, Challenge: base64.RawURLEncoding.EncodeToString(challenge[:]), ACR: policy.AAL1, AuthTime: p.Clock.Now(),
				}))
				meanwhile()
				if err := p.Store.Flush(unit); err != nil {
					t.Fatal(err)
				}
				return rp.Exchange(out.Code, providertest.With("code_verifier", verifier))
			}
			authorize(func() {}).OK()
			for range 2 { // a first withdrawal, and one of what was let in again
				authorize(func() {
					if err := p.Grants.Withdraw(t.Context(), ada.ID, rp.ID, events.ActorPerson); err != nil {
						t.Fatal(err)
					}
				}).WantError("invalid_grant")
				if access := must(p.Grants.AccessTo(t.Context(), ada.ID)); slices.ContainsFunc(access, func(a grants.Access) bool { return a.ClientID == rp.ID }) {
					t.Errorf("%s is listed: %+v", rp.ID, access)
				}
				p.Browser().SignIn("ada").Authorize(rp, "openid")
				authorize(func() {}).OK()
			}
		}
	})
}

// What somebody agreed to in an interaction is taken back by a withdrawal that
// comes before its end: they are asked again.
func TestAttack25AWithdrawalMeetsAnAnswer(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		shop := p.Client("shop")
		b := p.Browser().SignIn("ada")
		asks := b.StopAt(web.PathConsent).Ask(shop, "openid").URL.String()
		allow := func() string {
			t.Helper()
			return b.Next(b.Send(b.Filled(asks, providertest.With("decision", "allow"))).WantStatus(http.StatusSeeOther))
		}
		ends := allow()
		remove(b, p, shop.ID).WantStatus(http.StatusSeeOther)
		if to := b.Next(b.Get(ends).WantStatus(http.StatusSeeOther)); to != asks {
			t.Fatalf("goes on to %s, want the question", to)
		}
		if to := b.Next(b.Get(allow()).WantStatus(http.StatusSeeOther)); !strings.HasPrefix(to, shop.RedirectURI+"?code=") {
			t.Errorf("who agreed again goes to %s", to)
		}
	})
}
