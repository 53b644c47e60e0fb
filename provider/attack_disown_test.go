package provider_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// A house in which somebody is told of changes.
type toldHouse struct {
	*providertest.P
	t   *testing.T
	box *providertest.Mailbox
	ada *providertest.Person
}

// eachTold runs a test where Ada has had her address and her password for a while.
func eachTold(t *testing.T, run func(t *testing.T, h *toldHouse)) {
	t.Helper()
	providertest.Databases(t, func(t *testing.T, database string) {
		box := providertest.NewMailbox(t)
		p := providertest.Start(t, providertest.On(database), providertest.WithMailbox(box))
		h := &toldHouse{P: p, t: t, box: box, ada: p.Person("ada")}
		p.Clock.Advance(24 * time.Hour)
		run(t, h)
	})
}

var seedText = regexp.MustCompile(`class="seed"[^>]*>([A-Z2-7 ]+)<`)

// addsTOTP has whoever is signed in with that browser add an authenticator, and returns its seed.
func (h *toldHouse) addsTOTP(b *providertest.Browser) string {
	h.t.Helper()
	a := b.Walk(nil, h.URL(web.PathSecurityAddTOTP))
	found := seedText.FindSubmatch(a.Body)
	if found == nil {
		h.t.Fatalf("no seed at %s: %s", a.URL, a.Answer)
	}
	seed := string(found[1])
	b.Send(b.Filled(h.URL(a.URL.RequestURI()), providertest.With("code", code(h.t, seed, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
	h.Clock.Advance(time.Minute)
	return seed
}

// link is that of the one notice that came.
func (h *toldHouse) link() string {
	h.t.Helper()
	h.DeliverMails()
	got := h.box.Got()
	if len(got) != 1 || len(got[0].Links()) != 1 {
		h.t.Fatalf("%d mails, want one with one link", len(got))
	}
	return got[0].Links()[0]
}

// taken presses the button on the page behind a link, and goes on until it cannot.
func taken(b *providertest.Browser, link string) *providertest.Arrival {
	return b.Walk(nil, b.Next(b.Send(b.Filled(link)).WantStatus(http.StatusSeeOther)))
}

// doubted are the factors of a person's that wait for their word.
func (h *toldHouse) doubted(person storage.ID) (ids []storage.ID) {
	h.t.Helper()
	apps, err := h.Store.TOTPsOf(h.t.Context(), person)
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := h.Store.PasskeysOf(h.t.Context(), person)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range apps {
		if !a.DoubtedAt.IsZero() {
			ids = append(ids, a.ID)
		}
	}
	for _, k := range keys {
		if !k.DoubtedAt.IsZero() {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// event is the newest one of a kind.
func (h *toldHouse) event(kind events.Kind) *storage.Event {
	h.t.Helper()
	all, err := h.Store.Events(h.t.Context(), 100)
	if err != nil {
		h.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(e storage.Event) bool { return e.Kind == string(kind) })
	if i < 0 {
		h.t.Fatalf("no event %s", kind)
	}
	return &all[i]
}

// Who has only the password can add an authenticator to an account that has none. The
// owner, who has the password and reads the address, takes it away by the mail that told of
// it: the thief is out, with all that they had been given, and what they added proves
// nothing.
func TestAnOwnerTakesTheAccountBack(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		elsewhere := h.Browser().SignIn("ada")
		kept := rp.Exchange(elsewhere.Authorize(rp, "openid offline_access")).OK()
		thief := h.Browser().SignIn("ada")
		stolen := rp.Exchange(thief.Authorize(rp, "openid offline_access")).OK()
		seed := h.addsTOTP(thief)

		// Without the mail the page wants what the thief has.
		owner := h.Browser().SignIn("ada")
		if a := owner.Walk(nil, h.URL(web.PathNotMeEvent)+"?id="+string(h.event(events.FactorAdded).ID)); a.URL.Path != web.PathTOTP {
			t.Fatalf("without the mail: at %s: %s", a.URL, a.Answer)
		}

		// Nor does anything else open: in a browser that remembers nothing it is asked for.
		if a := owner.Walk(nil, h.URL(web.PathApps)); a.URL.Path != web.PathTOTP {
			t.Fatalf("the owner is not asked for a second factor: at %s", a.URL)
		}

		link := h.link()
		for range 2 { // looking changes nothing
			if page := owner.Get(link).WantStatus(http.StatusOK); !strings.Contains(string(page.Body), "A new way to sign in was added") {
				t.Errorf("the page does not say what it is about: %s", page)
			}
		}
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Fatalf("looking at the link doubted %v", got)
		}
		at := taken(owner, link)
		if at.URL.Path != web.PathDisown || !strings.Contains(string(at.Body), "Authenticator app") {
			t.Fatalf("at %s: %s", at.URL, at.Answer)
		}
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Fatalf("nobody has said so yet, and doubted are %v", got)
		}
		done := owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		if !strings.Contains(string(done.Body), "The account is yours again") || !strings.Contains(string(done.Body), `href="`+web.PathSecurityPassword+`"`) {
			t.Errorf("%s", done)
		}
		if got := h.doubted(h.ada.ID); len(got) != 1 {
			t.Fatalf("doubted are %v", got)
		}
		for who, b := range map[string]*providertest.Browser{"the thief": thief, "another browser": elsewhere} {
			b.SignedOut()
			if a := b.Walk(nil, h.URL(web.PathApps)); a.URL.Path != web.PathSignIn {
				t.Errorf("%s is signed in still: at %s", who, a.URL)
			}
		}
		for _, tokens := range []*providertest.Tokens{stolen, kept} {
			rp.Refresh(tokens.Refresh).WantError("invalid_grant")
			h.Introspect(tokens.Access).WantInactive()
		}
		said := h.event(events.AccountDisowned)
		if doc := string(said.Document.V); said.PersonID != h.ada.ID || !strings.Contains(doc, "factor_added") || !strings.Contains(doc, string(h.doubted(h.ada.ID)[0])) {
			t.Errorf("the event says %s", doc)
		}

		// What is doubted proves nothing, and its owner is shown that it waits.
		again := h.Browser().SignIn("ada")
		page := html.UnescapeString(string(again.Walk(nil, h.URL(web.PathSecurity)).Body))
		if !strings.Contains(page, "Waits for you") {
			t.Errorf("%s", page)
		}
		if a := again.Walk(rp, rp.AuthorizationURL("openid", providertest.With("acr_values", "aal2"))); a.Params.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("with a factor that is doubted aal2 can be reached: at %s", a.URL)
		}
		if _, err := h.TOTP.Verify(t.Context(), h.ada.Person, code(t, seed, h.Clock.Now()), untold); err == nil {
			t.Error("its code is taken")
		}
		// The password alone is what the owner had before it: it takes it off the account.
		form := again.Filled(h.URL(web.PathSecurityFactor)+"?id="+string(h.doubted(h.ada.ID)[0]), providertest.With("do", "remove"))
		again.Send(form).WantStatus(http.StatusSeeOther)
		if apps, err := h.TOTP.List(t.Context(), h.ada.ID); err != nil || len(apps) != 0 {
			t.Errorf("%v, %v", apps, err)
		}
	})
}

// A factor that was disowned counts again once its person says so, with something older.
func TestWhatIsDoubtedCountsOnceItsPersonSaysSo(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		owner := h.Browser().SignIn("ada")
		seed := h.addsTOTP(owner)
		at := taken(owner, h.link())
		owner.Send(owner.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		id := h.doubted(h.ada.ID)[0]

		// The password alone does not say so: whoever knows it would have back what was taken
		// from them.
		h.Clock.Advance(time.Hour)
		review := h.URL(web.PathSecurityReview) + "?id=" + string(id)
		thief := h.Browser().SignIn("ada")
		if a := thief.Walk(nil, review); a.URL.Path != web.PathSecurityFactor || strings.Contains(string(a.Body), web.PathSecurityReview) {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		form := thief.Filled(h.URL(web.PathSecurityFactor) + "?id=" + string(id))
		form.URL.Path = web.PathSecurityReview
		thief.Send(form).WantStatus(http.StatusSeeOther)
		if got := h.doubted(h.ada.ID); len(got) != 1 {
			t.Fatalf("the password alone has it count again: doubted are %v", got)
		}

		// Another factor does, and its owner is told.
		newer := h.addsTOTP(owner)
		h.Clock.Advance(time.Hour)
		before := len(h.box.Got())
		b := h.Browser()
		a := b.SignIn("ada").StopAt(web.PathTOTP).Walk(nil, review)
		b.Send(b.Filled(h.URL(a.URL.RequestURI()), providertest.With("code", code(t, newer, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
		h.Clock.Advance(time.Minute)
		if a = b.Walk(nil, review); a.URL.Path != web.PathSecurityReview {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		b.Send(b.Filled(review)).WantStatus(http.StatusSeeOther)
		if h.DeliverMails(); len(h.box.Got()) <= before+1 { // of the newer one, and of this
			t.Error("nobody is told that it counts again")
		}
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("doubted are %v", got)
		}
		for _, seed := range []string{seed, newer} {
			if _, err := h.TOTP.Verify(t.Context(), h.ada.Person, code(t, seed, h.Clock.Now()), untold); err != nil {
				t.Errorf("its code: %v", err)
			}
		}
		h.event(events.FactorTrusted)
		if to := b.Next(b.Get(review).WantStatus(http.StatusSeeOther)); !strings.Contains(to, web.PathSecurityFactor) {
			t.Errorf("one that counts is reviewed at %s", to)
		}
	})
}

// Attack case 62: whoever has the password and not the mail sends no factor of the owner's to be
// reviewed, by the event, by a link of their making, or by an interaction for something
// else.
func TestAttack62APasswordAloneDisownsNoFactor(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		h.addsTOTP(h.Browser().SignIn("ada"))
		h.DeliverMails()
		thief := h.Browser().SignIn("ada")
		of := h.URL(web.PathNotMeEvent) + "?id="
		for _, id := range []storage.ID{h.event(events.FactorAdded).ID, h.event(events.PersonCreated).ID} {
			if a := thief.Walk(nil, of+string(id)); a.URL.Path != web.PathTOTP {
				t.Fatalf("at %s: %s", a.URL, a.Answer)
			} else if to := thief.Next(thief.Get(h.URL(web.PathDisown) + "?i=" + a.URL.Query().Get("i"))); !strings.HasPrefix(to, h.URL(web.PathTOTP)) {
				t.Errorf("the step that is not due leads to %s", to)
			} else {
				form := thief.Filled(h.URL(a.URL.RequestURI()))
				form.URL.Path = web.PathDisown
				thief.Send(form).WantStatus(http.StatusSeeOther)
			}
		}
		for _, key := range []string{"", "guessed", strings.Repeat("A", 43)} {
			thief.Get(h.URL(web.PathNotMe) + "?" + url.Values{proof.ParamLink: {key}}.Encode()).WantStatus(http.StatusNotFound)
		}
		if a := thief.Walk(nil, h.URL(web.PathSecurityReview)+"?id="+string(storage.NewID())); a.URL.Path != web.PathTOTP {
			t.Errorf("the page of reviews is open: at %s", a.URL)
		}
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("doubted are %v", got)
		}
	})
}

// Attack case 62: a thief who added a factor to an account without one does not spend its
// owner's link by disowning something themselves, nor has their own factor count again by
// the password.
func TestAttack62AThiefSpendsNoLinkOfTheOwner(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		thief := h.Browser().SignIn("ada")
		seed := h.addsTOTP(thief)
		link := h.link()
		of := h.URL(web.PathNotMeEvent) + "?id=" + string(h.event(events.PersonCreated).ID)
		a := thief.StopAt(web.PathTOTP).Walk(nil, of)
		thief.Send(thief.Filled(h.URL(a.URL.RequestURI()), providertest.With("code", code(t, seed, h.Clock.Now())))).WantStatus(http.StatusSeeOther)
		h.Clock.Advance(time.Minute)
		if a = thief.Walk(nil, of); a.URL.Path != web.PathDisown {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		thief.Send(thief.Filled(h.URL(a.URL.RequestURI()))).WantStatus(http.StatusOK)
		owned := h.doubted(h.ada.ID)
		if len(owned) != 1 {
			t.Fatalf("doubted are %v", owned)
		}
		thief.Walk(nil, h.URL(web.PathSecurityReview)+"?id="+string(owned[0]))
		form := thief.Filled(h.URL(web.PathSecurityFactor) + "?id=" + string(owned[0]))
		form.URL.Path = web.PathSecurityReview
		thief.Send(form).WantStatus(http.StatusSeeOther)
		if got := h.doubted(h.ada.ID); len(got) != 1 {
			t.Errorf("the thief's factor counts again: doubted are %v", got)
		}
		if a := taken(h.Browser().SignIn("ada"), link); a.URL.Path != web.PathDisown {
			t.Errorf("the owner's link leads to %s: %s", a.URL, a.Answer)
		}
	})
}

// Attack case 62: whoever reads the mail and has not what the person had before does nothing by
// its link: not with a password that was set since either.
func TestAttack62AMailAloneDisownsNoFactor(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		h.addsTOTP(h.Browser().SignIn("ada"))
		link := h.link()
		// Nobody is signed in: the password that was there is asked for.
		if a := taken(h.Browser(), link); a.URL.Path != web.PathSignIn {
			t.Fatalf("at %s: %s", a.URL, a.Answer)
		}
		if err := h.Passwords.Set(t.Context(), h.ada.Person, "another long password of a thief", events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		thief := h.Browser()
		a := taken(thief, link)
		sent := thief.Send(thief.Filled(h.URL(a.URL.RequestURI()), providertest.With("identifier", h.ada.Email), providertest.With("password", "another long password of a thief")))
		if to := thief.Next(sent.WantStatus(http.StatusSeeOther)); !strings.HasPrefix(to, h.URL(web.PathNotMe)+"?refused") {
			t.Errorf("with a password that is newer: at %s", to)
		}
		if page := thief.Send(thief.Filled(link)).WantStatus(http.StatusForbidden); !strings.Contains(string(page.Body), "That is not enough") {
			t.Errorf("%s", page)
		}
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("doubted are %v", got)
		}
	})
}

