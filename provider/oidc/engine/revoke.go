package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// why is what the events say of a revocation that the client asked for.
const whyRevoked = "revoked by its client"

// Revoke ends a token at the wish of the client that it was issued to (RFC 7009
// section 2.1): an access token alone, or a refresh token, of whichever
// generation, with its grant and all that came of it. What was never ours or is
// over already is no error (section 2.2). Another client's token is refused with
// an *Error and stays alive. Any other error is a fault of the store: the token
// may still be good.
func (e *Engine) Revoke(ctx context.Context, caller *storage.Client, token string) error {
	if refresh, err := e.grants.Decode(token); err == nil {
		return e.revokeGrant(ctx, caller, refresh)
	}
	if hash, ok := grants.OpaqueHash(token); ok {
		return e.revokeOpaque(ctx, caller, hash)
	}
	a, err := e.Verify(ctx, token)
	if errors.Is(err, ErrNoToken) {
		return e.refuseIDToken(ctx, token)
	}
	if err != nil {
		return err
	}
	return e.revokeAccess(ctx, caller, a)
}

// anothers is RFC 7009 section 2.1's refusal, by the one code of RFC 6749 section
// 5.2 that speaks of a token that "was issued to another client".
func anothers() *Error {
	return Refuse("invalid_grant", "The token was issued to another client, which alone may revoke it.")
}

func (e *Engine) revokeGrant(ctx context.Context, caller *storage.Client, refresh grants.Refresh) error {
	state, err := e.store.GrantByID(ctx, refresh.Grant)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("grant: %w", err)
	case state.Grant.ClientID != caller.ID:
		return anothers()
	case !refresh.Matches(state.Grant.RefreshHash), !state.Grant.RevokedAt.IsZero():
		return nil
	}
	return e.store.Together(ctx, func(ctx context.Context) error {
		return e.grants.Revoke(ctx, &state.Grant, events.ActorClient, whyRevoked)
	})
}

func (e *Engine) revokeAccess(ctx context.Context, caller *storage.Client, a *Access) error {
	if a.ClientID != caller.ID {
		return anothers()
	}
	state, err := e.grants.Living(ctx, a.ids, time.Unix(a.IssuedAt, 0))
	if errors.Is(err, grants.ErrDead) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.store.Together(ctx, func(ctx context.Context) error {
		return e.grants.RevokeToken(ctx, a.ids, state.Grant.PersonID, time.Unix(a.Expiry, 0), events.ActorClient, whyRevoked)
	})
}

func (e *Engine) revokeOpaque(ctx context.Context, caller *storage.Client, hash []byte) error {
	a, person, err := e.opaque(ctx, hash)
	switch {
	case errors.Is(err, grants.ErrDead), errors.Is(err, ErrNoToken):
		return nil
	case err != nil:
		return err
	case a.ClientID != caller.ID:
		return anothers()
	}
	err = e.store.Together(ctx, func(ctx context.Context) error {
		return e.grants.RevokeOpaque(ctx, hash, a.ids, person, whyRevoked)
	})
	if errors.Is(err, storage.ErrNotFound) { // revoked meanwhile, by another request
		return nil
	}
	return err
}

// refuseIDToken returns unsupported_token_type (RFC 7009 section 2.2.1) for an ID
// token of ours, which cannot be revoked: its client would think it dead. Any other
// text is no token at all.
func (e *Engine) refuseIDToken(ctx context.Context, token string) error {
	_, _, err := e.keys.Verify(ctx, token, "", e.algs...)
	switch {
	case errors.Is(err, keys.ErrToken):
		return nil
	case err != nil:
		return err
	}
	return Refuse("unsupported_token_type", "An ID token cannot be revoked: revoke the refresh token, or end the session.")
}
