package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// VerifyRecord is Verify for what is kept as evidence, such as a signed head of the
// events: every key that ever signed is accepted, those that are forgotten and those
// that were revoked too, and one that another replica made just now. by is the key: what
// a revoked one signed may be somebody else's, and it is for the caller to say so.
func (s *Service) VerifyRecord(ctx context.Context, compact, typ string, algs ...string) (payload []byte, by Key, err error) {
	payload, kid, err := s.verify(ctx, compact, typ, algs, ever)
	if errors.Is(err, ErrToken) {
		if _, err := s.load(ctx); err != nil {
			return nil, Key{}, err
		}
		payload, kid, err = s.verify(ctx, compact, typ, algs, ever)
	}
	if err != nil {
		return nil, Key{}, err
	}
	set, err := s.current(ctx)
	if err != nil {
		return nil, Key{}, err
	}
	if k := set.find(kid); k != nil {
		by = k.describe(s.now())
	}
	return payload, by, nil
}

// ever accepts every key that there was.
func ever(*stored, time.Time) bool { return true }

// RecordKey is the public half of a key that may have signed records, and all that it
// takes to verify them elsewhere.
type RecordKey struct {
	KID     string
	JWK     []byte // RFC 7517 section 4; must not be changed
	Revoked bool   // what it signed may be somebody else's
}

// RecordKeys returns the public half of every key that ever signed, oldest first: also
// of those that have left the published set, were forgotten or revoked, and of one that
// another replica made just now: who does not know it takes what it signed for a forgery.
func (s *Service) RecordKeys(ctx context.Context) ([]RecordKey, error) {
	set, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]RecordKey, 0, len(set.keys))
	for i := range set.keys {
		k := &set.keys[i]
		all = append(all, RecordKey{k.kid, k.jwk, k.revoked})
	}
	return all, nil
}

// Records verifies records by keys that somebody named, without a database.
type Records struct{ set keyset }

// NewRecords returns what verifies by these keys, which are read as those of others are:
// its errors say what is wrong with one.
func NewRecords(all []RecordKey) (*Records, error) {
	r := &Records{}
	for i := range all {
		parsed, err := ParseForeignKey(all[i].JWK)
		if err != nil {
			return nil, fmt.Errorf("keys: the key %q: %w", all[i].KID, err)
		}
		k := &key{kid: all[i].KID, alg: RS256, public: parsed.public}
		switch parsed.public.(type) {
		case *ecdsa.PublicKey:
			k.alg = ES256
		case ed25519.PublicKey:
			k.alg = EdDSA
		}
		r.set.keys = append(r.set.keys, stored{key: k, revoked: all[i].Revoked})
	}
	return r, nil
}

// VerifyRecord is [Service.VerifyRecord]. Of the key it knows KID, Alg, and as its State
// whether it was revoked.
func (r *Records) VerifyRecord(_ context.Context, compact, typ string, algs ...string) (payload []byte, by Key, err error) {
	head, err := headOf(compact)
	if err != nil {
		return nil, Key{}, err
	}
	k, alg, err := r.set.match(head, typ, algs, time.Time{}, ever)
	if err != nil {
		return nil, Key{}, err
	}
	if payload, err = k.open(compact, alg); err != nil {
		return nil, Key{}, err
	}
	by = Key{KID: k.kid, Alg: k.alg}
	if known := r.set.find(k.kid); known != nil && known.revoked {
		by.State = StateRevoked
	}
	return payload, by, nil
}
