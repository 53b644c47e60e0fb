package engine

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/storage"
)

// rows is what fosite takes for its storage. It reads the grant's row once and
// notes in the call what has to be written; the engine writes it in one unit.
type rows struct{}

var (
	_ fosite.Storage                     = rows{}
	_ oauth2.CoreStorage                 = rows{}
	_ oauth2.TokenRevocationStorage      = rows{}
	_ openid.OpenIDConnectRequestStorage = rows{}
	_ pkce.PKCERequestStorage            = rows{}
)

// GetClient returns the client that the edge resolved.
func (rows) GetClient(ctx context.Context, _ string) (fosite.Client, error) {
	c := callIn(ctx)
	return newClient(c.client, c.form.Get("redirect_uri")), nil
}

// ClientAssertionJWTValid refuses: the edge has checked assertions and spent their ids.
func (rows) ClientAssertionJWTValid(context.Context, string) error { return fosite.ErrJTIKnown }

// SetClientAssertionJWT does nothing, see ClientAssertionJWTValid.
func (rows) SetClientAssertionJWT(context.Context, string, timeValue) error { return nil }

// CreateAuthorizeCodeSession notes the code's hash on the grant.
func (rows) CreateAuthorizeCodeSession(ctx context.Context, signature string, _ fosite.Requester) error {
	hash, err := hex.DecodeString(signature)
	if err != nil {
		return err
	}
	callIn(ctx).grant.Grant.CodeHash = hash
	return nil
}

// CreateOpenIDConnectSession does nothing: the request is on the grant already.
func (rows) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error { return nil }

// CreatePKCERequestSession does nothing: the challenge is on the grant already.
func (rows) CreatePKCERequestSession(context.Context, string, fosite.Requester) error { return nil }

// loadByCode reads the grant of a code, once a call. Another client's code is
// not found, so that its attempt changes nothing.
func loadByCode(ctx context.Context, signature string) (*call, error) {
	c := callIn(ctx)
	if c.grant != nil {
		return c, nil
	}
	hash, err := hex.DecodeString(signature)
	if err != nil {
		return nil, fosite.ErrNotFound
	}
	g, err := c.engine.store.GrantByCode(ctx, hash)
	if err != nil {
		return nil, asFosite(err)
	}
	if g.Grant.ClientID != c.client.ID {
		return nil, fosite.ErrNotFound
	}
	c.grant = g
	return c, nil
}

// GetAuthorizeCodeSession returns the request behind a code; with
// ErrInvalidatedAuthorizeCode if the code was used.
func (rows) GetAuthorizeCodeSession(ctx context.Context, signature string, _ fosite.Session) (fosite.Requester, error) {
	c, err := loadByCode(ctx, signature)
	switch {
	case err != nil:
		return nil, err
	case !c.grant.Grant.CodeUsedAt.IsZero() && c.grant.Grant.RevokedAt.IsZero():
		return c.requester(), fosite.ErrInvalidatedAuthorizeCode
	case !c.grant.Alive(c.now): // also a replay that was punished before
		return nil, fosite.ErrNotFound
	}
	return c.requester(), nil
}

// GetPKCERequestSession returns the challenge on the grant's row.
func (rows) GetPKCERequestSession(ctx context.Context, signature string, _ fosite.Session) (fosite.Requester, error) {
	c, err := loadByCode(ctx, signature)
	if err != nil {
		return nil, err
	}
	if c.grant.Grant.CodeChallenge == "" {
		return nil, fosite.ErrNotFound
	}
	return c.requester(), nil
}

// DeletePKCERequestSession deletes nothing: the challenge stays on the row, so
// that a second attempt cannot go without it.
func (rows) DeletePKCERequestSession(ctx context.Context, _ string) error {
	callIn(ctx).comparing = true
	return nil
}

// GetOpenIDConnectSession returns the request if it asked for an ID token.
func (rows) GetOpenIDConnectSession(ctx context.Context, _ string, _ fosite.Requester) (fosite.Requester, error) {
	c := callIn(ctx)
	if !c.scopes().Has(clients.ScopeOpenID) {
		return nil, openid.ErrNoSessionFound
	}
	return c.requester(), nil
}

// DeleteOpenIDConnectSession does nothing.
func (rows) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// InvalidateAuthorizeCodeSession does nothing: the engine spends the code in
// the unit, by compare-and-set.
func (rows) InvalidateAuthorizeCodeSession(context.Context, string) error { return nil }

// CreateAccessTokenSession does nothing: access tokens are not kept.
func (rows) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

// GetAccessTokenSession finds nothing, see CreateAccessTokenSession.
func (rows) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession does nothing, see CreateAccessTokenSession.
func (rows) DeleteAccessTokenSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession does nothing: a refresh token is a generation on
// the grant's row.
func (rows) CreateRefreshTokenSession(context.Context, string, string, fosite.Requester) error {
	return nil
}

// GetRefreshTokenSession returns the request behind the refresh token that the
// engine decoded; with ErrInactiveToken if it is older than its grace allows.
func (rows) GetRefreshTokenSession(ctx context.Context, _ string, _ fosite.Session) (fosite.Requester, error) {
	c := callIn(ctx)
	g, err := c.engine.store.GrantByID(ctx, c.refresh.Grant)
	if err != nil {
		return nil, asFosite(err)
	}
	if g.Grant.ClientID != c.client.ID || !c.refresh.Matches(g.Grant.RefreshHash) || !g.Alive(c.now) {
		return nil, fosite.ErrNotFound
	}
	c.grant = g
	switch newest := g.Grant.RefreshGen; {
	case c.refresh.Generation == newest:
		return c.requester(), nil
	case c.refresh.Generation == newest-1 && c.engine.graced(&g.Grant, c.now):
		c.grace = true
		return c.requester(), nil
	case c.refresh.Generation < newest:
		return c.requester(), fosite.ErrInactiveToken
	}
	return nil, fosite.ErrNotFound // newer than the row: the database was set back
}

// DeleteRefreshTokenSession does nothing, see RevokeRefreshToken.
func (rows) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RotateRefreshToken does nothing: the engine rotates in the unit, by
// compare-and-set.
func (rows) RotateRefreshToken(context.Context, string, string) error { return nil }

// RevokeRefreshToken notes that reuse was seen; the engine revokes the grant.
func (rows) RevokeRefreshToken(ctx context.Context, _ string) error {
	c := callIn(ctx)
	c.reused = "authorization code used twice"
	if c.grantType == GrantRefresh {
		c.reused = "refresh token used twice"
	}
	return nil
}

// RevokeAccessToken does nothing, see RevokeRefreshToken.
func (rows) RevokeAccessToken(context.Context, string) error { return nil }

// requester shows the grant's row to fosite as the request that made it.
func (c *call) requester() fosite.Requester {
	g := &c.grant.Grant
	r := fosite.NewRequest()
	r.ID = string(g.ID)
	r.RequestedAt = g.CreatedAt.Time
	r.Client = newClient(c.client, "")
	r.RequestedScope = fosite.Arguments(c.scopes())
	r.GrantedScope = r.RequestedScope
	r.Form.Set("redirect_uri", g.RedirectURI)
	if g.CodeChallenge != "" {
		r.Form.Set("code_challenge", g.CodeChallenge)
		r.Form.Set("code_challenge_method", "S256")
	}
	r.Session = newSession(g.Sub)
	return r
}

// asFosite turns a storage error into fosite's.
func asFosite(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fosite.ErrNotFound
	}
	return err
}
