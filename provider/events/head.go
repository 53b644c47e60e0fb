package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// The types of what is signed here: JWS (RFC 7515) that are no tokens. A head says
// what the chain was, whatever its rows were by then; an anchor says that all up to
// its event was given up, and Trim alone signs one. Neither stands for the other: who
// can write rows gets heads signed that say what they like.
const (
	TypHead   = "events-head+jws"
	typAnchor = "events-anchor+jws"
)

// checkpointEvery is how old the newest signed head may grow while events are
// chained.
const checkpointEvery = 10 * time.Minute

// headAlgorithms is what a head may be signed with: whatever we ever sign with.
var headAlgorithms = []string{keys.ES256, keys.EdDSA, keys.RS256, keys.PS256}

// Head is what the chain was at a moment, and who says so. An anchor is one too.
type Head struct {
	Number int64     // of the last event; 0: there was none
	Hash   []byte    // of that event
	First  int64     // the first event that was kept; one more than Number in the anchor of a chain whose beginning is gone
	At     time.Time // when it was signed
	Token  string    // a JWS in compact form
	Key    keys.Key  // which signed it
}

type headClaims struct {
	Number   int64  `json:"number"`
	Hash     []byte `json:"hash"`
	First    int64  `json:"first"`
	IssuedAt int64  `json:"iat"` // seconds since 1970
}

// Head signs the head of the chain as it is now, for whoever keeps it elsewhere.
func (s *Service) Head(ctx context.Context) (Head, error) {
	chain, err := s.store.Chain(ctx)
	if err != nil {
		return Head{}, fmt.Errorf("events: head: %w", err)
	}
	return s.sign(ctx, TypHead, headClaims{Number: chain.Number, Hash: chain.Hash, First: chain.First})
}

func (s *Service) sign(ctx context.Context, typ string, c headClaims) (Head, error) {
	c.IssuedAt = s.now().Unix()
	payload, err := json.Marshal(c)
	if err != nil {
		return Head{}, fmt.Errorf("events: head: %w", err)
	}
	token, err := s.keys.Sign(ctx, s.keys.Algorithms()[0], typ, payload)
	if err != nil {
		return Head{}, fmt.Errorf("events: sign the head: %w", err)
	}
	return readHead(ctx, s.keys, typ, token)
}

// ReadHead returns what a signed head says; keys.ErrToken if it is none of the keys that
// by knows. One that has retired long ago is good for it, and one that was revoked too: Key
// tells.
func ReadHead(ctx context.Context, by Verifier, token string) (Head, error) {
	return readHead(ctx, by, TypHead, token)
}

// Verifier says whether a record is signed by a key of ours; it is the keys service.
type Verifier interface {
	VerifyRecord(ctx context.Context, compact, typ string, algs ...string) ([]byte, keys.Key, error)
}

func readHead(ctx context.Context, by Verifier, typ, token string) (Head, error) {
	payload, key, err := by.VerifyRecord(ctx, token, typ, headAlgorithms...)
	if err != nil {
		return Head{}, fmt.Errorf("events: signed head: %w", err)
	}
	var c headClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Head{}, fmt.Errorf("events: signed head: %w: %w", keys.ErrToken, err)
	}
	return Head{c.Number, c.Hash, c.First, time.Unix(c.IssuedAt, 0).UTC(), token, key}, nil
}

// antedated is by how much the row of a head may be older than the head.
const antedated = time.Minute

// keptHead returns what a head says that is kept here; a *Fault if it is none of ours,
// or not the one that its row takes it for: who can write rows cannot sign.
func keptHead(ctx context.Context, by Verifier, kept *storage.EventHead) (Head, error) {
	head, err := readHead(ctx, by, TypHead, kept.Token)
	if err != nil && !errors.Is(err, keys.ErrToken) {
		return Head{}, err
	}
	if err != nil || head.Number != kept.Number || head.At.Sub(kept.CreatedAt.Time) > antedated {
		return Head{}, &Fault{Number: kept.Number, Says: fmt.Sprintf(
			"has a signed head that is not ours: find out who wrote it, then `doorstep events drop-head %d` takes it out and records that", kept.Number)}
	}
	return head, nil
}

// Checkpoint keeps a signed head of the chain if events were chained since the last
// one and that is older than checkpointEvery. Every replica may call it at any time.
func (s *Service) Checkpoint(ctx context.Context) error {
	head, err := s.Head(ctx)
	if err != nil || head.Number == 0 {
		return err
	}
	// What stands beyond the end is for Verify to name, and keeps nobody from signing.
	last, err := s.store.LastEventHead(ctx, head.Number)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("events: checkpoint: %w", err)
	}
	if last != nil {
		age := head.At.Sub(last.CreatedAt.Time)
		if last.Number == head.Number || age > -antedated && age < checkpointEvery {
			return nil
		}
	}
	if err := s.store.CreateEventHead(ctx, &storage.EventHead{Number: head.Number, Token: head.Token, CreatedAt: storage.At(head.At)}); err != nil {
		return fmt.Errorf("events: checkpoint: %w", err)
	}
	return nil
}

