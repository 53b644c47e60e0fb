// Package otelx stands in for github.com/ory/x/otelx: it has exactly what
// ory/fosite calls.
package otelx

import "go.opentelemetry.io/otel/trace"

// End ends the span and records the error that err points to, if any.
func End(span trace.Span, err *error) {
	if err != nil && *err != nil {
		span.RecordError(*err)
	}
	span.End()
}
