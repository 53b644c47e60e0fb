package storage

import (
	"context"
	"fmt"
)

// swept lists what lapses: a table, its expiry and its key.
var swept = []struct{ table, key string }{
	{"interactions", "id"},
	{"revocations", "kind, id"},
	{"access_tokens", "hash"},
	{"throttles", "key"},
	{"spent_ids", "hash"},
	{"devices", "id, person_id"},
	{"sessions", "id"},
	{"grants", "id"},
}

// Sweep deletes up to batch lapsed rows of each short-lived table and returns
// how many went. Small batches keep the writers that run beside it quick.
func (s *Store) Sweep(ctx context.Context, now Time, batch int) (int64, error) {
	var total int64
	for _, t := range swept {
		res := s.db(ctx).Exec(fmt.Sprintf("DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE expires_at < ? LIMIT %[3]d)", t.table, t.key, batch), now)
		if res.Error != nil {
			return total, fmt.Errorf("sweep %s: %w", t.table, translate(res.Error))
		}
		total += res.RowsAffected
	}
	return total, nil
}
