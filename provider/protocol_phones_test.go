package provider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// The number of Ada's mobile as she types it, its canonical form, and how pages name it.
const (
	adasMobile = "+46 (0)70-174 06 05"
	adasNumber = "+46701740605"
	adasEnding = "•••• 05"
)

// A textHouse is a toldHouse with a gateway for text messages.
type textHouse struct {
	*toldHouse
	gateway *providertest.Gateway
}

// eachTexted runs a test where Ada has had her address and her password for a while.
func eachTexted(t *testing.T, run func(t *testing.T, h *textHouse), options ...providertest.Option) {
	t.Helper()
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		box, gateway := providertest.NewMailbox(t), providertest.NewGateway(t)
		p := providertest.Start(t, append([]providertest.Option{providertest.On(database), providertest.WithMailbox(box), providertest.WithGateway(gateway)}, options...)...)
		h := &textHouse{&toldHouse{P: p, t: t, box: box, ada: p.Person("ada")}, gateway}
		p.Clock.Advance(24 * time.Hour)
		run(t, h)
		if logs := p.Logs(); strings.Contains(logs, "1740605") || strings.Contains(logs, "1740606") {
			t.Error("a number is logged")
		}
	})
}

// addsPhone goes to where a mobile is added, with whoever is signed in with that browser.
func (h *textHouse) addsPhone(b *providertest.Browser) *recovery {
	h.t.Helper()
	at := b.Walk(nil, h.URL(web.PathSecurityAddPhone))
	return &recovery{b, h.t, h.P, h.box, h.URL(at.URL.RequestURI())}
}

// texts has a code sent to a number.
func (r *recovery) texts(number string) *providertest.Answer {
	r.t.Helper()
	return r.Send(r.Filled(r.at, providertest.With("do", "send"), providertest.With("phone", number), providertest.Without("code")))
}

// texted is the code of the one text message that came.
func (h *textHouse) texted() string {
	h.t.Helper()
	h.DeliverMails()
	return h.gateway.Code()
}

// told is the mail that Ada was told by.
func (h *textHouse) told() providertest.Received {
	h.t.Helper()
	h.DeliverMails()
	return h.box.Wait(h.ada.Email)
}

// hasPhone has a mobile added, and returns it.
func (h *textHouse) hasPhone(b *providertest.Browser, number string) storage.Phone {
	h.t.Helper()
	r := h.addsPhone(b)
	r.wantAt(web.PathAddPhone)
	r.follow(r.texts(number))
	r.follow(r.code(h.texted()))
	r.wantAt(web.PathSecurity + "?done")
	all := h.phones()
	return all[len(all)-1]
}

