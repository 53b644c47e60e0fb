package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// textsCount has a code by SMS count as a second factor.
var textsCount = providertest.Configure(func(c *provider.Config) { c.SMS.AAL2 = true })

// withPhones has Ada have mobiles for a day.
func (h *textHouse) withPhones(numbers ...string) {
	h.t.Helper()
	for _, number := range numbers {
		b := h.Browser().SignIn("ada")
		if len(h.phones()) > 0 { // which is asked for by now, beside the password
			r := h.addsPhone(b)
			r.wantAt(web.PathSMS)
			r.follow(r.code(h.sends(r, h.phones()[0])))
		}
		h.hasPhone(b, number)
	}
	h.DeliverMails()
	h.box.Got()
	h.Clock.Advance(24 * time.Hour)
}

// textSignIn has Ada sign in at an app by her password, up to the page of a code by SMS.
func (h *textHouse) textSignIn(rp *providertest.RP, params ...providertest.Param) *recovery {
	h.t.Helper()
	b := h.Browser().SignIn("ada").StopAt(web.PathSMS)
	r := h.by(b, h.URL(b.Ask(rp, "openid", params...).URL.RequestURI()))
	r.wantAt(web.PathSMS)
	return r
}

// sends has a code sent to one of Ada's phones, and returns it.
func (h *textHouse) sends(r *recovery, to storage.Phone) string {
	h.t.Helper()
	r.follow(r.sendsTo(to.ID))
	return h.texted()
}

func (r *recovery) sendsTo(phone storage.ID) *providertest.Answer {
	r.t.Helper()
	return r.Send(r.Filled(r.at, providertest.With("do", "send"), providertest.With("phone", string(phone)), providertest.Without("code"), providertest.Without("remember")))
}

func levels(acr string) providertest.Param { return providertest.With("acr_values", acr) }

// TestACodeBySMSIsASecondFactor: beside the password, where the operator says so. The browser can
// spare its person from it; no more than aal2 comes of it.
func TestACodeBySMSIsASecondFactor(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		has := h.phones()[0]
		r := h.textSignIn(rp, levels("aal2"))
		if body := string(r.Get(r.at).WantStatus(http.StatusOK).Body); !strings.Contains(body, adasEnding) || strings.Contains(body, "1740605") {
			t.Errorf("the page names the mobile otherwise: %s", body)
		}
		r.follow(r.sendsTo(has.ID))
		h.DeliverMails()
		texts := h.gateway.Got()
		if len(texts) != 1 {
			t.Fatalf("%d text messages", len(texts))
		}
		said := string(texts[0].Body)
		if !strings.Contains(said, "sign in to") || strings.Contains(said, "http") || !strings.Contains(said, adasNumber) {
			t.Errorf("the message says %s", said)
		}
		r.code("").WantStatus(http.StatusUnprocessableEntity)
		r.code("00000000").WantStatus(http.StatusUnprocessableEntity)
		tries, err := h.Store.WrongTriesOf(t.Context(), h.ada.ID, storage.At(h.Clock.Now().Add(-time.Hour)), 10)
		if err != nil || len(tries) != 1 || tries[0].Method != policy.SMS || tries[0].Times != 1 {
			t.Errorf("wrong codes are counted as %+v, %v", tries, err)
		}
		code := h.sends(r, has)
		if body := string(r.Get(r.at).Body); !strings.Contains(body, adasEnding) || strings.Contains(body, "1740605") {
			t.Errorf("the page names the mobile otherwise: %s", body)
		}
		a := r.Send(r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", code[:4]+" "+code[4:]), providertest.With("remember", "yes")))
		r.follow(a)
		id := h.Verify(rp.Exchange(r.Walk(rp, r.at).Code()).OK().ID).Claims
		if id["acr"] != "aal2" || fmt.Sprint(id["amr"]) != "[mfa pwd sms]" {
			t.Errorf("acr %v, amr %v", id["acr"], id["amr"])
		}
		if used := h.phones()[0]; !used.UsedAt.Equal(h.Clock.Now()) {
			t.Errorf("it was used at %v", used.UsedAt)
		}
		for _, acr := range []string{"aal3", "phr", "phrh"} {
			r.Ask(rp, "openid", levels(acr)).WantError(flow.UnmetRequirements)
		}

		// The browser remembers it; another one does not.
		r.SignedOut().SignIn("ada").Authorize(rp, "openid")
		h.textSignIn(rp)
	}, textsCount)
}

