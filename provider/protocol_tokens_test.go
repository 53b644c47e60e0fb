package provider_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// names are the members of an object, in order.
func names(object map[string]any) string {
	return strings.Join(slices.Sorted(maps.Keys(object)), " ")
}

// wantClaims fails the test for each claim that is not so.
func wantClaims(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v", what, name, got[name], value)
		}
	}
}

// RFC 9068 section 2: every claim and header of an access token, about a person and
// about a client.
func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		slow := &storage.Resource{Audience: boatsAPI, Scopes: []string{"boats:read"}, Alg: "EdDSA", Lifetime: 60}
		if _, err := p.Clients.CreateResource(t.Context(), slow, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		rp, ada := p.Client("web", providertest.FirstParty, providertest.Scope("boats:read")), p.Person("ada")
		signedInAt := p.Clock.Now()
		browser := p.Browser().SignIn("ada")
		browser.Authorize(rp, "openid")
		p.Clock.Advance(time.Hour)
		grantedAt := p.Clock.Now()
		first := rp.Exchange(browser.Authorize(rp, "openid email offline_access")).OK()
		id := p.Verify(first.ID).Claims

		token := p.Verify(first.Access)
		if got := names(token.Header); got != "alg kid typ" {
			t.Errorf("header has %s", got)
		}
		wantClaims(t, "header", token.Header, map[string]any{"alg": "ES256", "typ": "at+jwt"})
		if got := names(token.Claims); got != "acr amr aud auth_time client_id exp gid iat iss jti scope sid sub" {
			t.Errorf("claims are %s", got)
		}
		wantClaims(t, "access token", token.Claims, map[string]any{
			"iss": p.Issuer, "aud": p.Issuer, "sub": ada.Sub, "client_id": "web", "scope": "openid email offline_access",
			"iat": float64(grantedAt.Unix()), "exp": float64(grantedAt.Add(10 * time.Minute).Unix()),
			"auth_time": float64(signedInAt.Unix()), "acr": "aal1", "amr": "[pwd]", "sid": id["sid"],
		})

		// A refresh raises nothing (section 2.2.1).
		browser.Authorize(rp, "openid", providertest.With("prompt", "login"))
		again := p.Verify(rp.Refresh(first.Refresh).OK().Access).Claims
		for _, same := range []string{"iss", "aud", "sub", "client_id", "scope", "gid", "sid", "acr", "amr", "auth_time"} {
			wantClaims(t, "refreshed", again, map[string]any{same: token.Claims[same]})
		}
		if again["jti"] == token.Claims["jti"] {
			t.Error("two access tokens have one jti")
		}

		// The resource decides algorithm and lifetime.
		tokens := rp.Exchange(browser.Authorize(rp, "boats:read", resource(boatsAPI))).OK()
		token = p.Verify(tokens.Access)
		now := float64(p.Clock.Now().Unix())
		wantClaims(t, "header for a resource", token.Header, map[string]any{"alg": "EdDSA", "typ": "at+jwt"})
		wantClaims(t, "access token for a resource", token.Claims, map[string]any{"aud": boatsAPI, "sub": ada.Sub, "iat": now, "exp": now + 60, "scope": "boats:read"})
		if tokens.ExpiresIn != 60 {
			t.Errorf("expires_in %d, want 60", tokens.ExpiresIn)
		}

		// Nobody is behind a client's own token.
		token = p.Verify(rp.ClientCredentials().OK().Access)
		if got := names(token.Claims); got != "aud client_id exp iat iss jti scope sub" {
			t.Errorf("claims of a client's own token are %s", got)
		}
		wantClaims(t, "client's own token", token.Claims, map[string]any{"sub": "web", "client_id": "web"})
	})
}

