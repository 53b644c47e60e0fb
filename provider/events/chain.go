package events

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
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
	text, err := spell(e)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(before)
	sum.Write(text)
	return sum.Sum(nil), nil
}

// spell returns an event as JSON, as its hash covers it.
func spell(e *storage.Event) ([]byte, error) {
	text, err := json.Marshal(link{
		e.Number, e.ID, e.Kind, e.Outcome, e.Actor, e.ActorID, e.PersonID, e.ClientID, e.RequestID,
		canonical(e.Document.V), e.Personal, e.CreatedAt.UnixMicro(),
	})
	if err != nil {
		return nil, fmt.Errorf("events: hash: %w", err)
	}
	return text, nil
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

// batchTime bounds one batch: however many wait, each has its own.
const batchTime = 5 * time.Second

// Sequence chains every event that is committed and has no number yet, batch by
// batch, and returns how many it did. Every replica may call it at any time: who
// finds that another one is at it leaves the rest to that one. keys.ErrWrongKEK: some
// events wait on for a key-encryption key that is not given; all others are chained.
func (s *Service) Sequence(ctx context.Context) (int, error) {
	p := pass{Service: s, missing: map[string]error{}}
	for total := 0; ; {
		n, more, err := p.batch(ctx)
		total += n
		switch {
		case errors.Is(err, storage.ErrStale):
			return total, nil
		case err != nil:
			s.waiting.CompareAndSwap(0, s.now().UnixMicro()) // at least since then nobody knows
			return total, fmt.Errorf("events: sequence: %w", err)
		case !more && p.held > 0:
			return total, fmt.Errorf("events: sequence: %d events wait for a key-encryption key, and all others are chained: %w", p.held, p.why)
		case !more:
			s.waiting.Store(0)
			return total, nil
		}
	}
}

// pass is one walk of the sequencer over what waits.
type pass struct {
	*Service
	held    int              // the events that wait on
	last    *storage.Event   // the last of these, nil for none
	why     error            // the first of these does
	missing map[string]error // the key-encryption keys that are not given, by id
}

// batch chains one batch, whole or not at all. There may be more when it was a full one.
func (p *pass) batch(ctx context.Context) (chained int, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	// The chain is read first: rows that were read before it might have been chained
	// by somebody else in between, and it would be moved without them.
	chain, err := p.store.Chain(ctx)
	if err != nil {
		return 0, false, err
	}
	rows, err := p.store.UnchainedEvents(ctx, p.last, batch)
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	if p.held == 0 {
		p.waiting.Store(rows[0].CreatedAt.UnixMicro())
	}
	known, err := p.makeSalts(ctx, rows)
	if err != nil {
		return 0, false, err
	}
	ready := make([]storage.Event, 0, len(rows))
	before := chain.Hash
	for _, e := range rows {
		err := p.sealForPeople(&e, known)
		if errors.Is(err, keys.ErrWrongKEK) {
			p.hold(e, err)
			continue
		}
		if err != nil {
			return 0, false, err
		}
		e.Number = storage.Number(chain.Number + int64(len(ready)) + 1)
		if e.Hash, err = hash(before, &e); err != nil {
			return 0, false, err
		}
		before = e.Hash
		ready = append(ready, e)
	}
	if len(ready) > 0 {
		err = p.store.ChainEvents(ctx, chain, ready)
	}
	if err != nil {
		return 0, false, err
	}
	return len(ready), len(rows) == batch, nil
}

// hold has an event wait on, and nobody behind it.
func (p *pass) hold(e storage.Event, why error) {
	if p.held == 0 {
		p.waiting.Store(e.CreatedAt.UnixMicro())
		p.why = why
	}
	p.held++
	p.last = &e
	p.missing[keys.SealedWith(e.Origin)] = why
}

// Behind returns for how long the oldest event that the sequencer saw has been
// waiting for its number, or for how long it has not been able to look; 0 while none
// waits.
func (s *Service) Behind() time.Duration {
	since := s.waiting.Load()
	if since == 0 {
		return 0
	}
	return max(0, s.now().Sub(time.UnixMicro(since)))
}
