package oidc

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// document is a public JSON document that caches may keep, ready to be sent: the
// slices are the answers' headers, shared by all of them.
type document struct {
	body                       []byte
	etag, length, cacheControl []string
}

var contentJSON = []string{"application/json"}

// newDocument returns the document of body under its entity tag, quotes included,
// which caches may keep for age.
func newDocument(body []byte, etag string, age time.Duration) *document {
	return &document{
		body:         body,
		etag:         []string{etag},
		length:       []string{strconv.Itoa(len(body))},
		cacheControl: []string{"public, max-age=" + strconv.Itoa(int(age.Seconds()))},
	}
}

// write answers with the document, or with 304 if the client has it (RFC 9110
// section 13.1.2). The server keeps the body back where the method is HEAD.
func (d *document) write(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h["Etag"] = d.etag
	h["Cache-Control"] = d.cacheControl
	if known := r.Header["If-None-Match"]; known != nil && d.isAmong(known) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = contentJSON
	h["Content-Length"] = d.length
	_, err := w.Write(d.body)
	return err
}

// isAmong reports whether a client names the document's tag, by the weak comparison
// of RFC 9110 section 8.8.3.2. None of our tags has a comma in it.
func (d *document) isAmong(ifNoneMatch []string) bool {
	for _, line := range ifNoneMatch {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == d.etag[0] {
				return true
			}
		}
	}
	return false
}
