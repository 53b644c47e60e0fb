package storage_test

import (
	"context"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What may be sent again is carried out once.
var idempotencyTests = map[string]func(*testing.T, fixture){
	"a key is one request's":                 testIdempotencyKeys,
	"one of many claims a key":               testIdempotencyRace,
	"the change and its mark are one":        testIdempotencyMark,
	"what was begun and not done goes again": testIdempotencyReclaim,
}

func newKey(n string, begun storage.Time) *storage.IdempotencyKey {
	return &storage.IdempotencyKey{Hash: hash(n), Request: hash("request " + n), BegunAt: begun, ExpiresAt: storage.At(begun.Add(24 * time.Hour))}
}

func testIdempotencyKeys(t *testing.T, f fixture) {
	k := newKey("a", now)
	f.must(f.ClaimIdempotencyKey(f.ctx, k))
	got, err := f.IdempotencyKey(f.ctx, k.Hash)
	f.must(err)
	same(t, k, got)
	f.want(storage.ErrConflict, f.ClaimIdempotencyKey(f.ctx, newKey("a", after(24*time.Hour-time.Microsecond))))
	f.must(f.AnswerIdempotencyKey(f.ctx, k.Hash, []byte("sealed")))
	later := newKey("a", after(24*time.Hour))
	f.must(f.ClaimIdempotencyKey(f.ctx, later)) // the first has lapsed, whether it was swept or not
	got, err = f.IdempotencyKey(f.ctx, k.Hash)
	f.must(err)
	same(t, later, got)
	f.must(f.ForgetIdempotencyKey(f.ctx, k.Hash))
	_, err = f.IdempotencyKey(f.ctx, k.Hash)
	f.want(storage.ErrNotFound, err)
}

func testIdempotencyRace(t *testing.T, f fixture) {
	claimed := 0
	for _, err := range race(20, func(int) error { return f.ClaimIdempotencyKey(f.ctx, newKey("a", now)) }) {
		if err == nil {
			claimed++
		} else {
			f.want(storage.ErrConflict, err)
		}
	}
	if claimed != 1 {
		t.Errorf("%d of 20 claimed the key", claimed)
	}
}

func testIdempotencyMark(t *testing.T, f fixture) {
	k := newKey("a", now)
	f.must(f.ClaimIdempotencyKey(f.ctx, k))
	once := f.DoOnce(f.ctx, k.Hash, after(time.Second))
	done := func() bool {
		t.Helper()
		got, err := f.IdempotencyKey(f.ctx, k.Hash)
		f.must(err)
		return !got.DoneAt.IsZero()
	}
	create := func(ctx context.Context) error {
		unit := storage.WithUnit(ctx)
		f.must(f.CreateEvent(unit, event("client.created")))
		f.must(f.CreateClient(unit, &storage.Client{ID: "new", CreatedAt: now, UpdatedAt: now}))
		return f.Flush(unit)
	}
	f.must(create(f.ctx))
	f.want(storage.ErrConflict, create(once))
	if done() {
		t.Error("a unit that failed left its mark")
	}
	c, err := f.Client(f.ctx, "new")
	f.must(err)
	f.must(f.DeleteClient(once, c, now))
	if !done() {
		t.Error("a change was carried out without its mark")
	}
	f.must(f.ForgetIdempotencyKey(f.ctx, k.Hash))
	if !done() {
		t.Error("a key whose request was done is forgotten")
	}
}

func testIdempotencyReclaim(t *testing.T, f fixture) {
	k := newKey("a", now)
	f.must(f.ClaimIdempotencyKey(f.ctx, k))
	f.must(f.ReclaimIdempotencyKey(f.ctx, k, after(time.Minute)))
	f.want(storage.ErrStale, f.ReclaimIdempotencyKey(f.ctx, k, after(time.Minute))) // as it was read, it is another's now
	read, err := f.IdempotencyKey(f.ctx, k.Hash)
	f.must(err)
	unit := storage.WithUnit(f.DoOnce(f.ctx, k.Hash, now))
	f.must(f.CreateEvent(unit, event("client.created")))
	f.must(f.Flush(unit))
	f.want(storage.ErrStale, f.ReclaimIdempotencyKey(f.ctx, read, after(time.Hour)))
}
