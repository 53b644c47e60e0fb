package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

const day = 24 * time.Hour

// trim deletes what there is to delete and returns how many rows went.
func trim(t *testing.T, p *providertest.P, keep time.Duration) (total int64) {
	t.Helper()
	for {
		n, err := p.Events.Trim(t.Context(), p.Clock.Now(), keep)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			return total
		}
	}
}

// Events go when they are old, from the beginning, as far as a signed head; an anchor
// stands for them, and the rest holds, against heads that were kept elsewhere too.
func TestOldEventsGoAndTheChainHolds(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		tell(t, p, ada, 600) // more than a batch
		checkpoint(t, p)
		oldest := head(t, p)
		p.Clock.Advance(day)
		tell(t, p, ada, 5)
		checkpoint(t, p)
		second := head(t, p)
		p.Clock.Advance(9 * day)
		tell(t, p, ada, 5)

		if n := trim(t, p, 0); n != 0 {
			t.Errorf("%d went, though all are kept", n)
		}
		if n := trim(t, p, 30*day); n != 0 {
			t.Errorf("%d went, though none is that old", n)
		}
		// Between the two heads: what is behind the first one is old enough, and stays.
		if n := trim(t, p, 9*day+time.Hour); n != oldest.Number+1 {
			t.Errorf("%d rows went, want %d events and the head", n, oldest.Number)
		}
		r := must(p.Events.Verify(t.Context(), second.Token, 9*day))
		if r.Fault != nil || r.GivenUp != oldest.Number || r.First != oldest.Number+1 || r.Checked != r.Last-oldest.Number || !r.Since.Equal(p.Clock.Now().Truncate(time.Second)) {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		if r := verify(t, p, head(t, p).Token); r.Fault != nil || r.GivenUp != 0 {
			t.Errorf("against a head from after they went: %+v, %v", r, r.Fault)
		}
		if _, err := p.Events.Verify(t.Context(), oldest.Token, 9*day); err == nil || !strings.Contains(err.Error(), "a newer one is needed") {
			t.Errorf("against the last head that is gone: %v", err)
		}
		if page := must(p.Events.List(t.Context(), events.Filter{Person: ada.ID}, 0, 50)); len(page.Events) != 10 || page.Next != 0 {
			t.Errorf("%d events are listed, next %d", len(page.Events), page.Next)
		}
		providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET kind = 'x' WHERE number = %d", oldest.Number+1))
		if r := verify(t, p, ""); r.Fault == nil || r.Fault.Number != oldest.Number+1 {
			t.Errorf("the first that is kept was changed: %v", r.Fault)
		}
		providertest.Meddle(t, url, fmt.Sprintf("UPDATE events SET kind = 'grant.made' WHERE number = %d", oldest.Number+1))

		// Everything that a head covers, then all.
		p.Clock.Advance(100 * day)
		trim(t, p, day)
		if r := verify(t, p, ""); r.Fault != nil || r.First != second.Number+1 {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		if _, err := p.Events.Verify(t.Context(), oldest.Token, day); err == nil || !strings.Contains(err.Error(), "a newer one is needed") {
			t.Errorf("against a head of what is gone: %v", err)
		}
		for keep, gone := range map[time.Duration]int64{0: 1, 400 * day: oldest.Number + 1} {
			if r := must(p.Events.Verify(t.Context(), oldest.Token, keep)); r.Fault == nil || r.Fault.Number != gone || !strings.Contains(r.Fault.Says, "is gone") {
				t.Errorf("against a head of what is to be there for %s: %v", keep, r.Fault)
			}
		}
		checkpoint(t, p)
		p.Clock.Advance(100 * day)
		trim(t, p, day)
		if r := verify(t, p, ""); r.Fault != nil || r.Checked != 0 || r.First != r.Last+1 {
			t.Errorf("with nothing left: %+v, %v", r, r.Fault)
		}
		was := head(t, p).Number
		tell(t, p, ada, 3)
		if r := verify(t, p, ""); r.Fault != nil || r.Checked != 3 || r.Last != was+3 {
			t.Errorf("numbers go on: %+v, %v", r, r.Fault)
		}
		if rows := providertest.CountRows(t, url); rows["event_heads"] != 0 || rows["events"] != 3 {
			t.Errorf("%d events and %d heads are left", rows["events"], rows["event_heads"])
		}
	})
}

