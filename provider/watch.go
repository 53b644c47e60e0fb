package provider

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/storage"
)

// watcher has the services forget what others changed. While it does not hear of
// that, what they keep in memory lives by its age alone.
type watcher struct {
	log    *slog.Logger
	forget func(storage.Changes)
	hears  atomic.Bool
}

// Pauses until a watch that ended is begun again: the first, and the longest. After a
// watch that heard nothing at all there is nothing to wait for but a change of the network.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	deafPause    = time.Minute
)

func newWatcher(s *Services, log *slog.Logger, registry prometheus.Registerer) *watcher {
	w := &watcher{log: log, forget: s.Forget}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doorstep_changes_heard",
		Help: "1 while changes by other processes are heard of at once; 0 while what is in memory lives by its age alone.",
	}, func() float64 {
		if w.hears.Load() {
			return 1
		}
		return 0
	}))
	return w
}

// run watches the store until ctx ends.
func (w *watcher) run(ctx context.Context, store *storage.Store) {
	pause, quiet := firstPause, false // quiet: it was said that nothing is heard
	for {
		err := store.Watch(ctx, func(c storage.Changes) {
			w.forget(c)
			pause = firstPause
			if !w.hears.Swap(true) && quiet {
				quiet = false
				w.log.Info("changes by other processes are heard of again")
			}
		})
		w.hears.Store(false)
		if err == nil {
			return
		}
		if !quiet {
			quiet = true
			w.log.Warn("changes by other processes are not heard of: they count when what is in memory is three seconds old", slog.Any("error", err))
		}
		wait := pause/2 + rand.N(pause/2) //nolint:gosec // replicas are not to come back in step, no secret
		if errors.Is(err, storage.ErrDeaf) {
			wait = deafPause
		}
		pause = min(2*pause, longestPause)
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// Forget has what changed read again at its next use.
func (s *Services) Forget(changed storage.Changes) {
	s.Clients.Forget(changed)
	if changed.Keys {
		s.Keys.Forget()
	}
}
