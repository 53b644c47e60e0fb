package provider

import (
	"context"
	"fmt"
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
}

// Now returns the time.
func (c *clock) Now() time.Time { return c.machine().Add(time.Duration(c.offset.Load())) }

// measure compares the two clocks and keeps the offset. Half of the time that
// the question took counts for its way back.
func (c *clock) measure(ctx context.Context, store *storage.Store) error {
	asked := c.machine()
	theirs, err := store.Now(ctx)
	if err != nil {
		return err
	}
	drift := asked.Add(c.machine().Sub(asked) / 2).Sub(theirs)
	if drift.Abs() > maxDrift {
		return fmt.Errorf("this machine's clock is %s away from the database's: synchronise it (timedatectl set-ntp true)", drift.Round(time.Millisecond))
	}
	c.offset.Store(int64(-drift))
	return nil
}
