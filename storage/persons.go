package storage

import "context"

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

// Persons returns up to limit persons whose id comes after the given one.
func (s *Store) Persons(ctx context.Context, after ID, limit int) ([]Person, error) {
	var ps []Person
	query := s.db(ctx).Order("id").Limit(limit)
	if after != "" {
		query = query.Where("id > ?", after)
	}
	return ps, translate(query.Find(&ps).Error)
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

// joinFirstEmail joins a person's first address as i: one row at most, also
// when several were added at the same moment.
func joinFirstEmail(person string) string {
	return "LEFT JOIN identifiers i ON i.person_id = " + person + " AND i.kind = 'email' AND i.value = " +
		"(SELECT value FROM identifiers WHERE person_id = " + person + " AND kind = 'email' ORDER BY created_at, value LIMIT 1)"
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

// DisablePerson closes an account: its sessions end, their clients have to be
// told, and its grants are revoked in the same breath. ErrNotFound: there is no such person, or they are
// disabled already.
func (s *Store) DisablePerson(ctx context.Context, id ID, now Time) error {
	return s.doAll(ctx, append(s.everywhere(id, "person disabled", now), write{
		text: "UPDATE persons SET disabled_at = ?, updated_at = ? WHERE id = ? AND disabled_at IS NULL", args: []any{now, now, id}, guard: ErrNotFound,
	})...)
}

// SignOutEverywhere ends every session of a person, notes which clients have to be
// told, and revokes every grant, with offline_access or without; why is for the
// audit.
func (s *Store) SignOutEverywhere(ctx context.Context, id ID, why string, now Time) error {
	return s.doAll(ctx, s.everywhere(id, why, now)...)
}

func (s *Store) everywhere(person ID, why string, now Time) []write {
	return append(s.endSessions("person_id", person, now, nil), write{
		text: "UPDATE grants SET revoked_at = ?, revoked_why = ? WHERE person_id = ? AND revoked_at IS NULL", args: []any{now, why, person},
	})
}

// PasswordOf returns a person's password hash, or ErrNotFound.
func (s *Store) PasswordOf(ctx context.Context, person ID) (*Password, error) {
	var p Password
	if err := take(s.db(ctx).Where("person_id = ?", person), &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// SetPassword replaces a person's password hash.
func (s *Store) SetPassword(ctx context.Context, p *Password) error {
	return s.do(ctx, s.insert(ctx, p, "ON CONFLICT (person_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at"))
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
