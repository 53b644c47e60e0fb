package provider_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// A person with twenty clients signs out. Three of the clients are down: one
// refuses connections, one never answers, one is broken. The way back takes two
// seconds at most; the server is killed right after it (kill -9), another one
// starts, the three come up, and all twenty were told by a token that is good.
func TestAllClientsAreToldOverAKill(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		p := providertest.Replicas(t, 1, providertest.On(url))
		const refuses, hangs, broken = 3, 10, 17
		gone, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(providertest.LogoutHost, "0"))
		if err != nil {
			t.Fatal(err)
		}
		address := gone.Addr().String()
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}

		browser := p.Browser().SignIn("ada")
		servers, tokens := map[string]*providertest.LogoutServer{}, map[string]*providertest.Tokens{}
		down := map[string]*providertest.LogoutServer{}
		hint := ""
		for i := range 20 {
			id := fmt.Sprintf("web%d", i)
			var s *providertest.LogoutServer
			switch i {
			case refuses:
				s = &providertest.LogoutServer{URL: "http://" + address + "/backchannel_logout"}
				down[id] = s
			case hangs:
				s = p.LogoutServer()
				s.Answer(providertest.Hang)
				down[id] = s
			case broken:
				s = p.LogoutServer()
				s.Answer(providertest.Status(http.StatusServiceUnavailable))
				down[id] = s
			default:
				s = p.LogoutServer()
			}
			rp := p.Client(id, providertest.FirstParty, s.Told, bye)
			servers[id], tokens[id] = s, rp.Exchange(browser.Authorize(rp, "openid")).OK()
			hint = tokens[id].ID
		}

		began := time.Now()
		a := browser.Get(endSessionURL(p, "id_token_hint", hint, "post_logout_redirect_uri", "https://web19.example/bye", "state", "s"))
		took := time.Since(began)
		p.KillReplicas()
		if a.WantStatus(http.StatusSeeOther); browser.Next(a) != "https://web19.example/bye?state=s" || took > 2*time.Second {
			t.Errorf("after %s the browser goes to %s", took, browser.Next(a))
		}
		got := map[string][]providertest.LogoutRequest{}
		for id, s := range servers {
			sent := s.Got()
			if down[id] != nil {
				continue // what came there came to nothing
			}
			if got[id] = sent; len(sent) != 1 {
				t.Errorf("%s was told %d times before the way back, want once", id, len(sent))
			}
		}

		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		up := &httptest.Server{Listener: l, Config: &http.Server{Handler: servers[fmt.Sprintf("web%d", refuses)], ReadHeaderTimeout: time.Minute}}
		up.Start()
		t.Cleanup(up.Close)
		for _, s := range down {
			s.Answer(nil)
		}
		p.StartReplicas(0)
		for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit) && len(got) < 20; time.Sleep(50 * time.Millisecond) {
			for id, s := range down {
				if sent := s.Got(); len(sent) > 0 {
					got[id] = append(got[id], sent...)
				}
			}
		}
		for id := range servers {
			if len(got[id]) == 0 {
				t.Errorf("%s was never told", id)
				continue
			}
			told, mine := p.Verify(got[id][0].Token), p.Verify(tokens[id].ID)
			if told.Header["typ"] != "logout+jwt" || told.Claims["aud"] != id || told.Claims["sub"] != mine.Claims["sub"] || told.Claims["sid"] != mine.Claims["sid"] {
				t.Errorf("%s was told %v %v", id, told.Header, told.Claims)
			}
		}
		for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit) && providertest.CountRows(t, url)["logout_notices"] > 0; {
			time.Sleep(50 * time.Millisecond)
		}
		if n := providertest.CountRows(t, url)["logout_notices"]; n != 0 {
			t.Errorf("%d notices are left", n)
		}
	})
}
