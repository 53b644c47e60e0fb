package oidc

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// userinfo serves the UserInfo endpoint (OIDC Core section 5.3).
func (h *Handler) userinfo(w http.ResponseWriter, r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	claims, err := h.Engine.Verify(r.Context(), token)
	if errors.Is(err, engine.ErrNoToken) {
		return invalidToken(err)
	}
	if err != nil {
		return err
	}
	if claims.Audience != h.issuer {
		return invalidToken(errors.New("another audience"))
	}
	scopes := words(claims.Scope)
	if !slices.Contains(scopes, clients.ScopeOpenID) {
		return &engine.Error{Code: "insufficient_scope", Description: "The access token lacks the scope openid.", Status: http.StatusForbidden}
	}
	grant, err := h.grantOf(r, claims)
	if err != nil {
		return err
	}
	asked := grant.Grant.Claims.V.Userinfo
	if len(asked) > 0 {
		client, err := h.Clients.Get(r.Context(), claims.ClientID)
		if errors.Is(err, storage.ErrNotFound) {
			return invalidToken(err)
		}
		if err != nil {
			return err
		}
		asked = engine.MayStillLearn(client, asked)
	}
	out, err := engine.PersonClaims(grant, scopes, asked)
	if err != nil {
		return err
	}
	out["sub"] = grant.Grant.Sub
	return writeOAuthJSON(w, http.StatusOK, out)
}

// bearer returns the token of the Authorization header or of the body (RFC 6750
// sections 2.1 and 2.2), never of the query: URLs end in logs.
func bearer(r *http.Request) (string, error) {
	if r.URL.Query().Has("access_token") {
		return "", engine.Refuse("invalid_request", "An access token does not belong in a URL.")
	}
	var tokens []string
	for _, header := range r.Header.Values("Authorization") {
		scheme, token, ok := strings.Cut(header, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return "", errNoToken
		}
		tokens = append(tokens, strings.TrimSpace(token))
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodPost && mediaType == "application/x-www-form-urlencoded" {
		tokens = append(tokens, r.PostForm["access_token"]...)
	}
	switch len(tokens) {
	case 0:
		return "", errNoToken
	case 1:
		return tokens[0], nil
	}
	return "", engine.Refuse("invalid_request", "The access token is there more than once.")
}

// errNoToken: the request says nothing about who it is from, so that the answer
// names no error (RFC 6750 section 3.1).
var errNoToken = &engine.Error{Status: http.StatusUnauthorized}

func invalidToken(cause error) *engine.Error {
	return &engine.Error{Code: "invalid_token", Description: "The access token is not valid here, or no longer.", Status: http.StatusUnauthorized, Err: cause}
}

// grantOf returns the living grant that a token came of; a token of client
// credentials has none and is about nobody.
func (h *Handler) grantOf(r *http.Request, token *engine.Access) (*storage.GrantState, error) {
	if token.GrantID == "" {
		return nil, &engine.Error{Code: "insufficient_scope", Description: "The access token is about no person.", Status: http.StatusForbidden}
	}
	web.Log(r.Context()).Set("grant_id", token.GrantID)
	grant, err := h.Engine.Person(r.Context(), token)
	if errors.Is(err, grants.ErrDead) {
		return nil, invalidToken(err)
	}
	return grant, err
}

// userinfoError is the one writer of errors of the UserInfo endpoint (RFC 6750
// section 3).
func (h *Handler) userinfoError(w http.ResponseWriter, r *http.Request, err error) {
	refused := refusal(w, err)
	challenge := `Bearer realm="` + h.issuer + `"`
	if refused.Code == "" {
		w.Header().Set("WWW-Authenticate", challenge)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(refused.Status)
		return
	}
	web.Log(r.Context()).Set("oauth_error", refused.Code)
	h.refused.WithLabelValues("userinfo", refused.Code).Inc()
	if refused.Status >= http.StatusInternalServerError { // nothing is wrong with the token
		_ = writeOAuthJSON(w, refused.Status, oauthError{refused.Code, refused.Description}) // the client has gone: nobody is left to tell
		return
	}
	challenge += `, error="` + refused.Code + `", error_description="` + refused.Description + `"`
	if refused.Status == http.StatusForbidden {
		challenge += `, scope="openid"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	_ = writeOAuthJSON(w, refused.Status, oauthError{refused.Code, refused.Description}) // the client has gone: nobody is left to tell
}
