// Package grants keeps what people granted to clients: consents, the format of
// refresh tokens, and what is revoked.
//
// A grant is one authorization: one code and all that comes of it; its row is
// written by oidc/engine through storage. A consent is what one person agreed to
// for one client, and outlives grants.
//
// It must never look into the database for a refresh token whose MAC is not
// ours, and never say "revoked" or "not revoked" when the store could not
// answer.
package grants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Keep is how long a revocation is remembered: no access token may live longer.
const Keep = 2 * time.Hour

// Service keeps grants. It is safe for concurrent use.
type Service struct {
	store  *storage.Store
	events *events.Service
	key    [32]byte // MACs of refresh tokens
	now    func() time.Time
}

// New returns the service; key is for the MACs of refresh tokens.
func New(store *storage.Store, ev *events.Service, key [32]byte, now func() time.Time) *Service {
	return &Service{store: store, events: ev, key: key, now: now}
}

// Revoke ends a grant with all its tokens, and records it; together with the
// unit in ctx, if there is one. It may be called again.
func (s *Service) Revoke(ctx context.Context, id storage.ID, why string) error {
	now := s.now()
	return s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.RevokeGrant(ctx, id, why, storage.At(now), storage.At(now.Add(Keep))); err != nil {
			return fmt.Errorf("revoke grant: %w", err)
		}
		return s.events.Record(ctx, events.Event{
			Kind: events.GrantRevoked, Actor: events.ActorSystem, Data: map[string]any{"grant": id, "why": why},
		})
	})
}

// Revoked reports whether a token that was issued at the given moment is revoked
// by any of its ids (kind to id, see storage.RevokedJTI and its siblings). One query.
func (s *Service) Revoked(ctx context.Context, ids map[string]string, issued time.Time) (bool, error) {
	rows, err := s.store.Revocations(ctx, ids)
	if err != nil {
		return false, fmt.Errorf("read revocations: %w", err)
	}
	return slices.ContainsFunc(rows, func(r storage.Revocation) bool { return !issued.After(r.NotBefore.Time) }), nil
}

// Covers reports whether what was agreed to includes all of scopes and resources.
func Covers(c *storage.Consent, scopes, resources []string) bool {
	if c == nil || c.CreatedAt.IsZero() {
		return false
	}
	return within(scopes, c.Scopes) && within(resources, c.Resources)
}

func within(part, whole []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(whole, s) })
}

// Agree adds scopes and resources to what a person agreed to for a client, and
// records it; together with the unit in ctx, if there is one.
func (s *Service) Agree(ctx context.Context, person storage.ID, client string, scopes, resources []string) error {
	now := storage.At(s.now())
	consent, err := s.store.ConsentOf(ctx, person, client)
	if errors.Is(err, storage.ErrNotFound) {
		consent, err = &storage.Consent{PersonID: person, ClientID: client, CreatedAt: now}, nil
	}
	if err != nil {
		return fmt.Errorf("read consent: %w", err)
	}
	consent.Scopes, consent.Resources = union(consent.Scopes, scopes), union(consent.Resources, resources)
	consent.UpdatedAt = now
	return s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.SetConsent(ctx, consent); err != nil {
			return fmt.Errorf("write consent: %w", err)
		}
		return s.events.Record(ctx, events.Event{
			Kind: events.ConsentGiven, Actor: events.ActorPerson, Person: person, Client: client,
			Data: map[string]any{"scopes": scopes, "resources": resources},
		})
	})
}

func union(a, b []string) storage.Strings {
	out := append(storage.Strings{}, a...)
	for _, s := range b {
		if !out.Has(s) {
			out = append(out, s)
		}
	}
	return out
}
