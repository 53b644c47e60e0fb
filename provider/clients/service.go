package clients

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/storage"
)

// MaxLifetime is the longest that an access token may live, the command line's aside
// ([MaxOperatorToken]); what is revoked has to be remembered for so long.
const MaxLifetime = time.Hour

// Config says what registrations are held against.
type Config struct {
	Issuer     string           // no resource may have it for its audience
	Algorithms []string         // what tokens can be signed with; default ES256, EdDSA, PS256, RS256
	Salt       [32]byte         // secret of pairwise subjects, which never changes
	Out        *outbound.Client // fetches what a registration names; nil: one that reaches public addresses
}

// Limits of the cache: how much it may hold, and how long a read for it may take.
const (
	maxHeld  = 2048
	readTime = 5 * time.Second
)

// Service keeps clients and resources. It is safe for concurrent use.
type Service struct {
	cfg    Config
	store  *storage.Store
	events *events.Service
	now    func() time.Time

	reads     singleflight.Group
	mu        sync.RWMutex
	held      map[string]held
	eras      eras
	resources atomic.Pointer[resourceSet]
	placed    atomic.Pointer[placeSet]
	openable  atomic.Pointer[openSet]
	published published
}

// held is a client in memory.
type held struct {
	client *storage.Client
	read   moment
}

// New returns the service.
func New(cfg Config, store *storage.Store, ev *events.Service, now func() time.Time) *Service {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"ES256", "EdDSA", "PS256", "RS256"}
	}
	if cfg.Out == nil {
		cfg.Out = outbound.New(outbound.Config{})
	}
	return &Service{
		cfg: cfg, store: store, events: ev, now: now, held: map[string]held{}, published: published{sets: map[string]publishedSet{}},
	}
}

// Get returns an enabled client, which the caller must not change, or
// storage.ErrNotFound. It may have been changed meanwhile: see the package's comment.
func (s *Service) Get(ctx context.Context, id string) (*storage.Client, error) {
	s.mu.RLock()
	h, ok := s.held[id]
	s.mu.RUnlock()
	if ok && s.fresh(h.read, &s.eras.clients) {
		return h.client, nil
	}
	if !isClientID(id) {
		return nil, storage.ErrNotFound // no such id is ever registered: not worth a statement
	}
	read := s.begin(&s.eras.clients)
	c, err := shared(ctx, &s.reads, read.reading("client "+id), func(ctx context.Context) (*storage.Client, error) { return s.read(ctx, id, read) })
	if err != nil {
		return nil, err
	}
	return c, nil
}

// read reads a client into the cache.
func (s *Service) read(ctx context.Context, id string, began moment) (*storage.Client, error) {
	c, err := s.store.Client(ctx, id)
	if err == nil && !c.DisabledAt.IsZero() {
		err = storage.ErrNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.held, id)
		return nil, fmt.Errorf("client %s: %w", id, err)
	}
	if len(s.held) >= maxHeld {
		s.makeRoom()
	}
	s.held[id] = held{c, began}
	return c, nil
}

// makeRoom drops what is too old to be used, and everything if all is in use.
func (s *Service) makeRoom() {
	for id, h := range s.held {
		if !s.fresh(h.read, &s.eras.clients) {
			delete(s.held, id)
		}
	}
	if len(s.held) >= maxHeld {
		clear(s.held)
	}
}

// shared has one read serve everybody who waits for the same; it does not end
// with the request of the one who was first.
func shared[T any](ctx context.Context, reads *singleflight.Group, key string, read func(context.Context) (T, error)) (T, error) {
	result := reads.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
		defer cancel()
		return read(ctx)
	})
	var zero T
	select {
	case <-ctx.Done():
		return zero, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return zero, r.Err
		}
		return r.Val.(T), nil //nolint:forcetypeassert // read returns nothing else
	}
}

// Show returns a client as it is in the database, disabled or not, or
// storage.ErrNotFound.
func (s *Service) Show(ctx context.Context, id string) (*storage.Client, error) {
	c, err := s.store.Client(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("client %s: %w", id, err)
	}
	return c, nil
}

// Page returns a page of all clients, by id.
func (s *Service) Page(ctx context.Context, p storage.Page) (storage.List[storage.Client], error) {
	some, err := s.store.Clients(ctx, p)
	if err != nil {
		return some, fmt.Errorf("clients: %w", err)
	}
	return some, nil
}

