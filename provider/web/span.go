package web

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// beginSpan begins the request's span, named by method and route and never by what
// the client sent. Its parent is believed where the request's address is: if a trusted
// proxy sent it (W3C Trace Context).
func (w *Web) beginSpan(s *state, route Route, r *http.Request) {
	ctx := s.Context
	if isTrusted(parseAddress(r.RemoteAddr), w.cfg.TrustedProxies) {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	method := methodLabel(r.Method)
	s.Context, s.span = w.tracer.Start(ctx, method+" "+route.Path, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method),
		attribute.String("http.route", route.Path),
		attribute.String("doorstep.request_id", s.id[0]),
	))
}

// endSpan ends it with the status of the answer, and without the error's words.
func (s *state) endSpan(status int) {
	s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// TraceID returns the id of the trace that ctx belongs to, "" for none.
func TraceID(ctx context.Context) string {
	if of := trace.SpanContextFromContext(ctx); of.HasTraceID() {
		return of.TraceID().String()
	}
	return ""
}
