// Package errorsx stands in for github.com/ory/x/errorsx: it has exactly what
// ory/fosite calls. It must never capture a stack: fosite wraps an error for
// each handler that does not apply, so a capture costs a fifth of a request.
package errorsx

import "errors"

// WithStack returns err as it is.
func WithStack(err error) error { return err }

// Cause returns the innermost error that names its cause by a Cause method.
func Cause(err error) error {
	for {
		var c interface{ Cause() error }
		if !errors.As(err, &c) || c.Cause() == nil {
			return err
		}
		err = c.Cause()
	}
}

// The interfaces by which an error says more about itself.
type (
	// StatusCodeCarrier has an HTTP status code.
	StatusCodeCarrier interface{ StatusCode() int }
	// RequestIDCarrier has the id of the request that failed.
	RequestIDCarrier interface{ RequestID() string }
	// ReasonCarrier has a reason for a person.
	ReasonCarrier interface{ Reason() string }
	// DebugCarrier has details for a developer.
	DebugCarrier interface{ Debug() string }
	// StatusCarrier has an HTTP status text.
	StatusCarrier interface{ Status() string }
	// DetailsCarrier has structured details.
	DetailsCarrier interface{ Details() map[string]any }
)