// Who can write rows makes nobody delete what is not old: what a head says counts,
// which they cannot sign.
func TestAForgedHeadTrimsNothing(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		tell(t, p, p.Person("ada"), 5)
		checkpoint(t, p)
		providertest.Meddle(t, url, "CREATE TABLE was AS SELECT * FROM event_heads")
		for name, forged := range map[string]string{
			"an old date":       "UPDATE event_heads SET created_at = 1",
			"another number":    "UPDATE event_heads SET created_at = 1, number = 2",
			"a token of theirs": "UPDATE event_heads SET created_at = 1, token = 'e30.e30.e30'",
		} {
			providertest.Meddle(t, url, forged)
			if n, err := p.Events.Trim(t.Context(), p.Clock.Now(), day); err == nil || n != 0 {
				t.Errorf("%s: %d went, %v", name, n, err)
			}
			if r := verify(t, p, ""); r.First != 1 {
				t.Errorf("%s: the chain begins with %d", name, r.First)
			}
			providertest.Meddle(t, url, "DELETE FROM event_heads")
			providertest.Meddle(t, url, "INSERT INTO event_heads SELECT * FROM was")
		}
	})
}

// A kept head that is not ours is evidence: what comes after it stays until somebody
// has looked at it and has it taken out, which is recorded.
func TestTrimGoesOnAfterAHeadThatIsNotOurs(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		var kept []int64
		for range 3 {
			tell(t, p, ada, 3)
			checkpoint(t, p)
			kept = append(kept, head(t, p).Number)
			p.Clock.Advance(day)
		}
		const theirs = "e30.e30.e30"
		providertest.Meddle(t, url, fmt.Sprintf("UPDATE event_heads SET token = '%s' WHERE number = %d", theirs, kept[1]))
		p.Clock.Advance(100 * day)
		if n, err := p.Events.Trim(t.Context(), p.Clock.Now(), day); err != nil || n != kept[0]+1 {
			t.Errorf("%d rows went, %v, want all up to the first head", n, err)
		}
		var bad *events.Fault
		for range 2 {
			if n, err := p.Events.Trim(t.Context(), p.Clock.Now(), day); n != 0 || !errors.As(err, &bad) || bad.Number != kept[1] {
				t.Errorf("%d rows went, %v, want the head of event %d to be named", n, err, kept[1])
			}
		}
		if r := verify(t, p, ""); r.First != kept[0]+1 || r.Fault == nil || r.Fault.Number != kept[1] {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		if look := must(events.Examine(t.Context(), p.Store, p.Keys)); !errors.As(look.Fault, &bad) || bad.Number != kept[1] {
			t.Errorf("%+v", look)
		}

		var refused *fault.Error
		if err := p.Events.DropHead(t.Context(), kept[2], events.ActorOperator); !errors.As(err, &refused) {
			t.Errorf("one of ours: %v", err)
		}
		if err := p.Events.DropHead(t.Context(), kept[2]+1, events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("none: %v", err)
		}
		if err := p.Events.DropHead(t.Context(), kept[1], events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		sequence(t, p)
		page := must(p.Events.List(t.Context(), events.Filter{Kind: events.HeadDropped}, 0, 10))
		var told struct {
			Number int64
			Token  []byte
		}
		if len(page.Events) != 1 || json.Unmarshal(page.Events[0].Data, &told) != nil || told.Number != kept[1] || string(told.Token) != theirs {
			t.Errorf("%+v", page.Events)
		}
		trim(t, p, day)
		if r := verify(t, p, ""); r.Fault != nil || r.First != kept[2]+1 {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		if look := must(events.Examine(t.Context(), p.Store, p.Keys)); look.Fault != nil {
			t.Errorf("%+v", look)
		}
	})
}

// A head that somebody puts in the way keeps nobody from signing.
func TestAForgedHeadSilencesNobody(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		tell(t, p, p.Person("ada"), 5)
		for number, made := range map[int64]time.Time{1: p.Clock.Now().Add(30 * time.Minute), 1000: p.Clock.Now()} {
			providertest.Meddle(t, url, fmt.Sprintf("INSERT INTO event_heads (number, token, created_at) VALUES (%d, 'theirs', %d)", number, made.UnixMicro()))
		}
		checkpoint(t, p)
		if rows := providertest.CountRows(t, url); rows["event_heads"] != 3 {
			t.Errorf("%d heads, want one of ours", rows["event_heads"])
		}
	})
}

