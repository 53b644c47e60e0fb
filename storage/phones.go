package storage

import "context"

// Phone is a mobile of a person's: they read what is sent there.
type Phone struct {
	ID         ID `gorm:"primaryKey"`
	PersonID   ID
	Number     string // E.164
	VerifiedAt Time   // when they showed it
	UsedAt     Time
	DoubtedAt  Time // since then it counts for nothing, until its person says whose it is
}

// PhonesOf returns a person's phones, those that are doubted among them, oldest first.
func (s *Store) PhonesOf(ctx context.Context, person ID) ([]Phone, error) {
	var ps []Phone
	err := s.db(ctx).Where("person_id = ?", person).Order("verified_at, id").Find(&ps).Error
	return ps, translate(err)
}

// phonesOf selects the ids of those of a person's phones that count.
func phonesOf(person string) string {
	return "(SELECT string_agg(CAST(n.id AS text), ' ') FROM phones n WHERE n.doubted_at IS NULL AND n.person_id = " + person + ")"
}

// UsePhone notes that a code was right that was sent to a phone; ErrNotFound: the person has none
// of this id and number that counts, any more.
func (s *Store) UsePhone(ctx context.Context, person, id ID, number string, now Time) error {
	return s.do(ctx, write{
		text: "UPDATE phones SET used_at = ? WHERE id = ? AND person_id = ? AND number = ? AND doubted_at IS NULL",
		args: []any{now, id, person, number}, guard: ErrNotFound,
	})
}

// VerifyPhone adds a phone, while its person has fewer than most. One that they have and that
// is doubted is a new one from now on: what the old one proved goes on counting for nothing.
// ErrConflict: they have it, or too many, or what it relies on is not so any more.
func (s *Store) VerifyPhone(ctx context.Context, p *Phone, most int, relies ...Provided) error {
	w := s.insert(ctx, p, "ON CONFLICT (person_id, number) DO UPDATE SET id = excluded.id, verified_at = excluded.verified_at, used_at = NULL, doubted_at = NULL"+
		" WHERE phones.doubted_at IS NOT NULL")
	w = w.onlyIf("((SELECT count(*) FROM phones o WHERE o.person_id = ?) < ?"+
		" OR EXISTS (SELECT 1 FROM phones o WHERE o.person_id = ? AND o.number = ?))", p.PersonID, most, p.PersonID, p.Number).provided(relies)
	w.guard, w.locks = ErrConflict, []waitFor{personAlone(p.PersonID)}
	return s.do(ctx, w)
}

// RemovePhone removes a phone, and no browser is remembered by it any more; ErrNotFound: the
// person has none of this id.
func (s *Store) RemovePhone(ctx context.Context, person, id ID) error {
	return s.doAll(ctx, write{
		text: "DELETE FROM phones WHERE id = ? AND person_id = ?", args: []any{id, person}, guard: ErrNotFound,
		locks: []waitFor{personAlone(person)},
	}, unremember(person, id))
}

// TrustPhone has a phone count again; ErrNotFound: the person has none of this id that is doubted.
func (s *Store) TrustPhone(ctx context.Context, person, id ID) error {
	return s.do(ctx, write{
		text: "UPDATE phones SET doubted_at = NULL WHERE id = ? AND person_id = ? AND doubted_at IS NOT NULL", args: []any{id, person}, guard: ErrNotFound,
	})
}
