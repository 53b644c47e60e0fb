package provider_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// Back-Channel Logout section 2.3: a client whose first thing in a session is written
// after another request ended that session, by one that had read it before, is told
// all the same, by the next look and once.
func TestAttack25WhatIsIssuedAsASessionEndsIsTold(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		for end, do := range map[string]func(*storage.Session) error{
			"a sign-out": func(se *storage.Session) error {
				return p.Sessions.End(t.Context(), se, "signed out", events.ActorPerson)
			},
			"a new password": func(*storage.Session) error {
				return p.Passwords.Set(t.Context(), ada.Person, "another fine pass phrase", events.ActorOperator)
			},
		} {
			for first, asked := range map[string]engine.Authorization{
				"offline access":   {ResponseType: engine.ResponseCode, Scopes: []string{"openid", "offline_access"}},
				"an ID token":      {ResponseType: engine.ResponseIDToken, Scopes: []string{"openid"}},
				"a code and an ID": {ResponseType: engine.ResponseCodeIDToken, Scopes: []string{"openid"}},
			} {
				name := first + " during " + end
				s := p.LogoutServer()
				rp := p.Client("web-"+string(storage.NewID()), providertest.FirstParty, s.Told)
				unit := storage.WithUnit(t.Context())
				se, secret, err := p.Sessions.Start(unit, ada.ID, session.Agent{}, policy.Standing{Evidence: []policy.Evidence{{Method: policy.Password, At: p.Clock.Now()}}})
				if err != nil || p.Store.Flush(unit) != nil {
					t.Fatal(err)
				}
				asked.Client = must(p.Clients.Get(t.Context(), rp.ID))
				asked.About = must(p.Store.LoadSignIn(t.Context(), session.Hash(secret), rp.ID, storage.At(p.Clock.Now())))
				asked.Sub, asked.Sid, asked.Nonce, asked.ACR, asked.AuthTime = ada.Sub, "sid", "n", policy.AAL1, p.Clock.Now()
				asked.RedirectURI, asked.RedirectSent, asked.Challenge = rp.RedirectURI, true, strings.Repeat("c", 43)

				unit = storage.WithUnit(t.Context())
				must(p.Engine.Authorize(unit, &asked))
				if err := do(se); err != nil {
					t.Fatal(err)
				}
				p.TellClients()
				if len(s.Got()) != 0 {
					t.Errorf("%s: told before anything was issued", name)
				}
				if err := p.Store.Flush(unit); err != nil {
					t.Fatal(err)
				}
				p.TellClients()
				if told := toldOnce(t, p, s).Claims; told["sub"] != ada.Sub || told["sid"] != "sid" || told["aud"] != rp.ID {
					t.Errorf("%s: told of %v", name, told)
				}
				p.Clock.Advance(time.Hour)
				if p.TellClients(); len(s.Got()) != 0 {
					t.Errorf("%s: told again", name)
				}
			}
		}
	})
}
