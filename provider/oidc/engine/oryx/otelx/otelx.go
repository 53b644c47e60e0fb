// Package otelx stands in for github.com/ory/x/otelx: it has exactly what
// ory/fosite calls.
package otelx

import (
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// End ends the span, as failed if err points to an error. Its words stay here: they
// may repeat what a client sent, and spans go to another party.
func End(span trace.Span, err *error) {
	if err != nil && *err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
