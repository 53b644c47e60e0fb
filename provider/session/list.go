package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Living is a session that lives, as a list has it.
type Living struct {
	storage.Session
	ACR     string   // what its evidence adds up to now; "" for nothing any more
	Clients []string // ids of the clients that something was issued to in it
}

// List returns a page of a person's living sessions, the oldest first. It is two
// statements.
func (s *Service) List(ctx context.Context, person storage.ID, p storage.Page) (storage.List[Living], error) {
	now := s.now()
	sessions, err := s.store.SessionsOf(ctx, person, storage.At(now), p)
	if err != nil {
		return storage.List[Living]{}, fmt.Errorf("session: list: %w", err)
	}
	ids := make([]storage.ID, len(sessions.Items))
	for i := range sessions.Items {
		ids[i] = sessions.Items[i].ID
	}
	all, err := s.store.SessionClients(ctx, ids)
	if err != nil {
		return storage.List[Living]{}, fmt.Errorf("session: clients: %w", err)
	}
	clients := map[storage.ID][]string{}
	for _, c := range all {
		clients[c.SessionID] = append(clients[c.SessionID], c.ClientID)
	}
	out := storage.List[Living]{Items: make([]Living, 0, len(ids)), Next: sessions.Next}
	for _, se := range sessions.Items {
		st, err := Standing(&se, now)
		if err != nil {
			return storage.List[Living]{}, err
		}
		acr := policy.Best(policy.Assess(st.Evidence, now), policy.ACRAsked{}).ACR
		out.Items = append(out.Items, Living{Session: se, ACR: acr, Clients: clients[se.ID]})
	}
	return out, nil
}

// EndByID ends the living session of this id as [Service.End] does.
// storage.ErrNotFound: there is none.
func (s *Service) EndByID(ctx context.Context, id, why string, by events.Actor) error {
	key, err := storage.ParseID(id)
	if err != nil {
		return err
	}
	se, err := s.store.Session(ctx, key)
	if err != nil {
		return fmt.Errorf("session: end: %w", err)
	}
	if !se.EndedAt.IsZero() || !se.ExpiresAt.After(s.now()) {
		return storage.ErrNotFound
	}
	if err := s.End(ctx, se, why, by); errors.Is(err, storage.ErrStale) {
		return storage.ErrNotFound
	} else if err != nil {
		return err
	}
	return nil
}

// EndAll ends every session of a person and the grants that live by them, with one
// event, in one unit. Grants with offline_access live on. storage.ErrNotFound: they
// are signed in nowhere.
func (s *Service) EndAll(ctx context.Context, person storage.ID, why string, by events.Actor) error {
	now := storage.At(s.now())
	some, err := s.store.SessionsOf(ctx, person, now, storage.Page{Limit: 1})
	if err != nil {
		return fmt.Errorf("session: end all: %w", err)
	}
	if len(some.Items) == 0 {
		return storage.ErrNotFound
	}
	err = s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.EndSessionsOf(ctx, person, now); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.PersonSignedOut, Actor: by, Person: person, Data: signedOut{Why: why}})
	})
	if err != nil {
		return fmt.Errorf("session: end all: %w", err)
	}
	return nil
}

type signedOut struct {
	Why string `json:"why"`
}
