package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Living is a session that lives, as a list has it.
type Living struct {
	storage.Session
	ACR     string     // what its evidence adds up to now; "" for nothing any more
	Clients []string   // ids of the clients that something was issued to in it
	Device  storage.ID // the browser that it was proven in
}

// List returns a page of a person's living sessions, the oldest first. It is two
// statements.
func (s *Service) List(ctx context.Context, person storage.ID, p storage.Page) (storage.List[Living], error) {
	now := s.now()
	sessions, err := s.store.SessionsOf(ctx, person, storage.At(now), p)
	if err != nil {
		return storage.List[Living]{}, fmt.Errorf("session: list: %w", err)
	}
	items, err := s.asListed(ctx, sessions.Items, now)
	return storage.List[Living]{Items: items, Next: sessions.Next}, err
}

// Newest returns a person's living sessions, at most that many, the newest first. It is
// two statements.
func (s *Service) Newest(ctx context.Context, person storage.ID, limit int) ([]Living, error) {
	now := s.now()
	sessions, err := s.store.NewestSessionsOf(ctx, person, storage.At(now), limit)
	if err != nil {
		return nil, fmt.Errorf("session: newest: %w", err)
	}
	return s.asListed(ctx, sessions, now)
}

func (s *Service) asListed(ctx context.Context, sessions []storage.Session, now time.Time) ([]Living, error) {
	ids := make([]storage.ID, len(sessions))
	for i := range sessions {
		ids[i] = sessions[i].ID
	}
	all, err := s.store.SessionClients(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("session: clients: %w", err)
	}
	clients := map[storage.ID][]string{}
	for _, c := range all {
		clients[c.SessionID] = append(clients[c.SessionID], c.ClientID)
	}
	out := make([]Living, 0, len(ids))
	for _, se := range sessions {
		st, err := Standing(&se, now)
		if err != nil {
			return nil, err
		}
		acr := policy.Best(policy.Assess(st.Evidence, now), policy.ACRAsked{}).ACR
		out = append(out, Living{Session: se, ACR: acr, Clients: clients[se.ID], Device: storage.ID(st.Device)})
	}
	return out, nil
}

// EndByID ends the living session of this id as [Service.End] does.
// storage.ErrNotFound: there is none.
func (s *Service) EndByID(ctx context.Context, id, why string, by events.Actor) error {
	se, err := s.living(ctx, id)
	if err != nil {
		return err
	}
	return s.endLiving(ctx, se, why, by)
}

// EndOf ends the living session of this id if it is the person's, as [Service.End]
// does. storage.ErrNotFound: they have none such.
func (s *Service) EndOf(ctx context.Context, person storage.ID, id, why string, by events.Actor) error {
	se, err := s.living(ctx, id)
	if err != nil {
		return err
	}
	if se.PersonID != person {
		return storage.ErrNotFound
	}
	return s.endLiving(ctx, se, why, by)
}

func (s *Service) living(ctx context.Context, id string) (*storage.Session, error) {
	key, err := storage.ParseID(id)
	if err != nil {
		return nil, err
	}
	se, err := s.store.Session(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("session: end: %w", err)
	}
	if !se.EndedAt.IsZero() || !se.ExpiresAt.After(s.now()) {
		return nil, storage.ErrNotFound
	}
	return se, nil
}

func (s *Service) endLiving(ctx context.Context, se *storage.Session, why string, by events.Actor) error {
	err := s.End(ctx, se, why, by)
	if errors.Is(err, storage.ErrStale) { // it ended meanwhile
		return storage.ErrNotFound
	}
	return err
}

// EndOthers ends every living session of a person but the one of keep, as
// [Service.End] does, and returns which they were. Each is a unit of its own: what fails
// midway can be done again. No browser of theirs is spared from a second factor any more.
func (s *Service) EndOthers(ctx context.Context, keep *storage.Session, why string, by events.Actor) (ended []storage.ID, err error) {
	if err := s.store.UnrememberDevices(ctx, keep.PersonID); err != nil {
		return nil, fmt.Errorf("session: end others: %w", err)
	}
	for page := (storage.Page{Limit: 100}); ; {
		some, err := s.store.SessionsOf(ctx, keep.PersonID, storage.At(s.now()), page)
		if err != nil {
			return ended, fmt.Errorf("session: end others: %w", err)
		}
		for i := range some.Items {
			if some.Items[i].ID == keep.ID {
				continue
			}
			switch err := s.endLiving(ctx, &some.Items[i], why, by); {
			case err == nil:
				ended = append(ended, some.Items[i].ID)
			case !errors.Is(err, storage.ErrNotFound):
				return ended, err
			}
		}
		if page.After = some.Next; page.After == "" {
			return ended, nil
		}
	}
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
