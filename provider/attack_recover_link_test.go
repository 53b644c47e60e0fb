package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// by makes a recovery of a browser that stands at a page.
func (h *toldHouse) by(b *providertest.Browser, at string) *recovery {
	return &recovery{b, h.t, h.P, h.box, at}
}

// setsPassword has whoever is signed in with that browser choose another one.
func (h *toldHouse) setsPassword(b *providertest.Browser, password string) {
	h.t.Helper()
	a := b.StopAt(web.PathNewPassword).Walk(nil, h.URL(web.PathSecurityPassword))
	b.Send(b.Filled(h.URL(a.URL.RequestURI()), providertest.With("password", password))).WantStatus(http.StatusSeeOther)
	h.Clock.Advance(time.Minute)
}

// addsAddress has whoever is signed in with that browser add an address.
func (h *toldHouse) addsAddress(b *providertest.Browser, address string) {
	h.t.Helper()
	page := h.URL(web.PathAddresses)
	b.Walk(nil, page) // signed in
	r := h.by(b, "")
	r.follow(b.Send(b.Filled(page, providertest.With("do", "verify"), providertest.With("email", address))))
	r.follow(r.Send(r.Filled(r.at, providertest.With("do", "send"))))
	h.DeliverMails()
	got := h.box.Wait(address)
	r.follow(r.code(got.Code()))
	r.wantAt(web.PathAddresses)
	h.Clock.Advance(time.Minute)
}

// linkTo is the link of the newest notice to an address that has this subject.
func (h *toldHouse) linkTo(address, subject string) string {
	h.t.Helper()
	h.DeliverMails()
	for _, m := range h.box.Got() {
		if m.To == address && strings.Contains(m.Subject, subject) {
			return m.Links()[0]
		}
	}
	h.t.Fatalf("no mail %q to %s", subject, address)
	return ""
}

// Who had only a password, which a thief changed, gets the account back by the mail that told
// of it: they prove the address, and choose another. The thief is out, and has no address by
// which to come back, not even where they stood in the midst of that.
func TestAnOwnerWithoutTheirPasswordTakesTheAccountBack(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		thief := h.Browser().SignIn("ada")
		stolen := rp.Exchange(thief.Authorize(rp, "openid offline_access")).OK()
		h.setsPassword(thief, "a password of the thief's own")
		link := h.linkTo(h.ada.Email, "was changed")
		h.addsAddress(thief, "thief@example.net")
		midst := lost(t, h.P, h.box, h.Browser(), rp)
		midst.proves("thief@example.net")
		midst.wantAt(web.PathReset)
		h.Clock.Advance(time.Minute)
		h.DeliverMails()
		h.box.Got()

		owner := h.Browser()
		at := h.URL(taken(owner.StopAt(web.PathSignIn), link).URL.RequestURI())
		r := h.by(owner, strings.Replace(at, web.PathSignIn, web.PathForgot, 1))
		r.follow(r.Get(r.at))
		r.proves(h.ada.Email)
		r.wantAt(web.PathReset)
		if page := r.Get(r.at).WantStatus(http.StatusOK); !strings.Contains(string(page.Body), "to be confirmed anew") {
			t.Errorf("what will happen is not said: %s", page)
		}
		r.reset("short").WantStatus(http.StatusUnprocessableEntity)
		r.follow(r.reset(another))
		r.wantAt(web.PathSecurity + "?done")
		r.Get(r.at).WantStatus(http.StatusOK)

		if _, err := h.Passwords.Verify(t.Context(), h.ada.Person, another); err != nil {
			t.Error(err)
		}
		rp.Refresh(stolen.Refresh).WantError("invalid_grant")
		if a := thief.SignedOut().StopAt(web.PathSignIn).Ask(rp, "openid"); a.URL.Path != web.PathSignIn {
			t.Errorf("the thief is still signed in: at %s", a.URL)
		}
		midst.follow(midst.Get(midst.at))
		midst.wantAt(web.PathRecover)
		h.DeliverMails()
		h.box.Got()
		again := lost(t, h.P, h.box, h.Browser(), rp)
		again.follow(again.ask("thief@example.net"))
		h.DeliverMails()
		if got := h.box.Got(); len(got) != 0 {
			t.Errorf("a code went to the thief: %q", got[0].Subject)
		}
		if page := h.Browser().Get(link); page.Status != http.StatusNotFound {
			t.Errorf("the link lives on: %s", page)
		}
	})
}

