package storage

import "context"

// Interaction is one pending request of somebody for something, bound to the
// browser that began it.
type Interaction struct {
	ID          ID `gorm:"primaryKey"`
	Kind        string
	BrowserHash []byte // SHA-256 of the browser's secret
	ClientID    string
	Request     JSON[Raw] // what is asked, never changed
	Progress    JSON[Raw] // what was done about it
	CreatedAt   Time      `gorm:"autoCreateTime:false"`
	ExpiresAt   Time
	SpentAt     Time
}

// CreateInteraction adds an interaction.
func (s *Store) CreateInteraction(ctx context.Context, i *Interaction) error {
	return s.do(ctx, s.insert(ctx, i, ""))
}

// Interaction returns a pending interaction of this browser; ErrNotFound:
// there is none, it lapsed, or it belongs to another browser; ErrSpent: it was
// answered.
func (s *Store) Interaction(ctx context.Context, id ID, browserHash []byte, now Time) (*Interaction, error) {
	var i Interaction
	if err := take(s.db(ctx).Where("id = ? AND browser_hash = ? AND expires_at > ?", id, browserHash, now), &i); err != nil {
		return nil, err
	}
	if !i.SpentAt.IsZero() {
		return &i, ErrSpent
	}
	return &i, nil
}

// AdvanceInteraction notes what was done in the place of i.Progress, which is what was
// read; ErrStale: something else was noted meanwhile, it was answered, or what it relies on is
// not so any more.
func (s *Store) AdvanceInteraction(ctx context.Context, i *Interaction, done JSON[Raw], relies ...Provided) error {
	w := i.advance(done).provided(relies)
	w.guard = ErrStale
	return s.do(ctx, w)
}

// NoteProgress is AdvanceInteraction for a unit that has another guard: where that one
// would say ErrStale, the interaction stays as it is.
func (s *Store) NoteProgress(ctx context.Context, i *Interaction, done JSON[Raw]) error {
	return s.do(ctx, i.advance(done))
}

func (i *Interaction) advance(done JSON[Raw]) write {
	return write{
		text: "UPDATE interactions SET progress = ? WHERE id = ? AND spent_at IS NULL AND progress = ?",
		args: []any{done, i.ID, i.Progress},
	}
}

// SpendInteraction marks an interaction answered: of two concurrent calls
// exactly one returns nil, the other ErrSpent.
func (s *Store) SpendInteraction(ctx context.Context, id ID, now Time) error {
	return s.do(ctx, write{
		text:  "UPDATE interactions SET spent_at = ? WHERE id = ? AND spent_at IS NULL AND expires_at > ?",
		args:  []any{now, id, now},
		guard: ErrSpent,
	})
}
