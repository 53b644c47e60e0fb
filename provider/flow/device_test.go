package flow_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// code gives an authenticator's code at the step.
func (h *house) code(a flow.Answer, b *flow.Browser, app storage.ID, remember bool) flow.Answer {
	h.t.Helper()
	return h.gives(a, b, policy.Evidence{Method: policy.OneTime, Credential: string(app), At: h.at}, remember)
}

// gives gives a proof at its step.
func (h *house) gives(a flow.Answer, b *flow.Browser, ev policy.Evidence, remember bool) flow.Answer {
	h.t.Helper()
	a.Remember = remember
	next, changed, err := h.SignedIn(h.t.Context(), a, *b, h.ada, ev)
	h.must(err)
	b.Sessions, b.Device = changed.Sessions, changed.Device
	return next
}

// away is the browser without its sessions: signed out.
func away(b flow.Browser) flow.Browser {
	b.Sessions = nil
	return b
}

// device is what the store knows of a browser of Ada's.
func (h *house) device(id storage.ID) storage.Device {
	h.t.Helper()
	known, err := h.store.LoadArrival(h.t.Context(), h.ada.ID, id, storage.At(h.at))
	h.must(err)
	return known.Device
}

// TestSecondFactorIsAskedForOncePerBrowserThatRemembersIt: until the memory lapses, the
// authenticator is removed, or the browser is forgotten.
func TestSecondFactorIsAskedForOncePerBrowserThatRemembersIt(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	app := h.totp(h.ada)
	h.want(h.begin(request(), b), flow.StepDone, "") // it is about signing in: nobody is asked in between

	b = away(b)
	a := h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(a, flow.StepTOTP, "/signin/totp?i=")
	if !a.Reauth || !a.Remembers {
		t.Fatalf("asked anew %v, may remember %v", a.Reauth, a.Remembers)
	}
	silent := request("none")
	silent.Silent = true
	if got := h.begin(silent, b); got.Refusal != flow.InteractionRequired {
		t.Errorf("prompt=none: %s %s", got.Step, got.Refusal)
	}
	if d := h.device(b.Device); !d.SeenAt.Equal(h.at) || h.history(h.ada).SignIns != 1 {
		t.Errorf("half a sign-in was learned: %+v", h.history(h.ada))
	}
	h.want(h.code(a, &b, app, false), flow.StepDone, "")
	if d := h.device(b.Device); d.ProvenAt.IsZero() || d.Remembers(storage.At(h.at)) {
		t.Errorf("after a code: %+v", d)
	}

	h.at = h.at.Add(48 * time.Hour) // by now it is no aal2 any more
	h.want(h.begin(request(), b), flow.StepDone, "")

	b = away(b)
	copied := b
	a = h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(a, flow.StepTOTP, "/signin/totp?i=")
	h.want(h.code(a, &b, app, true), flow.StepDone, "")
	if d := h.device(b.Device); !d.Remembers(storage.At(h.at)) || b.Device == copied.Device {
		t.Errorf("remembered: %+v, the id is new: %v", d, b.Device != copied.Device)
	}
	if d := h.device(copied.Device); d.ID != "" {
		t.Errorf("a copy of the cookie from before is known: %+v", d)
	}
	b = away(b)
	h.want(h.signIn(h.begin(request(), b), &b, h.ada), flow.StepDone, "")
	record := h.lastFacts(b)
	if record.DeviceTier != policy.TierSecond {
		t.Errorf("decided on the tier %q", record.DeviceTier)
	}

	h.at = h.at.Add(time.Hour)
	other := h.totp(h.ada)
	h.must(h.store.RemoveTOTP(t.Context(), h.ada.ID, app))
	b = away(b)
	a = h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(a, flow.StepTOTP, "")
	h.want(h.code(a, &b, other, true), flow.StepDone, "")

	h.at = h.at.Add(time.Hour)
	h.must(h.store.ForgetDevice(t.Context(), h.ada.ID, b.Device))
	b = away(b)
	a = h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(a, flow.StepTOTP, "")
	h.want(h.code(a, &b, other, true), flow.StepDone, "")

	h.at = h.at.Add(90*24*time.Hour - 1)
	b = away(b)
	h.want(h.signIn(h.begin(request(), b), &b, h.ada), flow.StepDone, "")
	h.at = h.at.Add(1) // using it made it no longer
	b = away(b)
	h.want(h.signIn(h.begin(request(), b), &b, h.ada), flow.StepTOTP, "")
}

