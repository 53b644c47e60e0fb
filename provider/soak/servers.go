package soak

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// binary builds the program once a test process.
var binary = sync.OnceValues(func() (string, error) { return build("") })

// build builds the program of a directory, of the module that is tested if it is "".
func build(dir string) (string, error) {
	out, err := os.MkdirTemp("", "doorstep-soak-") // removed with the machine's own; a test's directory would go too early
	if err != nil {
		return "", err
	}
	path := filepath.Join(out, "doorstep")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", path, "github.com/doorstep-id/doorstep/cmd/doorstep")
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build doorstep: %w\n%s", err, said)
	}
	return path, nil
}

// Binary returns where the program is that is tested.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Before builds the program as it was before the newest migration came, or at the
// commit that SOAK_BEFORE names: version N-1. It needs the history of the repository.
func Before(t testing.TB) string {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "git", args...).Output()
		if err != nil {
			t.Fatalf("git %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	root := git("rev-parse", "--show-toplevel")
	commit := os.Getenv("SOAK_BEFORE")
	if commit == "" {
		commit = git("-C", root, "log", "-1", "--diff-filter=A", "--format=%H", "--", "storage/migrations/postgres") + "~1"
	}
	tree := filepath.Join(t.TempDir(), "before")
	git("-C", root, "worktree", "add", "--detach", tree, commit)
	t.Cleanup(func() { _ = exec.Command("git", "-C", root, "worktree", "remove", "--force", tree).Run() }) // the next prune does it too
	path, err := build(tree)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Servers are processes of the real binary on one database, behind one issuer.
type Servers struct {
	P *providertest.P // the same database from the test's process, to arrange with and to look behind

	t    testing.TB
	env  []string
	all  []*server
	mu   sync.Mutex
	turn int
}

// server is one of them.
type server struct {
	path, listen, ops string
	mu                sync.Mutex
	cmd               *exec.Cmd
	gone              chan struct{}
	away              bool // the front sends nobody there
	log               strings.Builder
}

// Start starts n servers on a migrated database and waits until each is ready.
// Settings are DOORSTEP_* variables beside those that a test needs.
func Start(t testing.TB, n int, database string, settings ...string) *Servers {
	t.Helper()
	s := Prepare(t, database, settings...)
	for range n {
		s.Add(Binary(t))
	}
	return s
}

// Prepare is Start without a server.
func Prepare(t testing.TB, database string, settings ...string) *Servers {
	t.Helper()
	p := providertest.Replicas(t, 0, providertest.On(database))
	s := &Servers{P: p, t: t}
	s.env = append(os.Environ(),
		"DOORSTEP_ISSUER="+p.Issuer, "DOORSTEP_DATABASE__URL="+database,
		"DOORSTEP_KEYS__KEK="+base64.StdEncoding.EncodeToString(providertest.KEK()),
		"DOORSTEP_TRUSTED_PROXIES=127.0.0.1/32", "DOORSTEP_OUTBOUND__ALLOW="+providertest.LogoutHost+"/32",
		"DOORSTEP_PASSWORD__MEMORY=7168", "DOORSTEP_PASSWORD__TIME=5", "DOORSTEP_SERVER__SWEEP=1s")
	s.env = append(s.env, settings...)
	return s
}

// Add starts one more server, of this binary, waits until it is ready and returns
// its number.
func (s *Servers) Add(path string) int {
	s.t.Helper()
	one := &server{path: path, listen: freePort(s.t), ops: freePort(s.t)}
	s.t.Cleanup(func() {
		one.end()
		if s.t.Failed() {
			s.t.Logf("the errors of %s:\n%s", one.listen, tail(one.logged(), 4000))
		}
	})
	one.start(s.t, s.env)
	s.awaitReady(one)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
	return len(s.all) - 1
}

// Env is what a program needs to know of the servers' database.
func (s *Servers) Env() []string { return s.env }

// Forget ends every server.
func (s *Servers) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		one.end()
	}
	s.all = nil
}

// Move ends every server; those that are started next, and commands, have this database.
func (s *Servers) Move(database string) {
	s.Forget()
	s.env = append(s.env, "DOORSTEP_DATABASE__URL="+database) // the last one counts
}

// Remove ends a server as a supervisor does (SIGTERM), for good.
func (s *Servers) Remove(i int) {
	s.t.Helper()
	s.mu.Lock()
	one := s.all[i]
	s.mu.Unlock()
	<-one.signal(syscall.SIGTERM)
	s.mu.Lock()
	defer s.mu.Unlock()
	one.away = true
}

func freePort(t testing.TB) string {
	t.Helper()
	port, err := providertest.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func (s *server) start(t testing.TB, env []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(s.path, "serve", "--listen", s.listen, "--ops-listen", s.ops)
	cmd.Env, cmd.Stderr, cmd.Stdout = env, s, s
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	s.cmd, s.gone = cmd, gone
	go func() {
		_ = cmd.Wait() // it ends as it was told to
		close(gone)
	}()
}

// Write keeps what the log has of errors: of all the rest there is far too much.
func (s *server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, `"oauth_error":"invalid_grant"`) {
			s.log.WriteString(line)
		}
	}
	return len(b), nil
}

