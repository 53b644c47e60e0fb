package shop

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// errEnded says that the provider gives no more tokens for this session.
var errEnded = errors.New("the sign-in has ended")

// renewBefore its end a token is not used any more: it might end on the way.
const renewBefore = 30 * time.Second

// redeem exchanges the code for an ID token and for an access token for the issuer
// itself, asks userinfo with it, and opens a session.
func (s *Shop) redeem(ctx context.Context, p *provider, in signIn, code string) (*session, error) {
	ctx = oidc.ClientContext(ctx, s.client)
	token, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(in.verifier), oauth2.SetAuthURLParam("resource", s.cfg.Issuer))
	if err != nil {
		return nil, fmt.Errorf("exchange the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("verify the ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(in.nonce)) != 1 {
		return nil, errors.New("the ID token's nonce is another")
	}
	if idToken.AccessTokenHash != "" {
		if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, fmt.Errorf("at_hash: %w", err)
		}
	}
	who, err := newPerson(idToken)
	if err != nil {
		return nil, err
	}
	// Without userinfo the shop knows less about its visitor, and that is all.
	if err := s.addUserInfo(ctx, p, token, &who); err != nil {
		s.log.WarnContext(ctx, "shop: no userinfo", "error", err)
	}
	return &session{rawIDToken: raw, person: who, refresh: token.RefreshToken}, nil
}

func (s *Shop) addUserInfo(ctx context.Context, p *provider, token *oauth2.Token, who *person) error {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	if info.Subject != who.Subject { // OpenID Connect Core section 5.3.2
		return errors.New("userinfo is about somebody else")
	}
	return info.Claims(&who.profile)
}

// token returns an access token for the shop's own API, refreshed when the last one is
// about to end. The caller holds sess.mu.
func (s *Shop) token(ctx context.Context, sess *session) (string, error) {
	if sess.apiToken != "" && s.cfg.Now().Before(sess.apiExpires.Add(-renewBefore)) {
		return sess.apiToken, nil
	}
	if sess.refresh == "" {
		return "", errEnded
	}
	p, err := s.discover(ctx)
	if err != nil {
		return "", err
	}
	got, err := s.refreshFor(ctx, p, sess.refresh, s.cfg.APIAudience)
	if err != nil {
		return "", err
	}
	sess.apiToken = got.AccessToken
	sess.apiExpires = s.cfg.Now().Add(time.Duration(got.ExpiresIn) * time.Second)
	if got.RefreshToken != "" {
		sess.refresh = got.RefreshToken
	}
	return sess.apiToken, nil
}

// tokens is a token response (RFC 6749 section 5).
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

// refreshFor asks for an access token for one resource (RFC 6749 section 6 with RFC
// 8707 section 2.2), which x/oauth2's own refresh has no parameter for.
func (s *Shop) refreshFor(ctx context.Context, p *provider, refreshToken, resource string) (*tokens, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "resource": {resource}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.oauth.Endpoint.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.cfg.ClientID), url.QueryEscape(s.cfg.ClientSecret))
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var got tokens
	err = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&got)
	switch {
	case got.Error == "invalid_grant":
		return nil, errEnded
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("refresh: %s %s %s", res.Status, got.Error, got.Description)
	case err != nil:
		return nil, fmt.Errorf("refresh: %w", err)
	case got.AccessToken == "" || !strings.EqualFold(got.TokenType, "Bearer"):
		return nil, errors.New("refresh: the answer holds no bearer token")
	}
	return &got, nil
}
