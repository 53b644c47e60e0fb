package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// flushTraces is how long the end of the process waits for a collector.
const flushTraces = 5 * time.Second

// traces returns where spans go, nil if OpenTelemetry's own variables name no
// collector, and what sends the last of them. Those variables and no setting of
// ours say where and how: the exporter reads them itself.
func (a *app) traces(ctx context.Context, version string, log *slog.Logger) (api.TracerProvider, func(), error) {
	if !wantsTraces(a.environ) {
		return nil, func() {}, nil
	}
	if protocol := cmp.Or(variable(a.environ, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), variable(a.environ, "OTEL_EXPORTER_OTLP_PROTOCOL")); protocol != "" && protocol != "http/protobuf" {
		return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: traces go out by http/protobuf alone, mostly to port 4318", protocol)
	}
	out, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("traces (OTEL_EXPORTER_OTLP_...): %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "doorstep"), attribute.String("service.version", version)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, nil, fmt.Errorf("traces (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	log = log.With(slog.String("job", "traces"))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", slog.Any("error", err)) }))
	provider := trace.NewTracerProvider(trace.WithBatcher(out), trace.WithResource(about))
	return provider, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTraces)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Warn("traces are lost", slog.Any("error", err))
		}
	}, nil
}

// wantsTraces reports whether the variables name a collector, and nothing speaks
// against it (OpenTelemetry Environment Variable Specification).
func wantsTraces(environ []string) bool {
	exporters := strings.Split(cmp.Or(variable(environ, "OTEL_TRACES_EXPORTER"), "otlp"), ",")
	return !strings.EqualFold(variable(environ, "OTEL_SDK_DISABLED"), "true") && slices.Contains(exporters, "otlp") &&
		cmp.Or(variable(environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), variable(environ, "OTEL_EXPORTER_OTLP_ENDPOINT")) != ""
}

// variable returns the value of a variable, "" if it is not set.
func variable(environ []string, name string) string {
	for _, v := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}
