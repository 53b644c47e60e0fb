package soak

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Wire stands between the servers and Postgres, and can be slow or cut.
type Wire struct {
	dir  string
	to   string
	slow atomic.Int64 // what each answer waits, in nanoseconds
	cut  atomic.Int64 // one of so many answers is lost, with its connection; 0 for none
	Lost atomic.Int64 // answers so far that were lost
	n    atomic.Int64
	mu   sync.Mutex
	ends map[net.Conn]bool
}

// socketName is where Postgres's programs look for it in a directory.
const socketName = ".s.PGSQL.5432"

// NewWire puts one in front of a cluster's socket.
func NewWire(t testing.TB, socket string) *Wire {
	t.Helper()
	dir, err := os.MkdirTemp("", "doorstep-wire-") // short: a socket's path may have 100 characters
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{dir: dir, to: filepath.Join(socket, socketName), ends: map[net.Conn]bool{}}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close() // nobody is to come any more
		w.Cut()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(client)
		}
	}()
	return w
}

// Through returns the URL of a database by way of the wire.
func (w *Wire) Through(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", w.dir)
	u.RawQuery = q.Encode()
	return u.String()
}

// Delay has each answer wait from now on.
func (w *Wire) Delay(by time.Duration) { w.slow.Store(int64(by)) }

// Lose has one of so many answers lost from now on, after the database did what it
// was asked for, and its connection with it; 0 ends it.
func (w *Wire) Lose(oneOf int) { w.cut.Store(int64(oneOf)) }

// Cut closes every connection.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.ends {
		_ = c.Close() // that is the point
	}
}

func (w *Wire) hold(c net.Conn, held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if held {
		w.ends[c] = true
	} else {
		delete(w.ends, c)
	}
}

func (w *Wire) carry(client net.Conn) {
	defer client.Close() //nolint:errcheck // the other end may have done it
	server, err := (&net.Dialer{}).Dial("unix", w.to)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // as above
	w.hold(client, true)
	defer w.hold(client, false)
	go func() {
		_, _ = io.Copy(server, client) // either end closes both
		_ = server.Close()
	}()
	answer := make([]byte, 64<<10)
	for {
		n, err := server.Read(answer)
		if n > 0 && !w.answer(client, answer[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

// answer hands an answer on, late or not at all.
func (w *Wire) answer(client net.Conn, b []byte) bool {
	if by := time.Duration(w.slow.Load()); by > 0 {
		time.Sleep(by)
	}
	if oneOf := w.cut.Load(); oneOf > 0 && w.n.Add(1)%oneOf == 0 {
		w.Lost.Add(1)
		return false
	}
	_, err := client.Write(b)
	return err == nil
}