func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func tail(text string, n int) string {
	if len(text) > n {
		return "..." + text[len(text)-n:]
	}
	return text
}

// signal sends a signal to the process that runs now and returns the channel that
// closes when it is gone.
func (s *server) signal(sig os.Signal) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		gone := make(chan struct{})
		close(gone)
		return gone
	}
	_ = s.cmd.Process.Signal(sig) // one that is gone already got what it needs
	return s.gone
}

func (s *server) end() { <-s.signal(os.Kill) }

// Kill ends a server as kill -9 does, starts it anew and returns how long it took
// from its start to be ready.
func (s *Servers) Kill(i int) time.Duration {
	s.t.Helper()
	one := s.all[i%len(s.all)]
	one.end()
	return s.again(one)
}

// Restart ends a server as a supervisor does (SIGTERM) and starts it anew. The
// front knows of both by readiness alone. It returns how long the server took to
// end, and to be ready again.
func (s *Servers) Restart(i int) (drained, ready time.Duration) {
	s.t.Helper()
	one := s.all[i%len(s.all)]
	began := time.Now()
	<-one.signal(syscall.SIGTERM)
	return time.Since(began), s.again(one)
}

func (s *Servers) again(one *server) time.Duration {
	s.t.Helper()
	began := time.Now()
	one.start(s.t, s.env)
	s.awaitReady(one)
	return time.Since(began)
}

// Command runs an operator's command on the servers' database and returns what it
// prints, or fails the test.
func (s *Servers) Command(args ...string) string {
	s.t.Helper()
	return s.CommandOf(Binary(s.t), args...)
}

// CommandOf is Command of another binary.
func (s *Servers) CommandOf(path string, args ...string) string {
	s.t.Helper()
	out, err := s.commandOf(path, nil, args...)
	if err != nil {
		s.t.Fatalf("doorstep %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Refused runs a command with other settings beside the servers' own, which has to
// fail, and returns what it says.
func (s *Servers) Refused(settings []string, args ...string) string {
	s.t.Helper()
	out, err := s.commandOf(Binary(s.t), settings, args...)
	if err == nil {
		s.t.Fatalf("doorstep %s is not refused:\n%s", strings.Join(args, " "), out)
	}
	return out
}

func (s *Servers) commandOf(path string, settings []string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), path, args...)
	cmd.Env = append(slices.Clone(s.env), settings...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// awaitReady fails the test if the server is not ready in a minute.
func (s *Servers) awaitReady(one *server) {
	s.t.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if one.ready() {
			return
		}
	}
	s.t.Fatalf("%s is not ready:\n%s", one.listen, tail(one.logged(), 4000))
}

var prober = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// status is what a server's health endpoint answers; 0 for none.
func (s *server) status(path string) int {
	res, err := prober.Get("http://" + s.ops + path)
	if err != nil {
		return 0
	}
	_ = res.Body.Close() // the status is all
	return res.StatusCode
}

// Log returns what a server's log has of warnings and errors.
func (s *Servers) Log(i int) string { return s.all[i].logged() }

func (s *server) ready() bool { return s.status("/readyz") == http.StatusOK }

// Ready says whether a server says of itself that it can serve.
func (s *Servers) Ready(i int) bool { return s.all[i].ready() }

// Alive says whether a server's process does: nobody restarts it then.
func (s *Servers) Alive(i int) bool { return s.all[i].status("/healthz") == http.StatusOK }

// Within polls until it holds and returns how long that took, or fails the test
// when the limit is over.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			t.Errorf("not within %s: %s", limit, what)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// Front is how requests reach the servers: connections go to them in turn, and are
// kept for the next request. A server that is down gets its share too, as from a
// proxy that has not seen it yet; see [Servers.Watch].
func (s *Servers) Front() http.RoundTripper {
	return &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Second,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, s.next().listen)
		},
	}
}

// To is Front to one of the servers alone.
func (s *Servers) To(i int) http.RoundTripper {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, s.all[i].listen)
		},
	}
}

func (s *Servers) next() *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.all {
		s.turn++
		if one := s.all[s.turn%len(s.all)]; !one.away {
			return one
		}
	}
	return s.all[s.turn%len(s.all)]
}

// Watch has the front leave out servers that are not ready, as a proxy with a
// health check does, until ctx ends. Each is asked every tenth of a second.
func (s *Servers) Watch(ctx context.Context) {
	go func() {
		for ctx.Err() == nil {
			s.mu.Lock()
			all := slices.Clone(s.all)
			s.mu.Unlock()
			for _, one := range all {
				away := !one.ready()
				s.mu.Lock()
				one.away = away
				s.mu.Unlock()
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
}
