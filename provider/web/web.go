package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/doorstep-id/doorstep/templates"
)

// Config is what an operator decides about the edge.
type Config struct {
	Issuer         *url.URL       // scheme, host and, if any, path without a slash at its end
	Name           string         // on top of every page; default Doorstep
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and X-Request-ID are believed
	MaxBody        int64          // bytes of a request's body; default 64 KiB
	Timeout        time.Duration  // of a handler: a store that does not answer by then is answered for, with 503; default 5 s
	Developer      bool           // error pages show the diagnosis: the demo, never production

	// AllowOrigin reports whether a page of this origin may read the answers of
	// routes with CORS Clients. Nil allows none. A preflight names no client.
	AllowOrigin func(r *http.Request, origin string) bool
}

// Deps is what the edge works with.
type Deps struct {
	Pages    *templates.Pages
	Key      [32]byte // signs form tokens and the device cookie, hides addresses in the log
	Log      *slog.Logger
	Now      func() time.Time
	Registry prometheus.Registerer
	Tracer   trace.Tracer // nil: nobody traces
}

// Web wraps routes. It is safe for concurrent use.
type Web struct {
	cfg   Config
	pages *templates.Pages
	log   *slog.Logger
	now   func() time.Time

	tracer trace.Tracer

	issuer, origin, prefix string
	secure                 bool // https
	sameOrigin             *http.CrossOriginProtection
	seconds                *prometheus.HistogramVec
	forwarded              *prometheus.CounterVec
	standing               []header
	hides                  hides
	forms                  sync.Map // the fields of each page's form, by its path

	formKey, deviceKey, logKey []byte
}

const (
	defaultMaxBody = 64 << 10
	defaultTimeout = 5 * time.Second
)

// New checks the configuration and registers the metrics
// doorstep_http_request_duration_seconds{route,method,code} and
// doorstep_forwarded_requests_total{header}.
func New(cfg Config, deps Deps) (*Web, error) {
	u := cfg.Issuer
	if u == nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("web: the issuer must be an http or https URL")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(u.Path, "/") {
		return nil, fmt.Errorf("web: the issuer %s must have no query, no fragment, no user and no slash at its end", u.Redacted())
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Name == "" {
		cfg.Name = "Doorstep"
	}
	w := &Web{
		cfg: cfg, pages: deps.Pages, log: deps.Log, now: deps.Now, tracer: deps.Tracer,
		issuer: u.String(), origin: u.Scheme + "://" + u.Host, prefix: u.EscapedPath(), secure: u.Scheme == "https",
		sameOrigin: http.NewCrossOriginProtection(),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "doorstep_http_request_duration_seconds",
			Help:    "Time to answer, by route template, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method", "code"}),
		forwarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorstep_forwarded_requests_total",
			Help: "Requests through proxies, by what became of X-Forwarded-For: believed, ignored (not from a trusted proxy) or missing (from one).",
		}, []string{"header"}),
		standing:  standing(u.Scheme == "https"),
		formKey:   mac(deps.Key[:], "form token"),
		deviceKey: mac(deps.Key[:], "device cookie"),
		logKey:    mac(deps.Key[:], "log"),
	}
	if err := w.sameOrigin.AddTrustedOrigin(w.origin); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for _, metric := range []prometheus.Collector{w.seconds, w.forwarded} {
		if err := deps.Registry.Register(metric); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	return w, nil
}
