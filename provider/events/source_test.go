package events_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// handed is the chain as it is handed out, page by page.
type handed struct {
	events.Source
	p     *providertest.P
	limit int
	pages [][]storage.Event
}

func (h *handed) ChainedEvents(ctx context.Context, after int64, limit int) ([]storage.Event, error) {
	rows, _, err := h.p.Events.Links(ctx, after, min(limit, h.limit))
	h.pages = append(h.pages, rows)
	return rows, err
}

func (h *handed) EventHeads(ctx context.Context, after int64, limit int) ([]storage.EventHead, error) {
	heads, _, err := h.p.Events.Heads(ctx, after, min(limit, h.limit))
	return heads, err
}

// What is handed out to whoever verifies from far away is verified alike, in pages of any
// length; no page is longer than its bounds, whatever somebody wrote into the table.
func TestTheChainIsHandedOutInBounds(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		tell(t, p, ada, 4)
		checkpoint(t, p)
		for range 6 { // as long as a request makes them, and longer
			if err := p.Events.Record(t.Context(), events.Event{Kind: events.ClientUpdated, Actor: events.ActorOperator, Data: map[string]any{"text": strings.Repeat("x<", 60<<10)}}); err != nil {
				t.Fatal(err)
			}
		}
		sequence(t, p)
		last := head(t, p).Number
		far := func(limit int) (events.Report, [][]storage.Event) {
			t.Helper()
			h := &handed{Source: p.Events.Source(0), p: p, limit: limit}
			return must(events.Verify(t.Context(), h, "", nil, p.Clock.Now())), h.pages
		}
		for _, limit := range []int{1, 3, events.MaxLinks} {
			r, pages := far(limit)
			if r.Fault != nil || r.Checked != last || r.Heads != 1 {
				t.Errorf("pages of %d: %+v, %v", limit, r, r.Fault)
			}
			for _, page := range pages {
				size := 0
				for i := range page {
					size += len(page[i].Document.V)
				}
				if len(page) > limit || size > 1<<20 && len(page) > 1 {
					t.Errorf("pages of %d: one has %d events of %d bytes", limit, len(page), size)
				}
			}
		}
		_, more, err := p.Events.Links(t.Context(), 0, events.MaxLinks)
		if err != nil || !more {
			t.Errorf("a page that was cut is the last one: %v", err)
		}
		if _, more, err = p.Events.Links(t.Context(), last, events.MaxLinks); err != nil || more {
			t.Errorf("there are more after the last one: %v", err)
		}

		huge := "'\"' || replace(hex(zeroblob(5000000)), '0', 'x') || '\"'"
		long, control := "replace(hex(zeroblob(5000)), '0', 'x')", "replace(hex(zeroblob(200000)), '0', char(1))"
		if strings.HasPrefix(url, "postgres") {
			huge, long, control = "to_jsonb(repeat('x', 10000000))", "repeat('x', 10000)", "repeat(chr(1), 400000)"
		}
		providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET document = %s WHERE number = %d", huge, last-1))
		providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET kind = %s WHERE number = %d", control, last)) // JSON takes six times as much
		rows, more, err := p.Events.Links(t.Context(), last-2, events.MaxLinks)
		if err != nil || more || len(rows) != 2 {
			t.Fatalf("events that are too long: %d rows, %v", len(rows), err)
		}
		for i, e := range rows {
			if e.Number != storage.Number(last-1+int64(i)) || len(e.Document.V) > 10 || e.Hash != nil || e.Kind != "" {
				t.Errorf("an event that is too long: %d bytes of document, %d of kind", len(e.Document.V), len(e.Kind))
			}
		}
		if r, _ := far(events.MaxLinks); r.Fault == nil || r.Fault.Number != last-1 || !strings.Contains(r.Fault.Says, "is not what was chained") {
			t.Errorf("an event that is too long: %+v", r.Fault)
		}
		providertest.Meddle(t, url, "UPDATE event_heads SET token = "+long)
		if heads, _, err := p.Events.Heads(t.Context(), 0, 1); err != nil || len(heads) != 1 || len(heads[0].Token) > 4<<10 {
			t.Errorf("a head that is too long: %v", err)
		}
		providertest.Meddle(t, url, "UPDATE event_chains SET anchor = "+long)
		if state := must(p.Events.Source(0).State(t.Context())); len(state.Chain.Anchor) != 4<<10 {
			t.Errorf("an anchor that is too long: %d bytes", len(state.Chain.Anchor))
		}
	})
}

