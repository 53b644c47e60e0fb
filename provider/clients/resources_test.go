package clients

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

func TestAScopeGivesItsResource(t *testing.T) {
	h := start(t)
	h.resource(t, "https://cars.example", "cars:read", "cars:write", "shared")
	h.resource(t, "https://bikes.example", "bikes:read", "shared")
	for scope, want := range map[string]string{
		"openid email":                "",
		"openid cars:read":            "https://cars.example[cars:read]",
		"cars:write openid cars:read": "https://cars.example[cars:write cars:read]",
		"cars:read bikes:read":        "https://cars.example[cars:read] https://bikes.example[bikes:read]",
		"shared":                      "https://bikes.example[shared] https://cars.example[shared]",
	} {
		r := web("")
		r.Scope = scope
		c, _ := h.create(t, r)
		entries, err := h.Entries(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Resource.Audience+fmt.Sprint(e.Scopes))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", scope, got, want)
		}
	}
	if entries, err := h.Entries(t.Context(), &storage.Client{}); err != nil || len(entries) != 0 {
		t.Errorf("a client without a scope has %v, %v", entries, err)
	}
}

func TestResourceDefaults(t *testing.T) {
	h := start(t)
	in := &storage.Resource{Audience: "https://api.example", Scopes: storage.Strings{"a"}}
	made, err := h.CreateResource(t.Context(), in, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := h.ShowResource(t.Context(), "https://api.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*storage.Resource{made, kept} {
		if r.Name != "https://api.example" || r.Format != "jwt" || r.Alg != "ES256" || r.TTL() != 10*time.Minute || r.Version != 1 {
			t.Errorf("%+v", r)
		}
	}
	if in.Format != "" {
		t.Error("the caller's own was changed")
	}
	cached, err := h.Resource(t.Context(), "https://api.example")
	if err != nil || cached.Audience != kept.Audience {
		t.Errorf("%+v, %v", cached, err)
	}
	if _, err := h.Resource(t.Context(), "https://api.example/"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("almost its audience: %v, want ErrNotFound", err)
	}
	if rows, _ := h.store.Events(t.Context(), 5); len(rows) != 1 || rows[0].Kind != "resource.created" {
		t.Errorf("events %+v", rows)
	}
}

func TestEveryFaultOfAResourceIsNamed(t *testing.T) {
	h := start(t)
	h.create(t, web("api"))
	open := web("open")
	open.TokenEndpointAuthMethod = "none"
	h.create(t, open)
	for _, tc := range []struct {
		what   string
		change func(*storage.Resource)
		fields []string
	}{
		{"nothing", func(*storage.Resource) {}, nil},
		{"everything", func(r *storage.Resource) {
			r.Audience, r.Name, r.Owner, r.Introspects = "urn:example:api", "API", "cars", storage.Strings{"api"}
			r.Format, r.Alg, r.Lifetime = "jwt", "EdDSA", 3600
		}, nil},
		{"no audience", func(r *storage.Resource) { r.Audience = "" }, []string{"audience"}},
		{"relative", func(r *storage.Resource) { r.Audience = "/api" }, []string{"audience"}},
		{"fragment", func(r *storage.Resource) { r.Audience = "https://api.example#x" }, []string{"audience"}},
		{"issuer", func(r *storage.Resource) { r.Audience = "https://id.example" }, []string{"audience"}},
		{"issuer with a slash", func(r *storage.Resource) { r.Audience = "https://id.example/" }, []string{"audience"}},
		{"a client's id", func(r *storage.Resource) { r.Audience = "api" }, []string{"audience"}},
		{"no scopes", func(r *storage.Resource) { r.Scopes = nil }, []string{"scopes"}},
		{"two in one", func(r *storage.Resource) { r.Scopes = storage.Strings{"a b"} }, []string{"scopes"}},
		{"twice", func(r *storage.Resource) { r.Scopes = storage.Strings{"a", "a"} }, []string{"scopes"}},
		{"OpenID Connect's", func(r *storage.Resource) { r.Scopes = storage.Strings{"email"} }, []string{"scopes"}},
		{"opaque", func(r *storage.Resource) { r.Format = "opaque" }, []string{"format"}},
		{"algorithm", func(r *storage.Resource) { r.Alg = "HS256" }, []string{"algorithm"}},
		{"short", func(r *storage.Resource) { r.Lifetime = 29 }, []string{"lifetime"}},
		{"negative", func(r *storage.Resource) { r.Lifetime = -1 }, []string{"lifetime"}},
		{"long", func(r *storage.Resource) { r.Lifetime = 3601 }, []string{"lifetime"}},
		{"so long that it overflows", func(r *storage.Resource) { r.Lifetime = 1<<63 - 1 }, []string{"lifetime"}},
		{"unknown client", func(r *storage.Resource) { r.Introspects = storage.Strings{"x"} }, []string{"introspects"}},
		{"public client", func(r *storage.Resource) { r.Introspects = storage.Strings{"open"} }, []string{"introspects"}},
		{"much", func(r *storage.Resource) { *r = storage.Resource{Format: "x", Alg: "x", Lifetime: 1} }, []string{"audience", "scopes", "format", "algorithm", "lifetime"}},
	} {
		r := &storage.Resource{Audience: "https://api.example/" + tc.what[:1], Scopes: storage.Strings{"a"}}
		tc.change(r)
		_, err := h.CreateResource(t.Context(), r, events.ActorOperator)
		wantFaults(t, tc.what, err, tc.fields...)
		if len(tc.fields) == 0 && err != nil {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
	_, err := h.CreateResource(t.Context(), &storage.Resource{Audience: "urn:example:api", Scopes: storage.Strings{"a"}}, events.ActorOperator)
	if f := (*fault.Error)(nil); !errors.As(err, &f) || f.Kind != fault.KindConflict || f.Field != "audience" {
		t.Errorf("a taken audience: %v", err)
	}
}

func TestADeletedResourceIsGone(t *testing.T) {
	h := start(t)
	h.resource(t, "https://api.example", "a")
	if _, err := h.Resource(t.Context(), "https://api.example"); err != nil {
		t.Fatal(err)
	}
	other := New(Config{Issuer: "https://id.example"}, h.store, h.events, h.now)
	if err := other.DeleteResource(t.Context(), "https://api.example", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	if _, err := h.Resource(t.Context(), "https://api.example"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("3 s later: %v, want ErrNotFound", err)
	}
	if all, err := h.ListResources(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if err := other.DeleteResource(t.Context(), "https://api.example", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("again: %v, want ErrNotFound", err)
	}
}
