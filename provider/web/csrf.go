package web

import (
	"crypto/hmac"
	"errors"
	"net/http"
)

// fieldToken is the hidden field of every form (templates.Form).
const fieldToken = "form_token"

var (
	errForeignOrigin = errors.New("the form was sent from another origin")
	errFormToken     = errors.New("the form token is missing or another browser's")
)

// checkForm lets a form through that was sent from a page of ours, shown to
// this browser: the request's origin is ours as far as the browser tells, and
// the token fits the browser's cookie.
func (w *Web) checkForm(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if err := w.checkOrigin(r); err != nil {
		return forbidden("", err)
	}
	browser := w.KnownBrowser(r)
	if browser == "" || !hmac.Equal([]byte(r.PostForm.Get(fieldToken)), []byte(w.FormToken(browser))) {
		return forbidden("other_browser", errFormToken)
	}
	return nil
}

// checkOrigin is stricter than CrossOriginProtection, which compares hosts
// only: http://our-host is not our origin. Origin: null is ours when the browser says so
// in Sec-Fetch-Site, because no-referrer makes it say null.
func (w *Web) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	own := origin == "" || origin == w.origin || origin == "null" && r.Header.Get("Sec-Fetch-Site") == "same-origin"
	if !own {
		return errForeignOrigin
	}
	return w.sameOrigin.Check(r)
}
