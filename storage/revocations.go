package storage

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Kinds of what a revocation names. [Store.TokenState] asks for jti, grant, client
// and key. A token of a person always names its grant, and the grant's row says
// whether person and session live: the kinds session and person are for those who
// follow revocations without our rows.
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
	return s.do(ctx, s.insert(ctx, r, onRevokedBefore))
}

const onRevokedBefore = " ON CONFLICT (kind, id) DO UPDATE SET not_before = excluded.not_before, expires_at = excluded.expires_at"

// Revocations returns those of a token's ids (kind to id) that are revoked; all
// in one query.
func (s *Store) Revocations(ctx context.Context, ids map[string]string) ([]Revocation, error) {
	var (
		conditions []string
		args       []any
	)
	for _, kind := range slices.Sorted(maps.Keys(ids)) { // sorted: one statement to prepare, not one for each order
		if id := ids[kind]; id != "" {
			conditions = append(conditions, "kind = ? AND id = ?")
			args = append(args, kind, id)
		}
	}
	if len(conditions) == 0 {
		return nil, nil // no condition would be every row
	}
	var rs []Revocation
	err := s.db(ctx).Where(strings.Join(conditions, " OR "), args...).Find(&rs).Error
	return rs, translate(err)
}
