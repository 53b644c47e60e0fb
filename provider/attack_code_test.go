package provider_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// wantRevoked asks that nothing which came of a grant is good any more.
func wantRevoked(t *testing.T, p *providertest.P, rp *providertest.RP, tokens *providertest.Tokens) {
	t.Helper()
	p.Userinfo(tokens.Access).WantStatus(http.StatusUnauthorized).WantError("invalid_token")
	rp.Refresh(tokens.Refresh).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
}

// wantAlive asks that the tokens of a grant are good, and refreshes them.
func wantAlive(t *testing.T, p *providertest.P, rp *providertest.RP, tokens *providertest.Tokens) *providertest.Tokens {
	t.Helper()
	p.Userinfo(tokens.Access).WantStatus(http.StatusOK)
	return rp.Refresh(tokens.Refresh).OK()
}

// revocations returns why grants were revoked, as the events tell, newest first.
func revocations(t *testing.T, p *providertest.P) []string {
	t.Helper()
	all, err := p.Store.Events(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range slices.DeleteFunc(all, func(e storage.Event) bool { return e.Kind != string(events.GrantRevoked) }) {
		told = append(told, string(e.Document.V))
	}
	return told
}

// RFC 6749 section 4.1.3: a code is for the client that it was issued to. Nobody
// else can use it, nor use it up.
func TestAttack13AnothersCodeIsWorthless(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const verifier = "a-verifier-that-was-stolen-together-with-the-code"
		same := func(r *clients.Registration) { r.RedirectURIs = []string{"https://owner.example/callback"} }
		thieves := []*providertest.RP{
			p.Client("thief", providertest.FirstParty, same), p.Client("public-thief", providertest.Public, same), p.Client("old-thief", withoutPKCE, same),
		}
		browser := p.Browser().SignIn("ada")
		stolen := providertest.With("code_verifier", verifier)
		for _, owner := range []*providertest.RP{
			p.Client("owner", providertest.FirstParty, same), p.Client("public-owner", providertest.FirstParty, providertest.Public, same),
			p.Client("old-owner", providertest.FirstParty, withoutPKCE, same),
		} {
			code := browser.Authorize(owner, "openid offline_access", providertest.With("code_challenge", s256(verifier)))
			attempt := func() {
				t.Helper()
				for _, thief := range thieves {
					thief.Exchange(code, stolen).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
					thief.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				}
				thieves[0].Exchange(code, stolen, providertest.With("client_id", owner.ID)).WantStatus(http.StatusBadRequest).WantError("invalid_request")
				if owner.Secret != "" { // its name alone is not enough
					nameless := *owner
					nameless.Secret = ""
					nameless.Exchange(code, stolen).WantStatus(http.StatusUnauthorized).WantError("invalid_client")
				}
			}
			attempt()
			tokens := owner.Exchange(code, stolen).OK()
			attempt()
			wantAlive(t, p, owner, tokens)
		}
	})
}

// RFC 6749 sections 4.1.2 and 10.5: whoever comes second has a stolen code, or
// had it stolen; both lose.
func TestAttack14CodeReuseRevokesTokens(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		for i, rp := range kinds(p) {
			for _, later := range []time.Duration{0, 30 * time.Second, 5 * time.Minute} { // the code is dead after one, its tokens live on
				bystander := rp.Exchange(browser.Authorize(rp, "openid offline_access")).OK()
				code := browser.Authorize(rp, "openid offline_access")
				first := rp.Exchange(code).OK()
				p.Clock.Advance(later)
				second := rp.Refresh(first.Refresh).OK()
				before := len(revocations(t, p))
				rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				wantRevoked(t, p, rp, first)
				wantRevoked(t, p, rp, second)
				if told := revocations(t, p); len(told) != before+1 {
					t.Errorf("events of revocations: %d, want one more than %d: %s", len(told), before, told)
				}
				rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				wantAlive(t, p, rp, bystander)
			}
			code := browser.Authorize(rp, "openid offline_access")
			tokens := rp.Exchange(code).OK()
			rp.Exchange(code, providertest.Without("code_verifier")).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			wantRevoked(t, p, rp, tokens) // with or without the verifier
			if i == 0 {
				p.Userinfo(tokens.ID).WantStatus(http.StatusUnauthorized)
			}
		}
	})
}

// RFC 6749 section 4.1.2, on three processes that share a database only: one
// success, no fault, and since a code was used twice, nothing that lasts.
func TestAttack15OneOfFiftyRedemptionsSucceeds(t *testing.T) {
	p := providertest.Replicas(t, 3)
	browser := p.Browser().SignIn("ada")
	for _, rp := range kinds(p) {
		code := browser.Authorize(rp, "openid offline_access")
		requests := make([]*http.Request, 50)
		for i := range requests {
			requests[i] = rp.ExchangeRequest(code)
		}
		var won []*providertest.Tokens
		for _, a := range p.AtOnce(requests...) {
			if a.Status == http.StatusOK {
				won = append(won, (&providertest.TokenAnswer{Answer: a}).OK())
				continue
			}
			a.WantStatus(http.StatusBadRequest).WantError("invalid_grant")
		}
		if len(won) != 1 {
			t.Fatalf("%s: %d redemptions succeeded, want 1", rp.ID, len(won))
		}
		wantRevoked(t, p, rp, won[0])
		rp.Exchange(browser.Authorize(rp, "openid")).OK()
	}
	if len(revocations(t, p)) == 0 {
		t.Error("no event tells of the revocations")
	}
}

// RFC 6749 section 4.1.2, OWASP ASVS 5.0 section 10.4: a minute.
func TestAttack16ACodeLivesAMinute(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		for after, alive := range map[time.Duration]bool{59 * time.Second: true, 61 * time.Second: false, time.Hour: false, 25 * time.Hour: false} {
			code := browser.Authorize(rp, "openid")
			p.Clock.Advance(after)
			if answer := rp.Exchange(code); alive {
				answer.OK()
			} else {
				answer.WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			}
		}
	})
}

// RFC 6749 section 4.1.3: where the code went is part of what is redeemed.
func TestAttack17TheCodesRedirectMustBeSentAgain(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		const other = "https://web.example/other"
		for _, rp := range []*providertest.RP{
			p.Client("web", providertest.FirstParty, func(r *clients.Registration) { r.RedirectURIs = append(r.RedirectURIs, other) }),
			p.Client("app", providertest.FirstParty, nativeAt("http://127.0.0.1/cb", other)),
		} {
			browser := p.Browser().SignIn("ada")
			for _, wrong := range []string{"", other, rp.RedirectURI + "/", rp.RedirectURI + "?x", rp.RedirectURI + " ", "http://127.0.0.1:9/cb", "https://evil.example"} {
				code := browser.Authorize(rp, "openid")
				rp.Exchange(code, providertest.With("redirect_uri", wrong)).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				rp.Exchange(browser.Authorize(rp, "openid"), providertest.Without("redirect_uri")).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			}
			rp.Exchange(browser.Authorize(rp, "openid")).OK()
		}
	})
}
