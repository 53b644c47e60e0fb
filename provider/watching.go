package provider

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/storage"
)

// longestStatement bounds what a span says of one, in bytes.
const longestStatement = 2 << 10

// observer watches what a request causes: statements and requests that go out are
// counted and, where somebody traces, children of the request's span. What goes on
// beside requests has no span.
type observer struct {
	*metrics
	tracer trace.Tracer // nil: nobody traces
}

// within says whether ctx belongs to a request that is traced.
func (o *observer) within(ctx context.Context) bool {
	return o.tracer != nil && trace.SpanContextFromContext(ctx).IsValid()
}

// Begin begins a statement's span. A statement has marks in the place of values.
func (o *observer) Begin(ctx context.Context, statement string) context.Context {
	if !o.within(ctx) {
		return ctx
	}
	verb := storage.Verb(statement)
	ctx, _ = o.tracer.Start(ctx, verb, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes( //nolint:spancheck // End ends it
		attribute.String("db.operation.name", verb), attribute.String("db.query.text", statement[:min(len(statement), longestStatement)]),
	))
	return ctx
}

// End counts a statement and ends its span, without the driver's words: they may
// repeat a value.
func (o *observer) End(ctx context.Context, statement string, took time.Duration, err error) {
	o.metrics.End(ctx, statement, took, err)
	if o.within(ctx) {
		end(trace.SpanFromContext(ctx), err != nil)
	}
}

// goingOut watches a request to a client's address.
func (o *observer) goingOut(ctx context.Context, method string) (context.Context, func(status int, err error)) {
	began := time.Now() //nolint:forbidigo // how long it takes, not when it is
	var span trace.Span
	if o.within(ctx) {
		ctx, span = o.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("http.request.method", method)))
	}
	return ctx, func(status int, err error) {
		came := outbound.OutcomeOf(status, err)
		o.outbound.WithLabelValues(string(came)).Observe(time.Since(began).Seconds()) //nolint:forbidigo // as above
		if span != nil {
			span.SetAttributes(attribute.String("doorstep.outcome", string(came)))
			if status > 0 {
				span.SetAttributes(attribute.Int("http.response.status_code", status))
			}
			end(span, came != outbound.Success)
		}
	}
}

func end(span trace.Span, failed bool) {
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