// Attack case 62: a mail and the password are not enough where the person had more.
func TestAttack62AMailAndAPasswordAreNotAPasskey(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		d := h.Device(phone)
		owner := addPasskey(t, h.P, "ada", d)
		h.link()
		h.Clock.Advance(time.Hour)
		owner.Holding(d)
		h.addsTOTP(owner)
		thief := h.Browser().SignIn("ada") // with the password
		a := taken(thief, h.link())
		if a.URL.Path != web.PathPasskey {
			t.Errorf("of somebody who had a passkey before it, the password is enough: at %s: %s", a.URL, a.Answer)
		}
		// Nor does what is younger stand in for it.
		if strings.Contains(string(a.Body), web.PathTOTP+"?") {
			t.Errorf("a code of the younger one is taken in its place: %s", a.Body)
		}
		thief.Get(h.URL(web.PathTOTP) + "?i=" + a.URL.Query().Get("i")).WantStatus(http.StatusSeeOther)
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("doubted are %v", got)
		}
	})
}

// Attack case 72: a notice's link is for one use, for seven days, about its own person.
func TestAttack72ADisownLinkWorksOnceForItsPerson(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		h.Person("eve")
		h.addsTOTP(h.Browser().SignIn("ada"))
		link := h.link()
		eve := h.Browser().SignIn("eve")
		eve.Walk(nil, h.URL(web.PathApps))
		if a := taken(eve, link); a.URL.Path == web.PathDisown {
			t.Errorf("for Eve: %s", a.Answer)
		}
		// Eve ends nothing of her own by it either.
		if a := h.Browser().SignIn("eve"); taken(a, link).URL.Path == web.PathDisown {
			t.Error("Eve signed in to it")
		}

		owner, twin := h.Browser().SignIn("ada"), h.Browser().SignIn("ada")
		at, second := taken(owner, link), taken(twin, link)
		used := owner.Filled(h.URL(at.URL.RequestURI()))
		late := twin.Filled(h.URL(second.URL.RequestURI()))
		owner.Send(used).WantStatus(http.StatusOK)
		id := h.doubted(h.ada.ID)
		if len(id) != 1 {
			t.Fatalf("doubted are %v", id)
		}
		if err := h.TOTP.Trust(t.Context(), h.ada.ID, id[0], events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		twin.Send(late) // its session ended: it goes back to the start
		b := h.Browser().SignIn("ada")
		b.Get(link).WantStatus(http.StatusNotFound)
		b.Post(link, nil) // without the token of a form
		owner.Send(owner.Carry(used))
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("used again, it doubted %v", got)
		}

		h.Clock.Advance(time.Hour)
		fresh := h.Browser().SignIn("ada")
		if err := h.TOTP.Remove(t.Context(), h.ada.ID, id[0], events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		h.addsTOTP(fresh)
		another := h.link()
		h.Clock.Advance(7*24*time.Hour - 2*time.Minute)
		b.Get(another).WantStatus(http.StatusOK)
		h.Clock.Advance(time.Minute)
		b.Get(another).WantStatus(http.StatusNotFound)
	})
}

