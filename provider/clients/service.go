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

// MaxLifetime is the longest that an access token may live; what is revoked has
// to be remembered for so long.
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
	origins   atomic.Pointer[originSet]
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

// List returns every client, by id.
func (s *Service) List(ctx context.Context) ([]storage.Client, error) {
	const page = 500
	var all []storage.Client
	for after := ""; ; {
		some, err := s.store.Clients(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("clients: %w", err)
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
		after = some[len(some)-1].ID
	}
}

// Create registers a client, with its event, and returns it with its secret,
// which is not kept: "" for a client that has none. What is wrong with r is one fault
// that names every field; a taken client_id is a fault of kind Conflict.
func (s *Service) Create(ctx context.Context, r Registration, by events.Actor) (c *storage.Client, secret string, err error) {
	if r.ClientID == "" {
		r.ClientID = strings.ToLower(rand.Text())
	}
	metadata, err := s.accept(ctx, &r, nil, by)
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
	if err := s.store.CreateClient(unit, c); err != nil {
		return nil, "", fmt.Errorf("create client %s: %w", c.ID, err)
	}
	err = s.flush(unit, registered(events.ClientCreated, by, c.ID, r))
	if errors.Is(err, storage.ErrConflict) {
		return nil, "", fault.Conflict("client_id", "is taken")
	}
	if err != nil {
		return nil, "", fmt.Errorf("create client %s: %w", c.ID, err)
	}
	s.Forget(storage.Changes{ClientsAdded: true})
	return c, secret, nil
}

var errChangedMeanwhile = fault.Conflict("", "the client was changed by somebody else at the same time: read it again")

// Update changes a client's registration by a JSON merge patch (RFC 7396): null
// gives a member its default again. The client_id stays, and a public client
// stays public. One that moves from a secret to keys loses its secrets, so that none
// comes back to life with its old method. What would change the subjects that the
// client knows people by is a fault of kind Conflict, unless it is among meant.
// storage.ErrNotFound: there is none.
func (s *Service) Update(ctx context.Context, id string, patch []byte, by events.Actor, meant ...Knowingly) (*storage.Client, error) {
	c, err := s.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := patched(registrationOf(c), patch)
	if err != nil {
		return nil, err
	}
	metadata, err := s.accept(ctx, r, c, by)
	if err != nil {
		return nil, err
	}
	if r.ClientID != id {
		return nil, fault.Invalid("client_id", "cannot be changed")
	}
	if (metadata.TokenEndpointAuthMethod == methodNone) != (c.Metadata.V.TokenEndpointAuthMethod == methodNone) {
		return nil, fault.Invalid("token_endpoint_auth_method", "cannot change from or to none: register another client")
	}
	if !hasSecret(metadata.TokenEndpointAuthMethod) {
		c.Secrets = storage.Document[[]storage.ClientSecret](nil)
	}
	if err := checkSubjects(&c.Metadata.V, &metadata); err != nil && !slices.Contains(meant, NewSubjects) {
		return nil, err
	}
	// Who writes a URL vouches for it, not who edits the rest.
	operators := by == events.ActorOperator && (c.RegisteredBy == storage.RegisteredByOperator || metadata.SectorIdentifierURI != c.Metadata.V.SectorIdentifierURI)
	if err := s.checkSector(ctx, &c.Metadata.V, &metadata, operators); err != nil {
		return nil, err
	}
	c.Name, c.Owner, c.Metadata, c.UpdatedAt = r.Name, r.Owner, storage.Document(metadata), storage.At(s.now())
	unit := storage.WithUnit(ctx)
	if err := s.store.UpdateClient(unit, c); err != nil {
		return nil, fmt.Errorf("update client %s: %w", id, err)
	}
	err = s.flush(unit, registered(events.ClientUpdated, by, id, *r))
	if errors.Is(err, storage.ErrStale) {
		return nil, errChangedMeanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("update client %s: %w", id, err)
	}
	s.Forget(storage.Changes{Clients: true})
	return c, nil
}

// Delete removes a client, what people agreed to for it and its grants, and
// revokes its access tokens. storage.ErrNotFound: there is none.
func (s *Service) Delete(ctx context.Context, id string, by events.Actor) error {
	now := s.now()
	unit := storage.WithUnit(ctx)
	err := s.store.DeleteClient(unit, id, storage.At(now))
	if err == nil {
		err = s.store.Revoke(unit, &storage.Revocation{
			Kind: storage.RevokedClient, ID: id, NotBefore: storage.At(now), ExpiresAt: storage.At(now.Add(MaxLifetime)),
		})
	}
	if err == nil {
		err = s.flush(unit, events.Event{Kind: events.ClientDeleted, Actor: by, Client: id})
	}
	if err != nil {
		return fmt.Errorf("delete client %s: %w", id, err)
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

// flush carries the unit out together with its event.
func (s *Service) flush(unit context.Context, e events.Event) error {
	if err := s.events.Record(unit, e); err != nil {
		return err
	}
	return s.store.Flush(unit)
}
