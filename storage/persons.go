package storage

import (
	"context"
	"unicode/utf8"
)

// Person is somebody who signs in.
type Person struct {
	ID         ID     `gorm:"primaryKey"`
	Sub        string // the public subject: random, never used again
	Name       string
	Locale     string // BCP 47; "" while unknown
	Claims     JSON[Raw]
	CreatedAt  Time `gorm:"autoCreateTime:false"`
	UpdatedAt  Time `gorm:"autoUpdateTime:false"`
	DisabledAt Time
	// PasskeyOfferAt is when they may be offered a passkey again; zero: they never skipped it.
	PasskeyOfferAt Time
	Asking         string // policy's Asking; "" for the default
	// SignedOutAt is when all of their sessions were ended last, which ends whatever is on the
	// way to one as well: see [Store.LoadRecovering].
	SignedOutAt Time
}

// SetAsking notes how often a person wants to be asked for a second factor; ErrNotFound:
// there is no such person.
func (s *Store) SetAsking(ctx context.Context, person ID, asking string) error {
	return s.do(ctx, write{text: "UPDATE persons SET asking = ? WHERE id = ?", args: []any{asking, person}, guard: ErrNotFound})
}

// TableName implements gorm's Tabler: left to itself it would say "people".
func (Person) TableName() string { return "persons" }

// Identifier is a name by which a person is found: canonical in Value, as the
// person wrote it in Display.
type Identifier struct {
	Kind       string `gorm:"primaryKey"` // "email"
	Value      string `gorm:"primaryKey"`
	PersonID   ID
	Display    string
	VerifiedAt Time
	CreatedAt  Time `gorm:"autoCreateTime:false"`
}

// Password is a person's password hash, argon2id in PHC form.
type Password struct {
	PersonID  ID `gorm:"primaryKey"`
	Hash      string
	ChangedAt Time
}

