package provider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestAttack62APasswordAloneAddsNoFirstFactor: where two factors are demanded of everybody, whoever
// has nothing but somebody's password cannot make the second one; who reads the owner's mail can,
// the owner is told, and what was demanded is there.
func TestAttack62APasswordAloneAddsNoFirstFactor(t *testing.T) {
	t.Parallel()
	strict := func(when rules.Condition) rules.Set {
		return rules.Set{Name: "strict", Version: "1", Default: policy.Allow, Rules: []rules.Rule{{
			Name: "two factors", When: when, Then: rules.Demand{Outcome: policy.Require, ACR: policy.AAL2},
		}}}
	}
	for name, set := range map[string]rules.Set{
		"of everybody":     strict(func(rules.Case) (bool, error) { return true, nil }),
		"for one app":      strict(func(c rules.Case) (bool, error) { return c.Facts.Client == "web", nil }),
		"for what it asks": strict(func(c rules.Case) (bool, error) { return slices.Contains(c.Facts.Scopes, "openid"), nil }),
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); addsNoFirstFactor(t, set) })
	}
}

func addsNoFirstFactor(t *testing.T, strict rules.Set) {
	t.Helper()
	providertest.Databases(t, func(t *testing.T, url string) {
		box := providertest.NewMailbox(t)
		p := providertest.Start(t, providertest.On(url), providertest.WithMailbox(box), providertest.Configure(func(c *provider.Config) { c.Rules = strict }))
		rp, ada := p.Client("web", providertest.FirstParty), p.Person("ada")
		p.Person("eve")
		wantFactors := func(want int) {
			t.Helper()
			if has, err := p.Store.TOTPsOf(t.Context(), ada.ID); err != nil || len(has) != want {
				t.Fatalf("%v, %v; want %d authenticators", has, err, want)
			}
		}
		adding := func(b *providertest.Browser) *recovery {
			return &recovery{b, t, p, box, b.SignIn("ada").StopAt(web.PathMail).Walk(nil, p.URL(web.PathSecurityAddTOTP)).URL.String()}
		}
		thief := adding(p.Browser())
		thief.wantAt(web.PathMail)
		page := strings.Replace(thief.at, web.PathMail, web.PathAddTOTP, 1)
		thief.follow(thief.Get(page))
		thief.wantAt(web.PathMail)
		thief.follow(thief.ask("eve@example.com")) // it is not asked where to
		thief.code("00000000").WantStatus(http.StatusUnprocessableEntity)
		p.DeliverMails()
		sent := box.Wait(ada.Email)
		if got := box.Got(); len(got) != 0 {
			t.Fatalf("another mail went to %s", got[0].To)
		}
		// The code is for the browser that asked, and for this.
		other := adding(p.Browser())
		other.follow(other.ask(""))
		other.code(sent.Code()).WantStatus(http.StatusUnprocessableEntity)
		p.DeliverMails()
		_ = box.Wait(ada.Email)
		lostHere := lost(t, p, box, p.Browser(), rp)
		lostHere.follow(lostHere.ask(ada.Email))
		lostHere.code(sent.Code()).WantStatus(http.StatusUnprocessableEntity)
		p.DeliverMails()
		_ = box.Wait(ada.Email)
		wantFactors(0)

		owner := adding(p.Browser())
		owner.proves(ada.Email)
		owner.wantAt(web.PathAddTOTP)
		h := &toldHouse{P: p, t: t, box: box, ada: ada}
		seed := h.addsTOTP(owner.Browser)
		wantFactors(1)
		p.DeliverMails()
		if told := box.Wait(ada.Email); len(told.Links()) == 0 {
			t.Errorf("%q tells of nothing", told.Subject)
		}
		at := owner.StopAt(web.PathTOTP).Ask(rp, "openid").URL
		if at.Path == web.PathTOTP {
			owner.at = at.String()
			owner.follow(owner.code(code(t, seed, p.Clock.Now())))
			at = owner.Walk(rp, owner.at).URL
		}
		if at.Query().Get("code") == "" {
			t.Errorf("came to %s", at)
		}

		// Who has no address that was ever verified does not get that far.
		nobody, err := p.Directory.Create(t.Context(), directory.NewPerson{Email: "bob@example.com"}, events.ActorOperator)
		if err == nil {
			err = p.Passwords.Set(t.Context(), nobody, providertest.Password, events.ActorOperator)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Hour)
		if at := p.Browser().SignIn("bob").Walk(nil, p.URL(web.PathSecurityAddTOTP)).URL; at.Path != web.PathSecurity || at.Query().Has("done") {
			t.Errorf("bob came to %s", at)
		}
	})
}
