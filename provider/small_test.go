package provider_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// nowhere is a response writer that keeps nothing: what is measured is ours.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w *nowhere) WriteHeader(status int)      { w.status = status }

// small are the answers that cost no statement, each a function that asks for it
// once, between the router and the answer, with the event of each written as in
// production.
func small(tb testing.TB) map[string]func() {
	tb.Helper()
	store, err := storage.Open(tb.Context(), providertest.SQLite(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	p, err := provider.New(tb.Context(), provider.Config{
		Issuer: &url.URL{Scheme: "http", Host: "localhost:8080"}, Keys: keys.Config{KEK: bytes.Repeat([]byte{7}, 32), Algorithms: []string{keys.ES256}},
	}, store, slog.New(slog.NewJSONHandler(io.Discard, nil)), time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	in := clients.Registration{ClientID: "job", Name: "Job"}
	in.GrantTypes = []string{"client_credentials"}
	_, secret, err := p.Clients.Create(tb.Context(), in, events.ActorOperator)
	if err != nil {
		tb.Fatal(err)
	}
	ask := func(method, path, body string, header ...string) func() {
		text := strings.NewReader(body)
		r := httptest.NewRequestWithContext(context.Background(), method, "http://localhost:8080"+path, text)
		r.RemoteAddr = "127.0.0.1:50000"
		r.Header.Set("User-Agent", "Go-http-client/1.1")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return func() {
			text.Reset(body)
			again := *r
			again.Body = io.NopCloser(text)
			w := &nowhere{header: make(http.Header, 16)}
			p.Handler().ServeHTTP(w, &again)
			if w.status >= http.StatusBadRequest {
				tb.Fatalf("%s: status %d", path, w.status)
			}
		}
	}
	basic := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	basic.SetBasicAuth("job", secret)
	return map[string]func(){
		"discovery": ask(http.MethodGet, web.PathOpenIDConfiguration, ""),
		"JWKS":      ask(http.MethodGet, web.PathJWKS, ""),
		"client credentials": ask(http.MethodPost, web.PathToken, "grant_type=client_credentials",
			"Authorization", basic.Header.Get("Authorization"), "Content-Type", "application/x-www-form-urlencoded"),
	}
}

// BenchmarkSmallAnswers compares our part of the answers that cost no statement.
func BenchmarkSmallAnswers(b *testing.B) {
	all := small(b)
	for _, name := range []string{"discovery", "JWKS", "client credentials"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				all[name]()
			}
		})
	}
}

// An answer that costs no statement costs so many allocations, its event and its
// metrics included; client credentials about 155, and 170 under the race detector. A
// higher number here is a slower provider for everybody.
func TestSmallAnswersAllocateLittle(t *testing.T) {
	all := small(t)
	for name, most := range map[string]float64{"discovery": 13, "JWKS": 13, "client credentials": 175} {
		if got := testing.AllocsPerRun(100, all[name]); got > most {
			t.Errorf("%s: %.0f allocations, at most %.0f", name, got, most)
		}
	}
}
