package flow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/storage"
)

// offered signs Ada in by her password in a new browser that knows passkeys.
func (h *house) offered() flow.Answer {
	h.t.Helper()
	b := firefox()
	r := request()
	r.ClientID = "shop" // first party: nothing is to be agreed to
	a := h.begin(r, b)
	a.Progress.Passkeys = true
	return h.signIn(a, &b, h.ada)
}

// TestOfferIsMadeSeldom: not for 30 days after it was skipped, then not for 90, and never
// after a no; somebody else is offered one all the same.
func TestOfferIsMadeSeldom(t *testing.T) {
	const day = 24 * time.Hour
	h := newHouse(t, rules.Allow())
	wait := func(d time.Duration) { h.at = h.at.Add(d) }
	skip := func(forGood bool) {
		t.Helper()
		a := h.offered()
		h.want(a, flow.StepOffer, "/signin/offer-passkey?i=")
		next, err := h.Skip(t.Context(), a, storage.NewID(), forGood) // the page of somebody else
		h.must(err)
		h.want(next, flow.StepOffer, "/signin/offer-passkey?i=")
		next, err = h.Skip(t.Context(), a, a.SignIn.Session.ID, forGood)
		h.must(err)
		h.want(next, flow.StepDone, "/oauth2/authorize?i=")
	}
	quiet := func() {
		t.Helper()
		h.want(h.offered(), flow.StepDone, "/oauth2/authorize?i=")
	}
	skip(false)
	quiet()
	wait(30*day - time.Second)
	quiet()
	wait(time.Second)
	skip(false)
	wait(90*day - time.Second)
	quiet()
	wait(time.Second)
	skip(true)
	wait(40 * 365 * day)
	quiet()
}

// TestOfferIsTaken: once, with what adds the passkey, whose fault leaves the offer.
func TestOfferIsTaken(t *testing.T) {
	h := newHouse(t, rules.Allow())
	a := h.offered()
	errNot := errors.New("no passkey")
	if _, err := h.Took(t.Context(), a, a.SignIn.Session.ID, func(context.Context) error { return errNot }); !errors.Is(err, errNot) {
		t.Errorf("%v", err)
	}
	next, err := h.Took(t.Context(), a, a.SignIn.Session.ID, func(context.Context) error { return nil })
	h.must(err)
	h.want(next, flow.StepDone, "/oauth2/authorize?i=")
	again, err := h.Took(t.Context(), next, a.SignIn.Session.ID, func(context.Context) error { return errNot })
	h.must(err)
	h.want(again, flow.StepDone, "/oauth2/authorize?i=")
}
