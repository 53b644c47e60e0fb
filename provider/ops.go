package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// OpsHandler serves /healthz (the process lives), /readyz (it can serve) and
// /metrics, and profiles if they are wanted, for a listener that the public does not reach.
func (p *Provider) OpsHandler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	m.HandleFunc("GET /readyz", p.ready)
	m.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	if p.cfg.Pprof {
		profiles(m)
	}
	return m
}

// ready says whether requests should come here, and which check fails.
func (p *Provider) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	checks := map[string]string{}
	status := http.StatusOK
	note := func(name string, err error) {
		checks[name] = "ok"
		if err != nil {
			checks[name], status = err.Error(), http.StatusServiceUnavailable
		}
	}
	if p.draining.Load() {
		note("server", errDraining)
	}
	note("schema", p.Store.CheckSchema(ctx))
	drift, err := p.clock.set(ctx, p.Store)
	note("clock", err)
	checks["clock_drift"] = drift.Round(100 * time.Microsecond).String()
	_, _, err = p.Keys.JWKS(ctx)
	note("keys", err)
	writeHealth(w, status, checks)
}

func writeHealth(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the prober has gone: nobody is left to tell
}
