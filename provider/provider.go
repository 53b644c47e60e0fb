package provider

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider/account"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/oidc"
	"github.com/doorstep-id/doorstep/provider/signin"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// Provider is a whole OpenID provider.
type Provider struct {
	*Services
	cfg      ServerConfig
	log      *slog.Logger
	clock    *clock
	routes   []web.Route
	handler  http.Handler
	logouts  *oidc.Logouts
	watcher  *watcher
	registry *prometheus.Registry
	draining atomic.Bool

	deliverers []*mail.Deliverer
}

// New wires services and surfaces. log may be nil; machine is this machine's
// clock, from which [Provider.Run] makes the one clock.
func New(ctx context.Context, cfg Config, store *storage.Store, log *slog.Logger, machine func() time.Time, opts ...Option) (*Provider, error) {
	log = logger(log)
	one := &clock{machine: machine}
	now := one.Now
	_, _ = one.set(ctx, store) // readiness tells of a clock that is wrong
	services, err := Open(ctx, cfg, store, now, opts...)
	if err != nil {
		return nil, err
	}
	pages, err := templates.New(cfg.Templates)
	if err != nil {
		return nil, err
	}
	p := &Provider{Services: services, cfg: cfg.Server, log: log, clock: one, registry: prometheus.NewRegistry()}
	p.register()
	store.Observe(p.observer)
	services.Throttle.Lost = func(err error) { p.job("throttle").Warn("a token was not put back", slog.Any("error", err)) }
	if err := p.openPlaces(cfg, now); err != nil {
		return nil, err
	}
	if err := services.Risk.KeepCrowd(ctx); err != nil {
		return nil, err
	}

	p.watcher = newWatcher(services, p.job("changes"), p.registry)
	if p.deliverers, err = p.newDeliverers(); err != nil {
		return nil, err
	}

	var protocol *oidc.Handler
	cfg.Web.Issuer = cfg.Issuer
	cfg.Web.AllowOrigin = func(r *http.Request, origin string) bool { return protocol.AllowOrigin(r, origin) }
	w, err := web.New(cfg.Web, web.Deps{Pages: pages, Key: services.Keys.Derive("web"), Log: log, Now: now, Registry: p.registry, Tracer: services.observer.tracer})
	if err != nil {
		return nil, err
	}
	p.logouts, err = oidc.NewLogouts(oidc.LogoutDeps{
		Issuer: w.Issuer(), Store: store, Keys: services.Keys, Clients: services.Clients, Events: services.Events,
		Outbound: services.Outbound, Metrics: p.registry, Log: p.job("back-channel logout"), Now: now, Hold: one.apart.Load,
	})
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	protocol, err = oidc.New(oidc.Deps{
		Web: w, Pages: pages, Store: store, Keys: services.Keys, Clients: services.Clients, Grants: services.Grants,
		Sessions: services.Sessions, Flow: services.Flow, Engine: services.Engine, Logouts: p.logouts, Metrics: p.registry, Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	people, err := signin.New(signin.Config{Demo: cfg.Demo}, signin.Deps{
		Web: w, Store: store, Flow: services.Flow, Directory: services.Directory,
		Passwords: services.Passwords, Passkeys: services.Passkeys, TOTP: services.TOTP, Recovery: services.Recovery, Sent: services.Sent, Texted: services.Texted, Phones: services.Phones, Notices: services.Notices, Events: services.Events, Throttle: services.Throttle, Clients: services.Clients, Now: now, Tell: p.logouts.Tell, Metrics: p.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("signin: %w", err)
	}
	themselves := account.New(account.Deps{
		Web: w, Store: store, Flow: services.Flow, Clients: services.Clients, Grants: services.Grants,
		Sessions: services.Sessions, Passkeys: services.Passkeys, TOTP: services.TOTP, Recovery: services.Recovery, Sent: services.Sent, Texted: services.Texted, Phones: services.Phones, Notices: services.Notices, Tell: p.logouts.Tell,
		Directory: services.Directory, Events: services.Events, Throttle: services.Throttle, Now: now,
	})
	programs, err := services.api(cfg, w, now, nil)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	p.routes = slices.Concat(protocol.Routes(), people.Routes(), themselves.Routes(), programs.Routes(), []web.Route{w.Assets()})
	p.handler = join(w, p.routes)
	return p, nil
}

// job returns the log of what goes on beside the requests: its lines have a job's
// name where others have a request's id.
func (p *Provider) job(name string) *slog.Logger { return p.log.With(slog.String("job", name)) }

// Background does what goes on beside the requests until ctx ends: lapsed rows
// are deleted, the clock is set, what is common is counted, events are chained, what other processes changed is
// forgotten, clients are told that sessions ended, and messages are sent. [Run] does it itself.
func (p *Provider) Background(ctx context.Context) {
	p.cfg.setDefaults()
	var all sync.WaitGroup
	all.Go(func() { p.sweep(ctx) })
	all.Go(func() { p.keepTime(ctx) })
	all.Go(func() { p.renewPlaces(ctx) })
	all.Go(func() { p.keepCrowd(ctx) })
	all.Go(func() { p.chainEvents(ctx) })
	all.Go(func() { p.signEvents(ctx) })
	all.Go(func() { p.logouts.Run(ctx) })
	all.Go(func() { p.sendMails(ctx) })
	all.Go(func() { p.watcher.run(ctx, p.Store) })
	all.Wait()
}

// TellClients has the clients told whose notice of a session's end is due, and
// returns when none of that goes on any more. Background does it again and again.
func (p *Provider) TellClients(ctx context.Context) error {
	_, err := p.logouts.TellDue(ctx)
	p.logouts.Wait()
	return err
}

// Close waits for what requests left going on. Run does it itself; it is for
// those who serve the Handler otherwise.
func (p *Provider) Close() {
	p.logouts.Wait()
	for _, d := range p.deliverers {
		d.Wait()
	}
	p.Throttle.Wait()
}

// Handler serves everything that the public sees.
func (p *Provider) Handler() http.Handler { return p.handler }

// Routes is every surface's table of routes, joined; it must not be changed.
func (p *Provider) Routes() []web.Route { return p.routes }

// Registry has the metrics.
func (p *Provider) Registry() *prometheus.Registry { return p.registry }
