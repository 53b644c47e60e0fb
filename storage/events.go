package storage

import "context"

// Event tells of one change, in the transaction of that change: audit and
// outbox in one row. Once it is chained nothing in it changes any more.
type Event struct {
	ID        ID `gorm:"primaryKey"`
	Kind      string
	Outcome   string // "success" or "failure"
	Actor     string // who did it: "person", "client", "operator", "system"
	ActorID   string // the client's or the person's id; "" for the provider itself and for whoever has its command line
	PersonID  ID     // whom it is about
	ClientID  string
	RequestID string
	Origin    []byte    // the address it came from, as the version before sealed it; nothing once it is chained
	Document  JSON[Raw] // what changed
	CreatedAt Time      `gorm:"autoCreateTime:false"`

	Number   Number // its place in the chain, from 1, without gaps; given after the commit
	Personal []byte // what is personal, sealed: for the provider, and once it is chained for the people concerned
	Hash     []byte // of all of the above but Origin, and of the hash of the event before it
}

// CreateEvent adds an event, which is not chained yet.
func (s *Store) CreateEvent(ctx context.Context, e *Event) error {
	return s.do(ctx, s.insert(ctx, e, ""))
}

// EventOf returns the event of this id if it is about that person, chained or not; or ErrNotFound.
func (s *Store) EventOf(ctx context.Context, person, id ID) (*Event, error) {
	var e Event
	if err := take(s.db(ctx).Where("id = ? AND person_id = ?", id, person), &e); err != nil {
		return nil, err
	}
	return &e, nil
}

// Events returns the newest events, up to limit, newest first, chained or not.
func (s *Store) Events(ctx context.Context, limit int) ([]Event, error) {
	var es []Event
	err := s.db(ctx).Order("created_at DESC, id DESC").Limit(limit).Find(&es).Error
	return es, translate(err)
}
