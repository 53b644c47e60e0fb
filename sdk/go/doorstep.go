// Package doorstep is what a service imports to protect itself with access tokens
// of a Doorstep provider (or of any other that issues RFC 9068 tokens).
//
// A Verifier is made once, from the provider's issuer and the service's own audience,
// and wraps handlers:
//
//	verifier, err := doorstep.New(doorstep.Config{
//		Issuer:   "https://id.example.com",
//		Audience: "https://api.example.com",
//	})
//	mux.Handle("POST /cars", verifier.Require("cars:reserve")(reserve))
//
// and a handler learns from the request's context who calls:
//
//	claims, _ := doorstep.FromContext(r.Context())
//
// Keys are found by discovery when the first token arrives, and kept. Tokens are
// verified here, without asking the provider, so a revoked token is accepted until it
// ends: ten minutes by the provider's default.
//
// The package must never take a token from anywhere but the Authorization header,
// never trust a key or an address that the token itself names, never log or answer
// with any part of a token, and never accept an ID token.
package doorstep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrInvalidToken says that a token is not one that this service may accept; the
// error that wraps it says why, in words that the caller may see.
var ErrInvalidToken = errors.New("invalid token")

// ErrKeysUnavailable says that the provider's keys could not be fetched, so nothing is
// known about the token: the caller should try again.
var ErrKeysUnavailable = errors.New("the provider's keys are unavailable")

// Config says whose tokens a Verifier accepts, and for whom.
type Config struct {
	// Issuer is the provider's issuer identifier, character by character: https, or http
	// on a loopback address. Required.
	Issuer string
	// Audience is this service's own resource identifier, as registered with the
	// provider; a token must carry exactly this string in aud. Required.
	Audience string

	// Transport carries the requests for metadata and keys; nil means
	// http.DefaultTransport. Redirects are never followed.
	Transport http.RoundTripper
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears when keys cannot be fetched; nil means slog.Default.
	Log *slog.Logger
}

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	issuer   string
	audience string
	now      func() time.Time
	keys     *keyCache
}

// New makes a Verifier. It sends nothing: keys are fetched with the first token, so a
// service may start before its provider.
func New(cfg Config) (*Verifier, error) {
	if err := checkURL(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("doorstep: issuer %q: %w", cfg.Issuer, err)
	}
	if cfg.Audience == "" {
		return nil, errors.New("doorstep: no audience")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // a service that imports this is its own composition root
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Verifier{
		issuer:   cfg.Issuer,
		audience: cfg.Audience,
		now:      cfg.Now,
		keys:     newKeyCache(cfg),
	}, nil
}

// checkURL accepts an address that keys may come from: https, or http to this very
// machine, where nobody can stand in between.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must have a host, and neither user, query nor fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return errors.New("must be https (or http on a loopback address)")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type contextKey struct{}

// FromContext returns the claims of the token that Require accepted, and whether there
// are any.
func FromContext(ctx context.Context) (*Claims, bool) {
	claims, ok := ctx.Value(contextKey{}).(*Claims)
	return claims, ok
}
