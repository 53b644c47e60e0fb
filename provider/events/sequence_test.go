package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// record writes n events, several to a commit, and chains none.
func record(ctx context.Context, p *providertest.P, n int) error {
	for written := 0; written < n; {
		unit := storage.WithUnit(ctx)
		for range min(20, n-written) {
			if err := p.Events.Record(unit, events.Event{Kind: events.GrantMade, Actor: events.ActorSystem, Client: "shop"}); err != nil {
				return err
			}
			written++
		}
		if err := p.Store.Flush(unit); err != nil {
			return err
		}
	}
	return nil
}

// numbers returns the numbers of all chained events, in order.
func numbers(t *testing.T, p *providertest.P) (all []int64) {
	t.Helper()
	for after := int64(0); ; {
		rows, err := p.Store.ChainedEvents(t.Context(), after, 300)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return all
		}
		for i := range rows {
			after = int64(rows[i].Number)
			all = append(all, after)
		}
	}
}

func wantGapless(t *testing.T, all []int64, n int) {
	t.Helper()
	if len(all) != n {
		t.Errorf("%d numbers, want %d", len(all), n)
	}
	for i, number := range all {
		if number != int64(i)+1 {
			t.Fatalf("number %d stands in the place of %d", number, i+1)
		}
	}
}

// Several sequencers at once, while events are recorded: each event gets one number,
// there is no gap, the chain holds, and a reader who goes on from the last number that
// it saw meets every event once, in order.
func TestSequencersAtOnceAreOne(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		one, two := providertest.Start(t, providertest.On(url)), providertest.Start(t, providertest.On(url))
		const writers, each = 4, 400
		var writing, others errgroup.Group
		var done atomic.Bool
		for i := range writers {
			p := []*providertest.P{one, two}[i%2]
			writing.Go(func() error { return record(t.Context(), p, each) })
		}
		for _, p := range []*providertest.P{one, two, one, two} {
			others.Go(func() error {
				for !done.Load() {
					if _, err := p.Events.Sequence(t.Context()); err != nil {
						return err
					}
				}
				return nil
			})
		}
		var (
			mu   sync.Mutex
			seen []int64
		)
		read := func() error {
			mu.Lock()
			defer mu.Unlock()
			after := int64(len(seen))
			rows, err := two.Store.ChainedEvents(t.Context(), after, 100)
			for i := range rows {
				seen = append(seen, int64(rows[i].Number))
			}
			return err
		}
		others.Go(func() error {
			for !done.Load() {
				if err := read(); err != nil {
					return err
				}
			}
			return nil
		})
		if err := writing.Wait(); err != nil {
			t.Error(err)
		}
		done.Store(true)
		if err := others.Wait(); err != nil {
			t.Error(err)
		}
		sequence(t, one)
		for len(seen) < writers*each {
			was := len(seen)
			if err := read(); err != nil || len(seen) == was {
				t.Fatalf("the reader saw %d events, %v", was, err)
			}
		}
		wantGapless(t, seen, writers*each)
		wantGapless(t, numbers(t, one), writers*each)
		if r := verify(t, one, head(t, two).Token); r.Fault != nil || r.Checked != writers*each {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		if one.Events.Behind() != 0 {
			t.Errorf("%s behind with nothing to do", one.Events.Behind())
		}
	})
}

