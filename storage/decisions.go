package storage

import (
	"context"
	"time"
)

// Decision is what risk decided about one attempt, with all it was decided on.
type Decision struct {
	ID        ID `gorm:"primaryKey"`
	PersonID  ID
	ClientID  string
	Outcome   string
	Rule      string
	Document  JSON[Raw] // policy's codec: facts, signals, rule and versions
	CreatedAt Time      `gorm:"autoCreateTime:false"`
}

// History is what is remembered of a person's sign-ins.
type History struct {
	PersonID  ID        `gorm:"primaryKey"`
	Document  JSON[Raw] // policy's codec
	UpdatedAt Time      `gorm:"autoUpdateTime:false"`
}

// CreateDecision adds a decision.
func (s *Store) CreateDecision(ctx context.Context, d *Decision) error {
	return s.do(ctx, s.insert(ctx, d, ""))
}

// DecisionByID returns a decision, or ErrNotFound.
func (s *Store) DecisionByID(ctx context.Context, id ID) (*Decision, error) {
	var d Decision
	if err := take(s.db(ctx).Where("id = ?", id), &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// HistoryOf returns a person's history, or ErrNotFound before the first sign-in.
func (s *Store) HistoryOf(ctx context.Context, person ID) (*History, error) {
	var h History
	if err := take(s.db(ctx).Where("person_id = ?", person), &h); err != nil {
		return nil, err
	}
	return &h, nil
}

// SetHistory writes a person's history.
func (s *Store) SetHistory(ctx context.Context, h *History) error {
	return s.do(ctx, s.insert(ctx, h, "ON CONFLICT (person_id) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at"))
}

// DecisionsSince returns up to limit decisions from that time on, in the order in which they were
// made, from the first that comes after that one; nil is before them all.
func (s *Store) DecisionsSince(ctx context.Context, since time.Time, after *Decision, limit int) ([]Decision, error) {
	query := s.db(ctx).Where("created_at >= ?", At(since))
	if after != nil {
		query = query.Where("(created_at, id) > (?, ?)", after.CreatedAt, after.ID)
	}
	var ds []Decision
	err := query.Order("created_at, id").Limit(limit).Find(&ds).Error
	return ds, translate(err)
}