// Create registers a client, with its event, and returns it with its secret,
// which is not kept: "" for a client that has none. What is wrong with r is one fault
// that names every field; a taken client_id is a fault of kind Conflict.
func (s *Service) Create(ctx context.Context, r Registration, by events.Actor) (c *storage.Client, secret string, err error) {
	if r.ClientID == "" {
		r.ClientID = strings.ToLower(rand.Text())
	}
	metadata, scopes, err := s.accept(ctx, &r, nil, by)
	if err != nil {
		return nil, "", err
	}
	if err := s.checkSector(ctx, nil, &metadata, by == events.ActorOperator); err != nil {
		return nil, "", err
	}
	now := storage.At(s.now())
	c = &storage.Client{
		ID: r.ClientID, Version: 1, Name: r.Name, Owner: r.Owner, RegisteredBy: string(by),
		Metadata: storage.Document(metadata), CreatedAt: now, UpdatedAt: now,
	}
	if hasSecret(metadata.TokenEndpointAuthMethod) {
		var kept storage.ClientSecret
		secret, kept = newSecret(now)
		c.Secrets = storage.Document([]storage.ClientSecret{kept})
	}
	unit := storage.WithUnit(ctx)
	if err := s.store.CreateClient(unit, c, scopes...); err != nil {
		return nil, "", fmt.Errorf("create client %s: %w", c.ID, err)
	}
	err = s.flush(unit, registered(events.ClientCreated, by, c.ID, r))
	switch {
	case errors.Is(err, storage.ErrConflict):
		return nil, "", fault.Conflict("client_id", "is taken")
	case errors.Is(err, storage.ErrStale):
		if _, _, err := s.accept(ctx, &r, nil, by); err != nil {
			return nil, "", err
		}
		return nil, "", errNamedMeanwhile
	case err != nil:
		return nil, "", fmt.Errorf("create client %s: %w", c.ID, err)
	}
	s.Forget(storage.Changes{ClientsAdded: true})
	return c, secret, nil
}

var (
	errChangedMeanwhile = &fault.Error{
		Kind: fault.KindConflict, Code: "conflict", Message: "the client was changed by somebody else at the same time: read it again",
		Err: storage.ErrStale,
	}
	errNamedMeanwhile = &fault.Error{
		Kind: fault.KindConflict, Code: "conflict", Message: "its owner or a resource was changed by somebody else at the same time: register it again",
		Err: storage.ErrStale,
	}
)

// Update changes a client's registration by a JSON merge patch (RFC 7396): null
// gives a member its default again; see [Service.Replace].
// storage.ErrNotFound: there is none.
func (s *Service) Update(ctx context.Context, id string, patch []byte, by events.Actor, meant ...Knowingly) (*storage.Client, error) {
	c, err := s.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := Patched(c, patch)
	if err != nil {
		return nil, err
	}
	return c, s.Replace(ctx, c, r, by, meant...)
}

// Replace gives a client, as it was read, another registration, with its event. The
// client_id stays, and a public client stays public. One that moves from a secret to
// keys loses its secrets, so that none comes back to life with its old method. What
// would change the subjects that the client knows people by is a fault of kind
// Conflict, unless it is among meant; so is a change by somebody else since c was
// read, which is storage.ErrStale as well.
func (s *Service) Replace(ctx context.Context, c *storage.Client, r *Registration, by events.Actor, meant ...Knowingly) error {
	metadata, scopes, err := s.accept(ctx, r, c, by)
	if err != nil {
		return err
	}
	if r.ClientID != c.ID {
		return fault.Invalid("client_id", "cannot be changed")
	}
	if (metadata.TokenEndpointAuthMethod == methodNone) != (c.Metadata.V.TokenEndpointAuthMethod == methodNone) {
		return fault.Invalid("token_endpoint_auth_method", "cannot change from or to none: register another client")
	}
	if !hasSecret(metadata.TokenEndpointAuthMethod) {
		c.Secrets = storage.Document[[]storage.ClientSecret](nil)
	}
	if err := checkSubjects(&c.Metadata.V, &metadata); err != nil && !slices.Contains(meant, NewSubjects) {
		return err
	}
	// Who writes a URL vouches for it, not who edits the rest.
	operators := by == events.ActorOperator && (c.RegisteredBy == storage.RegisteredByOperator || metadata.SectorIdentifierURI != c.Metadata.V.SectorIdentifierURI)
	if err := s.checkSector(ctx, &c.Metadata.V, &metadata, operators); err != nil {
		return err
	}
	c.Name, c.Owner, c.Metadata = r.Name, r.Owner, storage.Document(metadata)
	return s.change(ctx, c, registered(events.ClientUpdated, by, c.ID, *r), scopes...)
}

