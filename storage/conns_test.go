package storage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// On SQLite everybody else may hold a connection and wait for the one that writes: it
// must not need anything that somebody without a connection has. Else all of them wait
// until the busy timeout sends them away.
func TestAWriterWaitsForNobodyWithoutAConnection(t *testing.T) {
	f := newFixture(t, providertest.SQLite(t))
	first := &holder{Store: f.Store, holds: make(chan struct{}), goOn: make(chan struct{})}
	f.Observe(first)
	unit := func(ctx context.Context, kind string) error {
		return f.Together(ctx, func(ctx context.Context) error {
			return errors.Join(
				f.SpendID(ctx, &storage.SpentID{Hash: hash(kind), ExpiresAt: now}),
				f.CreateEvent(ctx, event(kind)))
		})
	}
	results := make(chan error)
	go func() { results <- unit(context.WithValue(f.ctx, holdsKey{}, true), "first") }()
	<-first.holds
	others := f.Pool().Max - 1
	for i := range others {
		go func() { results <- unit(f.ctx, string(rune('a'+i))) }()
	}
	await(t, func() bool { return f.Pool().InUse == f.Pool().Max })
	go func() { results <- f.CreateEvent(f.ctx, event("last")) }()
	await(t, func() bool { return f.Pool().Waits > 0 })
	close(first.goOn)
	for range others + 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// holder stops a marked unit between its BEGIN and its second write.
type holder struct {
	*storage.Store
	holds, goOn chan struct{}
}

type holdsKey struct{}

func (h *holder) Begin(ctx context.Context, _ string) context.Context { return ctx }

func (h *holder) End(ctx context.Context, statement string, _ time.Duration, _ error) {
	if ctx.Value(holdsKey{}) != nil && storage.Verb(statement) == "begin" {
		close(h.holds)
		<-h.goOn
	}
}

func (h *holder) Swept(string, int64) {}

// await waits until something is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to be")
		}
	}
}
