package storage

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// Purposes of what is sealed: what the keys room seals for one of them, and a row's
// key, it opens for no other.
const (
	PurposeSecret = "secret"
	PurposeKey    = "signing-key"
	PurposeOrigin = "event-origin"
	PurposeAnswer = "idempotency-answer"
	PurposeTOTP   = "totp-seed"
	PurposeMail   = "mail"
)

// SealedColumn is a column that holds what the keys room sealed for Purpose and the
// text of the row's Key, or NULL.
type SealedColumn struct{ Table, Key, Column, Purpose string }

// SealedColumns returns every column that holds something sealed: what another
// key-encryption key has to wrap anew. The secrets are last, since a start opens
// them first: it goes by the old key until nothing else needs that.
func SealedColumns() []SealedColumn {
	return []SealedColumn{
		{"events", "id", "origin", PurposeOrigin},
		{"idempotency_keys", "hash", "answer", PurposeAnswer},
		{"totps", "id", "seed", PurposeTOTP},
		{"keys", "kid", "sealed", PurposeKey},
		{"mails", "id", "sealed", PurposeMail},
		{"secrets", "name", "sealed", PurposeSecret},
	}
}

// SealedRow is one value of a sealed column, by the key of its row.
type SealedRow struct {
	Key    any // string or []byte, as the database has it
	Sealed []byte
}

// ID returns the text of the row's key, which its value was sealed for.
func (r SealedRow) ID() string {
	if b, ok := r.Key.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(r.Key)
}

// CountSealed returns how many values of a column begin with which size bytes.
func (s *Store) CountSealed(ctx context.Context, c SealedColumn, size int) (map[string]int64, error) {
	rows, err := s.db(ctx).Raw(fmt.Sprintf("SELECT substr(%[2]s, 1, %[3]d), count(*) FROM %[1]s WHERE %[2]s IS NOT NULL GROUP BY 1", c.Table, c.Column, size)).Rows()
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err says what there is to say
	counts := map[string]int64{}
	for rows.Next() {
		var (
			prefix []byte
			count  int64
		)
		if err := rows.Scan(&prefix, &count); err != nil {
			return nil, translate(err)
		}
		counts[string(prefix)] = count
	}
	return counts, translate(rows.Err())
}

// SealedRows returns up to limit values of a column that do not begin with prefix,
// in the order of their keys, from the first after that one; nil is before them all.
func (s *Store) SealedRows(ctx context.Context, c SealedColumn, prefix []byte, after any, limit int) ([]SealedRow, error) {
	query := fmt.Sprintf("SELECT %[2]s, %[3]s FROM %[1]s WHERE %[3]s IS NOT NULL AND substr(%[3]s, 1, %[4]d) <> ?", c.Table, c.Key, c.Column, len(prefix))
	args := []any{prefix}
	if after != nil {
		query += fmt.Sprintf(" AND %s > ?", c.Key)
		args = append(args, after)
	}
	rows, err := s.db(ctx).Raw(query+fmt.Sprintf(" ORDER BY %s LIMIT %d", c.Key, limit), args...).Rows()
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close() //nolint:errcheck // Err says what there is to say
	var out []SealedRow
	for rows.Next() {
		var row SealedRow
		if err := rows.Scan(&row.Key, &row.Sealed); err != nil {
			return nil, translate(err)
		}
		out = append(out, row)
	}
	return out, translate(rows.Err())
}

// ReplaceSealed puts fresh[i] in the place of was[i], in one transaction, and returns
// how many values it replaced: one that is another by now, or gone, is left alone.
func (s *Store) ReplaceSealed(ctx context.Context, c SealedColumn, was []SealedRow, fresh [][]byte) (int64, error) {
	var replaced int64
	err := s.db(ctx).Transaction(func(tx *gorm.DB) error {
		for i, row := range was {
			res := tx.Exec(fmt.Sprintf("UPDATE %[1]s SET %[3]s = ? WHERE %[2]s = ? AND %[3]s = ?", c.Table, c.Key, c.Column), fresh[i], row.Key, row.Sealed)
			if res.Error != nil {
				return res.Error
			}
			replaced += res.RowsAffected
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("replace what is sealed in %s: %w", c.Table, translate(err))
	}
	return replaced, nil
}

// Alone runs fn while nobody else writes to a SQLite database, and so no second
// caller of Alone either, in whatever process.
func (s *Store) Alone(ctx context.Context, fn func() error) error {
	return translate(s.db(ctx).Transaction(func(*gorm.DB) error { return fn() }))
}
