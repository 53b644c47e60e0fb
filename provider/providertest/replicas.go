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
}

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
// database and one key-encryption key, behind one issuer. Requests go to them in
// turn, each over a connection of its own. They go by the machine's clock.
//
// The services of the P that it returns are those of the test's process: what
// they change, the replicas see in the database alone.
func Replicas(t testing.TB, n int) *P {
	t.Helper()
	return ReplicasOff(t, make([]time.Duration, n)...)
}

// ReplicasOff is Replicas on machines whose clocks are ahead of the right time by
// that much each, or behind it. Each tells whether it is ready at /readyz.
func ReplicasOff(t testing.TB, off ...time.Duration) *P {
	t.Helper()
	if !mainRan || os.Getenv(replicaVariable) != "" {
		t.Fatal("a package that uses Replicas needs: func TestMain(m *testing.M) { providertest.Main(m) }")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it only finds the issuer a port that nobody serves
	issuer, database := issuerAt(listener), Postgres(t)

	p := &P{Issuer: issuer.String(), Statements: &Statements{}, t: t, logs: newLogs(t), clients: &registered{}}
	store, err := storage.Open(t.Context(), database, storage.WithTracer(p.Statements), storage.WithMaxConns(4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	spareRSA.lend(t, store, time.Now())
	if p.Services, err = provider.Open(t.Context(), config(issuer), store, time.Now); err != nil {
		t.Fatal(err)
	}
	spareRSA.keep(t, p.Services)

	running := make([]runningReplica, len(off))
	start := func() {
		for i, ahead := range off {
			running[i] = startReplica(t, replica{Database: database, Issuer: p.Issuer, Off: ahead}, p.logs)
		}
	}
	start()
	p.restart = func() {
		for _, r := range running {
			r.stop()
		}
		start()
	}
	var turn atomic.Uint64
	p.http = client(&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, running[turn.Add(1)%uint64(len(running))].address)
		},
	})
	return p
}

// Restart ends every replica and starts as many anew: what they know then is in the
// database. Nothing may be under way.
func (p *P) Restart() {
	p.t.Helper()
	if p.restart == nil {
		p.t.Fatal("only Replicas can be restarted")
	}
	p.restart()
}

// runningReplica is a process that serves.
type runningReplica struct {
	address string // where it listens
	stop    func() // once; the test's end does it too
}

// startReplica starts one. It ends with its standard input, which this process
// closes, at the latest when it is gone.
func startReplica(t testing.TB, r replica, logs *logs) runningReplica {
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
	stop := sync.OnceFunc(func() {
		defer time.AfterFunc(within, kill).Stop()
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	t.Cleanup(stop)
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("replica: %v", err)
	}
	return runningReplica{strings.TrimSpace(address), stop}
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
	store, err := storage.Open(ctx, r.Database)
	if err != nil {
		return err
	}
	served, err := provider.New(ctx, config(issuer), store, slog.New(slog.NewJSONHandler(os.Stderr, nil)), func() time.Time { return time.Now().Add(r.Off) })
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
	fmt.Println(listener.Addr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := server.Close(); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return store.Close()
}
