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
// the database's, so that replicas agree. With more than maxDrift between them one
// of the two is wrong, and nobody here knows which: until somebody mends it the replica
// is not ready, and begins nothing by itself because of the time (see sound). What it is
// asked meanwhile it answers by the database's time, as the others do.
type clock struct {
	machine func() time.Time
	offset  atomic.Int64 // nanoseconds

	measured atomic.Int64 // the newest drift, in nanoseconds, made up for or not
	apart    atomic.Bool  // it was too far
}

// Now returns the time.
func (c *clock) Now() time.Time { return c.machine().Add(time.Duration(c.offset.Load())) }

// reading is how far this machine's clock is ahead of the database's, and what the
// question took. Half of that counts for its way back.
type reading struct{ drift, took time.Duration }

// sharp says whether the question was quick enough (no busy pool, no slow network)
// for its answer to be exact.
func (r reading) sharp() bool { return r.took <= 100*time.Millisecond }

// far says whether two clocks of which one is ahead by d are too far apart, whatever of
// it the time that the question took explains.
func (r reading) far(d time.Duration) bool { return d.Abs() > maxDrift+r.took/2 }

// apart returns an error if the clocks are too far apart for a server here to be ready.
func (r reading) apart() error {
	if !r.far(r.drift) {
		return nil
	}
	return fmt.Errorf("this machine's clock is %s away from the database's: synchronise it (timedatectl set-ntp true)", r.drift.Round(time.Millisecond))
}

// read compares the clocks.
func (c *clock) read(ctx context.Context, store *storage.Store) (reading, error) {
	asked := c.machine()
	theirs, err := store.Now(ctx)
	if err != nil {
		return reading{}, err
	}
	took := c.machine().Sub(asked)
	r := reading{drift: asked.Add(took / 2).Sub(theirs), took: took}
	c.measured.Store(int64(r.drift))
	return r, nil
}

// set compares the clocks and makes up for what is between them, as far as the time
// that the question took does not explain it; by an answer that is not exact only if
// what is left is far. It returns how far this machine's is ahead; the error says that a
// server here is not ready.
func (c *clock) set(ctx context.Context, store *storage.Store) (time.Duration, error) {
	r, err := c.read(ctx, store)
	if err != nil {
		return 0, err
	}
	if left := r.drift + time.Duration(c.offset.Load()); left.Abs() > r.took/2 && (r.sharp() || r.far(left)) {
		c.offset.Store(int64(-r.drift))
	}
	err = r.apart()
	c.apart.Store(err != nil)
	return r.drift, err
}

// sound returns the time by which something may be deleted for good: that of the
// database, from which this machine's is not far. By a wrong clock everything may have
// lapsed.
func (c *clock) sound(ctx context.Context, store *storage.Store) (time.Time, error) {
	drift, err := c.set(ctx, store)
	return c.machine().Add(-drift), err
}

// Drift returns how far this machine's clock is ahead of the database's; the error
// says that a server here would not be ready.
func Drift(ctx context.Context, store *storage.Store, machine func() time.Time) (time.Duration, error) {
	return (&clock{machine: machine}).set(ctx, store)
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
		r, err := c.read(ctx, store)
		if err == nil {
			err = r.apart()
		}
		if err != nil {
			return nil, err
		}
		if r.took < quickest {
			quickest = r.took
			c.offset.Store(int64(-r.drift))
		}
		if r.sharp() {
			break
		}
	}
	return c.Now, nil
}
