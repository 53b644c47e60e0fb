package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// s256 is the challenge of a verifier (RFC 7636 section 4.2).
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// withoutPKCE lets a client off PKCE, which only one with a secret may be.
func withoutPKCE(r *clients.Registration) {
	never := false
	r.RequirePKCE = &never
}

// kinds are a client of each kind that PKCE knows.
func kinds(p *providertest.P) []*providertest.RP {
	return []*providertest.RP{
		p.Client("web", providertest.FirstParty),
		p.Client("old", providertest.FirstParty, withoutPKCE),
		p.Client("spa", providertest.FirstParty, providertest.Public),
	}
}

// RFC 7636 section 4.6, RFC 9700 section 4.8: one guess at the verifier, and no
// way around the challenge by leaving the verifier out afterwards.
func TestAttack10AWrongVerifierKillsTheCode(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		wrong, none := providertest.With("code_verifier", strings.Repeat("w", 43)), providertest.Without("code_verifier")
		for _, rp := range kinds(p) {
			for name, first := range map[string]providertest.Param{"a wrong verifier": wrong, "no verifier": none, "an empty verifier": providertest.With("code_verifier", "")} {
				t.Log(rp.ID, "begins with", name)
				code := browser.Authorize(rp, "openid offline_access")
				rp.Exchange(code, first).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				rp.Exchange(code, none).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
				rp.Exchange(code).WantStatus(http.StatusBadRequest).WantError("invalid_grant") // right, and too late
				rp.Exchange(browser.Authorize(rp, "openid")).OK()
			}
		}
	})
}

// RFC 9700 section 2.1.1 and 4.8.2: a challenge is enforced for whoever sent it,
// and a verifier without one means that somebody took the challenge away.
func TestAttack11VerifierAndChallengeComeTogether(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		for _, rp := range kinds(p) {
			code := browser.Authorize(rp, "openid")
			rp.Exchange(code, providertest.Without("code_verifier")).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			if rp.ID != "old" {
				for _, missing := range [][]string{{"code_challenge", "code_challenge_method"}, {"code_challenge"}, {"code_challenge_method"}} {
					browser.Ask(rp, "openid", providertest.Without(missing[0]), providertest.Without(missing[len(missing)-1])).WantError("invalid_request")
				}
				continue
			}
			bare := []providertest.Param{providertest.Without("code_challenge"), providertest.Without("code_challenge_method")}
			code = browser.Authorize(rp, "openid", bare...)
			rp.Exchange(code, providertest.With("code_verifier", strings.Repeat("v", 43))).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			rp.Exchange(browser.Authorize(rp, "openid", bare...), providertest.Without("code_verifier")).OK() // let off, with neither
		}
	})
}

// RFC 7636 sections 4.1 to 4.3: S256 only, of a verifier of 43 to 128 unreserved
// characters.
func TestAttack12WeakOrMalformedPKCEIsRefused(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		browser := p.Browser().SignIn("ada")
		good := strings.Repeat("a", 43)
		for _, rp := range kinds(p) {
			for _, method := range []string{"plain", "", "s256", "S512", "none", "S256 plain", "S256,plain"} {
				browser.Ask(rp, "openid", providertest.With("code_challenge_method", method)).WantError("invalid_request")
				browser.Ask(rp, "openid", providertest.With("code_challenge_method", method), providertest.With("code_challenge", good)).WantError("invalid_request")
			}
			browser.Ask(rp, "openid", providertest.Without("code_challenge_method")).WantError("invalid_request")
			challenge := s256(good)
			for _, malformed := range []string{
				"", "x", challenge[:42], challenge + "A", challenge + "=", challenge[:42] + "=", challenge[:42] + "+", challenge[:42] + " ", challenge[:42] + "\n",
				challenge[:42] + "é", challenge + "\n", strings.Repeat("A", 42) + "B", strings.Repeat("A", 44), strings.Repeat("A", 128),
			} {
				browser.Ask(rp, "openid", providertest.With("code_challenge", malformed)).WantError("invalid_request")
			}
			for _, verifier := range []string{
				strings.Repeat("a", 42), strings.Repeat("a", 129), strings.Repeat("a", 42) + "+", strings.Repeat("a", 42) + "=",
				strings.Repeat("a", 42) + " ", strings.Repeat("a", 42) + "/", strings.Repeat("a", 42) + "é", "\n" + good,
			} {
				code := browser.Authorize(rp, "openid", providertest.With("code_challenge", s256(verifier)))
				rp.Exchange(code, providertest.With("code_verifier", verifier)).WantStatus(http.StatusBadRequest).WantError("invalid_grant")
			}
			for _, verifier := range []string{good, strings.Repeat("a", 128), strings.Repeat("a-._~Z9", 7)} {
				code := browser.Authorize(rp, "openid", providertest.With("code_challenge", s256(verifier)))
				rp.Exchange(code, providertest.With("code_verifier", verifier)).OK()
			}
		}
	})
}
