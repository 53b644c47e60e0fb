package web

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// checkParameters parses query and form once, and refuses text that a database
// could not keep: invalid UTF-8 and NUL, also in the path and in what HTTP
// Basic carries. After it r.Form and r.PostForm are complete.
func checkParameters(dialect Dialect, r *http.Request) error {
	if !isText(r.URL.Path) {
		return fault.Invalid("path", "is not valid text")
	}
	if !isBasicText(r) {
		return fault.Invalid("Authorization", "is not valid text")
	}
	if dialect == JSON && r.URL.RawQuery == "" {
		return nil
	}
	if dialect == JSON {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return fault.Invalid("query", "cannot be read")
		}
		return checkText(query)
	}
	if r.PostForm == nil { // else it came as JSON
		if err := checkFormType(r); err != nil {
			return err
		}
	}
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return fault.Invalid("parameters", "cannot be read")
	}
	return checkText(r.Form)
}

// checkFormType refuses bodies of another kind rather than not to see their
// parameters (RFC 6749 section 3.2: application/x-www-form-urlencoded).
func checkFormType(r *http.Request) error {
	header := r.Header.Get("Content-Type")
	if r.ContentLength == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(header); err != nil || kind != "application/x-www-form-urlencoded" {
		return fault.Invalid("Content-Type", "must be application/x-www-form-urlencoded")
	}
	return nil
}

func checkText(values url.Values) error {
	for name, list := range values {
		if !isText(name) {
			return fault.Invalid("parameters", "have a name that is not valid text")
		}
		// A password is kept as exact bytes: NUL in it is the person's own choice.
		exact := name == FieldPassword
		for _, v := range list {
			if !utf8.ValidString(v) || !exact && strings.IndexByte(v, 0) >= 0 {
				return fault.Invalid(name, "is not valid text")
			}
		}
	}
	return nil
}

// FieldPassword is the one field whose value may hold NUL: it is hashed, never stored.
const FieldPassword = "password"

// isBasicText reports whether the credentials of HTTP Basic, if there are any,
// are text before and after their form decoding (RFC 6749 section 2.3.1).
func isBasicText(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return true
	}
	for _, s := range []string{id, secret} {
		if decoded, err := url.QueryUnescape(s); !isText(s) || err == nil && !isText(decoded) {
			return false
		}
	}
	return true
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
