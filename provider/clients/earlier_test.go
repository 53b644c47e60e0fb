package clients_test

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// What the store refuses by now, and a house may have from before it did.

// A scope of more than one resource is the oldest one's: a client keeps what it had.
func TestAScopeOfManyIsTheOldestOnes(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		p.Resource("https://cars.example", "read")
		p.Client("shop", func(r *clients.Registration) { r.Scope = "openid read" })
		for _, audience := range []string{"https://apples.example", "https://zebras.example"} {
			providertest.Meddle(t, url, `INSERT INTO resources SELECT '`+audience+`', version, name, owner, scopes, introspects, format, alg, lifetime,
				created_at + 1, updated_at FROM resources WHERE audience = 'https://cars.example'`)
		}
		p.Clock.Advance(5 * time.Second)
		shop, err := p.Clients.Show(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := p.Clients.Entries(t.Context(), shop); err != nil || len(entries) != 1 || entries[0].Resource.Audience != "https://cars.example" {
			t.Errorf("the client has %+v, %v, want what it had", entries, err)
		}
	})
}

// An owner that is no group stays, when something else is changed.
func TestAnOwnerOfBeforeStays(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		p.Client("shop")
		providertest.Meddle(t, url, "UPDATE clients SET owner = 'Old Team' WHERE id = 'shop'")
		if c, err := p.Clients.Update(t.Context(), "shop", []byte(`{"client_name":"New"}`), events.ActorOperator); err != nil || c.Owner != "Old Team" {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
