package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// signedIn returns the first tokens of a new grant.
func signedIn(browser *providertest.Browser, rp *providertest.RP) *providertest.Tokens {
	return rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
}

// RFC 9700 section 4.14.2: of two who hold a refresh token that was used, one is
// a thief. The grant is over for both, and the audit says so.
func TestAttack22ReplayRevokesTheGrant(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		for _, rp := range kinds(p) {
			for name, replay := range map[string]func(first *providertest.Tokens) (newest *providertest.Tokens){
				"the last but one, at once": func(first *providertest.Tokens) *providertest.Tokens {
					return rp.Refresh(rp.Refresh(first.Refresh).OK().Refresh).OK()
				},
				"the last one, after its grace": func(first *providertest.Tokens) *providertest.Tokens {
					newest := rp.Refresh(first.Refresh).OK()
					p.Clock.Advance(11 * time.Second)
					return newest
				},
				"the first one, after a week": func(first *providertest.Tokens) *providertest.Tokens {
					for range 7 {
						p.Clock.Advance(24 * time.Hour)
						first = rp.Refresh(first.Refresh).OK()
					}
					return first
				},
			} {
				t.Log(rp.ID, "sends", name)
				bystander, first := signedIn(browser, rp), signedIn(browser, rp)
				newest, before := replay(first), len(revocations(t, p))
				rp.Refresh(first.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				wantRevoked(t, p, rp, newest)
				told := revocations(t, p)
				if len(told) != before+1 || !strings.Contains(told[0], "refresh token used twice") {
					t.Errorf("the events tell of %d revocations before and %d after: %s", before, len(told), told)
				}
				rp.Refresh(bystander.Refresh).OK()
			}
		}
	})
}

// The same on three processes: no replay gets anything, and the newest token is
// dead whichever process is asked.
func TestAttack22ReplaysOnThreeReplicas(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.Client("web", providertest.FirstParty)
	first := signedIn(p.Browser().SignIn("ada"), rp)
	newest := rp.Refresh(rp.Refresh(first.Refresh).OK().Refresh).OK()
	for _, a := range p.AtOnce(refreshes(rp, first.Refresh)...) {
		a.WantStatus(http.StatusBadRequest).WantError("invalid_grant")
	}
	for range 3 { // one for each
		wantRevoked(t, p, rp, newest)
	}
	if len(revocations(t, p)) == 0 {
		t.Error("no event tells of the revocation")
	}
}

// refreshes are 50 requests with one refresh token.
func refreshes(rp *providertest.RP, token string) []*http.Request {
	requests := make([]*http.Request, 50)
	for i := range requests {
		requests[i] = rp.RefreshRequest(token)
	}
	return requests
}

// wantOneSuccessor sends a refresh token 50 times at once. All get the same
// successor, which is good; the grant lives on.
func wantOneSuccessor(t *testing.T, p *providertest.P, rp *providertest.RP, token string) *providertest.Tokens {
	t.Helper()
	var tokens *providertest.Tokens
	for _, a := range p.AtOnce(refreshes(rp, token)...) {
		got := (&providertest.TokenAnswer{Answer: a}).OK()
		if tokens != nil && got.Refresh != tokens.Refresh {
			t.Fatalf("two successors of one refresh token")
		}
		tokens = got
	}
	if tokens.Refresh == token {
		t.Fatal("the successor is the token itself")
	}
	p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
	return tokens
}

// A client with two tabs refreshes twice at once, or loses an answer and asks
// again: within ten seconds it gets the same successor, and nobody else does.
func TestAttack23ARetriedRefreshHasOneSuccessor(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		thief := p.Client("thief")
		for _, rp := range kinds(p) {
			first := signedIn(browser, rp)
			second := wantOneSuccessor(t, p, rp, first.Refresh)
			p.Clock.Advance(9 * time.Second)
			if again := rp.Refresh(first.Refresh).OK(); again.Refresh != second.Refresh {
				t.Errorf("%s: another successor within the grace", rp.ID)
			}
			thief.Refresh(first.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			thief.Refresh(second.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			third := rp.Refresh(second.Refresh).OK()
			if third.Refresh == second.Refresh {
				t.Errorf("%s: a refresh did not rotate", rp.ID)
			}
			p.Clock.Advance(11 * time.Second)
			fourth := wantAlive(t, p, rp, third)
			rp.Refresh(second.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant") // a retry no more
			wantRevoked(t, p, rp, fourth)
		}
	})
}

// The same on three processes that share a database only.
func TestAttack23FiftyRefreshesOnThreeReplicas(t *testing.T) {
	p := providertest.Replicas(t, 3)
	rp := p.Client("web", providertest.FirstParty)
	tokens := signedIn(p.Browser().SignIn("ada"), rp)
	for range 3 {
		tokens = wantOneSuccessor(t, p, rp, tokens.Refresh)
	}
	wantAlive(t, p, rp, tokens)
	if told := revocations(t, p); len(told) > 0 {
		t.Errorf("somebody was signed out: %s", told)
	}
}
