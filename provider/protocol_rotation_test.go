package provider_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// Keys rotate on schedule: whichever replica comes first publishes the successor,
// the others leave it at that, and it signs once every cached copy of the set has
// lapsed, as if an operator had rotated. Nothing breaks.
func TestKeysRotateOnSchedule(t *testing.T) {
	t.Parallel()
	const every = 90 * 24 * time.Hour
	providertest.Databases(t, func(t *testing.T, url string) {
		replicas := make([]*providertest.P, 3)
		for i := range replicas {
			replicas[i] = providertest.Start(t, providertest.On(url), providertest.Configure(func(c *provider.Config) { c.Keys.RotateEvery = every }))
		}
		pass := func(d time.Duration) {
			for _, p := range replicas {
				p.Clock.Advance(d)
			}
		}
		tick := func() (rotated []keys.Key) {
			t.Helper()
			var (
				mu   sync.Mutex
				wait sync.WaitGroup
			)
			for _, p := range replicas {
				wait.Go(func() {
					fresh, err := p.RotateDueKeys(context.Background())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					rotated = append(rotated, fresh...)
				})
			}
			wait.Wait()
			return rotated
		}
		p := replicas[0]
		rp := p.Client("web", providertest.FirstParty, goodbye)
		signing := func() string { return kidOf(t, rp.ClientCredentials().OK().Access) }
		first := signing()

		pass(every - time.Minute)
		if early := tick(); len(early) != 0 {
			t.Fatalf("a minute early %v was rotated", early)
		}
		before := rp.ClientCredentials().OK().Access
		pass(time.Minute)
		fresh := tick()
		if algs := len(slices.Compact(slices.Sorted(algsOf(fresh)))); len(fresh) != 3 || algs != 3 {
			t.Fatalf("three replicas rotated %v, want each of the three keys once", fresh)
		}
		if again := tick(); len(again) != 0 {
			t.Errorf("rotated again at once: %v", again)
		}
		pass(5 * time.Second) // what is in memory has lapsed everywhere
		next := fresh[slices.IndexFunc(fresh, func(k keys.Key) bool { return k.Alg == keys.ES256 })].KID
		for _, p := range replicas {
			if published := kids(t, p); len(published) != 6 || !slices.Contains(published, next) {
				t.Errorf("published %v, want six with %s", published, next)
			}
		}
		if kid := signing(); kid != first {
			t.Errorf("%s signs before others can know it", kid)
		}
		pass(keys.DefaultJWKSMaxAge + 5*time.Second)
		if kid := signing(); kid != next {
			t.Errorf("%s signs, want %s", kid, next)
		}
		p.Verify(before)
		if late := tick(); len(late) != 0 {
			t.Errorf("rotated %v", late)
		}
		listed, err := p.Keys.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range listed {
			if due := k.ActiveAt.Add(every); k.State == keys.StateSigning && !k.RotatesAt.Equal(due) || k.State != keys.StateSigning && !k.RotatesAt.IsZero() {
				t.Errorf("%s %s rotates at %s", k.State, k.KID, k.RotatesAt)
			}
		}
		all, err := p.Store.Events(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		for _, e := range all {
			if e.Kind == string(events.KeyRotated) && e.Actor == string(events.ActorSystem) {
				told++
			}
		}
		if told != 3 {
			t.Errorf("%d events tell of 3 rotations", told)
		}
		// Whoever was away for years finds one successor, not one for each term missed.
		pass(5 * every)
		if fresh := tick(); len(fresh) != 3 {
			t.Errorf("after five terms %v", fresh)
		}
		rp.ClientCredentials().WantStatus(http.StatusOK)
	})
}

func algsOf(all []keys.Key) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, k := range all {
			if !yield(k.Alg) {
				return
			}
		}
	}
}

// Without a schedule nobody rotates.
func TestKeysStayWithoutASchedule(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	p.Clock.Advance(10 * 365 * 24 * time.Hour)
	if fresh, err := p.RotateDueKeys(t.Context()); err != nil || len(fresh) != 0 {
		t.Errorf("rotated %v, %v", fresh, err)
	}
}
