package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Caller is whose a request is.
type Caller struct {
	ClientID string   // "" for the operator at the database
	TokenID  string   // of its token (jti): all operators' tokens are one client's, so that it tells them apart
	Scopes   []string // of its token
}

// Operator returns the caller at the database itself, who may do everything.
func Operator() *Caller { return &Caller{Scopes: clients.APIScopes()} }

func (c *Caller) actor() events.Actor {
	if c.ClientID == "" {
		return events.ActorOperator
	}
	return events.ActorClient
}

// bucket is whose requests are counted together, and may be sent again by their keys: a
// client's, or of the client to which every operator's tokens are issued those of one
// token. There is no person to tell them apart by: a token of a person's grant is refused.
func (c *Caller) bucket() []string {
	if c.ClientID == clients.CommandLine {
		return []string{c.ClientID, c.TokenID}
	}
	return []string{c.ClientID}
}

// Refusal is the answer to a request whose token does not open what it asks for
// (RFC 6750 section 3).
type Refusal struct {
	Status      int    // 400, 401 or 403
	Code        string // of RFC 6750 section 3.1; "" where the request has no token
	Description string
	Scope       string // what would do, for insufficient_scope
	Err         error  // the cause, for the log only
}

// Error implements error.
func (r *Refusal) Error() string {
	text := r.Code + ": " + r.Description
	if r.Err != nil {
		text += " (" + r.Err.Error() + ")"
	}
	return text
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// InvalidToken returns the refusal of a token that is none of this API's, or no
// longer; cause is for the log.
func InvalidToken(cause error) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is not valid here, or no longer.", Err: cause}
}

// NotAClients returns the refusal of a token of a person's grant: what a person
// agrees to is no operator's order.
func NotAClients() *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: "insufficient_scope", Description: "The access token is a person's: this API takes those that a client gets for itself."}
}

var errNoToken = &Refusal{Status: http.StatusUnauthorized, Description: "The request has no access token."}

// challenge is the WWW-Authenticate of a refusal.
func (r *Refusal) challenge(realm string) string {
	out := `Bearer realm="` + realm + `"`
	if r.Code != "" {
		out += `, error="` + r.Code + `", error_description="` + r.Description + `"`
	}
	if r.Scope != "" {
		out += `, scope="` + r.Scope + `"`
	}
	return out
}

// rights are the caller's scopes in order, each once. An answer that is kept is for
// who has the rights that it was given by: one client may have tokens of more scopes
// and of fewer.
func (c *Caller) rights() []string { return slices.Compact(slices.Sorted(slices.Values(c.Scopes))) }

type callerKey struct{}

func withCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf returns whose the request is; there is always one.
func callerOf(ctx context.Context) *Caller { return ctx.Value(callerKey{}).(*Caller) } //nolint:forcetypeassert // serve put it there

// admit returns whose the request is, when its token has the scope and its client is
// within its rate.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, scope string) (*Caller, error) {
	caller, err := h.identify(w, r)
	if refused, ok := err.(*Refusal); ok { //nolint:errorlint // wrapped ones are not ours to write
		w.Header().Set("WWW-Authenticate", refused.challenge(h.issuer))
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(caller.Scopes, scope) {
		refused := &Refusal{Status: http.StatusForbidden, Code: "insufficient_scope", Description: "The access token lacks the scope " + scope + ".", Scope: scope}
		w.Header().Set("WWW-Authenticate", refused.challenge(h.issuer))
		return nil, refused
	}
	return caller, nil
}

func (h *Handler) identify(w http.ResponseWriter, r *http.Request) (*Caller, error) {
	if h.As != nil {
		return h.As, nil
	}
	token, err := bearer(r)
	if err != nil {
		return nil, err
	}
	caller, err := h.Verify(r.Context(), token)
	if err != nil {
		return nil, err
	}
	web.Log(r.Context()).Set("client_id", caller.ClientID) // also where it is refused
	web.Log(r.Context()).Set("token_id", caller.TokenID)
	return caller, h.count(w, r, caller)
}

// bearer returns the token of the Authorization header, and takes it from nowhere
// else (RFC 6750 section 2.1): URLs end in logs.
func bearer(r *http.Request) (string, error) {
	if r.URL.Query().Has("access_token") {
		return "", &Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: "An access token does not belong in a URL."}
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", &Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: "The access token is there more than once."}
	}
	if len(headers) == 0 {
		return "", errNoToken
	}
	scheme, token, found := strings.Cut(headers[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	return strings.TrimSpace(token), nil
}

// count counts the request, and tells the client of its limit
// (draft-ietf-httpapi-ratelimit-headers).
func (h *Handler) count(w http.ResponseWriter, r *http.Request, caller *Caller) error {
	limit := h.cfg.Rate
	now := h.Now()
	full, err := h.Throttle.Count(r.Context(), limit, caller.bucket()...)
	seconds := func(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
	window := limit.Every * time.Duration(limit.Burst)
	var (
		left  int
		reset time.Duration
	)
	switch wait := retryOf(err); {
	case wait > 0:
		left, reset = 0, wait
	case err != nil:
		return err
	default:
		reset = full.Sub(now)
		left = int((window - reset) / limit.Every)
	}
	w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"client";q=%d;w=%d`, limit.Burst, seconds(window)))
	w.Header().Set("RateLimit", fmt.Sprintf(`"client";r=%d;t=%d`, max(left, 0), seconds(reset)))
	return err
}

func retryOf(err error) time.Duration {
	for _, f := range fault.All(err) {
		if f.Kind == fault.KindTooMany {
			return f.RetryAfter
		}
	}
	return 0
}

// mayManage refuses what would let a caller reach further than it does: to give a
// client scopes of this API that it does not hold itself, or to change a client that
// has such scopes, whose secret it could then take.
func mayManage(ctx context.Context, scope string) error {
	held, words := callerOf(ctx).Scopes, storage.Strings(strings.Fields(scope))
	for _, s := range clients.APIScopes() {
		if words.Has(s) && !slices.Contains(held, s) {
			return notHeld(s, "scope", "who gives it to a client, or changes a client that has it, must hold it")
		}
	}
	return nil
}

// notHeld refuses what needs a scope that the caller's token does not have.
func notHeld(scope, field, why string) error {
	return &fault.Error{
		Kind: fault.KindForbidden, Code: "scope_not_held", Field: field,
		Message: fmt.Sprintf("%s is a scope of this API that your token does not have: %s", scope, why),
	}
}
