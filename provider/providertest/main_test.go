package providertest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// One issuer, three processes: each step of a sign-in lands on another one, and
// of 50 exchanges of one code one succeeds.
func TestReplicasAreOneProvider(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.Client("web")
	browser := p.Browser().SignIn("ada")
	code := browser.Authorize(rp, "openid offline_access")
	tokens := rp.Exchange(code).OK()
	p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
	rp.Refresh(tokens.Refresh).OK()

	code = browser.Authorize(rp, "openid")
	var requests []*http.Request
	for range 50 {
		requests = append(requests, rp.ExchangeRequest(code))
	}
	won := 0
	for _, a := range p.AtOnce(requests...) {
		if a.Status == http.StatusOK {
			won++
		} else {
			a.WantError("invalid_grant")
		}
	}
	if won != 1 {
		t.Errorf("%d of 50 exchanges succeeded", won)
	}
	if served := strings.Count(p.Logs(), `"msg":"request"`); served < 50 {
		t.Errorf("the replicas logged %d requests", served)
	}
}
