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
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// TestAttack62APasswordAloneAddsNoFirstFactor: where two factors are demanded of everybody, whoever
// has nothing but somebody's password cannot make the second one; who reads the owner's mail can,
// the owner is told, and what was demanded is there.
func TestAttack62APasswordAloneAddsNoFirstFactor(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]rules.Set{
		"of everybody":     strict(func(rules.Case) (bool, error) { return true, nil }),
		"for one app":      strict(func(c rules.Case) (bool, error) { return c.Facts.Client == "web", nil }),
		"for what it asks": strict(func(c rules.Case) (bool, error) { return slices.Contains(c.Facts.Scopes, "openid"), nil }),
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); addsNoFirstFactor(t, set) })
	}
}

// strict are rules that demand two factors then.
func strict(when rules.Condition) rules.Set {
	return rules.Set{Name: "strict", Version: "1", Default: policy.Allow, Rules: []rules.Rule{{
		Name: "two factors", When: when, Then: rules.Demand{Outcome: policy.Require, ACR: policy.AAL2},
	}}}
}

// eachStrict is eachTold where that is demanded, and how.
func eachStrict(t *testing.T, when rules.Condition, run func(t *testing.T, h *toldHouse)) {
	t.Helper()
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		box := providertest.NewMailbox(t)
		p := providertest.Start(t, providertest.On(url), providertest.WithMailbox(box), providertest.Configure(func(c *provider.Config) { c.Rules = strict(when) }))
		h := &toldHouse{P: p, t: t, box: box, ada: p.Person("ada")}
		p.Clock.Advance(24 * time.Hour)
		run(t, h)
	})
}

// vault is an app that wants two factors; our own pages do not.
func vault(c rules.Case) (bool, error) { return c.Facts.Client == "vault", nil }

// leads goes to where a factor is added, or codes are made, and says where that led.
func (h *toldHouse) leads(b *providertest.Browser, page string) *recovery {
	h.t.Helper()
	return h.by(b, h.URL(b.StopAt(web.PathMail).Walk(nil, h.URL(page)).URL.RequestURI()))
}

// TestAttack62AThiefsMailboxVouchesForNobody: attack case 62. An address that whoever has the password
// added for themselves is no proof of who they are, for a week: by no way to prove it, and not where
// it is the only one by now.
func TestAttack62AThiefsMailboxVouchesForNobody(t *testing.T) {
	eachStrict(t, vault, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		const theirs = "thief@example.net"
		h.addsAddress(h.Browser().SignIn("ada"), theirs)
		thief := lost(t, h.P, h.box, h.Browser(), rp)
		thief.proves(theirs)
		thief.follow(thief.reset(another))
		for _, page := range []string{web.PathSecurityAddTOTP, web.PathSecurityAddPasskey, web.PathSecurityRecovery} {
			at := h.leads(thief.Browser, page)
			at.wantAt(web.PathMail)
			h.DeliverMails()
			h.box.Got()
			at.follow(at.ask(""))
			h.DeliverMails()
			for _, m := range h.box.Got() {
				if m.To != h.ada.Email {
					t.Errorf("%q went to %s", m.Subject, m.To)
				}
			}
		}

		// The owner's address does, also where it was proved to recover the password.
		h.Clock.Advance(time.Hour)
		owner := lost(t, h.P, h.box, h.Browser(), rp)
		owner.proves(h.ada.Email)
		owner.follow(owner.reset("eight small boats at noon"))
		h.leads(owner.Browser, web.PathSecurityAddTOTP).wantAt(web.PathAddTOTP)
	})
}

// TestAttack62NoAddressTakesTheFirstOnesPlace: attack case 62. Whoever takes away an address that was
// never verified has one of their own left, which vouches for nobody before its week is over.
func TestAttack62NoAddressTakesTheFirstOnesPlace(t *testing.T) {
	eachStrict(t, vault, func(t *testing.T, h *toldHouse) {
		bob := h.Person("bob", func(in *directory.NewPerson) { in.Verified = false })
		h.Clock.Advance(time.Hour)
		thief := h.Browser().SignIn("bob")
		h.addsAddress(thief, "thief@example.net")
		page := h.URL(web.PathAddresses)
		thief.Send(thief.Filled(page, providertest.With("do", "remove"), providertest.With("email", "bob@example.com"))).WantStatus(http.StatusConflict)
		now := storage.At(h.Clock.Now()) // nor where it went in another way
		if err := h.Store.RemoveIdentifier(t.Context(), ident.KindEmail, "bob@example.com", bob.ID, now, now); err != nil {
			t.Fatal(err)
		}
		if all, err := h.Directory.Addresses(t.Context(), bob.ID); err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v; want one address", all, err)
		}
		thief.Get(h.URL(web.PathSecurityAddTOTP)).WantStatus(http.StatusForbidden)
		h.Clock.Advance(ident.Settles)
		h.leads(thief, web.PathSecurityAddTOTP).wantAt(web.PathMail)
	})
}

// TestAttack62RecoveryCodesVouchForNobody: attack case 62. Where the rules demand two factors somewhere,
// whoever has the password and not the mail makes no codes that stand in for one; those from before the
// rules did so add none.
func TestAttack62RecoveryCodesVouchForNobody(t *testing.T) {
	t.Parallel()
	everywhere := func(rules.Case) (bool, error) { return true, nil }
	for name, when := range map[string]rules.Condition{"for one app": vault, "of everybody": everywhere} {
		t.Run(name, func(t *testing.T) {
			eachStrict(t, when, func(t *testing.T, h *toldHouse) {
				codes, err := h.Recovery.Generate(t.Context(), h.ada.ID, "before", events.ActorPerson)
				if err != nil {
					t.Fatal(err)
				}
				thief := h.Browser().SignIn("ada")
				if name == "of everybody" {
					at := h.by(thief, h.URL(thief.StopAt(web.PathRecovery).Walk(nil, h.URL(web.PathAddresses)).URL.RequestURI()))
					at.wantAt(web.PathRecovery)
					at.follow(at.Send(at.Filled(at.at, providertest.With("code", codes[0]))))
					at.Get(at.at).WantStatus(http.StatusOK)
				}
				for _, page := range []string{web.PathSecurityRecovery, web.PathSecurityAddTOTP} {
					h.leads(thief, page).wantAt(web.PathMail)
				}
			})
		})
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
