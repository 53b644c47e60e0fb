package provider_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// toldOnce returns the one logout token that came since the last look.
func toldOnce(t *testing.T, p *providertest.P, s *providertest.LogoutServer) providertest.JWT {
	t.Helper()
	got := s.Got()
	if len(got) != 1 {
		t.Fatalf("told %d times, want once", len(got))
	}
	return p.Verify(got[0].Token)
}

// Back-Channel Logout sections 2.4, 2.5 and 2.6: what is sent, and how.
func TestLogoutTokenClaims(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		for _, alg := range []string{"RS256", "ES256", "EdDSA", "PS256"} {
			s := p.LogoutServer()
			rp := p.Client("web-"+strings.ToLower(alg), providertest.FirstParty, s.Told, func(r *clients.Registration) {
				r.IDTokenSignedResponseAlg, r.BackchannelLogoutSession = alg, true
			})
			browser := p.Browser().SignIn("ada")
			id := p.Verify(rp.Exchange(browser.Authorize(rp, "openid")).OK().ID)
			p.Clock.Advance(time.Hour) // the token is signed when it is sent
			signOut(t, p, browser)
			got := s.Got()
			if len(got) != 1 {
				t.Fatalf("%s: told %d times, want once", alg, len(got))
			}
			if r := got[0]; r.Method != http.MethodPost || r.ContentType != "application/x-www-form-urlencoded" || len(r.Form) != 1 || len(r.Form["logout_token"]) != 1 {
				t.Errorf("%s: sent %+v, want a POST of a form with logout_token alone", alg, r)
			}
			token := p.Verify(got[0].Token)
			if token.Header["alg"] != alg || token.Header["typ"] != "logout+jwt" || token.Header["kid"] != id.Header["kid"] {
				t.Errorf("%s: header %v, ID token's %v", alg, token.Header, id.Header)
			}
			now := float64(p.Clock.Now().Unix())
			for claim, want := range map[string]any{
				"iss": p.Issuer, "aud": rp.ID, "sub": id.Claims["sub"], "sid": id.Claims["sid"], "iat": now, "exp": now + 120,
			} {
				if token.Claims[claim] != want {
					t.Errorf("%s: %s is %v, want %v", alg, claim, token.Claims[claim], want)
				}
			}
			if got, want := fmt.Sprint(token.Claims["events"]), "map["+logoutEvent+":map[]]"; got != want {
				t.Errorf("%s: events %s, want %s", alg, got, want)
			}
			if jti, _ := token.Claims["jti"].(string); len(jti) < 20 || token.Claims["sid"] == nil {
				t.Errorf("%s: jti %q, sid %v", alg, jti, token.Claims["sid"])
			}
			if _, there := token.Claims["nonce"]; there || len(token.Claims) != 8 {
				t.Errorf("%s: claims %v, want the eight of the specification and never a nonce", alg, token.Claims)
			}
		}
	})
}

