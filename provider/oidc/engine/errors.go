package engine

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ory/fosite"
)

// Error is an error that a client sees: a registered code (RFC 6749 sections
// 4.1.2.1 and 5.2, RFC 8707, OIDC Core 3.1.2.6) and a sentence that helps.
type Error struct {
	Code        string
	Description string
	Status      int   // HTTP status at a token-style endpoint
	Err         error // the cause, for the log only
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Description, e.Err)
	}
	return e.Code + ": " + e.Description
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Refuse returns an error that a client sees, with status 400, or 401 for
// invalid_client. The description may repeat what came from outside.
func Refuse(code, description string) *Error {
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	return &Error{Code: code, Description: strings.Map(describing, description), Status: status}
}

// describing maps to what an error_description may have (RFC 6749 section 5.2):
// ASCII that can be seen, no double quote and no backslash.
func describing(r rune) rune {
	switch {
	case r == '"' || r == '\\':
		return '\''
	case r < ' ' || r > '~':
		return '?'
	}
	return r
}

// Refusef is Refuse with a format.
func Refusef(code, format string, args ...any) *Error {
	return Refuse(code, fmt.Sprintf(format, args...))
}

// wireCodes maps fosite's error names to the registered codes that may leave.
// What is missing here is a fault of ours.
var wireCodes = map[string]string{
	"invalid_request":           "invalid_request",
	"invalid_client":            "invalid_client",
	"invalid_grant":             "invalid_grant",
	"unauthorized_client":       "unauthorized_client",
	"unsupported_grant_type":    "unsupported_grant_type",
	"unsupported_response_type": "unsupported_response_type",
	"invalid_scope":             "invalid_scope",
	"scope_not_granted":         "invalid_scope",
	"access_denied":             "access_denied",
	"token_expired":             "invalid_grant",
	"token_inactive":            "invalid_grant",
	"invalid_token":             "invalid_grant",
	"not_found":                 "invalid_grant",
}

// descriptions are what a client is told where there is nothing more to say.
var descriptions = map[string]string{
	"invalid_request":           "The request cannot be understood.",
	"invalid_client":            "The client is not known, or did not prove who it is.",
	"invalid_grant":             "The code or refresh token is not valid: it was used before, has expired, was revoked, or belongs to another client.",
	"unauthorized_client":       "The client is not registered for this.",
	"unsupported_grant_type":    "The grant type is not supported.",
	"unsupported_response_type": "The response type is not supported.",
	"invalid_scope":             "The scope is not available to this client.",
	"access_denied":             "The request was refused.",
}

// fromFosite turns fosite's error into ours; what is no refusal comes back as it is.
func fromFosite(err error) error {
	var rfc *fosite.RFC6749Error
	if !errors.As(err, &rfc) {
		return err
	}
	code, known := wireCodes[rfc.ErrorField]
	if cause := rfc.Unwrap(); !known && cause != nil {
		return fmt.Errorf("engine: %w: %w", err, cause) // fosite's own text leaves it out
	}
	if !known {
		return fmt.Errorf("engine: %w", err)
	}
	description := descriptions[code]
	if rfc.HintField != "" {
		description = rfc.HintField
	}
	e := Refuse(code, description)
	e.Err = err
	return e
}
