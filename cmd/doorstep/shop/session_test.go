package shop

import (
	"testing"
	"time"
)

func TestAShelfIsBoundedByCountAndAge(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := newShelf[int](func() time.Time { return now }, 3, time.Hour)
	has := func(name string) bool { _, ok := s.get(name); return ok }
	var names []string
	for i := range 4 {
		names = append(names, s.put(i))
		now = now.Add(time.Minute)
	}
	if has(names[0]) || !has(names[1]) || !has(names[3]) {
		t.Error("not the oldest left")
	}
	if v, ok := s.take(names[2]); v != 2 || !ok || has(names[2]) {
		t.Error("a value is taken once")
	}
	now = now.Add(57 * time.Minute) // the second was put an hour ago
	if !has(names[3]) || has(names[1]) {
		t.Error("age does not bound")
	}
	if _, ok := s.take(names[1]); ok {
		t.Error("an aged value was taken")
	}
	now = now.Add(time.Hour)
	s.put(9)
	if len(s.queue) != 1 || len(s.kept) != 1 {
		t.Errorf("%d kept in a queue of %d, though all but one have aged", len(s.kept), len(s.queue))
	}
	for range 10 { // as many that begin a sign-in and end it do
		s.take(s.put(1))
	}
	if len(s.queue) > 3 || len(s.kept) > 3 {
		t.Errorf("%d kept in a queue of %d, though there is room for 3", len(s.kept), len(s.queue))
	}
}
