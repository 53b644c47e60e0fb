package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// house is a server inside, on an address of loopback; it counts who comes.
type house struct {
	*httptest.Server
	roots *x509.CertPool
	port  string
	seen  atomic.Int32
}

// open opens a house on ip; with TLS, of the name example.com.
func open(t *testing.T, ip string, secure bool, handler http.HandlerFunc, change ...func(*httptest.Server)) *house {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{roots: x509.NewCertPool()}
	h.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				h.seen.Add(1)
			}
		}}}
	for _, c := range change {
		c(h.Server)
	}
	if secure {
		h.StartTLS()
		h.roots.AddCert(h.Certificate())
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	_, h.port, _ = net.SplitHostPort(l.Addr().String())
	return h
}

// at is the house by another name.
func (h *house) at(scheme, host string) string {
	return fmt.Sprintf("%s://%s/x", scheme, net.JoinHostPort(host, h.port))
}

func fine(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "%s %s", r.Method, r.Host)
}

func allow(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// names answers every question about a name with the same addresses.
func names(table map[string][]string) *net.Resolver {
	return providertest.Names(func(name string) (out []netip.Addr) {
		for _, text := range table[name] {
			out = append(out, netip.MustParseAddr(text))
		}
		return out
	})
}

// wantFailed holds an error against what an outsider and the log may read.
func wantFailed(t *testing.T, err, want error) {
	t.Helper()
	var failed *outbound.Error
	if !errors.As(err, &failed) || failed.Shown() != "could not be fetched" {
		t.Fatalf("got %v, want an *outbound.Error with the one text for outsiders", err)
	}
	if want != nil && !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func TestWhatGoesOutAndWhatComesBack(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nobody asks it
	var got atomic.Pointer[http.Request]
	h := open(t, "127.0.0.1", true, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got.Store(r)
		http.SetCookie(w, &http.Cookie{Name: "kept", Value: "no"})
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusAccepted)
		fine(w, r)
	})
	c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8"), Roots: h.roots, Resolver: names(map[string][]string{"example.com": {"127.0.0.1"}})})
	for range 2 {
		answer, err := c.Get(t.Context(), outbound.Request{URL: h.at("https", "example.com"), Operator: true, Accept: "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != http.StatusAccepted || !strings.HasPrefix(string(answer.Body), "GET example.com:") || answer.Header("cache-control") != "max-age=60" {
			t.Errorf("answer %d %q %q", answer.Status, answer.Body, answer.Header("cache-control"))
		}
		r := got.Load()
		if r.Header.Get("Accept") != "application/json" || r.Header.Get("Accept-Encoding") != "identity" || len(r.Cookies()) != 0 || r.UserAgent() != "Doorstep" {
			t.Errorf("asked with %v", r.Header)
		}
	}
	if n := h.seen.Load(); n != 2 {
		t.Errorf("%d connections for two requests: one was kept", n)
	}
	if _, err := c.PostForm(t.Context(), outbound.Request{URL: h.at("https", "example.com"), Operator: true}, url.Values{"logout_token": {"a b"}}); err != nil {
		t.Fatal(err)
	}
	if r := got.Load(); r.Method != http.MethodPost || r.PostForm.Get("logout_token") != "a b" {
		t.Errorf("%s sent %v", r.Method, r.PostForm)
	}
	_, err := c.Get(t.Context(), outbound.Request{URL: h.at("https", "nobody.example"), Operator: true})
	wantFailed(t, err, nil)
}

// Attack case 47: whatever an inside address is called, a URL that no operator
// registered does not reach it, one that an operator registered only where
// outbound.allow names it, and nothing reaches a cloud's metadata.
func TestAttack47NothingReachesInside(t *testing.T) {
	plain, secure := open(t, "127.0.0.1", false, fine), open(t, "127.0.0.1", true, fine)
	resolver := names(map[string][]string{
		"example.com": {"127.0.0.1"}, "mapped.example": {"::ffff:127.0.0.1"}, "nat64.example": {"64:ff9b::7f00:1"},
		"public.example": {"127.0.0.1", "::1"}, "cloud.example": {"169.254.169.254", "fd00:ec2::254"},
	})
	cfg := outbound.Config{Roots: secure.roots, Resolver: resolver}
	shut, open := outbound.New(cfg), cfg
	open.Allow = allow("127.0.0.0/8", "::/0", "169.254.0.0/16")
	allowing := outbound.New(open)
	hosts := []string{"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::", "example.com", "mapped.example", "nat64.example", "public.example"}
	for _, host := range hosts {
		for _, operator := range []bool{false, true} {
			for _, u := range []string{plain.at("http", host), secure.at("https", host)} {
				_, err := shut.Get(t.Context(), outbound.Request{URL: u, Operator: operator})
				wantFailed(t, err, nil)
			}
		}
		for _, u := range []string{plain.at("http", host), secure.at("https", host)} {
			_, err := allowing.Get(t.Context(), outbound.Request{URL: u})
			wantFailed(t, err, nil)
		}
	}
	for _, host := range []string{"0177.0.0.1", "0x7f.1", "2130706433", "127.1"} { // what inet_aton takes for an address
		_, err := shut.Get(t.Context(), outbound.Request{URL: secure.at("https", host), Operator: true})
		wantFailed(t, err, nil)
	}
	if n := plain.seen.Load() + secure.seen.Load(); n != 0 {
		t.Fatalf("%d connections came inside", n)
	}
	for _, host := range []string{"169.254.169.254", "cloud.example", "fd00:ec2::254"} {
		for _, scheme := range []string{"http", "https"} {
			_, err := allowing.Get(t.Context(), outbound.Request{URL: plain.at(scheme, host), Operator: true})
			wantFailed(t, err, outbound.ErrAddress)
		}
	}
	for _, u := range []string{plain.at("http", "example.com"), secure.at("https", "example.com")} {
		if _, err := allowing.Get(t.Context(), outbound.Request{URL: u, Operator: true}); err != nil {
			t.Errorf("what the operator allows is not reached: %v", err)
		}
	}
}

// Attack case 47: the address is judged at each connection, so a name that
// answers otherwise the second time is no way in, nor is one with two addresses.
func TestAttack47RebindingChangesNothing(t *testing.T) {
	inside := open(t, "127.0.0.1", false, fine)
	var asked atomic.Int32
	var turned atomic.Bool
	c := outbound.New(outbound.Config{Allow: allow("127.0.0.2/32"), Resolver: providertest.Names(func(name string) []netip.Addr {
		asked.Add(1)
		switch {
		case name == "both.example":
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}
		case !turned.Load():
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})})
	elsewhere := open(t, "127.0.0.2", false, fine)
	if _, err := c.Get(t.Context(), outbound.Request{URL: elsewhere.at("http", "re.example"), Operator: true}); err != nil {
		t.Fatal(err)
	}
	turned.Store(true)
	_, err := c.Get(t.Context(), outbound.Request{URL: inside.at("http", "re.example"), Operator: true})
	wantFailed(t, err, outbound.ErrAddress)
	if asked.Load() < 2 {
		t.Error("the name was not asked again, so this proves nothing")
	}
	// Nobody listens on that port of 127.0.0.2: the next address is tried, and judged.
	_, err = c.Get(t.Context(), outbound.Request{URL: inside.at("http", "both.example"), Operator: true})
	wantFailed(t, err, nil)
	if n := inside.seen.Load(); n != 0 {
		t.Errorf("%d connections came inside", n)
	}
}

// Attack case 47: a redirect inward, and one from https down to http, is not followed.
func TestAttack47RedirectsAreNotFollowed(t *testing.T) {
	inside := open(t, "127.0.0.1", false, fine)
	h := open(t, "127.0.0.2", true, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.at("http", "127.0.0.1"), http.StatusTemporaryRedirect)
	})
	c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8"), Roots: h.roots, Resolver: names(map[string][]string{"example.com": {"127.0.0.2"}})})
	answer, err := c.PostForm(t.Context(), outbound.Request{URL: h.at("https", "example.com"), Operator: true}, url.Values{"logout_token": {"x"}})
	if err != nil || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %v, %v, want the 307 itself", answer, err)
	}
	if n := inside.seen.Load(); n != 0 {
		t.Errorf("%d connections followed the redirect", n)
	}
}