// Back-Channel Logout section 2: whatever ends a session, every client that got
// something in it is told, and no others: those with offline access too, one that got
// an ID token alone (section 2.3), one that never redeemed its code, and one that
// knows the person by a pairwise subject (section 2.4).
func TestAttack25WhateverEndsASessionTellsItsClients(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		one, two, three := p.LogoutServer(), p.LogoutServer(), p.LogoutServer()
		rp := p.Client("web", providertest.FirstParty, one.Told, bye)
		offline := p.Client("offline", providertest.FirstParty, two.Told)
		stranger := p.Client("stranger", providertest.FirstParty, three.Told)
		silent := p.Client("silent", providertest.FirstParty)
		four, five, six := p.LogoutServer(), p.LogoutServer(), p.LogoutServer()
		implicit := p.Client("implicit", legacy, four.Told)
		unredeemed := p.Client("unredeemed", providertest.FirstParty, five.Told)
		private := p.Client("private", providertest.FirstParty, pairwise, six.Told)
		stranger.Exchange(p.Browser().SignIn("bob").Authorize(stranger, "openid")).OK()
		for name, c := range map[string]struct {
			end     func(browser *providertest.Browser, hint string)
			revokes bool // the offline grant too
			later   bool // told by the next look for what is due
		}{
			"RP-initiated logout": {end: func(browser *providertest.Browser, hint string) {
				browser.Get(endSessionURL(p, "id_token_hint", hint, "post_logout_redirect_uri", "https://web.example/bye")).WantStatus(http.StatusSeeOther)
			}},
			"RP-initiated logout that asks": {end: func(browser *providertest.Browser, _ string) {
				asks := browser.Next(browser.Get(endSessionURL(p, "client_id", "web")))
				browser.Send(browser.Filled(asks, providertest.With("decision", "signout"))).WantStatus(http.StatusSeeOther)
			}},
			"the sign-out page": {end: func(browser *providertest.Browser, _ string) { signOut(t, p, browser) }},
			"user disable": {revokes: true, later: true, end: func(*providertest.Browser, string) {
				if _, err := p.Directory.Disable(t.Context(), "ada-user-disable@example.com", events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			}},
			"user delete": {revokes: true, later: true, end: func(*providertest.Browser, string) {
				if err := p.Directory.Delete(t.Context(), "ada-user-delete@example.com", events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			}},
			"session end": {later: true, end: func(*providertest.Browser, string) {
				living, err := p.Sessions.List(t.Context(), p.Person("ada-session-end").ID, storage.Page{})
				if err != nil || len(living.Items) != 1 {
					t.Fatal(living, err)
				}
				if err := p.Sessions.EndByID(t.Context(), string(living.Items[0].ID), "operator", events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			}},
			"session end --all": {later: true, end: func(*providertest.Browser, string) {
				if err := p.Sessions.EndAll(t.Context(), p.Person("ada-session-end---all").ID, "operator", events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			}},
			"a new password": {revokes: true, later: true, end: func(*providertest.Browser, string) {
				if err := p.Passwords.Set(t.Context(), p.Person("ada-a-new-password").Person, "another fine pass phrase", events.ActorOperator); err != nil {
					t.Fatal(err)
				}
			}},
			"too many accounts": {end: func(browser *providertest.Browser, _ string) {
				for i := range 5 {
					browser.SignIn(fmt.Sprintf("other%d", i)).Authorize(silent, "openid", providertest.With("prompt", "select_account"))
				}
			}},
		} {
			who := "ada-" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
			browser := p.Browser().SignIn(who)
			first := rp.Exchange(browser.Authorize(rp, "openid")).OK()
			second := offline.Exchange(browser.Authorize(offline, "openid offline_access")).OK()
			browser.Authorize(rp, "openid") // again: it is told once all the same
			silent.Exchange(browser.Authorize(silent, "openid")).OK()
			alone := browser.Ask(implicit, "openid", responseType("id_token"), providertest.With("nonce", "n"),
				providertest.Without("code_challenge"), providertest.Without("code_challenge_method")).Params.Get("id_token")
			browser.Authorize(unredeemed, "openid")
			own := private.Exchange(browser.Authorize(private, "openid")).OK().ID
			known := map[*providertest.LogoutServer]map[string]any{five: {"sub": p.Verify(first.ID).Claims["sub"], "aud": unredeemed.ID}}
			for s, id := range map[*providertest.LogoutServer]string{one: first.ID, two: second.ID, four: alone, six: own} {
				claims := p.Verify(id).Claims
				known[s] = map[string]any{"sub": claims["sub"], "sid": claims["sid"], "aud": claims["aud"]}
			}
			c.end(browser, first.ID)
			if c.later {
				for s, claims := range known {
					if len(s.Got()) != 0 {
						t.Errorf("%s: %v told without anybody's doing", name, claims["aud"])
					}
				}
				p.Clock.Advance(time.Second)
				p.TellClients()
			}
			for s, claims := range known {
				told := toldOnce(t, p, s)
				for claim, want := range claims {
					if told.Claims[claim] != want {
						t.Errorf("%s: %v is told of the %s %v, want %v", name, claims["aud"], claim, told.Claims[claim], want)
					}
				}
			}
			rp.Refresh(first.Refresh).WantError("invalid_grant")
			if c.revokes {
				offline.Refresh(second.Refresh).WantError("invalid_grant")
			} else {
				offline.Refresh(second.Refresh).OK()
			}
			p.Clock.Advance(time.Hour)
			p.TellClients()
			for _, s := range []*providertest.LogoutServer{one, two, three, four, five, six} {
				if len(s.Got()) != 0 {
					t.Errorf("%s: told again, or told a stranger", name)
				}
			}
		}
	})
}

// Back-Channel Logout section 2.8: 200 is success, and what else says success is;
// anything else is not, and tried again with a token of its own, later and later,
// until a day is over.
func TestAClientThatFailsIsToldAgain(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		s, healthy := p.LogoutServer(), p.LogoutServer()
		rp, other := p.Client("web", providertest.FirstParty, s.Told), p.Client("healthy", providertest.FirstParty, healthy.Told)
		out := func() {
			browser := p.Browser().SignIn("ada")
			rp.Exchange(browser.Authorize(rp, "openid")).OK()
			other.Exchange(browser.Authorize(other, "openid")).OK()
			signOut(t, p, browser)
			toldOnce(t, p, healthy)
		}
		for _, status := range []int{200, 201, 204} {
			s.Answer(providertest.Status(status))
			out()
			s.Got()
			p.Clock.Advance(time.Hour)
			if p.TellClients(); len(s.Got()) != 0 {
				t.Errorf("%d is no success", status)
			}
		}
		for _, status := range []int{302, 400, 404, 500, 503, 504} {
			s.Answer(providertest.Status(status))
			out()
			first := toldOnce(t, p, s).Claims
			p.Clock.Advance(time.Second)
			if p.TellClients(); len(s.Got()) != 0 {
				t.Errorf("%d: tried again without a pause", status)
			}
			p.Clock.Advance(time.Second)
			p.TellClients()
			second := toldOnce(t, p, s).Claims
			if first["jti"] == second["jti"] || second["iat"] == first["iat"] || first["sid"] != second["sid"] {
				t.Errorf("%d: second attempt %v, first %v: want a token of its own for the same session", status, second, first)
			}
			s.Answer(nil)
			p.Clock.Advance(4 * time.Second)
			p.TellClients()
			toldOnce(t, p, s)
			p.Clock.Advance(48 * time.Hour)
			if p.TellClients(); len(s.Got()) != 0 {
				t.Errorf("%d: told again after it was told", status)
			}
		}
		if n := len(healthy.Got()); n != 0 {
			t.Errorf("the client that was told is told %d times more", n)
		}

		// A client that never answers well is given up after a day, and that is recorded.
		s.Answer(providertest.Status(http.StatusBadRequest))
		out()
		began, attempts := p.Clock.Now(), len(s.Got())
		for p.Clock.Now().Sub(began) < 26*time.Hour {
			p.Clock.Advance(time.Minute)
			p.TellClients()
			tried := len(s.Got())
			if due := reading(t, p, "doorstep_backchannel_logouts_due"); tried > 0 && due != 1 {
				t.Fatalf("%v notices due, want the one that was tried", due)
			}
			attempts += tried
		}
		if attempts < 25 || attempts > 80 {
			t.Errorf("%d attempts in a day, want them further and further apart, an hour at most", attempts)
		}
		if n := len(told(t, p, events.LogoutUntold)); n != 1 {
			t.Errorf("%d events of a logout that could not be told, want 1", n)
		}
		metrics := httptest.NewRecorder()
		p.Ops.ServeHTTP(metrics, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		for _, line := range []string{`outcome="told"} 19`, `outcome="given_up"} 1`, `outcome="dropped"} 0`} {
			if line = "doorstep_backchannel_logouts_total{" + line; !strings.Contains(metrics.Body.String(), line) {
				t.Errorf("the metrics do not say %s", line)
			}
		}
	})
}

// amend changes a client's registration.
func amend(t *testing.T, p *providertest.P, id, patch string) error {
	t.Helper()
	_, err := p.Clients.Update(t.Context(), id, []byte(patch), events.ActorOperator)
	return err
}

// farAway is when whatever is left is due.
func farAway(p *providertest.P) storage.Time { return storage.At(p.Clock.Now().Add(1000 * time.Hour)) }

// A client that is gone, or wants to hear no more, is not told, and nothing of
// what it was to be told is left.
func TestAClientThatIsGoneIsNotTold(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		for name, c := range map[string]struct {
			before bool // the session ends
			change func(id string) error
		}{
			"deleted before":     {true, func(id string) error { return p.Clients.Delete(t.Context(), id, events.ActorOperator) }},
			"deleted meanwhile":  {false, func(id string) error { return p.Clients.Delete(t.Context(), id, events.ActorOperator) }},
			"no URI any more":    {false, func(id string) error { return amend(t, p, id, `{"backchannel_logout_uri": null}`) }},
			"no URI when it was": {true, func(id string) error { return amend(t, p, id, `{"backchannel_logout_uri": null}`) }},
		} {
			s := p.LogoutServer()
			s.Answer(providertest.Status(http.StatusServiceUnavailable))
			rp := p.Client("web"+strings.ReplaceAll(name, " ", ""), providertest.FirstParty, s.Told)
			browser := p.Browser().SignIn("ada")
			rp.Exchange(browser.Authorize(rp, "openid")).OK()
			if !c.before {
				signOut(t, p, browser)
				toldOnce(t, p, s)
			}
			if err := c.change(rp.ID); err != nil {
				t.Fatal(err)
			}
			if c.before {
				signOut(t, p, browser)
			}
			s.Answer(nil)
			p.Clock.Advance(time.Hour)
			p.TellClients()
			if n := len(s.Got()); n != 0 {
				t.Errorf("%s: told %d times", name, n)
			}
			if left, err := p.Store.DueLogoutNotices(t.Context(), farAway(p), 10, 10); err != nil || len(left) != 0 {
				t.Errorf("%s: left are %v, %v", name, left, err)
			}
		}
	})
}

