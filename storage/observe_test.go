package storage_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// An observer hears of every statement, those of a transaction and of a unit included.
var observeTests = map[string]func(*testing.T, fixture){
	"an observer hears of every statement":  testObserve,
	"however many ids, it is one statement": testOneStatement,
}

type heard struct {
	mu    sync.Mutex
	verbs []string
	fails int
	swept map[string]int64
}

type markKey struct{}

func (h *heard) Begin(ctx context.Context, _ string) context.Context {
	return context.WithValue(ctx, markKey{}, true)
}

func (h *heard) End(ctx context.Context, statement string, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.verbs = append(h.verbs, storage.Verb(statement))
	if err != nil {
		h.fails++
	}
	if ctx.Value(markKey{}) == nil || took <= 0 {
		h.verbs = append(h.verbs, "without its beginning")
	}
}

func (h *heard) Swept(table string, rows int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.swept[table] += rows
}

func testObserve(t *testing.T, f fixture) {
	h := &heard{swept: map[string]int64{}}
	spend := func(ctx context.Context, id string) {
		f.must(f.SpendID(ctx, &storage.SpentID{Hash: hash(id), ExpiresAt: after(-time.Hour)}))
	}
	f.Observe(h)
	if _, err := f.Keys(f.ctx); err != nil { // one query
		t.Fatal(err)
	}
	spend(f.ctx, "1") // one write
	f.must(f.Together(f.ctx, func(ctx context.Context) error {
		spend(ctx, "2")
		f.must(f.CreateEvent(ctx, event("two writes")))
		return nil
	}))
	want := []string{"select", "insert", "with"}
	if !f.onPostgres() {
		want = []string{"select", "insert", "begin", "insert", "insert", "commit"}
	}
	if !slices.Equal(h.verbs, want) {
		t.Errorf("heard of %v, want %v", h.verbs, want)
	}
	if _, err := f.Sweep(f.ctx, now, 10); err != nil {
		t.Fatal(err)
	}
	if h.swept["spent_ids"] != 2 || h.swept["grants"] != 0 || h.fails != 0 {
		t.Errorf("swept %v, %d failed", h.swept, h.fails)
	}
	gone, leave := context.WithCancel(f.ctx)
	leave()
	if _, err := f.Keys(gone); err == nil || h.fails != 1 {
		t.Errorf("%v: %d failures heard of, want 1", err, h.fails)
	}
}

// texts notes the statements.
type texts struct {
	heard
	seen map[string]bool
}

func (h *texts) Begin(ctx context.Context, statement string) context.Context {
	h.seen[statement] = true
	return h.heard.Begin(ctx, statement)
}

// Each statement is prepared and kept: there must not be one for each number of rows that
// somebody asks for.
func testOneStatement(t *testing.T, f fixture) {
	var persons []storage.ID
	for _, name := range []string{"ada", "bob", "eve"} {
		persons = append(persons, f.person(name).ID)
	}
	for what, ask := range map[string]func(ids []storage.ID) error{
		"salts":           func(ids []storage.ID) error { _, err := f.PersonSalts(f.ctx, ids); return err },
		"identifiers":     func(ids []storage.ID) error { _, err := f.IdentifiersOf(f.ctx, ids); return err },
		"passwords":       func(ids []storage.ID) error { _, err := f.HavePasswords(f.ctx, ids); return err },
		"session clients": func(ids []storage.ID) error { _, err := f.SessionClients(f.ctx, ids); return err },
		"new salts": func(ids []storage.ID) error {
			made := map[storage.ID][]byte{}
			for _, id := range ids {
				made[id] = hash(string(id))
			}
			return f.CreatePersonSalts(f.ctx, now, made)
		},
	} {
		h := &texts{heard{swept: map[string]int64{}}, map[string]bool{}}
		f.Observe(h)
		for n := range persons {
			f.must(ask(persons[:n+1]))
		}
		if len(h.seen) != 1 {
			t.Errorf("%s: %d statements: %v", what, len(h.seen), h.seen)
		}
	}
	salts, err := f.PersonSalts(f.ctx, persons)
	f.must(err)
	if len(salts) != len(persons) {
		t.Errorf("%d salts", len(salts))
	}
}
