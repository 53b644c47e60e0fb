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
type Problem = web.Problem

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
		return &Problem{Type: "about:blank", Title: http.StatusText(refused.Status), Status: refused.Status, Code: code, Detail: refused.Description, RequestID: requestID}
	}
	return web.NewProblem(requestID, err)
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
	w.Header().Set("Content-Type", web.ProblemType)
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
