package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Outbox is where the messages of one channel wait until they are handed over. Mails have
// one, and so have text messages: what becomes of a message is the same for both.
type Outbox struct {
	// Wanted, if set before the outbox is used, is asked at each attempt to send a message
	// whether it is for anybody. One that is not is deleted, and nobody is told.
	Wanted func(ctx context.Context, m *storage.Mail) (bool, error)

	cfg    OutboxConfig
	store  *storage.Store
	keys   Keys
	events *events.Service
	now    func() time.Time
	woken  chan struct{} // something may be due
}

// OutboxConfig says whose messages they are.
type OutboxConfig struct {
	Channel string        // storage.ByMail, ...
	Name    string        // of the messages in the metrics: doorstep_NAME_total
	Status  string        // what the event of a dead letter calls the code of a [Refusal]
	Timeout time.Duration // how long an attempt may take
	// Carry hands a message over, within ctx's deadline; nil where nobody takes any. Its error is
	// a *[Refusal] where there is more to say than that it failed this once.
	Carry func(ctx context.Context, m *storage.Mail, said Content) error
}

// OutboxDeps is what an outbox works with.
type OutboxDeps struct {
	Store  *storage.Store
	Keys   Keys
	Events *events.Service
	Now    func() time.Time
}

// NewOutbox returns an outbox.
func NewOutbox(cfg OutboxConfig, d OutboxDeps) *Outbox {
	return &Outbox{cfg: cfg, store: d.Store, keys: d.Keys, events: d.Events, now: d.Now, woken: make(chan struct{}, 1)}
}

// Content is what a message says: a row seals it. Text messages have Text alone.
type Content struct {
	Subject, Text, HTML string
}

// Refusal is why a message was not taken.
type Refusal struct {
	Final bool   // it never will be
	Apart bool   // it is about this message alone
	Code  int    // of the answer; 0 for none
	Says  string // in bounded words, without what the message said
}

func (r *Refusal) Error() string { return r.Says }

// Channel is storage.ByMail, or another one.
func (o *Outbox) Channel() string { return o.cfg.Channel }

// Enabled says whether messages are sent at all. Whoever needs one for something does not offer it if not.
func (o *Outbox) Enabled() bool { return o.cfg.Carry != nil }

// How long a row is kept after its end: of a message that was sent, by which its
// address goes; and of a dead letter.
const (
	keepSent = 24 * time.Hour
	keepDead = 30 * 24 * time.Hour
)

// Put has a message sent once the unit in ctx is carried out, and at once without one: to
// m's recipient, for as long as it is of use. The rest of the row is filled in here.
func (o *Outbox) Put(ctx context.Context, m *storage.Mail, said Content, life time.Duration) error {
	plain, err := json.Marshal(said)
	if err != nil {
		return err
	}
	now := o.now()
	lapses := now.Add(life)
	m.ID, m.Channel = storage.NewID(), o.cfg.Channel
	m.CreatedAt, m.DueAt, m.LapsesAt, m.ExpiresAt = storage.At(now), storage.At(now), storage.At(lapses), storage.At(lapses.Add(keepDead))
	if m.Sealed, err = o.keys.Seal(storage.PurposeMail, string(m.ID), plain); err != nil {
		return err
	}
	if err := o.store.CreateMail(ctx, m); err != nil {
		return err
	}
	storage.Then(ctx, o.wake)
	return nil
}

// wake has the deliverer of this process look for what is due.
func (o *Outbox) wake() {
	select {
	case o.woken <- struct{}{}:
	default: // it will
	}
}

// open returns what a row seals.
func (o *Outbox) open(m *storage.Mail) (c Content, err error) {
	plain, err := o.keys.Open(storage.PurposeMail, string(m.ID), m.Sealed)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(plain, &c)
}

// bury gives a message up, with the event. What it says is kept for as long as it can be
// tried again.
func (o *Outbox) bury(ctx context.Context, m *storage.Mail, why *Refusal, now time.Time) error {
	err := o.store.Together(ctx, func(ctx context.Context) error {
		lapsed := !now.Before(m.LapsesAt.Time)
		if err := o.store.BuryMail(ctx, m, storage.At(now), storage.At(now.Add(keepDead)), why.Says, lapsed); err != nil {
			return err
		}
		return o.events.Record(ctx, events.Event{
			Kind: events.MailUndelivered, Outcome: events.Failure, Actor: events.ActorSystem, Person: m.PersonID,
			Data: map[string]any{"mail": m.ID, "kind": m.Kind, "attempts": m.Attempts, o.cfg.Status: why.Code},
		})
	})
	if err != nil {
		return fmt.Errorf("give up: %w", err)
	}
	return nil
}

// wanted says whether a message is for anybody, and deletes one that is not.
func (o *Outbox) wanted(ctx context.Context, m *storage.Mail) (bool, error) {
	if o.Wanted == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	wanted, err := o.Wanted(ctx, m)
	if err != nil || wanted {
		return wanted, err
	}
	if err := o.store.DeleteMail(ctx, m.ID); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, fmt.Errorf("delete what nobody wants: %w", err)
	}
	return false, nil
}
