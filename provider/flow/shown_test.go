package flow_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/storage"
)

// TestAnAnswerIsThatOfTheSessionShown: for any other one, nothing is written.
func TestAnAnswerIsThatOfTheSessionShown(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	a := h.begin(request("consent"), b)
	h.want(a, flow.StepConsent, "/signin/consent")
	before := h.eventKinds()
	for _, allow := range []bool{true, false} {
		for _, shown := range []storage.ID{"", storage.NewID()} {
			next, err := h.Consent(t.Context(), a, shown, allow)
			h.must(err)
			h.want(next, flow.StepConsent, "/signin/consent")
			h.want(h.resume(a, b), flow.StepConsent, "/signin/consent")
		}
	}
	path, err := h.BeginSignOut(t.Context(), flow.Request{}, "", b)
	h.must(err)
	asked, err := h.ResumeSignOut(t.Context(), path[len("/signout?i="):], b)
	h.must(err)
	for _, shown := range []storage.ID{"", storage.NewID()} {
		if left, done, err := h.ConfirmSignOut(t.Context(), asked, b, shown); done || left != nil || err != nil {
			t.Errorf("signed out: %v, %v, %v", left, done, err)
		}
	}
	if got := h.eventKinds(); !slices.Equal(got, before) {
		t.Errorf("events %v, and before %v", got, before)
	}
	if _, err := h.ResumeSignOut(t.Context(), string(asked.Interaction.ID), b); err != nil {
		t.Errorf("the question is gone: %v", err)
	}
}

// TestSignOutLosesNoCookie when its interaction was spent by another tab.
func TestSignOutLosesNoCookie(t *testing.T) {
	h := newHouse(t, rules.Allow())
	b := h.signedIn()
	path, err := h.BeginSignOut(t.Context(), flow.Request{}, "", b)
	h.must(err)
	asked, err := h.ResumeSignOut(t.Context(), path[len("/signout?i="):], b)
	h.must(err)
	h.must(h.store.SpendInteraction(t.Context(), asked.Interaction.ID, storage.At(h.at)))
	left, done, err := h.ConfirmSignOut(t.Context(), asked, b, asked.SignIn.Session.ID)
	if !errors.Is(err, storage.ErrSpent) || !done || len(left) != 0 {
		t.Errorf("%v, %v, %v, want done and ErrSpent", left, done, err)
	}
}

// TestASixthAccountEndsTheOldest: what no cookie opens any more does not live on;
// and a session that ended before takes nobody's place.
func TestASixthAccountEndsTheOldest(t *testing.T) {
	h := newHouse(t, rules.Allow())
	people := directory.New(h.store, events.New(h.store, nil, func() time.Time { return h.at }), func() time.Time { return h.at })
	b := firefox()
	var sessions []storage.ID
	signIn := func(name string) {
		t.Helper()
		person, err := people.Create(t.Context(), directory.NewPerson{Email: name + "@people.example", Verified: true}, events.ActorOperator)
		h.must(err)
		h.must(h.store.CreatePassword(t.Context(), &storage.Password{PersonID: person.ID, Hash: "of no matter", ChangedAt: storage.At(h.at)}))
		a := h.begin(request("select_account"), b)
		if a.Step == flow.StepAccount {
			a, _, err = h.Choose(t.Context(), a, b, "")
			h.must(err)
		}
		sessions = append(sessions, h.signIn(a, &b, person).SignIn.Session.ID)
	}
	ended := func() (which []storage.ID) {
		t.Helper()
		for _, id := range sessions {
			row, err := h.store.Session(t.Context(), id)
			h.must(err)
			if !row.EndedAt.IsZero() {
				which = append(which, id)
			}
		}
		return which
	}
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		signIn(name)
	}
	if got := ended(); got != nil || len(b.Sessions) != 5 {
		t.Fatalf("ended %v, %d in the cookie", got, len(b.Sessions))
	}
	signIn("six")
	if got := ended(); !slices.Equal(got, sessions[:1]) || len(b.Sessions) != 5 {
		t.Errorf("ended %v of %v, %d in the cookie", got, sessions, len(b.Sessions))
	}
	if got := h.eventKinds(); !slices.Contains(got, string(events.SessionEnded)) {
		t.Errorf("events %v", got)
	}

	if _, err := h.SignOut(t.Context(), sessions[3], b); err != nil { // in another tab: the cookie still has it
		t.Fatal(err)
	}
	signIn("seven")
	if got := ended(); !slices.Equal(got, []storage.ID{sessions[0], sessions[3]}) || len(b.Sessions) != 5 {
		t.Errorf("ended %v of %v, %d in the cookie", got, sessions, len(b.Sessions))
	}
}
