package storage

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Time is a moment as the store keeps it: microseconds since 1970, UTC. The
// zero Time is NULL.
type Time struct{ time.Time }

// At returns t as the store will keep it, cut to the microsecond.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil //nolint:nilnil // NULL is the value
	}
	return t.UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time{time.UnixMicro(v).UTC()}
	default:
		return fmt.Errorf("storage: time from %T", src)
	}
	return nil
}

// ID is the key of a row: a UUID in text form. The empty ID is NULL.
type ID string

// NewID returns a fresh UUIDv7 (RFC 9562): sortable by the time of its making.
func NewID() ID { return ID(uuid.Must(uuid.NewV7()).String()) }

// ParseID returns s as an ID if it is a UUID in its canonical text form, else
// ErrNotFound: an id that comes from outside and has another form names no row.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s {
		return "", ErrNotFound
	}
	return ID(s), nil
}

// Value implements driver.Valuer. An ID of another form than ParseID takes is
// ErrNotFound on every database: Postgres would read some of them as the UUID
// that they resemble, and answer others with an error.
func (id ID) Value() (driver.Value, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // NULL is the value
	}
	if _, err := ParseID(string(id)); err != nil {
		return nil, err
	}
	return string(id), nil
}

// Scan implements sql.Scanner.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ""
	case string:
		*id = ID(v)
	case []byte:
		*id = ID(v)
	default:
		return fmt.Errorf("storage: id from %T", src)
	}
	return nil
}

// Number is a place in an order, from 1. Zero is NULL: none yet.
type Number int64

// Value implements driver.Valuer.
func (n Number) Value() (driver.Value, error) {
	if n == 0 {
		return nil, nil //nolint:nilnil // NULL is the value
	}
	return int64(n), nil
}

// Scan implements sql.Scanner.
func (n *Number) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n = 0
	case int64:
		*n = Number(v)
	default:
		return fmt.Errorf("storage: number from %T", src)
	}
	return nil
}

// JSON is a document column: T encoded by encoding/json.
type JSON[T any] struct{ V T }

// Document wraps v for a document column.
func Document[T any](v T) JSON[T] { return JSON[T]{v} }

// Value implements driver.Valuer.
func (j JSON[T]) Value() (driver.Value, error) {
	b, err := json.Marshal(j.V)
	if err != nil {
		return nil, fmt.Errorf("storage: encode %T: %w", j.V, err)
	}
	return string(b), nil
}

// Scan implements sql.Scanner.
func (j *JSON[T]) Scan(src any) error {
	var b []byte
	switch v := src.(type) {
	case nil:
		var zero T
		j.V = zero
		return nil
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("storage: document from %T", src)
	}
	if raw, ok := any(&j.V).(*Raw); ok { // whose reader decodes it, and says so if it cannot
		*raw = slices.Clone(b)
		return nil
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("storage: decode %T: %w", v, err)
	}
	j.V = v
	return nil
}

// Strings is a list of strings in a document column; nil is the empty list.
type Strings []string

// Value implements driver.Valuer.
func (s Strings) Value() (driver.Value, error) {
	if len(s) == 0 {
		return "[]", nil
	}
	return JSON[[]string]{s}.Value()
}

// Scan implements sql.Scanner.
func (s *Strings) Scan(src any) error {
	var j JSON[[]string]
	if err := j.Scan(src); err != nil {
		return err
	}
	*s = j.V
	return nil
}

// Has reports whether s contains v, exactly.
func (s Strings) Has(v string) bool {
	for _, e := range s {
		if e == v {
			return true
		}
	}
	return false
}

// Raw is a document that another room encodes and decodes.
type Raw = json.RawMessage