// A client that is disabled hears nothing; it is told when it is enabled in time.
func TestADisabledClientIsToldLater(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		s := p.LogoutServer()
		rp := p.Client("web", providertest.FirstParty, s.Told)
		browser := p.Browser().SignIn("ada")
		rp.Exchange(browser.Authorize(rp, "openid")).OK()
		disable(t, p, rp.ID)
		signOut(t, p, browser)
		p.Clock.Advance(time.Hour)
		if p.TellClients(); len(s.Got()) != 0 {
			t.Error("a disabled client is told")
		}
		c, err := p.Store.Client(t.Context(), rp.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.DisabledAt = storage.Time{}
		if err := p.Store.UpdateClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Hour)
		p.TellClients()
		toldOnce(t, p, s)
	})
}

// Back-Channel Logout section 2.4: the sub is that of the client's last ID token,
// also when it was given new subjects while the session lived.
func TestNewSubjectsAreTold(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		s := p.LogoutServer()
		rp := p.Client("web", providertest.FirstParty, s.Told)
		browser := p.Browser().SignIn("ada")
		first := p.Verify(rp.Exchange(browser.Authorize(rp, "openid")).OK().ID)
		if _, err := p.Clients.Update(t.Context(), rp.ID, []byte(`{"subject_type": "pairwise"}`), events.ActorOperator, clients.NewSubjects); err != nil {
			t.Fatal(err)
		}
		second := p.Verify(rp.Exchange(browser.Authorize(rp, "openid")).OK().ID)
		signOut(t, p, browser)
		if told := toldOnce(t, p, s); told.Claims["sub"] != second.Claims["sub"] || told.Claims["sub"] == first.Claims["sub"] {
			t.Errorf("told of %v, known by %v and, before, %v", told.Claims["sub"], second.Claims["sub"], first.Claims["sub"])
		}
	})
}

