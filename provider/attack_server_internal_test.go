package provider

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// OWASP ASVS 5.0 13.1.2, 15.1.3: one connection costs so much time and memory and
// no more. The server is the one that Run starts, but a hundred times as fast.
func TestAttack87ConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	p := &Provider{log: slog.New(slog.DiscardHandler)}
	served := make(chan error, 10)
	server := p.server(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		served <- err
	}), nil)
	for name, limit := range map[string]*time.Duration{
		"ReadHeaderTimeout": &server.ReadHeaderTimeout, "ReadTimeout": &server.ReadTimeout,
		"WriteTimeout": &server.WriteTimeout, "IdleTimeout": &server.IdleTimeout,
	} {
		if *limit <= 0 || *limit > 2*time.Minute {
			t.Errorf("%s is %s", name, *limit)
		}
		*limit /= 100
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()

	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
	for what, conn := range map[string]net.Conn{
		"headers that drip": drip(t, listener.Addr(), "GET / HTTP/1.1\r\nX: "),
		"a body that drips": drip(t, listener.Addr(), head+"\r\n"),
		"nothing at all":    drip(t, listener.Addr(), ""),
	} {
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: the connection is kept", what)
		}
	}
	if err := <-served; err == nil {
		t.Error("a body that never came was read to its end")
	}

	// What is cut off may take the answer with it (a reset), so that it is asked for more than once.
	for tries := 1; ; tries++ {
		status, err := hugeHeaders(t, listener.Addr())
		if errors.Is(err, syscall.ECONNRESET) && tries < 20 {
			continue
		}
		if err != nil || status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a megabyte of headers: status %d, %v", status, err)
		}
		return
	}
}

// hugeHeaders sends a megabyte of them and returns what is answered.
func hugeHeaders(t *testing.T, to net.Addr) (int, error) {
	t.Helper()
	conn := dial(t, to)
	go func() {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n") // it is cut off
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, nil
}

// dial opens a connection that the test waits for five seconds at most.
func dial(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), to.Network(), to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have been first
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// drip begins a request and goes on with it, a byte at a time, until it is cut
// off. Who begins nothing waits.
func drip(t *testing.T, to net.Addr, begin string) net.Conn {
	t.Helper()
	conn := dial(t, to)
	if begin == "" {
		return conn
	}
	if _, err := io.WriteString(conn, begin); err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
		}
	}()
	return conn
}