// TestAttack62ACodeBySMSCountsForNothing: attack case 62. Unless the operator has it count nobody is asked for one, and
// nobody reaches more by one.
func TestAttack62ACodeBySMSCountsForNothing(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		b := h.Browser().SignIn("ada")
		b.Authorize(rp, "openid")
		b.Ask(rp, "openid", levels("aal2")).WantError(flow.UnmetRequirements)
		// A page that asks for something else leads nowhere by it.
		h.addsTOTP(b)
		at := b.StopAt(web.PathTOTP).Ask(rp, "openid", levels("aal2"), providertest.With("prompt", "login"))
		page := h.URL(at.URL.RequestURI())
		if a := b.Get(page); strings.Contains(string(a.Body), web.PathSMS) {
			t.Error("a code by SMS is offered")
		}
		to := strings.Replace(page, web.PathTOTP, web.PathSMS, 1)
		if a := b.Get(to); a.Status != http.StatusSeeOther {
			t.Errorf("its page: %s", a)
		}
		if texts := h.gateway.Got(); len(texts) != 0 {
			t.Errorf("%d text messages were sent", len(texts))
		}
	})
}

// TestARuleMayNameCodesBySMS, also where they count for nothing else: then one is asked for beside
// the password, and raises nothing.
func TestARuleMayNameCodesBySMS(t *testing.T) {
	set, err := rules.Parse([]byte("{name: shop, version: '1', default: allow, rules: [{name: by text, when: 'client == \"web\"', then: {require: aal1, methods: [sms], max_age: 1h}}]}"),
		func(float64) float64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.Browser().SignIn("ada").Ask(rp, "openid").WantError(flow.UnmetRequirements)
		b := h.Browser().SignIn("ada")
		at := h.URL(b.Walk(nil, h.URL(web.PathSecurityAddPhone)).URL.RequestURI())
		r := h.by(b, at)
		r.wantAt(web.PathMail) // the rules are strict: a password alone adds no mobile
		r.follow(r.Send(r.Filled(r.at, providertest.With("do", "send"), providertest.Without("code"))))
		h.DeliverMails()
		mailed := h.box.Wait(h.ada.Email)
		r.follow(r.code(mailed.Code()))
		r.wantAt(web.PathAddPhone)
		r.follow(r.texts(adasNumber))
		r.follow(r.code(h.texted()))

		r = h.textSignIn(rp)
		if strings.Contains(string(r.Get(r.at).Body), `name="remember"`) {
			t.Error("the browser could be had to spare them")
		}
		r.follow(r.code(h.sends(r, h.phones()[0])))
		id := h.Verify(rp.Exchange(r.Walk(rp, r.at).Code()).OK().ID).Claims
		if id["acr"] != "aal1" || fmt.Sprint(id["amr"]) != "[pwd]" {
			t.Errorf("acr %v, amr %v", id["acr"], id["amr"])
		}
		r.Ask(rp, "openid", levels("aal2")).WantError(flow.UnmetRequirements)
		r.Authorize(rp, "openid")
		h.Clock.Advance(61 * time.Minute)
		if at := r.StopAt(web.PathSMS).Ask(rp, "openid"); at.URL.Path != web.PathSMS {
			t.Errorf("after an hour: %s", at.URL)
		}
	}, providertest.Configure(func(c *provider.Config) { c.Rules = set }))
}

var checkedPhone = regexp.MustCompile(`name="phone" value="([^"]+)" checked`)

// TestOneOfSeveralPhones is chosen, the one that was used last before the others; who has one no
// more finds another way.
func TestOneOfSeveralPhones(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		const second = "+46701740606"
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber, second)
		one, two := h.phones()[0], h.phones()[1]
		chosen := func(r *recovery) storage.ID {
			t.Helper()
			found := checkedPhone.FindSubmatch(r.Get(r.at).WantStatus(http.StatusOK).Body)
			if found == nil {
				t.Fatal("none is chosen")
			}
			return storage.ID(found[1])
		}
		r := h.textSignIn(rp)
		if got := chosen(r); got != one.ID { // that its owner added the other one by
			t.Errorf("%s is chosen, want %s", got, one.ID)
		}
		r.follow(r.sendsTo(two.ID))
		if got := chosen(r); got != two.ID {
			t.Errorf("after the choice of %s: %s", two.ID, got)
		}
		h.DeliverMails()
		r.follow(r.code(h.gateway.Code()))
		h.Clock.Advance(time.Minute)
		r = h.textSignIn(rp)
		if got := chosen(r); got != two.ID {
			t.Errorf("%s is chosen, want the one that was used last", got)
		}
		if err := h.Phones.Remove(t.Context(), h.ada.ID, two.ID, "operator"); err != nil {
			t.Fatal(err)
		}
		r.sendsTo(two.ID).WantStatus(http.StatusUnprocessableEntity)
		lost := string(r.Get(strings.Replace(r.at, web.PathSMS, web.PathLost, 1) + "&lost=sms").WantStatus(http.StatusOK).Body)
		if !strings.Contains(lost, "Without your mobile") || strings.Contains(lost, `href="`+web.PathSMS) {
			t.Errorf("who lost it is told %s", lost)
		}
		r.follow(r.code(h.sends(r, one)))
		r.Walk(rp, r.at).Code()
	}, textsCount)
}

