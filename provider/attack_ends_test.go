package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Attack case 62: an app that a thief allowed asks the owner, whenever that was: before what gave
// the thief away as well.
func TestAttack62WhatAThiefAllowedIsAskedAgain(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		evil, late := h.Client("evil"), h.Client("late")
		thief := h.Browser().SignIn("ada")
		stolen := evil.Exchange(thief.Authorize(evil, "openid offline_access")).OK()
		h.Clock.Advance(time.Minute)
		h.addsTOTP(thief)
		thief.Authorize(late, "openid")
		owner := h.Browser().SignIn("ada")
		at := taken(owner, h.link())
		owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		evil.Refresh(stolen.Refresh).WantError("invalid_grant")
		for _, rp := range []*providertest.RP{evil, late} {
			owner.Ask(rp, "openid", silently).WantError("consent_required")
		}
		if page := string(owner.Walk(nil, h.URL(web.PathApps)).Body); strings.Contains(page, "Evil") {
			t.Errorf("the page lists it: %s", page)
		}
		// What the owner allows by now stands.
		owner.Authorize(evil, "openid")
		owner.Authorize(evil, "openid", silently)
	})
}

// Attack case 50: the session in which something is disowned has another secret after it:
// whoever has a copy of its cookie is out as well.
func TestAttack50ACopyOfTheSessionThatDisownsIsWorthless(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		h.addsTOTP(h.Browser().SignIn("ada"))
		owner := h.Browser().SignIn("ada")
		at := taken(owner, h.link())
		copied := owner.Cookie(sessionCookie)
		thief := h.Browser().Plant(sessionCookie, copied).SignedOut()
		owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		if got := owner.Cookie(sessionCookie); got == copied || got == "" {
			t.Errorf("the cookie was %q and is %q", copied, got)
		}
		if a := thief.Walk(nil, h.URL(web.PathApps)); a.URL.Path != web.PathSignIn {
			t.Errorf("the copy opens %s", a.URL)
		}
		if a := owner.Walk(nil, h.URL(web.PathApps)); a.URL.Path != web.PathApps {
			t.Errorf("the owner is at %s", a.URL)
		}
	})
}

// Attack case 62: of two who disown each other at once one is out, and what that one says
// does nothing.
func TestAttack62OfTwoWhoDisownEachOtherOneIsOut(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		for round := range 8 {
			var requests []*http.Request
			for range 2 {
				b := h.Browser().SignIn("ada")
				b.Walk(nil, h.URL(web.PathApps))
				if round == 0 {
					h.Clock.Advance(time.Second)
				}
				at := b.Walk(nil, h.URL(web.PathNotMeEvent)+"?id="+string(h.event(events.PersonCreated).ID))
				if at.URL.Path != web.PathDisown {
					t.Fatalf("at %s: %s", at.URL, at.Answer)
				}
				requests = append(requests, b.Carry(b.Filled(h.URL(at.URL.RequestURI()))))
			}
			done := 0
			for _, a := range h.AtOnce(requests...) {
				if a.Status == http.StatusOK {
					done++
				} else if a.Status != http.StatusSeeOther {
					t.Errorf("%s", a)
				}
			}
			left, err := h.Store.NewestSessionsOf(t.Context(), h.ada.ID, storage.At(h.Clock.Now()), 10)
			if err != nil || len(left) != 1 || done != 1 {
				t.Fatalf("round %d: %d were told that the account is theirs, and %d sessions live: %v", round, done, len(left), err)
			}
		}
	})
}

// Attack case 25: whoever signs in with a password while another one is set has no session
// of it: neither one that begins as all others end, nor one that begins after that.
func TestAttack25AnOldPasswordBeginsNothingWhileItIsChanged(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		passwords := []string{ada.Password, "another long pass phrase of hers"}
		for round := range 12 {
			var requests []*http.Request
			for range 4 {
				b := p.Browser()
				at := b.Walk(nil, p.URL(web.PathApps))
				requests = append(requests, b.Carry(b.Filled(p.URL(at.URL.RequestURI()), providertest.With("identifier", ada.Email), providertest.With("password", passwords[round%2]))))
			}
			set := make(chan error)
			go func() { set <- p.Passwords.Set(t.Context(), ada.Person, passwords[(round+1)%2], events.ActorOperator) }()
			for _, a := range p.AtOnce(requests...) {
				if a.Status != http.StatusSeeOther && a.Status != wrong {
					t.Errorf("%s", a)
				}
			}
			if err := <-set; err != nil {
				t.Fatal(err)
			}
			left, err := p.Store.NewestSessionsOf(t.Context(), ada.ID, storage.At(p.Clock.Now()), 10)
			if err != nil || len(left) != 0 {
				t.Fatalf("round %d: %d sessions live that began with the password before: %v", round, len(left), err)
			}
			p.Clock.Advance(time.Hour) // the throttle
		}
	})
}

// Attack case 46: a proof grows old in the request that it was given in as well: whoever comes
// to a page that somebody left does not go on with what that one proved.
func TestAttack46AProofGrowsOldWhereItWasGiven(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("shop")
		for _, maxAge := range []string{"0", "60"} {
			b := p.Browser().SignIn("ada").StopAt(web.PathConsent)
			at := b.Ask(rp, "openid", providertest.With("max_age", maxAge), providertest.With("prompt", "consent"))
			if at.URL.Path != web.PathConsent {
				t.Fatalf("at %s: %s", at.URL, at.Answer)
			}
			allow := b.Filled(p.URL(at.URL.RequestURI()), providertest.With("decision", "allow"))
			p.Clock.Advance(3 * time.Minute)
			if to := b.Next(b.Send(allow).WantStatus(http.StatusSeeOther)); !strings.HasPrefix(to, p.URL(web.PathSignIn)) {
				t.Errorf("max_age=%s: the consent of three minutes later leads to %s", maxAge, to)
			}
		}
	})
}

// Who gives "this was not me" up, or has nothing that is enough, is told so, and asked for
// nothing that may be somebody else's.
func TestWhatIsNotDisownedEndsInWords(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		h.addsTOTP(h.Browser().SignIn("ada"))
		owner := h.Browser().SignIn("ada")
		at := taken(owner, h.link())
		cancel := owner.Filled(h.URL(at.URL.RequestURI()))
		cancel.URL.Path = "/signin/cancel"
		end := owner.Walk(nil, owner.Next(owner.Send(cancel).WantStatus(http.StatusSeeOther)))
		if end.URL.Path != web.PathNotMe || !strings.Contains(string(end.Body), "Nothing was changed") {
			t.Errorf("at %s: %s", end.URL, end.Answer)
		}
		// What happened lately is open to whoever proves anything, as where they are signed in.
		for _, page := range []string{web.PathActivity, web.PathSessions} {
			if a := owner.Walk(nil, h.URL(page)); a.URL.Path != page {
				t.Errorf("%s leads to %s", page, a.URL)
			}
		}
		h.Clock.Advance(11 * time.Minute)
		for _, page := range []string{web.PathActivity, web.PathSessions} {
			if to := owner.Next(owner.Get(h.URL(page)).WantStatus(http.StatusSeeOther)); strings.HasPrefix(to, h.URL(page)) {
				t.Errorf("%s is open by a proof of long ago", page)
			}
		}
	})
}
