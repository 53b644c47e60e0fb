package shop

import (
	"container/list"
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

// shelf keeps values under names that nobody can guess: at most size of them, each for
// at most age. Where there is no room, the oldest makes it.
type shelf[T any] struct {
	now  func() time.Time
	size int
	age  time.Duration

	mu     sync.Mutex
	order  *list.List // of kept[T], oldest first
	byName map[string]*list.Element
}

type kept[T any] struct {
	name  string
	since time.Time
	value T
}

func newShelf[T any](now func() time.Time, size int, age time.Duration) *shelf[T] {
	return &shelf[T]{now: now, size: size, age: age, order: list.New(), byName: map[string]*list.Element{}}
}

// put keeps value and returns its name, of 130 random bits.
func (s *shelf[T]) put(value T) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for oldest := s.order.Front(); oldest != nil; oldest = s.order.Front() {
		if s.order.Len() < s.size && s.fresh(oldest) {
			break
		}
		s.remove(oldest)
	}
	name := rand.Text()
	s.byName[name] = s.order.PushBack(kept[T]{name: name, since: s.now(), value: value})
	return name
}

func (s *shelf[T]) get(name string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byName[name]
	if !ok || !s.fresh(e) {
		return value, false
	}
	return e.Value.(kept[T]).value, true
}

// take is get, once.
func (s *shelf[T]) take(name string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byName[name]
	if !ok {
		return value, false
	}
	s.remove(e)
	return e.Value.(kept[T]).value, s.fresh(e)
}

func (s *shelf[T]) fresh(e *list.Element) bool {
	return s.now().Sub(e.Value.(kept[T]).since) < s.age
}

func (s *shelf[T]) remove(e *list.Element) {
	delete(s.byName, e.Value.(kept[T]).name)
	s.order.Remove(e)
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
	http.SetCookie(w, &http.Cookie{
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
