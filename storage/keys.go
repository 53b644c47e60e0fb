package storage

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// Key is a signing key. It is published from CreatedAt, signs from ActiveAt to
// RetiredAt, leaves the published set at ExpiresAt, and its public half stays.
type Key struct {
	KID       string `gorm:"column:kid;primaryKey"`
	Alg       string
	Public    JSON[Raw] // the public JWK
	Sealed    []byte    // the private key, PKCS #8, sealed
	CreatedAt Time      `gorm:"autoCreateTime:false"`
	ActiveAt  Time
	RetiredAt Time
	ExpiresAt Time
}

// Secret is a sealed value of the provider's own, such as the root of its MACs.
type Secret struct {
	Name      string `gorm:"primaryKey"`
	Sealed    []byte
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// Keys returns every signing key, oldest first.
func (s *Store) Keys(ctx context.Context) ([]Key, error) {
	var keys []Key
	err := s.db(ctx).Order("created_at, kid").Find(&keys).Error
	return keys, translate(err)
}

// CreateKey adds a signing key.
func (s *Store) CreateKey(ctx context.Context, k *Key) error {
	return s.do(ctx, s.insert(ctx, k, ""))
}

// replanTime is far more than anybody takes from reading keys to changing them.
const replanTime = 24 * time.Hour

// ReplanKeys changes the keys of one algorithm: it adds fresh, unless that is nil,
// and gives each of changed its new times. was is every key of the algorithm, by
// which the change was thought out; of any number of changes that were thought out
// by the same keys, whichever of them they touch, one is carried out, and all others
// are ErrStale. Each may be right alone, and two of them leave no key that signs.
func (s *Store) ReplanKeys(ctx context.Context, was []Key, at Time, fresh *Key, changed ...Key) error {
	// No key goes away and none comes back to what it was, so that no state comes twice.
	state := sha256.New()
	fmt.Fprint(state, "keys")
	for _, k := range was {
		fmt.Fprintf(state, "\x00%s %d %d %d", k.KID, k.ActiveAt.UnixMicro(), k.RetiredAt.UnixMicro(), k.ExpiresAt.UnixMicro())
	}
	once := s.insert(ctx, &SpentID{Hash: state.Sum(nil), ExpiresAt: At(at.Add(replanTime))}, "ON CONFLICT (hash) DO NOTHING")
	once.guard = ErrStale
	writes := []write{once}
	if fresh != nil {
		writes = append(writes, s.insert(ctx, fresh, ""))
	}
	for _, k := range changed {
		writes = append(writes, write{
			text: "UPDATE keys SET active_at = ?, retired_at = ?, expires_at = ? WHERE kid = ?",
			args: []any{k.ActiveAt, k.RetiredAt, k.ExpiresAt, k.KID},
		})
	}
	return s.doAll(ctx, writes...)
}

// RevokedKeys returns the ids of the signing keys that were revoked.
func (s *Store) RevokedKeys(ctx context.Context) ([]string, error) {
	var kids []string
	err := s.db(ctx).Model(&Revocation{}).Where("kind = ?", RevokedKey).Pluck("id", &kids).Error
	return kids, translate(err)
}

// SecretNamed returns the secret of that name, or ErrNotFound.
func (s *Store) SecretNamed(ctx context.Context, name string) (*Secret, error) {
	var secret Secret
	if err := take(s.db(ctx).Where("name = ?", name), &secret); err != nil {
		return nil, err
	}
	return &secret, nil
}

// CreateSecret adds a secret unless one of that name exists: of several
// replicas that start at once the first wins, and all read its value.
func (s *Store) CreateSecret(ctx context.Context, secret *Secret) error {
	return s.do(ctx, s.insert(ctx, secret, "ON CONFLICT (name) DO NOTHING"))
}