// OIDC Core section 2: every claim and header of an ID token; sections 3.1.3.6 and
// 12.2 for at_hash and nonce.
func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	left := map[string]func(string) []byte{
		"RS256": func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:16] },
		"PS256": func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:16] },
		"ES256": func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:16] },
		"EdDSA": func(s string) []byte { sum := sha512.Sum512([]byte(s)); return sum[:32] },
	}
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada, browser := p.Person("ada"), p.Browser().SignIn("ada")
		signedInAt := p.Clock.Now()
		sids := map[any]bool{}
		for _, alg := range slices.Sorted(maps.Keys(left)) {
			rp := p.Client("web-"+alg, providertest.FirstParty, func(r *clients.Registration) { r.IDTokenSignedResponseAlg = alg })
			tokens := rp.Exchange(browser.Authorize(rp, "openid profile email", providertest.With("nonce", `n "ö`))).OK()
			token := p.Verify(tokens.ID)
			if got := names(token.Header); got != "alg kid" || token.Header["alg"] != alg {
				t.Errorf("%s: header has %s, alg %v", alg, got, token.Header["alg"])
			}
			if got := names(token.Claims); got != "acr amr at_hash aud auth_time exp iat iss jti nonce sid sub" {
				t.Errorf("%s: claims are %s: no azp for one audience, no profile beside an access token", alg, got)
			}
			now := p.Clock.Now()
			wantClaims(t, alg, token.Claims, map[string]any{
				"iss": p.Issuer, "sub": ada.Sub, "aud": rp.ID, "nonce": `n "ö`, "acr": "aal1", "amr": "[pwd]",
				"iat": float64(now.Unix()), "exp": float64(now.Add(10 * time.Minute).Unix()), "auth_time": float64(signedInAt.Unix()),
				"at_hash": base64.RawURLEncoding.EncodeToString(left[alg](tokens.Access)),
			})
			sids[token.Claims["sid"]] = true

			p.Clock.Advance(time.Minute)
			again := rp.Refresh(tokens.Refresh).OK()
			refreshed := p.Verify(again.ID).Claims
			if _, ok := refreshed["nonce"]; ok {
				t.Errorf("%s: a refreshed ID token has a nonce", alg)
			}
			for _, same := range []string{"iss", "sub", "aud", "auth_time", "acr", "amr", "sid"} {
				wantClaims(t, alg+" refreshed", refreshed, map[string]any{same: token.Claims[same]})
			}
			wantClaims(t, alg+" refreshed", refreshed, map[string]any{
				"iat": float64(p.Clock.Now().Unix()), "at_hash": base64.RawURLEncoding.EncodeToString(left[alg](again.Access)),
			})
		}
		if len(sids) != len(left) {
			t.Errorf("%d sids for %d clients: two clients could tell that a session is the same", len(sids), len(left))
		}

		// nonce is optional (section 3.1.2.1), RS256 is what a client gets that names none.
		plain := p.Client("plain", providertest.FirstParty)
		one := p.Verify(plain.Exchange(browser.Authorize(plain, "openid", providertest.Without("nonce"))).OK().ID)
		two := p.Verify(plain.Exchange(browser.Authorize(plain, "openid")).OK().ID)
		if _, ok := one.Claims["nonce"]; ok || one.Header["alg"] != "RS256" {
			t.Errorf("without a nonce: %v %v", one.Header, one.Claims)
		}
		if one.Claims["sid"] != two.Claims["sid"] {
			t.Error("one session has two sids at one client")
		}
		other := p.Verify(plain.Exchange(p.Browser().SignIn("ada").Authorize(plain, "openid")).OK().ID)
		if other.Claims["sid"] == one.Claims["sid"] || other.Claims["sub"] != one.Claims["sub"] {
			t.Error("another browser's session has the same sid, or another sub")
		}
	})
}

// OIDC Core section 2, auth_time: when the person proved who they are, not when the
// client asked.
func TestAuthTimeIsThatOfTheProof(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web", providertest.FirstParty)
		browser := p.Browser().SignIn("ada")
		authTime := func(params ...providertest.Param) float64 {
			t.Helper()
			at, _ := p.Verify(rp.Exchange(browser.Authorize(rp, "openid", params...)).OK().ID).Claims["auth_time"].(float64)
			return at
		}
		first := authTime()
		p.Clock.Advance(90 * time.Second)
		if got := authTime(); got != first {
			t.Errorf("auth_time moved by %v without a proof", got-first)
		}
		if got := authTime(providertest.With("prompt", "login")); got != first+90 {
			t.Errorf("after prompt=login auth_time moved by %v, want 90", got-first)
		}
		p.Clock.Advance(30 * time.Second)
		if got := authTime(providertest.With("max_age", "31")); got != first+90 {
			t.Errorf("max_age=31 after 30 s moved auth_time by %v, want 90", got-first)
		}
		if got := authTime(providertest.With("max_age", "29")); got != first+120 {
			t.Errorf("max_age=29 after 30 s moved auth_time by %v, want 120", got-first)
		}
	})
}
