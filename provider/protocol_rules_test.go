package provider_test

import (
	"math"
	"net/http"
	"testing"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// TestRulesOfADocument: a server demands what its document says, of those whom it is about,
// when they sign in and when they come back; who joined a group meanwhile is judged anew.
func TestRulesOfADocument(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse([]byte(`
name: house
version: "1"
zones: {here: {networks: [127.0.0.0/8]}, far: {networks: [192.0.2.0/24]}}
rules:
  - {name: the vault, when: 'client == "vault" && "far" in zones', then: allow}
  - {name: the vault elsewhere, when: 'client == "vault"', then: deny}
  - {name: staff, when: '"staff" in groups && "here" in zones', then: {require: aal2}}
default: allow
`), func(float64) float64 { return math.Inf(1) })
	if err != nil {
		t.Fatal(err)
	}
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url), providertest.Configure(func(c *provider.Config) { c.Rules = set }))
		shop, vault, ada := p.Client("shop", providertest.FirstParty), p.Client("vault", providertest.FirstParty), p.Person("ada")
		b := p.Browser().SignIn("ada")
		b.Authorize(shop, "openid")
		b.Ask(vault, "openid").WantError(flow.AccessDenied)
		b.Authorize(shop, "openid") // whom one app is denied is let into another

		if _, err := p.Directory.CreateGroup(t.Context(), "staff", "", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		if err := p.Directory.AddMember(t.Context(), "staff", string(ada.ID), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		b.Ask(shop, "openid").WantError(flow.UnmetRequirements)
		p.Browser().SignIn("ada").Ask(shop, "openid").WantError(flow.UnmetRequirements)
		if a := b.Get(p.URL(web.PathSecurity)); a.Status != http.StatusOK {
			t.Errorf("where they find out what they lack: %s", a)
		}
	})
}