// Who is signed in with what is newer than what happened, and has nothing that is older, is led
// to the same by the page behind the link.
func TestWhoHasNothingOlderIsLedToRecovery(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		b := h.Browser().SignIn("ada")
		h.setsPassword(b, another)
		link := h.linkTo(h.ada.Email, "was changed")
		page := b.Send(b.Filled(link)).WantStatus(http.StatusForbidden)
		form := providertest.ReadForm(page.Body)
		form.Fields = url.Values{"form_token": form.Fields["form_token"], "key": form.Fields["key"], "do": {"recover"}}
		r := h.by(b, "")
		r.follow(b.Send(b.Submit(b.Request(link).URL, form)))
		r.wantAt(web.PathRecover)
		r.proves(h.ada.Email)
		r.follow(r.reset("eight small boats at noon"))
		r.wantAt(web.PathSecurity + "?done")
	})
}

// Attack case 62: whoever reads the mail and has no more undoes nothing of the owner's by its
// link: not the second factor that they added since, whatever password they set since. Nor is an
// address enough that was verified after what the link is about.
func TestAttack62ALinkAloneRecoversNothing(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		owner := h.Browser().SignIn("ada")
		h.setsPassword(owner, another)
		link := h.linkTo(h.ada.Email, "was changed")
		h.addsAddress(owner, "ada@work.example")
		begin := func() *recovery {
			t.Helper()
			b := h.Browser()
			at := h.URL(taken(b.StopAt(web.PathSignIn), link).URL.RequestURI())
			r := h.by(b, strings.Replace(at, web.PathSignIn, web.PathForgot, 1))
			r.follow(r.Get(r.at))
			return r
		}
		h.DeliverMails()
		h.box.Got()
		younger := begin()
		younger.follow(younger.ask("ada@work.example"))
		h.DeliverMails()
		got := h.box.Wait("ada@work.example")
		younger.code(got.Code()).WantStatus(http.StatusUnprocessableEntity)

		h.addsTOTP(owner)
		h.DeliverMails()
		h.box.Got()
		r := begin()
		r.proves(h.ada.Email)
		r.wantAt(web.PathTOTP)
		r.follow(r.Get(strings.Replace(r.at, web.PathTOTP, web.PathReset, 1)))
		r.wantAt(web.PathTOTP)
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("doubted are %v", got)
		}
	})
}

// Attack case 62: an address that a thief added recovers nothing any more once the owner said that
// it was not them, also where its code was typed before.
func TestAttack62ADisownedAddressRecoversNothing(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.addsAddress(h.Browser().SignIn("ada"), "thief@example.net")
		link := h.linkTo(h.ada.Email, "was added")
		thief := lost(t, h.P, h.box, h.Browser(), rp)
		thief.proves("thief@example.net")
		thief.wantAt(web.PathReset)
		owner := h.Browser().SignIn("ada")
		a := taken(owner, link)
		if a.URL.Path != web.PathDisown {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		owner.Send(owner.Filled(h.URL(a.URL.RequestURI()))).WantStatus(http.StatusOK)
		thief.follow(thief.Get(thief.at))
		thief.wantAt(web.PathRecover)
	})
}

// Attack case 62: a thief who adds an address of their own cannot take the owner's away, nor with it
// the link of the mail that told of it.
func TestAttack62AThiefLeavesTheOwnerAnAddress(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		thief := h.Browser().SignIn("ada")
		h.addsAddress(thief, "thief@example.net")
		link := h.linkTo(h.ada.Email, "was added")
		thief.Send(thief.Filled(h.URL(web.PathAddresses), providertest.With("do", "remove"), providertest.With("email", h.ada.Email))).WantStatus(http.StatusConflict)
		if a := taken(h.Browser().SignIn("ada"), link); a.URL.Path != web.PathDisown {
			t.Errorf("the owner's link leads to %s: %s", a.URL, a.Answer)
		}
		// Nor without the one that they are found by, which nobody ever confirmed.
		bob := h.Person("bob", func(n *directory.NewPerson) { n.Verified = false })
		thief = h.Browser().SignIn("bob")
		h.addsAddress(thief, "thief@example.org")
		removes := func() *providertest.Answer {
			return thief.Send(thief.Filled(h.URL(web.PathAddresses), providertest.With("do", "remove"), providertest.With("email", bob.Email)))
		}
		removes().WantStatus(http.StatusConflict)
		if found, err := h.Directory.ByEmail(t.Context(), bob.Email); err != nil || found.ID != bob.ID {
			t.Errorf("%+v, %v", found, err)
		}
	})
}
