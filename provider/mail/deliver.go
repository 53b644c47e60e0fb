package mail

import (
	"context"
	"errors"
	"log/slog"
	draws "math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	// writeTime is how long the store has. A mail is leased for as long as a server has to
	// take it, and twice this: to begin, and to write down what came of it.
	writeTime = 5 * time.Second
	// A failed attempt is repeated after firstPause, then after twice as long, up to
	// longestPause.
	firstPause, longestPause = 5 * time.Second, time.Hour
	// How often to look for what others wrote, or died over, and after the store failed.
	lookIdle, lookBroken = time.Second, 5 * time.Second
	// workers is how many attempts go on at once in this process; while the server takes
	// nothing it is one.
	workers = 8
)

// DelivererDeps is what mails are delivered with, beside their service.
type DelivererDeps struct {
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Hold    func() bool // nothing is sent now: the clock may be wrong, by which mails lapse
}

// Deliverer sends what is due. Every server has one.
type Deliverer struct {
	DelivererDeps
	out      *Outbox
	attempts *prometheus.CounterVec
	queue    queue

	looking sync.Mutex // one looks at a time
	mu      sync.Mutex
	inHand  int           // attempts going on
	idle    chan struct{} // closed when none goes on; nil while none waits for that
	failing bool          // the last attempt found no server that takes mails
}

// NewDeliverer returns the deliverer of an outbox.
func NewDeliverer(o *Outbox, d DelivererDeps) (*Deliverer, error) {
	out := &Deliverer{DelivererDeps: d, out: o, queue: newQueue(o.cfg.Name), attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doorstep_" + o.cfg.Name + "_total", Help: "Attempts to send " + o.cfg.Name + ", by outcome.",
	}, []string{"outcome"})}
	for _, o := range []outcome{mailSent, mailFailed, mailDead} {
		out.attempts.WithLabelValues(string(o))
	}
	return out, errors.Join(d.Metrics.Register(out.attempts), out.queue.register(d.Metrics))
}

// outcome is what came of an attempt.
type outcome string

const (
	mailSent   outcome = "sent"
	mailFailed outcome = "failed" // and will be repeated
	mailDead   outcome = "dead"   // the event says so
)

// Run sends what is due until ctx ends, and leaves what goes on to Wait.
func (d *Deliverer) Run(ctx context.Context) {
	if !d.out.Enabled() {
		return
	}
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-d.out.woken:
		}
		if err := d.DeliverDue(ctx); err != nil && ctx.Err() == nil {
			d.Log.Error(d.out.cfg.Channel, slog.Any("error", err))
			look.Reset(lookBroken)
			continue
		}
		look.Reset(lookIdle)
	}
}

// DeliverDue begins an attempt for what is due now, as far as there is room, and does
// not wait for it.
func (d *Deliverer) DeliverDue(ctx context.Context) error {
	d.looking.Lock()
	defer d.looking.Unlock()
	room := d.room()
	if room == 0 || d.Hold() {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	now := storage.At(d.out.now())
	due, err := d.out.store.MailDue(limited, d.out.cfg.Channel, now)
	if err != nil || !due {
		return err
	}
	claimed, err := d.out.store.ClaimMails(limited, d.out.cfg.Channel, now, storage.At(now.Add(d.out.cfg.Timeout+2*writeTime)), room)
	if err != nil {
		return err
	}
	for i := range claimed {
		d.begin(ctx, &claimed[i])
	}
	return nil
}

// Wait returns when no attempt goes on. Others may begin meanwhile.
func (d *Deliverer) Wait() {
	d.mu.Lock()
	if d.inHand == 0 {
		d.mu.Unlock()
		return
	}
	if d.idle == nil {
		d.idle = make(chan struct{})
	}
	idle := d.idle
	d.mu.Unlock()
	<-idle
}

func (d *Deliverer) room() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failing {
		return max(0, 1-d.inHand)
	}
	return workers - d.inHand
}

// begin makes an attempt beside the caller.
func (d *Deliverer) begin(ctx context.Context, m *storage.Mail) {
	d.mu.Lock()
	d.inHand++
	d.mu.Unlock()
	ctx = storage.WithoutUnit(context.WithoutCancel(ctx)) // the end of the server does not cut it short
	go func() {
		came, failure, err := d.attempt(ctx, m)
		if came != "" {
			d.attempts.WithLabelValues(string(came)).Inc()
		}
		if failure != nil || err != nil {
			d.Log.Warn(d.out.cfg.Channel, slog.String("mail", string(m.ID)), slog.String("kind", m.Kind), slog.String("outcome", string(came)),
				slog.Int64("attempt", m.Attempts), slog.Any("error", errors.Join(asError(failure), err)))
		}
		d.release(came, failure)
		d.out.wake() // there is room again
	}()
}

func asError(r *Refusal) error {
	if r == nil {
		return nil
	}
	return r
}

func (d *Deliverer) release(came outcome, failure *Refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case came == mailSent, failure != nil && failure.Apart: // the server is there
		d.failing = false
	case failure != nil:
		d.failing = true
	}
	if d.inHand--; d.inHand == 0 && d.idle != nil {
		close(d.idle)
		d.idle = nil
	}
}

// attempt sends a claimed mail and writes down what came of it: nothing, if the store
// does not answer or somebody else has it by now. failure is why it was not sent.
func (d *Deliverer) attempt(ctx context.Context, m *storage.Mail) (came outcome, failure *Refusal, err error) {
	if wanted, err := d.out.wanted(ctx, m); err != nil || !wanted {
		return "", nil, err // where the store failed somebody tries again, after the lease
	}
	failure = d.send(ctx, m)
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	now := d.out.now()
	if failure == nil {
		return mailSent, nil, quiet(d.out.store.SentMail(ctx, m, storage.At(now), storage.At(now.Add(keepSent))))
	}
	due := now.Add(pause(m.Attempts))
	if !failure.Final && due.Before(m.LapsesAt.Time) {
		return mailFailed, failure, quiet(d.out.store.PostponeMail(ctx, m, storage.At(due), failure.Says))
	}
	return mailDead, failure, quiet(d.out.bury(ctx, m, failure, now))
}

// send makes the attempt.
func (d *Deliverer) send(ctx context.Context, m *storage.Mail) *Refusal {
	if !d.out.now().Before(m.LapsesAt.Time) {
		return &Refusal{Final: true, Apart: true, Says: "it is of no use any more"}
	}
	said, err := d.out.open(m)
	if err != nil {
		// With another key-encryption key it can be opened, where one is given.
		return &Refusal{Final: !errors.Is(err, keys.ErrWrongKEK), Apart: true, Says: "what it says cannot be opened"}
	}
	ctx, cancel := context.WithTimeout(ctx, d.out.cfg.Timeout)
	defer cancel()
	err = d.out.cfg.Carry(ctx, m, said)
	var r *Refusal
	if err == nil || errors.As(err, &r) {
		return r
	}
	return &Refusal{Says: scrub(err.Error(), said)}
}

// quiet is err, unless it says that somebody else was quicker.
func quiet(err error) error {
	if errors.Is(err, storage.ErrStale) {
		return nil
	}
	return err
}

// pause is how long to wait after so many attempts: twice as long each time, and
// between half and all of that, so that those that failed together do not come back
// together.
func pause(attempts int64) time.Duration {
	longest := longestPause
	if attempts < 20 { // more would overflow
		longest = min(firstPause<<(attempts-1), longestPause)
	}
	return longest - draws.N(longest/2) //nolint:gosec // a draw, no secret
}
