package storage

import (
	"context"
	"fmt"
)

// swept lists what lapses: a table, its key, and what keeps a lapsed row all the same.
var swept = []struct{ table, key, but string }{
	{"interactions", "id", ""},
	{"revocations", "kind, id", " AND kind <> '" + RevokedKey + "'"}, // a key's row stays, and what it signed as evidence
	{"access_tokens", "hash", ""},
	{"throttles", "key", ""},
	{"spent_ids", "hash", ""},
	{"idempotency_keys", "hash", ""},
	{"setup_links", "name", ""},
	{"disown_links", "secret_hash", ""},
	{"totps", "id", ""}, // a confirmed one does not lapse
	{"mails", "id", ""},
	{"sent_codes", "interaction_id", ""},
	{"wrong_tries", "person_id, hour, method, browser, system", ""},
	{"devices", "id, person_id", ""},
	{"sessions", "id", " AND settles_at IS NULL"}, // its late clients would go with it, untold
	{"grants", "id", ""},
}

// Sweep deletes up to batch lapsed rows of each short-lived table, lets go of up to
// as many sessions that ended a while ago, and returns how many rows that was.
// Small batches keep the writers that run beside it quick.
func (s *Store) Sweep(ctx context.Context, now Time, batch int) (int64, error) {
	total, err := s.settle(ctx, now, batch)
	if err != nil {
		return 0, fmt.Errorf("sweep: settle sessions: %w", err)
	}
	for _, t := range swept {
		res := s.db(ctx).Exec(fmt.Sprintf("DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE expires_at < ?%[3]s LIMIT %[4]d)",
			t.table, t.key, t.but, batch), now)
		if res.Error != nil {
			return total, fmt.Errorf("sweep %s: %w", t.table, translate(res.Error))
		}
		total += res.RowsAffected
		if told := s.observer.Load(); told != nil {
			(*told).Swept(t.table, res.RowsAffected)
		}
	}
	return total, nil
}
