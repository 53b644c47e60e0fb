package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// TokenRequest is a request to the token endpoint: canonical parameters, and a
// client that has proved who it is.
type TokenRequest struct {
	Client    *storage.Client
	GrantType string
	Form      url.Values // single-valued: code, redirect_uri, code_verifier, refresh_token, scope
	Resource  string     // RFC 8707; "" if none was asked for
}

// TokenResponse is RFC 6749 section 5.1 with OIDC Core 3.1.3.3. Scope is the
// access token's own.
type TokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	// GrantID is for the log.
	GrantID storage.ID `json:"-"`
}

// attempts bounds how often a refresh that lost a race is tried again: the
// second attempt finds the winner's generation and yields the same successor.
const attempts = 3

// Token answers a token request. What it writes is flushed when it returns. Its
// errors are *Error where a client may see them; anything else is a fault of the
// store or of ours.
func (e *Engine) Token(ctx context.Context, in *TokenRequest) (*TokenResponse, error) {
	for range attempts {
		out, err := e.attempt(ctx, in)
		if !errors.Is(err, storage.ErrStale) {
			return out, err
		}
	}
	return nil, Refuse("invalid_grant", "The refresh token is being used by too many requests at once.")
}

func (e *Engine) attempt(ctx context.Context, in *TokenRequest) (*TokenResponse, error) {
	c := &call{engine: e, client: in.Client, grantType: in.GrantType, form: in.Form, now: e.now()}
	if in.GrantType == GrantRefresh {
		refresh, err := e.grants.Decode(in.Form.Get("refresh_token"))
		if err != nil {
			return nil, &Error{Code: "invalid_grant", Description: "The refresh token is not one of ours.", Status: http.StatusBadRequest, Err: err}
		}
		c.refresh = refresh
	}
	unit := withCall(storage.WithUnit(ctx), c)
	out, err := e.run(unit, c, in)
	if err != nil {
		return nil, e.punish(ctx, c, err)
	}
	if err := e.spend(unit, c, out); err != nil {
		if errors.Is(err, storage.ErrSpent) { // another request used the code meanwhile
			c.reused = "authorization code used twice"
			return nil, e.punish(ctx, c, Refuse("invalid_grant", "The authorization code has already been used."))
		}
		return nil, err
	}
	return out, nil
}

// run has fosite validate the request, decides what the access token is for,
// and has fosite make the tokens.
func (e *Engine) run(ctx context.Context, c *call, in *TokenRequest) (*TokenResponse, error) {
	ar, err := e.fosite.NewAccessRequest(ctx, synthetic(http.MethodPost, in.Form), newSession(c.client.ID))
	if err != nil {
		return nil, fromFosite(err)
	}
	c.comparing = false // the verifier was right
	if c.target, err = e.aim(ctx, c, in); err != nil {
		return nil, err
	}
	resp, err := e.fosite.NewAccessResponse(ctx, ar)
	if err != nil {
		return nil, fromFosite(err)
	}
	out := &TokenResponse{
		AccessToken: resp.GetAccessToken(),
		TokenType:   "Bearer",
		ExpiresIn:   int64(c.target.ttl.Seconds()),
		Scope:       strings.Join(c.target.scopes, " "),
	}
	out.RefreshToken, _ = resp.GetExtra("refresh_token").(string)
	out.IDToken, _ = resp.GetExtra("id_token").(string)
	if c.grant != nil {
		out.GrantID = c.grant.Grant.ID
	}
	return out, nil
}

// spend writes what the tokens cost: the code, or the generation.
func (e *Engine) spend(ctx context.Context, c *call, out *TokenResponse) error {
	now := storage.At(c.now)
	switch c.grantType {
	case GrantCode:
		g := c.grant.Grant
		g.CodeUsedAt = now
		if out.RefreshToken != "" {
			g.RefreshHash, g.RefreshGen, g.RotatedAt = c.refresh.Hash(), c.refresh.Generation, now
			g.IdleExpiresAt = storage.At(c.now.Add(e.cfg.RefreshIdle))
			g.ExpiresAt = storage.At(c.now.Add(e.cfg.RefreshAbsolute))
		}
		if err := e.store.SpendCode(ctx, &g); err != nil {
			return err
		}
		if err := e.events.Record(ctx, events.Event{
			Kind: events.CodeSpent, Actor: events.ActorClient, Person: g.PersonID, Client: c.client.ID,
			Data: map[string]any{"grant": g.ID},
		}); err != nil {
			return err
		}
	case GrantRefresh:
		if c.grace {
			return e.store.Flush(ctx) // an opaque access token's row, if that is what was made
		}
		g := c.grant.Grant
		g.RotatedAt, g.IdleExpiresAt = now, storage.At(c.now.Add(e.cfg.RefreshIdle))
		if err := e.store.RotateRefresh(ctx, &g, c.refresh.Generation); err != nil {
			return err
		}
	}
	return e.store.Flush(ctx)
}

// punish does what a refused request deserves, and returns the refusal; or the
// store's error, if that could not be written.
func (e *Engine) punish(ctx context.Context, c *call, refusal error) error {
	if c.grant == nil || c.reused == "" && !c.comparing {
		return refusal
	}
	// A client that hangs up does not get away with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), punishTime)
	defer cancel()
	err := e.end(ctx, c)
	if errors.Is(err, storage.ErrSpent) { // the right verifier came between: this was the second use
		c.reused = "authorization code used twice"
		err = e.end(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("end grant: %w", err)
	}
	return refusal
}

const punishTime = 2 * time.Second

// end revokes a grant whose code or refresh token was used twice, or kills its
// code; storage.ErrSpent: the code was used meanwhile.
func (e *Engine) end(ctx context.Context, c *call) error {
	g := &c.grant.Grant
	return e.store.Together(ctx, func(ctx context.Context) error {
		if c.reused != "" {
			return e.grants.Revoke(ctx, g, events.ActorSystem, c.reused)
		}
		if err := e.store.KillCode(ctx, g.ID, storage.At(c.now)); err != nil {
			return err
		}
		return e.events.Record(ctx, events.Event{
			Kind: events.CodeSpent, Outcome: events.Failure, Actor: events.ActorClient, Person: g.PersonID, Client: g.ClientID,
			Data: map[string]any{"grant": g.ID, "why": "wrong code_verifier"},
		})
	})
}
