package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/doorstep-id/doorstep/storage"
)

// algsOf returns the algorithms of the database's keys, sorted.
func algsOf(t *testing.T, store *storage.Store) []string {
	t.Helper()
	rows, err := store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var algs []string
	for _, row := range rows {
		algs = append(algs, row.Alg)
	}
	slices.Sort(algs)
	return algs
}

var allAlgs = []string{ES256, EdDSA, RS256}

// What takes long is not made by New, so a command that needs no RSA key does not
// wait for one; whatever needs it has it made.
func TestSlowKeysAreMadeWhenNeeded(t *testing.T) {
	foreign, err := start(t, openStore(t), newClock()).Sign(t.Context(), ES256, "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for what, need := range map[string]func(t *testing.T, s *Service) error{
		"the JWKS": func(t *testing.T, s *Service) error {
			body, _, err := s.JWKS(t.Context())
			if n := strings.Count(string(body), `"kid"`); n != 3 {
				t.Errorf("the first JWKS has %d keys, want all three: %s", n, body)
			}
			return err
		},
		"a list": func(t *testing.T, s *Service) error {
			list, err := s.List(t.Context())
			if len(list) != 3 {
				t.Errorf("%d keys listed, want 3", len(list))
			}
			return err
		},
		"a signature by RS256": func(t *testing.T, s *Service) error {
			_, err := s.Sign(t.Context(), RS256, "", []byte(`{}`))
			return err
		},
		"a signature by PS256": func(t *testing.T, s *Service) error {
			_, err := s.Sign(t.Context(), PS256, "", []byte(`{}`))
			return err
		},
		"an unknown kid": func(t *testing.T, s *Service) error {
			if _, _, err := s.Verify(t.Context(), foreign, "", ES256, RS256); !errors.Is(err, ErrToken) {
				return err
			}
			return nil
		},
		"within a unit that comes to nothing": func(t *testing.T, s *Service) error {
			_, err := s.Sign(storage.WithUnit(t.Context()), RS256, "", []byte(`{}`))
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			store := openStore(t)
			before := goleak.IgnoreCurrent()
			s := start(t, store, newClock())
			quick := []string{ES256, EdDSA}
			if got := algsOf(t, store); !slices.Equal(got, quick) {
				t.Fatalf("New made %v, want %v", got, quick)
			}
			tok, err := s.Sign(t.Context(), ES256, "", []byte(`{}`))
			if err == nil {
				_, _, err = s.Verify(t.Context(), tok, "", ES256, RS256, EdDSA)
			}
			if got := algsOf(t, store); err != nil || !slices.Equal(got, quick) {
				t.Fatalf("a token by ES256, %v, made %v", err, got)
			}
			if err := need(t, s); err != nil {
				t.Fatal(err)
			}
			if got := algsOf(t, store); !slices.Equal(got, allAlgs) {
				t.Errorf("%v, want %v", got, allAlgs)
			}
			goleak.VerifyNone(t, before)
		})
	}
	t.Run("a rotation", func(t *testing.T) {
		store := openStore(t)
		s := start(t, store, newClock())
		rotate(t, s, RS256)
		if got := algsOf(t, store); !slices.Equal(got, []string{ES256, EdDSA, RS256, RS256}) {
			t.Errorf("%v, want an RSA key that signs until the next one does", got)
		}
		if _, err := s.Sign(t.Context(), RS256, "", []byte(`{}`)); err != nil {
			t.Error(err)
		}
	})
}

// Of several replicas that need the first RSA key at once one adds it, each has
// callers that wait together, and all publish that one.
func TestReplicasAgreeOnTheirFirstSlowKey(t *testing.T) {
	store, c := openStore(t), newClock()
	services := make([]*Service, 3)
	for i := range services {
		services[i] = start(t, store, c)
	}
	sets := make([]string, 2*len(services))
	var wg sync.WaitGroup
	for i := range sets {
		wg.Go(func() {
			body, _, err := services[i/2].JWKS(context.Background())
			if err != nil {
				t.Error(err)
			}
			sets[i] = string(body)
		})
	}
	wg.Wait()
	if got := algsOf(t, store); !slices.Equal(got, allAlgs) {
		t.Errorf("%v, want %v", got, allAlgs)
	}
	for i, set := range sets {
		if set != sets[0] || !strings.Contains(set, `"`+services[0].firstKID(RS256)+`"`) {
			t.Errorf("answer %d is %s, the first %s", i, set, sets[0])
		}
	}
	tok, err := services[0].Sign(t.Context(), RS256, "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range services {
		if _, _, err := s.Verify(t.Context(), tok, "", RS256); err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
	}
}

// A token of a key that another replica made a moment ago is known here: what is
// kept in memory does not have it yet.
func TestFirstSlowKeyOfAnotherReplicaIsKnown(t *testing.T) {
	store, c := openStore(t), newClock()
	here, there := start(t, store, c), start(t, store, c)
	tok, err := there.Sign(t.Context(), RS256, "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := here.Verify(t.Context(), tok, "", ES256, RS256); err != nil {
		t.Error(err)
	}
}

// The replica that made the first key may be a moment ahead of the one that signs.
func TestFirstKeySignsByALaterClock(t *testing.T) {
	store, ahead := openStore(t), newClock()
	ahead.pass(time.Second)
	start(t, store, ahead, ES256)
	if _, err := start(t, store, newClock(), ES256).Sign(t.Context(), ES256, "", []byte(`{}`)); err != nil {
		t.Error(err)
	}
}

// Who does not wait for the key is let go, and a store that fails is told as such.
func TestSlowKeyThatCannotBeMade(t *testing.T) {
	store := openStore(t)
	s := start(t, store, newClock())
	s.making <- struct{}{} // somebody makes it
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, _, err := s.JWKS(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	<-s.making
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if body, _, err := s.JWKS(t.Context()); err == nil {
		t.Errorf("without a store: %s", body)
	}
	if _, err := s.Sign(t.Context(), ES256, "", []byte(`{}`)); err != nil {
		t.Errorf("ES256 without a store: %v", err)
	}
}

// Who waits for a key that somebody else makes waits for a while and not for ever.
func TestSlowKeyIsWaitedForSoLong(t *testing.T) {
	s := start(t, openStore(t), newClock())
	synctest.Test(t, func(t *testing.T) {
		s.making = make(chan struct{}, 1)
		s.making <- struct{}{} // somebody makes it
		began := time.Now()
		if _, _, err := s.JWKS(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != reloadTime {
			t.Errorf("%v after %s, want the deadline after %s", err, time.Since(began), reloadTime)
		}
	})
}
