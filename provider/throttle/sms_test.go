package throttle

import (
	"fmt"
	"testing"
	"time"
)

// Whoever takes whenever they can gets no more than that in any 24 hours, and no less in
// the first.
func TestPerDayIsADay(t *testing.T) {
	b := start(t)
	for _, most := range []int{1, 2, 3, 10, 25} {
		limit := PerDay(fmt.Sprint("x", most), most)
		var taken []time.Time
		for range 3 * 24 * 6 {
			for tooMany(t, b.Take(t.Context(), limit)) == 0 {
				taken = append(taken, b.now())
			}
			b.pass(10 * time.Minute)
		}
		for i, at := range taken {
			n := 0
			for _, other := range taken[i:] {
				if other.Sub(at) < 24*time.Hour {
					n++
				}
			}
			if n > most || i == 0 && n != most {
				t.Fatalf("of %d a day %d were had in the day from number %d", most, n, i)
			}
		}
	}
}

// What one of several refuses costs nothing of those before it.
func TestTakeAllIsAllOrNothing(t *testing.T) {
	b := start(t)
	wide, narrow := Bucket{Limit{"wide", time.Hour, 3}, []string{"a"}}, Bucket{Limit{"narrow", time.Hour, 1}, []string{"b"}}
	if err := b.TakeAll(t.Context(), []Bucket{wide, narrow}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if tooMany(t, b.TakeAll(t.Context(), []Bucket{wide, narrow})) == 0 {
			t.Fatal("an empty bucket gave")
		}
	}
	for range 2 {
		if err := b.TakeAll(t.Context(), []Bucket{wide}); err != nil {
			t.Errorf("the refused ones were paid for: %v", err)
		}
	}
	if tooMany(t, b.TakeAll(t.Context(), []Bucket{wide})) == 0 {
		t.Error("the one that was taken was not paid for")
	}
}
