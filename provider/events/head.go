package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
	return s.read(ctx, typ, token)
}

// ReadHead returns what a signed head says; keys.ErrToken if it is none of ours. A
// key that has retired long ago is good for it, and one that was revoked too: Key
// tells.
func (s *Service) ReadHead(ctx context.Context, token string) (Head, error) {
	return s.read(ctx, TypHead, token)
}

func (s *Service) read(ctx context.Context, typ, token string) (Head, error) {
	payload, by, err := s.keys.VerifyRecord(ctx, token, typ, headAlgorithms...)
	if err != nil {
		return Head{}, fmt.Errorf("events: signed head: %w", err)
	}
	var c headClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Head{}, fmt.Errorf("events: signed head: %w", err)
	}
	return Head{c.Number, c.Hash, c.First, time.Unix(c.IssuedAt, 0).UTC(), token, by}, nil
}

// Checkpoint keeps a signed head of the chain if events were chained since the last
// one and that is older than checkpointEvery. Every replica may call it at any time.
func (s *Service) Checkpoint(ctx context.Context) error {
	now := s.now()
	last, err := s.store.LastEventHead(ctx, storage.At(now.Add(time.Hour))) // of a clock that is ahead, too
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("events: checkpoint: %w", err)
	}
	if last != nil && now.Sub(last.CreatedAt.Time) < checkpointEvery {
		return nil
	}
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if head.Number == 0 || last != nil && last.Number >= head.Number {
		return nil
	}
	if err := s.store.CreateEventHead(ctx, &storage.EventHead{Number: head.Number, Token: head.Token, CreatedAt: storage.At(now)}); err != nil {
		return fmt.Errorf("events: checkpoint: %w", err)
	}
	return nil
}

// Trim gives up the events that are older than keep and deletes up to batch of
// those, from the beginning of the chain; it returns how many went. It gives up
// whole stretches, as far as a signed head that is old enough itself; an anchor,
// signed too, stands for them from then on. With keep 0 all are kept.
func (s *Service) Trim(ctx context.Context, keep time.Duration) (int64, error) {
	if keep > 0 {
		if err := s.anchor(ctx, s.now().Add(-keep)); err != nil {
			return 0, err
		}
	}
	first, err := s.givenUp(ctx)
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
func (s *Service) givenUp(ctx context.Context) (first int64, err error) {
	chain, err := s.store.Chain(ctx)
	if err != nil {
		return 0, fmt.Errorf("events: trim: %w", err)
	}
	if chain.First == 1 {
		return 1, nil
	}
	anchor, err := s.read(ctx, typAnchor, chain.Anchor)
	if err != nil {
		return 0, fmt.Errorf("events: trim: the anchor: nothing is deleted: %w", err)
	}
	if anchor.First != chain.First {
		return 0, fmt.Errorf("events: trim: the chain begins with event %d, and its anchor says %d: nothing is deleted", chain.First, anchor.First)
	}
	return anchor.First, nil
}

// anchor gives up the events up to the newest signed head from before the cutoff.
func (s *Service) anchor(ctx context.Context, cutoff time.Time) error {
	chain, err := s.store.Chain(ctx)
	if err != nil {
		return fmt.Errorf("events: trim: %w", err)
	}
	old, err := s.store.LastEventHead(ctx, storage.At(cutoff))
	if errors.Is(err, storage.ErrNotFound) || err == nil && old.Number < chain.First {
		return nil
	}
	if err != nil {
		return fmt.Errorf("events: trim: %w", err)
	}
	// What it says counts, not its row: who can write rows cannot sign.
	head, err := s.ReadHead(ctx, old.Token)
	if err != nil {
		return fmt.Errorf("events: trim: the head kept for event %d: %w", old.Number, err)
	}
	if head.Number < chain.First || head.Number > chain.Number || !head.At.Before(cutoff) {
		return fmt.Errorf("events: trim: the head kept for event %d is that of event %d at %s: nothing is deleted", old.Number, head.Number, head.At.Format(time.RFC3339))
	}
	anchor, err := s.sign(ctx, typAnchor, headClaims{Number: head.Number, Hash: head.Hash, First: head.Number + 1})
	if err != nil {
		return err
	}
	err = s.store.AnchorEvents(ctx, chain, head.Number+1, anchor.Token)
	if err != nil && !errors.Is(err, storage.ErrStale) {
		return fmt.Errorf("events: trim: %w", err)
	}
	return nil
}
