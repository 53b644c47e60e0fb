package storage

import (
	"context"
	"encoding/hex"
)

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
	if err := s.db(ctx).Where(s.among("person_id"), JSON[[]ID]{persons}).Find(&rows).Error; err != nil {
		return nil, translate(err)
	}
	salts := make(map[ID][]byte, len(rows))
	for _, row := range rows {
		salts[row.PersonID] = row.Salt
	}
	return salts, nil
}

// CreatePersonSalts gives people these salts, in one statement, those aside who have
// one, or are in the directory no more.
func (s *Store) CreatePersonSalts(ctx context.Context, made Time, salts map[ID][]byte) error {
	given := make(map[ID]string, len(salts))
	for person, salt := range salts {
		given[person] = hex.EncodeToString(salt)
	}
	from, unhex := "jsonb_each_text(CAST(? AS jsonb))", "decode(v.value, 'hex')"
	id := "CAST(v.key AS uuid)"
	if s.dialect == onSQLite {
		from, unhex, id = "json_each(?)", "unhex(v.value)", "v.key"
	}
	return s.do(ctx, write{
		text: "INSERT INTO person_salts (person_id, salt, created_at) SELECT p.id, " + unhex + ", ? FROM " + from + " AS v, persons p WHERE p.id = " + id,
		args: []any{made, JSON[map[ID]string]{given}},
		rest: " ORDER BY p.id ON CONFLICT (person_id) DO NOTHING", // in one order: two at once wait for each other no more than once
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
