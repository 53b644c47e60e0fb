package storage

import "context"

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

// RetireKey sets when a key stops signing and when it leaves the published set.
// ErrStale: it was retired already.
func (s *Store) RetireKey(ctx context.Context, kid string, retired, expires Time) error {
	return s.do(ctx, write{
		text:  "UPDATE keys SET retired_at = ?, expires_at = ? WHERE kid = ? AND retired_at IS NULL",
		args:  []any{retired, expires, kid},
		guard: ErrStale,
	})
}

// EndKey ends a key: it signs no more and leaves the published set. retired is its
// retirement as the caller read it; ErrStale: somebody else changed that meanwhile.
func (s *Store) EndKey(ctx context.Context, kid string, retired, at Time) error {
	return s.do(ctx, write{
		text:  "UPDATE keys SET retired_at = ?, expires_at = ? WHERE kid = ? AND retired_at IS NOT DISTINCT FROM ?",
		args:  []any{at, at, kid, retired},
		guard: ErrStale,
	})
}

// ActivateKey sets when a key begins to sign.
func (s *Store) ActivateKey(ctx context.Context, kid string, active Time) error {
	return s.do(ctx, write{text: "UPDATE keys SET active_at = ? WHERE kid = ?", args: []any{active, kid}})
}

// ReplanKey moves the end of a key that was to retire at planned; zero times mean
// that it goes on until it is rotated again.
func (s *Store) ReplanKey(ctx context.Context, kid string, planned, retired, expires Time) error {
	return s.do(ctx, write{
		text: "UPDATE keys SET retired_at = ?, expires_at = ? WHERE kid = ? AND retired_at = ?",
		args: []any{retired, expires, kid, planned},
	})
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
