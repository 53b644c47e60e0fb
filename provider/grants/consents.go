package grants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Access is what a client may do for a person: by what they agreed to, and by the
// grants that live, which a client of the operator's own has without a consent.
type Access struct {
	ClientID string
	Agreed   bool // they agreed, and will not be asked again for this much
	Asked
	Since storage.Time // when they agreed, else when the oldest living grant was made
}

// AccessTo returns which clients may do something for a person, by client. One
// that has no more than a code which waits is none of them.
func (s *Service) AccessTo(ctx context.Context, person storage.ID) ([]Access, error) {
	return s.access(ctx, person, false)
}

// access is AccessTo; with waiting, by codes that wait too.
func (s *Service) access(ctx context.Context, person storage.ID, waiting bool) ([]Access, error) {
	given, err := s.store.ConsentsOf(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("consents: %w", err)
	}
	now := s.now()
	living, err := s.store.AccessTo(ctx, person, storage.At(now), storage.At(now.Add(-clients.MaxLifetime)))
	if err != nil {
		return nil, fmt.Errorf("grants: %w", err)
	}
	var out []Access
	for _, c := range given {
		if c.Stands() {
			out = append(out, Access{ClientID: c.ClientID, Agreed: true, Asked: Asked{c.Scopes, c.Resources, c.Claims}, Since: c.CreatedAt})
		}
	}
	for _, g := range living {
		if !g.Used && !waiting {
			continue
		}
		i := slices.IndexFunc(out, func(a Access) bool { return a.ClientID == g.ClientID })
		if i < 0 {
			i = len(out)
			out = append(out, Access{ClientID: g.ClientID, Since: g.Since})
		}
		a := &out[i]
		a.Scopes, a.Resources = union(a.Scopes, g.Scopes), union(a.Resources, g.Resources)
		a.Claims = Beyond(union(a.Claims, g.Claims.V.Names()), a.Scopes)
		if !a.Agreed && g.Since.Before(a.Since.Time) {
			a.Since = g.Since
		}
	}
	slices.SortFunc(out, func(a, b Access) int { return strings.Compare(a.ClientID, b.ClientID) })
	return out, nil
}

// Withdraw takes a client's access to a person away: what they agreed to is
// forgotten, and every grant of the two is revoked with its tokens, those with
// offline_access and codes that are not spent among them. All of that is one unit
// with its one event. A grant that is being made at that moment is dead when it is
// there, by the count of withdrawals that it knew of. The person stays signed in
// here, and is asked when the client comes again. storage.ErrNotFound: it has no
// access.
func (s *Service) Withdraw(ctx context.Context, person storage.ID, client string, by events.Actor) error {
	var seen int64
	switch c, err := s.store.ConsentOf(ctx, person, client); {
	case err == nil:
		seen = c.Withdrawals
	case !errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("withdraw: %w", err)
	}
	all, err := s.access(ctx, person, true)
	if err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	i := slices.IndexFunc(all, func(a Access) bool { return a.ClientID == client })
	if i < 0 {
		return storage.ErrNotFound
	}
	now := s.now()
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.WithdrawConsent(ctx, person, client, seen, storage.At(now)); err != nil {
			return err
		}
		if err := s.store.RevokeGrantsOf(ctx, person, client, "consent withdrawn", storage.At(now), storage.At(now.Add(clients.MaxLifetime))); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{
			Kind: events.ConsentWithdrawn, Actor: by, Person: person, Client: client,
			Data: all[i].Asked,
		})
	})
	if errors.Is(err, storage.ErrStale) { // of two at once one finds nothing left, and tells no second time
		return storage.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("withdraw from %s: %w", client, err)
	}
	return nil
}
