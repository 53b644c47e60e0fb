package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// chain is the chain of events that a command works on, and who signs its head.
type chain struct {
	events.Source
	head func(context.Context) (events.Head, error)
	now  time.Time
}

// keeping is a chain whose events are to be kept for so long, whatever its source says.
type keeping struct {
	events.Source
	keep time.Duration
}

// State implements events.Source.
func (k keeping) State(ctx context.Context) (events.State, error) {
	state, err := k.Source.State(ctx)
	state.Keep = k.keep
	return state, err
}

// onChain is does for a command on the chain of events: in the database, where what waits
// for its number gets it first, whether a server runs or not, or of a server.
func (a *app) onChain(f func(context.Context, *chain) error) func(*cobra.Command, []string) error {
	return a.does(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		if a.remote != (remote{}) {
			o, err := a.connect(cmd.Flags())
			if err != nil {
				return err
			}
			there := newChainThere(o, wait)
			return f(ctx, &chain{there, there.head, a.now()})
		}
		cfg, err := a.load(cmd.Flags())
		if err != nil {
			return err
		}
		return a.withRooms(ctx, cfg, func(s *provider.Services, _ provider.Config, now func() time.Time) error {
			if err := a.sequence(ctx, s); err != nil {
				return err
			}
			return f(ctx, &chain{s.Events.Source(cfg.KeepEvents), s.Events.Head, now()})
		})
	})
}

// chainThere is the chain of a server far away, which may be what is in question: what it
// answers is read within bounds, and for events.Verify to judge.
type chainThere struct {
	o    *operators
	by   *keys.Records // as of the last State
	wait func(context.Context, time.Duration) error
}

// Bounds of what a server far away is listened to.
const (
	maxChainAnswer = 6 << 20 // bytes: more than a page of links has, one of them as long as any
	maxSigners     = 10_000  // keys that may have signed
	maxWaits       = 100     // how often in a row it may ask to wait
	maxRestores    = 1000    // pages of events that tell of a restore, each of which is of 50,000 events
)

func newChainThere(o *operators, wait func(context.Context, time.Duration) error) *chainThere {
	bounded := *o
	bounded.most = maxChainAnswer
	return &chainThere{o: &bounded, wait: wait}
}

// few is a list in JSON of which no more than most entries are read, whatever there are:
// two bytes of an answer may be an entry of hundreds.
type few[T any] struct {
	items []T
	most  int
	more  bool // there are more than that
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *few[T]) UnmarshalJSON(text []byte) error {
	f.items, f.more = nil, false
	decoder := json.NewDecoder(bytes.NewReader(text))
	switch begin, err := decoder.Token(); {
	case err != nil:
		return err
	case begin == nil: // null
		return nil
	case begin != json.Delim('['):
		return errors.New("is not a list")
	}
	for decoder.More() {
		if f.more = len(f.items) == f.most; f.more {
			return nil
		}
		var item T
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		f.items = append(f.items, item)
	}
	return nil
}

// State implements events.Source.
func (c *chainThere) State(ctx context.Context) (events.State, error) {
	s := struct {
		api.EventChain
		Keys few[api.EventKey] `json:"keys"`
	}{Keys: few[api.EventKey]{most: maxSigners}}
	if err := c.get(ctx, "", nil, &s); err != nil {
		return events.State{}, err
	}
	switch {
	case s.Keys.more:
		return events.State{}, c.unsound(fmt.Sprintf("has more than %d keys", maxSigners))
	case s.Keep < 0 || s.Keep > int64(longestKeep/time.Second):
		return events.State{}, c.unsound("keeps events for a time that there is not")
	}
	signers := make([]keys.RecordKey, 0, len(s.Keys.items))
	for _, k := range s.Keys.items {
		signers = append(signers, keys.RecordKey{KID: k.KID, JWK: k.JWK, Revoked: k.Revoked})
	}
	var err error
	if c.by, err = keys.NewRecords(signers); err != nil {
		return events.State{}, c.unsound(err.Error())
	}
	return events.State{
		Chain: storage.EventChain{Number: s.Number, Hash: s.Hash, First: s.First, Anchor: s.Anchor},
		Last:  s.Last, Keep: time.Duration(s.Keep) * time.Second,
	}, nil
}

// VerifyRecord implements events.Verifier. A key may have been made since the last State.
func (c *chainThere) VerifyRecord(ctx context.Context, compact, typ string, algs ...string) (payload []byte, by keys.Key, err error) {
	err = keys.ErrToken
	if c.by != nil {
		payload, by, err = c.by.VerifyRecord(ctx, compact, typ, algs...)
	}
	if !errors.Is(err, keys.ErrToken) {
		return payload, by, err
	}
	if _, err := c.State(ctx); err != nil {
		return nil, keys.Key{}, err
	}
	return c.by.VerifyRecord(ctx, compact, typ, algs...)
}

