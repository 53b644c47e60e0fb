package engine

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/storage"
)

// TypAccessToken is the JWT type of access tokens (RFC 9068 section 2.1).
const TypAccessToken = "at+jwt"

// AccessClaims is the payload of an access token (RFC 9068 section 2.2). gid is
// the grant it came of; client credentials make no grant and carry none.
type AccessClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expiry   int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	ID       string   `json:"jti,omitempty"` // none where introspection tells of a refresh token
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	GrantID  string   `json:"gid,omitempty"`
	Session  string   `json:"sid,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	Groups   []string `json:"groups,omitempty"` // names of the person's groups (section 2.2.3.1), for a grant of the scope groups
}

func (e *Engine) makeAccessToken(ctx context.Context, c *call) (string, error) {
	claims := e.claimsOf(c, c.target.audience, c.target.scopes)
	claims.IssuedAt, claims.Expiry, claims.ID = c.now.Unix(), c.now.Add(c.target.ttl).Unix(), randomText(16)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode access token: %w", err)
	}
	if !c.target.opaque {
		return e.keys.Sign(ctx, c.target.alg, TypAccessToken, payload)
	}
	text, hash := grants.NewOpaque()
	return text, e.store.CreateAccessToken(ctx, &storage.AccessToken{
		Hash: hash, GrantID: storage.ID(claims.GrantID), ClientID: claims.ClientID, Claims: storage.Document(storage.Raw(payload)),
		CreatedAt: storage.At(c.now), ExpiresAt: storage.At(c.now.Add(c.target.ttl)),
	})
}

// claimsOf says who and what a token of this call is for, and how sure we are of
// the person; when it is made and ends is left to the caller.
func (e *Engine) claimsOf(c *call, audience string, scopes []string) *AccessClaims {
	claims := &AccessClaims{
		Issuer: e.cfg.Issuer, Subject: c.client.ID, Audience: audience, ClientID: c.client.ID, Scope: strings.Join(scopes, " "),
	}
	if c.grant != nil {
		g := &c.grant.Grant
		claims.Subject, claims.GrantID, claims.Session = g.Sub, string(g.ID), g.Sid
		claims.ACR, claims.AMR = g.ACR, g.AMR
		if c.target.groups {
			claims.Groups = c.grant.PersonGroups
		}
		if !g.AuthTime.IsZero() {
			claims.AuthTime = g.AuthTime.Unix()
		}
	}
	return claims
}

// idTokenClaims is the payload of an ID token (OIDC Core sections 2 and 3.1.3.6),
// claims about the person aside.
type idTokenClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expiry   int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	AuthTime int64    `json:"auth_time,omitempty"`
	Nonce    string   `json:"nonce,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	AtHash   string   `json:"at_hash,omitempty"`
	CHash    string   `json:"c_hash,omitempty"` // OIDC Core section 3.3.2.11
	ID       string   `json:"jti"`
}

// signIDToken is the one maker of ID tokens: beside an access token at the token
// endpoint, beside a code, or alone, at the authorization endpoint. Alone it
// carries the claims that the scopes stand for, as nothing else could (OIDC Core
// section 5.4). Groups are in that of the token endpoint too: what decides by them
// often reads no more than the ID token.
func (e *Engine) signIDToken(ctx context.Context, c *call, access, code string) (string, error) {
	g := &c.grant.Grant
	alg := c.client.Metadata.V.IDTokenSignedResponseAlg
	claims := idTokenClaims{
		Issuer:   e.cfg.Issuer,
		Subject:  g.Sub,
		Audience: c.client.ID,
		IssuedAt: c.now.Unix(),
		Expiry:   c.now.Add(e.cfg.IDToken).Unix(),
		ACR:      g.ACR,
		AMR:      g.AMR,
		Session:  g.Sid,
		AtHash:   halfHash(alg, access),
		CHash:    halfHash(alg, code),
		ID:       randomText(16),
	}
	if c.grantType != GrantRefresh { // OIDC Core 12.2: a refreshed ID token should have no nonce
		claims.Nonce = g.Nonce
	}
	if !g.AuthTime.IsZero() {
		claims.AuthTime = g.AuthTime.Unix()
	}
	var scopes []string
	switch granted := c.scopes(); {
	case c.alone:
		scopes = granted
	case c.grantType != "" && granted.Has(clients.ScopeGroups):
		scopes = []string{clients.ScopeGroups}
	}
	about, err := PersonClaims(c.grant, scopes, MayStillLearn(c.client, g.Claims.V.IDToken))
	if err != nil {
		return "", err
	}
	payload, err := merged(claims, about)
	if err != nil {
		return "", fmt.Errorf("encode ID token: %w", err)
	}
	return e.keys.Sign(ctx, alg, "", payload)
}

// merged returns claims and those about the person as one JSON object. No name is
// in both: those of persons are a list of our own (clients.ClaimsOf).
func merged(claims idTokenClaims, about map[string]any) ([]byte, error) {
	payload, err := json.Marshal(claims)
	if err != nil || len(about) == 0 {
		return payload, err
	}
	more, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	return append(append(payload[:len(payload)-1], ','), more[1:]...), nil
}

// halfHash returns the left half of the token's hash, by the hash of the
// signature's algorithm (OIDC Core 3.1.3.6); EdDSA with Ed25519 means SHA-512.
func halfHash(alg, token string) string {
	if token == "" {
		return ""
	}
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
