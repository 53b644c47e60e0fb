// Package session keeps the sessions of browsers: one person signed in with one
// browser, behind a secret that only its cookie has. A browser may hold a few of
// them, one a person.
//
// It must never keep a secret in the clear, let one outlive a proof (each proof
// changes the secret: OWASP ASVS 5.0 section 7.2.4), end a session without what lives by it, or
// judge what its evidence is worth.
package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	// MaxPerBrowser is how many sessions one browser holds.
	MaxPerBrowser = 5
	secretBytes   = 32
	touchEvery    = time.Minute
)

// Config says how long sessions live. What is zero takes its default, which is as long
// as a proof is good for anything.
type Config struct {
	Lifetime time.Duration // since the newest proof; that of policy.AAL1
	Idle     time.Duration // since the last use; that of policy.AAL1
}

// Service keeps sessions.
type Service struct {
	cfg    Config
	store  *storage.Store
	events *events.Service
	now    func() time.Time
}

// New returns the service.
func New(cfg Config, store *storage.Store, ev *events.Service, now func() time.Time) *Service {
	limits := policy.LimitsOf(policy.AAL1)
	cfg.Lifetime, cfg.Idle = cmp.Or(cfg.Lifetime, limits.Lives), cmp.Or(cfg.Idle, limits.Idle)
	return &Service{cfg: cfg, store: store, events: ev, now: now}
}

// Hash is what the store knows of a secret.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// newSecret returns 256 random bits as base64url.
func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Secrets returns those of a cookie's values that can be secrets of sessions:
// in canonical form, each once, at most [MaxPerBrowser], in their order.
func Secrets(values []string) []string {
	var out []string
	for _, v := range values {
		b, err := base64.RawURLEncoding.Strict().DecodeString(v)
		if err == nil && len(b) == secretBytes && len(v) == base64.RawURLEncoding.EncodedLen(secretBytes) &&
			!slices.Contains(out, v) && len(out) < MaxPerBrowser {
			out = append(out, v)
		}
	}
	return out
}

// First returns values with secret, which is one of them, in front: the cookie
// after a choice.
func First(secret string, values []string) []string {
	return Secrets(append([]string{secret}, values...))
}

// Start adds a session for a person who just gave the evidence in st, in the
// unit of ctx, and returns it with its secret. storage.ErrStale, from here or from the
// flush: what it relies on is not so any more.
func (s *Service) Start(ctx context.Context, person storage.ID, with Agent, st policy.Standing, relies ...storage.Provided) (*storage.Session, string, error) {
	secret := newSecret()
	now := storage.At(s.now())
	se := &storage.Session{ID: storage.NewID(), SecretHash: Hash(secret), PersonID: person, Browser: with.Browser, System: with.System, CreatedAt: now, SeenAt: now}
	if err := s.stand(se, st); err != nil {
		return nil, "", err
	}
	if err := s.store.CreateSession(ctx, se, relies...); err != nil {
		return nil, "", fmt.Errorf("session: start: %w", err)
	}
	return se, secret, nil
}

// Renew gives a living session what a new proof changed, in the unit of ctx,
// and always a new secret, which it returns. storage.ErrStale, from here or from
// the flush: it ended or was renewed meanwhile, or what it relies on is not so any more.
func (s *Service) Renew(ctx context.Context, se *storage.Session, st policy.Standing, relies ...storage.Provided) (string, error) {
	secret, old := newSecret(), se.SecretHash
	se.SecretHash, se.SeenAt = Hash(secret), storage.At(s.now())
	if err := s.stand(se, st); err != nil {
		return "", err
	}
	if err := s.store.RenewSession(ctx, se, old, relies...); err != nil {
		return "", fmt.Errorf("session: renew: %w", err)
	}
	return secret, nil
}

// Decide notes a new decision about a living session, in the unit of ctx.
func (s *Service) Decide(ctx context.Context, se *storage.Session, st policy.Standing) error {
	se.SeenAt = storage.At(s.now())
	if err := s.stand(se, st); err != nil {
		return err
	}
	if err := s.store.KeepSession(ctx, se); err != nil {
		return fmt.Errorf("session: keep: %w", err)
	}
	return nil
}

