package main

import (
	"context"
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

// onChain is does for a command on the chain of events: in the database, where what waits
// for its number gets it first, whether a server runs or not, or of a server.
func (a *app) onChain(f func(context.Context, *chain) error) func(*cobra.Command, []string) error {
	return a.does(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		if a.remote != (remote{}) {
			o, err := a.connect(cmd.Flags())
			if err != nil {
				return err
			}
			there := &chainThere{o: o, wait: wait}
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

// State implements events.Source.
func (c *chainThere) State(ctx context.Context) (events.State, error) {
	var s api.EventChain
	if err := c.get(ctx, "", nil, &s); err != nil {
		return events.State{}, err
	}
	signers := make([]keys.RecordKey, 0, len(s.Keys))
	for _, k := range s.Keys {
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

// along reads a page along the chain: of no more than was asked for, in order.
func along[T, E any](ctx context.Context, c *chainThere, path string, after int64, limit int, read func(*T) (int64, E)) ([]E, error) {
	var page api.Page[T]
	asked := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(min(limit, events.MaxLinks))}}
	if err := c.get(ctx, path, asked, &page); err != nil {
		return nil, err
	}
	if len(page.Items) > limit {
		return nil, c.unsound("has more entries than were asked for")
	}
	out := make([]E, 0, len(page.Items))
	for i := range page.Items {
		number, e := read(&page.Items[i])
		if number <= after {
			return nil, c.unsound("is out of order")
		}
		after, out = number, append(out, e)
	}
	return out, nil
}

// Restores implements events.Source.
func (c *chainThere) Restores(ctx context.Context, since time.Time, see func(events.Restore) bool) error {
	filters := url.Values{"kind": {string(events.DatabaseRestored)}, "since": {instant(since)}}
	for next := ""; ; {
		found, cursor, err := readPage[api.Event](ctx, c.o, "/events", filters, &pageFlags{after: next, limit: storage.MaxPage})
		if err != nil {
			return err
		}
		for i := range found {
			if r, says := events.RestoreOf(found[i].Number, found[i].At, found[i].Data); says && !see(r) {
				return nil
			}
		}
		if next = cursor; next == "" {
			return nil
		}
	}
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

// get reads something of the chain. Who asks too often waits, and asks again.
func (c *chainThere) get(ctx context.Context, path string, query url.Values, out any) error {
	for {
		err := c.o.get(ctx, "/events/chain"+path+"?"+query.Encode(), out)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindTooMany || f.RetryAfter <= 0 || f.RetryAfter > serverTimeout {
			return err
		}
		if err := c.wait(ctx, f.RetryAfter); err != nil {
			return err
		}
	}
}

// unsound says that no server of ours answers in this way.
func (c *chainThere) unsound(what string) error {
	return fmt.Errorf("%s: its answer about the chain of events %s", c.o.server, what)
}
