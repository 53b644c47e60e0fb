package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
)

// token serves the token endpoint (RFC 6749 section 3.2).
func (h *Handler) token(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.fromClient(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	in := &engine.TokenRequest{Client: client, GrantType: form.Get("grant_type"), Form: form}
	web.Log(ctx).Set("grant_type", printable(in.GrantType))
	switch {
	case in.GrantType == "":
		return engine.Refuse("invalid_request", "The parameter grant_type is missing.")
	case !slices.Contains(engine.GrantTypes(), in.GrantType):
		return engine.Refusef("unsupported_grant_type", "The grant_type %s is not supported.", printable(in.GrantType))
	case !slices.Contains(client.Metadata.V.GrantTypes, in.GrantType):
		return diagnosed(engine.Refusef("unauthorized_client", "The client is not registered for the grant %s.", in.GrantType), grantTypeMismatch(client, in.GrantType))
	}
	if name, ok := required[in.GrantType]; ok && form.Get(name) == "" {
		return engine.Refusef("invalid_request", "The parameter %s is missing.", name)
	}
	if resources := form["resource"]; len(resources) > 1 {
		return engine.Refuse("invalid_target", "One access token is for one resource: ask for each by a request of its own.")
	} else if len(resources) == 1 {
		in.Resource = resources[0]
	}
	out, err := h.Engine.Token(ctx, in)
	if err != nil {
		return h.explain(ctx, in, err)
	}
	web.Log(ctx).Set("grant_id", string(out.GrantID))
	h.count(in.GrantType, out)
	return writeOAuthJSON(w, http.StatusOK, out)
}

// count counts the tokens of an answer.
func (h *Handler) count(grantType string, out *engine.TokenResponse) {
	for _, given := range [...]struct{ kind, token string }{
		{"access_token", out.AccessToken}, {"refresh_token", out.RefreshToken}, {"id_token", out.IDToken},
	} {
		if given.token != "" {
			h.issued.WithLabelValues(grantType, given.kind).Inc()
		}
	}
}

// required names the one parameter that a grant type cannot do without.
var required = map[string]string{
	engine.GrantCode:    "code",
	engine.GrantRefresh: "refresh_token",
}

// writeOAuthJSON writes an answer that no cache may keep (RFC 6749 section 5.1).
func writeOAuthJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// oauthError is RFC 6749 section 5.2.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// refusal turns any error into what a client may see of it.
// The header says when to come back, if that makes sense.
func refusal(w http.ResponseWriter, err error) *engine.Error {
	var refused *engine.Error
	if errors.As(err, &refused) {
		return refused
	}
	status, retry := web.Status(err)
	web.SetRetryAfter(w, retry)
	var shown *fault.Error
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		return &engine.Error{Code: "server_error", Description: "Something went wrong here. It has been noted.", Status: status}
	case status == http.StatusServiceUnavailable:
		return &engine.Error{Code: "temporarily_unavailable", Description: "Please try again in a moment.", Status: status}
	case errors.As(err, &shown):
		return &engine.Error{Code: "invalid_request", Description: printable(shown.Message), Status: status}
	}
	return &engine.Error{Code: "invalid_request", Description: "The request cannot be understood.", Status: status}
}

// refusedAt is the one writer of errors of the endpoints at which clients prove
// who they are; endpoint is for the metrics.
func (h *Handler) refusedAt(endpoint string) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		refused := refusal(w, err)
		noteDiagnosis(r.Context(), err)
		web.Log(r.Context()).Set("oauth_error", refused.Code)
		web.Log(r.Context()).Set("oauth_error_description", refused.Description)
		h.refused.WithLabelValues(endpoint, refused.Code).Inc()
		if refused.Code == "invalid_client" { // RFC 6749 section 5.2; RFC 9110 section 11.6.1
			w.Header().Set("WWW-Authenticate", `Basic realm="`+h.issuer+`", charset="UTF-8"`)
		}
		_ = writeOAuthJSON(w, refused.Status, oauthError{refused.Code, refused.Description}) // the client has gone: nobody is left to tell
	}
}
