package provider

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// A replica whose clock is a little off tells the database's time; one that is
// far off keeps its own and says so.
func TestTheOneClockIsTheDatabases(t *testing.T) {
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "clock.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for _, ahead := range []time.Duration{500 * time.Millisecond, -500 * time.Millisecond, time.Hour} {
		c := &clock{machine: func() time.Time { return time.Now().Add(ahead) }}
		err := c.set(t.Context(), store)
		left := time.Until(c.Now())
		if ahead == time.Hour {
			if err == nil || left < time.Hour-time.Second {
				t.Errorf("an hour ahead: %v, %s left", err, left)
			}
			if _, err := MeasuredClock(t.Context(), store, c.machine); err == nil {
				t.Error("a command an hour ahead goes on")
			}
			continue
		}
		if err != nil || left.Abs() > 150*time.Millisecond {
			t.Errorf("%s ahead: %v, %s left, want next to none", ahead, err, left)
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
