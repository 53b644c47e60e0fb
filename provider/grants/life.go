package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// ErrDead says that a token is over: revoked, or its grant, its client or its
// person is.
var ErrDead = errors.New("grants: the token is over")

// Living returns what the life of an access token that was made at issuedAt
// hangs on, or ErrDead. It is one statement, and asked each time: no cache knows
// of a revocation. Whether the token has expired is for the caller to see.
func (s *Service) Living(ctx context.Context, ids storage.TokenIDs, issuedAt time.Time) (*storage.TokenState, error) {
	state, err := s.store.TokenState(ctx, ids)
	return s.living(state, err, ids, issuedAt)
}

// LivingPerson is Living with what there is to tell of the person.
func (s *Service) LivingPerson(ctx context.Context, ids storage.TokenIDs, issuedAt time.Time) (*storage.TokenState, error) {
	state, err := s.store.TokenPerson(ctx, ids)
	return s.living(state, err, ids, issuedAt)
}

// LivingOpaque returns the row of the living opaque access token of this hash, or
// ErrDead. It is one statement. Whether it has expired is for the caller to see.
func (s *Service) LivingOpaque(ctx context.Context, hash []byte) (*storage.AccessTokenState, error) {
	row, err := s.store.AccessToken(ctx, hash)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrDead
	}
	if err != nil {
		return nil, fmt.Errorf("opaque token: %w", err)
	}
	_, err = s.living(&row.TokenState, nil, storage.TokenIDs{GrantID: row.GrantID, ClientID: row.ClientID}, row.CreatedAt.Time)
	return row, err
}

// A token's iat has whole seconds, so one that was made in the second of a
// revocation counts as made before it.
func (s *Service) living(state *storage.TokenState, err error, ids storage.TokenIDs, issuedAt time.Time) (*storage.TokenState, error) {
	switch {
	case err != nil:
		return nil, fmt.Errorf("life of a token: %w", err)
	case !state.RevokedBefore.IsZero() && !issuedAt.After(state.RevokedBefore.Time), !state.ClientEnabled:
		return nil, ErrDead
	case ids.GrantID != "" && (state.Grant.ID == "" || state.Grant.ClientID != ids.ClientID || !state.Alive(s.now())):
		return nil, ErrDead
	}
	return state, nil
}
