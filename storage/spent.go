package storage

import "context"

// SpentID is an id that worked once and must not again, as SHA-256 of what it was
// for, whose it was and itself; kept until nothing that bears it could be accepted.
type SpentID struct {
	Hash      []byte `gorm:"primaryKey"`
	ExpiresAt Time
}

// SpendID marks an id as spent: of any number of calls, on any number of replicas,
// one returns nil, all others ErrSpent.
func (s *Store) SpendID(ctx context.Context, id *SpentID) error {
	w := s.insert(ctx, id, "ON CONFLICT (hash) DO NOTHING")
	w.guard = ErrSpent
	return s.do(ctx, w)
}
