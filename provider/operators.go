package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// api returns the operators' API; as is api.Deps.As.
func (s *Services) api(cfg Config, w *web.Web, now func() time.Time, as *api.Caller) (*api.Handler, error) {
	cfg.API.KeepEvents = cfg.Server.KeepEvents
	return api.New(cfg.API, api.Deps{
		Web: w, Store: s.Store, Keys: s.Keys, Clients: s.Clients, Directory: s.Directory, Sessions: s.Sessions, Grants: s.Grants, Events: s.Events,
		Throttle: s.Throttle, Mail: s.Mail, Passkeys: s.Passkeys, TOTP: s.TOTP, Phones: s.Phones, Notices: s.Notices, Now: now, CreatePerson: s.CreatePerson, SetPassword: s.Passwords.Set,
		Verify: s.verifyCaller, RotateKey: s.RotateKey, RevokeKey: s.RevokeKey, As: as,
	})
}

// verifyCaller returns whose an access token for the API is, as long as it lives.
func (s *Services) verifyCaller(ctx context.Context, token string) (*api.Caller, error) {
	a, err := s.Engine.Admit(ctx, token, clients.APIAudience(s.issuer))
	switch {
	case errors.Is(err, engine.ErrNoToken), errors.Is(err, grants.ErrDead):
		return nil, api.InvalidToken(err)
	case err != nil:
		return nil, err
	case a.GrantID != "" || a.Subject != a.ClientID:
		web.Log(ctx).Set("client_id", a.ClientID)
		return nil, api.NotAClients()
	}
	return &api.Caller{ClientID: a.ClientID, TokenID: a.ID, Scopes: strings.Fields(a.Scope)}, nil
}

// OperatorToken is a token of the command line for the operators' API.
type OperatorToken struct {
	engine.AccessClaims
	Text string // the token itself
}

// OperatorToken returns a token with these scopes of the operators' API, for ttl, at
// most clients.MaxOperatorToken. It is for who works on the database; what is wrong
// is a fault.
func (s *Services) OperatorToken(ctx context.Context, scopes []string, ttl time.Duration) (*OperatorToken, error) {
	if len(scopes) == 0 {
		return nil, fault.Invalid("scope", "must name at least one")
	}
	if i := slices.IndexFunc(scopes, func(name string) bool { return !slices.Contains(clients.APIScopes(), name) }); i >= 0 {
		return nil, fault.Invalid("scope", scopes[i]+" is not one of the operators' API")
	}
	if ttl < time.Minute || ttl > clients.MaxOperatorToken {
		return nil, fault.Invalid("ttl", fmt.Sprintf("must be between 1 minute and %.0f hours", clients.MaxOperatorToken.Hours()))
	}
	c, err := s.Clients.EnsureCommandLine(ctx)
	if err != nil {
		return nil, err
	}
	text, claims, err := s.Engine.OperatorToken(ctx, c, clients.APIAudience(s.issuer), scopes, ttl)
	if err != nil {
		return nil, err
	}
	return &OperatorToken{AccessClaims: *claims, Text: text}, nil
}

// RevokeOperatorToken ends the token of the command line that has this id. It is no
// error if it is over, or never was.
func (s *Services) RevokeOperatorToken(ctx context.Context, id string) error {
	if !engine.IsOperatorTokenID(id) {
		return fault.Invalid("id", "is not that of a token of the command line: 26 letters and digits")
	}
	c, err := s.Clients.EnsureCommandLine(ctx)
	if err != nil {
		return err
	}
	return s.Engine.RevokeOperatorToken(ctx, c, id, s.now().Add(clients.MaxOperatorToken))
}

// OperatorsAPI returns the operators' API alone, in which every request is the
// operator's at the database and needs no token: for the command line, in its own
// process. It must never be served on a network.
func (s *Services) OperatorsAPI(cfg Config, log *slog.Logger, now func() time.Time) (http.Handler, error) {
	pages, err := templates.New(cfg.Templates)
	if err != nil {
		return nil, err
	}
	cfg.Web.Issuer = cfg.Issuer
	w, err := web.New(cfg.Web, web.Deps{Pages: pages, Key: s.Keys.Derive("web"), Log: logger(log), Now: now, Registry: prometheus.NewRegistry()})
	if err != nil {
		return nil, err
	}
	h, err := s.api(cfg, w, now, api.Operator())
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return join(w, h.Routes()), nil
}
