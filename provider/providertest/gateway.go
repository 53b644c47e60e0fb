package providertest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/sms"
)

// GatewaySecret is what a [Gateway]'s webhooks are signed with.
const GatewaySecret = "48151623-48151623-48151623"

// Gateway is a server that takes text messages, as a webhook.
type Gateway struct {
	URL    string
	server *httptest.Server
	t      testing.TB

	mu     sync.Mutex
	answer http.HandlerFunc
	got    []Delivered
}

// Delivered is a request as it came.
type Delivered struct {
	Header http.Header
	Body   []byte
}

// NewGateway starts one on [LogoutHost], which a provider under test may reach.
func NewGateway(t testing.TB) *Gateway {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(LogoutHost, "0"))
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{t: t}
	g.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(g.take), ReadHeaderTimeout: time.Minute}}
	g.server.Start()
	t.Cleanup(g.server.Close)
	g.URL = g.server.URL + "/send"
	return g
}

func (g *Gateway) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		g.t.Error(err)
	}
	g.mu.Lock()
	g.got = append(g.got, Delivered{r.Header.Clone(), body})
	answer := g.answer
	g.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

// Answer changes how it answers from now on; nil takes everything.
func (g *Gateway) Answer(how http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = how
}

// Got returns what came so far, and forgets it.
func (g *Gateway) Got() []Delivered {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.got
	g.got = nil
	return got
}

// Close ends it: whoever comes is refused.
func (g *Gateway) Close() { g.server.Close() }

var boundCode = regexp.MustCompile(`\\n@\S+ #(\d+)"`)

// Code returns the code that the only message has which came, and forgets it.
func (g *Gateway) Code() string {
	g.t.Helper()
	got := g.Got()
	if len(got) != 1 {
		g.t.Fatalf("%d text messages came, want one", len(got))
	}
	code := boundCode.FindSubmatch(got[0].Body)
	if code == nil {
		g.t.Fatalf("no code in %s", got[0].Body)
	}
	return string(code[1])
}

// WithGateway has the provider send its text messages there, to Sweden and the United States.
func WithGateway(g *Gateway) Option {
	return Configure(func(c *provider.Config) {
		c.SMS = sms.Config{Gateway: &sms.Webhook{URL: g.URL, Secret: []byte(GatewaySecret)}, From: "Doorstep", Countries: []string{"SE", "US"}}
	})
}
