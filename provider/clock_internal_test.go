package provider

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// A replica whose clock is off tells the database's time; one that is far off says so.
func TestTheOneClockIsTheDatabases(t *testing.T) {
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "clock.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for _, ahead := range []time.Duration{500 * time.Millisecond, -500 * time.Millisecond, time.Hour} {
		c := &clock{machine: func() time.Time { return time.Now().Add(ahead) }}
		_, err := c.set(t.Context(), store)
		if left := time.Until(c.Now()); left.Abs() > 150*time.Millisecond {
			t.Errorf("%s ahead: %s left, want next to none", ahead, left)
		}
		if ahead == time.Hour {
			if err == nil {
				t.Error("nobody is told of a clock that is an hour ahead")
			}
			if _, err := MeasuredClock(t.Context(), store, c.machine); err == nil {
				t.Error("a command an hour ahead goes on")
			}
			continue
		}
		if err != nil {
			t.Errorf("%s ahead: %v", ahead, err)
		}
		now, err := MeasuredClock(t.Context(), store, c.machine)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(now()); left.Abs() > 150*time.Millisecond {
			t.Errorf("a command's, %s ahead: %s left, want next to none", ahead, left)
		}
	}
}

// A far-off clock is not made up for any longer than it is far off, however slow the
// database is to answer: what an inexact answer says is believed as far as it goes.
func TestWhatIsFarIsMadeUpForByAnyAnswer(t *testing.T) {
	var database, way time.Duration
	calls := 0
	c := &clock{machine: func() time.Time { // is read before each question and after its answer
		at := time.Unix(1_800_000_000, 0)
		if calls++; calls%2 == 0 {
			at = at.Add(way)
		}
		return at
	}}
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "clock.db"), storage.WithClock(func() time.Time {
		return time.Unix(1_800_000_000, 0).Add(database + way/2)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for i, step := range []struct {
		database, way, offset time.Duration // how far the database is ahead, what an answer takes, what is then made up for
		apart                 bool
	}{
		{0, 2 * time.Second, 0, false},
		{700 * time.Millisecond, 200 * time.Millisecond, 0, false}, // near, and not exact
		{700 * time.Millisecond, 80 * time.Millisecond, 700 * time.Millisecond, false},
		{720 * time.Millisecond, 80 * time.Millisecond, 700 * time.Millisecond, false}, // the question's own time explains it
		{24 * time.Hour, 4 * time.Second, 24 * time.Hour, true},
		{time.Millisecond, 4 * time.Second, time.Millisecond, false},
	} {
		database, way, calls = step.database, step.way, 0
		_, err := c.set(t.Context(), store)
		if got := time.Duration(c.offset.Load()); got != step.offset || (err != nil) != step.apart || c.apart.Load() != step.apart {
			t.Errorf("step %d: %s is made up for, want %s; %v", i, got, step.offset, err)
		}
	}
}

// A command whose database is slow to answer (a busy pool, a network far away)
// goes by the quickest of its answers, and not by the machine's own clock.
func TestASlowDatabaseStillTellsACommandTheTime(t *testing.T) {
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "clock.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	const ahead = 500 * time.Millisecond
	ways := []time.Duration{800 * time.Millisecond, 200 * time.Millisecond, 600 * time.Millisecond} // of each answer, to here alone
	calls := 0
	machine := func() time.Time { // is read before each question and after its answer
		at := time.Now().Add(ahead)
		if calls%2 == 1 && calls/2 < len(ways) {
			at = at.Add(ways[calls/2])
		}
		calls++
		return at
	}
	now, err := MeasuredClock(t.Context(), store, machine)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(now()); left.Abs() > 200*time.Millisecond {
		t.Errorf("%s left, want half of what the quickest answer took, 100ms", left)
	}
	if calls != 2*len(ways)+1 {
		t.Errorf("%d readings, want two for each question and one of the clock", calls)
	}
}
