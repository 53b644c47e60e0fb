package provider

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// metrics are those of the rooms without a face: surfaces have their own beside what
// they count. docs/operate.md has a row for each. No label is a word of the public's.
type metrics struct {
	events     *prometheus.CounterVec
	throttled  *prometheus.CounterVec
	swept      *prometheus.CounterVec
	chores     *prometheus.CounterVec
	statements map[string]prometheus.Observer // by verb
	failures   *prometheus.CounterVec
	decisions  *prometheus.CounterVec
	scorers    *prometheus.CounterVec
	outbound   *prometheus.HistogramVec
	all        []prometheus.Collector
}

func newMetrics() *metrics {
	m := &metrics{
		events:    counter("doorstep_events_total", "Changes that were recorded, by kind of event: grant.revoked and token.revoked are revocations.", "kind"),
		throttled: counter("doorstep_throttled_total", "Requests that were sent away because something was tried too often, by limit.", "limit"),
		swept:     counter("doorstep_sweep_rows_deleted_total", "Lapsed rows that the sweeper of this process deleted, by table.", "table"),
		chores: counter("doorstep_chore_failures_total",
			"What goes on beside requests and failed, by chore: events (that get their numbers), sign events, sweep, trim events, count mails, places, crowd; the log says why.", "chore"),
		failures:  counter("doorstep_database_statement_errors_total", "Statements that the database refused or did not answer, by verb.", "verb"),
		decisions: counter("doorstep_risk_decisions_total", "Decisions about sign-ins and silent returns, by outcome (allow, require, deny) and level (none, low, medium, high).", "outcome", "level"),
		scorers:   counter("doorstep_risk_scorer_failures_total", "Attempts of which a scorer said nothing, by scorer and code (SCORER_FAILED, SCORER_TIMEOUT).", "scorer", "code"),
		outbound: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "doorstep_outbound_request_duration_seconds", Help: "Time of requests to clients' addresses, by outcome: success (2xx), refused (another status), failed (no answer).",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"outcome"}),
		statements: map[string]prometheus.Observer{},
	}
	statements := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "doorstep_database_statement_duration_seconds", Help: "Time until the database answered a statement, by verb; with is a unit of several writes.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"verb"})
	for _, verb := range storage.Verbs() {
		m.statements[verb] = statements.WithLabelValues(verb)
	}
	m.all = []prometheus.Collector{m.events, m.throttled, m.swept, m.chores, m.failures, m.decisions, m.scorers, m.outbound, statements}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (m *metrics) recorded(kind events.Kind) { m.events.WithLabelValues(string(kind)).Inc() }

func (m *metrics) refused(limit string) { m.throttled.WithLabelValues(limit).Inc() }

// End counts a statement.
func (m *metrics) End(_ context.Context, statement string, took time.Duration, err error) {
	verb := storage.Verb(statement)
	m.statements[verb].Observe(took.Seconds())
	if storage.Failed(err) {
		m.failures.WithLabelValues(verb).Inc()
	}
}

// failed counts what failed beside the requests.
func (m *metrics) failed(chore string) { m.chores.WithLabelValues(chore).Inc() }

// Swept counts lapsed rows.
func (m *metrics) Swept(table string, rows int64) { m.swept.WithLabelValues(table).Add(float64(rows)) }

// register makes the registry of everything that this provider is asked for itself.
func (p *Provider) register() {
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.registry.MustRegister(p.observer.all...)
	gauge := func(name, help string, value func() float64) {
		p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	total := func(name, help string, value func() float64) {
		p.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("doorstep_password_hashes_running", "Password hashes that are being computed.", func() float64 { return float64(p.Passwords.Load().Running) })
	gauge("doorstep_password_hashes_waiting", "Sign-ins that wait for their password hash.", func() float64 { return float64(p.Passwords.Load().Waiting) })
	total("doorstep_password_hashes_total", "Password hashes that were computed.", func() float64 { return float64(p.Passwords.Hashes()) })
	total("doorstep_password_hashes_shed_total", "Sign-ins that were sent away because too many waited for their password hash.",
		func() float64 { return float64(p.Passwords.Load().Shed) })
	gauge("doorstep_database_connections_in_use", "Connections to the database that are in use.", func() float64 { return float64(p.Store.Pool().InUse) })
	gauge("doorstep_database_connections_idle", "Connections to the database that are open and idle.", func() float64 { return float64(p.Store.Pool().Idle) })
	gauge("doorstep_database_connections_max", "Connections to the database that may be open.", func() float64 { return float64(p.Store.Pool().Max) })
	total("doorstep_database_connection_waits_total", "Statements that waited for a free connection.", func() float64 { return float64(p.Store.Pool().Waits) })
	total("doorstep_database_connection_wait_seconds_total", "Time that statements waited for a free connection.",
		func() float64 { return p.Store.Pool().Waited.Seconds() })
	gauge("doorstep_clock_drift_seconds", "How far this machine's clock was ahead of the database's when it was last measured.",
		func() float64 { return time.Duration(p.clock.measured.Load()).Seconds() })
	gauge("doorstep_events_behind_seconds", "For how long the oldest event has been waiting for its number, as this replica saw it last, or for how long it could not look.",
		func() float64 { return p.Events.Behind().Seconds() })
	b := ReadBuild()
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doorstep_build_info", Help: "1, with the version of this binary.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	}, func() float64 { return 1 }))
	p.registry.MustRegister(&signingKeys{keys: p.Keys, log: p.job("metrics")})
}

// signingKeys tells since when the keys sign and when their successors are due.
type signingKeys struct {
	keys *keys.Service
	log  *slog.Logger
}

var (
	keyActive = prometheus.NewDesc("doorstep_signing_key_active_timestamp_seconds", "Since when the signing key signs, by algorithm.", []string{"alg"}, nil)
	keyDue    = prometheus.NewDesc("doorstep_signing_key_rotation_due_timestamp_seconds",
		"When the signing key gets its successor, by algorithm; none if keys.rotate_every is 0.", []string{"alg"}, nil)
)

func (s *signingKeys) Describe(ch chan<- *prometheus.Desc) {
	ch <- keyActive
	ch <- keyDue
}

func (s *signingKeys) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), chore)
	defer cancel()
	all, err := s.keys.List(ctx)
	if err != nil { // the other metrics are told still
		s.log.Warn("metrics", slog.String("of", "signing keys"), slog.Any("error", err))
		return
	}
	for _, k := range all {
		if k.State != keys.StateSigning {
			continue
		}
		ch <- prometheus.MustNewConstMetric(keyActive, prometheus.GaugeValue, seconds(k.ActiveAt), k.Alg)
		if !k.RotatesAt.IsZero() {
			ch <- prometheus.MustNewConstMetric(keyDue, prometheus.GaugeValue, seconds(k.RotatesAt), k.Alg)
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
