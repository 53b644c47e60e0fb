package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// asked is an authorization request on its way through the checks.
type asked struct {
	h      *Handler
	r      *http.Request
	params url.Values
	client *storage.Client
	flow.Request
}

// check is one rule of the authorization endpoint. Its error is an
// *engine.Error, or a fault of the store.
type check func(context.Context, *asked) error

// Until these two hold nobody knows where an answer may go: what fails here is
// shown on our own page (RFC 6749 section 4.1.2.1).
var checksBeforeRedirect = []check{
	checkClient,
	checkRedirectURI,
}

// What fails here is told to the client at its redirect.
var checksAfterRedirect = []check{
	checkResponseMode,
	checkUnsupported,
	checkResponseType,
	checkScope,
	checkIDToken,
	checkClaims,
	checkACR,
	checkPKCE,
	checkResource,
	checkPrompt,
	checkMaxAge,
	checkHint,
	copyHarmless,
}

// checkClient: the client is registered.
func checkClient(ctx context.Context, a *asked) error {
	id := a.params.Get("client_id")
	if id == "" {
		return engine.Refuse("invalid_request", "The parameter client_id is missing.")
	}
	c, err := a.h.Clients.Get(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return diagnosed(engine.Refuse("invalid_client", "No client of this id is registered here."), unknownClient(id))
	}
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	a.client, a.ClientID = c, c.ID
	web.Log(ctx).Set("client_id", c.ID)
	return nil
}

// checkRedirectURI: the address is registered, character by character; the port
// of a native client's loopback literal aside (RFC 9700 section 2.1, RFC 8252
// section 7.3).
func checkRedirectURI(_ context.Context, a *asked) error {
	sent := a.params.Get("redirect_uri")
	registered := a.client.Metadata.V.RedirectURIs
	switch {
	case sent != "":
		if !a.h.Clients.MatchRedirect(a.client, sent) {
			return diagnosed(engine.Refuse("invalid_request", "The redirect_uri is not registered for this client."), redirectMismatch(a.client, sent))
		}
		a.RedirectURI, a.RedirectSent = sent, true
	case len(registered) == 1 && !slices.Contains(words(a.params.Get("scope")), "openid"):
		a.RedirectURI = registered[0] // RFC 6749 section 3.1.2.3; OIDC always wants it sent
	default:
		return diagnosed(engine.Refuse("invalid_request", "The parameter redirect_uri is missing."), missingRedirect(a.client))
	}
	// What every answer needs from here on, a refusal by the next check too.
	a.State, a.StateSent = a.params.Get("state"), a.params.Has("state")
	a.Silent = slices.Contains(words(a.params.Get("prompt")), "none")
	a.ResponseType = clients.ResponseType(a.params.Get("response_type"))
	a.ResponseMode = defaultMode(a.ResponseType)
	return nil
}

// defaultMode is the response mode of a response type, also of one that is not
// served: where the client looks for the answer (OAuth 2.0 Multiple Response Type
// Encoding Practices section 5).
func defaultMode(responseType string) string {
	if of := words(responseType); slices.Contains(of, "id_token") || slices.Contains(of, "token") {
		return modeFragment
	}
	return modeQuery
}

// checkResponseMode: that of the response type, or one that the client
// registered. An ID token is never put into a query, which ends in logs (OAuth 2.0
// Multiple Response Type Encoding Practices section 3.0).
func checkResponseMode(_ context.Context, a *asked) error {
	mode := a.params.Get("response_mode")
	switch {
	case mode == "", mode == a.ResponseMode:
		return nil
	case mode == modeQuery, !slices.Contains(a.client.Metadata.V.ResponseModes, mode):
		return engine.Refusef("invalid_request", "The response_mode %s is not registered for this client, or not for this response_type.", printable(mode))
	}
	a.ResponseMode = mode
	return nil
}

// checkUnsupported: parameters that change what is asked must not be ignored
// (OIDC Core sections 6 and 7.2.1).
func checkUnsupported(_ context.Context, a *asked) error {
	for _, name := range []string{"request", "request_uri", "registration"} {
		if a.params.Get(name) != "" {
			return engine.Refusef(name+"_not_supported", "The parameter %s is not supported.", name)
		}
	}
	return nil
}

// checkResponseType: one that is served and that the client registered, with its
// words in any order. No access token is ever given here (RFC 9700 section 2.1.2).
func checkResponseType(_ context.Context, a *asked) error {
	switch {
	case a.ResponseType == "":
		return engine.Refuse("invalid_request", "The parameter response_type is missing.")
	case !slices.Contains(engine.ResponseTypes(), a.ResponseType):
		return diagnosed(engine.Refusef("unsupported_response_type", "The response_type %s is not served here.", printable(a.ResponseType)),
			responseTypeMismatch(a.client, a.ResponseType))
	case !slices.Contains(a.client.Metadata.V.ResponseTypes, a.ResponseType):
		return diagnosed(engine.Refusef("unauthorized_client", "The client is not registered for the response_type %s.", a.ResponseType),
			responseTypeMismatch(a.client, a.ResponseType))
	case a.code() && !slices.Contains(a.client.Metadata.V.GrantTypes, engine.GrantCode):
		return diagnosed(engine.Refuse("unauthorized_client", "The client is not registered for the authorization_code grant."),
			grantTypeMismatch(a.client, engine.GrantCode))
	}
	return nil
}

// code reports whether a code is asked for; idToken, whether an ID token is, here.
func (a *asked) code() bool    { return slices.Contains(words(a.ResponseType), engine.ResponseCode) }
func (a *asked) idToken() bool { return slices.Contains(words(a.ResponseType), engine.ResponseIDToken) }

