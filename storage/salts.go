package storage

import "context"

// PersonSalt is what keeps the personal part of a person's events readable: it goes
// with the person, or before, and they are sealed for good.
type PersonSalt struct {
	PersonID  ID     `gorm:"primaryKey"`
	Salt      []byte // 32 random bytes
	CreatedAt Time   `gorm:"autoCreateTime:false"`
}

// PersonSalts returns the salts of those of these people who have one.
func (s *Store) PersonSalts(ctx context.Context, persons []ID) (map[ID][]byte, error) {
	var rows []PersonSalt
	if err := s.db(ctx).Where("person_id IN ?", persons).Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	salts := make(map[ID][]byte, len(rows))
	for _, row := range rows {
		salts[row.PersonID] = row.Salt
	}
	return salts, nil
}

// CreatePersonSalt gives a person a salt, unless they have one, or are in the
// directory no more.
func (s *Store) CreatePersonSalt(ctx context.Context, p *PersonSalt) error {
	return s.do(ctx, write{
		text: "INSERT INTO person_salts (person_id, salt, created_at) SELECT id, ?, ? FROM persons WHERE id = ?",
		args: []any{p.Salt, p.CreatedAt, p.PersonID}, rest: " ON CONFLICT (person_id) DO NOTHING",
	})
}

// ErasePersonSalt makes what is personal in a person's events unreadable for good,
// and takes it out of those that are not chained yet.
func (s *Store) ErasePersonSalt(ctx context.Context, person ID) error {
	return s.doAll(ctx,
		write{text: "DELETE FROM person_salts WHERE person_id = ?", args: []any{person}},
		write{
			text: "UPDATE events SET origin = NULL, personal = NULL WHERE number IS NULL AND (person_id = ? OR actor_id = ?)",
			args: []any{person, string(person)},
		},
	)
}