// DropHead takes out the kept head of an event that is not ours, so that Verify and Trim
// go on without it, and records what it was. storage.ErrNotFound: none is kept; a fault
// of the field number if it is ours, since then something else is wrong.
func (s *Service) DropHead(ctx context.Context, number int64, actor Actor) error {
	heads, err := s.store.EventHeads(ctx, number-1, 1)
	if err != nil {
		return fmt.Errorf("events: drop a head: %w", err)
	}
	if len(heads) == 0 || heads[0].Number != number {
		return fmt.Errorf("events: a signed head of event %d: %w", number, storage.ErrNotFound)
	}
	kept := &heads[0]
	var bad *Fault
	switch _, err := keptHead(ctx, s.keys, kept); {
	case err == nil:
		return fault.Invalid("number", "has a signed head that is ours: it is evidence, and stays")
	case !errors.As(err, &bad):
		return fmt.Errorf("events: drop a head: %w", err)
	}
	return s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.store.DeleteEventHead(ctx, kept); err != nil {
			return fmt.Errorf("events: drop a head: %w", err)
		}
		return s.Record(ctx, Event{Kind: HeadDropped, Actor: actor, Data: map[string]any{
			"number": number, "kept_at": kept.CreatedAt.Format(time.RFC3339), "size": len(kept.Token),
			"token": []byte(kept.Token[:min(len(kept.Token), longestHead)]), // base64: it may be anything
		}})
	})
}

// longestHead is how much of a head that is not ours is recorded, in bytes: more than
// one of ours has.
const longestHead = 4 << 10

// Trim gives up the events that are older than keep by now and deletes up to batch of
// those, from the beginning of the chain; it returns how many went. It gives up
// whole stretches, as far as a signed head that is old enough itself; an anchor,
// signed too, stands for them from then on. With keep 0 all are kept.
func (s *Service) Trim(ctx context.Context, now time.Time, keep time.Duration) (int64, error) {
	if keep > 0 {
		if err := s.anchor(ctx, now.Add(-keep)); err != nil {
			return 0, err
		}
	}
	first, err := givenUp(ctx, s.store, s.keys)
	if err != nil {
		return 0, err
	}
	n, err := s.store.TrimEvents(ctx, first, batch)
	if err != nil {
		return n, fmt.Errorf("events: %w", err)
	}
	return n, nil
}

// givenUp returns the first event that is kept. Its anchor says so, not the row that
// it stands in.
func givenUp(ctx context.Context, store *storage.Store, by Verifier) (first int64, err error) {
	chain, err := store.Chain(ctx)
	if err != nil {
		return 0, fmt.Errorf("events: trim: %w", err)
	}
	if chain.First == 1 {
		return 1, nil
	}
	anchor, err := readHead(ctx, by, typAnchor, chain.Anchor)
	if err != nil {
		return 0, fmt.Errorf("events: trim: the anchor: nothing is deleted: %w", err)
	}
	if anchor.First != chain.First {
		return 0, fmt.Errorf("events: trim: the chain begins with event %d, and its anchor says %d: nothing is deleted", chain.First, anchor.First)
	}
	return anchor.First, nil
}

// anchor gives up the events up to the newest signed head from before the cutoff that
// has none before it which is not ours: such a one is a *Fault, and evidence.
func (s *Service) anchor(ctx context.Context, cutoff time.Time) error {
	chain, err := s.store.Chain(ctx)
	if err != nil {
		return fmt.Errorf("events: trim: %w", err)
	}
	kept, err := s.store.EventHeads(ctx, chain.First-1, batch)
	if err != nil {
		return fmt.Errorf("events: trim: %w", err)
	}
	var last *Head
	for i := range kept {
		if !kept[i].CreatedAt.Before(cutoff) {
			break
		}
		// What it says counts, not its row.
		head, err := keptHead(ctx, s.keys, &kept[i])
		if err == nil && head.Number > chain.Number {
			err = &Fault{Number: chain.Number + 1, Says: fmt.Sprintf("is missing: event %d was signed, and the end was cut off since", head.Number)}
		}
		if err != nil && last == nil {
			return fmt.Errorf("events: trim: nothing is deleted: %w", err)
		}
		if err != nil || !head.At.Before(cutoff) {
			break // as far as here, and no further the next time
		}
		last = &head
	}
	if last == nil {
		return nil
	}
	anchor, err := s.sign(ctx, typAnchor, headClaims{Number: last.Number, Hash: last.Hash, First: last.Number + 1})
	if err != nil {
		return err
	}
	err = s.store.AnchorEvents(ctx, chain, last.Number+1, anchor.Token)
	if err != nil && !errors.Is(err, storage.ErrStale) {
		return fmt.Errorf("events: trim: %w", err)
	}
	return nil
}

// Health is what there is to say of the chain without a walk along it.
type Health struct {
	Number  int64     // of the last event in it
	Waiting time.Time // since when the oldest event waits for its number; zero: none does
	Fault   error     // why events that are old will not be deleted, nil for nothing
}

// Examine looks at the chain, at the oldest signed heads that are kept, and writes
// nothing.
func Examine(ctx context.Context, store *storage.Store, by Verifier) (Health, error) {
	first, err := givenUp(ctx, store, by)
	if err != nil {
		return Health{Fault: err}, nil
	}
	chain, err := store.Chain(ctx)
	if err != nil {
		return Health{}, fmt.Errorf("events: examine: %w", err)
	}
	h := Health{Number: chain.Number}
	waiting, err := store.UnchainedEvents(ctx, nil, 1)
	if err != nil {
		return Health{}, fmt.Errorf("events: examine: %w", err)
	}
	if len(waiting) > 0 {
		h.Waiting = waiting[0].CreatedAt.Time
	}
	kept, err := store.EventHeads(ctx, first-1, batch)
	if err != nil {
		return Health{}, fmt.Errorf("events: examine: %w", err)
	}
	for i := range kept {
		if _, h.Fault = keptHead(ctx, by, &kept[i]); h.Fault != nil {
			break
		}
	}
	return h, nil
}
