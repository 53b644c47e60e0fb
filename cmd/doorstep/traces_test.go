package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// OpenTelemetry Environment Variable Specification: traces go where the variables say,
// and nowhere without them.
func TestTracesGoWhereTheVariablesSay(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"
	for environ, want := range map[string]bool{
		"":       false,
		endpoint: true,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces": true,
		endpoint + "\nOTEL_SDK_DISABLED=true":                                false,
		endpoint + "\nOTEL_TRACES_EXPORTER=none":                             false,
		endpoint + "\nOTEL_TRACES_EXPORTER=console,otlp":                     true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=":                                       false,
		"OTEL_SERVICE_NAME=login":                                            false,
	} {
		if got := wantsTraces(strings.Split(environ, "\n")); got != want {
			t.Errorf("%q: %v, want %v", environ, got, want)
		}
	}
}

// A collector gets the spans over HTTP by the time the process ends.
func TestTracesReachACollector(t *testing.T) {
	got := make(chan string, 8)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL) // the exporter reads the process's own
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	a := &app{environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL}}
	traces, flush, err := a.traces(t.Context(), "v1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := traces.Tracer("test").Start(t.Context(), "POST /oauth2/token")
	span.End()
	flush()
	select {
	case sent := <-got:
		for _, want := range []string{"POST /v1/traces application/x-protobuf", "POST /oauth2/token", "doorstep", "v1.2.3", "deployment.environment.name"} {
			if !strings.Contains(sent, want) {
				t.Errorf("the collector got no %q: %q", want, sent)
			}
		}
	default:
		t.Error("the collector got nothing")
	}
}

// What cannot be done is refused at the start, and no variable means no traces.
func TestTracesByAnotherProtocolAreRefused(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	a := &app{environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}}
	if _, _, err := a.traces(t.Context(), "", log); err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("%v, want an error that names what is taken", err)
	}
	if traces, flush, err := (&app{}).traces(t.Context(), "", log); traces != nil || err != nil {
		t.Errorf("%v, %v without a variable", traces, err)
	} else {
		flush()
	}
}