// Who can write rows gets the provider to sign heads that say what they like. None
// passes for an anchor: nothing is deleted, and it shows.
func TestAHeadIsNoAnchor(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		tell(t, p, p.Person("ada"), 5)
		was := head(t, p)
		providertest.Meddle(t, url, "UPDATE event_chains SET first = number + 1")
		checkpoint(t, p)
		providertest.Meddle(t, url, "UPDATE event_chains SET anchor = (SELECT token FROM event_heads)")
		if n, err := p.Events.Trim(t.Context(), p.Clock.Now(), 0); err == nil || n != 0 {
			t.Errorf("%d events went, %v", n, err)
		}
		if r := verify(t, p, ""); r.Fault == nil || r.Fault.Number != 1 || !strings.Contains(r.Fault.Says, "no anchor of ours") {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		providertest.Meddle(t, url, "UPDATE event_chains SET first = 1, anchor = ''")
		if r := verify(t, p, was.Token); r.Fault != nil || r.Checked != was.Number {
			t.Errorf("put back: %+v, %v", r, r.Fault)
		}
	})
}

// An anchor stands for the events before its own, and for no others.
func TestAnAnchorTrimsNoMoreThanItSays(t *testing.T) {
	url := providertest.Database(t)
	p := providertest.Start(t, providertest.On(url))
	ada := p.Person("ada")
	tell(t, p, ada, 5)
	checkpoint(t, p)
	p.Clock.Advance(2 * day)
	tell(t, p, ada, 5)
	trim(t, p, day)
	providertest.Meddle(t, url, "UPDATE event_chains SET first = first + 3")
	if n, err := p.Events.Trim(t.Context(), p.Clock.Now(), day); err == nil || n != 0 {
		t.Errorf("%d events went, %v", n, err)
	}
}

// Several servers trim at once, while others verify: none fails, and the chain holds
// at every moment.
func TestTrimmersAtOnce(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		for range 6 {
			tell(t, p, ada, 200)
			checkpoint(t, p)
			p.Clock.Advance(day)
		}
		last := head(t, p).Number
		errs := make(chan error)
		const trimmers = 3
		for range trimmers {
			go func() {
				var err error
				for keep := 6 * day; keep > 0 && err == nil; keep -= day / 2 {
					_, err = p.Events.Trim(t.Context(), p.Clock.Now(), keep)
				}
				errs <- err
			}()
		}
		go func() {
			var err error
			for range 10 {
				r, failed := p.Events.Verify(t.Context(), "", 0)
				if r.Fault != nil {
					failed = errors.Join(failed, r.Fault)
				}
				err = errors.Join(err, failed)
			}
			errs <- err
		}()
		for range trimmers + 1 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		trim(t, p, day/2)
		if r := verify(t, p, ""); r.Fault != nil || r.First != last+1 {
			t.Errorf("%+v, %v", r, r.Fault)
		}
	})
}
