package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// ServerConfig is where and how the provider listens.
type ServerConfig struct {
	Listen    []string      // host:port, at least one
	OpsListen string        // host:port of health and metrics; "" for none
	Pprof     bool          // profiles at /debug/pprof/ of OpsListen
	TLS       *tls.Config   // nil: plain HTTP, behind a proxy or on loopback
	Drain     time.Duration // how long requests may take to end; default 20 s
	Notice    time.Duration // how long readiness is false before the listeners close; default 0
	Sweep     time.Duration // how often lapsed rows are deleted; default 1 min
	// KeepEvents is how long events are kept; 0: for ever.
	KeepEvents time.Duration
}

func (c *ServerConfig) setDefaults() {
	if c.Drain == 0 {
		c.Drain = 20 * time.Second
	}
	if c.Sweep == 0 {
		c.Sweep = time.Minute
	}
}

var errDraining = errors.New("draining: no new requests, please")

// Run listens until ctx ends, then drains: readiness turns false, requests under
// way are finished, listeners close. It returns nil after a drain; ready, if not
// nil, is called once every listener is open.
func (p *Provider) Run(ctx context.Context, ready func()) error {
	p.cfg.setDefaults()
	listeners, servers, err := p.listen(ctx)
	if err != nil {
		return err
	}
	var background sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	defer p.Close()
	defer background.Wait()
	defer stop()
	background.Go(func() { p.Background(running) })

	failed := make(chan error, len(servers))
	for i := range servers {
		go func() { failed <- serve(servers[i], listeners[i]) }()
	}
	if ready != nil {
		ready()
	}
	background.Go(func() { p.keepKeys(running) })
	select {
	case err := <-failed:
		for _, s := range servers {
			_ = s.Close() // the first failure is the one to report
		}
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return p.drain(context.WithoutCancel(ctx), servers[:len(p.cfg.Listen)], servers[len(p.cfg.Listen):])
}

// serve answers on one listener; over TLS with HTTP/2 where the client speaks it.
func serve(s *http.Server, l net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "") // the configuration has the certificate
	}
	return s.Serve(l)
}

// drain ends what is under way; what takes longer than the limit is cut. Health
// is told until the public listeners are done.
func (p *Provider) drain(ctx context.Context, public, ops []*http.Server) error {
	p.draining.Store(true)
	p.log.Info("draining", slog.Duration("limit", p.cfg.Drain))
	notice := time.NewTimer(p.cfg.Notice)
	defer notice.Stop()
	<-notice.C
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Drain)
	defer cancel()
	return errors.Join(shutdown(ctx, public), shutdown(ctx, ops))
}

func shutdown(ctx context.Context, servers []*http.Server) error {
	var wait sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		wait.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				errs[i] = errors.Join(err, s.Close())
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// listen opens every listener, or none.
func (p *Provider) listen(ctx context.Context) ([]net.Listener, []*http.Server, error) {
	var (
		listeners []net.Listener
		servers   []*http.Server
	)
	open := func(addr string, h http.Handler, tlsConfig *tls.Config) error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		listeners = append(listeners, l)
		servers = append(servers, p.server(h, tlsConfig))
		return nil
	}
	var err error
	for _, addr := range p.cfg.Listen {
		err = errors.Join(err, open(addr, p.handler, p.cfg.TLS))
	}
	if p.cfg.OpsListen != "" {
		failed := open(p.cfg.OpsListen, p.OpsHandler(), nil)
		if failed == nil && p.cfg.Pprof {
			servers[len(servers)-1].WriteTimeout = profileTime
		}
		err = errors.Join(err, failed)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close() // nothing was served on it
		}
		return nil, nil, err
	}
	return listeners, servers, nil
}