// Attack case 48: slow, huge and hostile answers are cut.
func TestAttack48AnswersAreCut(t *testing.T) {
	const limit, patience = 4 << 10, 300 * time.Millisecond
	drip := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(patience / 10)
		}
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"a drip of a body": {drip, context.DeadlineExceeded},
		"no headers":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, context.DeadlineExceeded},
		"endless early hints": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
				time.Sleep(patience / 1000)
			}
		}, nil},
		"a size that it names": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			_, _ = io.WriteString(w, "x")
		}, outbound.ErrTooLarge},
		"one byte too many": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, limit+1)) }, outbound.ErrTooLarge},
		"an endless body": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<10))
			}
		}, outbound.ErrTooLarge},
		"a gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(make([]byte, 1<<20))
			_ = z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(b.Bytes())
		}, outbound.ErrEncoded},
		"huge headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
			w.WriteHeader(http.StatusOK)
		}, nil},
		"a broken body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "x")
		}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, "127.0.0.1", false, tc.handler)
			c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8"), Timeout: patience, MaxBytes: limit})
			began := time.Now()
			_, err := c.Get(t.Context(), outbound.Request{URL: h.at("http", "127.0.0.1"), Operator: true})
			if took := time.Since(began); took > 10*patience {
				t.Errorf("took %s", took)
			}
			wantFailed(t, err, tc.want)
		})
	}
	t.Run("a body that nobody reads", func(t *testing.T) {
		h := open(t, "127.0.0.1", false, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent + 1)
			drip(w, r)
		})
		c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8"), Timeout: patience})
		answer, err := c.Get(t.Context(), outbound.Request{URL: h.at("http", "127.0.0.1"), Operator: true, Blind: true})
		if err != nil || answer.Status != http.StatusNoContent+1 || answer.Body != nil {
			t.Errorf("got %v, %v", answer, err)
		}
	})
	t.Run("the last byte that fits", func(t *testing.T) {
		h := open(t, "127.0.0.1", false, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, limit)) })
		c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8"), MaxBytes: 1})
		answer, err := c.Get(t.Context(), outbound.Request{URL: h.at("http", "127.0.0.1"), Operator: true, MaxBytes: limit})
		if err != nil || len(answer.Body) != limit {
			t.Errorf("got %v", err)
		}
	})
}