// A batch is chained whole or not at all: what dies in its middle leaves the ones
// before it, and whoever comes next goes on from there.
func TestABatchIsChainedWholeOrNotAtAll(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		const batch, n = 500, 1250
		if err := record(t.Context(), p, n); err != nil {
			t.Fatal(err)
		}
		waiting, err := p.Store.UnchainedEvents(t.Context(), nil, n)
		if err != nil {
			t.Fatal(err)
		}
		poison := waiting[batch+batch/2].ID // in the middle of the second batch
		breakChaining(t, url, poison)
		p.Clock.Advance(3 * time.Second)
		if done, err := p.Events.Sequence(t.Context()); err == nil || done != batch {
			t.Fatalf("%d events, %v, want one batch and an error", done, err)
		}
		wantGapless(t, numbers(t, p), batch)
		if r := verify(t, p, ""); r.Fault != nil || r.Last != batch {
			t.Errorf("after the break: %+v, %v", r, r.Fault)
		}
		if behind := p.Events.Behind(); behind != 3*time.Second {
			t.Errorf("%s behind, want 3s", behind)
		}
		mend(t, url)
		if done, err := providertest.Start(t, providertest.On(url)).Events.Sequence(t.Context()); err != nil || done != n-batch {
			t.Fatalf("another one: %d events, %v", done, err)
		}
		wantGapless(t, numbers(t, p), n)
		if r := verify(t, p, ""); r.Fault != nil || r.Last != n {
			t.Errorf("%+v, %v", r, r.Fault)
		}
	})
}

// breakChaining makes every statement fail that gives this event a number.
func breakChaining(t *testing.T, url string, id storage.ID) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite") {
		providertest.Meddle(t, url, fmt.Sprintf("CREATE TRIGGER breaks BEFORE UPDATE ON events WHEN NEW.id = '%s' BEGIN SELECT RAISE(ABORT, 'killed'); END", id))
		return
	}
	providertest.Meddle(t, url, "CREATE FUNCTION breaks() RETURNS trigger AS $$ BEGIN RAISE 'killed'; END $$ LANGUAGE plpgsql")
	providertest.Meddle(t, url, fmt.Sprintf("CREATE TRIGGER breaks BEFORE UPDATE ON events FOR EACH ROW WHEN (NEW.id = '%s') EXECUTE FUNCTION breaks()", id))
}

func mend(t *testing.T, url string) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite") {
		providertest.Meddle(t, url, "DROP TRIGGER breaks")
		return
	}
	providertest.Meddle(t, url, "DROP TRIGGER breaks ON events")
}

// Servers that are killed under load, again and again, leave a chain that holds, with
// every event of what they said yes to.
func TestTheChainOutlivesKilledServers(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Replicas(t, 2, providertest.On(url))
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		exchanged := 0
		for kill := range 3 {
			for range 5 {
				rp.Exchange(browser.Authorize(rp, "openid")).OK()
				exchanged++
			}
			p.KillReplicas()
			if kill < 2 {
				p.StartReplicas(0, 0)
			}
		}
		sequence(t, p)
		all := numbers(t, p)
		wantGapless(t, all, int(providertest.CountRows(t, url)["events"]))
		if r := verify(t, p, head(t, p).Token); r.Fault != nil {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		page, err := p.Events.List(t.Context(), events.Filter{Kind: events.CodeSpent}, 0, events.MaxPage)
		if err != nil || len(page.Events) != exchanged {
			t.Errorf("%d codes were spent, %v, want %d", len(page.Events), err, exchanged)
		}
	})
}

// wait waits until something is there that a server does beside its requests.
func wait(t *testing.T, what string, there func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("waited too long for " + what)
		}
	}
}

// A server chains by itself, and signs a head of what it finds.
func TestAServerChainsBesideItsRequests(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Replicas(t, 2, providertest.On(url))
		p.Client("web")
		wait(t, "numbers", func() bool { return len(must(p.Store.UnchainedEvents(t.Context(), nil, 1))) == 0 })
		wantGapless(t, numbers(t, p), int(providertest.CountRows(t, url)["events"]))
		p.Restart()
		wait(t, "a signed head", func() bool { return providertest.CountRows(t, url)["event_heads"] == 1 })
		if r := verify(t, p, ""); r.Fault != nil || r.Heads != 1 {
			t.Errorf("%+v, %v", r, r.Fault)
		}
	})
}

