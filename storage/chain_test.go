package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Events get their numbers after the commit, once, without gaps, and go from the
// beginning.
var chainTests = map[string]func(*testing.T, fixture){
	"events are chained once":                     testChain,
	"of several who chain from one head one wins": testChainRace,
	"a list looks through a bounded part":         testEventsBefore,
	"heads are kept in their order":               testEventHeads,
	"events that are given up go in batches":      testTrim,
	"a salt goes with its person":                 testSalts,
}

// chainWaiting numbers what waits, up to limit, as the events room does but for the
// hashes.
func (f fixture) chainWaiting(limit int) error {
	chain, err := f.Chain(f.ctx)
	if err != nil {
		return err
	}
	waiting, err := f.UnchainedEvents(f.ctx, nil, limit)
	if err != nil || len(waiting) == 0 {
		return err
	}
	for i := range waiting {
		waiting[i].Number = storage.Number(chain.Number + int64(i) + 1)
		waiting[i].Hash = hash(fmt.Sprint(chain.Number + int64(i) + 1))
	}
	return f.ChainEvents(f.ctx, chain, waiting)
}

func testChain(t *testing.T, f fixture) {
	chain, err := f.Chain(f.ctx)
	f.must(err)
	if chain.Number != 0 || chain.First != 1 || chain.Anchor != "" || string(chain.Hash) != string(make([]byte, 32)) {
		t.Errorf("before the first event: %+v", chain)
	}
	there, last, err := f.ChainAndLast(f.ctx)
	f.must(err)
	same(t, chain, there)
	if last != 0 {
		t.Errorf("the last of no events is %d", last)
	}
	newer, older := event("newer"), event("older")
	newer.CreatedAt, newer.Origin, newer.PersonID = after(time.Second), []byte("origin"), f.person("ada").ID
	f.must(f.CreateEvent(f.ctx, newer))
	f.must(f.CreateEvent(f.ctx, older))
	waiting, err := f.UnchainedEvents(f.ctx, nil, 10)
	f.must(err)
	same(t, []storage.Event{*older, *newer}, waiting) // oldest first
	waiting[0].Number, waiting[0].Hash = 1, hash("1")
	waiting[1].Number, waiting[1].Hash, waiting[1].Personal = 2, hash("2"), []byte{0, 1, 255}
	f.must(f.ChainEvents(f.ctx, chain, waiting))
	waiting[1].Origin = nil
	got, err := f.ChainedEvents(f.ctx, 0, 10)
	f.must(err)
	same(t, waiting, got)
	got, err = f.ChainedEvents(f.ctx, 1, 10)
	f.must(err)
	same(t, waiting[1:], got)
	f.want(storage.ErrStale, f.ChainEvents(f.ctx, chain, waiting)) // from the head that was
	chain, err = f.Chain(f.ctx)
	f.must(err)
	same(t, &storage.EventChain{Name: "events", Number: 2, Hash: hash("2"), First: 1}, chain)
	there, last, err = f.ChainAndLast(f.ctx)
	f.must(err)
	same(t, chain, there)
	none, err := f.UnchainedEvents(f.ctx, nil, 10)
	f.must(err)
	if last != 2 || len(none) != 0 {
		t.Errorf("the last is %d, and %d wait", last, len(none))
	}
}

func testChainRace(t *testing.T, f fixture) {
	for range 40 {
		f.must(f.CreateEvent(f.ctx, event("x")))
	}
	chain, err := f.Chain(f.ctx)
	f.must(err)
	waiting, err := f.UnchainedEvents(f.ctx, nil, 40)
	f.must(err)
	f.oneWins(storage.ErrStale, race(6, func(i int) error {
		mine := append([]storage.Event{}, waiting[:20+i]...)
		for n := range mine {
			mine[n].Number, mine[n].Hash = storage.Number(n+1), hash(fmt.Sprint(i, n))
		}
		return f.ChainEvents(f.ctx, chain, mine)
	}))
	got, err := f.ChainedEvents(f.ctx, 0, 100)
	f.must(err)
	chain, err = f.Chain(f.ctx)
	f.must(err)
	if int64(len(got)) != chain.Number || string(got[len(got)-1].Hash) != string(chain.Hash) {
		t.Errorf("%d events are chained, and the chain ends with %d", len(got), chain.Number)
	}
}

