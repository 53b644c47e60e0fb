package flow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/storage"
)

// changing is the step of a page of ours that is for one step.
func (h *house) changing() (flow.Answer, flow.Browser) {
	h.t.Helper()
	b := h.signedIn()
	a := h.begin(flow.Request{Page: flow.PageRecovery}, b)
	h.want(a, flow.StepRecoveryCodes, "/signin/recovery-codes?i=")
	return a, b
}

// TestStepIsDoneOnce: of two sends of one page one does what the step is for, and both
// are answered with what is due then.
func TestStepIsDoneOnce(t *testing.T) {
	h := newHouse(t, rules.Allow())
	a, b := h.changing()
	done := 0
	for range 2 {
		next, err := h.Did(t.Context(), a, a.SignIn.Session.ID, func(ctx context.Context) error {
			storage.Then(ctx, func() { done++ })
			return nil
		})
		h.must(err)
		h.want(next, flow.StepDone, "/account/security?done")
	}
	if done != 1 {
		t.Errorf("done %d times", done)
	}
	// A page that was read before shows what it began: that is too late.
	if _, err := h.Pend(t.Context(), a, storage.NewID()); !errors.Is(err, storage.ErrStale) {
		t.Errorf("began something after all was done: %v", err)
	}
	h.want(h.resume(a, b), flow.StepDone, "/account/security?done")
}

// TestStepIsDoneBesideAnotherTab: what another tab noted meanwhile stays, and what was
// done under a guard of its own is noted all the same.
func TestStepIsDoneBesideAnotherTab(t *testing.T) {
	h := newHouse(t, rules.Allow())
	a, b := h.changing()
	first, second := storage.NewID(), storage.NewID()
	for _, began := range []storage.ID{first, second} { // whoever scanned the first may go on with it
		stands, err := h.Pend(t.Context(), a, began)
		h.must(err)
		if got := h.resume(a, b).Progress.Pending; got != first || stands != first {
			t.Errorf("waits for %s, shows %s, want %s", got, stands, first)
		}
	}
	lapsed := h.resume(a, b)
	if stands, err := h.Pend(t.Context(), lapsed, second); err != nil || stands != second {
		t.Errorf("in the place of one that lapsed: %s, %v, want %s", stands, err, second)
	}
	errLate := errors.New("too late")
	if _, err := h.DidGuarded(t.Context(), a, a.SignIn.Session.ID, func(context.Context) error { return errLate }); !errors.Is(err, errLate) {
		t.Errorf("%v", err)
	}
	h.want(h.resume(a, b), flow.StepRecoveryCodes, "/signin/recovery-codes?i=")
	next, err := h.DidGuarded(t.Context(), a, a.SignIn.Session.ID, func(context.Context) error { return nil })
	h.must(err)
	h.want(next, flow.StepDone, "/account/security?done")
	if next.Progress.Pending != second {
		t.Errorf("the other tab's is gone: %+v", next.Progress)
	}
	// Nor does a proof that was given on an older page undo it.
	next, _, err = h.SignedIn(t.Context(), a, b, h.ada, h.password(h.ada))
	h.must(err)
	h.want(next, flow.StepDone, "/account/security?done")
}

// TestSignInIsNotedBesideAnotherTab: a request goes on with whoever signed in, though
// another tab said something since the page was shown.
func TestSignInIsNotedBesideAnotherTab(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	a := h.begin(request("select_account", "login"), b)
	h.want(a, flow.StepAccount, "/signin/account?i=")
	_, _, err := h.Choose(t.Context(), a, b, a.SignIn.Session.ID)
	h.must(err)
	if next := h.signIn(a, &b, h.bob); next.SignIn.Person.ID != h.bob.ID {
		t.Errorf("goes on with %s", next.SignIn.Person.ID)
	}
	// An answer to a page that is not the newest changes nothing.
	next, err := h.Cancel(t.Context(), a)
	h.must(err)
	if next.Progress.Cancelled {
		t.Error("an old page gave up what another tab went on with")
	}
}