// TestAttack62APhoneThatCountsNoMoreSparesNobody: attack case 62. A browser that was remembered by a code
// by SMS asks for another second factor once those count no more; one that was remembered by that
// other one does not.
func TestAttack62APhoneThatCountsNoMoreSparesNobody(t *testing.T) {
	h := newHouse(t, rules.Allow())
	h.Service = h.serve(true, true)
	app := h.totp(h.ada)
	phone := &storage.Phone{ID: storage.NewID(), PersonID: h.ada.ID, Number: "+46701740605", VerifiedAt: storage.At(h.at)}
	h.must(h.store.VerifyPhone(t.Context(), phone, 5))
	signsIn := func(b *flow.Browser) flow.Answer {
		t.Helper()
		*b = away(*b)
		return h.signIn(h.begin(flow.Request{ClientID: "shop", RedirectURI: "https://app.example/cb", Scopes: []string{"openid"}}, *b), b, h.ada)
	}
	byPhone, byApp := firefox(), firefox()
	h.want(h.gives(signsIn(&byPhone), &byPhone, policy.Evidence{Method: policy.SMS, Credential: string(phone.ID), At: h.at, Accepted: true}, true), flow.StepDone, "")
	h.want(h.code(signsIn(&byApp), &byApp, app, true), flow.StepDone, "")
	h.want(signsIn(&byPhone), flow.StepDone, "")

	h.Service = h.serve(true, false)
	h.want(signsIn(&byPhone), flow.StepTOTP, "")
	h.want(signsIn(&byApp), flow.StepDone, "")
}

// lastFacts are those of the last decision about the browser's session.
func (h *house) lastFacts(b flow.Browser) policy.Facts {
	h.t.Helper()
	signIn, err := h.Current(h.t.Context(), b)
	h.must(err)
	row, err := h.store.DecisionByID(h.t.Context(), signIn.Session.DecisionID)
	h.must(err)
	record, err := policy.DecodeDecision(row.Document.V)
	h.must(err)
	return record.Facts
}

// TestHalfASignInMakesNoBrowserKnown, for what is asked next in other circumstances either.
func TestHalfASignInMakesNoBrowserKnown(t *testing.T) {
	h := newHouse(t, rules.Allow())
	app, b := h.totp(h.ada), firefox()
	a := h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(a, flow.StepTOTP, "")
	elsewhere := func(last byte) {
		b.Address = netip.AddrFrom4([4]byte{203, 0, 113 + last, 1})
		h.begin(request(), b)
	}
	elsewhere(1)
	if tier := h.lastFacts(b).DeviceTier; tier != policy.TierNone {
		t.Errorf("half a sign-in makes the browser one of the tier %q", tier)
	}
	h.code(h.resume(a, b), &b, app, false)
	elsewhere(2)
	if tier := h.lastFacts(b).DeviceTier; tier != policy.TierSecond {
		t.Errorf("the whole makes it one of the tier %q", tier)
	}
}

