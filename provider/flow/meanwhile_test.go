package flow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/storage"
)

// TestAFaultIsToldAlsoWhereAnotherStepIsDue: what could not be written is no "too late", though the
// session ended meanwhile as well.
func TestAFaultIsToldAlsoWhereAnotherStepIsDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, rules.Allow())
	b := firefox()
	h.signIn(h.begin(request(), b), &b, h.ada)
	a := h.begin(flow.Request{Page: flow.PageRecovery}, b)
	h.want(a, flow.StepRecoveryCodes, "/signin/recovery-codes?i=")
	does := func(fault error) error {
		_, err := h.DidGuarded(t.Context(), a, a.SignIn.Session.ID, func(ctx context.Context) error {
			h.must(h.store.EndSessionBeside(storage.WithoutUnit(ctx), a.SignIn.Session.ID, storage.At(h.at)))
			if fault != nil { // of a unit that nobody can carry out
				h.must(h.store.SpendInteraction(ctx, a.Interaction.ID, storage.At(h.at)))
			}
			return h.store.RenamePasskey(ctx, h.ada.ID, storage.NewID(), "none such")
		})
		return err
	}
	if err := does(errors.New("two guards")); err == nil {
		t.Error("a fault was swallowed")
	}
	if err := does(nil); err != nil { // they came too late, and are sent where they belong
		t.Errorf("too late: %v", err)
	}
}

// TestAResetIsQuickerThanNobody: at whatever moment something else is written while a password is
// reset, its person is signed in, or begins anew; never is it a fault.
func TestAResetIsQuickerThanNobody(t *testing.T) {
	t.Parallel()
	const address = "ada@example.com"
	for what, meanwhile := range map[string]func(h *house, device storage.ID){
		"the browser was forgotten": func(h *house, device storage.ID) {
			h.must(h.store.ForgetDevice(h.t.Context(), h.ada.ID, device))
		},
		"another password was set": func(h *house, _ storage.ID) {
			h.must(h.store.SetPassword(h.t.Context(), &storage.Password{PersonID: h.ada.ID, Hash: "another one", ChangedAt: storage.At(h.at)}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			in, out := 0, 0
			for n := 1; ; n++ {
				h := newHouse(t, rules.Allow())
				b := firefox()
				h.signIn(h.begin(request(), b), &b, h.ada) // the browser is known
				h.at = h.at.Add(time.Hour)
				b.Sessions = nil
				a, err := h.Recover(t.Context(), h.begin(flow.Request{Page: flow.PageRecover}, b), h.ada.ID, address, policy.Evidence{Method: policy.Mail, At: h.at})
				h.must(err)
				h.want(a, flow.StepReset, "/signin/reset?i=")
				looks := -1
				h.tick = func() {
					if looks--; looks == 0 {
						meanwhile(h, b.Device)
					}
				}
				next, changed, err := h.Reset(t.Context(), a, b, a.Owner(), func(ctx context.Context) error {
					storage.Then(ctx, func() { looks = n })
					return h.store.SetPassword(ctx, &storage.Password{PersonID: h.ada.ID, Hash: "the new one", ChangedAt: storage.At(h.at)})
				})
				if err != nil {
					t.Fatalf("at the look %d at the clock: %v", n, err)
				}
				switch {
				case len(changed.Sessions) == 1 && next.Step == flow.StepDone:
					in++
				case len(changed.Sessions) == 0 && next.Step == flow.StepRecover:
					out++
				default:
					t.Errorf("at the look %d at the clock: %s with %d sessions", n, next.Step, len(changed.Sessions))
				}
				if looks > 0 { // it was done before
					break
				}
			}
			if in < 3 || (out > 0) != (what == "another password was set") {
				t.Errorf("%d were signed in, %d began anew", in, out)
			}
		})
	}
}
