package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"

	"github.com/doorstep-id/doorstep/provider/grants"
)

type timeValue = time.Time

// strategy makes the tokens and judges them by the injected clock.
type strategy struct{ *Engine }

var (
	_ oauth2.CoreStrategy               = strategy{}
	_ openid.OpenIDConnectTokenStrategy = strategy{}
)

// AuthorizeCodeSignature returns SHA-256 of a code in hex: the column's value.
func (strategy) AuthorizeCodeSignature(_ context.Context, code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// GenerateAuthorizeCode returns 256 random bits.
func (s strategy) GenerateAuthorizeCode(ctx context.Context, _ fosite.Requester) (code, signature string, err error) {
	code = randomText(32)
	return code, s.AuthorizeCodeSignature(ctx, code), nil
}

// ValidateAuthorizeCode refuses a code past its minute.
func (strategy) ValidateAuthorizeCode(ctx context.Context, _ fosite.Requester, _ string) error {
	c := callIn(ctx)
	if !c.grant.Grant.CodeExpiresAt.After(c.now) {
		return fosite.ErrTokenExpired
	}
	return nil
}

// RefreshTokenSignature returns "": the engine decoded the token before.
func (strategy) RefreshTokenSignature(context.Context, string) string { return "" }

// GenerateRefreshToken returns the next generation, or the same successor again
// for a repeated refresh.
func (s strategy) GenerateRefreshToken(ctx context.Context, _ fosite.Requester) (token, signature string, err error) {
	c := callIn(ctx)
	if c.grantType == GrantCode {
		c.refresh = grants.NewRefresh(c.grant.Grant.ID)
		return s.grants.Encode(c.refresh), "", nil
	}
	return s.grants.Encode(grants.SuccessorOf(c.refresh)), "", nil
}

// ValidateRefreshToken refuses a token past its idle or absolute life.
func (strategy) ValidateRefreshToken(ctx context.Context, _ fosite.Requester, _ string) error {
	c := callIn(ctx)
	if g := c.grant.Grant; !g.IdleExpiresAt.After(c.now) || !g.ExpiresAt.After(c.now) {
		return fosite.ErrTokenExpired
	}
	return nil
}

// AccessTokenSignature returns "": fosite keeps no access tokens here.
func (strategy) AccessTokenSignature(context.Context, string) string { return "" }

// ValidateAccessToken refuses: access tokens are not validated through fosite.
func (strategy) ValidateAccessToken(context.Context, fosite.Requester, string) error {
	return fosite.ErrInactiveToken
}

// GenerateAccessToken makes a token for the call's target: an RFC 9068 one, or an
// opaque one, whose row joins the unit.
func (s strategy) GenerateAccessToken(ctx context.Context, _ fosite.Requester) (token, signature string, err error) {
	token, err = s.makeAccessToken(ctx, callIn(ctx))
	return token, "", err
}

// GenerateIDToken signs the ID token of OIDC Core section 2 that goes with the
// access token just made.
func (s strategy) GenerateIDToken(ctx context.Context, _ time.Duration, _ fosite.Requester) (string, error) {
	access := ""
	if resp, ok := ctx.Value(fosite.AccessResponseContextKey).(fosite.AccessResponder); ok {
		access = resp.GetAccessToken()
	}
	return s.signIDToken(ctx, callIn(ctx), access, "")
}

// idClaims satisfies the part of openid.Session that fosite looks into: it
// wants a subject, and somewhere to put what we compute ourselves.
type idClaims struct {
	claims  jwt.IDTokenClaims
	headers jwt.Headers
}

// IDTokenClaims returns claims that are never signed.
func (i *idClaims) IDTokenClaims() *jwt.IDTokenClaims { return &i.claims }

// IDTokenHeaders returns headers that are never signed.
func (i *idClaims) IDTokenHeaders() *jwt.Headers { return &i.headers }

func newSession(sub string) *session {
	return &session{idClaims: &idClaims{claims: jwt.IDTokenClaims{Subject: sub}}}
}

// randomText returns n random bytes in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}
