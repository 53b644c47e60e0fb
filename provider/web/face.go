package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/templates"
)

// Pages have two faces: HTML, and for scripts of a page of this very origin JSON. The
// same handler answers both, with the same checks: what it shows is the view as data, what
// it sends the browser on to is the member "next", and its form may come as an object.

const jsonType = "application/json"

// wantsJSON reports whether JSON is what a request asks for. A browser that goes to a
// page itself always takes HTML, and one that takes anything gets it.
func wantsJSON(r *http.Request) bool {
	asks := false
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		switch kind, _, _ := mime.ParseMediaType(part); kind {
		case jsonType:
			asks = true
		case "text/html":
			return false
		}
	}
	return asks
}

// asJSON reports whether this answer is to be JSON.
func asJSON(rw http.ResponseWriter) bool {
	out, ok := rw.(*response)
	return ok && out.json
}

var varyAccept = []string{"Accept"}

var errUnsaidOrigin = errors.New("nothing says which page it was sent from")

// checkFace lets no page of another origin have the JSON face, nor send to it: beside
// what a form needs, the browser has to say where a POST comes from.
func (w *Web) checkFace(r *http.Request) error {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch {
	case site != "" && site != "same-origin":
		return forbidden("", errForeignOrigin)
	case site == "" && origin == "" && r.Method == http.MethodPost:
		return forbidden("", errUnsaidOrigin)
	}
	if err := w.checkOrigin(r); err != nil {
		return forbidden("", err)
	}
	return nil
}

// readObject makes a form of a body that is a flat JSON object, if it is one.
// Names that the form does not have are refused, and are no typing error
// that nobody sees.
func readObject(route Route, r *http.Request) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != jsonType || r.Method != http.MethodPost {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	form, err := parseObject(body)
	if err != nil {
		return err
	}
	for name := range form {
		if name != fieldToken && !slices.Contains(route.Fields, name) {
			return fault.Invalid(name, "is no field of this form")
		}
	}
	r.PostForm = form
	return nil
}

// parseObject reads an object whose members are all text, each of another name.
func parseObject(body []byte) (url.Values, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, fault.Invalid("body", "is not valid JSON")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if begins, _ := d.Token(); begins != json.Delim('{') {
		return nil, fault.Invalid("body", "must be an object")
	}
	form := url.Values{}
	for d.More() {
		token, _ := d.Token() // that it is JSON is known
		name, _ := token.(string)
		value, _ := d.Token()
		text, ok := value.(string)
		switch {
		case !ok:
			return nil, fault.Invalid(name, "must be text")
		case form.Has(name):
			return nil, fault.Invalid(name, "is given twice")
		}
		form.Set(name, text)
	}
	return form, nil
}

// face writes a page as data.
func (w *Web) face(rw http.ResponseWriter, status int, page any) error {
	name, data, err := templates.Face(page, w.formFace)
	if err != nil {
		return err
	}
	return WriteJSON(rw, status, struct {
		Page string         `json:"page"`
		Data map[string]any `json:"data"`
	}{name, data})
}

// formFace is a form for a program: where it goes, the token and the names of its fields.
func (w *Web) formFace(f templates.Form) any {
	path, _, _ := strings.Cut(f.Action, "?")
	fields, _ := w.forms.Load(path)
	return struct {
		Action string `json:"action"`
		Token  string `json:"token"`
		Fields any    `json:"fields"`
	}{f.Action, f.Token, fields}
}

// writeProblem writes an error as RFC 9457 has it.
func (w *Web) writeProblem(rw http.ResponseWriter, r *http.Request, err error) {
	status, retry := Status(err)
	SetRetryAfter(rw, retry)
	body, marshalErr := json.Marshal(NewProblem(RequestID(r.Context()), err))
	if marshalErr != nil {
		Log(r.Context()).Set("write_error", marshalErr.Error())
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", ProblemType)
	rw.WriteHeader(status)
	_, _ = rw.Write(append(body, '\n')) // the client has gone: nobody is left to tell
}
