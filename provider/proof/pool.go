package proof

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// pool bounds how many hashes run at once and how many callers wait for that.
// Memory is so bounded by workers times the cost of one hash; whoever finds the
// queue full is sent away at once, while there is still something to answer with.
type pool struct {
	places  chan struct{} // taken by those who work or wait
	workers chan struct{} // taken by those who work
	shed    atomic.Uint64 // who was sent away
}

// retryAfter is when to come back after having been sent away: a full queue is
// worked off by then.
const retryAfter = 2 * time.Second

func newPool(workers, queue int) *pool {
	return &pool{places: make(chan struct{}, workers+queue), workers: make(chan struct{}, workers)}
}

// do runs fn when it is its turn: fault.Unavailable when the queue is full, the
// error of ctx when that ended first.
func (p *pool) do(ctx context.Context, fn func()) error {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return p.full()
	}
	select {
	case p.workers <- struct{}{}:
		defer func() { <-p.workers }()
	case <-ctx.Done():
		return waited(ctx)
	}
	if ctx.Err() != nil { // both were ready: nobody waits for the answer any more
		return waited(ctx)
	}
	fn()
	return nil
}

// room says whether there is a place: the fault of do where there is none. It takes
// none, so that do may still find the queue full.
func (p *pool) room() error {
	if len(p.places) < cap(p.places) {
		return nil
	}
	return p.full()
}

// full sends somebody away.
func (p *pool) full() error {
	p.shed.Add(1)
	return fault.Unavailable(retryAfter, errors.New("proof: the queue for password hashing is full"))
}

// waited is the error of a ctx that ended in the queue: when its time was up the
// person may try again, when they left nobody reads it.
func waited(ctx context.Context) error {
	err := fmt.Errorf("proof: wait for password hashing: %w", context.Cause(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Unavailable(retryAfter, err)
	}
	return err
}
