package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/web"
)

// inProcess runs f with the operators' API of this process, on the configured database
// and as the operator, who needs no token and is told the cause of what fails.
func (a *app) inProcess(ctx context.Context, cfg *config, f func(*operators) error) error {
	return a.withRooms(ctx, cfg, func(s *provider.Services, pc provider.Config, now func() time.Time) error {
		var last failure
		pc.Web.Timeout = serverTimeout // a key may have to be made, and nobody else waits
		handler, err := s.OperatorsAPI(pc, slog.New(&last), now)
		if err != nil {
			return err
		}
		sequence := func(ctx context.Context) error { return a.sequence(ctx, s) }
		return f(&operators{base: cfg.Issuer + web.PathAPI, http: &http.Client{Transport: &direct{handler, &last}}, sequence: sequence})
	})
}

// direct carries requests to a handler without a network.
type direct struct {
	handler http.Handler
	last    *failure
}

// RoundTrip implements http.RoundTripper. What the handler could not do is an error.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	out := &answer{header: http.Header{}, code: http.StatusOK}
	d.handler.ServeHTTP(out, r)
	if out.code >= http.StatusInternalServerError && d.last.cause != "" {
		return nil, errors.New(d.last.cause)
	}
	return &http.Response{
		Status: http.StatusText(out.code), StatusCode: out.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: -1, Request: r,
	}, nil
}

// answer is what a handler answers.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) { a.code = code }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// failure is a log of which nothing stays but why the last request failed here.
type failure struct{ cause string }

// Enabled implements slog.Handler.
func (f *failure) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle implements slog.Handler.
func (f *failure) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "error" {
			f.cause = attr.Value.String()
		}
		return true
	})
	return nil
}

// WithAttrs implements slog.Handler.
func (f *failure) WithAttrs([]slog.Attr) slog.Handler { return f }

// WithGroup implements slog.Handler.
func (f *failure) WithGroup(string) slog.Handler { return f }
