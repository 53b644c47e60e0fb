package events

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// batch is how many events are chained, walked or trimmed at once: few enough that
// whoever else writes never waits long.
const batch = 500

// link is what a hash covers, in this order: all that an event says, with what is
// personal as it is sealed.
type link struct {
	Number    storage.Number  `json:"number"`
	ID        storage.ID      `json:"id"`
	Kind      string          `json:"kind"`
	Outcome   string          `json:"outcome"`
	Actor     string          `json:"actor"`
	ActorID   string          `json:"actor_id"`
	PersonID  storage.ID      `json:"person_id"`
	ClientID  string          `json:"client_id"`
	RequestID string          `json:"request_id"`
	Document  json.RawMessage `json:"document"`
	Personal  []byte          `json:"personal"`
	CreatedAt int64           `json:"created_at"` // microseconds since 1970
}

// hash returns SHA-256(hash of the event before || the event as JSON).
func hash(before []byte, e *storage.Event) ([]byte, error) {
	text, err := json.Marshal(link{
		e.Number, e.ID, e.Kind, e.Outcome, e.Actor, e.ActorID, e.PersonID, e.ClientID, e.RequestID,
		canonical(e.Document.V), e.Personal, e.CreatedAt.UnixMicro(),
	})
	if err != nil {
		return nil, fmt.Errorf("events: hash: %w", err)
	}
	sum := sha256.New()
	sum.Write(before)
	sum.Write(text)
	return sum.Sum(nil), nil
}

// canonical returns a document with sorted members and no white space: a database
// may spell it in its own way. What is no JSON any more is told apart from all that is.
func canonical(document []byte) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var v any
	err := decoder.Decode(&v)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	if err != nil {
		v = []any{"broken", document}
	}
	text, err := json.Marshal(v)
	if err != nil { // what was just decoded is encoded
		return json.RawMessage("null")
	}
	return text
}

// Sequence chains every event that is committed and has no number yet, batch by
// batch, and returns how many it did. Every replica may call it at any time: who
// finds that another one is at it leaves the rest to that one.
func (s *Service) Sequence(ctx context.Context) (int, error) {
	for total := 0; ; {
		n, err := s.sequence(ctx)
		total += n
		if errors.Is(err, storage.ErrStale) {
			return total, nil
		}
		if err != nil {
			return total, fmt.Errorf("events: sequence: %w", err)
		}
		if n < batch {
			s.waiting.Store(0)
			return total, nil
		}
	}
}

// sequence chains one batch, whole or not at all.
func (s *Service) sequence(ctx context.Context) (int, error) {
	// The chain is read first: rows that were read before it might have been chained
	// by somebody else in between, and it would be moved without them.
	chain, err := s.store.Chain(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := s.store.UnchainedEvents(ctx, batch)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	s.waiting.Store(rows[0].CreatedAt.UnixMicro())
	known, err := s.makeSalts(ctx, rows)
	if err != nil {
		return 0, err
	}
	before := chain.Hash
	for i := range rows {
		e := &rows[i]
		if err := s.sealForPeople(e, known); err != nil {
			return 0, err
		}
		e.Number = storage.Number(chain.Number + int64(i) + 1)
		if e.Hash, err = hash(before, e); err != nil {
			return 0, err
		}
		before = e.Hash
	}
	if err := s.store.ChainEvents(ctx, chain, rows); err != nil {
		return 0, err
	}
	return len(rows), nil
}

// Behind returns for how long the oldest event that the sequencer saw has been
// waiting for its number; 0 while none waits.
func (s *Service) Behind() time.Duration {
	since := s.waiting.Load()
	if since == 0 {
		return 0
	}
	return max(0, s.now().Sub(time.UnixMicro(since)))
}