// spread gives the chain numbers as far apart as a table of that many rows has them.
func (f fixture) spread(numbers ...int64) {
	f.t.Helper()
	f.must(f.chainWaiting(len(numbers)))
	for i := len(numbers) - 1; i >= 0; i-- {
		_, err := f.SQL().ExecContext(f.ctx, fmt.Sprintf("UPDATE events SET number = %d WHERE number = %d", numbers[i], i+1))
		f.must(err)
	}
	_, err := f.SQL().ExecContext(f.ctx, fmt.Sprintf("UPDATE event_chains SET number = %d", numbers[len(numbers)-1]))
	f.must(err)
}

func testEventsBefore(t *testing.T, f fixture) {
	ada := f.person("ada")
	for i := range 4 {
		e := event([]string{"first", "x", "x", "x"}[i])
		e.CreatedAt = after(time.Duration(i) * time.Minute)
		if e.Kind == "first" {
			e.PersonID = ada.ID
		}
		f.must(f.CreateEvent(f.ctx, e))
	}
	f.spread(1, 60_000, 115_000, 120_000)
	for name, tc := range map[string]struct {
		filter storage.EventFilter
		before int64
		limit  int
		want   []int64
		next   int64
	}{
		"all":                            {storage.EventFilter{}, 0, 10, []int64{120_000, 115_000}, 70_001},
		"a page":                         {storage.EventFilter{}, 0, 1, []int64{120_000}, 120_000},
		"the page after":                 {storage.EventFilter{}, 120_000, 1, []int64{115_000}, 115_000},
		"from where the first one ended": {storage.EventFilter{}, 70_001, 10, []int64{60_000}, 20_001},
		"nothing on the way":             {storage.EventFilter{Kind: "first"}, 0, 10, nil, 70_001},
		"to the end":                     {storage.EventFilter{Kind: "first"}, 20_001, 10, []int64{1}, 0},
		"the last, and nothing after it": {storage.EventFilter{}, 2, 1, []int64{1}, 0},
		"an index leads there":           {storage.EventFilter{PersonID: ada.ID}, 0, 10, []int64{1}, 0},
		"since":                          {storage.EventFilter{Since: after(2 * time.Minute)}, 0, 10, []int64{120_000, 115_000}, 0},
		"until":                          {storage.EventFilter{Until: after(time.Minute)}, 0, 10, []int64{1}, 0},
		"beyond the end":                 {storage.EventFilter{}, 999_999, 1, []int64{120_000}, 120_000},
	} {
		t.Run(name, func(t *testing.T) {
			got, next, err := f.EventsBefore(f.ctx, tc.filter, tc.before, tc.limit)
			f.must(err)
			var numbers []int64
			for _, e := range got {
				numbers = append(numbers, int64(e.Number))
			}
			same(t, tc.want, numbers)
			if next != tc.next {
				t.Errorf("next is %d, want %d", next, tc.next)
			}
		})
	}
	_, _, err := f.EventsBefore(f.ctx, storage.EventFilter{PersonID: "1=1"}, 0, 10)
	f.want(storage.ErrNotFound, err)
}

func testEventHeads(t *testing.T, f fixture) {
	_, err := f.LastEventHead(f.ctx, 100)
	f.want(storage.ErrNotFound, err)
	first := storage.EventHead{Number: 3, Token: "a", CreatedAt: now}
	second := storage.EventHead{Number: 7, Token: "b", CreatedAt: after(time.Hour)}
	f.must(f.CreateEventHead(f.ctx, &second))
	f.must(f.CreateEventHead(f.ctx, &first))
	f.must(f.CreateEventHead(f.ctx, &storage.EventHead{Number: 3, Token: "another", CreatedAt: now})) // stays as it is
	got, err := f.EventHeads(f.ctx, 0, 10)
	f.must(err)
	same(t, []storage.EventHead{first, second}, got)
	got, err = f.EventHeads(f.ctx, 3, 10)
	f.must(err)
	same(t, []storage.EventHead{second}, got)
	last, err := f.LastEventHead(f.ctx, 6)
	f.must(err)
	same(t, &first, last)
	last, err = f.LastEventHead(f.ctx, 7)
	f.must(err)
	same(t, &second, last)
	f.want(storage.ErrStale, f.DeleteEventHead(f.ctx, &storage.EventHead{Number: 7, Token: "a"}))
	f.must(f.DeleteEventHead(f.ctx, &second))
	f.want(storage.ErrStale, f.DeleteEventHead(f.ctx, &second))
	got, err = f.EventHeads(f.ctx, 0, 10)
	f.must(err)
	same(t, []storage.EventHead{first}, got)
}