func (h *textHouse) phones() []storage.Phone {
	h.t.Helper()
	all, err := h.Store.PhonesOf(h.t.Context(), h.ada.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// TestAPhoneIsAddedAndRemoved: by a code that is sent there; its owner is told, who finds it on
// their pages by the end of its number alone.
func TestAPhoneIsAddedAndRemoved(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		b := h.Browser().SignIn("ada")
		page := func(path string) string {
			t.Helper()
			body := string(b.Walk(nil, h.URL(path)).Body)
			if strings.Contains(body, "1740605") {
				t.Errorf("%s has the number", path)
			}
			return body
		}
		if body := page(web.PathSecurity); !strings.Contains(body, web.PathSecurityAddPhone) || strings.Contains(body, adasEnding) {
			t.Error("before: there is no way to add a mobile, or there is one")
		}
		r := h.addsPhone(b)
		r.wantAt(web.PathAddPhone)
		for _, typed := range []string{"", "070-174 06 05", "+44 7700 900123", "+46 8 123 456", "ada@example.com"} {
			a := r.texts(typed).WantStatus(http.StatusUnprocessableEntity)
			if body := string(a.Body); !strings.Contains(body, `aria-invalid="true"`) || !strings.Contains(body, `value="`+strings.ReplaceAll(typed, "+", "&#43;")+`" autocomplete="tel"`) {
				t.Errorf("%q: %s", typed, a)
			}
		}
		r.follow(r.texts(adasMobile))
		r.code("00000000").WantStatus(http.StatusUnprocessableEntity)
		r.follow(r.code(h.texted()))
		r.wantAt(web.PathSecurity + "?done")
		has := h.phones()
		if len(has) != 1 || has[0].Number != adasNumber || has[0].VerifiedAt.IsZero() {
			t.Fatalf("%+v", has)
		}
		if told := h.told(); !strings.Contains(told.Text, adasEnding) || strings.Contains(told.Text, "1740605") || len(told.Links()) != 1 {
			t.Errorf("the owner was told %q", told.Text)
		}
		if e := h.event(events.FactorAdded); !strings.Contains(string(e.Document.V), `"sms"`) || !strings.Contains(string(e.Document.V), string(has[0].ID)) {
			t.Errorf("the event says %s", e.Document.V)
		}
		if body := page(web.PathSecurity); !strings.Contains(body, adasEnding) {
			t.Error("the mobile is not on the page")
		}
		if _, err := h.Events.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		if body := page(web.PathActivity); !strings.Contains(body, adasEnding) {
			t.Error("nothing tells of the mobile")
		}

		// The same one again is one too many, and so is a sixth: neither costs a message.
		r = h.addsPhone(b)
		r.texts(adasMobile).WantStatus(http.StatusConflict)
		for i := range proof.MaxPhones - 1 {
			h.Clock.Advance(24 * time.Hour)
			b = h.Browser().SignIn("ada")
			h.hasPhone(b, fmt.Sprintf("+4670174061%d", i))
		}
		r = h.addsPhone(b)
		r.texts("+46701740619").WantStatus(http.StatusConflict)
		h.DeliverMails()
		if got := h.gateway.Got(); len(got) != 0 {
			t.Errorf("%d text messages", len(got))
		}
		if strings.Contains(page(web.PathSecurity), web.PathSecurityAddPhone) {
			t.Error("a sixth one is offered")
		}

		if body := string(h.API("op", clients.ScopeMailsRead).Do(http.MethodGet, "/mails", nil).WantStatus(http.StatusOK).Body); !strings.Contains(body, "sms_verify") || strings.Contains(body, "+46") {
			t.Errorf("an operator sees %s", body)
		}

		at := h.URL(web.PathSecurityFactor) + "?id=" + string(has[0].ID)
		page(web.PathSecurityFactor + "?id=" + string(has[0].ID))
		b.Send(b.Filled(at, providertest.With("do", "rename"), providertest.With("name", "mine"))).WantStatus(http.StatusBadRequest)
		h.DeliverMails()
		h.box.Got()
		b.Send(b.Filled(at, providertest.With("do", "remove"))).WantStatus(http.StatusSeeOther)
		if left := h.phones(); len(left) != proof.MaxPhones-1 {
			t.Errorf("%d are left", len(left))
		}
		if told := h.told(); !strings.Contains(told.Text, adasEnding) || !strings.Contains(told.Subject, "removed") {
			t.Errorf("the owner was told %q", told.Text)
		}
	})
}

// TestWithoutAGatewayThereAreNoPhones to add; one that is there can be removed.
func TestWithoutAGatewayThereAreNoPhones(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	ada := p.Person("ada")
	b := p.Browser().SignIn("ada")
	if body := string(b.Walk(nil, p.URL(web.PathSecurity)).Body); strings.Contains(body, web.PathSecurityAddPhone) || strings.Contains(body, `id="phones"`) {
		t.Error("a mobile can be added")
	}
	b.Get(p.URL(web.PathSecurityAddPhone)).WantStatus(http.StatusNotFound)
	// Nor where somebody stood when there was one.
	stood, err := p.Flow.Begin(t.Context(), flow.Request{Page: flow.PageAddPhone}, flow.Browser{Secret: b.Cookie(browserCookie), Sessions: []string{b.Cookie(sessionCookie)}})
	if err != nil || stood.Step != flow.StepPhone {
		t.Fatalf("%s, %v", stood.Step, err)
	}
	b.Get(p.URL(stood.Path)).WantStatus(http.StatusNotFound)
	form := b.Filled(p.URL(web.PathLanguage), providertest.With("do", "send"), providertest.With("phone", adasNumber), providertest.Without("language"), providertest.Without("session"))
	form.URL = b.Request(p.URL(stood.Path)).URL
	b.Send(form).WantStatus(http.StatusNotFound)
	if err := p.Phones.Add(t.Context(), ada.ID, adasNumber, events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	if body := string(b.Walk(nil, p.URL(web.PathSecurity)).Body); strings.Contains(body, web.PathSecurityAddPhone) || !strings.Contains(body, adasEnding) {
		t.Error("the mobile from before is not there, or another one can be added")
	}
}

// TestAWrongCodeOfWhatIsAddedIsNobodysTry: it would have let nobody in, and what is told of wrong ones
// is that somebody may have come that far.
func TestAWrongCodeOfWhatIsAddedIsNobodysTry(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		b := h.Browser().SignIn("ada")
		app := h.by(b, h.URL(b.StopAt(web.PathAddTOTP).Walk(nil, h.URL(web.PathSecurityAddTOTP)).URL.RequestURI()))
		app.code("000000").WantStatus(http.StatusUnprocessableEntity)
		phone := h.addsPhone(b)
		phone.follow(phone.texts(adasNumber))
		phone.code("00000000").WantStatus(http.StatusUnprocessableEntity)
		address := h.by(b, "")
		address.follow(b.Send(b.Filled(h.URL(web.PathAddresses), providertest.With("do", "verify"), providertest.With("email", "ada@other.example"))))
		address.follow(address.Send(address.Filled(address.at, providertest.With("do", "send"))))
		address.code("00000000").WantStatus(http.StatusUnprocessableEntity)
		tried := func() []storage.WrongTry {
			t.Helper()
			all, err := h.Store.WrongTriesOf(t.Context(), h.ada.ID, storage.At(h.Clock.Now().Add(-24*time.Hour)), 10)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if all := tried(); len(all) != 0 {
			t.Errorf("%+v", all)
		}
		r := lost(t, h.P, h.box, h.Browser(), h.Client("web", providertest.FirstParty))
		r.follow(r.ask(h.ada.Email))
		r.code("00000000").WantStatus(http.StatusUnprocessableEntity)
		if all := tried(); len(all) != 1 {
			t.Errorf("%+v, want the one that would have let somebody in", all)
		}
	})
}

