package storage

import "context"

// SentCode is a one-time code that was sent to an address, to be typed in the
// interaction that asked for it. An interaction has one.
type SentCode struct {
	InteractionID ID     `gorm:"primaryKey"`
	PersonID      ID     // who asked; "" while nobody says who they are
	Kind          string // of the address, as of an [Identifier]; so are the next two
	Address       string
	Display       string
	Hash          []byte // keyed, of what it is for and of itself
	Tries         int64
	CreatedAt     Time `gorm:"autoCreateTime:false"`
	ExpiresAt     Time
	UsedAt        Time
}

// PutSentCode gives an interaction a code, in the place of the one before.
func (s *Store) PutSentCode(ctx context.Context, c *SentCode) error {
	return s.do(ctx, s.insert(ctx, c, "ON CONFLICT (interaction_id) DO UPDATE SET person_id = excluded.person_id, kind = excluded.kind,"+
		" address = excluded.address, display = excluded.display, hash = excluded.hash, tries = excluded.tries, created_at = excluded.created_at,"+
		" expires_at = excluded.expires_at, used_at = excluded.used_at"))
}

// TrySentCode takes one of most tries at an interaction's code, and uses the code up if
// that has this hash: of any number of calls, on any number of replicas, at most one
// returns it with UsedAt, which is now. It is carried out at once, also within a unit.
// ErrNotFound: there is none to be tried, it lapsed, was used, or has had all its tries.
func (s *Store) TrySentCode(ctx context.Context, interaction ID, hash []byte, now Time, most int) (*SentCode, error) {
	var rows []SentCode
	err := s.db(ctx).Raw("UPDATE sent_codes SET tries = tries + 1, used_at = CASE WHEN hash = ? THEN CAST(? AS bigint) END"+
		" WHERE interaction_id = ? AND used_at IS NULL AND tries < ? AND expires_at > ? RETURNING "+columns(SentCode{}, "sent_codes", ""),
		hash, now, interaction, most, now).Scan(&rows).Error
	switch {
	case err != nil:
		return nil, translate(err)
	case len(rows) == 0:
		return nil, ErrNotFound
	}
	return &rows[0], nil
}
