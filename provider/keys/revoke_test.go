package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// revoke carries a revocation out, as the command does.
func revoke(t *testing.T, s *Service, kid string) Revoked {
	t.Helper()
	ctx := storage.WithUnit(t.Context())
	r, err := s.Revoke(ctx, kid)
	if err == nil {
		err = s.store.Flush(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// states returns the state of each key by its id.
func states(t *testing.T, s *Service) map[string]State {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]State{}
	for _, k := range all {
		out[k.KID] = k.State
	}
	return out
}

// signedBy returns a token and the id of the key that signed it.
func signedBy(t *testing.T, s *Service) (tok, kid string) {
	t.Helper()
	tok, err := s.Sign(t.Context(), ES256, "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, kid, err = s.Verify(t.Context(), tok, "", ES256); err != nil {
		t.Fatal(err)
	}
	return tok, kid
}

// A revoked key is gone everywhere within five seconds: another process drops it
// from the published set, takes its tokens for nothing, hints too, and signs with
// another one.
func TestRevokedKeyIsGoneEverywhere(t *testing.T) {
	store, c := openStore(t), newClock()
	here, there := start(t, store, c, ES256), start(t, store, c, ES256)
	tok, kid := signedBy(t, there)
	c.pass(time.Hour)
	signedBy(t, there) // has read the keys just now
	r := revoke(t, here, kid)
	if r.State != StateSigning || r.Unknown != here.MaxAge()+noticed || r.Successor.State != StateSigning || r.Successor.KID == kid {
		t.Errorf("%+v, want a new key that signs", r)
	}
	c.pass(4 * time.Second)
	body, _, err := there.JWKS(t.Context())
	if err != nil || strings.Contains(string(body), kid) || !strings.Contains(string(body), r.Successor.KID) {
		t.Errorf("published %s, %v", body, err)
	}
	if _, _, err := there.Verify(t.Context(), tok, "", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("a token of it: %v, want ErrToken", err)
	}
	if _, _, err := there.VerifyHint(t.Context(), tok, "", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("a hint of it: %v, want ErrToken", err)
	}
	if ok, err := there.Published(t.Context(), kid); ok || err != nil {
		t.Errorf("published %v, %v", ok, err)
	}
	if _, signs := signedBy(t, there); signs != r.Successor.KID {
		t.Errorf("%s signs, want %s", signs, r.Successor.KID)
	}
	// However the thief dates a token, and for as long as anything would be
	// accepted of a key that is gone.
	rows, err := store.Revocations(t.Context(), map[string]string{storage.RevokedKey: kid})
	if err != nil || len(rows) != 1 || rows[0].NotBefore.Before(c.now().Add(hintLife-time.Minute)) || !rows[0].ExpiresAt.Equal(rows[0].NotBefore.Time) {
		t.Errorf("revocations %+v, %v", rows, err)
	}
	if got := states(t, there)[kid]; got != StateRevoked {
		t.Errorf("it is listed as %s", got)
	}
	if again := revoke(t, here, kid); again.State != StateRevoked || again.Successor.KID != "" || len(states(t, here)) != 2 {
		t.Errorf("revoked again: %+v", again)
	}
	c.pass(hintLife + time.Second)
	if _, err := store.Sweep(t.Context(), storage.At(c.now()), 10); err != nil {
		t.Fatal(err)
	}
	if _, _, err := there.VerifyHint(t.Context(), tok, "", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("a hint of it when the revocation was swept: %v, want ErrToken", err)
	}
}

// Whatever is revoked, one key signs at every moment, and none that was revoked.
func TestRevokingLeavesAKeyThatSigns(t *testing.T) {
	for name, tc := range map[string]struct {
		rotations int   // before
		revoke    []int // in which order: 0 signs, the others are to follow
		signs     []int // who signs after each further max-age; -1: a new key
	}{
		"the only one":                    {0, []int{0}, []int{-1, -1, -1}},
		"with a next one, that one":       {1, []int{0}, []int{1, 1, 1}},
		"the next one, the first goes on": {1, []int{1}, []int{0, 0, 0}},
		"both":                            {1, []int{0, 1}, []int{-1, -1, -1}},
		"both, the next one first":        {1, []int{1, 0}, []int{-1, -1, -1}},
		"the first of three":              {2, []int{0}, []int{1, 2, 2}},
		"the second of three":             {2, []int{1}, []int{0, 2, 2}},
		"the third of three":              {2, []int{2}, []int{0, 1, 1}},
		"all three":                       {2, []int{1, 2, 0}, []int{-1, -1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := start(t, openStore(t), c, ES256)
			_, first := signedBy(t, s)
			kids := []string{first}
			for range tc.rotations {
				kids = append(kids, rotate(t, s, ES256).KID)
				c.pass(10 * time.Second)
			}
			made := ""
			for _, i := range tc.revoke {
				if r := revoke(t, s, kids[i]); !slices.Contains(kids, r.Successor.KID) {
					made = r.Successor.KID
				}
			}
			for i, want := range tc.signs {
				c.pass(4 * time.Second) // what is in memory has lapsed
				_, kid := signedBy(t, s)
				if want == -1 && (kid != made || made == "") || want >= 0 && kid != kids[want] {
					t.Errorf("step %d: %s signs, of %v and the new key %q, want %d", i, kid, kids, made, want)
				}
				c.pass(s.MaxAge() + noticed - 14*time.Second)
				if i > 0 {
					c.pass(time.Minute)
				}
			}
		})
	}
}

// A key that signs no more is ended alone: the one that signs stays.
func TestRevokingARetiredKey(t *testing.T) {
	c := newClock()
	s := start(t, openStore(t), c, ES256)
	tok, old := signedBy(t, s)
	fresh := rotate(t, s, ES256)
	c.pass(s.MaxAge() + time.Minute)
	for _, want := range []State{StateRetired, StateHint} {
		if got := states(t, s)[old]; got != want {
			t.Fatalf("it is %s, want %s", got, want)
		}
		if want == StateRetired {
			c.pass(3 * time.Hour)
		}
	}
	if r := revoke(t, s, old); r.State != StateHint || r.Successor.KID != "" || r.Unknown != 0 {
		t.Errorf("%+v", r)
	}
	c.pass(4 * time.Second)
	if _, _, err := s.VerifyHint(t.Context(), tok, "", ES256); !errors.Is(err, ErrToken) {
		t.Errorf("a hint of it: %v", err)
	}
	if _, kid := signedBy(t, s); kid != fresh.KID {
		t.Errorf("%s signs, want %s", kid, fresh.KID)
	}
}

// For as long as some cached copy of the published set lacks the key that signs,
// who revokes is told so: until a next key would have signed by itself.
func TestRevokingSaysWhoDoesNotKnowTheSuccessor(t *testing.T) {
	c := newClock()
	s := start(t, openStore(t), c, ES256)
	_, first := signedBy(t, s)
	second := rotate(t, s, ES256)
	c.pass(10 * time.Minute)
	third := rotate(t, s, ES256)
	if r := revoke(t, s, third.KID); r.Unknown != 0 || r.Successor.KID != second.KID {
		t.Errorf("the last one: %+v, want no harm", r)
	}
	c.pass(30 * time.Second)
	if r := revoke(t, s, first); r.Unknown != 4*time.Minute+35*time.Second || r.Successor.KID != second.KID || !r.Successor.ActiveAt.Equal(c.now()) {
		t.Errorf("the first one: %+v, want the second to be unknown for what it had to wait", r)
	}
	if r := revoke(t, s, second.KID); r.Unknown != s.MaxAge()+noticed || r.Successor.KID == "" {
		t.Errorf("the second one: %+v, want a new key that nobody knows", r)
	}
}

// Who does not flush learns what would happen, and nothing does.
func TestRevocationThatIsNotFlushed(t *testing.T) {
	s := start(t, openStore(t), newClock(), ES256)
	_, kid := signedBy(t, s)
	for range 2 {
		if r, err := s.Revoke(storage.WithUnit(t.Context()), kid); err != nil || r.State != StateSigning || r.Unknown != s.MaxAge()+noticed {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if got := states(t, s); len(got) != 1 || got[kid] != StateSigning {
		t.Errorf("listed %v", got)
	}
}

// A database without a key that goes on, as two revocations at once could leave it
// before they excluded each other, gets one, of however many replicas.
func TestOneReplicaMendsAnAlgorithmWithoutAKey(t *testing.T) {
	c := newClock()
	store := openStore(t)
	s := start(t, store, c, ES256)
	was, err := store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := was[0]
	ended.RetiredAt, ended.ExpiresAt = storage.At(c.now()), storage.At(c.now())
	if err := store.ReplanKeys(t.Context(), was, storage.At(c.now()), nil, ended); err != nil {
		t.Fatal(err)
	}
	c.pass(4 * time.Second)
	if _, err := s.Sign(t.Context(), ES256, "", []byte(`{}`)); err == nil {
		t.Fatal("a key signs")
	}
	one, two := storage.WithUnit(t.Context()), storage.WithUnit(t.Context())
	for _, ctx := range []context.Context{one, two} {
		if k, err := s.RotateDue(ctx, ES256); err != nil || k.KID == "" {
			t.Fatalf("%+v, %v", k, err)
		}
	}
	if err := store.Flush(one); err != nil {
		t.Fatal(err)
	}
	if err := store.Flush(two); !errors.Is(err, storage.ErrStale) {
		t.Errorf("the second: %v, want ErrStale", err)
	}
	c.pass(4 * time.Second)
	if got := states(t, s); len(got) != 2 {
		t.Errorf("listed %v", got)
	}
	signedBy(t, s)
}

// A rotation and a revocation of one key at once: the second sees that it is.
func TestRevocationAndRotationMeet(t *testing.T) {
	s := start(t, openStore(t), newClock(), ES256)
	_, kid := signedBy(t, s)
	one, two := storage.WithUnit(t.Context()), storage.WithUnit(t.Context())
	if _, err := s.Rotate(one, ES256); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revoke(two, kid); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Flush(one); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Flush(two); !errors.Is(err, storage.ErrStale) {
		t.Errorf("%v, want ErrStale", err)
	}
	if got := states(t, s)[kid]; got != StateSigning {
		t.Errorf("half revoked: %s", got)
	}
	if _, err := s.Revoke(t.Context(), "unknown"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unknown key: %v", err)
	}
}
