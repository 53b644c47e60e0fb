package provider_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/sms"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// oftenTexted has more messages go out than any cap lets by default.
var oftenTexted = providertest.Configure(func(c *provider.Config) { c.SMS.Caps = sms.Caps{Number: 100, Person: 100} })

// TestAttack61ATextedCodeIsForOneSignIn: attack case 61. A code is for the sign-in that asked for it,
// in that browser, by that person, and the last one that was sent there; nothing else takes it.
func TestAttack61ATextedCodeIsForOneSignIn(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		const wrong, second = http.StatusUnprocessableEntity, "+46701740606"
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber, second)
		one, two := h.phones()[0], h.phones()[1]

		// Another sign-in's, in the same browser and in another one.
		r := h.textSignIn(rp)
		first := h.sends(r, one)
		page := r.at
		r.at = h.URL(r.Ask(rp, "openid").URL.RequestURI())
		r.follow(r.sendsTo(one.ID))
		h.texted()
		r.code(first).WantStatus(wrong)
		thief := h.textSignIn(rp)
		thief.follow(thief.sendsTo(one.ID))
		h.texted()
		thief.code(first).WantStatus(wrong)
		if a := thief.Get(page); a.Status == http.StatusOK {
			t.Errorf("another browser sees the page: %s", a)
		}
		// One that was sent before, to whichever phone.
		r.at = page
		before := h.sends(r, two)
		r.code(first).WantStatus(wrong)
		last := h.sends(r, one)
		r.code(before).WantStatus(wrong)

		r.follow(r.code(last))
		r.Walk(rp, r.at).Code()

	}, textsCount, oftenTexted)
}

// TestAttack61ATextedCodeIsForOnePerson: attack case 61. Nor does it count for whoever signs in
// meanwhile in the same browser, though they have the same mobile; nor for another request.
func TestAttack61ATextedCodeIsForOnePerson(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		const wrong = http.StatusUnprocessableEntity
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		one := h.phones()[0]
		if err := h.Phones.Add(t.Context(), h.Person("eve").ID, adasNumber, events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		r := h.textSignIn(rp)
		r.follow(r.code(h.sends(r, one)))
		r.Walk(rp, r.at).Code()
		h.Clock.Advance(11 * time.Minute)
		r = h.addsPhone(r.Browser)
		r.wantAt(web.PathSMS)
		code := h.sends(r, one)
		form := r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", code))
		r.SignIn("eve").Ask(rp, "openid", providertest.With("prompt", "select_account"))
		if a := r.Send(form); a.Status != wrong {
			t.Errorf("Ada's code for Eve: %s to %s", a, a.Header.Get("Location"))
		}

		// One for a change of proofs is none for an app, nor the other way about.
		b := h.Browser().SignIn("ada").StopAt(web.PathSMS)
		own := h.addsPhone(b)
		own.wantAt(web.PathSMS)
		code = h.sends(own, one)
		r = h.by(b, h.URL(b.Ask(rp, "openid", levels("aal2")).URL.RequestURI()))
		r.wantAt(web.PathSMS)
		r.code(code).WantStatus(wrong)
		own.follow(own.code(code))
		own.wantAt(web.PathAddPhone)
	}, textsCount, oftenTexted)
}

