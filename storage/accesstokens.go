package storage

import "context"

// AccessToken is an opaque access token, one row each: JWTs have none.
type AccessToken struct {
	ClientID  string    // first: gorm would take the bytes of a hash after "(" for a list
	Hash      []byte    `gorm:"primaryKey"` // SHA-256 of its text
	GrantID   ID        // "" for client credentials
	Claims    JSON[Raw] // what a JWT would say
	CreatedAt Time      `gorm:"autoCreateTime:false"`
	ExpiresAt Time
}

// AccessTokenState is an opaque access token together with what its life hangs on.
type AccessTokenState struct {
	AccessToken
	TokenState
}

// An opaque token is revoked by the end of its row, so that its own id is not asked for.
const (
	revokedRow = "(r.kind = 'grant' AND r.id = CAST(t.grant_id AS text)) OR (r.kind = 'client' AND r.id = t.client_id)"
	fromRow    = ", t.hash, t.grant_id, t.client_id, t.claims, t.created_at, t.expires_at" +
		" FROM access_tokens t LEFT JOIN clients c ON c.id = t.client_id LEFT JOIN grants g ON g.id = t.grant_id" + lifeJoins + "WHERE t.hash = $1"

	queryAccessToken = lifeStart + revokedRow + lifeState + fromRow
)

// CreateAccessToken adds an opaque access token.
func (s *Store) CreateAccessToken(ctx context.Context, t *AccessToken) error {
	return s.do(ctx, s.insert(ctx, t, ""))
}

// AccessToken returns an opaque access token, lapsed or not, with what its life
// hangs on, in one statement; ErrNotFound: there is none.
func (s *Store) AccessToken(ctx context.Context, hash []byte) (*AccessTokenState, error) {
	var t AccessTokenState
	a := &t.AccessToken
	err := s.readRow(ctx, queryAccessToken, []any{hash}, append(t.dest(), &a.Hash, &a.GrantID, &a.ClientID, &a.Claims, &a.CreatedAt, &a.ExpiresAt))
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// DeleteAccessToken removes an opaque access token; ErrNotFound: there is none.
func (s *Store) DeleteAccessToken(ctx context.Context, hash []byte) error {
	return s.do(ctx, write{text: "DELETE FROM access_tokens WHERE hash = ?", args: []any{hash}, guard: ErrNotFound})
}
