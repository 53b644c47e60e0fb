package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

var nextKEK = []byte("fedcba9876543210fedcba9876543210")

// startWith starts a service whose current KEK is the first of these.
func startWith(t *testing.T, store *storage.Store, c *clock, keks ...[]byte) *Service {
	t.Helper()
	s, err := New(t.Context(), Config{KEK: keks[0], AcceptedKEKs: keks[1:], Algorithms: []string{ES256}}, store, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealOrigins adds n events with sealed origins, and returns their ids.
func sealOrigins(t *testing.T, s *Service, n int) (ids []string) {
	t.Helper()
	for range n {
		e := storage.Event{ID: storage.NewID(), Kind: "k", Actor: "system", Document: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(s.now())}
		var err error
		if e.Origin, err = s.Seal(storage.PurposeOrigin, string(e.ID), []byte("192.0.2.1")); err != nil {
			t.Fatal(err)
		}
		if err := s.store.CreateEvent(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(e.ID))
	}
	return ids
}

// sealed returns every sealed value by column and key.
func sealed(t *testing.T, store *storage.Store) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, c := range storage.SealedColumns() {
		rows, err := store.SealedRows(t.Context(), c, []byte{0}, nil, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			all[c.Table+" "+row.ID()] = row.Sealed
		}
	}
	return all
}

// uses returns the records by key, of those that have any.
func uses(t *testing.T, s *Service) map[string]int64 {
	t.Helper()
	all, err := s.KEKUses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, use := range all {
		if use.Records > 0 {
			out[use.ID] = use.Records
		}
	}
	return out
}

func wantAllSealedWith(t *testing.T, store *storage.Store, c *clock, kek []byte, records int) {
	t.Helper()
	s := startWith(t, store, c, kek)
	if got := uses(t, s); len(got) != 1 || got[KEKID(kek)] != int64(records) {
		t.Errorf("sealed with %v, want %d with %s alone", got, records, KEKID(kek))
	}
	n, damaged, err := s.CheckSealed(t.Context())
	if err != nil || n != int64(records) || len(damaged) != 0 {
		t.Errorf("%d of %d open, not %v: %v", n, records, damaged, err)
	}
}

// TestRewrapChangesTheWrappingAlone: every sealed record opens with the new key, and
// with no other; what is sealed was not touched.
func TestRewrapChangesTheWrappingAlone(t *testing.T) {
	store, c := openStore(t), newClock()
	sealOrigins(t, startWith(t, store, c, testKEK), rewrapBatch+7)
	before := sealed(t, store)
	s := startWith(t, store, c, nextKEK, testKEK)
	sealOrigins(t, s, 2) // a server that has the new key already

	var told []int64
	done, err := s.Rewrap(t.Context(), func(n int64) { told = append(told, n) })
	if err != nil || done.Records != int64(len(before)) || len(done.Damaged) != 0 || len(told) < 3 || !slices.IsSorted(told) {
		t.Fatalf("%+v, told %v: %v; want %d records", done, told, err, len(before))
	}
	after := sealed(t, store)
	for key, was := range before {
		if is := after[key]; bytes.Equal(is, was) || !bytes.Equal(is[sealHeader+wrappedSize:], was[sealHeader+wrappedSize:]) {
			t.Errorf("%s: the wrapping alone was to change", key)
		}
	}
	wantAllSealedWith(t, store, c, nextKEK, len(after))
	if _, err := New(t.Context(), Config{KEK: testKEK}, store, c.now); !errors.Is(err, ErrWrongKEK) {
		t.Errorf("with the old key alone: %v, want ErrWrongKEK", err)
	}
	if again, err := s.Rewrap(t.Context(), nil); err != nil || again.Records != 0 {
		t.Errorf("again: %+v, %v, want nothing to do", again, err)
	}
}

// TestRewrapGoesOnWhereItEnded: whatever it was ended after, both keys together open
// everything, and the next run does the rest.
func TestRewrapGoesOnWhereItEnded(t *testing.T) {
	store, c := openStore(t), newClock()
	sealOrigins(t, startWith(t, store, c, testKEK), 2*rewrapBatch)
	records := len(sealed(t, store))
	s := startWith(t, store, c, nextKEK, testKEK)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Rewrap(ctx, func(int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("ended: %v", err)
	}
	if got := uses(t, s); got[KEKID(nextKEK)] != rewrapBatch || got[KEKID(testKEK)] != int64(records-rewrapBatch) {
		t.Fatalf("sealed with %v, want one batch with the new key", got)
	}
	for _, keks := range [][][]byte{{nextKEK, testKEK}, {testKEK, nextKEK}} {
		if n, damaged, err := startWith(t, store, c, keks...).CheckSealed(t.Context()); err != nil || int(n) != records || len(damaged) != 0 {
			t.Errorf("midway %d open, not %v: %v", n, damaged, err)
		}
	}
	if _, err := s.Rewrap(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantAllSealedWith(t, store, c, nextKEK, records)
}

// TestRewrapKnowsEveryKeyFirst: a record that no given key opens ends it before
// anything is written; one that is damaged is named, and holds nothing up.
func TestRewrapKnowsEveryKeyFirst(t *testing.T) {
	store, c := openStore(t), newClock()
	ids := sealOrigins(t, startWith(t, store, c, testKEK), 3)
	third := []byte("00000000000000000000000000000000")
	sealOrigins(t, startWith(t, store, c, third, testKEK), 1)
	before := sealed(t, store)
	s := startWith(t, store, c, nextKEK, testKEK)
	_, err := s.Rewrap(t.Context(), nil)
	if !errors.Is(err, ErrWrongKEK) || !strings.Contains(err.Error(), "1 records are sealed with the key "+KEKID(third)) {
		t.Fatalf("%v, want the key that is missing", err)
	}
	for key, was := range before {
		if !bytes.Equal(sealed(t, store)[key], was) {
			t.Errorf("%s was written", key)
		}
	}

	column := storage.SealedColumns()[0]
	was := storage.SealedRow{Key: ids[1], Sealed: before["events "+ids[1]]}
	damaged := bytes.Clone(was.Sealed)
	damaged[sealHeader+20] ^= 1
	if n, err := store.ReplaceSealed(t.Context(), column, []storage.SealedRow{was}, [][]byte{damaged}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s = startWith(t, store, c, nextKEK, testKEK, third)
	done, err := s.Rewrap(t.Context(), nil)
	if err != nil || int(done.Records) != len(before)-1 || !slices.Equal(done.Damaged, []string{"events " + ids[1]}) {
		t.Errorf("%+v, %v, want all but the damaged one", done, err)
	}
	if _, names, err := s.CheckSealed(t.Context()); err != nil || !slices.Equal(names, done.Damaged) {
		t.Errorf("a check finds %v: %v", names, err)
	}
}

// TestServersFollowTheKEK: keys that can be read anew are, so that a server opens
// what was sealed with a new one at once, and seals with it within seconds.
func TestServersFollowTheKEK(t *testing.T) {
	store, c := openStore(t), newClock()
	current, accepted := testKEK, [][]byte(nil)
	var failing error
	s, err := New(t.Context(), Config{KEK: current, Algorithms: []string{ES256}, RereadKEKs: func() ([]byte, [][]byte, error) {
		return current, accepted, failing
	}}, store, c.now)
	if err != nil {
		t.Fatal(err)
	}
	current, accepted = nextKEK, [][]byte{testKEK}
	ids := sealOrigins(t, startWith(t, store, c, nextKEK, testKEK), 1)
	if _, err := s.Open(storage.PurposeOrigin, ids[0], sealed(t, store)["events "+ids[0]]); err != nil {
		t.Errorf("what the new key sealed: %v", err)
	}

	current, accepted = testKEK, [][]byte{nextKEK}
	sealedWith := func() string {
		t.Helper()
		out, err := s.Seal("p", "i", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(out[1:sealHeader])
	}
	if got := sealedWith(); got != KEKID(nextKEK) {
		t.Errorf("at once: sealed with %s, want the one that was read", got)
	}
	failing = errors.New("unreadable")
	c.pass(maxAge)
	if got := sealedWith(); got != KEKID(nextKEK) {
		t.Errorf("unreadable: sealed with %s, want the one that is known", got)
	}
	failing = nil
	c.pass(maxAge)
	if got := sealedWith(); got != KEKID(testKEK) {
		t.Errorf("later: sealed with %s, want the current one", got)
	}
}