// A hole before something that was put in beyond the end is an end of the walk, too.
func TestAHoleBeforeTheEndIsNoLoop(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		tell(t, p, p.Person("ada"), 5)
		last := head(t, p).Number
		providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET number = %d WHERE number = %d", last+1, last))
		if r := verify(t, p, ""); r.Fault == nil || r.Fault.Number != last {
			t.Errorf("%+v, %v", r, r.Fault)
		}
	})
}

// A walk that stopped goes on after the place that it had reached; what was cut off, made
// anew or given up since is told.
func TestAWalkGoesOnWhereItStopped(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		tell(t, p, ada, 5)
		checkpoint(t, p)
		early := head(t, p)
		reached := verify(t, p, "").Reached
		if reached.Number != early.Number || string(reached.Hash) != string(early.Hash) {
			t.Fatalf("it reached %+v, and the head is %+v", reached, early)
		}
		goOn := func(elsewhere string, after events.Place) (events.Report, error) {
			return events.Verify(t.Context(), p.Events.Source(0), elsewhere, &after, p.Clock.Now())
		}
		if r, err := goOn(early.Token, reached); err != nil || r.Fault != nil || r.Checked != 0 || r.Heads != 2 {
			t.Errorf("with nothing more: %+v, %v", r, err)
		}
		tell(t, p, ada, 3)
		late := head(t, p)
		r, err := goOn(late.Token, reached)
		if err != nil || r.Fault != nil || r.First != reached.Number+1 || r.Last != late.Number || r.Checked != 3 || r.Reached.Number != late.Number || r.Heads != 2 { // one is kept of where it had reached
			t.Errorf("it went on: %+v, %v", r, err)
		}
		if _, err := goOn(early.Token, r.Reached); err == nil || !strings.Contains(err.Error(), "has to begin anew") {
			t.Errorf("with a head from before: %v", err)
		}
		wantFault := func(what string, after events.Place, number int64, says string) {
			t.Helper()
			r, err := goOn("", after)
			if err != nil || r.Fault == nil || r.Fault.Number != number || !strings.Contains(r.Fault.Says, says) {
				t.Errorf("%s: %+v, %v", what, r.Fault, err)
			}
		}
		wantFault("another hash", events.Place{Number: reached.Number + 1, Hash: late.Hash}, reached.Number+2, "is not what was chained")
		wantFault("another hash than a head has", events.Place{Number: reached.Number, Hash: late.Hash}, reached.Number, "every hash since made anew")
		wantFault("another hash for nothing", events.Place{Hash: late.Hash}, 0, "is another one")
		wantFault("beyond the end", events.Place{Number: late.Number + 4, Hash: late.Hash}, late.Number+1, "the end was cut off since")

		p.Clock.Advance(100 * day)
		checkpoint(t, p)
		p.Clock.Advance(100 * day)
		trim(t, p, day)
		if _, err := goOn("", reached); err == nil || !strings.Contains(err.Error(), "has to begin anew") {
			t.Errorf("what it had reached is given up: %v", err)
		}
		if r, err := goOn("", events.Place{Number: late.Number, Hash: late.Hash}); err != nil || r.Fault != nil || r.First != late.Number+1 {
			t.Errorf("where the anchor is: %+v, %v", r, err)
		}
		wantFault("where the anchor is, by another hash", events.Place{Number: late.Number, Hash: early.Hash}, late.Number, "is another one")
	})
}
