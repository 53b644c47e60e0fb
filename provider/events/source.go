package events

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Source is where Verify reads a chain: the database ([Service.Source]), or a server far
// away by its API. It may be what is in question: Verify believes no row that the hashes
// do not hold, and no head that Verifier does not.
type Source interface {
	Verifier
	State(ctx context.Context) (State, error)
	// ChainedEvents returns up to limit events, or fewer, whose numbers come after the
	// given one, in their order: none only where none does.
	ChainedEvents(ctx context.Context, after int64, limit int) ([]storage.Event, error)
	// EventHeads returns up to limit kept heads, or fewer, in the same way.
	EventHeads(ctx context.Context, after int64, limit int) ([]storage.EventHead, error)
	// Restores calls see with what is recorded of backups that were restored since then,
	// the newest first, until it returns false.
	Restores(ctx context.Context, since time.Time, see func(Restore) bool) error
}

// State is what a chain is said to be at a moment.
type State struct {
	Chain storage.EventChain
	Last  int64         // the highest number that an event has at that moment, 0 if none has one
	Keep  time.Duration // for how long events are to be kept; 0: for ever
}

// Restore is a backup that was restored, as an event tells of it.
type Restore struct {
	Number int64     // of the event
	MadeAt time.Time // the backup
	At     time.Time // when it was restored
}

// RestoreOf reads what an event of the kind DatabaseRestored says; false if it says
// nothing.
func RestoreOf(number int64, at time.Time, data []byte) (Restore, bool) {
	var backup struct {
		MadeAt time.Time `json:"made_at"`
	}
	err := json.Unmarshal(data, &backup)
	return Restore{number, backup.MadeAt, at}, err == nil
}

// database is the chain in the database.
type database struct {
	*storage.Store
	Verifier
	keep time.Duration
}

// Source returns the chain in the database, whose events are to be kept for so long (0:
// for ever).
func (s *Service) Source(keep time.Duration) Source { return &database{s.store, s.keys, keep} }

// State implements Source. What is too long to be an anchor, or a hash, of ours is cut, and is
// none of ours then either.
func (d *database) State(ctx context.Context) (State, error) {
	chain, last, err := d.ChainAndLast(ctx)
	if err != nil {
		return State{}, err
	}
	chain.Anchor, chain.Hash = chain.Anchor[:min(len(chain.Anchor), longestHead)], chain.Hash[:min(len(chain.Hash), longestHead)]
	return State{*chain, last, d.keep}, nil
}

// Restores implements Source.
func (d *database) Restores(ctx context.Context, since time.Time, see func(Restore) bool) error {
	for before := int64(0); ; {
		found, next, err := d.EventsBefore(ctx, storage.EventFilter{Kind: string(DatabaseRestored), Since: storage.At(since)}, before, batch)
		if err != nil {
			return err
		}
		for i := range found {
			if r, says := RestoreOf(int64(found[i].Number), found[i].CreatedAt.Time, found[i].Document.V); says && !see(r) {
				return nil
			}
		}
		if before = next; next == 0 {
			return nil
		}
	}
}

// MaxLinks is how many events, or heads, Links and Heads return at most.
const MaxLinks = batch

// Bounds of what Links returns, in bytes of JSON: texts may take six times what they have.
// An event of ours is as long as the request that caused it, which is a small part of longestLink.
const (
	linksSize   = 1 << 20 // where a page is cut, after an event
	longestLink = 2 << 20
)

// Links returns up to limit events (1 to MaxLinks) as they are chained, whose numbers come
// after the given one, and whether there may be more: what is personal is sealed, and
// documents are JSON, whatever somebody wrote into the database. Of an event that is too
// long to be ours there is nothing but the number: no hash fits it, as none would fit the whole.
func (s *Service) Links(ctx context.Context, after int64, limit int) (links []storage.Event, more bool, err error) {
	if links, err = s.store.ChainedEvents(ctx, after, limit); err != nil {
		return nil, false, fmt.Errorf("events: links: %w", err)
	}
	total := 0
	for i := range links {
		e := &links[i]
		e.Document.V = canonical(e.Document.V)
		text, err := spell(e)
		if err != nil {
			return nil, false, err
		}
		size := len(text)
		if size > longestLink || len(e.Hash) > sha256.Size {
			*e, size = storage.Event{Number: e.Number, Document: storage.Document(storage.Raw("null"))}, 0
		}
		if total += size; total > linksSize && i > 0 {
			return links[:i], true, nil
		}
	}
	return links, len(links) == limit, nil
}

// Heads returns up to limit of the signed heads that are kept (1 to MaxLinks), whose numbers
// come after the given one, and whether there may be more. What is too long to be a head
// of ours is cut, and is none of ours then either.
func (s *Service) Heads(ctx context.Context, after int64, limit int) (heads []storage.EventHead, more bool, err error) {
	if heads, err = s.store.EventHeads(ctx, after, limit); err != nil {
		return nil, false, fmt.Errorf("events: heads: %w", err)
	}
	for i := range heads {
		heads[i].Token = heads[i].Token[:min(len(heads[i].Token), longestHead)]
	}
	return heads, len(heads) == limit, nil
}
