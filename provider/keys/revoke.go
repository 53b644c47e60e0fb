package keys

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Revoked is a key that was revoked, and who signs in its place.
type Revoked struct {
	Key            // its state is that before it was revoked
	Successor Key  // the key of its algorithm that signs from now on; zero: it did not sign, nor was it to
	Made      bool // the successor is new: whoever has cached the published set does not know it
}

// Revoke appends to the unit in ctx what ends a key everywhere, within the 5 s
// in which every server reads the keys: it leaves the published set and verifies
// nothing any more, no hints either. Who checks a token in the database refuses
// its tokens at once, since a revocation of kind key says so.
//
// If it was the one that signs, its next key signs in its place from now on, or,
// if there is none, a new one, which clients that have cached the published set
// do not know for up to MaxAge. If it was the next one, its predecessor signs on.
//
// The caller records the event and flushes; storage.ErrStale from Flush means
// that the key was rotated meanwhile: try again. storage.ErrNotFound: there is no
// such key. Of one that is revoked already nothing is done.
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
	if err := s.store.EndKey(ctx, kid, storage.At(k.retired), storage.At(now)); err != nil {
		return out, fmt.Errorf("keys: end %s: %w", kid, err)
	}
	// Whoever has the key can date a token as they like, so that all of its tokens
	// count as made before the revocation. It lasts for as long as a retired key
	// would verify anything.
	forgotten := storage.At(now.Add(hintLife))
	if err := s.store.Revoke(ctx, &storage.Revocation{Kind: storage.RevokedKey, ID: kid, NotBefore: forgotten, ExpiresAt: forgotten}); err != nil {
		return out, fmt.Errorf("keys: revoke %s: %w", kid, err)
	}
	before, after := set.neighbours(k, now)
	switch {
	case out.State == StateNext && before != nil:
		out.Successor = before.describe(now)
		out.Successor.RetiredAt, out.Successor.ExpiresAt = k.retired, k.expires
		err = s.store.ReplanKey(ctx, before.kid, storage.At(k.active), storage.At(k.retired), storage.At(k.expires))
	case out.State == StateSigning && after != nil:
		out.Successor = after.describe(now)
		out.Successor.State, out.Successor.ActiveAt = StateSigning, now
		err = s.store.ActivateKey(ctx, after.kid, storage.At(now))
	case out.State == StateSigning || out.State == StateNext:
		out.Made = true
		out.Successor, err = s.replace(ctx, k.alg, now)
	}
	return out, err
}

// replace adds a key of alg that signs from now on.
func (s *Service) replace(ctx context.Context, alg string, now time.Time) (Key, error) {
	fresh, err := s.newKey(alg, base64.RawURLEncoding.EncodeToString(random(kidSize)))
	if err != nil {
		return Key{}, err
	}
	fresh.CreatedAt, fresh.ActiveAt = storage.At(now), storage.At(now)
	if err := s.store.CreateKey(ctx, fresh); err != nil {
		return Key{}, fmt.Errorf("keys: write: %w", err)
	}
	return Key{KID: fresh.KID, Alg: alg, State: StateSigning, CreatedAt: now, ActiveAt: now}, nil
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
