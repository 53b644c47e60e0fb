package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Problem is every error of the API (RFC 9457).
type Problem struct {
	Type      string       `json:"type" required:"true" example:"about:blank" doc:"Always about:blank: title and status say what kind of problem it is (RFC 9457 section 4.2.1)."`
	Title     string       `json:"title" required:"true" example:"Bad Request" doc:"The status in words."`
	Status    int          `json:"status" required:"true" example:"400" doc:"The HTTP status."`
	Code      string       `json:"code" required:"true" example:"invalid" doc:"The kind of problem, for machines."`
	Detail    string       `json:"detail,omitempty" example:"redirect_uris: \"ftp://a.example\" must be https" doc:"What is wrong, for humans."`
	Errors    []FieldError `json:"errors,omitempty" doc:"Every fault by itself, so that all are mended in one go."`
	RequestID string       `json:"request_id" required:"true" example:"IQJ4PVBC2UYZRNH6" doc:"By which the server's log knows the request."`
}

// FieldError is one fault of a request.
type FieldError struct {
	Field  string `json:"field,omitempty" example:"redirect_uris" doc:"The member, parameter or header that it is about; none for the request as a whole."`
	Detail string `json:"detail" required:"true" example:"\"ftp://a.example\" must be https" doc:"What is wrong with it."`
}

// Error implements error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter (RFC 9457 section 3).
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func unsupportedMedia(op *huma.Operation) error {
	var known []string
	for kind := range op.RequestBody.Content {
		known = append(known, kind)
	}
	slices.Sort(known)
	return &fault.Error{Kind: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Field: "Content-Type", Message: "must be " + strings.Join(known, " or ")}
}

// newProblem is the one mapping from an error to what is told of it.
func newProblem(requestID string, err error) *Problem {
	var refused *Refusal
	if errors.As(err, &refused) {
		code := refused.Code
		if code == "" {
			code = web.Code(refused.Status)
		}
		return &Problem{"about:blank", http.StatusText(refused.Status), refused.Status, code, refused.Description, nil, requestID}
	}
	status, _ := web.Status(err)
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: web.Code(status), RequestID: requestID}
	all := fault.All(err)
	if len(all) > 0 && all[0].Code != "" {
		p.Code = all[0].Code
	}
	var shown []string
	for _, f := range all {
		shown = append(shown, f.Shown())
		if f.Field != "" || len(all) > 1 {
			p.Errors = append(p.Errors, FieldError{f.Field, f.Message})
		}
	}
	switch {
	case len(shown) > 0:
		p.Detail = strings.Join(shown, "; ")
	case status == http.StatusNotFound:
		p.Detail = "there is no such thing"
	case status == http.StatusServiceUnavailable:
		p.Detail = "not available at the moment"
	case status >= http.StatusInternalServerError:
		p.Detail = "something went wrong here; it has been noted"
	}
	return p
}

// writeProblem answers a request that failed outside of huma; web has logged it.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	_, retry := web.Status(err)
	web.SetRetryAfter(w, retry)
	p := newProblem(web.RequestID(r.Context()), err)
	body, err := json.Marshal(p)
	if err != nil {
		web.Log(r.Context()).Set("write_error", err.Error())
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the client has gone: nobody is left to tell
}

// huma has these for all its APIs at once; ours is the only one in the house.
func init() { //nolint:gochecknoinits // see above: set once, before anybody reads them
	huma.DefaultArrayNullable, huma.ValidateStrictCasing = false, true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return newProblem("", invalid(status, msg, errs))
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return failed(ctx, invalid(status, msg, errs))
	}
}

// failed logs the error of a request that huma answers, and returns its answer.
func failed(ctx huma.Context, err error) *Problem {
	web.Log(ctx.Context()).Fail(err)
	_, w := humamux.Unwrap(ctx)
	_, retry := web.Status(err)
	web.SetRetryAfter(w, retry)
	return newProblem(web.RequestID(ctx.Context()), err)
}

// invalid returns the error that a handler returned, or as faults what huma found
// wrong with a request before there was a handler.
func invalid(status int, msg string, errs []error) error {
	var faults []*fault.Error
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if !errors.As(err, &detail) {
			return err
		}
		faults = append(faults, faultOf(detail))
	}
	if len(faults) > 0 {
		return fault.Join(faults...)
	}
	kind := fault.KindInvalid
	if status == http.StatusRequestEntityTooLarge {
		kind = fault.KindTooLarge
	}
	if status >= http.StatusInternalServerError {
		return errors.New(msg)
	}
	return &fault.Error{Kind: kind, Code: "invalid", Message: msg}
}

// faultOf says what huma found, and never the value: it may be a secret. Of a member
// that is missing huma names what it is missing in.
func faultOf(d *huma.ErrorDetail) *fault.Error {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	name, begins := strings.CutPrefix(d.Message, before)
	name, ends := strings.CutSuffix(name, after)
	if !begins || !ends {
		return fault.Invalid(fieldAt(d.Location), d.Message)
	}
	return fault.Invalid(strings.TrimPrefix(fieldAt(d.Location)+"."+name, "."), "is missing")
}

// fieldAt is a place of huma's in the caller's words: "body.redirect_uris[0]" is
// redirect_uris[0], "query.limit" is limit.
func fieldAt(location string) string {
	_, field, _ := strings.Cut(location, ".")
	return field
}

// stale turns a conflict with what was read into a failed precondition where the
// caller named one (RFC 9110 section 13.1.1).
func stale(ctx context.Context, err error) error {
	if v := versionOf(ctx); v.given && !v.any && isStale(err) {
		return errPrecondition
	}
	return err
}
