package grants

import (
	"context"
	"fmt"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Listed is a grant as a list has it.
type Listed struct {
	storage.GrantState
	Living bool // it may yield tokens now
}

// List returns a page of a person's grants that were not revoked, those for one
// client unless that is "", the oldest first. It is one statement. One that lapsed, or
// whose session did, is there until it is swept.
func (s *Service) List(ctx context.Context, person storage.ID, client string, p storage.Page) (storage.List[Listed], error) {
	rows, err := s.store.GrantsOf(ctx, person, client, p)
	return s.listed(rows, err)
}

// ListFor returns a page of a client's grants that were not revoked, whosever they are,
// as [Service.List] does. It is one statement.
func (s *Service) ListFor(ctx context.Context, client string, p storage.Page) (storage.List[Listed], error) {
	rows, err := s.store.GrantsFor(ctx, client, p)
	return s.listed(rows, err)
}

func (s *Service) listed(rows storage.List[storage.GrantState], err error) (storage.List[Listed], error) {
	if err != nil {
		return storage.List[Listed]{}, fmt.Errorf("grants: %w", err)
	}
	now := s.now()
	out := storage.List[Listed]{Items: make([]Listed, 0, len(rows.Items)), Next: rows.Next}
	for _, g := range rows.Items {
		out.Items = append(out.Items, Listed{GrantState: g, Living: g.Alive(now)})
	}
	return out, nil
}

// Show returns the grant of this id, revoked or not, or storage.ErrNotFound.
func (s *Service) Show(ctx context.Context, id string) (*Listed, error) {
	key, err := storage.ParseID(id)
	if err != nil {
		return nil, err
	}
	g, err := s.store.GrantByID(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	return &Listed{GrantState: *g, Living: g.Alive(s.now())}, nil
}

// RevokeByID ends the grant of this id, and every token that came of it, as
// [Service.Revoke] does, in one unit. storage.ErrNotFound: there is none, or it was
// revoked before.
func (s *Service) RevokeByID(ctx context.Context, id string, by events.Actor, why string) error {
	g, err := s.Show(ctx, id)
	if err != nil {
		return err
	}
	if !g.Grant.RevokedAt.IsZero() {
		return storage.ErrNotFound
	}
	return s.store.Together(ctx, func(ctx context.Context) error { return s.Revoke(ctx, &g.Grant, by, why) })
}
