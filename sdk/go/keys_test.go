package doorstep_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

func TestNewRefusesWhatCannotBeTrusted(t *testing.T) {
	for _, issuer := range []string{"", "id.example.com", "http://id.example.com", "ftp://id.example.com",
		"https://u:p@id.example.com", "https://id.example.com?x=1", "http://localhost.evil.example", "https://"} {
		if _, err := doorstep.New(doorstep.Config{Issuer: issuer, Audience: audience}); err == nil {
			t.Errorf("issuer %q was accepted", issuer)
		}
	}
	if _, err := doorstep.New(doorstep.Config{Issuer: "https://id.example.com"}); err == nil {
		t.Error("no audience was accepted")
	}
	for _, issuer := range []string{"https://id.example.com/tenant", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"} {
		if _, err := doorstep.New(doorstep.Config{Issuer: issuer, Audience: audience}); err != nil {
			t.Errorf("issuer %q: %v", issuer, err)
		}
	}
}

func TestKeysAreKeptForTheirMaxAge(t *testing.T) {
	for _, c := range []struct {
		header string
		age    time.Duration
	}{
		{"public, max-age=3600", time.Hour},
		{"", 5 * time.Minute},
		{"max-age=1", time.Minute},
		{"no-store", time.Minute},
		{"max-age=31536000", 24 * time.Hour},
	} {
		t.Run(c.header, func(t *testing.T) {
			i := newIssuer()
			defer i.Close()
			i.cacheControl = c.header
			key := newKey("k1")
			i.publish(key)
			v := i.verifier()
			for _, step := range []struct {
				after time.Duration
				want  int
			}{{0, 1}, {c.age - time.Second, 1}, {time.Second, 2}} {
				i.advance(step.after)
				if _, err := v.Verify(t.Context(), i.token(key, nil)); err != nil {
					t.Fatal(err)
				}
				if i.fetches != step.want {
					t.Errorf("%d fetches, want %d", i.fetches, step.want)
				}
			}
		})
	}
}

func TestUnknownKidFetchesAtMostOnceAMinute(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	first, second := newKey("k1"), newKey("k2")
	i.publish(first)
	v := i.verifier()
	verify := func(token string, wantFetches int) error {
		t.Helper()
		_, err := v.Verify(t.Context(), token)
		if i.fetches != wantFetches {
			t.Errorf("%d fetches, want %d", i.fetches, wantFetches)
		}
		return err
	}
	if err := verify(i.token(first, nil), 1); err != nil {
		t.Fatal(err)
	}
	i.publish(second)
	for range 20 {
		if err := verify(i.token(second, nil), 1); !errors.Is(err, doorstep.ErrInvalidToken) {
			t.Fatalf("within the minute: %v", err)
		}
	}
	i.advance(time.Minute)
	if err := verify(i.token(second, nil), 2); err != nil {
		t.Errorf("the new key after a minute: %v", err)
	}

	// A provider that does not answer is asked no more often either.
	i.advance(time.Minute)
	i.set(func() { i.down = true })
	requests := i.count(t)
	for range 20 {
		if err := verify(i.token(newKey("k3"), nil), 2); !errors.Is(err, doorstep.ErrKeysUnavailable) {
			t.Fatalf("an unknown kid while the provider is down: %v", err)
		}
		i.advance(2 * time.Second)
	}
	if n := requests(); n != 1 {
		t.Errorf("%d requests to a provider that is down, want 1", n)
	}
}

func TestOldKeysServeWhileTheProviderRestarts(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key := newKey("k1")
	i.publish(key)
	v := i.verifier()
	verify := func() error { _, err := v.Verify(t.Context(), i.token(key, nil)); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.down = true })
	i.advance(time.Hour + 9*time.Minute)
	if err := verify(); err != nil {
		t.Errorf("nine minutes past their age: %v", err)
	}
	i.advance(2 * time.Minute)
	if err := verify(); !errors.Is(err, doorstep.ErrKeysUnavailable) {
		t.Errorf("eleven minutes past their age: %v", err)
	}
	i.set(func() { i.down = false })
	if err := verify(); !errors.Is(err, doorstep.ErrKeysUnavailable) {
		t.Errorf("asked again within a second of a failure: %v", err)
	}
	i.advance(time.Second)
	if err := verify(); err != nil {
		t.Errorf("the provider is back: %v", err)
	}
}

// A revoked key must not outlive its removal once the set is read again.
func TestARemovedKeyVerifiesNothing(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key := newKey("k1")
	i.publish(key)
	v := i.verifier()
	if _, err := v.Verify(t.Context(), i.token(key, nil)); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys = nil })
	i.advance(time.Hour)
	if _, err := v.Verify(t.Context(), i.token(key, nil)); !errors.Is(err, doorstep.ErrInvalidToken) {
		t.Errorf("a removed key: %v", err)
	}
}

func TestKeysOfUnknownKindsSpoilNothing(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key := newKey("k1")
	i.set(func() { i.keys = append(i.keys, map[string]string{"kty": "XYZ", "kid": "new"}, "not a key", nil) })
	i.publish(key)
	if _, err := i.verifier().Verify(t.Context(), i.token(key, nil)); err != nil {
		t.Error(err)
	}
}

// OpenID Connect Discovery 1.0 section 4.3, and what a fetch must not be led into.
func TestMetadataThatCannotBeTrusted(t *testing.T) {
	for name, change := range map[string]func(*issuer){
		"another issuer":        func(i *issuer) { i.metadata["issuer"] = "https://evil.example" },
		"issuer with a slash":   func(i *issuer) { i.metadata["issuer"] = i.URL + "/" },
		"keys over plain http":  func(i *issuer) { i.metadata["jwks_uri"] = "http://evil.example/jwks" },
		"no keys":               func(i *issuer) { delete(i.metadata, "jwks_uri") },
		"keys behind redirects": func(i *issuer) { i.metadata["jwks_uri"] = i.URL + "/moved" },
		"an endless answer":     func(i *issuer) { i.metadata["padding"] = strings.Repeat("x", 256<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer()
			defer i.Close()
			mux := i.Config.Handler.(*http.ServeMux)
			mux.Handle("GET /moved", http.RedirectHandler("/jwks", http.StatusFound))
			key := newKey("k1")
			i.publish(key)
			i.set(func() { change(i) })
			if _, err := i.verifier().Verify(t.Context(), i.token(key, nil)); !errors.Is(err, doorstep.ErrKeysUnavailable) {
				t.Errorf("got %v", err)
			}
			if i.fetches != 0 {
				t.Error("the keys were fetched all the same")
			}
		})
	}
}

func TestManyCallersCauseOneFetch(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key := newKey("k1")
	i.publish(key)
	v, token := i.verifier(), i.token(key, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if i.fetches != 1 {
		t.Errorf("%d fetches, want 1", i.fetches)
	}
}

// count returns how many requests have arrived since it was called.
func (i *issuer) count(t *testing.T) func() int {
	t.Helper()
	var mu sync.Mutex
	n, next := 0, i.Config.Handler
	i.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}
