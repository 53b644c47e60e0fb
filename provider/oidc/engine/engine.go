// Package engine drives the grants. It is the only importer of fosite, which
// parses nothing and writes nothing here: the endpoint in front of it hands over
// one canonical, single-valued set of parameters and a client that has proved
// who it is; what comes back are our own types.
//
// A request to the token endpoint is one unit of work: fosite's many storage
// calls read the grant's row once and append to the unit; the engine flushes it
// once, as one compare-and-set, and only then gives the tokens away.
//
// It must never let a fosite type out, keep an access token but as a hash, or ask fosite what
// time it is: fosite calls time.Now by itself, so lifetimes are set by our
// session, strategies and answers from the injected clock.
//
// Notes
//
//   - 2026-11-22: fosite v0.49.0 is the last tag of its own repository. Its weak
//     spots are closed here or in front: PKCE cannot be dropped after a failed
//     attempt (the challenge stays on the grant's row, a wrong verifier kills
//     the code), the code's client is compared before reuse is punished, a lost
//     race is invalid_grant and never a 500, only registered error codes leave.
package engine

import (
	"context"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// The grant types that the engine drives (RFC 6749).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"

	// GrantImplicit is registered for an ID token from the authorization endpoint;
	// no token endpoint knows it.
	GrantImplicit = "implicit"
)

// GrantTypes lists what the token endpoint serves.
func GrantTypes() []string { return []string{GrantCode, GrantRefresh, GrantClientCredentials} }

// Config has the lifetimes of what the engine makes.
type Config struct {
	Issuer          string
	Code            time.Duration // default 60 s
	AccessToken     time.Duration // for the issuer as audience; a resource has its own; default 10 min
	IDToken         time.Duration // default 10 min
	RefreshIdle     time.Duration // default 14 days
	RefreshAbsolute time.Duration // default 180 days
	Grace           time.Duration // how long the previous refresh token still yields its successor; default 10 s
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.Code, time.Minute},
		{&c.AccessToken, 10 * time.Minute},
		{&c.IDToken, 10 * time.Minute},
		{&c.RefreshIdle, 14 * 24 * time.Hour},
		{&c.RefreshAbsolute, 180 * 24 * time.Hour},
		{&c.Grace, 10 * time.Second},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
}

// Engine drives the grants. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	store   *storage.Store
	keys    *keys.Service
	clients *clients.Service
	grants  *grants.Service
	events  *events.Service
	now     func() time.Time
	fosite  *fosite.Fosite

	algs     []string // what access tokens are signed with
	verified verified
}

// New returns an engine.
func New(cfg Config, store *storage.Store, k *keys.Service, c *clients.Service, g *grants.Service, ev *events.Service, now func() time.Time) *Engine {
	cfg.setDefaults()
	e := &Engine{cfg: cfg, store: store, keys: k, clients: c, grants: g, events: ev, now: now, algs: k.Algorithms()}
	e.fosite = fosite.NewOAuth2Provider(rows{}, e.configure())
	return e
}

// configurator hands fosite the handlers of the grant at hand only, and what
// depends on the client.
type configurator struct {
	*fosite.Config
	byGrant   map[string]fosite.TokenEndpointHandlers
	authorize fosite.AuthorizeEndpointHandlers
}

// GetTokenEndpointHandlers returns the handlers of this call's grant type.
func (c *configurator) GetTokenEndpointHandlers(ctx context.Context) fosite.TokenEndpointHandlers {
	return c.byGrant[callIn(ctx).grantType]
}

// GetAuthorizeEndpointHandlers returns the handlers of the code flow.
func (c *configurator) GetAuthorizeEndpointHandlers(context.Context) fosite.AuthorizeEndpointHandlers {
	return c.authorize
}

// GetEnforcePKCE reports whether this call's client must use PKCE.
func (c *configurator) GetEnforcePKCE(ctx context.Context) bool {
	return callIn(ctx).client.Metadata.V.RequirePKCE
}

// configure builds fosite's configuration. Nothing is left nil: fosite's own
// getters fill nil fields while requests run.
func (e *Engine) configure() *configurator {
	cfg := &fosite.Config{
		AuthorizeCodeLifespan:        e.cfg.Code,
		AccessTokenLifespan:          e.cfg.AccessToken,
		IDTokenLifespan:              e.cfg.IDToken,
		RefreshTokenLifespan:         e.cfg.RefreshIdle,
		AccessTokenIssuer:            e.cfg.Issuer,
		IDTokenIssuer:                e.cfg.Issuer,
		EnforcePKCEForPublicClients:  true,
		MinParameterEntropy:          1,
		ScopeStrategy:                fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:     fosite.ExactAudienceMatchingStrategy,
		RefreshTokenScopes:           []string{}, // the client's grant types decide, not a scope
		OmitRedirectScopeParam:       true,
		RedirectSecureChecker:        checkedInFront,
		ClientAuthenticationStrategy: provenInFront,
		ClientSecretsHasher:          noHasher{},
		JWKSFetcherStrategy:          noFetcher{},
		SanitationWhiteList:          []string{"code", "redirect_uri"},
	}
	c := &configurator{Config: cfg}
	s, st := strategy{e}, rows{}
	code := &oauth2.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: s, RefreshTokenStrategy: s, AuthorizeCodeStrategy: s,
		CoreStorage: st, TokenRevocationStorage: st, Config: c,
	}
	id := &openid.IDTokenHandleHelper{IDTokenStrategy: s}
	codeID := &openid.OpenIDConnectExplicitHandler{
		OpenIDConnectRequestStorage:   st,
		OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(nil, c),
		Config:                        c, IDTokenHandleHelper: id,
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: s, Storage: st, Config: c}
	c.authorize = fosite.AuthorizeEndpointHandlers{code, codeID, proof}
	c.byGrant = map[string]fosite.TokenEndpointHandlers{
		GrantCode: {code, codeID, proof},
		GrantRefresh: {
			&oauth2.RefreshTokenGrantHandler{AccessTokenStrategy: s, RefreshTokenStrategy: s, TokenRevocationStorage: st, Config: c},
			&openid.OpenIDConnectRefreshHandler{IDTokenHandleHelper: id, Config: c},
		},
		GrantClientCredentials: {
			&oauth2.ClientCredentialsGrantHandler{
				HandleHelper: &oauth2.HandleHelper{AccessTokenStrategy: s, AccessTokenStorage: st, Config: c},
				Config:       c,
			},
		},
	}
	return c
}
