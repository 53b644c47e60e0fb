package storage

import "context"

// Kinds of what a revocation names.
const (
	RevokedJTI     = "jti"
	RevokedGrant   = "grant"
	RevokedSession = "session"
	RevokedClient  = "client"
	RevokedPerson  = "person"
	RevokedKey     = "key"
)

// Revocation says that tokens of this id, made at or before NotBefore, are dead.
// It lasts as long as the longest access token could.
type Revocation struct {
	Kind      string `gorm:"primaryKey"`
	ID        string `gorm:"primaryKey"`
	NotBefore Time
	ExpiresAt Time
}

// Revoke adds a revocation or moves an earlier one forward.
func (s *Store) Revoke(ctx context.Context, r *Revocation) error {
	return s.do(ctx, s.insert(ctx, r, "ON CONFLICT (kind, id) DO UPDATE SET not_before = excluded.not_before, expires_at = excluded.expires_at"))
}

// Revocations returns those of a token's ids (kind to id) that are revoked; all
// in one query.
func (s *Store) Revocations(ctx context.Context, ids map[string]string) ([]Revocation, error) {
	query := s.db(ctx)
	where := s.gorm
	for kind, id := range ids {
		if id != "" {
			where = where.Or("kind = ? AND id = ?", kind, id)
		}
	}
	var rs []Revocation
	err := query.Where(where).Find(&rs).Error
	return rs, translate(err)
}
