package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

// MaxAddresses is how many addresses a person has.
const MaxAddresses = 10

// Addresses returns a person's addresses, oldest first.
func (s *Service) Addresses(ctx context.Context, person storage.ID) ([]storage.Identifier, error) {
	all, err := s.store.Identifiers(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("directory: addresses: %w", err)
	}
	return all, nil
}

// VerifyAddress notes that an address is the person's, who showed it, with the event in
// one unit: one that they have, or another one. The fault Conflict, or in a unit of the
// caller's storage.ErrConflict from its flush: somebody else has it, or they have
// [MaxAddresses], or what it relies on is not so any more.
func (s *Service) VerifyAddress(ctx context.Context, person storage.ID, canonical, display string, relies ...storage.Provided) error {
	now := storage.At(s.now())
	err := s.store.Together(ctx, func(ctx context.Context) error {
		err := s.store.VerifyIdentifier(ctx, &storage.Identifier{
			Kind: ident.KindEmail, Value: canonical, PersonID: person, Display: display, VerifiedAt: now, CreatedAt: now,
		}, MaxAddresses, relies...)
		if err != nil {
			return err
		}
		return s.events.Record(ctx, addressEvent(events.AddressVerified, person, display))
	})
	if errors.Is(err, storage.ErrConflict) {
		return taken()
	}
	if err != nil {
		return fmt.Errorf("directory: verify address: %w", err)
	}
	return nil
}

// RemoveAddress takes an address away from a person, with the event in one unit. It stays
// while nothing stands in for it, as [Service.Stays] says: a fault Conflict, or in a unit of
// the caller's storage.ErrStale from its flush.
func (s *Service) RemoveAddress(ctx context.Context, person storage.ID, address *storage.Identifier) error {
	err := s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.RemoveIdentifier(ctx, address.Kind, address.Value, person, s.settled(), storage.At(s.now())); err != nil {
			return err
		}
		return s.events.Record(ctx, addressEvent(events.AddressRemoved, person, address.Display))
	})
	if errors.Is(err, storage.ErrStale) {
		return fault.Conflict("email", "is the last one that is known to be theirs")
	}
	if err != nil {
		return fmt.Errorf("directory: remove address: %w", err)
	}
	return nil
}

// Stays reports whether an address, one of all that a person has, cannot be removed: no other
// one was verified before it was, or, if it never was, before it was there; or long ago. Who has
// the account for a moment cannot leave its owner without an address that they are told at, or
// are found by.
func (s *Service) Stays(address *storage.Identifier, all []storage.Identifier) bool {
	settled, since := s.settled(), address.VerifiedAt
	if since.IsZero() {
		since = address.CreatedAt
	}
	return !slices.ContainsFunc(all, func(o storage.Identifier) bool {
		standsIn := !o.VerifiedAt.IsZero() && (o.VerifiedAt.Before(since.Time) || !o.VerifiedAt.After(settled.Time))
		return (o.Kind != address.Kind || o.Value != address.Value) && standsIn
	})
}

func (s *Service) settled() storage.Time { return storage.At(s.now().Add(-ident.Settles)) }

func addressEvent(kind events.Kind, person storage.ID, display string) events.Event {
	return events.Event{Kind: kind, Actor: events.ActorPerson, Person: person, Personal: map[string]any{"email": display}}
}
