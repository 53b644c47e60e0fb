package storage

import "context"

// Event tells of one change, in the transaction of that change: audit and
// outbox in one row.
type Event struct {
	ID        ID `gorm:"primaryKey"`
	Kind      string
	Actor     string // who did it: "person", "client", "operator", "system"
	ActorID   string // the client's or the person's id; "" for the provider itself and for whoever has its command line
	PersonID  ID     // whom it is about
	ClientID  string
	RequestID string
	Origin    []byte    // the address it came from, sealed
	Document  JSON[Raw] // what changed
	CreatedAt Time      `gorm:"autoCreateTime:false"`
}

// CreateEvent adds an event.
func (s *Store) CreateEvent(ctx context.Context, e *Event) error {
	return s.do(ctx, s.insert(ctx, e, ""))
}

// Events returns the newest events, up to limit, newest first.
func (s *Store) Events(ctx context.Context, limit int) ([]Event, error) {
	var es []Event
	err := s.db(ctx).Order("created_at DESC, id DESC").Limit(limit).Find(&es).Error
	return es, translate(err)
}
