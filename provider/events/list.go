package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// MaxPage is how many events a page has at most.
const MaxPage = 200

// Filter chooses events; what is empty chooses all.
type Filter struct {
	Kind      Kind
	Kinds     []Kind // any of these
	Outcome   Outcome
	Person    storage.ID // whom it is about
	Client    string
	Actor     Actor  // what kind of actor did it
	ActorID   string // which client or person did it
	RequestID string
	Since     time.Time // not before
	Until     time.Time // before
}

// Recorded is an event as it is told.
type Recorded struct {
	Number    int64
	ID        storage.ID
	Kind      Kind
	Outcome   Outcome
	Actor     Actor
	ActorID   string     // "" for the provider itself and its command line
	Person    storage.ID // "" for nobody
	Client    string     // "" for none
	RequestID string     // "" outside a request
	Data      json.RawMessage
	Personal  map[string]any // nil for nothing, or if it cannot be read
	Erased    bool           // there was something personal, and somebody whom it concerned is erased
	At        time.Time
}

// Page is a part of a list, the newest event first.
type Page struct {
	Events []Recorded
	Next   int64 // the cursor of the next page; 0: this is the last one
}

// List returns up to limit events (1 to MaxPage) that f chooses, the newest first. after
// is the cursor that the page before had as Next, or the number of an event, to go on
// with the one before that; 0 for the first page. A page may have fewer events than
// limit, or none, and a next page all the same: each looks through a bounded part of
// what there is. An event is listed when it has its number, a second after its change
// at most. Faults name the field.
func (s *Service) List(ctx context.Context, f Filter, after int64, limit int) (Page, error) {
	if limit < 1 || limit > MaxPage {
		return Page{}, fault.Invalid("limit", fmt.Sprintf("must be from 1 to %d", MaxPage))
	}
	if after < 0 {
		return Page{}, fault.Invalid("after", "must be the number of an event")
	}
	var kinds []string
	for _, k := range f.Kinds {
		kinds = append(kinds, string(k))
	}
	rows, next, err := s.store.EventsBefore(ctx, storage.EventFilter{
		Kind: string(f.Kind), Kinds: kinds, Outcome: string(f.Outcome), Actor: string(f.Actor), ActorID: f.ActorID,
		ClientID: f.Client, RequestID: f.RequestID, PersonID: f.Person, Since: storage.At(f.Since), Until: storage.At(f.Until),
	}, after, limit)
	if err != nil {
		return Page{}, fmt.Errorf("events: list: %w", err)
	}
	known, err := s.knownSalts(ctx, rows)
	if err != nil {
		return Page{}, err
	}
	page := Page{Events: make([]Recorded, 0, len(rows)), Next: next}
	for i := range rows {
		page.Events = append(page.Events, s.recorded(&rows[i], known))
	}
	return page, nil
}

// Of returns the event of this id if it is about that person, chained or not;
// storage.ErrNotFound: there is none such.
func (s *Service) Of(ctx context.Context, person, id storage.ID) (*Recorded, error) {
	row, err := s.store.EventOf(ctx, person, id)
	if err != nil {
		return nil, fmt.Errorf("events: one: %w", err)
	}
	known, err := s.knownSalts(ctx, []storage.Event{*row})
	if err != nil {
		return nil, err
	}
	r := s.recorded(row, known)
	return &r, nil
}

// recorded opens what can be opened of an event. What was tampered with is for
// Verify to find, and no reason to show nothing at all.
func (s *Service) recorded(e *storage.Event, known map[storage.ID][]byte) Recorded {
	r := Recorded{
		Number: int64(e.Number), ID: e.ID, Kind: Kind(e.Kind), Outcome: Outcome(e.Outcome), Actor: Actor(e.Actor), ActorID: e.ActorID,
		Person: e.PersonID, Client: e.ClientID, RequestID: e.RequestID, Data: e.Document.V, At: e.CreatedAt.Time,
	}
	if e.Personal == nil {
		return r
	}
	all, there := saltsOf(e, known)
	if !there {
		r.Erased = true
		return r
	}
	plain, err := s.open(all, e.ID, e.Personal)
	if errors.Is(err, errErased) {
		r.Erased = true
		return r
	}
	if err == nil {
		err = json.Unmarshal(plain, &r.Personal)
	}
	if err != nil {
		r.Personal = nil
	}
	return r
}