// An address in the form of the version before is sealed anew like any other, and what
// nobody can open keeps no event from its number.
func TestWhatWasRecordedBeforeIsChained(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		sequence(t, p)
		old := &storage.Event{ID: storage.NewID(), Kind: "grant.made", Actor: "person", PersonID: ada.ID, Document: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(p.Clock.Now())}
		old.Origin = must(p.Keys.Seal(storage.PurposeOrigin, string(old.ID), []byte("198.51.100.7")))
		broken := *old
		broken.ID, broken.CreatedAt = storage.NewID(), storage.At(p.Clock.Now().Add(time.Second)) // sealed for another id
		for _, e := range []*storage.Event{old, &broken} {
			if err := p.Store.CreateEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		sequence(t, p)
		page := must(p.Events.List(t.Context(), events.Filter{Person: ada.ID, Kind: events.GrantMade}, 0, 10))
		if len(page.Events) != 2 || page.Events[0].Personal["address"] != nil || page.Events[1].Personal["address"] != "198.51.100.7" {
			t.Errorf("%+v", page.Events)
		}
		if r := verify(t, p, ""); r.Fault != nil {
			t.Error(r.Fault)
		}
		if waiting := must(p.Store.UnchainedEvents(t.Context(), nil, 5)); len(waiting) != 0 {
			t.Errorf("%d wait", len(waiting))
		}
		if rows := must(p.Store.ChainedEvents(t.Context(), 0, 100)); slices.ContainsFunc(rows, func(e storage.Event) bool { return e.Origin != nil }) {
			t.Error("what was recorded is still sealed by the provider's own key")
		}
	})
}

// An event that is sealed with a key-encryption key which is not given waits for it, and
// nobody waits for that event: all others are chained and signed, and it is said.
func TestAnEventUnderAMissingKeyHoldsNobodyUp(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		sequence(t, p)
		chained := head(t, p).Number
		const held = 501 // more than a batch
		sealed := map[storage.ID][]byte{}
		unit := storage.WithUnit(t.Context())
		for i := range held {
			e := &storage.Event{ID: storage.NewID(), Kind: "grant.made", Actor: "person", PersonID: ada.ID, Document: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(p.Clock.Now())}
			sealed[e.ID] = must(p.Keys.Seal(storage.PurposeOrigin, string(e.ID), []byte("198.51.100.7")))
			e.Origin = slices.Clone(sealed[e.ID])
			e.Origin[1] ^= 1 // the id of the key
			if err := p.Store.CreateEvent(unit, e); err != nil {
				t.Fatal(err)
			}
			if i%100 == 99 || i == held-1 {
				if err := p.Store.Flush(unit); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.Clock.Advance(3 * time.Second)
		if err := record(t.Context(), p, 20); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n, err := p.Events.Sequence(t.Context())
			if !errors.Is(err, keys.ErrWrongKEK) || !strings.Contains(err.Error(), "501 events wait for a key-encryption key") {
				t.Fatalf("%d events, %v, want to hear of those that wait", n, err)
			}
			if behind := p.Events.Behind(); behind != 3*time.Second {
				t.Errorf("%s behind, want 3s", behind)
			}
		}
		wantGapless(t, numbers(t, p), int(chained)+20)
		checkpoint(t, p)
		if r := verify(t, p, ""); r.Fault != nil || r.Heads != 1 || r.Newest.Number != chained+20 {
			t.Errorf("%+v, %v", r, r.Fault)
		}
		look := must(events.Examine(t.Context(), p.Store, p.Keys))
		if look.Number != chained+20 || look.Fault != nil || !look.Waiting.Equal(p.Clock.Now().Add(-3*time.Second).Truncate(time.Microsecond)) {
			t.Errorf("%+v", look)
		}

		// The key is given.
		var given []string
		for id, was := range sealed {
			given = append(given, fmt.Sprintf("UPDATE events SET origin = %s WHERE id = '%s'", blob(url, was), id))
		}
		providertest.MeddleInOne(t, url, given...)
		if n, err := p.Events.Sequence(t.Context()); err != nil || n != held || p.Events.Behind() != 0 {
			t.Errorf("%d events, %v, %s behind", n, err, p.Events.Behind())
		}
		page := must(p.Events.List(t.Context(), events.Filter{Person: ada.ID, Kind: events.GrantMade}, 0, 10))
		if len(page.Events) == 0 || page.Events[0].Personal["address"] != "198.51.100.7" {
			t.Errorf("%+v", page.Events)
		}
		if r := verify(t, p, ""); r.Fault != nil || r.Last != chained+20+held {
			t.Errorf("%+v, %v", r, r.Fault)
		}
	})
}