// A client's address moves: what is still to be told goes to the new one.
func TestANewAddressIsTold(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		old, fresh := p.LogoutServer(), p.LogoutServer()
		old.Answer(providertest.Status(http.StatusNotFound))
		rp := p.Client("web", providertest.FirstParty, old.Told)
		browser := p.Browser().SignIn("ada")
		rp.Exchange(browser.Authorize(rp, "openid")).OK()
		signOut(t, p, browser)
		toldOnce(t, p, old)
		if err := amend(t, p, rp.ID, `{"backchannel_logout_uri": "`+fresh.URL+`"}`); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(5 * time.Second)
		p.TellClients()
		toldOnce(t, p, fresh)
		if len(old.Got()) != 0 {
			t.Error("the old address is told")
		}
	})
}

// The way back waits for clients, but not for those that do not answer, and none
// of them keeps the others from being told.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		var slow, quick []*providertest.LogoutServer
		browser := p.Browser().SignIn("ada")
		var hint string
		for i := range 12 {
			s := p.LogoutServer()
			if i%3 == 0 {
				s.Answer(providertest.Hang)
				slow = append(slow, s)
			} else {
				quick = append(quick, s)
			}
			rp := p.Client(fmt.Sprintf("web%d", i), providertest.FirstParty, s.Told)
			hint = rp.Exchange(browser.Authorize(rp, "openid")).OK().ID
		}
		began := time.Now()
		browser.Get(endSessionURL(p, "id_token_hint", hint)).WantStatus(http.StatusSeeOther)
		if took := time.Since(began); took > 2*time.Second || took < time.Second {
			t.Errorf("the way back took %s, want it to wait for those that hang, for two seconds at most", took)
		}
		for _, s := range quick {
			toldOnce(t, p, s)
		}
		for _, s := range slow {
			if len(s.Got()) != 1 {
				t.Error("a slow client was not tried at once")
			}
		}
		if isSignedIn(t, browser, p.Client("ask", providertest.FirstParty)) {
			t.Error("still signed in")
		}
	})
}