// TestAttack61ATextedCodeWorksOnce: attack case 61. Of twenty who type the right code at once one is
// heard.
func TestAttack61ATextedCodeWorksOnce(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		r := h.textSignIn(rp)
		code := h.sends(r, h.phones()[0])
		_, interaction, _ := strings.Cut(r.at, "?i=")
		var all sync.WaitGroup
		var right atomic.Int64
		for range 20 {
			all.Go(func() {
				_, err := h.Texted.Verify(t.Context(), storage.ID(interaction), proof.ToSignIn, code)
				if err == nil {
					right.Add(1)
				} else if !errors.Is(err, proof.ErrOver) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := right.Load(); n != 1 {
			t.Errorf("%d were heard", n)
		}
		r.code(code).WantStatus(http.StatusUnprocessableEntity)
	}, textsCount)
}

// TestAttack62APhoneThatIsGoneProvesNothing: attack case 62. A code that was sent to a phone before its
// owner removed it, or said that it was not them, opens nothing, also where the number is theirs
// anew; and what it proved before counts no more.
func TestAttack62APhoneThatIsGoneProvesNothing(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber, "+46701740606")
		gone := h.phones()[0]
		proved := h.textSignIn(rp, levels("aal2"))
		proved.follow(proved.code(h.sends(proved, gone)))
		proved.Walk(rp, proved.at).Code()
		silent := providertest.With("prompt", "none")
		proved.Authorize(rp, "openid", levels("aal2"), silent)

		var kept storage.ID
		for name, ends := range map[string]func(){
			"removed": func() {
				if err := h.Phones.Remove(t.Context(), h.ada.ID, gone.ID, events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			},
			"removed, and there again": func() {
				if err := h.Phones.Remove(t.Context(), h.ada.ID, gone.ID, events.ActorOperator); err != nil {
					t.Fatal(err)
				}
				if err := h.Phones.Add(t.Context(), h.ada.ID, adasNumber, events.ActorPerson); err != nil {
					t.Fatal(err)
				}
			},
			"in doubt": func() {
				if err := h.Store.Disown(t.Context(), storage.Disowning{PersonID: h.ada.ID, Keep: kept, Since: storage.At(h.Clock.Now().Add(time.Hour)), Also: gone.ID, Why: "disowned", Now: storage.At(h.Clock.Now())}); err != nil {
					t.Fatal(err)
				}
			},
		} {
			kept = h.session()
			r := h.textSignIn(rp)
			code := h.sends(r, gone)
			form := r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", code))
			ends()
			if a := r.Send(form); a.Status == http.StatusSeeOther && !strings.Contains(a.Header.Get("Location"), web.PathSignIn) {
				t.Errorf("%s: a code that was sent before opens %s", name, a.Header.Get("Location"))
			}
			proved.Ask(rp, "openid", levels("aal2"), silent).WantError(flow.InteractionRequired)
			// As it was before, for the next.
			for _, p := range h.phones() {
				if p.Number == adasNumber {
					if err := h.Phones.Remove(t.Context(), h.ada.ID, p.ID, events.ActorOperator); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := h.Phones.Add(t.Context(), h.ada.ID, adasNumber, events.ActorPerson); err != nil {
				t.Fatal(err)
			}
			h.Clock.Advance(24 * time.Hour)
			all := h.phones()
			gone = all[len(all)-1]
			proved = h.textSignIn(rp, levels("aal2"))
			proved.follow(proved.code(h.sends(proved, gone)))
			proved.Walk(rp, proved.at).Code()
		}
	}, textsCount, oftenTexted)
}

// session is the one that was proved in last.
func (h *textHouse) session() storage.ID {
	h.t.Helper()
	var data struct{ Session storage.ID }
	if err := json.Unmarshal(h.event(events.SignInSucceeded).Document.V, &data); err != nil || data.Session == "" {
		h.t.Fatalf("%+v, %v", data, err)
	}
	return data.Session
}

// TestAttack94TextMessagesAreCappedAtSignIn: attack case 94. Whoever has the password has so many
// messages sent and no more, in however many browsers; the page says so, and leaves the other ways.
func TestAttack94TextMessagesAreCappedAtSignIn(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		if _, err := h.Recovery.Generate(t.Context(), h.ada.ID, "these", events.ActorPerson); err != nil {
			t.Fatal(err)
		}
		sent := 0
		for range 8 {
			r := h.textSignIn(rp)
			switch a := r.sendsTo(h.phones()[0].ID); a.Status {
			case http.StatusSeeOther:
				sent++
			case http.StatusTooManyRequests:
				if body := string(a.Body); a.Header.Get("Retry-After") == "" || !strings.Contains(body, "many tries in a short time") || !strings.Contains(body, web.PathRecovery) {
					t.Errorf("the page says %s", a)
				}
			default:
				t.Fatal(a)
			}
		}
		h.DeliverMails()
		if got := len(h.gateway.Got()); sent != 3 || got != sent {
			t.Errorf("%d were asked for, %d came, want 3", sent, got)
		}
	}, textsCount, providertest.Configure(func(c *provider.Config) { c.SMS.Caps = sms.Caps{Number: 6} }))
}
