package provider_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// The client libraries that most Go services use complete the code flow with
// PKCE, a refresh and userinfo; they are told issuer, client and secret only.
func TestGoOIDCAndOAuth2(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			providertest.Each(t, func(t *testing.T, p *providertest.P) { signInWithGoOIDC(t, p, alg) })
		})
	}
}

func signInWithGoOIDC(t *testing.T, p *providertest.P, alg string) {
	t.Helper()
	ctx := t.Context()
	rp := p.Client("web", func(r *clients.Registration) { r.IDTokenSignedResponseAlg = alg })
	op, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	conf := oauth2.Config{
		ClientID: rp.ID, ClientSecret: rp.Secret, Endpoint: op.Endpoint(), RedirectURL: rp.RedirectURI,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	verifier := oauth2.GenerateVerifier()
	browser := p.Browser().SignIn("ada")
	arrival := browser.Walk(rp, conf.AuthCodeURL(stateOf(t, rp), oauth2.S256ChallengeOption(verifier), oidc.Nonce("a nonce")))
	token, err := conf.Exchange(ctx, arrival.Code(), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	ids := op.Verifier(&oidc.Config{ClientID: rp.ID, Now: p.Clock.Now})
	raw, _ := token.Extra("id_token").(string)
	id, err := ids.Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "a nonce" {
		t.Errorf("nonce %q, want the one that was sent", id.Nonce)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}

	old := *token
	old.Expiry = time.Now().Add(-time.Hour)
	fresh, err := conf.TokenSource(ctx, &old).Token()
	if err != nil {
		t.Fatal(err)
	}
	if fresh.RefreshToken == token.RefreshToken || fresh.AccessToken == token.AccessToken {
		t.Error("the refresh gave the same tokens again")
	}
	raw, _ = fresh.Extra("id_token").(string)
	again, err := ids.Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if again.Subject != id.Subject {
		t.Errorf("the refreshed ID token is about %s, the first about %s", again.Subject, id.Subject)
	}
	info, err := op.UserInfo(ctx, oauth2.StaticTokenSource(fresh))
	if err != nil {
		t.Fatal(err)
	}
	if info.Subject != id.Subject || info.Email != "ada@example.com" || !info.EmailVerified {
		t.Errorf("userinfo says %s, %s, verified %v", info.Subject, info.Email, info.EmailVerified)
	}
}

// stateOf returns a state that the relying party began with.
func stateOf(t *testing.T, rp *providertest.RP) string {
	t.Helper()
	u, err := url.Parse(rp.AuthorizationURL("openid"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}
