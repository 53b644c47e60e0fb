package provider_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// TestAttack61ATextedCodeIsForOneNumber: attack case 61. A code is for the number that it was sent
// to, in the browser and by the person that asked, while their session lives, and once.
func TestAttack61ATextedCodeIsForOneNumber(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		const wrong = http.StatusUnprocessableEntity
		h.Person("eve")
		b := h.Browser().SignIn("ada")
		b.Walk(nil, h.URL(web.PathSecurity))
		r := h.addsPhone(b)
		r.follow(r.texts(adasNumber))
		first := h.texted()
		r.follow(r.texts("+46701740606"))
		r.code(first).WantStatus(wrong)
		second := h.texted()

		other := h.addsPhone(h.Browser().SignIn("ada"))
		other.follow(other.texts(adasNumber))
		other.code(second).WantStatus(wrong)
		if a := other.Get(r.at); a.Status == http.StatusOK {
			t.Errorf("another browser sees the page: %s", a)
		}
		h.texted()

		// Eve signs in in Ada's browser, in another tab, and sends Ada's page.
		page := r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", second))
		b.SignIn("eve").Authorize(h.Client("web", providertest.FirstParty), "openid", providertest.With("prompt", "select_account"))
		b.Send(page).WantStatus(wrong)
		if has, err := h.Phones.List(t.Context(), h.Person("eve").ID); err != nil || len(has) != 0 {
			t.Errorf("Eve has %v, %v", has, err)
		}
		b = h.Browser().SignIn("ada")
		h.hasPhone(b, "+46701740606")
		// A code is not for who was signed out since.
		other.follow(other.texts(adasNumber))
		third := h.texted()
		form := other.Filled(other.at, providertest.With("do", "code"), providertest.With("code", third))
		if err := h.Store.EndSessionsOf(t.Context(), h.ada.ID, storage.At(h.Clock.Now())); err != nil {
			t.Fatal(err)
		}
		other.Send(form)
		if has := h.phones(); len(has) != 1 {
			t.Errorf("%+v", has)
		}
	})
}

// TestAttack62APhoneIsAddedByWhoProvesAnew: attack case 62. Whoever sits down at a browser where
// somebody was signed in adds no mobile, nor removes one, without all that its owner has.
func TestAttack62APhoneIsAddedByWhoProvesAnew(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		b := h.Browser().SignIn("ada")
		has := h.hasPhone(b, adasNumber)
		h.Clock.Advance(time.Hour)
		r := h.addsPhone(b.StopAt(web.PathSignIn))
		r.wantAt(web.PathSignIn)
		r.follow(r.Get(strings.Replace(r.at, web.PathSignIn, web.PathAddPhone, 1)))
		r.wantAt(web.PathSignIn)
		factor := h.URL(web.PathSecurityFactor) + "?id=" + string(has.ID)
		if at := b.Walk(nil, factor); at.URL.Path != web.PathSignIn {
			t.Errorf("the mobile's page: %s", at.URL)
		}
		seed := h.addsTOTP(h.Browser().SignIn("ada"))
		h.Clock.Advance(time.Minute)
		b = h.Browser().SignIn("ada").StopAt(web.PathTOTP)
		r = h.addsPhone(b)
		r.wantAt(web.PathTOTP)
		r.follow(r.Get(strings.Replace(r.at, web.PathTOTP, web.PathAddPhone, 1)))
		r.wantAt(web.PathTOTP)
		if at := b.Walk(nil, factor); at.URL.Path != web.PathTOTP {
			t.Errorf("the mobile's page: %s", at.URL)
		}
		r.follow(r.code(code(t, seed, h.Clock.Now())))
		r.wantAt(web.PathAddPhone)
		if len(h.phones()) != 1 {
			t.Error("a mobile was added on the way")
		}
	})
}

// TestAttack62AThiefsPhoneIsDoubted: attack case 62. A mobile that a thief added counts for nothing
// once the owner says that it was not them, by the link that they were told with; nor does a
// password alone have it count again.
func TestAttack62AThiefsPhoneIsDoubted(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		thief := h.Browser().SignIn("ada")
		has := h.hasPhone(thief, adasNumber)
		link := h.link()
		h.Clock.Advance(time.Minute)
		owner := h.Browser().SignIn("ada")
		at := taken(owner, link)
		if !strings.Contains(string(at.Body), adasEnding) {
			t.Errorf("the page does not name the mobile: %s", at.Answer)
		}
		owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		if left := h.phones(); len(left) != 1 || left[0].DoubtedAt.IsZero() {
			t.Fatalf("%+v", left)
		}
		page := h.URL(web.PathSecurityReview) + "?id=" + string(has.ID)
		if at := owner.Walk(nil, page); at.URL.Path != web.PathSecurityFactor {
			t.Errorf("by a password alone: %s", at.URL)
		}
		seed := h.addsTOTP(owner)
		h.Clock.Advance(time.Minute)
		if at := owner.StopAt(web.PathTOTP).Walk(nil, page); at.URL.Path == web.PathTOTP {
			owner.Send(owner.Filled(h.URL(at.URL.RequestURI()), providertest.With("code", code(t, seed, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
		}
		owner.Send(owner.Filled(page)).WantStatus(http.StatusSeeOther)
		if left := h.phones(); len(left) != 1 || !left[0].DoubtedAt.IsZero() {
			t.Errorf("%+v", left)
		}
	})
}

// TestAttack61ACodeIsOfItsChannel: attack case 61. What came by mail is no code that came by SMS,
// nor the other way about, whatever else is the same.
func TestAttack61ACodeIsOfItsChannel(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		is := func(what string, s *proof.Sent, in storage.ID, code string, want error) {
			t.Helper()
			if _, err := s.Verify(t.Context(), in, proof.ToVerify, code); !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		send := func(s *proof.Sent, to string) (in storage.ID) {
			t.Helper()
			in = storage.NewID()
			if err := s.Send(t.Context(), proof.Sending{Purpose: proof.ToVerify, Interaction: in, Address: to, Person: h.ada.ID, Lang: "en"}); err != nil {
				t.Fatal(err)
			}
			h.DeliverMails()
			return in
		}
		in := send(h.Sent, h.ada.Email)
		mailed := h.box.Wait(h.ada.Email)
		is("a mailed code as a texted one", h.Texted, in, mailed.Code(), proof.ErrWrong)
		is("a mailed code", h.Sent, in, mailed.Code(), nil)
		in = send(h.Texted, adasNumber)
		texted := h.gateway.Code()
		is("a texted code as a mailed one", h.Sent, in, texted, proof.ErrWrong)
		is("a texted code", h.Texted, in, texted, nil)
	})
}
