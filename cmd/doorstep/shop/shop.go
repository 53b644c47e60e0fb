// Package shop is Forecourt Motors, a small car shop and the demo's relying party.
//
// It stands for somebody else's service: it knows the provider by its issuer alone,
// signs people in with go-oidc and x/oauth2 as any relying party would, and protects
// its own API with sdk/go. Somebody who browses, signs in, looks at /me, reserves a car
// and signs out has seen each thing that the provider does for a client:
//
//	login.go     code + PKCE, state, nonce, iss; RP-initiated logout
//	tokens.go    userinfo, and a refresh that asks for the API's own token (RFC 8707)
//	api.go       POST /api/reservations, which takes nothing but that token
//	session.go   what the shop remembers, on the server and in memory
//
// It must never import anything of ours but sdk/go, never let a token reach the browser
// (the ID token's way back to the provider at logout aside), and never keep anything
// that a restart should not lose.
package shop

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

const (
	sessionAge  = 12 * time.Hour
	maxSessions = 10_000
	signInAge   = 15 * time.Minute // from /login to /callback
	maxSignIns  = 10_000
)

// Config says who the shop is, and to whom it sends people to sign in. Everything but
// Log and Mails is required.
type Config struct {
	Issuer       string // of the provider, exactly
	ClientID     string
	ClientSecret string // sent with client_secret_basic
	BaseURL      string // where browsers find the shop, without a path: http://localhost:8081
	APIAudience  string // what the shop's API is called at the provider (RFC 8707): http://localhost:8081/api
	APIScope     string // what a token must allow to reserve a car: cars:reserve
	Mails        string // where the mails of a demo are read; "" for no link
	Now          func() time.Time
	Log          *slog.Logger // nil means slog.Default
}

// RedirectURI is where the provider sends people after they signed in; it has to be
// registered there, and BaseURL + "/" as the address after signing out.
func (c Config) RedirectURI() string { return strings.TrimSuffix(c.BaseURL, "/") + "/callback" }

// Shop serves the pages and the API.
type Shop struct {
	cfg      Config
	log      *slog.Logger
	client   *http.Client
	handler  http.Handler
	sessions *shelf[*session]
	signIns  *shelf[signIn]

	mu       sync.Mutex // held while the provider is discovered
	provider *provider  // nil until then
}

// New makes the shop. It sends nothing: the provider, which may start at the same
// time, is discovered when somebody first signs in.
func New(cfg Config) (*Shop, error) {
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || base.Path != "" {
		return nil, fmt.Errorf("shop: base URL %q is not an origin", cfg.BaseURL)
	}
	if cfg.ClientID == "" || cfg.ClientSecret == "" || cfg.APIScope == "" || cfg.Now == nil {
		return nil, errors.New("shop: client id, client secret, API scope and clock are required")
	}
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	verifier, err := doorstep.New(doorstep.Config{
		Issuer: cfg.Issuer, Audience: cfg.APIAudience, Now: cfg.Now, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("shop: %w", err)
	}
	s := &Shop{
		cfg: cfg,
		log: cfg.Log,
		client: &http.Client{
			Timeout:       10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		sessions: newShelf[*session](cfg.Now, maxSessions, sessionAge),
		signIns:  newShelf[signIn](cfg.Now, maxSignIns, signInAge),
	}
	s.handler = s.routes(verifier)
	return s, nil
}

func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Shop) routes(verifier *doorstep.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", s.page(s.home))
	mux.Handle("GET /cars/{id}", s.page(s.car))
	mux.Handle("POST /cars/{id}/reserve", s.page(s.reserve))
	mux.Handle("GET /reservations/{number}", s.page(s.reservation))
	mux.Handle("GET /me", s.page(s.me))
	mux.Handle("GET /login", s.page(s.login))
	mux.Handle("GET /callback", s.page(s.callback))
	mux.Handle("POST /logout", s.page(s.logout))
	mux.Handle("POST /api/reservations", verifier.Require(s.cfg.APIScope)(http.HandlerFunc(s.apiReserve)))
	mux.HandleFunc("GET /shop.css", asset("shop.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /icon.svg", asset("icon.svg", "image/svg+xml"))
	mux.Handle("/", s.page(func(http.ResponseWriter, *http.Request) error {
		return &failure{status: http.StatusNotFound, title: "Nothing is parked here", text: "The page has moved, or never was."}
	}))

	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(s.page(func(http.ResponseWriter, *http.Request) error {
		return &failure{status: http.StatusForbidden, title: "That did not come from our pages",
			text: "Another site sent this request in your name, so we did nothing with it."}
	}))
	return protection.Handler(mux)
}

// failure is an error with words for the visitor; cause is for the log only.
type failure struct {
	status      int
	title, text string
	again       string // where to try again: a path of ours, or empty
	cause       error
}

func (f *failure) Error() string { return f.title }
func (f *failure) Unwrap() error { return f.cause }

// page makes a handler of one that returns an error, and tells visitors what went wrong.
func (s *Shop) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.protect(w.Header())
		err := h(w, r)
		if err == nil {
			return
		}
		var f *failure
		if !errors.As(err, &f) {
			f = &failure{status: http.StatusInternalServerError, title: "Something broke on our side",
				text: "It is not you. Please try again in a moment.", cause: err}
		}
		if f.cause != nil {
			s.log.WarnContext(r.Context(), "shop: "+f.title, "path", r.URL.Path, "error", f.cause)
		}
		s.render(w, r, f.status, "notice", view{Title: f.title, Body: noticeView{f.title, f.text, f.again}})
	})
}

// protect sets the headers that every page has. A form may end at the provider, by a
// redirect after signing out or before signing in, and browsers hold redirects against
// form-action too.
func (s *Shop) protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
		"base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+origin(s.cfg.Issuer))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
