package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// whyOperator is what the events say of a token that an operator revoked.
const whyOperator = "revoked by an operator"

// OperatorToken returns an access token that a client gets from an operator at the
// database, without asking at the token endpoint, with its claims. That it was made
// is an event: whoever holds it acts for the operator.
func (e *Engine) OperatorToken(ctx context.Context, c *storage.Client, audience string, scopes []string, ttl time.Duration) (string, *AccessClaims, error) {
	now := e.now()
	claims := &AccessClaims{
		Issuer: e.cfg.Issuer, Subject: c.ID, Audience: audience, ClientID: c.ID, Scope: strings.Join(scopes, " "),
		IssuedAt: now.Unix(), Expiry: now.Add(ttl).Unix(), ID: rand.Text(),
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", nil, fmt.Errorf("encode access token: %w", err)
	}
	token, err := e.keys.Sign(ctx, AlgDefault, TypAccessToken, payload)
	if err != nil {
		return "", nil, err
	}
	return token, claims, e.events.Record(ctx, events.Event{
		Kind: events.TokenIssued, Actor: events.ActorOperator, Client: c.ID,
		Data: map[string]any{"jti": claims.ID, "audience": audience, "scope": claims.Scope, "expires_at": claims.Expiry},
	})
}

// IsOperatorTokenID reports whether id has the form of those of [Engine.OperatorToken]:
// what crypto/rand.Text returns, which a shell takes for no flag.
func IsOperatorTokenID(id string) bool {
	return len(id) == 26 && !strings.ContainsFunc(id, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') })
}

// RevokeOperatorToken ends the token of this id, which [Engine.OperatorToken] made
// for a client: until is when the longest such token could have ended.
func (e *Engine) RevokeOperatorToken(ctx context.Context, c *storage.Client, id string, until time.Time) error {
	return e.store.Together(ctx, func(ctx context.Context) error {
		return e.grants.RevokeToken(ctx, storage.TokenIDs{JTI: id, ClientID: c.ID}, "", until, events.ActorOperator, whyOperator)
	})
}