// TestWhatBrowsersRememberEndsWithTheSessions: whoever has one remembered that is not
// theirs is asked again.
func TestWhatBrowsersRememberEndsWithTheSessions(t *testing.T) {
	for name, end := range map[string]func(h *house, here *storage.Session) error{
		"all others, by a new password": func(h *house, here *storage.Session) error {
			return h.store.SignOutElsewhere(h.t.Context(), h.ada.ID, here.ID, "test", storage.At(h.at))
		},
		"all": func(h *house, _ *storage.Session) error {
			return h.store.SignOutEverywhere(h.t.Context(), h.ada.ID, "test", storage.At(h.at))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, rules.Allow())
			app, b := h.totp(h.ada), firefox()
			h.code(h.signIn(h.begin(request(), b), &b, h.ada), &b, app, true)
			in, err := h.Current(t.Context(), b)
			h.must(err)
			if d := h.device(b.Device); !d.Remembers(storage.At(h.at)) {
				t.Fatal("nothing is remembered")
			}
			h.must(end(h, &in.Session))
			if d := h.device(b.Device); d.ID == "" || d.Remembers(storage.At(h.at)) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestPeopleSayHowOftenTheyAreAsked, and at whose sign-in: a proof of somebody who is
// signed in begins none, but prompt=login does.
func TestPeopleSayHowOftenTheyAreAsked(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	app := h.totp(h.ada)
	b = away(b)
	h.want(h.code(h.signIn(h.begin(request(), b), &b, h.ada), &b, app, true), flow.StepDone, "")
	for asking, steps := range map[policy.Asking][2]flow.Step{ // where it is remembered, and where it is not
		"":                  {flow.StepDone, flow.StepTOTP},
		policy.AskUnusual:   {flow.StepDone, flow.StepTOTP},
		policy.AskAlways:    {flow.StepTOTP, flow.StepTOTP},
		policy.AskSensitive: {flow.StepDone, flow.StepDone},
	} {
		h.must(h.store.SetAsking(t.Context(), h.ada.ID, string(asking)))
		here, elsewhere := away(b), firefox()
		h.want(h.signIn(h.begin(request(), here), &here, h.ada), steps[0], "")
		a := h.signIn(h.begin(request(), elsewhere), &elsewhere, h.ada)
		h.want(a, steps[1], "")
		if a.Remembers != (steps[0] == flow.StepDone && steps[1] == flow.StepTOTP) {
			t.Errorf("%q: may remember %v", asking, a.Remembers)
		}
	}
	h.must(h.store.SetAsking(t.Context(), h.ada.ID, string(policy.AskSensitive)))
	b = firefox()
	h.want(h.signIn(h.begin(request(), b), &b, h.ada), flow.StepDone, "")
	h.must(h.store.SetAsking(t.Context(), h.ada.ID, string(policy.AskAlways)))
	h.want(h.begin(request(), b), flow.StepDone, "") // the session is from before
	h.at = h.at.Add(time.Minute)
	again := request()
	again.MaxAge = new(int64)
	h.want(h.signIn(h.begin(again, b), &b, h.ada), flow.StepDone, "") // they prove anew, and are signed in
	h.at = h.at.Add(time.Minute)
	h.want(h.signIn(h.begin(request("login"), b), &b, h.ada), flow.StepTOTP, "")
}

// TestOthersOfABrowserStayRemembered when one of them has it remembered, and it gets a new
// id by that.
func TestOthersOfABrowserStayRemembered(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	a := h.signIn(h.begin(request("select_account"), away(b)), &b, h.bob)
	h.want(a, flow.StepConsent, "")
	was := b.Device
	app := h.totp(h.ada)
	b = away(b)
	h.want(h.code(h.signIn(h.begin(request(), b), &b, h.ada), &b, app, true), flow.StepDone, "")
	for _, who := range []*storage.Person{h.ada, h.bob} {
		now, err := h.store.DeviceKnown(t.Context(), b.Device, who.ID, storage.At(h.at))
		h.must(err)
		before, err := h.store.DeviceKnown(t.Context(), was, who.ID, storage.At(h.at))
		h.must(err)
		if !now || before || was == b.Device {
			t.Errorf("%s: known by the new id %v, by the old one %v", who.Sub, now, before)
		}
	}
}

// TestADeviceIsAnotherOneWhenItCountsForMore: whoever copied its id before has nothing of what
// it is worth since, whether or not it is remembered.
func TestADeviceIsAnotherOneWhenItCountsForMore(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	first := b
	if d := h.device(first.Device); d.ID == "" {
		t.Fatal("the browser is not known")
	}
	app := h.totp(h.ada)
	b = away(b)
	a := h.signIn(h.begin(request(), b), &b, h.ada)
	if b.Device != first.Device {
		t.Error("half a sign-in changes the id")
	}
	h.want(h.code(a, &b, app, false), flow.StepDone, "")
	if d := h.device(b.Device); b.Device == first.Device || d.ProvenAt.IsZero() {
		t.Errorf("after a code: %+v, the id is new: %v", d, b.Device != first.Device)
	}
	if d := h.device(first.Device); d.ID != "" {
		t.Errorf("the id from before is known: %+v", d)
	}
	second := b
	h.at = h.at.Add(time.Hour)
	b = away(b)
	a = h.signIn(h.begin(request(), b), &b, h.ada)
	h.want(h.code(a, &b, app, false), flow.StepDone, "")
	if b.Device != second.Device {
		t.Error("it counts for no more than before, and has another id")
	}

	// Who signs in by the old id meanwhile makes no device of it that is worth what the new one is.
	copied := away(first)
	a = h.signIn(h.begin(request(), copied), &copied, h.ada)
	if facts := h.lastFacts(copied); facts.DeviceTier != policy.TierNone {
		t.Errorf("the copy has the tier %s", facts.DeviceTier)
	}
	h.want(a, flow.StepTOTP, "")
}

// TestTwoPeopleInOneBrowserKeepTheirs: what one of them proves in it gives it another id, and
// takes nothing from the other.
func TestTwoPeopleInOneBrowserKeepTheirs(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := firefox()
	h.signIn(h.begin(request(), b), &b, h.bob)
	app := h.totp(h.ada)
	before := b.Device
	a := h.begin(request("select_account"), b)
	a, _, err := h.Choose(t.Context(), a, b, "")
	h.must(err)
	a = h.signIn(a, &b, h.ada)
	h.want(h.code(a, &b, app, true), flow.StepConsent, "")
	if b.Device == before || len(b.Sessions) != 2 {
		t.Fatalf("the id is new: %v, %d sessions", b.Device != before, len(b.Sessions))
	}
	his := b
	his.Sessions = b.Sessions[1:]
	in, err := h.Current(t.Context(), his)
	h.must(err)
	st, err := session.Standing(&in.Session, h.at)
	h.must(err)
	if in.Person.ID != h.bob.ID || st.Device != string(b.Device) || st.Tier != policy.TierCookie {
		t.Errorf("his session is of the browser %s with the tier %s, want %s", st.Device, st.Tier, b.Device)
	}
	known, err := h.store.LoadArrival(t.Context(), h.bob.ID, b.Device, storage.At(h.at))
	h.must(err)
	if known.Device.ID == "" || known.Device.Remembers(storage.At(h.at)) {
		t.Errorf("his browser: %+v", known.Device)
	}
	if !in.Session.SeenAt.Equal(h.at) || !in.Session.ExpiresAt.After(h.at) {
		t.Errorf("his session: %+v", in.Session)
	}
}
