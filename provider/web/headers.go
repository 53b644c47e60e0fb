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

// header is one that is ready to be sent: its name in the canonical form, and its
// value in the slice that all answers share, without room to append to.
type header struct {
	name  string
	value []string
}

func newHeader(name, value string) header {
	return header{http.CanonicalHeaderKey(name), []string{value}}
}

// standing are the headers of every answer; a handler may replace Cache-Control.
func standing(secure bool) []header {
	all := []header{
		newHeader("Cache-Control", "no-store"),
		newHeader("Content-Security-Policy", sealedPolicy),
		newHeader("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
		newHeader("Referrer-Policy", "no-referrer"),
		newHeader("X-Content-Type-Options", "nosniff"),
		newHeader("X-Frame-Options", "DENY"),
	}
	if secure {
		all = append(all, newHeader("Strict-Transport-Security", "max-age=31536000"))
	}
	return all
}

// standingHeaders gives an answer those, and its request's id.
func (w *Web) standingHeaders(h http.Header, requestID []string) {
	h["X-Request-Id"] = requestID
	for _, s := range w.standing {
		h[s.name] = s.value
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
