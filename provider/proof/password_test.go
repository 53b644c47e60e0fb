package proof

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func newStore(t *testing.T) *storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// cheap is what hashing costs in tests, except those of its pool.
var cheap = PasswordConfig{Memory: 64, Time: 1}

func newPassword(t *testing.T, store *storage.Store, cfg PasswordConfig) *Password {
	t.Helper()
	p, err := NewPassword(cfg, store, events.New(store, nil, clock), clock)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newPerson(t *testing.T, store *storage.Store, email string) *storage.Person {
	t.Helper()
	p := &storage.Person{
		ID: storage.NewID(), Sub: "p_" + email, Claims: storage.Document(storage.Raw("{}")),
		CreatedAt: storage.At(noon), UpdatedAt: storage.At(noon),
	}
	if err := store.CreatePerson(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	err := store.CreateIdentifier(t.Context(), &storage.Identifier{Kind: "email", Value: email, PersonID: p.ID, Display: email, CreatedAt: storage.At(noon)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func set(t *testing.T, p *Password, person *storage.Person, password string) {
	t.Helper()
	if err := p.Set(t.Context(), person, password, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
}

func wantFault(t *testing.T, err error, kind fault.Kind) *fault.Error {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("%v, want a fault of kind %d", err, kind)
	}
	return f
}

// TestPasswordIsItsExactBytes: attack case 63. Nothing is cut off, trimmed or
// normalised, and a NUL is a byte like others.
func TestPasswordIsItsExactBytes(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	person := newPerson(t, store, "grace@example.com")
	for name, tc := range map[string]struct{ right, wrong string }{
		"a NUL inside":           {"correct horse\x00battery", "correct horse\x00batterY"},
		"what follows a NUL":     {"correct horse\x00battery", "correct horse\x00"},
		"a space at the end":     {"correct horse battery ", "correct horse battery"},
		"a space in front":       {" correct horse battery", "correct horse battery"},
		"composed or decomposed": {"crème brûlée à la carte", "cre\u0300me bru\u0302le\u0301e a\u0300 la carte"},
		"a ligature":             {"ﬁfteen and a few more", "fifteen and a few more"},
		"256 characters":         {strings.Repeat("åb", 128), strings.Repeat("åb", 127) + "åc"},
		"byte 73":                {strings.Repeat("x", 72) + "y", strings.Repeat("x", 72) + "z"},
		"byte 1024":              {strings.Repeat("x", 1023) + "y", strings.Repeat("x", 1023) + "z"},
		"nothing":                {"correct horse battery", ""},
		"case":                   {"correct horse battery", "Correct horse battery"},
	} {
		t.Run(name, func(t *testing.T) {
			set(t, p, person, tc.right)
			ev, err := p.Verify(t.Context(), person, tc.right)
			if err != nil || ev.Method != policy.Password || !ev.At.Equal(noon) {
				t.Errorf("right: %+v, %v", ev, err)
			}
			if ev, err := p.Verify(t.Context(), person, tc.wrong); !errors.Is(err, ErrWrong) || ev.Method != "" {
				t.Errorf("wrong: %+v, %v, want ErrWrong", ev, err)
			}
		})
	}
}

// TestNobodyCostsWhatSomebodyCosts: attack case 57. Unknown, disabled and
// passwordless people take one hash, and give the same answer.
func TestNobodyCostsWhatSomebodyCosts(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	const right = "correct horse battery"
	known, disabled := newPerson(t, store, "grace@example.com"), newPerson(t, store, "edsger@example.com")
	set(t, p, known, right)
	set(t, p, disabled, right)
	disabled.DisabledAt = storage.At(noon)
	for name, tc := range map[string]struct {
		person   *storage.Person
		password string
	}{
		"known, wrong password":    {known, "incorrect horse battery"},
		"unknown":                  {nil, right},
		"disabled, right password": {disabled, right},
		"without a password":       {newPerson(t, store, "alan@example.com"), right},
	} {
		before := p.Hashes()
		if _, err := p.Verify(t.Context(), tc.person, tc.password); err != ErrWrong { //nolint:errorlint // nothing may be wrapped around it
			t.Errorf("%s: %v, want ErrWrong itself", name, err)
		}
		if n := p.Hashes() - before; n != 1 {
			t.Errorf("%s: %d hashes, want 1", name, n)
		}
	}
}

// TestNobodyIsLookedUpLikeSomebody: with a store that cannot answer, an unknown
// person fails as a known one does.
func TestNobodyIsLookedUpLikeSomebody(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	person := newPerson(t, store, "grace@example.com")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, who := range []*storage.Person{person, nil} {
		if _, err := p.Verify(t.Context(), who, "correct horse battery"); err == nil || errors.Is(err, ErrWrong) {
			t.Errorf("%v: %v, want the store's error", who, err)
		}
	}
}

// TestTooLongAPasswordIsNotHashed: attack case 64.
func TestTooLongAPasswordIsNotHashed(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	person := newPerson(t, store, "grace@example.com")
	for _, n := range []int{MaxPassword + 1, 1 << 20} {
		_, err := p.Verify(t.Context(), nil, strings.Repeat("x", n))
		if f := wantFault(t, err, fault.KindTooLarge); f.Field != "password" {
			t.Errorf("%d bytes: %s", n, f.Shown())
		}
		err = p.Set(t.Context(), person, strings.Repeat("x", n), events.ActorPerson)
		if f := wantFault(t, err, fault.KindTooLarge); f.Field != "password" {
			t.Errorf("%d bytes, new: %s", n, f.Shown())
		}
	}
	if n := p.Hashes(); n != 0 {
		t.Errorf("%d hashes, want none", n)
	}
}

// TestWeakPasswordIsRefusedWithAdvice: attack case 65.
func TestWeakPasswordIsRefusedWithAdvice(t *testing.T) {
	store := newStore(t)
	cfg := cheap
	cfg.Words = []string{"Kerbside"}
	p := newPassword(t, store, cfg)
	person := newPerson(t, store, "ada.lovelace@example.com")
	for password, want := range map[string]struct{ code, message string }{
		"short password":                 {"password_short", "at least 15 characters, this has 14"},
		"åäöåäöåäöåäöåä":                 {"password_short", "this has 14"}, // code points, not bytes
		"":                               {"password_short", "this has 0"},
		"a nice DoorStep to stand on":    {"password_context", `"doorstep"`},
		"parked at the kerbside":         {"password_context", `"Kerbside"`},
		"Ada.Lovelace wrote a program":   {"password_context", `"ada.lovelace"`},
		"not \xff text, but long enough": {"password_encoding", "UTF-8"},
	} {
		f := wantFault(t, p.Set(t.Context(), person, password, events.ActorPerson), fault.KindInvalid)
		if f.Field != "password" || f.Code != want.code || !strings.Contains(f.Message, want.message) {
			t.Errorf("%q: %s: %s, want %s: ...%s", password, f.Code, f.Shown(), want.code, want.message)
		}
	}
	if n := p.Hashes(); n != 0 {
		t.Errorf("%d hashes, want none", n)
	}
	if _, err := store.PasswordOf(t.Context(), person.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a refused password was kept: %v", err)
	}
	set(t, p, person, "åäöåäöåäöåäöåäö")
	if err := p.Check("ab ab ab ab ab ab", "ab@example.com"); err != nil {
		t.Errorf("two letters are no word: %v", err)
	}
}

// TestPasswordChangeHasItsEvent, in the unit of the change: without one the
// other is not there.
func TestPasswordChangeHasItsEvent(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	person := newPerson(t, store, "grace@example.com")

	unit := storage.WithUnit(t.Context())
	if err := p.Set(unit, person, "correct horse battery", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if _, err := store.PasswordOf(t.Context(), person.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("written before the flush: %v", err)
	}
	if err := store.Flush(unit); err != nil {
		t.Fatal(err)
	}
	es, err := store.Events(t.Context(), 2)
	if err != nil || len(es) != 1 || es[0].Kind != string(events.PasswordSet) || es[0].PersonID != person.ID || es[0].Actor != string(events.ActorOperator) {
		t.Errorf("events %+v, %v", es, err)
	}
	if strings.Contains(string(es[0].Document.V), "horse") {
		t.Error("the event tells the password")
	}
}

// TestOldHashIsRenewedAtSignIn: a hash of another cost, or of another system,
// opens once more and is kept at today's cost; a wrong password changes nothing.
func TestOldHashIsRenewedAtSignIn(t *testing.T) {
	store := newStore(t)
	person := newPerson(t, store, "grace@example.com")
	const right = "correct horse battery"
	set(t, newPassword(t, store, PasswordConfig{Memory: 32, Time: 2}), person, right)
	old, err := store.PasswordOf(t.Context(), person.ID)
	if err != nil {
		t.Fatal(err)
	}
	p := newPassword(t, store, cheap)
	hashOf := func() string {
		t.Helper()
		row, err := store.PasswordOf(t.Context(), person.ID)
		if err != nil {
			t.Fatal(err)
		}
		return row.Hash
	}
	if _, err := p.Verify(t.Context(), person, "incorrect horse battery"); !errors.Is(err, ErrWrong) || hashOf() != old.Hash {
		t.Errorf("wrong password: %v, hash %s", err, hashOf())
	}
	if _, err := p.Verify(t.Context(), person, right); err != nil {
		t.Fatal(err)
	}
	renewed := hashOf()
	if !strings.HasPrefix(renewed, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("kept as %s", renewed)
	}
	before := p.Hashes()
	if _, err := p.Verify(t.Context(), person, right); err != nil || p.Hashes()-before != 1 || hashOf() != renewed {
		t.Errorf("renewed again: %v, %d hashes", err, p.Hashes()-before)
	}
}

// TestHashHasOneSpelling in PHC string format, and asks for no more than there is.
func TestHashHasOneSpelling(t *testing.T) {
	good := cost{memory: 64, time: 1, threads: 1}.hash("correct horse battery").String()
	if h, err := parsePHC(good); err != nil || !h.matches("correct horse battery") || h.matches("correct horse batterY") {
		t.Fatalf("%s: %v", good, err)
	}
	// From test.c of the reference implementation, P-H-C/phc-winner-argon2.
	foreign, err := parsePHC("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	if err != nil || !foreign.matches("password") || foreign.matches("passworD") {
		t.Errorf("the reference implementation's hash: %v", err)
	}
	salt, key := "$c29tZXNhbHQ", "$RdescudvJCsgt3ub+b4dWRWJTmaaJObG"
	for _, bad := range []string{
		"", "plain text", good + "=", good + "$", strings.TrimPrefix(good, "$"),
		strings.Replace(good, "argon2id", "argon2i", 1),
		strings.Replace(good, "v=19", "v=16", 1),
		"$argon2id$v=19$m=64,t=1,p=0" + salt + key,
		"$argon2id$v=19$m=64,t=0,p=1" + salt + key,
		"$argon2id$v=19$m=4,t=1,p=1" + salt + key,
		"$argon2id$v=19$m=1048576,t=1,p=1" + salt + key,
		"$argon2id$v=19$m=64,t=1000,p=1" + salt + key,
		"$argon2id$v=19$m=064,t=1,p=1" + salt + key,
		"$argon2id$v=19$m=+64,t=1,p=1" + salt + key,
		"$argon2id$v=19$m=64,t=1,p=1,keyid=1" + salt + key,
		"$argon2id$v=19$m=64,t=1,p=1" + salt + "$",
		"$argon2id$v=19$m=64,t=1,p=1$c29" + key,
	} {
		if _, err := parsePHC(bad); !errors.Is(err, errHash) {
			t.Errorf("%q was read: %v", bad, err)
		}
	}
	if _, err := parsePHC("$argon2id$v=19$m=64,t=1,p=1" + salt + key); err != nil {
		t.Errorf("a foreign hash with a shorter salt and key: %v", err)
	}
}

func TestHashingBeyondItsBoundsIsRefusedAtStart(t *testing.T) {
	for _, cfg := range []PasswordConfig{{Memory: MaxMemory + 1}, {Memory: 7}, {Time: MaxTime + 1}, {Threads: maxThreads + 1}} {
		if _, err := NewPassword(cfg, nil, nil, clock); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	if p, err := NewPassword(PasswordConfig{}, nil, nil, clock); err != nil || p.cost != (cost{19456, 2, 1}) {
		t.Errorf("default: %+v, %v", p.cost, err)
	}
}

// TestPoolBoundsWhatRunsAndWhatWaits: attack case 64. At most so many hashes at
// once, at most so many callers waiting, and the others are told when to come back.
func TestPoolBoundsWhatRunsAndWhatWaits(t *testing.T) {
	const workers, queue, flood = 2, 3, 20
	p := newPool(workers, queue)
	var (
		running, most, done atomic.Int64
		wg                  sync.WaitGroup
		gate                = make(chan struct{})
		sent                = make(chan error, flood)
	)
	for range flood {
		wg.Go(func() {
			sent <- p.do(context.Background(), func() {
				now := running.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				<-gate
				running.Add(-1)
				done.Add(1)
			})
		})
	}
	for range flood - workers - queue { // these are sent away while the gate is shut
		f := wantFault(t, <-sent, fault.KindUnavailable)
		if f.RetryAfter <= 0 {
			t.Error("not told when to come back")
		}
	}
	close(gate)
	wg.Wait()
	if most.Load() > workers || done.Load() != workers+queue {
		t.Errorf("%d at once, %d done, want at most %d and %d", most.Load(), done.Load(), workers, workers+queue)
	}
	for range workers + queue {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	if err := p.do(context.Background(), func() {}); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

// TestWhoLeavesTheQueueIsNotHashedFor, and gives the place back.
func TestWhoLeavesTheQueueIsNotHashedFor(t *testing.T) {
	p := newPool(1, 1)
	gate, started, first := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		first <- p.do(context.Background(), func() { close(started); <-gate })
	}()
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	second := make(chan error)
	go func() { second <- p.do(ctx, func() { t.Error("ran for nobody") }) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	close(gate)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for range 50 { // a worker is free: which of the two is ready first is chance
		if err := p.do(ctx, func() { t.Error("ran for nobody") }); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
	}
	if len(p.places) != 0 || len(p.workers) != 0 {
		t.Errorf("%d places and %d workers are still taken", len(p.places), len(p.workers))
	}
}

// Operators see how many hash, how many wait, and how many were sent away.
func TestLoadIsTold(t *testing.T) {
	p := &Password{pool: newPool(1, 1)}
	want := func(when string, want Load) {
		t.Helper()
		if got := p.Load(); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	want("nobody", Load{})
	working, done := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = p.pool.do(t.Context(), func() { close(working); <-done }) // it has a place
	})
	<-working
	want("one", Load{Running: 1})
	gone, leave := context.WithCancel(t.Context())
	all.Go(func() { _ = p.pool.do(gone, func() {}) }) // it waits until it leaves
	for p.Load().Waiting == 0 {
		runtime.Gosched()
	}
	want("two", Load{Running: 1, Waiting: 1})
	if err := p.pool.do(t.Context(), func() {}); err == nil {
		t.Error("there was room for a third")
	}
	want("three", Load{Running: 1, Waiting: 1, Shed: 1})
	if f := wantFault(t, p.Room(), fault.KindUnavailable); f.RetryAfter != retryAfter {
		t.Errorf("whoever asks first is told to come back in %s", f.RetryAfter)
	}
	want("four", Load{Running: 1, Waiting: 1, Shed: 2})
	leave()
	close(done)
	all.Wait()
	if err := p.Room(); err != nil {
		t.Errorf("there is room: %v", err)
	}
	want("nobody any more", Load{Shed: 2})
}
