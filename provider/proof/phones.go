package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/sms"
	"github.com/doorstep-id/doorstep/storage"
)

// MaxPhones is how many mobiles a person has.
const MaxPhones = 5

// BySMS brings codes to mobiles.
func BySMS(s *sms.Service) Channel {
	return Channel{
		kind: ident.KindPhone, method: policy.SMS, enabled: s.Enabled,
		canonical: func(typed string) (string, error) {
			canonical, err := ident.Phone(typed)
			if err != nil {
				err = fault.Invalid("phone", "must be the number of a mobile, with + and its country code")
			}
			return canonical, err
		},
		carry: func(ctx context.Context, in Sending, code string) error {
			is, known := map[Purpose]sms.Purpose{ToVerify: sms.ToVerify, ToProve: sms.ToProve, ToSignIn: sms.ToSignIn}[in.Purpose]
			if !known {
				return fmt.Errorf("no text message is for the purpose %q", in.Purpose)
			}
			to := sms.To{Number: in.Address, Person: in.Person, From: in.From, Lang: in.Lang}
			return s.Send(ctx, to, sms.Code{For: is, Code: code, Valid: SentValid})
		},
	}
}

// Phones are the mobiles that people showed to be theirs, by a code that was sent there. Two
// people may have the same one: nothing tells either of the other.
type Phones struct {
	store    *storage.Store
	events   *events.Service
	accepted bool
	now      func() time.Time
}

// NewPhones returns the service. With accepted a code that was sent to one counts beside a password:
// see [policy.Evidence].
func NewPhones(accepted bool, store *storage.Store, ev *events.Service, now func() time.Time) *Phones {
	return &Phones{store: store, events: ev, accepted: accepted, now: now}
}

// Accepted says whether a code that was sent to a phone counts beside a password.
func (p *Phones) Accepted() bool { return p.accepted }

// Prove notes that a person typed a code that was sent to this phone of theirs, whatever comes of
// the caller's unit, and returns what that proves: [ErrOver] where it is none of theirs, any more.
func (p *Phones) Prove(ctx context.Context, person, id storage.ID, typed *Proven) (policy.Evidence, error) {
	now := p.now()
	switch err := p.store.UsePhone(storage.WithoutUnit(ctx), person, id, typed.Address, storage.At(now)); {
	case errors.Is(err, storage.ErrNotFound):
		return policy.Evidence{}, ErrOver
	case err != nil:
		return policy.Evidence{}, fmt.Errorf("proof: phone: %w", err)
	}
	return policy.Evidence{Method: policy.SMS, At: now, Credential: string(id), Accepted: p.accepted}, nil
}

// List returns a person's phones, those that are doubted among them, oldest first.
func (p *Phones) List(ctx context.Context, person storage.ID) ([]storage.Phone, error) {
	all, err := p.store.PhonesOf(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("proof: list phones: %w", err)
	}
	return all, nil
}

// Room says whether [Phones.Add] would take a number, in any spelling, before a message is paid for
// that shows it to be theirs: storage.ErrConflict if not. What is no number is left to [Sent.Send].
func (p *Phones) Room(ctx context.Context, person storage.ID, typed string) error {
	canonical, err := ident.Phone(typed)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	all, err := p.List(ctx, person)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(one storage.Phone) bool { return one.Number == canonical })
	if i >= 0 && all[i].DoubtedAt.IsZero() || i < 0 && len(all) >= MaxPhones {
		return fmt.Errorf("proof: another phone: %w", storage.ErrConflict)
	}
	return nil
}

// Add notes that a number, which its code just showed, is a person's, with the event in one
// unit. The fault Conflict, or in a unit of the caller's storage.ErrConflict from its flush: they
// have it, or [MaxPhones] of them, or what it relies on is not so any more.
func (p *Phones) Add(ctx context.Context, person storage.ID, canonical string, by events.Actor, relies ...storage.Provided) error {
	phone := &storage.Phone{ID: storage.NewID(), PersonID: person, Number: canonical, VerifiedAt: storage.At(p.now())}
	err := p.change(ctx, events.FactorAdded, person, phone.ID, ident.MaskPhone(canonical), by, func(ctx context.Context) error {
		return p.store.VerifyPhone(ctx, phone, MaxPhones, relies...)
	})
	if errors.Is(err, storage.ErrConflict) {
		return fault.Conflict("phone", fmt.Sprintf("is theirs already, or they have %d", MaxPhones))
	}
	return err
}

// Remove removes a phone, with the event, and ends nothing else. storage.ErrNotFound: the
// person has none of this id.
func (p *Phones) Remove(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return p.change(ctx, events.FactorRemoved, person, id, "", by, func(ctx context.Context) error {
		return p.store.RemovePhone(ctx, person, id)
	})
}

// Trust has a phone count again that was disowned, with the event. storage.ErrNotFound: the
// person has none of this id that is doubted.
func (p *Phones) Trust(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return p.change(ctx, events.FactorTrusted, person, id, "", by, func(ctx context.Context) error {
		return p.store.TrustPhone(ctx, person, id)
	})
}

func (p *Phones) change(ctx context.Context, kind events.Kind, person, id storage.ID, name string, by events.Actor, do func(context.Context) error) error {
	err := p.store.Together(ctx, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		return p.events.Record(ctx, factorEvent(kind, policy.SMS, person, id, name, by))
	})
	if err != nil {
		return fmt.Errorf("proof: change phone: %w", err)
	}
	return nil
}
