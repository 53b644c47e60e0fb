package storage

import (
	"context"
	"encoding/hex"
	"fmt"
)

// EventChain says how far the events are chained, and from where they are kept.
// There is one.
type EventChain struct {
	Name   string `gorm:"primaryKey"`
	Number int64  // the last number that was given
	Hash   []byte // of the event that has it
	First  int64  // the first number that is kept
	Anchor string // the signed head that stands for all events before First; "" while none is gone
}

// chainName is the key of the one EventChain, which a migration makes.
const chainName = "events"

// Chain returns how far the events are chained.
func (s *Store) Chain(ctx context.Context) (*EventChain, error) {
	var c EventChain
	if err := take(s.db(ctx).Where("name = ?", chainName), &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// ChainAndLast returns how far the events are chained, and the highest number that an
// event has at that moment, 0 if none has one. It is the chain's, unless somebody meddled.
func (s *Store) ChainAndLast(ctx context.Context) (*EventChain, int64, error) {
	var row struct {
		EventChain `gorm:"embedded"`
		Last       Number
	}
	const last = "(SELECT number FROM events WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1)"
	if err := take(s.db(ctx).Table("event_chains").Select("event_chains.*, "+last+" AS last").Where("name = ?", chainName), &row); err != nil {
		return nil, 0, err
	}
	return &row.EventChain, int64(row.Last), nil
}

// UnchainedEvents returns up to limit committed events that have no number yet,
// oldest first, from the first that comes after that one; nil is before them all. Who
// wants to chain them reads the chain before it.
func (s *Store) UnchainedEvents(ctx context.Context, after *Event, limit int) ([]Event, error) {
	query := s.db(ctx).Where("number IS NULL")
	if after != nil {
		query = query.Where("(created_at, id) > (?, ?)", after.CreatedAt, after.ID)
	}
	var es []Event
	err := query.Order("created_at, id").Limit(limit).Find(&es).Error
	return es, translate(err)
}

// ChainEvents gives events, which were read after the chain was, their Number, Hash
// and Personal, and moves the chain to the last of them, all at once. Of any number
// of callers that go on from the same chain one is carried out, and all others are
// ErrStale: so numbers have no gaps, and whoever sees one sees every one below it.
func (s *Store) ChainEvents(ctx context.Context, was *EventChain, events []Event) error {
	type link struct {
		ID       ID      `json:"id"`
		Number   Number  `json:"number"`
		Hash     string  `json:"hash"`
		Personal *string `json:"personal"`
	}
	links := make([]link, 0, len(events))
	for i := range events {
		l := link{ID: events[i].ID, Number: events[i].Number, Hash: hex.EncodeToString(events[i].Hash)}
		if events[i].Personal != nil {
			personal := hex.EncodeToString(events[i].Personal)
			l.Personal = &personal
		}
		links = append(links, l)
	}
	last := events[len(events)-1]
	from := "jsonb_to_recordset(CAST(? AS jsonb)) AS v(id uuid, number bigint, hash text, personal text)"
	unhex := "decode(v.%s, 'hex')"
	if s.dialect == onSQLite {
		from = "(SELECT value ->> 'id' AS id, value ->> 'number' AS number, value ->> 'hash' AS hash, value ->> 'personal' AS personal FROM json_each(?)) AS v"
		unhex = "unhex(v.%s)"
	}
	return s.doAll(ctx, write{
		text:  "UPDATE event_chains SET number = ?, hash = ? WHERE name = ? AND number = ? AND hash = ?",
		args:  []any{last.Number, last.Hash, chainName, was.Number, was.Hash},
		guard: ErrStale,
	}, write{
		text: "UPDATE events SET number = v.number, hash = " + fmt.Sprintf(unhex, "hash") + ", personal = " + fmt.Sprintf(unhex, "personal") +
			", origin = NULL FROM " + from + " WHERE events.id = v.id AND events.number IS NULL",
		args: []any{JSON[[]link]{links}},
	})
}

// ChainedEvents returns up to limit events whose numbers come after the given one,
// in their order. As numbers are given after the commit, a reader who goes on from
// the last one that it saw misses none.
func (s *Store) ChainedEvents(ctx context.Context, after int64, limit int) ([]Event, error) {
	var es []Event
	err := s.db(ctx).Where("number > ?", after).Order("number").Limit(limit).Find(&es).Error
	return es, translate(err)
}

// EventHead is a signed head of the chain: what it was when CreatedAt.
type EventHead struct {
	Number    int64 `gorm:"primaryKey;autoIncrement:false"`
	Token     string
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// CreateEventHead keeps a signed head; one of the same number stays as it is.
func (s *Store) CreateEventHead(ctx context.Context, h *EventHead) error {
	return s.do(ctx, s.insert(ctx, h, "ON CONFLICT (number) DO NOTHING"))
}

// EventHeads returns up to limit signed heads whose numbers come after the given
// one, in their order.
func (s *Store) EventHeads(ctx context.Context, after int64, limit int) ([]EventHead, error) {
	var hs []EventHead
	err := s.db(ctx).Where("number > ?", after).Order("number").Limit(limit).Find(&hs).Error
	return hs, translate(err)
}

// LastEventHead returns the signed head of the highest number up to the given one;
// ErrNotFound.
func (s *Store) LastEventHead(ctx context.Context, upTo int64) (*EventHead, error) {
	var h EventHead
	if err := take(s.db(ctx).Where("number <= ?", upTo).Order("number DESC"), &h); err != nil {
		return nil, err
	}
	return &h, nil
}

// DeleteEventHead takes out a signed head as it was read; ErrStale: it is another by
// now, or gone.
func (s *Store) DeleteEventHead(ctx context.Context, h *EventHead) error {
	return s.do(ctx, write{
		text: "DELETE FROM event_heads WHERE number = ? AND token = ?", args: []any{h.Number, h.Token},
		guard: ErrStale,
	})
}

// AnchorEvents gives up every event before first: from now on anchor, a signed
// head, stands for them. ErrStale: somebody else did so meanwhile. Their rows are
// TrimEvents's to delete.
func (s *Store) AnchorEvents(ctx context.Context, was *EventChain, first int64, anchor string) error {
	return s.do(ctx, write{
		text:  "UPDATE event_chains SET first = ?, anchor = ? WHERE name = ? AND first = ?",
		args:  []any{first, anchor, chainName, was.First},
		guard: ErrStale,
	})
}

// TrimEvents deletes up to batch of the events, and of the signed heads, before
// first, oldest first, and returns how many went. Who calls it knows that these were
// given up.
func (s *Store) TrimEvents(ctx context.Context, first int64, batch int) (int64, error) {
	var total int64
	for _, table := range []string{"events", "event_heads"} {
		res := s.db(ctx).Exec(fmt.Sprintf("DELETE FROM %[1]s WHERE number IN (SELECT number FROM %[1]s WHERE number < ? ORDER BY number LIMIT %[2]d)",
			table, batch), first)
		if res.Error != nil {
			return total, fmt.Errorf("trim %s: %w", table, translate(res.Error))
		}
		total += res.RowsAffected
	}
	return total, nil
}