// checkIDToken: what is answered with an ID token here is an OpenID request, and
// its nonce ties the ID token to it (OIDC Core sections 3.2.2.1 and 3.3.2.1).
func checkIDToken(_ context.Context, a *asked) error {
	switch {
	case !a.idToken():
		return nil
	case !slices.Contains(a.Scopes, clients.ScopeOpenID):
		return engine.Refuse("invalid_request", "An ID token needs the scope openid.")
	case a.params.Get("nonce") == "":
		return engine.Refuse("invalid_request", "The parameter nonce is missing: an ID token from the authorization endpoint needs it.")
	}
	return nil
}

// checkScope: every scope is registered for the client (RFC 6749 section 3.3).
// offline_access without a refresh grant, or without a code, means nothing and is
// left out (OIDC Core section 11).
func checkScope(_ context.Context, a *asked) error {
	registered := words(a.client.Metadata.V.Scope)
	for _, s := range words(a.params.Get("scope")) {
		if !slices.Contains(registered, s) {
			return diagnosed(engine.Refusef("invalid_scope", "The scope %s is not registered for this client.", printable(s)), scopeMismatch(a.client, s))
		}
		if s == clients.ScopeOffline && !(a.code() && slices.Contains(a.client.Metadata.V.GrantTypes, engine.GrantRefresh)) {
			continue
		}
		a.Scopes = append(a.Scopes, s)
	}
	return nil
}

// checkPKCE: S256, always for public clients, for the others unless registered
// otherwise; a challenge that was sent is enforced for everyone (RFC 7636, RFC
// 9700 section 2.1.1).
func checkPKCE(_ context.Context, a *asked) error {
	if !a.code() { // nothing to prove
		return nil
	}
	challenge, method := a.params.Get("code_challenge"), a.params.Get("code_challenge_method")
	if challenge == "" && method == "" {
		if a.client.Metadata.V.RequirePKCE {
			return diagnosed(engine.Refuse("invalid_request", "The parameter code_challenge is missing: this client uses PKCE."), missingPKCE(a.client))
		}
		return nil
	}
	if method != "S256" {
		return engine.Refuse("invalid_request", "The code_challenge_method must be S256.")
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(sum) != 32 || strings.ContainsAny(challenge, "\r\n") { // which the decoder skips
		return engine.Refuse("invalid_request", "The code_challenge is not the base64url of a SHA-256.")
	}
	a.Challenge = challenge
	return nil
}

// checkResource: each resource is one that the client may use (RFC 8707 section 2).
func checkResource(ctx context.Context, a *asked) error {
	resources, err := a.h.Engine.ResourcesFor(ctx, a.client, a.Scopes, a.params["resource"])
	if err != nil {
		var refused *engine.Error
		if errors.As(err, &refused) {
			return diagnosed(refused, a.h.resourceMismatch(ctx, a.client, a.params["resource"]))
		}
		return err
	}
	a.Resources = resources
	return nil
}

// checkPrompt: known values, none only by itself (OIDC Core section 3.1.2.1).
func checkPrompt(_ context.Context, a *asked) error {
	a.Prompt = words(a.params.Get("prompt"))
	for _, p := range a.Prompt {
		if !slices.Contains(promptValues, p) {
			return engine.Refusef("invalid_request", "The prompt %s is not known.", printable(p))
		}
	}
	if a.Silent && len(a.Prompt) > 1 {
		return engine.Refuse("invalid_request", "The prompt none goes with no other.")
	}
	return nil
}

// checkMaxAge: a number of seconds, 0 included; else the client's own default.
func checkMaxAge(_ context.Context, a *asked) error {
	s := a.params.Get("max_age")
	if s == "" {
		a.MaxAge = a.client.Metadata.V.DefaultMaxAge
		return nil
	}
	n, ok := seconds(s)
	if !ok {
		return engine.Refuse("invalid_request", "The max_age is not a number of seconds.")
	}
	a.MaxAge = &n
	return nil
}

// checkHint: whoever is named by an id_token_hint, and nobody else, may be
// answered about (OIDC Core section 3.1.2.1). One that is not ours is refused:
// the client would take the answer for the person it meant. The person is looked
// for by the subject that this client knows, so that a hint of another sector's
// client tells it nothing (section 8.1).
func checkHint(ctx context.Context, a *asked) error {
	raw := a.params.Get("id_token_hint")
	if raw == "" {
		return nil
	}
	given, err := a.h.hint(a.r, raw)
	if err != nil {
		return err
	}
	if given == nil {
		return engine.Refuse("invalid_request", "The id_token_hint is not an ID token of this issuer.")
	}
	if clients.IsPairwise(a.client) {
		a.Subject = given.Subject // whoever signs in is held against it: nobody is found by it
		return nil
	}
	person, err := a.h.Store.PersonBySub(ctx, given.Subject)
	if errors.Is(err, storage.ErrNotFound) {
		return engine.Refuse(flow.LoginRequired, "The person that the id_token_hint names is no longer here.")
	}
	if err != nil {
		return fmt.Errorf("person of hint: %w", err)
	}
	a.Person = person.ID
	return nil
}

// copyHarmless takes over what cannot be wrong. Everything that is not named in
// these checks (display, claims_locales, unknown parameters) is ignored.
func copyHarmless(_ context.Context, a *asked) error {
	a.Nonce = a.params.Get("nonce")
	a.LoginHint = a.params.Get("login_hint")
	a.UILocales = a.params.Get(web.ParamUILocales)
	return nil
}

var promptValues = []string{"none", "login", "consent", "select_account"}
