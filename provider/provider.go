package provider

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/doorstep-id/doorstep/provider/account"
	"github.com/doorstep-id/doorstep/provider/events"
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
	registry *prometheus.Registry
	draining atomic.Bool
}

// New wires services and surfaces. log may be nil; machine is this machine's
// clock, from which [Provider.Run] makes the one clock.
func New(ctx context.Context, cfg Config, store *storage.Store, log *slog.Logger, machine func() time.Time) (*Provider, error) {
	log = logger(log)
	one := &clock{machine: machine}
	now := one.Now
	_ = one.set(ctx, store) // readiness tells of a clock that cannot be made up for
	services, err := Open(ctx, cfg, store, now)
	if err != nil {
		return nil, err
	}
	pages, err := templates.New()
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	p := &Provider{Services: services, cfg: cfg.Server, log: log, clock: one, registry: prometheus.NewRegistry()}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	var protocol *oidc.Handler
	cfg.Web.Issuer = cfg.Issuer
	cfg.Web.AllowOrigin = func(r *http.Request, origin string) bool { return protocol.AllowOrigin(r, origin) }
	cfg.Web.Context = func(ctx context.Context) context.Context {
		return events.WithOrigin(ctx, web.RequestID(ctx), web.Address(ctx).String())
	}
	w, err := web.New(cfg.Web, web.Deps{Pages: pages, Key: services.Keys.Derive("web"), Log: log, Now: now, Registry: p.registry})
	if err != nil {
		return nil, err
	}
	protocol, err = oidc.New(oidc.Deps{
		Web: w, Pages: pages, Store: store, Keys: services.Keys, Clients: services.Clients, Grants: services.Grants,
		Sessions: services.Sessions, Flow: services.Flow, Throttle: services.Throttle, Engine: services.Engine, Metrics: p.registry, Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	people := signin.New(signin.Config{Demo: cfg.Demo}, signin.Deps{
		Web: w, Store: store, Flow: services.Flow, Directory: services.Directory,
		Passwords: services.Passwords, Throttle: services.Throttle, Clients: services.Clients, Now: now,
	})
	themselves := account.New(account.Deps{
		Web: w, Store: store, Flow: services.Flow, Clients: services.Clients, Grants: services.Grants,
		Sessions: services.Sessions, Throttle: services.Throttle,
	})
	p.routes = slices.Concat(protocol.Routes(), people.Routes(), themselves.Routes(), []web.Route{w.Assets()})
	p.handler = join(w, p.routes)
	return p, nil
}

// Handler serves everything that the public sees.
func (p *Provider) Handler() http.Handler { return p.handler }

// Routes is every surface's table of routes, joined; it must not be changed.
func (p *Provider) Routes() []web.Route { return p.routes }

// Registry has the metrics.
func (p *Provider) Registry() *prometheus.Registry { return p.registry }
