package keys

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// State is where a key stands in its life.
type State string

// The states of a key, in order.
const (
	StateNext      State = "next"      // published, does not sign yet
	StateSigning   State = "signing"   // signs
	StateRetired   State = "retired"   // published while its last tokens live
	StateHint      State = "hint"      // verifies ID tokens given back as hints, no more
	StateForgotten State = "forgotten" // verifies nothing
	StateRevoked   State = "revoked"   // verifies nothing, before its time
)

// Key is what may be told about a signing key. Zero times are not set.
type Key struct {
	KID       string
	Alg       string
	State     State
	CreatedAt time.Time // published from here
	ActiveAt  time.Time // signs from here
	RetiredAt time.Time // to here
	ExpiresAt time.Time // leaves the published set here
	RotatesAt time.Time // its successor is due here
}

// List returns every key, oldest first.
func (s *Service) List(ctx context.Context) ([]Key, error) {
	set, err := s.complete(ctx)
	if err != nil {
		return nil, err
	}
	return s.list(set), nil
}

func (s *Service) list(set *keyset) []Key {
	out := make([]Key, len(set.keys))
	for i := range set.keys {
		k := &set.keys[i]
		out[i] = k.describe(s.now())
		if s.cfg.RotateEvery > 0 && k.retired.IsZero() && !k.revoked {
			out[i].RotatesAt = k.active.Add(s.cfg.RotateEvery)
		}
	}
	return out
}

func (k *stored) describe(now time.Time) Key {
	return Key{
		KID: k.kid, Alg: k.alg, State: k.state(now),
		CreatedAt: k.created, ActiveAt: k.active, RetiredAt: k.retired, ExpiresAt: k.expires,
	}
}

func (k *stored) state(now time.Time) State {
	switch {
	case k.revoked:
		return StateRevoked
	case k.active.After(now):
		return StateNext
	case k.signs(now):
		return StateSigning
	case k.published(now):
		return StateRetired
	case k.knowsHints(now):
		return StateHint
	}
	return StateForgotten
}

// JWKS returns the JWK Set of RFC 7517 section 5 with its entity tag, quotes
// included (RFC 9110 section 8.8.3). The body must not be changed. It has a key of
// each configured algorithm: a copy without one would be kept for MaxAge.
func (s *Service) JWKS(ctx context.Context) (body []byte, etag string, err error) {
	set, err := s.complete(ctx)
	if err != nil {
		return nil, "", err
	}
	return set.jwks, set.etag, nil
}

// MaxAge returns how long others may cache the JWK Set.
func (s *Service) MaxAge() time.Duration { return s.cfg.JWKSMaxAge }

// spread returns how long after a key was made everybody has it: the servers, and
// then those who cached the JWK Set.
func (s *Service) spread() time.Duration { return s.cfg.JWKSMaxAge + noticed }

// Rotate appends to the unit in ctx the successor of the key of alg, and returns
// it. It is published at once and signs when every cached copy of the JWK Set
// has lapsed, by this process's JWKSMaxAge: the servers' must be the same, or
// clients of a server that allows more meet a key that they do not know yet. The
// old key retires then, and leaves the set after Keep. The
// caller records the event and flushes; storage.ErrStale from Flush means that
// somebody else rotated or revoked a key of alg meanwhile.
func (s *Service) Rotate(ctx context.Context, alg string) (Key, error) {
	return s.rotate(ctx, alg, func(*storage.Key, time.Time) bool { return true })
}

// RotateDue is Rotate if the key of alg is due for it by Config.RotateEvery; else
// it does nothing and returns the zero Key. Of several replicas that call it at
// once one rotates: to the others the key is not due, or Flush says
// storage.ErrStale.
func (s *Service) RotateDue(ctx context.Context, alg string) (Key, error) {
	return s.rotate(ctx, alg, func(old *storage.Key, now time.Time) bool {
		return old == nil || s.due(old.ActiveAt.Time, now)
	})
}

// due reports whether a key that signs since then is to have a successor.
func (s *Service) due(since, now time.Time) bool {
	return s.cfg.RotateEvery > 0 && !now.Before(since.Add(s.cfg.RotateEvery))
}

// Due returns the algorithms for which RotateDue seems worth a call, by the keys
// in memory.
func (s *Service) Due(ctx context.Context) ([]string, error) {
	set, err := s.complete(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	var algs []string
	for _, alg := range s.kept() {
		i := slices.IndexFunc(set.keys, func(k stored) bool {
			return k.alg == alg && k.retired.IsZero() && !k.revoked && !s.due(k.active, now)
		})
		if i < 0 {
			algs = append(algs, alg)
		}
	}
	return algs, nil
}

// rotate is Rotate if the newest key of alg, nil if each is retired or revoked, is
// to be rotated.
func (s *Service) rotate(ctx context.Context, alg string, wanted func(old *storage.Key, now time.Time) bool) (Key, error) {
	kept := keyAlg(alg)
	if kept == "" {
		return Key{}, fmt.Errorf("keys: the algorithm %q is none of ES256, EdDSA, RS256 and PS256", alg)
	}
	if err := s.makeFirstKeys(storage.WithoutUnit(ctx), []string{kept}); err != nil { // it signs until its successor does
		return Key{}, err
	}
	rows, err := s.store.Keys(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("keys: read: %w", err)
	}
	// A revocation after this reading makes the rows stale, one before it is read here.
	revoked, err := s.store.RevokedKeys(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("keys: read: %w", err)
	}
	rows = slices.DeleteFunc(rows, func(k storage.Key) bool { return k.Alg != kept })
	old := unretired(rows, revoked)
	if !wanted(old, s.now()) {
		return Key{}, nil
	}
	fresh, err := s.newKey(kept, kidOf(random(kidSize)))
	if err != nil {
		return Key{}, err
	}
	now := s.now()
	fresh.CreatedAt, fresh.ActiveAt = storage.At(now), storage.At(now.Add(s.spread()))
	var changed []storage.Key
	if old != nil {
		retired := *old
		retired.RetiredAt, retired.ExpiresAt = fresh.ActiveAt, storage.At(fresh.ActiveAt.Add(s.cfg.Keep))
		changed = append(changed, retired)
	}
	if err := s.store.ReplanKeys(ctx, rows, fresh.CreatedAt, fresh, changed...); err != nil {
		return Key{}, fmt.Errorf("keys: rotate: %w", err)
	}
	return Key{KID: fresh.KID, Alg: kept, State: StateNext, CreatedAt: fresh.CreatedAt.Time, ActiveAt: fresh.ActiveAt.Time}, nil
}

// unretired returns the newest key that nobody has rotated or revoked yet, nil for
// none.
func unretired(rows []storage.Key, revoked []string) *storage.Key {
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].RetiredAt.IsZero() && !slices.Contains(revoked, rows[i].KID) {
			return &rows[i]
		}
	}
	return nil
}