func testTrim(t *testing.T, f fixture) {
	for range 12 {
		f.must(f.CreateEvent(f.ctx, event("x")))
	}
	f.must(f.chainWaiting(10)) // two wait
	f.must(f.CreateEventHead(f.ctx, &storage.EventHead{Number: 5, Token: "t", CreatedAt: now}))
	f.must(f.CreateEventHead(f.ctx, &storage.EventHead{Number: 8, Token: "t", CreatedAt: now}))
	n, err := f.TrimEvents(f.ctx, 1, 100)
	f.must(err)
	if n != 0 {
		t.Errorf("%d went, and none was given up", n)
	}
	was, err := f.Chain(f.ctx)
	f.must(err)
	f.must(f.AnchorEvents(f.ctx, was, 8, "anchor"))
	f.want(storage.ErrStale, f.AnchorEvents(f.ctx, was, 9, "another"))
	for _, want := range []int64{4 + 1, 3, 0} { // events and a head
		n, err := f.TrimEvents(f.ctx, 8, 4)
		f.must(err)
		if n != want {
			t.Errorf("%d went, want %d", n, want)
		}
	}
	got, err := f.ChainedEvents(f.ctx, 0, 100)
	f.must(err)
	heads, err := f.EventHeads(f.ctx, 0, 100)
	f.must(err)
	waiting, err := f.UnchainedEvents(f.ctx, nil, 100)
	f.must(err)
	if len(got) != 3 || got[0].Number != 8 || len(heads) != 1 || len(waiting) != 2 {
		t.Errorf("%d events, %d heads and %d that wait are left", len(got), len(heads), len(waiting))
	}
	chain, err := f.Chain(f.ctx)
	f.must(err)
	if chain.First != 8 || chain.Anchor != "anchor" || chain.Number != 10 {
		t.Errorf("%+v", chain)
	}
}

func testSalts(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	stranger := storage.NewID()
	f.must(f.CreatePersonSalts(f.ctx, now, map[storage.ID][]byte{ada.ID: hash(string(ada.ID)), stranger: hash(string(stranger))}))
	f.must(f.CreatePersonSalts(f.ctx, now, map[storage.ID][]byte{ada.ID: hash("another"), bob.ID: hash(string(bob.ID))})) // ada's stays as it is
	all := []storage.ID{ada.ID, bob.ID, stranger}
	got, err := f.PersonSalts(f.ctx, all)
	f.must(err)
	same(t, map[storage.ID][]byte{ada.ID: hash(string(ada.ID)), bob.ID: hash(string(bob.ID))}, got)

	about, by, others, chained := event("about"), event("by"), event("others"), event("chained")
	about.PersonID, by.ActorID, others.PersonID, chained.PersonID = ada.ID, string(ada.ID), bob.ID, ada.ID
	for i, e := range []*storage.Event{chained, about, by, others} {
		e.Personal, e.Origin, e.CreatedAt = []byte("p"), []byte("o"), after(time.Duration(i)*time.Second)
		f.must(f.CreateEvent(f.ctx, e))
	}
	chain, err := f.Chain(f.ctx)
	f.must(err)
	chained.Number, chained.Hash = 1, hash("1")
	f.must(f.ChainEvents(f.ctx, chain, []storage.Event{*chained}))
	f.must(f.ErasePersonSalt(f.ctx, ada.ID))
	rows, err := f.Events(f.ctx, 10)
	f.must(err)
	for _, e := range rows {
		if gone := e.Personal == nil; gone != (e.Kind == "about" || e.Kind == "by") {
			t.Errorf("%s: what is personal is gone: %v", e.Kind, gone)
		}
	}
	_, err = f.SQL().ExecContext(f.ctx, "DELETE FROM persons WHERE id = '"+string(bob.ID)+"'")
	f.must(err)
	got, err = f.PersonSalts(f.ctx, all)
	f.must(err)
	if len(got) != 0 {
		t.Errorf("salts are left: %v", got)
	}
}
