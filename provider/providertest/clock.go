package providertest

import (
	"sync"
	"time"
)

// Start of the fake clock: the same in every run, so that golden files hold.
var clockStart = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// Clock stands still until it is told to move. Safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at noon on 2026-03-01, UTC.
func NewClock() *Clock { return &Clock{now: clockStart} }

// NewClockAt returns a clock at the given time. A real browser counts the age
// of its cookies itself: its tests begin at time.Now(). A clock that stands still
// must not stand between two moments that a database can keep.
func NewClockAt(start time.Time) *Clock {
	return &Clock{now: start.UTC().Truncate(time.Microsecond)}
}

// Now returns the time. It has the shape that every room's constructor takes.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
