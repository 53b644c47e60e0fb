package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// The cookies, by their names without the prefix.
const (
	cookieBrowser = "browser" // 256 bits that bind interactions and forms to this browser
	cookieSession = "session" // secrets of sessions, the current one first
	cookieDevice  = "device"  // which browser this is, signed
	cookieLang    = "lang"    // the language picked on a page
	cookieSetup   = "setup"   // the secret of the link that set-up began with
)

const (
	// Browsers keep no cookie for longer than 400 days (RFC 6265bis section 5.5).
	// How long a session or a device is believed, its row decides.
	longAge = 400 * 24 * time.Hour

	maxSessions = 5
	maxSecret   = 128 // characters; what a secret looks like is session's to know
	secretBytes = 32
)

// cookieName is the name on the wire: on https the prefix makes the browser
// refuse it from a subdomain, from http and with another path (RFC 6265bis
// section 4.1.3.2); on an http loopback issuer a prefix could not be set at all.
func (w *Web) cookieName(name string) string {
	if w.secure {
		return "__Host-doorstep_" + name
	}
	return "doorstep_" + name
}

// cookie returns the cookie's value, "" when it is absent.
func (w *Web) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(w.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie writes a cookie; age 0 keeps it until the browser closes, a
// negative one removes it.
func (w *Web) setCookie(rw http.ResponseWriter, name, value string, age time.Duration) {
	maxAge := int(age / time.Second)
	if age < 0 {
		maxAge = -1
	}
	http.SetCookie(rw, &http.Cookie{ //nolint:gosec // Secure wherever the issuer is https
		Name:     w.cookieName(name),
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   w.secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// Browser returns the browser's secret and sets its cookie when there was none.
// Interactions keep its hash; forms carry [Web.FormToken] of it.
func (w *Web) Browser(rw http.ResponseWriter, r *http.Request) string {
	if secret := w.KnownBrowser(r); secret != "" {
		return secret
	}
	secret := newSecret()
	stateOf(r.Context()).browser = secret // the same one for every caller in this request
	w.setCookie(rw, cookieBrowser, secret, 0)
	return secret
}

// KnownBrowser returns the browser's secret, "" when this browser has none yet.
func (w *Web) KnownBrowser(r *http.Request) string {
	if secret := stateOf(r.Context()).browser; secret != "" {
		return secret
	}
	if secret := w.cookie(r, cookieBrowser); isSecret(secret) {
		return secret
	}
	return ""
}

// Sessions returns the secrets of this browser's sessions, the current one
// first, at most five. They are not proven to be anyone's.
func (w *Web) Sessions(r *http.Request) []string {
	var secrets []string
	for s := range strings.SplitSeq(w.cookie(r, cookieSession), ".") {
		if s != "" && len(s) <= maxSecret && len(secrets) < maxSessions {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

// SetSessions replaces the list of sessions; none removes the cookie.
func (w *Web) SetSessions(rw http.ResponseWriter, secrets []string) {
	if len(secrets) == 0 {
		w.setCookie(rw, cookieSession, "", -1)
		return
	}
	w.setCookie(rw, cookieSession, strings.Join(secrets, "."), longAge)
}

// Device returns the id of this browser as a device, "" when it has none or the
// cookie is not ours.
func (w *Web) Device(r *http.Request) storage.ID {
	raw, mac, _ := strings.Cut(w.cookie(r, cookieDevice), ".")
	id, err := storage.ParseID(raw)
	if err != nil || !hmac.Equal([]byte(mac), []byte(w.deviceMAC(id))) {
		return ""
	}
	return id
}

// SetDevice remembers this browser as that device, for 400 days.
func (w *Web) SetDevice(rw http.ResponseWriter, id storage.ID) {
	w.setCookie(rw, cookieDevice, string(id)+"."+w.deviceMAC(id), longAge)
}

// Setup returns the secret of the set-up link that this browser came by, "" when it
// came by none. It is not proven to be right.
func (w *Web) Setup(r *http.Request) string {
	if secret := w.cookie(r, cookieSetup); isSecret(secret) {
		return secret
	}
	return ""
}

// SetSetup keeps the secret of a set-up link until the browser closes, so that it
// leaves the address bar; "", or what cannot be one, removes it.
func (w *Web) SetSetup(rw http.ResponseWriter, secret string) {
	if !isSecret(secret) {
		w.setCookie(rw, cookieSetup, "", -1)
		return
	}
	w.setCookie(rw, cookieSetup, secret, 0)
}

func (w *Web) deviceMAC(id storage.ID) string {
	return base64.RawURLEncoding.EncodeToString(mac(w.deviceKey, string(id)))
}

// FormToken returns the hidden field of the forms shown to that browser.
func (w *Web) FormToken(browser string) string {
	return base64.RawURLEncoding.EncodeToString(mac(w.formKey, browser))
}

func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// isSecret reports whether s has the form of one of our cookie secrets.
func isSecret(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == secretBytes
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
