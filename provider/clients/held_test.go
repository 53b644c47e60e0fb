package clients

import (
	"errors"
	"testing"

	"github.com/doorstep-id/doorstep/storage"
)

// What somebody else changed counts as soon as it is forgotten, and each kind of
// change has that forgotten which it may have touched, and no more.
func TestForgottenIsReadAgain(t *testing.T) {
	h := start(t)
	h.create(t, web("shop"))
	audience := "https://api.example"
	look := func() (client string, origin, resource bool) {
		t.Helper()
		c, err := h.Get(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if origin, err = h.AllowsOrigin(t.Context(), "https://other.example"); err != nil {
			t.Fatal(err)
		}
		if _, err = h.Resource(t.Context(), audience); err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		return c.Name, origin, err == nil
	}
	look()
	// As another process would: this one is not told.
	c, err := h.Show(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	c.Name = "changed"
	c.Metadata.V.RedirectURIs = append(c.Metadata.V.RedirectURIs, "https://other.example/cb")
	if err := h.store.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := h.store.CreateResource(t.Context(), &storage.Resource{Audience: audience, Version: 1, Format: "jwt", Alg: "ES256", CreatedAt: c.CreatedAt, UpdatedAt: c.CreatedAt}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name             string
		forget           storage.Changes
		client           string
		origin, resource bool
	}{
		{"nothing", storage.Changes{}, "shop", false, false},
		{"keys", storage.Changes{Keys: true}, "shop", false, false},
		{"resources", storage.Changes{Resources: true}, "shop", false, true},
		{"a client more", storage.Changes{ClientsAdded: true}, "shop", true, true},
		{"clients", storage.Changes{Clients: true}, "changed", true, true},
	} {
		h.Forget(step.forget)
		if client, origin, resource := look(); client != step.client || origin != step.origin || resource != step.resource {
			t.Errorf("%s forgotten: client %q, origin %v, resource %v", step.name, client, origin, resource)
		}
	}
}

// A reading that was under way when something changed may have missed it: it serves
// those who asked before, and nobody who asks later.
func TestAReadingFromBeforeAChangeDoesNotStay(t *testing.T) {
	h := start(t)
	h.create(t, web("shop"))
	began := h.begin(&h.eras.clients)
	h.Forget(storage.Changes{Clients: true})
	if _, err := h.read(t.Context(), "shop", began); err != nil { // what it read is from before the change
		t.Fatal(err)
	}
	c, err := h.Show(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	c.Name = "changed"
	if err := h.store.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if c, err := h.Get(t.Context(), "shop"); err != nil || c.Name != "changed" {
		t.Errorf("got %v, %v", c, err)
	}
}
