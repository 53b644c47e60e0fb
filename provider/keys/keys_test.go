package keys

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/storage"
)

// clock is the test's own time.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func openStore(t testing.TB) *storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "keys.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

var testKEK = []byte("0123456789abcdef0123456789abcdef")

func start(t testing.TB, store *storage.Store, c *clock, algs ...string) *Service {
	t.Helper()
	s, err := New(t.Context(), Config{KEK: testKEK, Keep: 2 * time.Hour, Algorithms: algs}, store, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rotate carries a rotation out, as the command does.
func rotate(t *testing.T, s *Service, alg string) Key {
	t.Helper()
	ctx := storage.WithUnit(t.Context())
	k, err := s.Rotate(ctx, alg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return k
}

// Go's own JOSE library reads what we sign, with the key that we publish: for
// every algorithm (RFC 7515, RFC 7518, RFC 8037).
func TestOthersVerifyWhatWeSign(t *testing.T) {
	s := start(t, openStore(t), newClock())
	body, etag, err := s.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 3 || len(etag) < 10 || etag[0] != '"' {
		t.Fatalf("%d keys with tag %s, want 3: %s", len(set.Keys), etag, body)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || k.Use != "sig" || k.KeyID == "" {
			t.Errorf("published key %q: public %v, use %q", k.KeyID, k.IsPublic(), k.Use)
		}
	}
	for _, alg := range []string{ES256, EdDSA, RS256, PS256} {
		compact, err := s.Sign(t.Context(), alg, "at+jwt", []byte(`{"sub":"ada"}`))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		header := parsed.Signatures[0].Header
		if header.ExtraHeaders["typ"] != "at+jwt" {
			t.Errorf("%s: typ %v, want at+jwt", alg, header.ExtraHeaders["typ"])
		}
		found := set.Key(header.KeyID)
		if len(found) != 1 {
			t.Fatalf("%s: kid %q is published %d times", alg, header.KeyID, len(found))
		}
		payload, err := parsed.Verify(found[0])
		if err != nil || string(payload) != `{"sub":"ada"}` {
			t.Errorf("%s: %s, %v", alg, payload, err)
		}
		if payload, kid, err := s.Verify(t.Context(), compact, "at+jwt", alg); err != nil || kid != header.KeyID || string(payload) != `{"sub":"ada"}` {
			t.Errorf("%s: we ourselves: %s, %s, %v", alg, payload, kid, err)
		}
	}
}

func TestSignRefusesOtherAlgorithms(t *testing.T) {
	s := start(t, openStore(t), newClock(), ES256)
	for _, alg := range []string{"", "none", "HS256", "ES384", "RS256", "es256"} {
		if compact, err := s.Sign(t.Context(), alg, "", []byte(`{}`)); err == nil {
			t.Errorf("%q signed: %s", alg, compact)
		}
	}
}

func TestTypeIsPartOfTheToken(t *testing.T) { // RFC 8725 section 3.11
	s := start(t, openStore(t), newClock(), ES256)
	for _, tc := range []struct {
		signed, asked string
		ok            bool
	}{
		{"at+jwt", "at+jwt", true},
		{"at+jwt", "", false},
		{"at+jwt", "logout+jwt", false},
		{"", "", true},
		{"JWT", "", true},
		{"JWT", "at+jwt", false},
		{"", "JWT", false},
		{"", "at+jwt", false},
	} {
		compact, err := s.Sign(t.Context(), ES256, tc.signed, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Verify(t.Context(), compact, tc.asked, ES256); (err == nil) != tc.ok || (err != nil && !errors.Is(err, ErrToken)) {
			t.Errorf("signed as %q, asked for %q: %v, want ok %v", tc.signed, tc.asked, err, tc.ok)
		}
	}
}

func TestWrongKEKWritesNothing(t *testing.T) {
	store, c := openStore(t), newClock()
	start(t, store, c, ES256)
	before, err := store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), Config{KEK: NewKEK(), Algorithms: []string{ES256, EdDSA}}, store, c.now)
	if !errors.Is(err, ErrWrongKEK) {
		t.Fatalf("another KEK: %v, want ErrWrongKEK", err)
	}
	if !strings.Contains(err.Error(), "keys.kek") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	after, err := store.Keys(t.Context())
	if err != nil || len(after) != len(before) {
		t.Errorf("%d keys after, %d before, %v", len(after), len(before), err)
	}
	if _, err := New(t.Context(), Config{KEK: []byte("short")}, store, c.now); err == nil {
		t.Error("a short KEK was taken")
	}
	if _, err := New(t.Context(), Config{KEK: testKEK, Algorithms: []string{"HS256"}}, store, c.now); err == nil {
		t.Error("HS256 was taken")
	}
}

// Of several replicas that start at once on an empty database the first wins.
func TestReplicasAgreeOnTheirFirstKeys(t *testing.T) {
	store, c := openStore(t), newClock()
	services := make([]*Service, 4)
	var wg sync.WaitGroup
	for i := range services {
		wg.Go(func() {
			s, err := New(context.Background(), Config{KEK: testKEK, Algorithms: []string{ES256, EdDSA}}, store, c.now)
			if err != nil {
				t.Error(err)
			}
			services[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	first, _, _ := services[0].JWKS(t.Context())
	for i, s := range services {
		for _, alg := range []string{ES256, EdDSA} { // one key at most can have this id
			if kid := s.firstKID(alg); !strings.Contains(string(first), `"`+kid+`"`) {
				t.Errorf("replica %d would add a first %s key of its own", i, alg)
			}
		}
		body, _, err := s.JWKS(t.Context())
		if err != nil || string(body) != string(first) || strings.Count(string(body), `"kid"`) != 2 {
			t.Errorf("replica %d publishes %s, the first %s", i, body, first)
		}
		if s.Derive("x") != services[0].Derive("x") {
			t.Errorf("replica %d derives other keys", i)
		}
	}
}

func TestDerivedKeysDifferByPurpose(t *testing.T) {
	store, c := openStore(t), newClock()
	s := start(t, store, c, ES256)
	a, b := s.Derive("throttle"), s.Derive("refresh-token")
	if a == b || a == [32]byte{} || a == sha256.Sum256(s.root) {
		t.Error("two purposes share a key")
	}
	if again := start(t, store, c, ES256).Derive("throttle"); again != a {
		t.Error("a restart changed a derived key")
	}
}

// Attack case 38: the old key verifies until the last of its tokens is gone, and
// not a moment longer; the new one is published before it signs.
func TestRotationOverlaps(t *testing.T) {
	c := newClock()
	store := openStore(t)
	s := start(t, store, c, ES256)
	other := start(t, store, c, ES256) // another process
	sign := func() (compact, kid string) {
		t.Helper()
		compact, err := other.Sign(t.Context(), ES256, "at+jwt", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_, kid, err = other.Verify(t.Context(), compact, "at+jwt", ES256)
		if err != nil {
			t.Fatal(err)
		}
		return compact, kid
	}
	_, oldTag, _ := other.JWKS(t.Context())
	before, oldKID := sign()
	fresh := rotate(t, s, ES256)
	c.pass(4 * time.Second)

	body, newTag, _ := other.JWKS(t.Context())
	if !strings.Contains(string(body), fresh.KID) || !strings.Contains(string(body), oldKID) || oldTag == newTag {
		t.Errorf("4 s after a rotation the set is %s with tag %s (before: %s)", body, newTag, oldTag)
	}
	if _, kid := sign(); kid != oldKID {
		t.Errorf("the next key signs before others can know it")
	}
	// A server whose keys were read just before the rotation gives out the old set
	// for 3 s more, and its last copy lives for max-age.
	c.pass(s.MaxAge())
	if _, kid := sign(); kid != oldKID {
		t.Errorf("the next key signs a second early: %v after the rotation", s.MaxAge()+4*time.Second)
	}
	c.pass(time.Second)
	last, kid := sign()
	if kid != fresh.KID {
		t.Errorf("after the set's max-age %s signs, want %s", kid, fresh.KID)
	}
	c.pass(2*time.Hour - time.Second)
	if _, _, err := other.Verify(t.Context(), before, "at+jwt", ES256); err != nil {
		t.Errorf("a token of the retired key, within its keep: %v", err)
	}
	c.pass(4 * time.Second)
	if _, _, err := other.Verify(t.Context(), before, "at+jwt", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("a token of the retired key, beyond its keep: %v, want ErrToken", err)
	}
	if body, _, _ := other.JWKS(t.Context()); strings.Contains(string(body), oldKID) {
		t.Errorf("the retired key is published still: %s", body)
	}
	if _, _, err := other.VerifyHint(t.Context(), before, "at+jwt", ES256); err != nil {
		t.Errorf("as a hint: %v", err)
	}
	if _, _, err := other.Verify(t.Context(), last, "at+jwt", ES256); err != nil {
		t.Errorf("a token of the current key: %v", err)
	}
	c.pass(400 * 24 * time.Hour)
	if _, _, err := other.VerifyHint(t.Context(), before, "at+jwt", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("as a hint, after 400 days: %v, want ErrToken", err)
	}
}

func TestListShowsTheLifeOfAKey(t *testing.T) {
	c := newClock()
	s := start(t, openStore(t), c, ES256)
	c.pass(time.Second)
	rotate(t, s, ES256)
	want := func(first, second State) {
		t.Helper()
		list, err := s.List(t.Context())
		if err != nil || len(list) != 2 || list[0].State != first || list[1].State != second {
			t.Errorf("list %+v, %v, want %s and %s", list, err, first, second)
		}
	}
	c.pass(4 * time.Second)
	want(StateSigning, StateNext)
	c.pass(s.MaxAge() + time.Second)
	want(StateRetired, StateSigning)
	c.pass(3 * time.Hour)
	want(StateHint, StateSigning)
	c.pass(401 * 24 * time.Hour)
	want(StateForgotten, StateSigning)
}

func TestOneOfTwoRotationsWins(t *testing.T) {
	s := start(t, openStore(t), newClock(), ES256)
	one, two := storage.WithUnit(t.Context()), storage.WithUnit(t.Context())
	for _, ctx := range []context.Context{one, two} {
		if _, err := s.Rotate(ctx, ES256); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.Flush(one); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Flush(two); !errors.Is(err, storage.ErrStale) {
		t.Errorf("the second: %v, want ErrStale", err)
	}
	if rows, _ := s.store.Keys(t.Context()); len(rows) != 2 {
		t.Errorf("%d keys, want 2", len(rows))
	}
	if _, err := s.Rotate(t.Context(), "HS256"); err == nil {
		t.Error("HS256 was rotated")
	}
}

// Whoever can only write to the database cannot plant a key of their own.
func TestPlantedKeyIsRefused(t *testing.T) {
	store, c := openStore(t), newClock()
	s := start(t, store, c, ES256)
	mine, err := s.newKey(ES256, "planted")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := s.newKey(ES256, "planted")
	if err != nil {
		t.Fatal(err)
	}
	mine.Public = theirs.Public
	mine.CreatedAt, mine.ActiveAt = storage.At(c.now()), storage.At(c.now())
	if err := store.CreateKey(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{KEK: testKEK, Algorithms: []string{ES256}}, store, c.now); err == nil {
		t.Error("a key whose public half is another's was taken")
	}
}

// A store that fails does not stop the signing: the keys are known.
func TestKnownKeysServeOnWithoutTheStore(t *testing.T) {
	store, c := openStore(t), newClock()
	s := start(t, store, c, ES256)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	if _, err := s.Sign(t.Context(), ES256, "", []byte(`{}`)); err != nil {
		t.Errorf("after a minute: %v", err)
	}
	c.pass(15 * time.Minute)
	if _, err := s.Sign(t.Context(), ES256, "", []byte(`{}`)); err == nil {
		t.Error("beyond the set's max-age a rotation could have been missed, and yet it signs")
	}
}

func TestSealedOpensForItsPurposeOnly(t *testing.T) {
	s := start(t, openStore(t), newClock(), ES256)
	sealed, err := s.Seal("totp", "42", []byte("seed"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := s.Open("totp", "42", sealed); err != nil || string(plain) != "seed" {
		t.Fatalf("%q, %v", plain, err)
	}
	for _, at := range [][2]string{{"totp", "43"}, {"other", "42"}, {"totp\x0042", ""}, {"", "totp\x0042"}} {
		if _, err := s.Open(at[0], at[1], sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("opened as %q: %v, want ErrSealed", at, err)
		}
	}
	for i := range sealed {
		changed := append([]byte{}, sealed...)
		changed[i] ^= 1
		if _, err := s.Open("totp", "42", changed); err == nil {
			t.Errorf("byte %d was changed and it opened", i)
		}
		if _, err := s.Open("totp", "42", sealed[:i]); err == nil {
			t.Errorf("cut to %d bytes it opened", i)
		}
	}
	again, err := s.Seal("totp", "42", []byte("seed"))
	if err != nil || string(again) == string(sealed) {
		t.Errorf("sealing twice gives the same bytes (%v)", err)
	}
}

func TestParseKEK(t *testing.T) {
	kek := NewKEK()
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(kek), base64.RawStdEncoding.EncodeToString(kek),
		base64.URLEncoding.EncodeToString(kek), "  " + base64.StdEncoding.EncodeToString(kek) + "\n",
	} {
		if got, err := ParseKEK(text); err != nil || string(got) != string(kek) {
			t.Errorf("ParseKEK(%q): %v", text, err)
		}
	}
	for _, text := range []string{"", "hello", base64.StdEncoding.EncodeToString(kek[:31]), base64.StdEncoding.EncodeToString(append(kek, 1)), strings.Repeat("!", 44)} {
		if _, err := ParseKEK(text); err == nil {
			t.Errorf("ParseKEK(%q) was taken", text)
		}
	}
}

// OIDC Core section 8.1: the salt of pairwise subjects is the database's own, and a
// rotation leaves it alone.
func TestPairwiseSaltNeverChanges(t *testing.T) {
	c, store := newClock(), openStore(t)
	s := start(t, store, c, ES256)
	salt := s.PairwiseSalt()
	if salt == [32]byte{} || salt == s.Derive("pairwise") {
		t.Errorf("the salt is %x", salt)
	}
	if _, err := s.Rotate(t.Context(), ES256); err != nil {
		t.Fatal(err)
	}
	c.pass(24 * time.Hour)
	if start(t, store, c, ES256).PairwiseSalt() != salt {
		t.Error("it changed")
	}
	if start(t, openStore(t), c, ES256).PairwiseSalt() == salt {
		t.Error("another database has the same")
	}
}

// TestAKeysIDIsNoFlag: operators type it after a command.
func TestAKeysIDIsNoFlag(t *testing.T) {
	for id, want := range map[string]string{"\xfb\xe0\x00": "AA", "\xff\xff\xff": "____", "\x00\xfb\xef\xbe": "APvvvg"} {
		if got := kidOf([]byte(id)); got != want {
			t.Errorf("%x: %q, want %q", id, got, want)
		}
	}
}