// ChainedEvents implements events.Source.
func (c *chainThere) ChainedEvents(ctx context.Context, after int64, limit int) ([]storage.Event, error) {
	return along(ctx, c, "/links", after, limit, func(e *api.EventLink) (int64, storage.Event) {
		return e.Number, storage.Event{
			Number: storage.Number(e.Number), ID: storage.ID(e.ID), Kind: e.Kind, Outcome: e.Outcome, Actor: e.Actor, ActorID: e.ActorID,
			PersonID: storage.ID(e.PersonID), ClientID: e.ClientID, RequestID: e.RequestID, Document: storage.Document(e.Document),
			Personal: e.Personal, CreatedAt: storage.At(time.UnixMicro(e.CreatedAt)), Hash: e.Hash,
		}
	})
}

// EventHeads implements events.Source.
func (c *chainThere) EventHeads(ctx context.Context, after int64, limit int) ([]storage.EventHead, error) {
	return along(ctx, c, "/heads", after, limit, func(e *api.EventHead) (int64, storage.EventHead) {
		return e.Number, storage.EventHead{Number: e.Number, Token: e.JWS, CreatedAt: storage.At(time.UnixMicro(e.CreatedAt))}
	})
}

// pageThere is a page of a list, as it may come from anybody.
type pageThere[T any] struct {
	Items few[T] `json:"items"`
	Next  string `json:"next"`
}

// along reads a page along the chain: of no more than was asked for, in order.
func along[T, E any](ctx context.Context, c *chainThere, path string, after int64, limit int, read func(*T) (int64, E)) ([]E, error) {
	asked := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(min(limit, events.MaxLinks))}}
	page := pageThere[T]{Items: few[T]{most: limit}}
	if err := c.get(ctx, path, asked, &page); err != nil {
		return nil, err
	}
	if page.Items.more {
		return nil, c.unsound("has more entries than were asked for")
	}
	entries := page.Items.items
	out := make([]E, 0, len(entries))
	for i := range entries {
		number, e := read(&entries[i])
		if number <= after {
			return nil, c.unsound("is out of order")
		}
		after, out = number, append(out, e)
	}
	return out, nil
}

// Restores implements events.Source.
func (c *chainThere) Restores(ctx context.Context, since time.Time, see func(events.Restore) bool) error {
	asked := url.Values{"kind": {string(events.DatabaseRestored)}, "since": {instant(since)}, "limit": {strconv.Itoa(storage.MaxPage)}}
	for range maxRestores {
		page := pageThere[api.Event]{Items: few[api.Event]{most: storage.MaxPage}}
		if err := c.ask(ctx, "/events", asked, &page); err != nil {
			return err
		}
		if page.Items.more {
			return c.unsound("has more entries than were asked for")
		}
		for i := range page.Items.items {
			e := &page.Items.items[i]
			if r, says := events.RestoreOf(e.Number, e.At, e.Data); says && !see(r) {
				return nil
			}
		}
		next, err := url.Parse(page.Next)
		if err != nil {
			return c.unsound("has no sound next page")
		}
		after := next.Query().Get(cursor)
		if after == "" {
			return nil
		}
		asked.Set(cursor, after)
	}
	return c.unsound(fmt.Sprintf("goes on after %d pages", maxRestores))
}

// head has the server sign its head, and returns what the signature is of.
func (c *chainThere) head(ctx context.Context) (events.Head, error) {
	var signed api.EventHead
	if err := c.get(ctx, "/head", nil, &signed); err != nil {
		return events.Head{}, err
	}
	head, err := events.ReadHead(ctx, c, signed.JWS)
	if errors.Is(err, keys.ErrToken) {
		return head, c.unsound("is not signed by one of its keys")
	}
	return head, err
}

// get reads something of the chain.
func (c *chainThere) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.ask(ctx, "/events/chain"+path, query, out)
}

// ask reads something. Who asks too often waits, and asks again. From its first answer on it
// is the API that answers, and no wrong address.
func (c *chainThere) ask(ctx context.Context, path string, query url.Values, out any) error {
	for range maxWaits {
		err := c.o.get(ctx, path+"?"+query.Encode(), out)
		var stranger *usageError
		if errors.As(err, &stranger) && c.by != nil {
			return c.unsound("is none of the operators' API")
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindTooMany || f.RetryAfter <= 0 || f.RetryAfter > serverTimeout {
			return err
		}
		if err := c.wait(ctx, f.RetryAfter); err != nil {
			return err
		}
	}
	return c.unsound(fmt.Sprintf("is %d times in a row that it comes later", maxWaits))
}

// unsound says that no server of ours answers in this way.
func (c *chainThere) unsound(what string) error {
	return fmt.Errorf("%s: its answer about the chain of events %s", c.o.server, what)
}