// TestNobodyLearnsWhosePhoneItIs: one that somebody has is told of as one that nobody has, and two
// people may have the same one.
func TestNobodyLearnsWhosePhoneItIs(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		h.hasPhone(h.Browser().SignIn("ada"), adasNumber)
		bob := h.Person("bob")
		b := h.Browser().SignIn("bob")
		r := h.addsPhone(b)
		r.wantAt(web.PathAddPhone)
		r.follow(r.texts("+46701740607")) // once, so that all is there
		measure := func(number string) trace {
			t.Helper()
			before := h.Passwords.Hashes()
			var a *providertest.Answer
			ask := r.Filled(r.at, providertest.With("do", "send"), providertest.With("phone", number), providertest.Without("code"))
			statements := h.Statements.During(func() { a = r.Send(ask) })
			return traceOf(a, number, h.Passwords.Hashes()-before, statements)
		}
		if nobodys, adas := measure("+46701740606"), measure(adasNumber); nobodys != adas {
			t.Errorf("nobody's: %+v\nAda's: %+v", nobodys, adas)
		}
		h.DeliverMails()
		got := h.gateway.Got()
		if len(got) != 3 {
			t.Fatalf("%d text messages", len(got))
		}
		r.follow(r.texts(adasNumber))
		r.follow(r.code(h.texted()))
		r.wantAt(web.PathSecurity + "?done")
		if has, err := h.Phones.List(t.Context(), bob.ID); err != nil || len(has) != 1 || len(h.phones()) != 1 {
			t.Errorf("Bob has %v, Ada %v: %v", has, h.phones(), err)
		}
	})
}

// TestAnOperatorRemovesAPhone as any other factor.
func TestAnOperatorRemovesAPhone(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		has := h.hasPhone(h.Browser().SignIn("ada"), adasNumber)
		h.DeliverMails()
		h.box.Got()
		op := h.API("op", clients.ScopeUsersRead, clients.ScopeUsersWrite)
		all := "/users/" + string(h.ada.ID) + "/factors"
		if got := string(op.Do(http.MethodGet, all, nil).WantStatus(http.StatusOK).Body); !strings.Contains(got, string(has.ID)) || !strings.Contains(got, `"phone"`) || strings.Contains(got, "1740605") {
			t.Errorf("the phone is listed as %s", got)
		}
		op.Do(http.MethodDelete, "/users/"+string(h.Person("bob").ID)+"/factors/"+string(has.ID), nil).WantStatus(http.StatusNotFound)
		op.Do(http.MethodDelete, all+"/"+string(has.ID), nil).WantStatus(http.StatusNoContent)
		if left := h.phones(); len(left) != 0 {
			t.Errorf("%+v are left", left)
		}
		if told := h.told(); !strings.Contains(told.Text, adasEnding) {
			t.Errorf("the owner was told %q", told.Text)
		}
	})
}
