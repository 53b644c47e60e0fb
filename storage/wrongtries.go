package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// WrongTry is how often, within an hour, somebody tried to be a person and had a proof wrong. They
// are summed: whoever tries for days leaves no more than a few rows. PersonID refers to nobody's row,
// so that tries at an account that does not exist are kept by the same statement.
type WrongTry struct {
	PersonID  ID     `gorm:"primaryKey"`
	Hour      Time   `gorm:"primaryKey"` // when it began
	Method    string `gorm:"primaryKey"` // of the proof, as policy names it
	Browser   string `gorm:"primaryKey"` // as Session's
	System    string `gorm:"primaryKey"`
	Times     int64
	ExpiresAt Time
}

// NobodyID is whom tries are counted for at an account that nobody has: the same id for the same
// keyed hash of it.
func NobodyID(hash []byte) ID { return ID(uuid.UUID(hash[:16]).String()) }

// CountWrongTry adds a try to those of its hour.
func (s *Store) CountWrongTry(ctx context.Context, t WrongTry, at time.Time) error {
	t.Hour, t.Times = At(at.Truncate(time.Hour)), 1
	return s.do(ctx, s.insert(ctx, &t, "ON CONFLICT (person_id, hour, method, browser, system) DO UPDATE SET times = wrong_tries.times + 1"))
}

// WrongTriesOf returns a person's wrong tries since a time, the newest hour first, and so many rows
// at most.
func (s *Store) WrongTriesOf(ctx context.Context, person ID, since Time, most int) ([]WrongTry, error) {
	var ts []WrongTry
	err := s.db(ctx).Where("person_id = ? AND hour >= ?", person, since).Order("hour DESC, times DESC, method, browser, system").Limit(most).Find(&ts).Error
	return ts, translate(err)
}
