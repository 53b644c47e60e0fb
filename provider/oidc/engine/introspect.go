package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/storage"
)

// Introspection is RFC 7662 section 2.2: what the token itself says, or nothing
// but that it is not active. There is no username: an API learns no more of a
// person than its tokens tell.
type Introspection struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type,omitempty"` // "Bearer"; none for a refresh token, which opens no API
	*AccessClaims
}

// notActive is the whole answer about a token that is over, that was never ours,
// or that is none of the caller's business: which of these, nobody is told.
var notActive = &Introspection{}

// Introspect says what a token is worth now to a client that has proved who it
// is. A client sees the tokens that were issued to itself, and those access
// tokens whose audience is a resource that it introspects for. It is one
// statement at most. Its errors are faults of the store: not known is not "no".
func (e *Engine) Introspect(ctx context.Context, caller *storage.Client, token string) (*Introspection, error) {
	out, err := e.introspect(ctx, caller, token)
	if errors.Is(err, ErrNoToken) || errors.Is(err, grants.ErrDead) {
		return notActive, nil
	}
	return out, err
}

func (e *Engine) introspect(ctx context.Context, caller *storage.Client, token string) (*Introspection, error) {
	if refresh, err := e.grants.Decode(token); err == nil {
		return e.introspectRefresh(ctx, caller, refresh)
	}
	if hash, ok := grants.OpaqueHash(token); ok {
		return e.introspectOpaque(ctx, caller, hash)
	}
	a, err := e.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if may, err := e.maySee(ctx, caller, a); !may || err != nil {
		return notActive, err
	}
	if _, err := e.grants.Living(ctx, a.ids, time.Unix(a.IssuedAt, 0)); err != nil {
		return nil, err
	}
	return active(a), nil
}

func (e *Engine) introspectOpaque(ctx context.Context, caller *storage.Client, hash []byte) (*Introspection, error) {
	a, _, err := e.opaque(ctx, hash)
	if err != nil {
		return nil, err
	}
	if may, err := e.maySee(ctx, caller, a); !may || err != nil {
		return notActive, err
	}
	return active(a), nil
}

func active(a *Access) *Introspection {
	return &Introspection{Active: true, TokenType: "Bearer", AccessClaims: &a.AccessClaims}
}

// maySee reports whether an access token is the caller's business (RFC 7662
// sections 2.2 and 4).
func (e *Engine) maySee(ctx context.Context, caller *storage.Client, a *Access) (bool, error) {
	if a.ClientID == caller.ID {
		return true, nil
	}
	r, err := e.clients.Resource(ctx, a.Audience)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("resource: %w", err)
	}
	return r.Introspects.Has(caller.ID), nil
}

// introspectRefresh tells a client of its own refresh token. An old generation is
// not active; asking about one revokes nothing.
func (e *Engine) introspectRefresh(ctx context.Context, caller *storage.Client, refresh grants.Refresh) (*Introspection, error) {
	state, err := e.store.GrantByID(ctx, refresh.Grant)
	if errors.Is(err, storage.ErrNotFound) {
		return notActive, nil
	}
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	g, now := &state.Grant, e.now()
	expires := g.IdleExpiresAt
	if g.ExpiresAt.Before(expires.Time) {
		expires = g.ExpiresAt
	}
	newest := refresh.Generation == g.RefreshGen || refresh.Generation == g.RefreshGen-1 && e.graced(g, now)
	if g.ClientID != caller.ID || !refresh.Matches(g.RefreshHash) || !newest || !state.Alive(now) || !expires.After(now) {
		return notActive, nil
	}
	c := &call{client: caller, grant: state}
	out := &Introspection{Active: true, AccessClaims: e.claimsOf(c, e.cfg.Issuer, c.scopes())}
	out.IssuedAt, out.Expiry = g.RotatedAt.Unix(), expires.Unix()
	return out, nil
}

// graced reports whether the generation before the newest still yields it again.
func (e *Engine) graced(g *storage.Grant, now time.Time) bool {
	return now.Sub(g.RotatedAt.Time) <= e.cfg.Grace
}