// Two who began with one link: one of them uses it.
func TestAttack72ADisownLinkIsSpentByOne(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		b := h.Browser().SignIn("ada")
		h.addsTOTP(b)
		link := h.link()
		first, second := taken(b, link), taken(b, link)
		if first.URL.Path != web.PathDisown || second.URL.Path != web.PathDisown {
			t.Fatalf("at %s and %s", first.URL, second.URL)
		}
		late := b.Filled(h.URL(second.URL.RequestURI()))
		b.Send(b.Filled(h.URL(first.URL.RequestURI()))).WantStatus(http.StatusOK)
		if err := h.TOTP.Trust(t.Context(), h.ada.ID, h.doubted(h.ada.ID)[0], events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		b.Send(late).WantStatus(http.StatusNotFound)
		if got := h.doubted(h.ada.ID); len(got) != 0 {
			t.Errorf("used again, it doubted %v", got)
		}
	})
}

// Attack case 62: a thief's passkey that was disowned opens nothing, not even where it was asked
// for before, and what it proved in a living session counts no more.
func TestAttack62WhatIsDoubtedProvesNothing(t *testing.T) {
	t.Parallel()
	eachTold(t, func(t *testing.T, h *toldHouse) {
		rp := h.Client("web", providertest.FirstParty)
		d := h.Device(phone)
		// The thief sits at the owner's own browser: its session is the one that stays.
		home := addPasskey(t, h.P, "ada", d)
		home.Holding(d).Authorize(rp, "openid", providertest.With("acr_values", "aal2"))
		home.Holding(nil)
		acr := func() any {
			t.Helper()
			return h.Verify(rp.Exchange(home.Authorize(rp, "openid", silently)).OK().ID).Claims["acr"]
		}
		if got := acr(); got != "aal2" {
			t.Fatalf("acr %v, want aal2", got)
		}
		waiting := signInPage(t, h.P, rp)
		at := taken(home, h.link())
		if at.URL.Path == web.PathSignIn { // the password was given before: it is asked for anew after ten minutes
			t.Fatalf("at %s: %s", at.URL, at.Answer)
		}
		home.Send(home.Filled(h.URL(at.URL.RequestURI()))).WantStatus(http.StatusOK)
		waiting.answer(d).WantStatus(wrong)
		signInPage(t, h.P, rp).answer(d).WantStatus(wrong)
		if got := acr(); got != "aal1" {
			t.Errorf("in the session that stays: acr %v, want aal1", got)
		}
		home.Ask(rp, "openid", silently, providertest.With("acr_values", "aal2")).WantError("unmet_authentication_requirements")
	})
}
