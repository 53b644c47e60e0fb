package provider_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// askOps asks the listener that the public does not reach.
func askOps(t *testing.T, ops http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	ops.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// askListener asks over the network, as an orchestrator does.
func askListener(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

// A replica is ready while its schema, its clock and its keys are good, and says
// which one is not. That the process lives is another question.
func TestReadinessNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		setClock := func(off time.Duration) { p.Clock.Advance(time.Since(p.Clock.Now()) + off) }
		wantReady := func(status int, body ...string) {
			t.Helper()
			got, said := askOps(t, p.Ops, "/readyz")
			if got != status {
				t.Errorf("readiness %d %s, want %d", got, said, status)
			}
			for _, part := range body {
				if !strings.Contains(said, part) {
					t.Errorf("readiness says %s, want %s", said, part)
				}
			}
			if status, said := askOps(t, p.Ops, "/healthz"); status != http.StatusOK || said != `{"status":"ok"}` {
				t.Errorf("health %d %s", status, said)
			}
		}
		setClock(0)
		wantReady(http.StatusOK, `"schema":"ok"`, `"clock":"ok"`, `"keys":"ok"`)
		for off, said := range map[time.Duration]string{90 * time.Minute: "clock is 1h", -90 * time.Minute: "clock is -1h"} {
			setClock(off)
			wantReady(http.StatusServiceUnavailable, said, "away from the database's", "timedatectl set-ntp true", `"schema":"ok"`, `"keys":"ok"`)
		}
		setClock(0)
		wantReady(http.StatusOK)
		if _, err := p.Store.MigrateDown(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantReady(http.StatusServiceUnavailable, `"schema":"`, "behind", `"clock":"ok"`)
	}, providertest.At(time.Now()), providertest.DatabaseAt(time.Now))
}

// The metrics that dashboards stand on; no label is a word of the public's.
func TestMetrics(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	rp := p.Client("web", providertest.FirstParty)
	browser := p.Browser().SignIn("ada")
	tokens := rp.Exchange(browser.Authorize(rp, "openid")).OK()
	rp.Refresh(tokens.Refresh).OK()
	rp.ClientCredentials().OK()
	p.Userinfo("nonsense").WantError("invalid_token")
	p.Send(rawRequest(t, http.MethodPost, p.URL(web.PathToken), spent("client_id", "nobody"))).WantError("invalid_client")
	browser.Ask(rp, "nonsense").WantError("invalid_scope")
	p.Send(rawRequest(t, "EAVESDROP", p.URL("/nowhere-at-all"), nil)).WantStatus(http.StatusNotFound)
	status, metrics := askOps(t, p.Ops, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, metrics)
	}
	for _, want := range []string{
		`doorstep_tokens_issued_total{grant_type="authorization_code",kind="access_token"} 1`,
		`doorstep_tokens_issued_total{grant_type="refresh_token",kind="access_token"} 1`,
		`doorstep_tokens_issued_total{grant_type="client_credentials",kind="access_token"} 1`,
		`doorstep_oauth_errors_total{endpoint="token",error="invalid_client"} 1`,
		`doorstep_oauth_errors_total{endpoint="userinfo",error="invalid_token"} 1`,
		`doorstep_oauth_errors_total{endpoint="authorize",error="invalid_scope"} 1`,
		`doorstep_http_request_duration_seconds_count{code="200",method="POST",route="/oauth2/token"} 3`,
		`doorstep_http_request_duration_seconds_count{code="404",method="other",route="none"} 1`,
		`go_goroutines `, `process_start_time_seconds `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, word := range []string{"EAVESDROP", "nowhere-at-all", "nobody", "ada@example.com"} {
		if strings.Contains(metrics, word) {
			t.Errorf("a label has %s, which the public chose", word)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		p.Get(path).WantStatus(http.StatusNotFound) // of the public listener
	}
}

// A house is a provider on real listeners.
type house struct {
	*provider.Provider
	store       *storage.Store
	public, ops string        // addresses
	before      goleak.Option // what ran before it did: libraries keep some of their own
	draining    chan struct{}
	stop        context.CancelFunc
	ended       chan error
}

// tellDraining closes the channel when the log says that it drains.
type tellDraining struct {
	slog.Handler
	told chan struct{}
}

func (h tellDraining) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "draining" {
		close(h.told)
	}
	return nil
}