// change writes a client that was changed since it was read, with its event; scopes are
// those of resources that it is given.
func (s *Service) change(ctx context.Context, c *storage.Client, e events.Event, scopes ...string) error {
	c.UpdatedAt = storage.At(s.now())
	unit := storage.WithUnit(ctx)
	if err := s.store.UpdateClient(unit, c, scopes...); err != nil {
		return fmt.Errorf("update client %s: %w", c.ID, err)
	}
	if e.Kind == events.ClientDisabled {
		if err := s.revokeTokens(unit, c); err != nil {
			return err
		}
	}
	return s.settle(c, s.flush(unit, e))
}

// settle forgets a client that was changed and says what became of it.
func (s *Service) settle(c *storage.Client, err error) error {
	if errors.Is(err, storage.ErrStale) {
		return errChangedMeanwhile
	}
	if err != nil {
		return fmt.Errorf("change client %s: %w", c.ID, err)
	}
	s.Forget(storage.Changes{Clients: true})
	return nil
}

// registered is the event of a registration. Contacts are addresses of people.
func registered(kind events.Kind, by events.Actor, id string, r Registration) events.Event {
	e := events.Event{Kind: kind, Actor: by, Client: id}
	if len(r.Contacts) > 0 {
		e.Personal = map[string]any{"contacts": r.Contacts}
		r.Contacts = nil
	}
	e.Data = r
	return e
}

// revokeTokens revokes, in the unit in ctx, every access token that the client has:
// none comes back to life with a client that is enabled again, or made anew.
func (s *Service) revokeTokens(unit context.Context, c *storage.Client) error {
	now, longest := s.now(), MaxLifetime
	if c.ID == CommandLine {
		longest = MaxOperatorToken
	}
	err := s.store.Revoke(unit, &storage.Revocation{
		Kind: storage.RevokedClient, ID: c.ID, NotBefore: storage.At(now), ExpiresAt: storage.At(now.Add(longest)),
	})
	if err != nil {
		return fmt.Errorf("revoke the tokens of client %s: %w", c.ID, err)
	}
	return nil
}

// SetDisabled disables a client, as it was read, or enables it again, with its
// event. A disabled one is unknown to every endpoint within 5 s, and its access
// tokens are revoked for good; its grants wait. Nothing is done where it is so
// already.
func (s *Service) SetDisabled(ctx context.Context, c *storage.Client, disabled bool, by events.Actor) error {
	if c.DisabledAt.IsZero() != disabled {
		return nil
	}
	kind := events.ClientEnabled
	c.DisabledAt = storage.Time{}
	if disabled {
		kind, c.DisabledAt = events.ClientDisabled, storage.At(s.now())
	}
	return s.change(ctx, c, events.Event{Kind: kind, Actor: by, Client: c.ID})
}

// Delete removes a client by its id; see [Service.Remove]. storage.ErrNotFound:
// there is none.
func (s *Service) Delete(ctx context.Context, id string, by events.Actor) error {
	c, err := s.Show(ctx, id)
	if err != nil {
		return err
	}
	return s.Remove(ctx, c, by)
}

// Remove removes a client, as it was read, what people agreed to for it and its
// grants, and revokes its access tokens. A fault of kind Conflict, which is
// storage.ErrStale: somebody changed it since it was read.
func (s *Service) Remove(ctx context.Context, c *storage.Client, by events.Actor) error {
	unit := storage.WithUnit(ctx)
	err := s.store.DeleteClient(unit, c, storage.At(s.now()))
	if err == nil {
		err = s.revokeTokens(unit, c)
	}
	if err == nil {
		err = s.flush(unit, events.Event{Kind: events.ClientDeleted, Actor: by, Client: c.ID})
	}
	return s.settle(c, err)
}

// flush carries the unit out together with its event.
func (s *Service) flush(unit context.Context, e events.Event) error {
	if err := s.events.Record(unit, e); err != nil {
		return err
	}
	return s.store.Flush(unit)
}