func blob(url string, b []byte) string {
	if strings.HasPrefix(url, "sqlite") {
		return fmt.Sprintf("x'%x'", b)
	}
	return fmt.Sprintf("decode('%x', 'hex')", b)
}

// silent observes nothing.
type silent struct{}

func (silent) Begin(ctx context.Context, _ string) context.Context { return ctx }
func (silent) End(context.Context, string, time.Duration, error)   {}
func (silent) Swept(string, int64)                                 {}

// deadlines notes until when each statement that moves the chain may take.
type deadlines struct {
	silent
	seen []time.Time
}

func (d *deadlines) Begin(ctx context.Context, statement string) context.Context {
	if strings.Contains(statement, "UPDATE event_chains") {
		until, _ := ctx.Deadline()
		d.seen = append(d.seen, until)
	}
	return ctx
}

// However many events wait, each batch has its own time.
func TestABacklogHasTheTimeThatItTakes(t *testing.T) {
	p := providertest.Start(t)
	if err := record(t.Context(), p, 1100); err != nil {
		t.Fatal(err)
	}
	var d deadlines
	p.Store.Observe(&d)
	if n, err := p.Events.Sequence(t.Context()); err != nil || n < 1100 {
		t.Fatalf("%d events, %v", n, err)
	}
	if len(d.seen) != 3 || !d.seen[2].After(d.seen[1]) || !d.seen[1].After(d.seen[0]) || d.seen[0].IsZero() {
		t.Errorf("the batches end at %v, want three, each with its own end", d.seen)
	}
}

// Who cannot look does not say that all is well.
func TestWhoCannotLookIsBehind(t *testing.T) {
	url := providertest.Database(t)
	p := providertest.Start(t, providertest.On(url))
	sequence(t, p)
	providertest.Meddle(t, url, "ALTER TABLE event_chains RENAME TO away")
	for range 2 {
		if _, err := p.Events.Sequence(t.Context()); err == nil {
			t.Fatal("the chain is not there")
		}
		p.Clock.Advance(3 * time.Second)
	}
	if behind := p.Events.Behind(); behind != 6*time.Second {
		t.Errorf("%s behind, want 6s", behind)
	}
	providertest.Meddle(t, url, "ALTER TABLE away RENAME TO event_chains")
	sequence(t, p)
	if behind := p.Events.Behind(); behind != 0 {
		t.Errorf("%s behind, want 0", behind)
	}
}

// A server signs what is chained, although nothing more can be.
func TestAServerSignsWhatIsChained(t *testing.T) {
	url := providertest.SQLite(t)
	p := providertest.Replicas(t, 1, providertest.On(url))
	p.Client("web")
	wait(t, "numbers", func() bool { return len(must(p.Store.UnchainedEvents(t.Context(), nil, 1))) == 0 })
	providertest.Meddle(t, url, "CREATE TRIGGER breaks BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'no'); END")
	p.Client("spa")
	providertest.Meddle(t, url, "DELETE FROM event_heads")
	p.Restart()
	wait(t, "a signed head", func() bool { return providertest.CountRows(t, url)["event_heads"] == 1 })
	if waiting := must(p.Store.UnchainedEvents(t.Context(), nil, 1)); len(waiting) == 0 {
		t.Error("everything is chained")
	}
}
