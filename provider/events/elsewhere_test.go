package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// forgeAnchor has the chain begin after an event, by an anchor that its own key signs, as
// whoever has the keys may.
func forgeAnchor(t *testing.T, p *providertest.P, url string, number int64, hash []byte) {
	t.Helper()
	says := must(json.Marshal(map[string]any{"number": number, "hash": hash, "first": number + 1, "iat": p.Clock.Now().Unix()}))
	anchor := must(p.Keys.Sign(t.Context(), keys.ES256, "events-anchor+jws", says))
	providertest.Meddle(t, url, fmt.Sprintf("DELETE FROM events WHERE number <= %d", number))
	providertest.Meddle(t, url, fmt.Sprintf("DELETE FROM event_heads WHERE number <= %d", number))
	providertest.Meddle(t, url, fmt.Sprintf("UPDATE event_chains SET first = %d, anchor = '%s'", number+1, anchor))
}

// Who has the keys signs an anchor for whatever they want to be gone. What a head from
// elsewhere covers is not given up by that alone: the head says which events there were.
func TestAnAnchorIsHeldAgainstTheHeadFromElsewhere(t *testing.T) {
	for _, before := range []int64{0, 1} { // how many of the head's events are left
		url := providertest.SQLite(t)
		p := providertest.Start(t, providertest.On(url))
		tell(t, p, p.Person("ada"), 5)
		hashes := map[int64][]byte{}
		for _, e := range must(p.Store.ChainedEvents(t.Context(), 0, 100)) {
			hashes[int64(e.Number)] = e.Hash
		}
		elsewhere := head(t, p)
		gone := elsewhere.Number - before
		p.Clock.Advance(day)
		forgeAnchor(t, p, url, gone, hashes[gone])
		if r := verify(t, p, ""); r.Fault != nil || r.Checked != before {
			t.Fatalf("by itself: %+v, %v", r, r.Fault)
		}
		if r := verify(t, p, elsewhere.Token); r.Fault == nil || r.Fault.Number != 1 || !strings.Contains(r.Fault.Says, fmt.Sprintf("is gone, and all up to event %d: ", gone)) {
			t.Errorf("%d are left, and all are to be kept: %+v, %v", before, r, r.Fault)
		}
		r, err := p.Events.Verify(t.Context(), elsewhere.Token, 400*day)
		switch {
		case before > 0 && (err != nil || r.Fault != nil || r.GivenUp != gone):
			t.Errorf("%d are left, and old ones go: %+v, %v", before, r, err)
		case before == 0 && (err == nil || !strings.Contains(err.Error(), "all that it covers was given up since")):
			t.Errorf("none is left, and old ones go: %+v, %v", r, err)
		}
		// One that was signed after they went says so itself.
		if r := verify(t, p, head(t, p).Token); r.Fault != nil || r.GivenUp != 0 {
			t.Errorf("a head from after that: %+v, %v", r, r.Fault)
		}
	}
}

var errAway = errors.New("it is away")

// silentSource answers only so often, or not at all when it is asked what was restored.
type silentSource struct {
	events.Source
	states int
}

func (s *silentSource) State(ctx context.Context) (events.State, error) {
	if s.states--; s.states < 0 {
		return events.State{}, errAway
	}
	return s.Source.State(ctx)
}

func (s *silentSource) Restores(context.Context, time.Time, func(events.Restore) bool) error {
	return errAway
}

// A fault that is found is told, though the one who is in question answers no more.
func TestAFaultIsToldThoughTheSourceFallsSilent(t *testing.T) {
	url := providertest.SQLite(t)
	p := providertest.Start(t, providertest.On(url))
	tell(t, p, p.Person("ada"), 6)
	elsewhere := head(t, p)
	silent := func(states int, elsewhere string, after *events.Place) (events.Report, error) {
		return events.Verify(t.Context(), &silentSource{p.Events.Source(0), states}, elsewhere, after, p.Clock.Now())
	}
	providertest.Meddle(t, url, "UPDATE events SET kind = 'x' WHERE number = 4")
	if r, err := silent(1, "", nil); err != nil || r.Fault == nil || r.Fault.Number != 4 || r.Checked != 3 {
		t.Errorf("changed: %+v, %v", r, err)
	}
	// All hashes made anew: the head from elsewhere alone tells.
	providertest.Meddle(t, url, "UPDATE events SET number = NULL WHERE number >= 4")
	providertest.Meddle(t, url, "UPDATE event_chains SET number = 3, hash = (SELECT hash FROM events WHERE number = 3)")
	sequence(t, p)
	tell(t, p, p.Person("bob"), 3)
	r, err := silent(5, elsewhere.Token, nil)
	if err != nil || r.Fault == nil || r.Fault.Number != elsewhere.Number || !strings.Contains(r.Fault.Says, "made anew") || !strings.Contains(r.Fault.Says, "could not be asked (it is away)") {
		t.Errorf("made anew: %+v, %v", r.Fault, err)
	}
	if r.Checked != elsewhere.Number-1 || r.Reached.Number != elsewhere.Number-1 {
		t.Errorf("it held up to %d of which %d were checked, and the bad one is %d", r.Reached.Number, r.Checked, elsewhere.Number)
	}
	providertest.Meddle(t, url, "DELETE FROM events WHERE number = 2")
	if r, err := silent(1, "", nil); !errors.Is(err, errAway) || r.Fault == nil || r.Fault.Number != 2 {
		t.Errorf("missing: %+v, %v", r, err)
	}
}

// risingSource says whenever it is asked that one more was given up.
type risingSource struct {
	events.Source
	asked int64
}

func (s *risingSource) State(ctx context.Context) (events.State, error) {
	state, err := s.Source.State(ctx)
	if s.asked++; s.asked > 10_000 {
		return state, errAway
	}
	state.Chain.First += s.asked
	state.Chain.Anchor = "e30.e30.e30"
	return state, err
}

func (s *risingSource) VerifyRecord(context.Context, string, string, ...string) ([]byte, keys.Key, error) {
	says, err := json.Marshal(map[string]any{"number": s.asked, "hash": make([]byte, 32), "first": s.asked + 1})
	return says, keys.Key{}, err
}

func (s *risingSource) ChainedEvents(context.Context, int64, int) ([]storage.Event, error) {
	return nil, nil
}

// Whoever says for ever that the beginning is given up is not walked for ever.
func TestAWalkBeginsAnewOnlySoOften(t *testing.T) {
	p := providertest.Start(t)
	tell(t, p, p.Person("ada"), 600)
	s := &risingSource{Source: p.Events.Source(0)}
	if _, err := events.Verify(t.Context(), s, "", nil, p.Clock.Now()); err == nil || errors.Is(err, errAway) || !strings.Contains(err.Error(), "times while it was walked") {
		t.Errorf("after %d answers: %v", s.asked, err)
	}
}
