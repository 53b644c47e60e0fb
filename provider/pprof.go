package provider

import (
	"net/http"
	"net/http/pprof"
	"time"
)

// profileTime is how long a profile may take, and so an answer of the listener that gives them.
const profileTime = 2 * time.Minute

// profiles adds Go's own profiles, for `go tool pprof`.
func profiles(m *http.ServeMux) {
	m.HandleFunc("GET /debug/pprof/", pprof.Index)
	m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