// server bounds what one connection may cost: slow headers, slow bodies, big headers.
func (p *Provider) server(h http.Handler, tlsConfig *tls.Config) *http.Server {
	return &http.Server{
		TLSConfig:         tlsConfig,
		Handler:           p.parting(h),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// parting has whoever keeps a connection open use another one next time, once the
// server drains (RFC 9112 section 9.6): by the time that it closes nobody is on it.
func (p *Provider) parting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// keepKeys makes the keys that take long, before somebody waits for them, and a
// successor of each that is due for one by a clock that is sound: now and every minute.
func (p *Provider) keepKeys(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		var fresh []keys.Key
		_, err := p.clock.sound(ctx, p.Store)
		if err == nil {
			fresh, err = p.RotateDueKeys(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.job("keys").Error("keys", slog.Any("error", err))
		}
		for _, k := range fresh {
			p.job("keys").Info("key rotated", slog.String("kid", k.KID), slog.String("alg", k.Alg), slog.Time("signs_from", k.ActiveAt))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const sweepBatch = 500

// sweep deletes lapsed rows, and events that are older than they are kept, in small
// batches, so that writers never wait long.
func (p *Provider) sweep(ctx context.Context) {
	tick := time.NewTicker(p.cfg.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.inBatches(ctx, "sweep", func(ctx context.Context, now time.Time) (int64, error) {
			return p.Store.Sweep(ctx, storage.At(now), sweepBatch)
		})
		p.inBatches(ctx, "trim events", func(ctx context.Context, now time.Time) (int64, error) {
			return p.Events.Trim(ctx, now, p.cfg.KeepEvents)
		})
	}
}

// inBatches does one batch of a chore after the other, each by a clock that is sound
// just then, until it does fewer rows than one has.
func (p *Provider) inBatches(ctx context.Context, what string, do func(ctx context.Context, now time.Time) (int64, error)) {
	batch := func() (int64, error) {
		ctx, cancel := context.WithTimeout(ctx, chore)
		defer cancel()
		now, err := p.clock.sound(ctx, p.Store)
		if err != nil {
			return 0, err
		}
		return do(ctx, now)
	}
	for {
		n, err := batch()
		if err != nil && ctx.Err() == nil {
			p.observer.failed(what)
			p.job(what).Error(what, slog.Any("error", err))
		}
		if err != nil || n < sweepBatch || ctx.Err() != nil {
			return
		}
	}
}

// chainEvery is how often events that wait for their number get it.
const chainEvery = 500 * time.Millisecond

// chainEvents gives events their numbers and hashes. It has as long as there are events
// that wait, each batch within its own time.
func (p *Provider) chainEvents(ctx context.Context) {
	p.every(ctx, chainEvery, "events", func(ctx context.Context) error {
		_, err := p.Events.Sequence(ctx)
		return err
	})
}

// signEvents has the head of what is chained signed now and then, whatever still waits.
func (p *Provider) signEvents(ctx context.Context) {
	p.every(ctx, time.Minute, "sign events", func(ctx context.Context) error {
		limited, cancel := context.WithTimeout(ctx, chore)
		defer cancel()
		return p.Events.Checkpoint(limited)
	})
}

// every does a chore now and each period until ctx ends. Each failure is counted, and one
// a minute is logged.
func (p *Provider) every(ctx context.Context, period time.Duration, what string, do func(ctx context.Context) error) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	var quiet time.Time
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			p.observer.failed(what)
			if now := time.Now(); !now.Before(quiet) { //nolint:forbidigo // how long it was silent, not when it is
				p.job(what).Error(what, slog.Any("error", err))
				quiet = now.Add(time.Minute)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// chore is how long one piece of work beside the requests may take.
const chore = 5 * time.Second

// setClock moves the one clock by its distance from the database's.
func (p *Provider) setClock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, chore)
	defer cancel()
	if _, err := p.clock.set(ctx, p.Store); err != nil && !errors.Is(err, context.Canceled) {
		p.job("clock").Warn("clock", slog.Any("error", err))
	}
}

// keepTime measures the clock now and every minute.
func (p *Provider) keepTime(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		p.setClock(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