// Person returns the person with this id, disabled or not, or ErrNotFound.
func (s *Store) Person(ctx context.Context, id ID) (*Person, error) {
	var p Person
	if err := take(s.db(ctx).Where("id = ?", id), &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// PersonBySub returns the person with this public subject, disabled or not, or
// ErrNotFound.
func (s *Store) PersonBySub(ctx context.Context, sub string) (*Person, error) {
	var p Person
	if err := take(s.db(ctx).Where("sub = ?", sub), &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// Persons returns a page of all persons, by id: the oldest account first.
func (s *Store) Persons(ctx context.Context, p Page) (List[Person], error) {
	after, err := p.afterID()
	if err != nil {
		return List[Person]{}, err
	}
	var ps []Person
	err = s.db(ctx).Where("id > ?", after).Order("id").Limit(p.more()).Find(&ps).Error
	return page(ps, p, func(p *Person) string { return string(p.ID) }), translate(err)
}

// PersonsIdentified returns a page of the persons who have an identifier of this kind
// that begins with prefix, by that identifier, byte by byte: somebody with two of them is there
// twice.
func (s *Store) PersonsIdentified(ctx context.Context, kind, prefix string, p Page) (List[Person], error) {
	after, err := p.afterText()
	if err != nil {
		return List[Person]{}, err
	}
	var rows []struct {
		Person Person `gorm:"embedded;embeddedPrefix:person_"`
		Value  string
	}
	value := "i.value" + s.bytewise()
	err = s.db(ctx).Table("identifiers i").Select(columns(Person{}, "p", "person_")+", "+value+" AS value").
		Joins("JOIN persons p ON p.id = i.person_id").
		Where("i.kind = ? AND "+value+" >= ? AND "+value+" < ? AND "+value+" > ?", kind, prefix, prefix+string(utf8.MaxRune), after).
		Order("value").Limit(p.more()).Find(&rows).Error
	found := List[Person]{Items: make([]Person, 0, min(len(rows), p.limit()))}
	for i := range rows[:min(len(rows), p.limit())] {
		found.Items = append(found.Items, rows[i].Person)
	}
	if len(rows) > p.limit() {
		found.Next = rows[p.limit()-1].Value
	}
	return found, translate(err)
}

// PersonIdentified returns whom a canonical identifier belongs to and the
// identifier itself, or ErrNotFound.
func (s *Store) PersonIdentified(ctx context.Context, kind, value string) (*Person, *Identifier, error) {
	var row struct {
		Person     Person     `gorm:"embedded;embeddedPrefix:person_"`
		Identifier Identifier `gorm:"embedded;embeddedPrefix:identifier_"`
	}
	err := take(s.db(ctx).Table("identifiers i").
		Select(columns(Person{}, "p", "person_")+", "+columns(Identifier{}, "i", "identifier_")).
		Joins("JOIN persons p ON p.id = i.person_id").
		Where("i.kind = ? AND i.value = ?", kind, value), &row)
	if err != nil {
		return nil, nil, err
	}
	return &row.Person, &row.Identifier, nil
}

// Identifiers returns a person's identifiers, oldest first.
func (s *Store) Identifiers(ctx context.Context, person ID) ([]Identifier, error) {
	var ids []Identifier
	err := s.db(ctx).Where("person_id = ?", person).Order("created_at, value").Find(&ids).Error
	return ids, translate(err)
}

// IdentifiersOf returns the identifiers of these persons, of each the oldest first.
func (s *Store) IdentifiersOf(ctx context.Context, persons []ID) (map[ID][]Identifier, error) {
	if len(persons) == 0 {
		return nil, nil //nolint:nilnil // nobody has none
	}
	var ids []Identifier
	if err := s.db(ctx).Where(s.among("person_id"), JSON[[]ID]{persons}).Order("created_at, value").Find(&ids).Error; err != nil {
		return nil, translate(err)
	}
	of := make(map[ID][]Identifier, len(persons))
	for _, i := range ids {
		of[i.PersonID] = append(of[i.PersonID], i)
	}
	return of, nil
}

// joinFirstEmail joins a person's first address as i: one row at most, also
// when several were added at the same moment.
func joinFirstEmail(person string) string {
	return "LEFT JOIN identifiers i ON i.person_id = " + person + " AND i.kind = 'email' AND i.value = " +
		"(SELECT value FROM identifiers WHERE person_id = " + person + " AND kind = 'email' ORDER BY created_at, value LIMIT 1)"
}

// personAlone is the lock of who changes much of one person's at once, or relies on what
// stands there: one after the other. Rows that name the person are written beside it.
func personAlone(id ID) waitFor {
	return waitFor{"SELECT 1 FROM persons WHERE id = ? FOR NO KEY UPDATE", []any{id}}
}

// CreatePerson adds a person.
func (s *Store) CreatePerson(ctx context.Context, p *Person) error {
	return s.do(ctx, s.insert(ctx, p, ""))
}

// UpdatePerson writes what may be told about a person who was last changed at was;
// ErrStale: they were changed since, or are gone.
func (s *Store) UpdatePerson(ctx context.Context, p *Person, was Time) error {
	return s.do(ctx, write{
		text:  "UPDATE persons SET name = ?, locale = ?, claims = ?, updated_at = ? WHERE id = ? AND updated_at = ?",
		args:  []any{p.Name, p.Locale, p.Claims, p.UpdatedAt, p.ID, was},
		guard: ErrStale,
	})
}

// CreateIdentifier adds an identifier; ErrConflict: somebody has it.
func (s *Store) CreateIdentifier(ctx context.Context, i *Identifier) error {
	return s.do(ctx, s.insert(ctx, i, ""))
}

// DisablePerson closes an account, which is a change later than any before it: its
// sessions end, their clients have to be told, and its grants are revoked in the same
// breath. ErrNotFound: there is no such person, they are disabled already, or
// [Store.LastOperator] says why not.
func (s *Store) DisablePerson(ctx context.Context, id ID, now Time) error {
	return s.doAll(ctx, append(s.everywhere(id, "person disabled", now), unlessLast(write{
		text: "UPDATE persons SET disabled_at = ?, signed_out_at = ?, updated_at = CASE WHEN updated_at >= ? THEN updated_at + 1 ELSE ? END WHERE id = ? AND disabled_at IS NULL",
		args: []any{now, now, now, now, id}, guard: ErrNotFound,
	}, id))...)
}

// EnablePerson opens an account again that was disabled; what ended then stays
// ended. ErrNotFound: there is no such person, or they are not disabled.
func (s *Store) EnablePerson(ctx context.Context, id ID, now Time) error {
	return s.do(ctx, write{
		text: "UPDATE persons SET disabled_at = NULL, updated_at = ? WHERE id = ? AND disabled_at IS NOT NULL", args: []any{now, id}, guard: ErrNotFound,
	})
}

// DeletePerson removes a disabled person with all that is theirs: identifiers,
// proofs, sessions, devices, grants, consents, memberships, history, decisions and wrong tries.
// Notices of logouts stay until they are told, and events as they are. ErrNotFound:
// there is no such person, they are not disabled, or [Store.LastOperator] says why not.
func (s *Store) DeletePerson(ctx context.Context, id ID) error {
	return s.doAll(ctx,
		unlessLast(write{text: "DELETE FROM persons WHERE id = ? AND disabled_at IS NOT NULL", args: []any{id}, guard: ErrNotFound}, id), // the rest of it cascades
		write{text: "DELETE FROM decisions WHERE person_id = ?", args: []any{id}},
		write{text: "DELETE FROM wrong_tries WHERE person_id = ?", args: []any{id}},
	)
}

// SignOutEverywhere ends every session of a person, notes which clients have to be
// told, and revokes every grant, with offline_access or without, and no browser spares
// its person from a second factor any more; why is for the audit.
func (s *Store) SignOutEverywhere(ctx context.Context, id ID, why string, now Time) error {
	return s.doAll(ctx, append(s.everywhere(id, why, now), signedOut(id, now))...)
}

// SignOutElsewhere is SignOutEverywhere but for one session and its grants.
func (s *Store) SignOutElsewhere(ctx context.Context, id, here ID, why string, now Time) error {
	return s.doAll(ctx, append(s.endSessionsOf(now, id, here), write{
		text: "UPDATE grants SET revoked_at = ?, revoked_why = ? WHERE person_id = ? AND (session_id IS NULL OR session_id <> ?) AND revoked_at IS NULL",
		args: []any{now, why, id, here},
	}, unrememberAll(id))...)
}

// signedOut notes that all sessions of a person end.
func signedOut(person ID, now Time) write {
	return write{text: "UPDATE persons SET signed_out_at = ? WHERE id = ?", args: []any{now, person}}
}

func (s *Store) everywhere(person ID, why string, now Time) []write {
	return append(s.endSessionsOf(now, person, ""), write{
		text: "UPDATE grants SET revoked_at = ?, revoked_why = ? WHERE person_id = ? AND revoked_at IS NULL", args: []any{now, why, person},
	}, unrememberAll(person))
}

// PasswordOf returns a person's password hash, or ErrNotFound.
func (s *Store) PasswordOf(ctx context.Context, person ID) (*Password, error) {
	var p Password
	if err := take(s.db(ctx).Where("person_id = ?", person), &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// HavePasswords returns which of these persons have a password.
func (s *Store) HavePasswords(ctx context.Context, persons []ID) (map[ID]bool, error) {
	if len(persons) == 0 {
		return nil, nil //nolint:nilnil // nobody has none
	}
	var ids []ID
	if err := s.db(ctx).Model(&Password{}).Where(s.among("person_id"), JSON[[]ID]{persons}).Pluck("person_id", &ids).Error; err != nil {
		return nil, translate(err)
	}
	have := make(map[ID]bool, len(ids))
	for _, id := range ids {
		have[id] = true
	}
	return have, nil
}

// CreatePassword adds a person's first password hash; ErrConflict: they have one.
func (s *Store) CreatePassword(ctx context.Context, p *Password) error {
	return s.do(ctx, s.insert(ctx, p, ""))
}

// SetPassword replaces a person's password hash, later than the one before by the clock
// of any replica: see [PasswordOf].
func (s *Store) SetPassword(ctx context.Context, p *Password) error {
	w := s.insert(ctx, p, "ON CONFLICT (person_id) DO UPDATE SET hash = excluded.hash, changed_at ="+
		" CASE WHEN passwords.changed_at >= excluded.changed_at THEN passwords.changed_at + 1 ELSE excluded.changed_at END")
	w.locks = []waitFor{personAlone(p.PersonID)}
	return s.do(ctx, w)
}

// PasswordOf is that a person's password is the one that was set then.
func PasswordOf(person ID, at Time) Provided {
	return Provided{"EXISTS (SELECT 1 FROM passwords WHERE person_id = ? AND changed_at = ?)", []any{person, at}}
}

// RehashPassword replaces a hash by another of the same password; ErrStale: it
// was changed meanwhile.
func (s *Store) RehashPassword(ctx context.Context, person ID, old, fresh string) error {
	return s.do(ctx, write{
		text:  "UPDATE passwords SET hash = ? WHERE person_id = ? AND hash = ?",
		args:  []any{fresh, person, old},
		guard: ErrStale,
	})
}

// DeferPasskeyOffer notes when a person may be offered a passkey again.
func (s *Store) DeferPasskeyOffer(ctx context.Context, person ID, until Time) error {
	return s.do(ctx, write{text: "UPDATE persons SET passkey_offer_at = ? WHERE id = ?", args: []any{until, person}})
}

// VerifyIdentifier notes that an identifier is its person's: one that they have, since when
// it was first verified, or, while they have fewer than most, a new one. ErrConflict: somebody else has it, they have too
// many, or what it relies on is not so any more.
func (s *Store) VerifyIdentifier(ctx context.Context, i *Identifier, most int, relies ...Provided) error {
	w := s.insert(ctx, i, "ON CONFLICT (kind, value) DO UPDATE SET verified_at = COALESCE(identifiers.verified_at, excluded.verified_at), display = excluded.display"+
		" WHERE identifiers.person_id = excluded.person_id")
	w = w.onlyIf("((SELECT count(*) FROM identifiers o WHERE o.person_id = ?) < ?"+
		" OR EXISTS (SELECT 1 FROM identifiers o WHERE o.kind = ? AND o.value = ?))", i.PersonID, most, i.Kind, i.Value).provided(relies)
	w.guard, w.locks = ErrConflict, lockPerson(i.PersonID)
	return s.doAll(ctx, w, touchPerson(i.PersonID, i.VerifiedAt))
}

// RemoveIdentifier takes an identifier away from its person. ErrStale: they have it not, or no
// other one that stands in for it: one that was verified before it, or, if it never was, before it
// was there; or by the time settled.
func (s *Store) RemoveIdentifier(ctx context.Context, kind, value string, person ID, settled, now Time) error {
	return s.doAll(ctx, write{
		text: "DELETE FROM identifiers WHERE kind = ? AND value = ? AND person_id = ?" +
			" AND EXISTS (SELECT 1 FROM identifiers o WHERE o.person_id = ? AND (o.kind <> ? OR o.value <> ?)" +
			" AND (o.verified_at < COALESCE(identifiers.verified_at, identifiers.created_at) OR o.verified_at <= ?))",
		args: []any{kind, value, person, person, kind, value, settled}, guard: ErrStale, locks: lockPerson(person),
	}, touchPerson(person, now))
}

func lockPerson(person ID) []waitFor {
	return []waitFor{{"SELECT 1 FROM persons WHERE id = ? FOR UPDATE", []any{person}}}
}

// touchPerson notes a change of what is told about a person, later than any before it.
func touchPerson(person ID, now Time) write {
	return write{
		text: "UPDATE persons SET updated_at = CASE WHEN updated_at >= ? THEN updated_at + 1 ELSE ? END WHERE id = ?", args: []any{now, now, person},
	}
}
