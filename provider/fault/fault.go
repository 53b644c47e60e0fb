// Package fault has the errors that a person or a client may see: what is wrong,
// with which field, in words of ours. A service returns them, a surface maps
// their Kind to a status once.
//
// It must never carry an inner error's text, a secret or a name of another
// person in Field or Message: the cause goes into Err, which only the log reads.
package fault

import (
	"errors"
	"strings"
	"time"
)

// Kind tells what sort of fault it is; its value is the HTTP status that
// surfaces answer with (RFC 9110 section 15, RFC 6585 section 4).
type Kind int

// The kinds that surfaces know.
const (
	KindInvalid     Kind = 400
	KindForbidden   Kind = 403
	KindNotFound    Kind = 404
	KindConflict    Kind = 409
	KindTooLarge    Kind = 413
	KindTooMany     Kind = 429
	KindUnavailable Kind = 503
)

// Status returns the HTTP status of this kind.
func (k Kind) Status() int { return int(k) }

// Error is a fault that may be shown.
type Error struct {
	Kind       Kind
	Code       string        // for machines: "invalid", "not_found", ...
	Field      string        // what it is about, in the asker's own words; "" for the request as a whole
	Message    string        // for humans: what is wrong, as in "must be an https URL"
	RetryAfter time.Duration // when to come back; 0 if that makes no sense
	Err        error         // the cause, for the log only; may be nil
}

// Error returns field, message and cause, for the log.
func (e *Error) Error() string {
	text := e.Shown()
	if e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text
}

// Shown returns field and message: what may be shown.
func (e *Error) Shown() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalid returns a fault of what was sent in field.
func Invalid(field, message string) *Error {
	return &Error{Kind: KindInvalid, Code: "invalid", Field: field, Message: message}
}

// NotFound returns the fault that there is no such thing, or not for this asker.
func NotFound(what string) *Error {
	return &Error{Kind: KindNotFound, Code: "not_found", Message: "there is no such " + what}
}

// Conflict returns the fault that what was sent in field does not go with what
// is there.
func Conflict(field, message string) *Error {
	return &Error{Kind: KindConflict, Code: "conflict", Field: field, Message: message}
}

// TooLarge returns the fault that what was sent in field is beyond its limit.
func TooLarge(field, message string) *Error {
	return &Error{Kind: KindTooLarge, Code: "too_large", Field: field, Message: message}
}

// TooMany returns the fault that the asker has to wait.
func TooMany(retry time.Duration) *Error {
	return &Error{Kind: KindTooMany, Code: "too_many", Message: "too many attempts", RetryAfter: retry}
}

// Unavailable returns the fault that nobody can be served now; err says why, to
// the log.
func Unavailable(retry time.Duration, err error) *Error {
	return &Error{Kind: KindUnavailable, Code: "unavailable", Message: "not available at the moment", RetryAfter: retry, Err: err}
}

// Join returns all of the given faults as one error, so that whoever sent them
// mends them in one go: nil for none, a single one as it is, several as one
// fault of the first one's kind that shows every field.
func Join(faults ...*Error) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return faults[0]
	}
	all := &parts{}
	var shown []string
	for _, f := range faults {
		all.faults = append(all.faults, f)
		shown = append(shown, f.Shown())
	}
	return &Error{Kind: faults[0].Kind, Code: faults[0].Code, Message: strings.Join(shown, "; "), Err: all}
}

// All returns every single fault in err: one, or those that were joined.
func All(err error) []*Error {
	var all *parts
	if errors.As(err, &all) {
		return all.faults
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}

// parts keeps joined faults apart.
type parts struct{ faults []*Error }

func (p *parts) Error() string { return "several faults" }

func (p *parts) Unwrap() []error {
	errs := make([]error, len(p.faults))
	for i, f := range p.faults {
		errs[i] = f
	}
	return errs
}