// run runs a provider that takes this long to drain, with keys of algs, or one of
// ES256. Whoever stops it closes its store.
func run(t *testing.T, drain time.Duration, algs ...string) *house {
	t.Helper()
	h := &house{public: freeAddress(t), ops: freeAddress(t), draining: make(chan struct{}), ended: make(chan error, 1)}
	issuer, err := url.Parse("http://" + h.public)
	if err != nil {
		t.Fatal(err)
	}
	if h.store, err = storage.Open(t.Context(), providertest.Database(t)); err != nil {
		t.Fatal(err)
	}
	if algs == nil {
		algs = []string{keys.ES256}
	}
	cfg := provider.Config{
		Issuer: issuer, Keys: keys.Config{KEK: bytes.Repeat([]byte{7}, 32), Algorithms: algs},
		Server: provider.ServerConfig{Listen: []string{h.public}, OpsListen: h.ops, Drain: drain},
	}
	logger := slog.New(tellDraining{slog.NewTextHandler(io.Discard, nil), h.draining})
	if h.Provider, err = provider.New(t.Context(), cfg, h.store, logger, time.Now); err != nil {
		t.Fatal(err)
	}
	h.before = goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(t.Context())
	h.stop = stop
	ready := make(chan struct{})
	go func() { h.ended <- h.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-h.ended:
		t.Fatal(err)
	}
	return h
}

// close fails the test unless all that Run began has ended.
func (h *house) close(t *testing.T) {
	t.Helper()
	goleak.VerifyNone(t, h.before)
	if err := h.store.Close(); err != nil {
		t.Error(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it only finds a port that nobody serves
	return l.Addr().String()
}

const slowBody = "grant_type=client_credentials&client_id=nobody"

// slow begins a token request and keeps its body back, until it is sure that a
// handler waits for it: a server says 100 when somebody reads (RFC 9110 section 10.1.1).
func slow(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		web.PathToken, address, len(slowBody))
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := in.ReadString('\n'); err != nil || line != want {
			t.Fatalf("%q, %v", line, err)
		}
	}
	return conn, in
}

// A provider that is told to end takes no new requests, and finishes those that are
// under way.
func TestDrainFinishesWhatIsUnderWay(t *testing.T) {
	h := run(t, 20*time.Second)
	conn, in := slow(t, h.public)
	defer conn.Close() //nolint:errcheck // it was read to its end
	if status, body := askOps(t, h.OpsHandler(), "/readyz"); status != http.StatusOK {
		t.Errorf("before: %d %s", status, body)
	}
	h.stop()
	<-h.draining
	if status, body := askListener(t, h.ops, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"server":"draining`) {
		t.Errorf("readiness while it drains: %d %s", status, body)
	}
	if status, _ := askListener(t, h.ops, "/healthz"); status != http.StatusOK {
		t.Errorf("health while it drains: %d: it would be killed", status)
	}
	select {
	case err := <-h.ended:
		t.Fatalf("ended with a request under way: %v", err)
	default:
	}
	if _, err := io.WriteString(conn, slowBody); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "invalid_client") {
		t.Errorf("the request under way: %d %s %v", res.StatusCode, body, err)
	}
	if err := <-h.ended; err != nil {
		t.Errorf("after the drain: %v", err)
	}
	for _, address := range []string{h.public, h.ops} {
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s still listens: %v", address, conn.Close())
		}
	}
	h.close(t)
}

// What takes longer than the limit is cut: an orchestrator would kill the process.
func TestDrainHasALimit(t *testing.T) {
	h := run(t, 20*time.Millisecond)
	conn, in := slow(t, h.public)
	defer conn.Close() //nolint:errcheck // the other side closed it
	h.stop()
	if err := <-h.ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v, want the deadline", err)
	}
	if rest, err := io.ReadAll(in); err == nil && len(rest) > 0 {
		t.Errorf("the request that was cut got %q", rest)
	}
	h.close(t)
}

// A port that is taken ends the start, with everything else closed again.
func TestATakenPortEndsTheStart(t *testing.T) {
	h := run(t, time.Second)
	other, err := provider.New(t.Context(), provider.Config{
		Issuer: &url.URL{Scheme: "http", Host: h.public}, Keys: keys.Config{KEK: bytes.Repeat([]byte{7}, 32), Algorithms: []string{keys.ES256}},
		Server: provider.ServerConfig{Listen: []string{freeAddress(t), h.public}},
	}, h.store, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	if err := other.Run(t.Context(), func() { t.Error("ready without its port") }); err == nil || !strings.Contains(err.Error(), h.public) {
		t.Errorf("%v, want an error that names %s", err, h.public)
	}
	goleak.VerifyNone(t, before)
	h.stop()
	if err := errors.Join(<-h.ended, h.store.Close()); err != nil {
		t.Error(err)
	}
}

// The key that takes long to make is not waited for at the start, and made before
// somebody asks.
func TestSlowKeyIsMadeOnceItListens(t *testing.T) {
	h := run(t, time.Second, keys.ES256, keys.RS256)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for made := 0; made < 2; {
		rows, err := h.store.Keys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		made = len(rows)
	}
	h.stop()
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	h.close(t)
}
