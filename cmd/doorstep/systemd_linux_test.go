package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// manager is systemd's end of sd_notify(3): a datagram socket that it reads.
type manager struct {
	t *testing.T
	*net.UnixConn
}

func newManager(t *testing.T) manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return manager{t, conn}
}

// next is what it is told next.
func (m manager) next() string {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	var buf [256]byte
	n, err := m.Read(buf[:])
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

// The real binary under a real manager's socket: it is ready when it answers, gives
// signs of life, and says that it stops before it does.
func TestServeTellsTheServiceManager(t *testing.T) {
	m := newManager(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	issuer := "http://localhost:" + strconv.Itoa(port)
	cmd := exec.CommandContext(t.Context(), "doorstep", "serve", "--issuer", issuer, "--ops-listen", "off",
		"--database-url", "sqlite://"+filepath.Join(t.TempDir(), "doorstep.db"), "--server-notice", "200ms")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.LocalAddr().String(), "WATCHDOG_USEC=90000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := m.next(); got != "READY=1" {
		t.Fatalf("told %q first", got)
	}
	res, err := http.Get(issuer + "/.well-known/openid-configuration")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("ready, and it answers %v, %v", res, err)
	}
	_ = res.Body.Close()
	for range 3 {
		if got := m.next(); got != "WATCHDOG=1" {
			t.Fatalf("told %q, want signs of life", got)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for got := m.next(); got != "STOPPING=1"; got = m.next() {
		if got != "WATCHDOG=1" {
			t.Fatalf("told %q", got)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A server that does not answer gives no sign of life, and one that is not ready
// neither; what it says comes in order.
func TestAServerThatHangsGivesNoSignOfLife(t *testing.T) {
	states := make(chan string, 1000)
	answers := make(chan error)
	m := &serviceManager{
		log: slog.New(slog.DiscardHandler), every: time.Millisecond,
		tell: func(state string) error { states <- state; return nil },
		alive: func(ctx context.Context) error {
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	err := m.run(ctx, func(ready func()) error {
		ready()
		answers <- errors.New("refused")
		answers <- errors.New("refused")
		answers <- nil
		stop()
		answers <- nil // while it drains it lives
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	close(states)
	var all []string
	for s := range states {
		all = append(all, s)
	}
	slices.Sort(all[1:]) // the end and the sign of life after it come from two
	if want := []string{"READY=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=1"}; !slices.Equal(all, want) {
		t.Errorf("told %q, want %q", all, want)
	}
}
