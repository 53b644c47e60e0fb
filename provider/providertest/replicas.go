package providertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/storage"
)

// replicaVariable makes a test binary a replica: what it serves, as JSON.
const replicaVariable = "DOORSTEP_TEST_REPLICA"

type replica struct {
	Database, Issuer string
	Off              time.Duration // how far its machine's clock is ahead
	Still            bool          // its machine's clock stands still
	Relay            *relay        // takes its mails; nil for none
}

// StandingStill has the clocks of [Replicas] stand still at the time of their start:
// nothing that they keep in memory gets old.
func StandingStill(s *setup) { s.still = true }

// mainRan says that the binary would become a replica if it were told to.
var mainRan bool

// Main runs a package's tests, or makes the process the replica that it was
// started as. A package that uses [Replicas] calls it from TestMain.
func Main(m *testing.M) {
	mainRan = true
	if told := os.Getenv(replicaVariable); told != "" {
		if err := serveReplica(told); err != nil {
			fmt.Fprintln(os.Stderr, "replica:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Replicas starts n providers, each a process of its own, on one Postgres
// database, unless [On] names another, and one key-encryption key, behind one
// issuer. Requests go to them in turn, each over a connection of its own. They go
// by the machine's clock, and do what goes on beside the requests.
//
// The services of the P that it returns are those of the test's process: what
// they change, the replicas see in the database alone.
func Replicas(t testing.TB, n int, options ...Option) *P {
	t.Helper()
	return replicas(t, make([]time.Duration, n), options...)
}

// ReplicasOff is Replicas on machines whose clocks are ahead of the right time by
// that much each, or behind it. Each tells whether it is ready at /readyz.
func ReplicasOff(t testing.TB, off ...time.Duration) *P {
	t.Helper()
	return replicas(t, off)
}

func replicas(t testing.TB, off []time.Duration, options ...Option) *P {
	t.Helper()
	if !mainRan || os.Getenv(replicaVariable) != "" {
		t.Fatal("a package that uses Replicas needs: func TestMain(m *testing.M) { providertest.Main(m) }")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it only finds the issuer a port that nobody serves
	issuer := issuerAt(listener)
	var s setup
	for _, option := range options {
		option(&s)
	}
	if s.database == "" {
		s.database = Postgres(t)
	}

	p := &P{Issuer: issuer.String(), Statements: &Statements{}, t: t, logs: newLogs(t), clients: &registered{}}
	p.fleet = &fleet{told: replica{Database: s.database, Issuer: p.Issuer, Still: s.still, Relay: s.relay}, logs: p.logs}
	store, err := storage.Open(t.Context(), s.database, storage.WithTracer(p.Statements), storage.WithMaxConns(4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	spareRSA.lend(t, store, time.Now())
	cfg := config(issuer)
	s.relay.configure(&cfg)
	if p.Services, err = provider.Open(t.Context(), cfg, store, time.Now); err != nil {
		t.Fatal(err)
	}
	spareRSA.keep(t, p.Services)

	p.StartReplicas(off...)
	p.http = client(&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, p.fleet.next())
		},
	})
	return p
}

// fleet is the replicas that live.
type fleet struct {
	told replica
	logs *logs

	mu      sync.Mutex
	turn    int
	members []member
}

// member is a process that serves.
type member struct {
	address string // where it listens
	off     time.Duration
	stop    func() // once; the test's end does it too
	kill    func() // in place of it
}

// next is where the next request goes.
func (f *fleet) next() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.members) == 0 {
		return "127.0.0.1:1" // nobody listens there
	}
	f.turn++
	return f.members[f.turn%len(f.members)].address
}

// StartReplicas starts one more of the replicas for each of these distances of its
// clock from the right time.
func (p *P) StartReplicas(off ...time.Duration) {
	p.t.Helper()
	for _, ahead := range off {
		told := p.fleet.told
		told.Off = ahead
		m := startReplica(p.t, told, p.fleet.logs)
		p.fleet.mu.Lock()
		p.fleet.members = append(p.fleet.members, m)
		p.fleet.mu.Unlock()
	}
}

// Restart ends every replica and starts as many anew: what they know then is in the
// database. Nothing may be under way.
func (p *P) Restart() {
	p.t.Helper()
	if p.fleet == nil {
		p.t.Fatal("only Replicas can be restarted")
	}
	p.fleet.mu.Lock()
	members := p.fleet.members
	p.fleet.members = nil
	p.fleet.mu.Unlock()
	for _, m := range members {
		m.stop()
	}
	for _, m := range members {
		p.StartReplicas(m.off)
	}
}

// KillReplicas ends every replica at once, as kill -9 does, and returns when they
// are gone.
func (p *P) KillReplicas() {
	p.t.Helper()
	p.fleet.mu.Lock()
	defer p.fleet.mu.Unlock()
	for _, m := range p.fleet.members {
		m.kill()
	}
	p.fleet.members = nil
}

// startReplica starts one. It ends with its standard input, which this process
// closes, at the latest when it is gone.
func startReplica(t testing.TB, r replica, logs *logs) member {
	t.Helper()
	told, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.Background()) // the test's own ends before its cleanups
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), replicaVariable+"="+string(told))
	cmd.Stderr = logs
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		defer time.AfterFunc(within, kill).Stop()
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	var killed atomic.Bool
	m := member{off: r.Off}
	m.stop = func() {
		if !killed.Load() {
			end()
		}
	}
	m.kill = func() {
		killed.Store(true)
		kill()
		_ = cmd.Wait() // it says that it was killed
	}
	t.Cleanup(m.stop)
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("replica: %v", err)
	}
	m.address = strings.TrimSpace(address)
	return m
}

// serveReplica serves until standard input ends.
func serveReplica(told string) error {
	var r replica
	if err := json.Unmarshal([]byte(told), &r); err != nil {
		return err
	}
	issuer, err := url.Parse(r.Issuer)
	if err != nil {
		return err
	}
	ctx := context.Background()
	machine := func() time.Time { return time.Now().Add(r.Off) }
	var opening []storage.Option
	if r.Still {
		machine = NewClockAt(machine()).Now
		opening = append(opening, storage.WithClock(machine))
	}
	store, err := storage.Open(ctx, r.Database, opening...)
	if err != nil {
		return err
	}
	cfg := config(issuer)
	r.Relay.configure(&cfg)
	served, err := provider.New(ctx, cfg, store, slog.New(slog.NewJSONHandler(os.Stderr, nil)), machine)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m := http.NewServeMux()
	m.Handle("/", served.Handler())
	m.Handle("/readyz", served.OpsHandler())
	server := &http.Server{Handler: m, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	beside, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { served.Background(beside) })
	fmt.Println(listener.Addr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	stop()
	if err := server.Close(); err != nil {
		return err
	}
	background.Wait()
	served.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return store.Close()
}
