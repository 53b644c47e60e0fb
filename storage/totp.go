package storage

import "context"

// TOTP is an authenticator app of a person's (RFC 6238): unconfirmed until its first
// code, and nothing before that.
type TOTP struct {
	ID          ID `gorm:"primaryKey"`
	PersonID    ID
	Name        string
	Seed        []byte // sealed
	LastStep    int64  // the newest that was spent; neither it nor an older one works again
	CreatedAt   Time   `gorm:"autoCreateTime:false"`
	ConfirmedAt Time
	UsedAt      Time
	ExpiresAt   Time // of an unconfirmed one
	DoubtedAt   Time // since then it counts for nothing, until its person says whose it is
}

// BeginTOTP adds an unconfirmed authenticator. Of the person's unconfirmed ones most stay with
// it, the newest; those that are confirmed stay in any case.
func (s *Store) BeginTOTP(ctx context.Context, t *TOTP, most int) error {
	return s.doAll(ctx,
		write{
			text: "DELETE FROM totps WHERE person_id = ? AND confirmed_at IS NULL AND id NOT IN" +
				" (SELECT o.id FROM totps o WHERE o.person_id = ? AND o.confirmed_at IS NULL ORDER BY o.created_at DESC, o.id DESC LIMIT ?)",
			args: []any{t.PersonID, t.PersonID, most - 1},
		},
		s.insert(ctx, t, ""),
	)
}

// TOTPsOf returns a person's confirmed authenticators, those that are doubted among them, oldest first.
func (s *Store) TOTPsOf(ctx context.Context, person ID) ([]TOTP, error) {
	var ts []TOTP
	err := s.db(ctx).Where("person_id = ? AND confirmed_at IS NOT NULL", person).Order("created_at, id").Find(&ts).Error
	return ts, translate(err)
}

// totpsOf is the ids of a person's authenticators that count, as [Words], for a read of
// the person.
func totpsOf(person string) string {
	return "(SELECT string_agg(CAST(a.id AS text), ' ') FROM totps a WHERE a.confirmed_at IS NOT NULL AND a.doubted_at IS NULL AND a.person_id = " + person + ")"
}

// HasSecondFactor reports whether a person has a factor that a password can stand
// beside: an authenticator that counts, or where passkeys are used one of those.
func (s *Store) HasSecondFactor(ctx context.Context, person ID, passkeys bool) (has bool, err error) {
	err = s.db(ctx).Raw("SELECT EXISTS (SELECT 1 FROM totps WHERE person_id = ? AND confirmed_at IS NOT NULL AND doubted_at IS NULL)"+
		" OR ? AND EXISTS (SELECT 1 FROM passkeys WHERE person_id = ? AND doubted_at IS NULL)", person, passkeys, person).Row().Scan(&has)
	return has, translate(err)
}

// PendingTOTP returns a person's unconfirmed authenticator of this id, or ErrNotFound:
// it lapsed too.
func (s *Store) PendingTOTP(ctx context.Context, person, id ID, now Time) (*TOTP, error) {
	var t TOTP
	if err := take(s.db(ctx).Where("id = ? AND person_id = ? AND confirmed_at IS NULL AND expires_at > ?", id, person, now), &t); err != nil {
		return nil, err
	}
	return &t, nil
}

// ConfirmTOTP makes an unconfirmed authenticator one that counts, and spends the step
// that showed it to work. ErrNotFound: it lapsed or was confirmed, or the person has
// most confirmed ones.
func (s *Store) ConfirmTOTP(ctx context.Context, person, id ID, step int64, now Time, most int) error {
	return s.do(ctx, write{
		text: "UPDATE totps SET confirmed_at = ?, used_at = ?, last_step = ?, expires_at = NULL" +
			" WHERE id = ? AND person_id = ? AND confirmed_at IS NULL AND expires_at > ?" +
			" AND (SELECT count(*) FROM totps o WHERE o.person_id = ? AND o.confirmed_at IS NOT NULL) < ?",
		args:  []any{now, now, step, id, person, now, person, most},
		guard: ErrNotFound,
	})
}

// SpendTOTP uses a step of a confirmed authenticator up: of any number of calls with
// it, on any number of replicas, one returns nil, all others ErrSpent; so do all with
// an older one (RFC 6238 section 5.2).
func (s *Store) SpendTOTP(ctx context.Context, id ID, step int64, now Time) error {
	return s.do(ctx, write{
		text:  "UPDATE totps SET last_step = ?, used_at = ? WHERE id = ? AND last_step < ? AND confirmed_at IS NOT NULL AND doubted_at IS NULL",
		args:  []any{step, now, id, step},
		guard: ErrSpent,
	})
}

// RenameTOTP names a confirmed authenticator; ErrNotFound: the person has none of this id.
func (s *Store) RenameTOTP(ctx context.Context, person, id ID, name string) error {
	return s.do(ctx, write{
		text: "UPDATE totps SET name = ? WHERE id = ? AND person_id = ? AND confirmed_at IS NOT NULL", args: []any{name, id, person}, guard: ErrNotFound,
	})
}

// RemoveTOTP removes a confirmed authenticator, and no browser is remembered by it any
// more; ErrNotFound: the person has none of this id.
func (s *Store) RemoveTOTP(ctx context.Context, person, id ID) error {
	return s.doAll(ctx, write{
		text: "DELETE FROM totps WHERE id = ? AND person_id = ? AND confirmed_at IS NOT NULL", args: []any{id, person}, guard: ErrNotFound,
		locks: []waitFor{personAlone(person)},
	}, unremember(person, id))
}

// TrustTOTP has an authenticator count again; ErrNotFound: the person has none of this id that
// is doubted.
func (s *Store) TrustTOTP(ctx context.Context, person, id ID) error {
	return s.do(ctx, write{
		text: "UPDATE totps SET doubted_at = NULL WHERE id = ? AND person_id = ? AND doubted_at IS NOT NULL", args: []any{id, person}, guard: ErrNotFound,
	})
}
