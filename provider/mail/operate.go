package mail

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// List returns a page of the mails of every channel, of the dead ones alone or of all that are kept, the
// oldest first. What they say is sealed, and of no operator's concern.
func (o *Outbox) List(ctx context.Context, dead bool, p storage.Page) (storage.List[storage.Mail], error) {
	list, err := o.store.Mails(ctx, dead, p)
	if err != nil {
		return list, fmt.Errorf("mail: list: %w", err)
	}
	return list, nil
}

// Retry has a dead mail sent, with the event, in one unit. It is a fault of kind Conflict if it
// is not dead or has lapsed; storage.ErrNotFound.
func (o *Outbox) Retry(ctx context.Context, key string, by events.Actor) error {
	m, err := o.Show(ctx, key)
	if err != nil {
		return err
	}
	now := storage.At(o.now())
	switch {
	case m.DeadAt.IsZero():
		return fault.Conflict("id", "is of a mail that was not given up")
	case !now.Before(m.LapsesAt.Time) || m.Sealed == nil:
		return fault.Conflict("id", "is of a mail that is of no use any more")
	}
	return o.changed(ctx, "retry", events.MailRetried, by, m, func(ctx context.Context) error { return o.store.ReviveMail(ctx, m.ID, now) })
}

// Discard throws a mail away, dead or not, with the event, in one unit. One that is just
// being sent arrives all the same. storage.ErrNotFound.
func (o *Outbox) Discard(ctx context.Context, key string, by events.Actor) error {
	m, err := o.Show(ctx, key)
	if err != nil {
		return err
	}
	return o.changed(ctx, "discard", events.MailDiscarded, by, m, func(ctx context.Context) error { return o.store.DeleteMail(ctx, m.ID) })
}

// Show returns the mail of this id; storage.ErrNotFound.
func (o *Outbox) Show(ctx context.Context, key string) (*storage.Mail, error) {
	id, err := storage.ParseID(key)
	if err != nil {
		return nil, err
	}
	m, err := o.store.Mail(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return m, nil
}

func (o *Outbox) changed(ctx context.Context, what string, kind events.Kind, by events.Actor, m *storage.Mail, change func(context.Context) error) error {
	err := o.store.Together(ctx, func(ctx context.Context) error {
		if err := change(ctx); err != nil {
			return err
		}
		storage.Then(ctx, o.wake)
		return o.events.Record(ctx, events.Event{Kind: kind, Actor: by, Person: m.PersonID, Data: map[string]any{"mail": m.ID, "kind": m.Kind}})
	})
	if errors.Is(err, storage.ErrStale) {
		return fault.Conflict("id", "is of a mail that somebody else changed at this moment")
	}
	if err != nil {
		return fmt.Errorf("mail: %s: %w", what, err)
	}
	return nil
}
