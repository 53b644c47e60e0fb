package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// TestStorageSuite holds the store to the same promises on every database.
func TestStorageSuite(t *testing.T) {
	for _, group := range []map[string]func(*testing.T, fixture){
		entityTests, signInTests, unitTests, raceTests, sweepTests, schemaTests, logoutTests, lateLogoutTests, sealedTests, groupTests,
		watchTests, chainTests, backupTests, observeTests, idempotencyTests, setupTests, codeTests, mailTests, disownTests, phoneTests, wrongTryTests, lockTests, commonValueTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				providertest.Databases(t, func(t *testing.T, url string) { test(t, newFixture(t, url)) })
			})
		}
	}
}

// now is the time in these tests: microseconds, as the store keeps them.
var now = storage.At(time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC))

func after(d time.Duration) storage.Time { return storage.At(now.Add(d)) }

// A fixture is a store and the means to fill it.
type fixture struct {
	*storage.Store
	t   *testing.T
	ctx context.Context
	url string
}

func newFixture(t *testing.T, url string) fixture {
	t.Helper()
	return fixture{Store: open(t, url), t: t, ctx: t.Context(), url: url}
}

func open(t *testing.T, url string, opts ...storage.Option) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (f fixture) onPostgres() bool { return strings.HasPrefix(f.url, "postgres") }

func (f fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// want fails the test unless err is the sentinel.
func (f fixture) want(sentinel, err error) {
	f.t.Helper()
	if !errors.Is(err, sentinel) {
		f.t.Fatalf("got error %v, want %v", err, sentinel)
	}
}

// same compares what was written with what was read back. A document may come
// back in other words (jsonb has its own spelling); nil and empty are one.
func same[T any](t *testing.T, want, got T) {
	t.Helper()
	documents := cmp.Comparer(func(a, b storage.JSON[storage.Raw]) bool {
		return bytes.Equal(canonical(t, a.V), canonical(t, b.V))
	})
	if diff := cmp.Diff(want, got, documents, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
}

func canonical(t *testing.T, doc storage.Raw) []byte {
	t.Helper()
	if len(doc) == 0 {
		return []byte("null")
	}
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("document %q: %v", doc, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func doc(s string) storage.JSON[storage.Raw] { return storage.Document(storage.Raw(s)) }

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func (f fixture) person(sub string) *storage.Person {
	f.t.Helper()
	p := &storage.Person{ID: storage.NewID(), Sub: sub, Name: "Ada", Claims: doc(`{}`), CreatedAt: now, UpdatedAt: now}
	f.must(f.CreatePerson(f.ctx, p))
	return p
}

func (f fixture) email(p *storage.Person, address string, at storage.Time) *storage.Identifier {
	f.t.Helper()
	i := &storage.Identifier{Kind: "email", Value: strings.ToLower(address), PersonID: p.ID, Display: address, VerifiedAt: at, CreatedAt: at}
	f.must(f.CreateIdentifier(f.ctx, i))
	return i
}

func (f fixture) session(p *storage.Person, secret string) *storage.Session {
	f.t.Helper()
	se := &storage.Session{ID: storage.NewID(), SecretHash: hash(secret), PersonID: p.ID, Evidence: doc(`[{"method":"pwd"}]`),
		CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}
	f.must(f.CreateSession(f.ctx, se))
	return se
}

// newGrant is a grant with a code, not written yet.
func newGrant(p *storage.Person, code string) *storage.Grant {
	return &storage.Grant{ID: storage.NewID(), ClientID: "web", PersonID: p.ID, Sub: p.Sub, Scopes: storage.Strings{"openid"},
		CodeHash: hash(code), CodeExpiresAt: after(time.Minute), ExpiresAt: after(time.Hour), CreatedAt: now}
}

func (f fixture) grant(p *storage.Person, code string) *storage.Grant {
	f.t.Helper()
	g := newGrant(p, code)
	f.must(f.CreateGrant(f.ctx, g))
	return g
}

// event is an event of some kind, not written yet.
func event(kind string) *storage.Event {
	return &storage.Event{ID: storage.NewID(), Kind: kind, Actor: "system", Document: doc(`{}`), CreatedAt: now}
}

func (f fixture) interaction(expires storage.Time) *storage.Interaction {
	f.t.Helper()
	i := &storage.Interaction{ID: storage.NewID(), Kind: "authorize", BrowserHash: hash("browser"), ClientID: "web",
		Request: doc(`{"client_id":"web"}`), Progress: doc(`{}`), CreatedAt: now, ExpiresAt: expires}
	f.must(f.CreateInteraction(f.ctx, i))
	return i
}

// eventKinds returns the kinds of all events, newest first.
func (f fixture) eventKinds() []string {
	f.t.Helper()
	es, err := f.Events(f.ctx, 1000)
	f.must(err)
	var kinds []string
	for _, e := range es {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// race runs do n times at once and returns the errors, nil ones included.
func race(n int, do func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins fails the test unless exactly one of the errors is nil and all others
// are the sentinel.
func (f fixture) oneWins(sentinel error, errs []error) {
	f.t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, sentinel):
			f.t.Errorf("a loser got %v, want %v", err, sentinel)
		}
	}
	if won != 1 {
		f.t.Errorf("%d of %d won, want exactly one", won, len(errs))
	}
}
