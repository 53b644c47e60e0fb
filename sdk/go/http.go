package doorstep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Require lets a request through if its token is good and allows every scope named,
// and puts the token's claims into the request's context. Otherwise it answers as
// RFC 6750 section 3 says: 401 invalid_token, 403 insufficient_scope, 400
// invalid_request; or 503 when the provider's keys cannot be had. It panics if a scope
// is not one by RFC 6749 section 3.3.
func (v *Verifier) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, scope := range scopes {
		if scope == "" || strings.ContainsFunc(scope, notScope) {
			panic(fmt.Sprintf("doorstep: %q is not a scope", scope))
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, p := v.authorize(r, scopes)
			if p != nil {
				p.write(w)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
		})
	}
}

func notScope(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

func (v *Verifier) authorize(r *http.Request, scopes []string) (*Claims, *problem) {
	token, p := bearer(r)
	if p != nil {
		return nil, p
	}
	claims, err := v.Verify(r.Context(), token)
	var refused refusal
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		return nil, &problem{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			description: "the token cannot be checked right now"}
	case errors.As(err, &refused):
		return nil, &problem{status: http.StatusUnauthorized, code: "invalid_token", description: string(refused)}
	case err != nil:
		return nil, &problem{status: http.StatusUnauthorized, code: "invalid_token"}
	}
	for _, scope := range scopes {
		if !claims.HasScope(scope) {
			return nil, &problem{status: http.StatusForbidden, code: "insufficient_scope",
				description: "the token does not allow this", scope: strings.Join(scopes, " ")}
		}
	}
	return claims, nil
}

// bearer takes the token from the Authorization header and from nowhere else: a token
// in a query ends up in logs and histories (RFC 9700 section 4.3.2).
func bearer(r *http.Request) (string, *problem) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", &problem{status: http.StatusBadRequest, code: "invalid_request",
			description: "more than one Authorization header"}
	}
	scheme, token, _ := strings.Cut(strings.Join(values, ""), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &problem{status: http.StatusUnauthorized} // no code: nothing was tried (RFC 6750 section 3.1)
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", &problem{status: http.StatusBadRequest, code: "invalid_request", description: "the token is missing"}
	}
	return token, nil
}

// problem is an answer that lets nobody through. Its strings are our own fixed words
// and checked scopes, so that they can stand between quotes as they are.
type problem struct {
	status      int
	code        string
	description string
	scope       string
}

func (p *problem) write(w http.ResponseWriter) {
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	} else {
		w.Header().Set("WWW-Authenticate", p.challenge())
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	// A caller who has gone away does not read it, and there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description,omitempty"`
	}{p.code, p.description})
}

func (p *problem) challenge() string {
	var params []string
	for _, param := range [][2]string{{"error", p.code}, {"error_description", p.description}, {"scope", p.scope}} {
		if param[1] != "" {
			params = append(params, fmt.Sprintf(`%s="%s"`, param[0], param[1]))
		}
	}
	return strings.TrimSpace("Bearer " + strings.Join(params, ", "))
}
