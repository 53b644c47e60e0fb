package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Nothing may be loaded, framed or sent: the policy of every answer that is no page.
const sealedPolicy = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// standingHeaders are those of every answer; a handler may replace Cache-Control.
func (w *Web) standingHeaders(h http.Header, requestID string) {
	h.Set("X-Request-ID", requestID)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", sealedPolicy)
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if w.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// AllowForm lets the form of this request's page lead to target, a proven
// redirect URI: a browser checks form-action against every redirect that
// follows a form, and stops in silence where it does not match.
func AllowForm(ctx context.Context, target string) {
	s := stateOf(ctx)
	if source := formSource(target); source != "" && !slices.Contains(s.targets, source) {
		s.targets = append(s.targets, source)
	}
}

// formSource is the CSP source for a redirect URI: its scheme. Its origin would
// not do: the check goes on after the client has answered, and many a client's
// callback redirects to another origin of its own.
func formSource(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" {
		return ""
	}
	return u.Scheme + ":"
}

// openPolicy is the policy of one page.
func openPolicy(ctx context.Context) string {
	sources := append([]string{"'self'"}, stateOf(ctx).targets...)
	return "default-src 'none'; script-src 'nonce-" + Nonce(ctx) + "'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"form-action " + strings.Join(sources, " ") + "; base-uri 'none'; frame-ancestors 'none'"
}
