package clients

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

func TestAScopeGivesItsResource(t *testing.T) {
	h := start(t)
	h.resource(t, "https://cars.example", "cars:read", "cars:write")
	h.resource(t, "https://bikes.example", "bikes:read")
	for scope, want := range map[string]string{
		"openid email":                "",
		"openid cars:read":            "https://cars.example[cars:read]",
		"cars:write openid cars:read": "https://cars.example[cars:write cars:read]",
		"cars:read bikes:read":        "https://cars.example[cars:read] https://bikes.example[bikes:read]",
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

// Of what was registered nothing is given to somebody else: a second owner of a
// scope would give its clients tokens for both resources, and take their default.
func TestAScopeHasOneResource(t *testing.T) {
	h := start(t)
	h.resource(t, "https://cars.example", "read", "cars:write")
	r := web("shop")
	r.Scope = "openid read"
	shop, _ := h.create(t, r)

	_, err := h.CreateResource(t.Context(), &storage.Resource{Audience: "https://payroll.example", Scopes: storage.Strings{"pay", "read"}}, events.ActorOperator)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.KindConflict || f.Field != "scopes" ||
		!strings.Contains(f.Message, `"read"`) || !strings.Contains(f.Message, "https://cars.example") {
		t.Errorf("a taken scope: %v, want a conflict of scopes that names it and its resource", err)
	}
	h.pass(3 * time.Second)
	if entries, err := h.Entries(t.Context(), shop); err != nil || len(entries) != 1 || entries[0].Resource.Audience != "https://cars.example" {
		t.Errorf("the client has %+v, %v", entries, err)
	}
	h.resource(t, "https://payroll.example", "pay")

	// Who did not look is refused by the store.
	twin := &storage.Resource{Audience: "https://apples.example", Scopes: storage.Strings{"read"}}
	if err := h.store.CreateResource(t.Context(), twin); !errors.Is(err, storage.ErrStale) {
		t.Errorf("a twin is made: %v", err)
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
	h.resource(t, "https://taken.example", "taken")
	for i, tc := range []struct {
		what   string
		change func(*storage.Resource)
		fields []string
	}{
		{"nothing", func(*storage.Resource) {}, nil},
		{"everything", func(r *storage.Resource) {
			r.Audience, r.Name, r.Owner, r.Introspects = "urn:example:api", "API", "operators", storage.Strings{"api"}
			r.Format, r.Alg, r.Lifetime = "jwt", "EdDSA", 3600
		}, nil},
		{"no audience", func(r *storage.Resource) { r.Audience = "" }, []string{"audience"}},
		{"relative", func(r *storage.Resource) { r.Audience = "/api" }, []string{"audience"}},
		{"fragment", func(r *storage.Resource) { r.Audience = "https://api.example#x" }, []string{"audience"}},
		{"issuer", func(r *storage.Resource) { r.Audience = "https://id.example" }, []string{"audience"}},
		{"issuer with a slash", func(r *storage.Resource) { r.Audience = "https://id.example/" }, []string{"audience"}},
		{"a client's id", func(r *storage.Resource) { r.Audience = "api" }, []string{"audience"}},
		{"an owner that is no group", func(r *storage.Resource) { r.Owner = "cars" }, []string{"owner"}},
		{"no scopes", func(r *storage.Resource) { r.Scopes = nil }, []string{"scopes"}},
		{"two in one", func(r *storage.Resource) { r.Scopes = storage.Strings{"a b"} }, []string{"scopes"}},
		{"twice", func(r *storage.Resource) { r.Scopes = storage.Strings{"x", "x"} }, []string{"scopes"}},
		{"OpenID Connect's", func(r *storage.Resource) { r.Scopes = storage.Strings{"email"} }, []string{"scopes"}},
		{"opaque", func(r *storage.Resource) { r.Format, r.Introspects = "opaque", storage.Strings{"api"} }, nil},
		{"opaque, and nobody may ask", func(r *storage.Resource) { r.Format = "opaque" }, []string{"introspects"}},
		{"unknown format", func(r *storage.Resource) { r.Format = "JWT" }, []string{"format"}},
		{"algorithm", func(r *storage.Resource) { r.Alg = "HS256" }, []string{"algorithm"}},
		{"short", func(r *storage.Resource) { r.Lifetime = 29 }, []string{"lifetime"}},
		{"negative", func(r *storage.Resource) { r.Lifetime = -1 }, []string{"lifetime"}},
		{"long", func(r *storage.Resource) { r.Lifetime = 3601 }, []string{"lifetime"}},
		{"so long that it overflows", func(r *storage.Resource) { r.Lifetime = 1<<63 - 1 }, []string{"lifetime"}},
		{"unknown client", func(r *storage.Resource) { r.Introspects = storage.Strings{"x"} }, []string{"introspects"}},
		{"public client", func(r *storage.Resource) { r.Introspects = storage.Strings{"open"} }, []string{"introspects"}},
		{"taken", func(r *storage.Resource) { r.Scopes = storage.Strings{"taken"} }, []string{"scopes"}},
		{"two of them", func(r *storage.Resource) { r.Scopes, r.Lifetime = storage.Strings{"b", "taken"}, 1 }, []string{"scopes", "lifetime"}},
		{"much", func(r *storage.Resource) { *r = storage.Resource{Format: "x", Alg: "x", Lifetime: 1} }, []string{"audience", "scopes", "format", "algorithm", "lifetime"}},
	} {
		r := &storage.Resource{Audience: "https://api.example/" + tc.what[:1], Scopes: storage.Strings{fmt.Sprint("a", i)}}
		tc.change(r)
		_, err := h.CreateResource(t.Context(), r, events.ActorOperator)
		wantFaults(t, tc.what, err, tc.fields...)
		if len(tc.fields) == 0 && err != nil {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
	_, err := h.CreateResource(t.Context(), &storage.Resource{Audience: "urn:example:api", Scopes: storage.Strings{"a1"}}, events.ActorOperator)
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

// Of two that are registered at once one is told what the other took; a group that is
// deleted at once is told of as one that is not there.
func TestWhoIsOvertakenHearsWhy(t *testing.T) {
	h := start(t)
	group := func(name string) *storage.Group {
		g := &storage.Group{Name: name, Version: 1, CreatedAt: storage.At(h.now()), UpdatedAt: storage.At(h.now())}
		if err := h.store.CreateGroup(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	for round := range 20 {
		taken, name := fmt.Sprint("taken", round), fmt.Sprint("team", round)
		g := group(name)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range 2 {
			wg.Go(func() {
				_, errs[i] = h.CreateResource(t.Context(), &storage.Resource{Audience: fmt.Sprintf("https://api.example/%d.%d", round, i), Scopes: storage.Strings{taken}}, events.ActorOperator)
			})
		}
		wg.Go(func() {
			r := web(name)
			r.Owner = name
			_, _, errs[2] = h.Create(t.Context(), r, events.ActorOperator)
		})
		wg.Go(func() { _ = h.store.DeleteGroup(t.Context(), g) })
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("two want one scope: %v, %v", errs[0], errs[1])
		}
		wantFaults(t, "the scope", errors.Join(errs[0], errs[1]), "scopes")
		if errs[2] != nil {
			wantFaults(t, "the owner", errs[2], "owner")
		}
	}
}

// A client would be left with a scope that belongs to nothing.
func TestAResourceInUseIsNotDeleted(t *testing.T) {
	h := start(t)
	h.resource(t, "https://api.example", "a", "b")
	h.resource(t, "https://other.example", "ab")
	for _, c := range []struct{ id, scope string }{
		{"c1", "openid b"}, {"c2", "a b"}, {"c3", "openid"}, {"c4", "ab"}, {"c5", "a"}, {"c6", "a"}, {"c7", "openid a email"}, {"c8", "b"}, {"c9", "b"},
	} {
		r := web(c.id)
		r.Scope = c.scope
		h.create(t, r)
	}
	refused := func(names string) {
		t.Helper()
		err := h.DeleteResource(t.Context(), "https://api.example", events.ActorOperator)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindConflict || f.Field != "audience" || !strings.Contains(f.Message, "(a b): "+names+". Update") {
			t.Errorf("%v, want a conflict of audience that names %s", err, names)
		}
		if _, err := h.ShowResource(t.Context(), "https://api.example"); err != nil {
			t.Errorf("it was deleted: %v", err)
		}
	}
	refused("c1, c2, c5, c6, c7 and others")
	for _, id := range []string{"c1", "c2", "c5", "c6", "c7", "c8"} {
		if _, err := h.Update(t.Context(), id, []byte(`{"scope": "openid"}`), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
	}
	refused("c9")
	disabled, err := h.Show(t.Context(), "c9")
	if err != nil {
		t.Fatal(err)
	}
	disabled.DisabledAt = storage.At(h.now())
	if err := h.store.UpdateClient(t.Context(), disabled); err != nil {
		t.Fatal(err)
	}
	refused("c9") // it may be enabled again
	if err := h.Delete(t.Context(), "c9", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteResource(t.Context(), "https://api.example", events.ActorOperator); err != nil {
		t.Errorf("nobody has its scopes any more: %v", err)
	}
}

// A scope that a client has, and that belongs to nothing, is no way to be given what
// is registered later.
func TestAScopeThatAClientHasIsNotRegistered(t *testing.T) {
	h := start(t)
	shop := &storage.Client{ID: "shop", Version: 1, CreatedAt: storage.At(h.now()), UpdatedAt: storage.At(h.now()), Metadata: storage.Document(storage.ClientMetadata{Scope: "cars"})}
	if err := h.store.CreateClient(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindConflict || f.Field != "scopes" || !strings.Contains(f.Message, "shop") {
			t.Errorf("%s: %v, want a conflict of scopes that names the client", what, err)
		}
	}
	_, err := h.CreateResource(t.Context(), &storage.Resource{Audience: "https://new.example", Scopes: storage.Strings{"bikes", "cars"}}, events.ActorOperator)
	refused("created", err)
	made, err := h.CreateResource(t.Context(), &storage.Resource{Audience: "https://new.example", Scopes: storage.Strings{"bikes"}}, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	refused("updated", h.UpdateResource(t.Context(), made, []byte(`{"scopes": ["bikes", "cars"]}`), events.ActorOperator))
}
