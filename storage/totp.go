package storage

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

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
	// Wrong is how many codes were tried since the last right one, and StoppedAt since when none
	// is looked at any more: it proves nothing, but what it guards stays guarded.
	Wrong     int64
	StoppedAt Time
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
func totpsOf(person, which string) string {
	return "(SELECT string_agg(CAST(a.id AS text), ' ') FROM totps a WHERE a.confirmed_at IS NOT NULL AND a.doubted_at IS NULL AND a.person_id = " + person + which + ")"
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

// triedTOTPs are the authenticators at which a person's code is tried.
const triedTOTPs = "person_id = ? AND confirmed_at IS NOT NULL AND doubted_at IS NULL AND stopped_at IS NULL"

// TryTOTPs counts a try at a person's authenticators, before the code is looked at, and returns
// them, oldest first: each with how many tries there were since the last right code, this one
// included. One atomic statement: of any number of calls, on any number of replicas, no two
// return the same count.
func (s *Store) TryTOTPs(ctx context.Context, person ID) ([]TOTP, error) {
	inTurn := ""
	if s.dialect == onPostgres { // who tries at the same moment locks them in the same order
		inTurn = " ORDER BY id FOR UPDATE"
	}
	var ts []TOTP
	err := s.db(ctx).Raw("UPDATE totps SET wrong = wrong + 1 WHERE id IN (SELECT id FROM totps WHERE "+triedTOTPs+inTurn+") RETURNING *", person).Scan(&ts).Error
	slices.SortFunc(ts, func(a, b TOTP) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt.Time), strings.Compare(string(a.ID), string(b.ID)))
	})
	return ts, translate(err)
}

// SpendTOTP uses a step of one of a person's authenticators up that a try was counted at, and no try
// stands against it or their others any more: of any number of calls with the step, on any number
// of replicas, one returns nil, all others ErrSpent; so do all with an older one (RFC 6238
// section 5.2).
func (s *Store) SpendTOTP(ctx context.Context, tried []TOTP, id ID, step int64, now Time) error {
	spent := write{
		text: "UPDATE totps SET last_step = ?, used_at = ?, wrong = 0 WHERE id = ? AND last_step < ?" +
			" AND confirmed_at IS NOT NULL AND doubted_at IS NULL AND stopped_at IS NULL",
		args:  []any{step, now, id, step},
		guard: ErrSpent,
	}
	if len(tried) < 2 {
		return s.do(ctx, spent)
	}
	person := tried[0].PersonID
	spent.locks = []waitFor{{"SELECT 1 FROM totps WHERE person_id = ? ORDER BY id FOR UPDATE", []any{person}}} // as TryTOTPs
	return s.doAll(ctx, spent, write{text: "UPDATE totps SET wrong = 0 WHERE " + triedTOTPs + " AND id <> ?", args: []any{person, id}})
}

// StopTOTP stops an authenticator at which so many codes were tried; ErrSpent: it is stopped
// already, or a right code came.
func (s *Store) StopTOTP(ctx context.Context, id ID, tries int64, now Time) error {
	return s.do(ctx, write{
		text: "UPDATE totps SET stopped_at = ? WHERE id = ? AND stopped_at IS NULL AND wrong >= ?", args: []any{now, id, tries}, guard: ErrSpent,
	})
}

// LiftTOTP has codes of a stopped authenticator looked at again; ErrNotFound: the person has none
// of this id that is stopped.
func (s *Store) LiftTOTP(ctx context.Context, person, id ID) error {
	return s.do(ctx, write{
		text: "UPDATE totps SET stopped_at = NULL, wrong = 0 WHERE id = ? AND person_id = ? AND stopped_at IS NOT NULL", args: []any{id, person}, guard: ErrNotFound,
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
