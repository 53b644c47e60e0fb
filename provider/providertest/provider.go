package providertest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// P is a provider under test: its services, to arrange with and to look behind
// what it says, and its issuer, which is served on loopback.
type P struct {
	*provider.Services

	Issuer     string               // http://localhost:PORT
	Handler    http.Handler         // what the issuer serves, without a network; nil with Replicas
	Routes     []web.Route          // what that is made of; nil with Replicas
	Ops        http.Handler         // health and metrics; nil with Replicas
	Registry   *prometheus.Registry // of the metrics; nil with Replicas
	Clock      *Clock               // stands still; nil with Replicas, which have the machine's
	Statements *Statements          // what reached Postgres; nothing on SQLite

	t       testing.TB
	http    *http.Client // keeps no cookies and follows no redirect
	logs    *logs
	clients *registered
	served  *provider.Provider // nil with Replicas
	fleet   *fleet             // nil without
}

// Option changes what Start starts.
type Option func(*setup)

type setup struct {
	database  string
	clock     *Clock
	theirs    func() time.Time // the database's clock
	still     bool             // of replicas
	relay     *relay           // of mails, for replicas
	configure []func(*provider.Config)
	options   []provider.Option
}

// On gives the provider this database instead of one of its own.
func On(databaseURL string) Option { return func(s *setup) { s.database = databaseURL } }

// At starts the clock then. A test with a real browser starts at time.Now(): the
// browser counts the age of cookies itself.
func At(start time.Time) Option { return func(s *setup) { s.clock = NewClockAt(start) } }

// DatabaseAt gives the database a clock of its own; without it that of the test is both.
func DatabaseAt(now func() time.Time) Option { return func(s *setup) { s.theirs = now } }

// Configure changes the configuration.
func Configure(change func(*provider.Config)) Option {
	return func(s *setup) { s.configure = append(s.configure, change) }
}

// Having gives the provider what a program may add to it.
func Having(options ...provider.Option) Option {
	return func(s *setup) { s.options = append(s.options, options...) }
}

// Start starts a provider for one test on [Database].
func Start(t testing.TB, options ...Option) *P {
	t.Helper()
	s := setup{clock: NewClock()}
	for _, option := range options {
		option(&s)
	}
	if s.database == "" {
		s.database = Database(t)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	issuer := issuerAt(listener)
	p := &P{Issuer: issuer.String(), Clock: s.clock, Statements: &Statements{}, t: t, http: client(http.DefaultTransport), logs: newLogs(t), clients: &registered{}}
	if s.theirs == nil {
		s.theirs = s.clock.Now
	}
	store, err := storage.Open(t.Context(), s.database, storage.WithTracer(p.Statements), storage.WithClock(s.theirs))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(issuer)
	for _, change := range s.configure {
		change(&cfg)
	}
	spareRSA.lend(t, store, s.clock.Now())
	served, err := provider.New(t.Context(), cfg, store, slog.New(slog.NewJSONHandler(p.logs, nil)), s.clock.Now, s.options...)
	if err != nil {
		t.Fatal(err)
	}
	spareRSA.keep(t, served.Services)
	p.served = served
	p.Services, p.Handler, p.Routes, p.Ops = served.Services, served.Handler(), served.Routes(), served.OpsHandler()
	p.Registry = served.Registry()
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: served.Handler(), ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		served.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Each runs a test on a provider on every database of the matrix, as [Databases]
// does.
func Each(t *testing.T, run func(t *testing.T, p *P), options ...Option) {
	t.Helper()
	Databases(t, func(t *testing.T, url string) {
		t.Helper()
		run(t, Start(t, append([]Option{On(url)}, options...)...))
	})
}

// issuerAt names the listener by a host that browsers take for secure.
func issuerAt(l net.Listener) *url.URL {
	_, port, _ := net.SplitHostPort(l.Addr().String()) // an address of our own
	return &url.URL{Scheme: "http", Host: "localhost:" + port}
}

// KEK is the key-encryption key of every provider under test.
func KEK() []byte { return bytes.Repeat([]byte{7}, 32) }

// config is that of production but for the price of a password, and for the
// address of every [LogoutServer].
func config(issuer *url.URL) provider.Config {
	return provider.Config{
		Issuer:   issuer,
		Keys:     keys.Config{KEK: KEK()},
		Password: proof.PasswordConfig{Memory: 64, Time: 1, Threads: 1},
		Outbound: outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix(LogoutHost + "/32")}},
	}
}

// client speaks HTTP as it is told, and no more.
func client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		Timeout:       within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// In returns the provider for a subtest.
func (p *P) In(t testing.TB) *P {
	other := *p
	other.t = t
	return &other
}

// URL returns a path of the provider as an absolute URL.
func (p *P) URL(path string) string { return p.Issuer + path }

// Logs returns what was logged so far: one JSON object a line.
func (p *P) Logs() string { return p.logs.String() }

// do sends a request and returns the answer with its body read.
func (p *P) do(r *http.Request) *Answer {
	p.t.Helper()
	return send(p.t, p.http, r)
}

// logs keeps what the provider logs; a test that fails shows it.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func newLogs(t testing.TB) *logs {
	l := &logs{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the provider's log:\n" + l.String())
		}
	})
	return l
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.buf.String())
}

// spareRSA lends every database of this process the same RSA key, sealed as the
// provider did it: making one takes longer than most tests.
var spareRSA spare

type spare struct {
	mu  sync.Mutex
	key *storage.Key
}

func (s *spare) keep(t testing.TB, p *provider.Services) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, _, err := p.Keys.JWKS(t.Context()); err != nil { // makes it if it was not lent
		t.Fatal(err)
	}
	if s.key != nil {
		return
	}
	made, err := p.Store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(made, func(k storage.Key) bool { return k.Alg == keys.RS256 }); i >= 0 {
		s.key = &made[i]
	}
}

func (s *spare) lend(t testing.TB, store *storage.Store, now time.Time) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.key == nil || len(made) > 0 {
		return
	}
	key := *s.key
	key.CreatedAt, key.ActiveAt = storage.At(now), storage.At(now)
	if err := store.CreateKey(context.WithoutCancel(t.Context()), &key); err != nil {
		t.Fatal(err)
	}
}
