package shop

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "forecourt_session"
	signInCookie  = "forecourt_signin"  // while somebody is away to sign in
	signOutCookie = "forecourt_signout" // while somebody is away to sign out
)

// session is one person, signed in with one browser.
type session struct {
	rawIDToken string // the hint for signing out
	person     person

	mu           sync.Mutex // guards what follows, also while tokens are fetched: a refresh token works once
	refresh      string     // empty if the provider gave none
	apiToken     string     // for our own API; empty until the first reservation
	apiExpires   time.Time
	reservations []reservation
}

// signIn is what must be known again when the provider sends somebody back.
type signIn struct {
	state, nonce string
	verifier     string // PKCE
	next         string // the path to go on to
}

// shelf keeps values under names that nobody can guess, each for at most age. It takes
// size values: where there is no room, the oldest makes it.
type shelf[T any] struct {
	now  func() time.Time
	size int
	age  time.Duration

	mu    sync.Mutex
	kept  map[string]kept[T]
	queue []string // names, oldest first; those of values taken stay until it is their turn
}

type kept[T any] struct {
	value T
	since time.Time
}

func newShelf[T any](now func() time.Time, size int, age time.Duration) *shelf[T] {
	return &shelf[T]{now: now, size: size, age: age, kept: map[string]kept[T]{}}
}

// put keeps value and returns its name, of 130 random bits.
func (s *shelf[T]) put(value T) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && (len(s.queue) >= s.size || !s.fresh(s.queue[0])) {
		delete(s.kept, s.queue[0])
		s.queue = s.queue[1:]
	}
	name := rand.Text()
	s.kept[name] = kept[T]{value, s.now()}
	s.queue = append(s.queue, name)
	return name
}

func (s *shelf[T]) get(name string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fresh(name) {
		return value, false
	}
	return s.kept[name].value, true
}

// take is get, once.
func (s *shelf[T]) take(name string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fresh(name) {
		return value, false
	}
	value = s.kept[name].value
	delete(s.kept, name)
	return value, true
}

func (s *shelf[T]) fresh(name string) bool {
	k, ok := s.kept[name]
	return ok && s.now().Sub(k.since) < s.age
}

// session returns the visitor's session, or nil.
func (s *Shop) session(r *http.Request) *session {
	found, _ := s.sessions.get(cookie(r, sessionCookie))
	return found
}

// setCookie gives the browser a value to bring back, or with an empty one takes it away.
func (s *Shop) setCookie(w http.ResponseWriter, name, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if value == "" {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure on https; the demo runs on http on a loopback address
		Name: name, Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.cfg.BaseURL, "https:"),
	})
}

// cookie returns what the browser brings back under name, or "".
func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}
