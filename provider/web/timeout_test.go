package web

import (
	"net/http"
	"testing"
	"time"
)

// A store that does not answer costs a request so much time and no more, and is
// answered for with 503; a client that sends slowly costs only itself.
func TestAHandlerHasSoMuchTime(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Timeout = 10 * time.Millisecond })
	waits := func(_ http.ResponseWriter, r *http.Request) error {
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(within):
			t.Error("the handler was left waiting")
			return nil
		}
	}
	res := e.do(Route{Method: "GET", Path: "/x", Dialect: JSON, Handler: waits}, get("/x"))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q, want 503 and when to come back", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

const within = 5 * time.Second
