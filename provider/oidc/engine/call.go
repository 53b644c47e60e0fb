package engine

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"

	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/storage"
)

// call is all that one request to the engine knows. It travels in ctx through
// fosite to our strategies and rows.
type call struct {
	engine    *Engine
	client    *storage.Client
	grantType string
	form      url.Values
	now       time.Time

	grant   *storage.GrantState // the row, read at most once
	refresh grants.Refresh      // the refresh token presented, or the one to be made from a code
	grace   bool                // a repeated refresh: yields its successor again and writes nothing
	target  target              // what the access token is for
	alone   bool                // an ID token is all that is answered: nothing else can tell about the person

	reused    string // why the grant must be revoked, "" if it need not
	comparing bool   // the verifier is being compared: a failure now kills the code
}

// scopes is what was granted and is still registered for the client.
func (c *call) scopes() storage.Strings {
	registered := storage.Strings(strings.Fields(c.client.Metadata.V.Scope))
	return slices.DeleteFunc(slices.Clone(c.grant.Grant.Scopes), func(s string) bool { return !registered.Has(s) })
}

// target is the one audience of an access token and what it may do there.
type target struct {
	audience string
	scopes   []string
	opaque   bool
	alg      string // of a JWT
	ttl      time.Duration
	groups   bool // it tells the groups of the person
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callIn(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// session satisfies fosite's and openid's Session. Expiries that fosite sets are
// ignored: they come from time.Now.
type session struct {
	fosite.DefaultSession
	*idClaims
}

// SetExpiresAt does nothing: our strategies read the injected clock.
func (s *session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt returns the zero time, "not known here".
func (s *session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// Clone returns the session itself: nothing in it changes.
func (s *session) Clone() fosite.Session { return s }

// client shows a registered client to fosite, with what the checks in front
// proved already.
type client struct {
	c        *storage.Client
	redirect string
	scopes   fosite.Arguments
}

func newClient(c *storage.Client, redirect string) *client {
	return &client{c: c, redirect: redirect, scopes: strings.Fields(c.Metadata.V.Scope)}
}

func (c *client) GetID() string                      { return c.c.ID }
func (c *client) GetHashedSecret() []byte            { return nil }
func (c *client) GetRedirectURIs() []string          { return []string{c.redirect} }
func (c *client) GetGrantTypes() fosite.Arguments    { return c.c.Metadata.V.GrantTypes }
func (c *client) GetResponseTypes() fosite.Arguments { return fosite.Arguments{ResponseCode} } // all that fosite is asked for
func (c *client) GetScopes() fosite.Arguments        { return c.scopes }
func (c *client) IsPublic() bool                     { return c.c.Metadata.V.TokenEndpointAuthMethod == "none" }
func (c *client) GetAudience() fosite.Arguments      { return nil }

// provenInFront is fosite's client authentication: it happened before.
func provenInFront(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
	return newClient(callIn(ctx).client, ""), nil
}

// checkedInFront is fosite's redirect check: registration and the edge did it.
func checkedInFront(context.Context, *url.URL) bool { return true }

// noHasher refuses: no secret is compared behind the edge.
type noHasher struct{}

var errNoHasher = errors.New("engine: secrets are compared in front")

func (noHasher) Compare(context.Context, []byte, []byte) error { return errNoHasher }
func (noHasher) Hash(context.Context, []byte) ([]byte, error)  { return nil, errNoHasher }

// noFetcher refuses: no client's keys are fetched behind the edge. fosite's own
// would keep a cache with goroutines for it.
type noFetcher struct{}

var errNoFetcher = errors.New("engine: keys are fetched in front")

func (noFetcher) Resolve(context.Context, string, bool) (*jose.JSONWebKeySet, error) {
	return nil, errNoFetcher
}
