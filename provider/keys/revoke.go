package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Revoked is a key that was revoked, and who signs in its place.
type Revoked struct {
	Key           // its state is that before it was revoked
	Successor Key // the key of its algorithm that signs from now on; zero: it did not sign, nor was it to
	// Unknown is for how long from now on who has cached the published set may not
	// have the successor, which signs before its time; zero: everybody has it.
	Unknown time.Duration
}

// Revoke appends to the unit in ctx what ends a key everywhere, within the 5 s
// in which every server reads the keys: it leaves the published set and verifies
// nothing any more, no hints either. Who checks a token in the database refuses
// its tokens at once, since a revocation of kind key says so.
//
// If it was the one that signs, its next key signs in its place from now on, or,
// if there is none, a new one. Both do so before every cached copy of the published
// set has them: a next key was published less long ago than that takes, or it would
// sign by now. If it was the next one, its predecessor signs on.
//
// The caller records the event and flushes; storage.ErrStale from Flush means
// that a key of its algorithm was rotated or revoked meanwhile: try again.
// storage.ErrNotFound: there is no such key. Of one that is revoked already nothing
// is done. Who does not flush learns what would happen; a new key is another one
// each time.
func (s *Service) Revoke(ctx context.Context, kid string) (Revoked, error) {
	set, err := s.load(ctx)
	if err != nil {
		return Revoked{}, err
	}
	k := set.find(kid)
	if k == nil {
		return Revoked{}, fmt.Errorf("keys: %q: %w", kid, storage.ErrNotFound)
	}
	now := s.now()
	out := Revoked{Key: k.describe(now)}
	if k.revoked {
		return out, nil
	}
	// Whoever has the key can date a token as they like, so that all of its tokens
	// count as made before the revocation. It lasts for as long as a retired key
	// would verify anything.
	forgotten := storage.At(now.Add(hintLife))
	if err := s.store.Revoke(ctx, &storage.Revocation{Kind: storage.RevokedKey, ID: kid, NotBefore: forgotten, ExpiresAt: forgotten}); err != nil {
		return out, fmt.Errorf("keys: revoke %s: %w", kid, err)
	}
	fresh, changed, err := s.succeed(set, k, now, &out)
	if err != nil {
		return out, err
	}
	ended := k.row()
	ended.RetiredAt, ended.ExpiresAt = storage.At(now), storage.At(now)
	if err := s.store.ReplanKeys(ctx, set.rows(k.alg), storage.At(now), fresh, append(changed, ended)...); err != nil {
		return out, fmt.Errorf("keys: revoke %s: %w", kid, err)
	}
	return out, nil
}

// succeed writes into out who signs in the place of k, and returns what makes that
// one do so: a new key, or other times of one that is there.
func (s *Service) succeed(set *keyset, k *stored, now time.Time, out *Revoked) (fresh *storage.Key, changed []storage.Key, err error) {
	before, after := set.neighbours(k, now)
	switch {
	case out.State == StateNext && before != nil:
		goesOn := before.row()
		goesOn.RetiredAt, goesOn.ExpiresAt = storage.At(k.retired), storage.At(k.expires)
		out.Successor = before.describe(now)
		out.Successor.RetiredAt, out.Successor.ExpiresAt = k.retired, k.expires
		return nil, []storage.Key{goesOn}, nil
	case out.State == StateSigning && after != nil:
		begins := after.row()
		begins.ActiveAt = storage.At(now)
		out.Successor, out.Unknown = after.describe(now), after.active.Sub(now)
		out.Successor.State, out.Successor.ActiveAt = StateSigning, now
		return nil, []storage.Key{begins}, nil
	case out.State == StateSigning || out.State == StateNext:
		if fresh, err = s.newKey(k.alg, kidOf(random(kidSize))); err != nil {
			return nil, nil, err
		}
		fresh.CreatedAt, fresh.ActiveAt = storage.At(now), storage.At(now)
		out.Successor = Key{KID: fresh.KID, Alg: k.alg, State: StateSigning, CreatedAt: now, ActiveAt: now}
		out.Unknown = s.spread()
	}
	return fresh, nil, nil
}

// row returns what the database has of the key, its times and names alone.
func (k *stored) row() storage.Key {
	return storage.Key{
		KID: k.kid, Alg: k.alg, CreatedAt: storage.At(k.created),
		ActiveAt: storage.At(k.active), RetiredAt: storage.At(k.retired), ExpiresAt: storage.At(k.expires),
	}
}

// rows returns row of each key of alg.
func (set *keyset) rows(alg string) (rows []storage.Key) {
	for i := range set.keys {
		if k := &set.keys[i]; k.alg == alg {
			rows = append(rows, k.row())
		}
	}
	return rows
}

func (set *keyset) find(kid string) *stored {
	for i := range set.keys {
		if set.keys[i].kid == kid {
			return &set.keys[i]
		}
	}
	return nil
}

// neighbours returns the keys of k's algorithm that were to sign just before and
// just after it, nil for none; keys that were revoked do not count.
func (set *keyset) neighbours(k *stored, now time.Time) (before, after *stored) {
	for i := range set.keys {
		o := &set.keys[i]
		switch {
		case o.alg != k.alg || o.kid == k.kid || o.revoked:
		case o.state(now) == StateNext && o.active.After(k.active):
			if after == nil || o.active.Before(after.active) {
				after = o
			}
		case o.retired.Equal(k.active):
			before = o
		}
	}
	return before, after
}
