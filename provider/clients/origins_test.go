package clients

import (
	"fmt"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

func TestOriginsOfRedirectsAreAllowed(t *testing.T) {
	h := start(t)
	r := web("shop")
	r.ApplicationType = "native"
	r.RedirectURIs = []string{"https://shop.example:443/cb", "https://other.example:8443/cb", "http://localhost:8081/cb", "com.example.app:/cb"}
	h.create(t, r)
	for origin, want := range map[string]bool{
		"https://shop.example": true, "https://other.example:8443": true, "http://localhost:8081": true,
		"https://other.example": false, "http://shop.example": false, "https://shop.example/": false, "https://evil.example": false,
		"null": false, "": false, "com.example.app://": false, "*": false,
	} {
		if got, err := h.AllowsOrigin(t.Context(), origin); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", origin, got, err, want)
		}
	}
}

// Anybody may send any Origin: the clients are read again only after one was
// changed, which by another process is noticed within 3 s.
func TestOriginsAreReadAfterAChangeOnly(t *testing.T) {
	h := start(t)
	h.create(t, web("shop"))
	other := New(Config{Issuer: "https://id.example"}, h.store, h.events, h.now)
	want := func(when, origin string, want bool) {
		t.Helper()
		if got, err := h.AllowsOrigin(t.Context(), origin); got != want || err != nil {
			t.Errorf("%s: %s: %v, %v, want %v", when, origin, got, err, want)
		}
	}
	const trace = "https://trace.example" // is there as long as nothing was read
	mark := func() { h.placed.Load().all[trace] = true }

	want("at first", "https://shop.example", true)
	mark()
	for range 3 {
		h.pass(3 * time.Second)
		want("nothing was changed", "https://evil.example", false)
		want("nothing was changed", trace, true)
	}

	next := web("next")
	next.RedirectURIs = []string{"https://next.example/cb"}
	if _, _, err := other.Create(t.Context(), next, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	want("another process registered one", "https://next.example", true)
	want("another process registered one", trace, false)

	patch := []byte(`{"redirect_uris": ["https://moved.example/cb"]}`)
	if _, err := other.Update(t.Context(), "next", patch, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	want("another process changed it", "https://moved.example", true)
	want("another process changed it", "https://next.example", false)

	if err := other.Delete(t.Context(), "next", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	want("another process deleted it", "https://moved.example", false)
	want("another process deleted it", "https://shop.example", true)

	if _, err := h.Update(t.Context(), "shop", patch, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	want("this process changed one", "https://moved.example", true)
}

// More clients than are read at once.
func TestOriginsOfEveryClientAreAllowed(t *testing.T) {
	h := start(t)
	unit := storage.WithUnit(t.Context())
	for i := range 501 {
		id := fmt.Sprintf("c%03d", i)
		err := h.store.CreateClient(unit, &storage.Client{
			ID: id, CreatedAt: storage.At(h.now()), UpdatedAt: storage.At(h.now()),
			Metadata: storage.Document(storage.ClientMetadata{RedirectURIs: []string{"https://" + id + ".example/cb"}}),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.store.Flush(unit); err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"https://c000.example", "https://c500.example"} {
		if ok, err := h.AllowsOrigin(t.Context(), origin); !ok || err != nil {
			t.Errorf("%s: %v, %v", origin, ok, err)
		}
	}
}
