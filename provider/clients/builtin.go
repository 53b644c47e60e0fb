package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// The scopes of the operators' API. One that writes does not read as well: who is
// to do both is given both.
const (
	ScopeClientsRead    = "clients:read"
	ScopeClientsWrite   = "clients:write"
	ScopeResourcesRead  = "resources:read"
	ScopeResourcesWrite = "resources:write"
	ScopeUsersRead      = "users:read"
	ScopeUsersWrite     = "users:write"
	ScopeGroupsRead     = "groups:read"
	ScopeGroupsWrite    = "groups:write"
	ScopeOperatorsWrite = "operators:write" // with groups:write or users:write: who is in the group operators, and those who are
	ScopeSessionsRead   = "sessions:read"
	ScopeSessionsWrite  = "sessions:write"
	ScopeGrantsRead     = "grants:read"
	ScopeGrantsWrite    = "grants:write"
	ScopeConsentsRead   = "consents:read"
	ScopeConsentsWrite  = "consents:write"
	ScopeKeysRead       = "keys:read"
	ScopeKeysWrite      = "keys:write"
	ScopeEventsRead     = "events:read"
	ScopeMailsRead      = "mails:read"
	ScopeMailsWrite     = "mails:write"
)

// APIScopes returns every scope of the operators' API.
func APIScopes() []string {
	return []string{
		ScopeClientsRead, ScopeClientsWrite, ScopeResourcesRead, ScopeResourcesWrite, ScopeUsersRead, ScopeUsersWrite,
		ScopeGroupsRead, ScopeGroupsWrite, ScopeOperatorsWrite, ScopeSessionsRead, ScopeSessionsWrite, ScopeGrantsRead, ScopeGrantsWrite,
		ScopeConsentsRead, ScopeConsentsWrite, ScopeKeysRead, ScopeKeysWrite, ScopeEventsRead, ScopeMailsRead, ScopeMailsWrite,
	}
}

// APIAudience returns the audience of the operators' API of an issuer: it is a
// resource that every provider has and that needs no row.
func APIAudience(issuer string) string { return issuer + "/api/v1" }

// builtIn is the resource of the operators' API. A registered resource that has one
// of its scopes, from before there was an API, keeps it: a client that has that
// scope was given the one and must not wake up with the other.
func (s *Service) builtIn(registered []storage.Resource) storage.Resource {
	taken := func(scope string) bool {
		return slices.ContainsFunc(registered, func(r storage.Resource) bool { return r.Scopes.Has(scope) })
	}
	return storage.Resource{
		Audience: APIAudience(s.cfg.Issuer), Version: 1, Name: "Doorstep API", Scopes: slices.DeleteFunc(APIScopes(), taken),
		Format: formatJWT, Alg: defaultAlg, Lifetime: int64(defaultLifetime.Seconds()),
	}
}

// allResources returns every resource as it is in the database, and the one that
// is built in.
func (s *Service) allResources(ctx context.Context) ([]storage.Resource, error) {
	rows, err := s.store.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	return append(rows, s.builtIn(rows)), nil
}

// CommandLine is the id of the client to which the command line issues its tokens
// for the operators' API. It has no secret and no grant, so that nobody gets a
// token as it but by the database.
const CommandLine = "doorstep-cli"

// MaxOperatorToken is the longest that a token of the command line lives.
const MaxOperatorToken = 24 * time.Hour

// EnsureCommandLine returns the client of that name, which is made when it is
// first needed. A fault of kind Conflict: an operator registered another client
// by this id before it was the command line's.
func (s *Service) EnsureCommandLine(ctx context.Context) (*storage.Client, error) {
	c, err := s.Show(ctx, CommandLine)
	if errors.Is(err, storage.ErrNotFound) {
		if err = s.createCommandLine(ctx); err == nil || errors.Is(err, storage.ErrConflict) { // another process may be first
			c, err = s.Show(ctx, CommandLine)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case c.RegisteredBy != string(events.ActorSystem):
		return nil, fault.Conflict("client_id", CommandLine+" is a client of yours: the command line's tokens are issued to a client of this id. Register yours by another one and delete it")
	case !c.DisabledAt.IsZero():
		return nil, fault.Conflict("client_id", CommandLine+" is disabled: its tokens are refused. Enable it, or delete it to have it made anew")
	}
	return c, nil
}

func (s *Service) createCommandLine(ctx context.Context) error {
	now := storage.At(s.now())
	c := &storage.Client{
		ID: CommandLine, Version: 1, Name: "Doorstep command line", RegisteredBy: string(events.ActorSystem), CreatedAt: now, UpdatedAt: now,
		Metadata: storage.Document(storage.ClientMetadata{
			TokenEndpointAuthMethod: methodNone, GrantTypes: []string{}, ResponseTypes: []string{}, ApplicationType: typeNative,
			IDTokenSignedResponseAlg: defaultAlg, RequirePKCE: true,
		}),
	}
	unit := storage.WithUnit(ctx)
	if err := s.store.CreateClient(unit, c); err != nil {
		return fmt.Errorf("create client %s: %w", c.ID, err)
	}
	if err := s.flush(unit, events.Event{Kind: events.ClientCreated, Actor: events.ActorSystem, Client: c.ID, Data: registrationOf(c)}); err != nil {
		return fmt.Errorf("create client %s: %w", c.ID, err)
	}
	return nil
}
