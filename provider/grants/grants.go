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
//
// Notes
//
//   - 2026-11-26: a grant is told from an earlier withdrawal of its pair by a count,
//     which it has from the same read as the consent. Times would not do: two clocks
//     need not agree to the microsecond.
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

// Asked is what a client wants and a person agrees to. A claim that one of the
// scopes stands for needs no name of its own (OIDC Core section 5.4).
type Asked struct {
	Scopes    []string `json:"scopes"`
	Resources []string `json:"resources"`
	Claims    []string `json:"claims,omitempty"` // names (OIDC Core section 5.5)
}

// Beyond returns the claims that none of the scopes stands for.
func Beyond(claims, scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(claims), func(c string) bool { return slices.Contains(scopes, clients.ScopeOf(c)) })
}

// Covers reports whether a consent, nil or zero for none, stands and has all that
// is asked: if so, nobody needs to be asked again.
func Covers(c *storage.Consent, a Asked) bool {
	return c.Stands() && hasAll(c.Scopes, a.Scopes) && hasAll(c.Resources, a.Resources) &&
		hasAll(c.Claims, Beyond(Beyond(a.Claims, a.Scopes), c.Scopes))
}

func hasAll(have storage.Strings, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !have.Has(w) })
}

// Give writes, in the unit in ctx and with its event, that a person agreed to
// what a client asked, beside what they had agreed to before: had, nil or zero
// for nothing. If access was withdrawn since had was read, what they said is told
// and counts for nothing: they are asked again.
func (s *Service) Give(ctx context.Context, person storage.ID, client string, had *storage.Consent, a Asked) error {
	if had == nil {
		had = &storage.Consent{}
	}
	now := storage.At(s.now())
	consent := storage.Consent{
		PersonID: person, ClientID: client, Scopes: union(had.Scopes, a.Scopes), Resources: union(had.Resources, a.Resources),
		Claims: union(had.Claims, Beyond(a.Claims, a.Scopes)), Withdrawals: had.Withdrawals, CreatedAt: now, UpdatedAt: now,
	}
	if err := s.store.SetConsent(ctx, &consent); err != nil {
		return fmt.Errorf("consent for %s: %w", client, err)
	}
	return s.events.Record(ctx, events.Event{
		Kind: events.ConsentGiven, Actor: events.ActorPerson, Person: person, Client: client,
		Data: Asked{union(nil, a.Scopes), union(nil, a.Resources), union(nil, Beyond(a.Claims, a.Scopes))},
	})
}

// union returns what is in a or b, sorted, each once.
func union(a, b []string) storage.Strings {
	out := storage.Strings(slices.Sorted(slices.Values(slices.Concat(a, b))))
	return slices.Compact(out)
}

// Revoke ends a grant and every token that came of it, in the unit in ctx and
// with its event; by and why are for the audit. A grant may be revoked again.
func (s *Service) Revoke(ctx context.Context, g *storage.Grant, by events.Actor, why string) error {
	now := s.now()
	if err := s.store.RevokeGrant(ctx, g.ID, why, storage.At(now), storage.At(now.Add(clients.MaxLifetime))); err != nil {
		return fmt.Errorf("revoke grant %s: %w", g.ID, err)
	}
	return s.events.Record(ctx, events.Event{
		Kind: events.GrantRevoked, Actor: by, Person: g.PersonID, Client: g.ClientID,
		Data: map[string]any{"grant": g.ID, "why": why},
	})
}

// leeway is how far the clocks of two servers may be apart, with room to spare.
const leeway = time.Minute

// RevokeToken ends one access token that its client, or who else it is, wants no
// more, in the unit in ctx and with its event: person is whose grant it came of, ""
// for nobody's, and expires when it would have ended, until when this is remembered.
func (s *Service) RevokeToken(ctx context.Context, ids storage.TokenIDs, person storage.ID, expires time.Time, by events.Actor, why string) error {
	until := storage.At(expires.Add(leeway))
	// An id has one token: whatever its time, by whoever's clock, it is dead.
	if err := s.store.Revoke(ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: ids.JTI, NotBefore: until, ExpiresAt: until}); err != nil {
		return fmt.Errorf("revoke token %s: %w", ids.JTI, err)
	}
	return s.recordRevoked(ctx, ids, person, by, why)
}

// RevokeOpaque is RevokeToken for an opaque access token, whose row goes;
// storage.ErrNotFound, when the unit is flushed: it went before.
func (s *Service) RevokeOpaque(ctx context.Context, hash []byte, ids storage.TokenIDs, person storage.ID, why string) error {
	if err := s.store.DeleteAccessToken(ctx, hash); err != nil {
		return fmt.Errorf("revoke token %s: %w", ids.JTI, err)
	}
	return s.recordRevoked(ctx, ids, person, events.ActorClient, why)
}

func (s *Service) recordRevoked(ctx context.Context, ids storage.TokenIDs, person storage.ID, by events.Actor, why string) error {
	data := map[string]any{"jti": ids.JTI, "why": why}
	if ids.GrantID != "" {
		data["grant"] = ids.GrantID
	}
	return s.events.Record(ctx, events.Event{
		Kind: events.TokenRevoked, Actor: by, Person: person, Client: ids.ClientID, Data: data,
	})
}