// Attack case 47: https means a certificate of that very host, and TLS 1.2 at least.
func TestAttack47TLSIsWhatItSays(t *testing.T) {
	old := open(t, "127.0.0.1", true, fine, func(s *httptest.Server) {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	})
	sound := open(t, "127.0.0.1", true, fine)
	resolver := names(map[string][]string{"example.com": {"127.0.0.1"}, "example.org": {"127.0.0.1"}})
	for name, tc := range map[string]struct {
		roots *x509.CertPool
		url   string
	}{
		"TLS 1.1":                  {old.roots, old.at("https", "example.com")},
		"another's certificate":    {sound.roots, sound.at("https", "example.org")},
		"nobody's certificate":     {nil, sound.at("https", "example.com")},
		"no TLS":                   {nil, open(t, "127.0.0.1", false, fine).at("https", "example.com")},
		"a user in front":          {sound.roots, strings.Replace(sound.at("https", "example.com"), "//", "//ada:secret@", 1)},
		"a control character":      {sound.roots, sound.at("https", "example.com") + "\n"},
		"neither http nor https":   {sound.roots, sound.at("ftp", "example.com")},
		"http, where TLS is asked": {sound.roots, sound.at("http", "example.com")},
	} {
		t.Run(name, func(t *testing.T) {
			c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8"), Roots: tc.roots, Resolver: resolver})
			answer, err := c.Get(t.Context(), outbound.Request{URL: tc.url, Operator: true})
			if err == nil && answer.Status == http.StatusBadRequest {
				return // the house answers plain HTTP at its TLS port so
			}
			wantFailed(t, err, nil)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the log would hold a secret: %v", err)
			}
		})
	}
}

func TestManyGoOutAtOnce(t *testing.T) {
	h := open(t, "127.0.0.1", false, fine)
	c := outbound.New(outbound.Config{Allow: allow("127.0.0.0/8")})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := c.Get(t.Context(), outbound.Request{URL: h.at("http", "127.0.0.1"), Operator: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