// Moved notes, in the unit of ctx, that the browser of a living session has another id than
// it had; one that was proven in another browser stays as it is, and none is used by it.
func (s *Service) Moved(ctx context.Context, se *storage.Session, was, is storage.ID) error {
	st, err := policy.DecodeStanding(se.Evidence.V)
	if err != nil {
		return fmt.Errorf("session %s: %w", se.ID, err)
	}
	if was == "" || st.Device != string(was) {
		return nil
	}
	st.Decision.ID, st.Device = string(se.DecisionID), string(is)
	if err := s.stand(se, st); err != nil {
		return err
	}
	if err := s.store.KeepSession(ctx, se); err != nil {
		return fmt.Errorf("session: moved: %w", err)
	}
	return nil
}

// Touch notes that a session was used, at most once a minute, in the unit of ctx.
func (s *Service) Touch(ctx context.Context, se *storage.Session) error {
	now := storage.At(s.now())
	if now.Sub(se.SeenAt.Time) < touchEvery {
		return nil
	}
	st, err := Standing(se, now.Time)
	if err != nil {
		return err
	}
	return s.Decide(ctx, se, st)
}

// Standing reads what a session stands on, its evidence aged to now. Until it is kept
// or renewed the session counts as unused since it was last seen.
func Standing(se *storage.Session, now time.Time) (policy.Standing, error) {
	st, err := policy.DecodeStanding(se.Evidence.V)
	if err != nil {
		return st, fmt.Errorf("session %s: %w", se.ID, err)
	}
	st.Decision.ID = string(se.DecisionID)
	st.Evidence = policy.Age(st.Evidence, se.SeenAt.Time, now)
	return st, nil
}

func (s *Service) stand(se *storage.Session, st policy.Standing) error {
	doc, err := policy.EncodeStanding(st)
	if err != nil {
		return fmt.Errorf("session %s: %w", se.ID, err)
	}
	se.Evidence, se.DecisionID = storage.Document(doc), storage.ID(st.Decision.ID)
	se.ExpiresAt = s.expiry(se, st)
	return nil
}

// expiry is the earlier of both ends: a lifetime since the newest proof, an
// idle time since the last use.
func (s *Service) expiry(se *storage.Session, st policy.Standing) storage.Time {
	proven := se.CreatedAt.Time
	for _, e := range st.Evidence {
		if e.At.After(proven) {
			proven = e.At
		}
	}
	end, idle := proven.Add(s.cfg.Lifetime), se.SeenAt.Add(s.cfg.Idle)
	if idle.Before(end) {
		end = idle
	}
	return storage.At(end)
}

// End ends a session and the grants that live by it, with the event, in one
// unit; why is for the record. storage.ErrStale: it ended before.
func (s *Service) End(ctx context.Context, se *storage.Session, why string, by events.Actor) error {
	return s.end(ctx, se, why, by, s.store.EndSession)
}

// EndBeside is End in the unit of another person in the same browser, which relies on
// [storage.Living].
func (s *Service) EndBeside(ctx context.Context, se *storage.Session, why string, by events.Actor) error {
	return s.end(ctx, se, why, by, s.store.EndSessionBeside)
}

func (s *Service) end(ctx context.Context, se *storage.Session, why string, by events.Actor, end func(context.Context, storage.ID, storage.Time) error) error {
	err := s.store.Together(ctx, func(ctx context.Context) error {
		if err := end(ctx, se.ID, storage.At(s.now())); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{
			Kind: events.SessionEnded, Actor: by, Person: se.PersonID,
			Data: ended{Session: se.ID, Why: why},
		})
	})
	if err != nil {
		return fmt.Errorf("session: end: %w", err)
	}
	return nil
}

type ended struct {
	Session storage.ID `json:"session"`
	Why     string     `json:"why"`
}
