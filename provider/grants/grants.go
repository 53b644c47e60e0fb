// Package grants keeps what was authorized: what people agreed to, the refresh
// tokens that come of it, and their end.
//
// A grant is one row, from its code to its last refresh. A refresh token is no
// row: it names its grant, its generation and the grant's secret under a MAC, so
// that a forged one costs no statement, and one that was used is told from one
// that never was (RFC 9700 section 4.14.2).
//
// It must never decide by reading that something may be used once (storage's
// compare-and-set does), keep a refresh token's secret but as SHA-256, or answer
// "not revoked" when the store does not answer.
package grants

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Service keeps consents and grants. It is safe for concurrent use.
type Service struct {
	store      *storage.Store
	events     *events.Service
	refreshKey [32]byte
	now        func() time.Time
}

// New returns the service; refreshKey is the MAC key of refresh tokens.
func New(store *storage.Store, ev *events.Service, refreshKey [32]byte, now func() time.Time) *Service {
	return &Service{store: store, events: ev, refreshKey: refreshKey, now: now}
}

// Covers reports whether a consent, nil or zero for none, has all of these
// scopes and resources: if so, nobody needs to be asked again.
func Covers(c *storage.Consent, scopes, resources []string) bool {
	return c != nil && !c.CreatedAt.IsZero() && hasAll(c.Scopes, scopes) && hasAll(c.Resources, resources)
}

func hasAll(have storage.Strings, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !have.Has(w) })
}

// Give writes, in the unit in ctx and with its event, that a person agreed to
// these scopes and resources for a client, beside what they had agreed to
// before: had, nil or zero for nothing.
func (s *Service) Give(ctx context.Context, person storage.ID, client string, had *storage.Consent, scopes, resources []string) error {
	now := storage.At(s.now())
	consent := storage.Consent{
		PersonID: person, ClientID: client, Scopes: union(nil, scopes), Resources: union(nil, resources), CreatedAt: now, UpdatedAt: now,
	}
	if had != nil {
		consent.Scopes, consent.Resources = union(had.Scopes, scopes), union(had.Resources, resources)
	}
	if err := s.store.SetConsent(ctx, &consent); err != nil {
		return fmt.Errorf("consent for %s: %w", client, err)
	}
	return s.events.Record(ctx, events.Event{
		Kind: events.ConsentGiven, Actor: events.ActorPerson, Person: person, Client: client,
		Data: struct {
			Scopes    []string `json:"scopes"`
			Resources []string `json:"resources"`
		}{union(nil, scopes), union(nil, resources)},
	})
}

// union returns what is in a or b, sorted, each once.
func union(a, b []string) storage.Strings {
	out := storage.Strings(slices.Sorted(slices.Values(slices.Concat(a, b))))
	return slices.Compact(out)
}

// Revoke ends a grant and every token that came of it, in the unit in ctx and
// with its event; why is for the audit. A grant may be revoked again.
func (s *Service) Revoke(ctx context.Context, g *storage.Grant, why string) error {
	now := s.now()
	if err := s.store.RevokeGrant(ctx, g.ID, why, storage.At(now), storage.At(now.Add(clients.MaxLifetime))); err != nil {
		return fmt.Errorf("revoke grant %s: %w", g.ID, err)
	}
	return s.events.Record(ctx, events.Event{
		Kind: events.GrantRevoked, Actor: events.ActorSystem, Person: g.PersonID, Client: g.ClientID,
		Data: map[string]any{"grant": g.ID, "why": why},
	})
}

// Revoked reports whether a token is dead: issued at or before the moment from
// which one of its ids (kind to id, as storage.Revocation names them) is revoked.
// It is one statement. A token's iat has whole seconds, so one that was made in
// the second of a revocation counts as made before it.
func (s *Service) Revoked(ctx context.Context, ids map[string]string, issuedAt time.Time) (bool, error) {
	rows, err := s.store.Revocations(ctx, ids)
	if err != nil {
		return false, fmt.Errorf("revocations: %w", err)
	}
	return slices.ContainsFunc(rows, func(r storage.Revocation) bool { return !issuedAt.After(r.NotBefore.Time) }), nil
}
