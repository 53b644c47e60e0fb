package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

var (
	errMethod = errors.New("the method is not one of this path's")
	errNoFile = fault.NotFound("file")
)

const (
	// statusGone is logged for a client that left before its answer (nginx's number).
	statusGone = 499
	// retryStore is how soon to ask again when the store could not answer.
	retryStore = 2 * time.Second
)

// Status is the one mapping from an error to what HTTP says: the status and, if
// asking again may help, how long to wait. What is unknown is a 500.
func Status(err error) (status int, retry time.Duration) {
	var (
		f        *fault.Error
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &f):
		return f.Kind.Status(), f.RetryAfter
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, 0
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed, 0
	case errors.Is(err, storage.ErrNotFound):
		return http.StatusNotFound, 0
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrStale):
		return http.StatusConflict, 0
	case errors.Is(err, storage.ErrSpent):
		return http.StatusGone, 0
	case storage.Unavailable(err), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, retryStore
	}
	return http.StatusInternalServerError, 0
}

// fail records the error and writes it as the route wants it, unless the answer
// has begun or nobody waits for it.
func (w *Web) fail(route Route, rw http.ResponseWriter, r *http.Request, err error) {
	Log(r.Context()).Fail(err)
	if out, ok := rw.(*response); ok {
		if out.code == 0 && errors.Is(r.Context().Err(), context.Canceled) {
			out.code = statusGone
		}
		if out.code != 0 {
			return
		}
	}
	if methods := route.Methods(); errors.Is(err, errMethod) && len(methods) > 0 {
		rw.Header().Set("Allow", strings.Join(methods, ", "))
	}
	switch {
	case route.Error != nil:
		route.Error(rw, r, err)
	case asJSON(rw):
		w.writeProblem(rw, r, err)
	case route.Dialect == HTML:
		w.ErrorPage(rw, r, err)
	default:
		w.errorJSON(rw, r, err)
	}
}

// ErrorPage writes the error page. It has no link: an address in a faulty
// request is not proven.
func (w *Web) ErrorPage(rw http.ResponseWriter, r *http.Request, err error) {
	status, retry := Status(err)
	seconds := SetRetryAfter(rw, retry)
	page := templates.Error{
		Base: w.Base(r, "", ""), Status: status, Kind: pageKind(err, status), RequestID: RequestID(r.Context()), RetryAfter: seconds,
	}
	if d := diagnosisOf(err); d != nil && w.cfg.Developer {
		page.Diagnosis = &templates.Diagnosis{Problem: d.Problem, Arrived: d.Arrived, Registered: d.Registered, Command: d.Command}
	}
	if err := w.Page(rw, r, status, page); err != nil {
		Log(r.Context()).Set("page_error", err.Error())
	}
}

// errorJSON writes the error for programs: a code, a sentence and, where one
// field is at fault, its name.
func (w *Web) errorJSON(rw http.ResponseWriter, r *http.Request, err error) {
	status, retry := Status(err)
	SetRetryAfter(rw, retry)
	body := struct {
		Error     string `json:"error"`
		Message   string `json:"message"`
		Field     string `json:"field,omitempty"`
		RequestID string `json:"request_id"`
	}{Code(status), http.StatusText(status), "", RequestID(r.Context())}
	var f *fault.Error
	if errors.As(err, &f) {
		body.Field = f.Field
		if f.Code != "" {
			body.Error = f.Code
		}
		if f.Message != "" {
			body.Message = f.Message
		}
	}
	if err := WriteJSON(rw, status, body); err != nil {
		Log(r.Context()).Set("write_error", err.Error())
	}
}

// SetRetryAfter sets the header of that name, in whole seconds rounded up, and
// returns them; nothing for zero.
func SetRetryAfter(rw http.ResponseWriter, retry time.Duration) int {
	if retry <= 0 {
		return 0
	}
	seconds := Seconds(retry)
	rw.Header().Set("Retry-After", strconv.Itoa(seconds))
	return seconds
}

// Seconds is how long to wait, in whole seconds rounded up.
func Seconds(retry time.Duration) int { return int(math.Ceil(retry.Seconds())) }

// pageKind chooses the words of the error page: the fault's code where it is
// one of them, else by the status.
func pageKind(err error, status int) string {
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Code != "":
		return f.Code
	case status == http.StatusGone:
		return "expired"
	}
	return ""
}

// forbidden is a 403 whose page has the words of code.
func forbidden(code string, err error) error {
	return &fault.Error{Kind: fault.KindForbidden, Code: code, Message: "the form did not come from a page of ours", Err: err}
}

// Code returns the code for machines of an answer that has none of its own:
// "not_found" for 404.
func Code(status int) string {
	text := http.StatusText(status)
	if text == "" {
		return "error"
	}
	return strings.ReplaceAll(strings.ToLower(text), " ", "_")
}
