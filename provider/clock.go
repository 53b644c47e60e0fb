package provider

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// maxDrift is how far this machine's clock may be from the database's: codes,
// tokens and throttles of several replicas are judged by it.
const maxDrift = time.Second

// clock is the one clock: this machine's, moved by its measured distance from
// the database's, so that replicas agree. A distance beyond maxDrift is never
// made up for: the replica is not ready until somebody mends its clock.
type clock struct {
	machine func() time.Time
	offset  atomic.Int64 // nanoseconds

	measured atomic.Int64 // the newest drift, in nanoseconds, made up for or not
}

// Now returns the time.
func (c *clock) Now() time.Time { return c.machine().Add(time.Duration(c.offset.Load())) }

// drift returns how far this machine's clock is ahead of the database's, and what
// the question took. Half of that counts for its way back; one that took longer
// than sharp (a busy pool, a slow network) says nothing exact.
func (c *clock) drift(ctx context.Context, store *storage.Store) (drift, took time.Duration, err error) {
	asked := c.machine()
	theirs, err := store.Now(ctx)
	if err != nil {
		return 0, 0, err
	}
	took = c.machine().Sub(asked)
	drift = asked.Add(took / 2).Sub(theirs)
	c.measured.Store(int64(drift))
	if drift.Abs() > maxDrift+took/2 {
		return drift, took, fmt.Errorf("this machine's clock is %s away from the database's: synchronise it (timedatectl set-ntp true)", drift.Round(time.Millisecond))
	}
	return drift, took, nil
}

const sharp = 100 * time.Millisecond

// set measures the drift and makes up for it.
func (c *clock) set(ctx context.Context, store *storage.Store) error {
	drift, took, err := c.drift(ctx, store)
	if err == nil && took <= sharp {
		c.offset.Store(int64(-drift))
	}
	return err
}

// Drift returns how far this machine's clock is ahead of the database's; the error
// says that a server here would not be ready.
func Drift(ctx context.Context, store *storage.Store, machine func() time.Time) (time.Duration, error) {
	drift, _, err := (&clock{machine: machine}).drift(ctx, store)
	return drift, err
}

// MeasuredClock returns the one clock for a process that is over soon, such as a
// command: this machine's, moved by its distance from the database's, as those of
// the replicas are. Of three questions it goes by the first that is exact, else by
// the quickest: it has no later one to be put right by. The error says that it is
// too far off to be moved.
func MeasuredClock(ctx context.Context, store *storage.Store, machine func() time.Time) (func() time.Time, error) {
	c := &clock{machine: machine}
	quickest := time.Duration(math.MaxInt64)
	for range 3 {
		drift, took, err := c.drift(ctx, store)
		if err != nil {
			return nil, err
		}
		if took < quickest {
			quickest = took
			c.offset.Store(int64(-drift))
		}
		if took <= sharp {
			break
		}
	}
	return c.Now, nil
}