// TestARightCodeOfAPhoneThatIsGone is no wrong one: it is over, another one can be sent to another phone,
// and nobody is told of a try.
func TestARightCodeOfAPhoneThatIsGone(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		h.withPhones(adasNumber, "+46701740606")
		one := h.phones()[0]
		r := h.textSignIn(h.Client("web", providertest.FirstParty))
		code := h.sends(r, one)
		page := r.Filled(r.at, providertest.With("do", "code"), providertest.With("code", code))
		if err := h.Phones.Remove(t.Context(), h.ada.ID, one.ID, "operator"); err != nil {
			t.Fatal(err)
		}
		body := string(r.Send(page).WantStatus(http.StatusUnprocessableEntity).Body)
		if !strings.Contains(body, "does not work any more") || strings.Contains(body, `name="code"`) {
			t.Errorf("the page says %s", body)
		}
		tries, err := h.Store.WrongTriesOf(t.Context(), h.ada.ID, storage.Time{}, 10)
		if err != nil || len(tries) != 0 {
			t.Errorf("a right code is told as %+v, %v", tries, err)
		}
	}, textsCount)
}

// TestAttack62WhoLostTheirPasswordHasAPhone: attack case 62. Where that counts it is asked for, as other factors are, also
// where it waits for its owner's word.
func TestAttack62WhoLostTheirPasswordHasAPhone(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		r := lost(t, h.P, h.box, h.Browser(), rp)
		r.proves(h.ada.Email)
		r.wantAt(web.PathSMS)
		if a := r.Get(strings.Replace(r.at, web.PathSMS, web.PathReset, 1)); a.Status != http.StatusSeeOther {
			t.Errorf("by a mail alone: %s", a)
		}
		r.follow(r.sendsTo(h.phones()[0].ID))
		h.DeliverMails()
		texts := h.gateway.Got()
		if len(texts) != 1 || !strings.Contains(string(texts[0].Body), "confirm that it is you") {
			t.Fatalf("%d text messages: %+v", len(texts), texts)
		}
		_, code, _ := strings.Cut(string(texts[0].Body), " #")
		r.follow(r.code(code[:8]))
		r.wantAt(web.PathReset)
		r.follow(r.reset(another))
		r.wantAt(web.PathSignIn)

		h.Clock.Advance(24 * time.Hour)
		if err := h.Store.Disown(t.Context(), storage.Disowning{PersonID: h.ada.ID, Since: storage.At(h.Clock.Now()), Also: h.phones()[0].ID, Why: "disowned", Now: storage.At(h.Clock.Now())}); err != nil {
			t.Fatal(err)
		}
		h.Clock.Advance(time.Minute)
		h.DeliverMails()
		h.box.Got()
		r = lost(t, h.P, h.box, h.Browser(), rp)
		r.proves(h.ada.Email)
		r.wantAt(web.PathReset)
		if strings.Contains(string(r.Get(r.at).WantStatus(http.StatusForbidden).Body), `name="password"`) {
			t.Error("a mail alone is enough of who has a phone in doubt")
		}
	}, textsCount)
}

// TestAPhoneIsToldOfAsWhatItIs: a way to sign in where a code counts, and else no such thing.
func TestAPhoneIsToldOfAsWhatItIs(t *testing.T) {
	for name, tc := range map[string]struct {
		options []providertest.Option
		subject string
		page    string
	}{
		"counts":             {[]providertest.Option{textsCount}, "A new way to sign in", "beside your password"},
		"counts for nothing": {nil, "A mobile was added", "Mobiles that we can send a code to"},
	} {
		t.Run(name, func(t *testing.T) {
			eachTexted(t, func(t *testing.T, h *textHouse) {
				b := h.Browser().SignIn("ada")
				h.hasPhone(b, adasNumber)
				if told := h.told(); !strings.Contains(told.Subject, tc.subject) {
					t.Errorf("told %q", told.Subject)
				}
				body := string(b.Walk(nil, h.URL(web.PathSecurity)).Body)
				_, section, _ := strings.Cut(body, `id="phones"`)
				section, _, _ = strings.Cut(section, "</section>")
				if !strings.Contains(section, tc.page) || strings.Contains(body, web.PathSecurityAsking) != (tc.options != nil) {
					t.Errorf("the page says %s", section)
				}
			}, tc.options...)
		})
	}
}

// TestCodesBySMSAsJSON: a script goes through the step by what the page shows.
func TestCodesBySMSAsJSON(t *testing.T) {
	eachTexted(t, func(t *testing.T, h *textHouse) {
		rp := h.Client("web", providertest.FirstParty)
		h.withPhones(adasNumber)
		has := h.phones()[0]
		r := h.textSignIn(rp)
		at, err := url.Parse(r.at)
		if err != nil {
			t.Fatal(err)
		}
		s := &script{t: t, p: h.P, b: r.Browser, seen: map[string]bool{}}
		s.open(at.RequestURI(), "sentcode")
		s.send("form", "do", "send", "phone", string(has.ID))
		s.open(at.RequestURI(), "sentcode")
		if next := s.send("form", "do", "code", "code", h.texted(), "remember", "yes"); !strings.HasPrefix(next, web.PathAuthorize) {
			t.Errorf("next is %s", next)
		}
	}, textsCount)
}