// A server that drains is done beside its requests at once, and serves them on:
// what clients are told meanwhile it leaves to its close.
func TestADrainDoesNotWaitForClients(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		s := p.LogoutServer()
		asked, answer := make(chan struct{}), make(chan struct{})
		s.Answer(func(http.ResponseWriter, *http.Request) {
			close(asked)
			<-answer
		})
		rp := p.Client("web", providertest.FirstParty, s.Told)
		p.Browser().SignIn("ada").Authorize(rp, "openid")
		if _, err := p.Directory.Disable(t.Context(), "ada@example.com", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(time.Second)
		ctx, drain := context.WithCancel(t.Context())
		drained := make(chan struct{})
		go func() {
			p.Background(ctx)
			close(drained)
		}()
		<-asked
		drain()
		select {
		case <-drained:
		case <-time.After(3 * time.Second): // an attempt may take longer
			t.Error("a drain waits for a client that does not answer")
		}
		close(answer)
		<-drained
		p.TellClients() // waits until the attempt has come to its end
		if left, err := p.Store.DueLogoutNotices(t.Context(), farAway(p), 10, 10); err != nil || len(left) != 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}

// Whoever claims an attempt has it alone: of many that look at once one tells.
func TestOneAttemptAtATime(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		s := p.LogoutServer()
		s.Answer(providertest.Status(http.StatusBadGateway))
		rp := p.Client("web", providertest.FirstParty, s.Told)
		for range 3 {
			browser := p.Browser().SignIn("ada")
			rp.Exchange(browser.Authorize(rp, "openid")).OK()
			signOut(t, p, browser)
		}
		s.Got()
		s.Answer(nil)
		for round := range 4 { // one at a time after a failure, then all that is left
			p.Clock.Advance(2 * time.Second)
			done := make(chan struct{})
			for range 5 {
				go func() {
					p.TellClients()
					done <- struct{}{}
				}()
			}
			for range 5 {
				<-done
			}
			if round == 3 {
				p.TellClients()
			}
		}
		var jtis []string
		for _, r := range s.Got() {
			jtis = append(jtis, p.Verify(r.Token).Claims["sid"].(string))
		}
		slices.Sort(jtis)
		if len(jtis) != 3 || len(slices.Compact(jtis)) != 3 {
			t.Errorf("told of %v, want each of three sessions once", jtis)
		}
	})
}

// Back-Channel Logout section 2.2: what can be registered.
func TestBackchannelLogoutURIsThatCanBeRegistered(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	for uri, want := range map[string]struct{ secret, public bool }{
		"https://web.example/logout":                       {true, true},
		"https://web.example:8443/logout?tenant=a":         {true, true},
		"http://web.internal/logout":                       {true, false},
		"http://10.1.2.3:8080/logout":                      {true, false},
		"https://web.example/logout#fragment":              {false, false},
		"https://user:pass@web.example/logout":             {false, false},
		"/logout":                                          {false, false},
		"web.example/logout":                               {false, false},
		"ftp://web.example/logout":                         {false, false},
		"javascript:alert(1)":                              {false, false},
		"https://web.example:0/logout":                     {false, false},
		"https:///logout":                                  {false, false},
		"https://web.example/" + strings.Repeat("a", 5000): {false, false},
	} {
		for method, fine := range map[string]bool{"client_secret_basic": want.secret, "none": want.public} {
			r := clients.Registration{}
			r.RedirectURIs, r.TokenEndpointAuthMethod, r.BackchannelLogoutURI = []string{"https://web.example/callback"}, method, uri
			_, _, err := p.Clients.Create(t.Context(), r, events.ActorOperator)
			if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "backchannel_logout_uri") {
				t.Errorf("%.60s of a client with %s: %v", uri, method, err)
			}
		}
	}
}
