package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/storage"
)

// What is sealed can be found by what it begins with, and replaced where it is still
// what it was.
var sealedTests = map[string]func(*testing.T, fixture){
	"what is sealed is counted by its beginning":        testCountSealed,
	"what is sealed otherwise is read in batches":       testSealedRows,
	"what changed meanwhile is not replaced":            testReplaceSealed,
	"of two who would be alone the second waits":        testAlone,
	"every sealed column is counted, read and replaced": testEverySealedColumn,
}

var secrets = storage.SealedColumn{Table: "secrets", Key: "name", Column: "sealed", Purpose: storage.PurposeSecret}

func (f fixture) secret(name, sealed string) {
	f.t.Helper()
	f.must(f.CreateSecret(f.ctx, &storage.Secret{Name: name, Sealed: []byte(sealed), CreatedAt: now}))
}

func testCountSealed(t *testing.T, f fixture) {
	f.secret("a", "\x01old a")
	f.secret("b", "\x01old b")
	f.secret("c", "\x01new c")
	got, err := f.CountSealed(f.ctx, secrets, 4)
	f.must(err)
	if diff := cmp.Diff(map[string]int64{"\x01old": 2, "\x01new": 1}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	without, err := f.CountSealed(f.ctx, storage.SealedColumns()[0], 4)
	f.must(err)
	f.must(f.CreateEvent(f.ctx, event("has no origin")))
	with, err := f.CountSealed(f.ctx, storage.SealedColumns()[0], 4)
	f.must(err)
	if len(without) != 0 || len(with) != 0 {
		t.Errorf("%v, %v: nothing is sealed there", without, with)
	}
}

func testSealedRows(t *testing.T, f fixture) {
	for i := range 5 {
		f.secret(fmt.Sprint(i), "\x01old")
	}
	f.secret("new", "\x01new")
	var (
		got   []string
		after any
	)
	for {
		rows, err := f.SealedRows(f.ctx, secrets, []byte("\x01new"), after, 2)
		f.must(err)
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			got = append(got, row.ID())
		}
		after = rows[len(rows)-1].Key
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func testReplaceSealed(t *testing.T, f fixture) {
	f.secret("a", "was")
	f.secret("b", "is another")
	was := []storage.SealedRow{{Key: "a", Sealed: []byte("was")}, {Key: "b", Sealed: []byte("was")}, {Key: "c", Sealed: []byte("was")}}
	n, err := f.ReplaceSealed(f.ctx, secrets, was, [][]byte{[]byte("fresh"), []byte("fresh"), []byte("fresh")})
	f.must(err)
	a, err := f.SecretNamed(f.ctx, "a")
	f.must(err)
	b, err := f.SecretNamed(f.ctx, "b")
	f.must(err)
	if n != 1 || string(a.Sealed) != "fresh" || string(b.Sealed) != "is another" {
		t.Errorf("%d replaced: a %q, b %q", n, a.Sealed, b.Sealed)
	}
}

func testAlone(t *testing.T, f fixture) {
	if f.onPostgres() {
		return // it promises nothing there
	}
	ctx, cancel := context.WithCancel(f.ctx)
	errs := make(chan error, 1)
	inside := false
	f.must(f.Alone(f.ctx, func() error {
		inside = true
		go func() {
			errs <- f.Alone(ctx, func() error {
				if inside {
					return errors.New("two at once")
				}
				return nil
			})
		}()
		_, err := f.SecretNamed(f.ctx, "nobody") // the other has had its turn to begin
		f.want(storage.ErrNotFound, err)
		inside = false
		return nil
	}))
	f.must(<-errs)
	cancel()
}

func testEverySealedColumn(t *testing.T, f fixture) {
	f.secret("a", "\x01old secret")
	f.must(f.CreateKey(f.ctx, &storage.Key{KID: "a", Alg: "ES256", Public: doc(`{}`), Sealed: []byte("\x01old key"), CreatedAt: now, ActiveAt: now}))
	e := event("has an origin")
	e.Origin = []byte("\x01old origin")
	f.must(f.CreateEvent(f.ctx, e))
	answered := newKey("a", now)
	answered.Answer = []byte("\x01old answer")
	f.must(f.ClaimIdempotencyKey(f.ctx, answered))
	app := totp(f.person("ada"), "phone")
	app.Seed = []byte("\x01old seed")
	f.must(f.BeginTOTP(f.ctx, app, 5))
	sealed := newMail(&storage.Person{}, now)
	sealed.Sealed = []byte("\x01old mail")
	f.must(f.CreateMail(f.ctx, sealed))
	for _, c := range storage.SealedColumns() {
		rows, err := f.SealedRows(f.ctx, c, []byte("\x01new"), nil, 10)
		f.must(err)
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows, want 1: a new sealed column gets a row above", c.Table, len(rows))
		}
		n, err := f.ReplaceSealed(f.ctx, c, rows, [][]byte{[]byte("\x01new")})
		f.must(err)
		counts, err := f.CountSealed(f.ctx, c, 4)
		f.must(err)
		if n != 1 || counts["\x01new"] != 1 || len(counts) != 1 {
			t.Errorf("%s: %d replaced, then %v", c.Table, n, counts)
		}
	}
}
