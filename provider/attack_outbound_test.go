package provider_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// A logout token goes to an address of the client's: inside it reaches what the
// operator allows and registered, and nothing else. Nobody outside learns why one
// did not arrive; the log does.
func TestAttack47LogoutTokensStayOutside(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		allow string
		by    events.Actor
		told  bool
	}{
		"an operator's, allowed":     {"127.0.0.0/8", events.ActorOperator, true},
		"an operator's, not allowed": {"10.0.0.0/8", events.ActorOperator, false},
		"a stranger's, allowed":      {"127.0.0.0/8", events.ActorClient, false},
	} {
		p := providertest.Start(t, providertest.Configure(func(cfg *provider.Config) {
			cfg.Outbound.Allow = []netip.Prefix{netip.MustParsePrefix(c.allow)}
		}))
		server := p.LogoutServer()
		rp := p.ClientBy(c.by, "web", func(r *clients.Registration) { r.BackchannelLogoutURI = server.URL })
		browser := p.Browser().SignIn("ada")
		rp.Exchange(browser.Authorize(rp, "openid")).OK()
		signOut(t, p, browser)
		p.Clock.Advance(time.Hour)
		p.TellClients()
		if got := len(server.Got()); (got == 1) != c.told {
			t.Errorf("%s: told %d times", what, got)
		}
		const why = `"msg":"back-channel logout"`
		if strings.Contains(p.Logs(), why) == c.told {
			t.Errorf("%s: the log says why: %t", what, !c.told)
		}
	}
}
