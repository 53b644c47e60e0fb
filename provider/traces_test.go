package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// traced has a provider's spans kept in memory.
func traced(change ...func(*provider.Config)) (*tracetest.InMemoryExporter, providertest.Option) {
	spans := tracetest.NewInMemoryExporter()
	traces := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	return spans, providertest.Configure(func(c *provider.Config) {
		c.Traces = traces
		for _, f := range change {
			f(c)
		}
	})
}

func attributesOf(span tracetest.SpanStub) map[string]string {
	out := map[string]string{}
	for _, a := range span.Attributes {
		out[string(a.Key)] = a.Value.String()
	}
	return out
}

// named returns the spans of that name.
func named(spans tracetest.SpanStubs, name string) (out tracetest.SpanStubs) {
	for _, span := range spans {
		if span.Name == name {
			out = append(out, span)
		}
	}
	return out
}

// A request is a span named by its route; what it has the database do are children
// or grandchildren of it, on both databases; the log's event has the trace's id, the span the request's.
func TestARequestIsASpan(t *testing.T) {
	spans, tracing := traced()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		tokens := rp.Exchange(p.Browser().SignIn("ada").Authorize(rp, "openid offline_access")).OK()
		spans.Reset()
		rp.Refresh(tokens.Refresh).OK()
		all := spans.GetSpans()
		requests := named(all, "POST "+web.PathToken)
		if len(requests) != 1 {
			t.Fatalf("spans %+v, want one of the request", all)
		}
		request := requests[0]
		about := attributesOf(request)
		if about["http.route"] != web.PathToken || about["http.response.status_code"] != "200" || about["doorstep.request_id"] == "" || request.Parent.IsValid() {
			t.Errorf("the span says %v, parent %v", about, request.Parent.IsValid())
		}
		var statements []string
		for _, span := range all {
			if span.SpanContext.TraceID() != request.SpanContext.TraceID() || span.Parent.IsValid() == (span.Name == request.Name) {
				t.Errorf("%s is of another trace or has no parent", span.Name)
			}
			if verb := attributesOf(span)["db.operation.name"]; verb != "" {
				statements = append(statements, verb)
			}
		}
		if !slices.Equal(statements, []string{"select", "update"}) {
			t.Errorf("the statements %v have spans, want that which reads the grant and that which rotates it", statements)
		}
		found := false
		for line := range strings.Lines(p.Logs()) {
			var event struct {
				Request string `json:"request_id"`
				Trace   string `json:"trace_id"`
			}
			if json.Unmarshal([]byte(line), &event) == nil && event.Request == about["doorstep.request_id"] {
				found = event.Trace == request.SpanContext.TraceID().String()
			}
		}
		if !found {
			t.Error("no event has the ids of request and trace")
		}
	}, tracing)
}

// Spans go to another party: nothing in them opens anything or names anybody.
func TestSpansTellNoSecrets(t *testing.T) { // attack case 90
	spans, tracing := traced()
	p := providertest.Start(t, tracing)
	rp := p.Client("web")
	browser := p.Browser().SignIn("ada")
	tokens := rp.Exchange(browser.Authorize(rp, "openid email offline_access")).OK()
	tokens2 := rp.Refresh(tokens.Refresh).OK()
	p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
	rp.Introspect(tokens2.Refresh).WantActive()
	rp.Revoke(tokens2.Refresh).WantStatus(http.StatusOK)
	rp.Refresh("canary-refresh").WantError("invalid_grant") // its error's words are not told
	p.Send(rawRequest(t, http.MethodGet, p.URL("/canary-path?canary=query"), nil, "User-Agent", "canary-agent", "Authorization", "Bearer canary-token"))
	_, _ = p.Outbound.Get(t.Context(), outbound.Request{URL: "https://127.0.0.1/canary-url"})
	sub, _ := p.Verify(tokens.ID).Claims["sub"].(string)
	secrets := []string{"canary", "ada@example.com", "127.0.0.1", providertest.Password, rp.Secret, tokens.Access, tokens.Refresh, tokens2.Refresh, tokens.ID, sub}
	for _, c := range browser.Cookies() {
		secrets = append(secrets, c.Value)
	}
	all := spans.GetSpans()
	if len(all) < 20 {
		t.Fatalf("%d spans", len(all))
	}
	for _, span := range all {
		text := span.Name + " " + span.Status.Description
		for key, value := range attributesOf(span) {
			text += " " + key + "=" + value
		}
		if len(span.Events) > 0 || len(span.Links) > 0 {
			t.Errorf("%s has events or links, which may repeat an error's words", span.Name)
		}
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("a span has %q: %s", secret, text)
			}
		}
	}
}

// A request that goes out is a child of the one that caused it; what nobody asked for
// has no span.
func TestWhatGoesOutIsAChild(t *testing.T) {
	asked := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Traceparent") != "" {
			t.Error("the client is told of the trace")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer site.Close()
	spans, tracing := traced(func(c *provider.Config) { c.Outbound.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	p := providertest.Start(t, tracing)
	request := outbound.Request{URL: site.URL, Operator: true}
	if _, err := p.Outbound.Get(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := spans.GetSpans(); len(got) != 0 {
		t.Errorf("spans without a request: %+v", got)
	}
	parents := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	ctx, parent := parents.Tracer("test").Start(t.Context(), "the request")
	if _, err := p.Outbound.Get(ctx, request); err != nil {
		t.Fatal(err)
	}
	got := named(spans.GetSpans(), http.MethodGet)
	if asked != 2 || len(got) != 1 || got[0].Parent.SpanID() != parent.SpanContext().SpanID() {
		t.Fatalf("%d requests, spans %+v", asked, got)
	}
	if about := attributesOf(got[0]); about["http.response.status_code"] != "204" || about["doorstep.outcome"] != "success" {
		t.Errorf("the span says %v", about)
	}
}

// W3C Trace Context: a parent is believed if a trusted proxy names it.
func TestTraceparentComesFromTrustedProxiesOnly(t *testing.T) {
	const theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, trusted := range []bool{false, true} {
		spans, tracing := traced(func(c *provider.Config) {
			if trusted {
				c.Web.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
			}
		})
		p := providertest.Start(t, tracing)
		p.Send(rawRequest(t, http.MethodGet, p.URL(web.PathJWKS), nil, "Traceparent", "00-"+theirs+"-00f067aa0ba902b7-01"))
		got := named(spans.GetSpans(), "GET "+web.PathJWKS)
		if len(got) != 1 || (got[0].SpanContext.TraceID().String() == theirs) != trusted || got[0].Parent.IsValid() != trusted {
			t.Errorf("trusted %v: %+v", trusted, got)
		}
	}
}

// Profiles are given where they are wanted, and never to the public.
func TestProfilesAreForOperators(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		p := providertest.Start(t, providertest.Configure(func(c *provider.Config) { c.Server.Pprof = wanted }))
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1", "/debug/pprof/symbol"} {
			if status, _ := askOps(t, p.Ops, path); (status == http.StatusOK) != wanted {
				t.Errorf("%s with profiles %v: %d", path, wanted, status)
			}
			p.Get(path).WantStatus(http.StatusNotFound)
		}
		if slices.ContainsFunc(p.Routes, func(r web.Route) bool { return strings.Contains(r.Path, "pprof") }) {
			t.Error("the public has a route to profiles")
		}
	}
}
