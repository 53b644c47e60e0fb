package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// SetupLifetime is how long a set-up link may be used.
const SetupLifetime = time.Hour

// setupBytes is how many random bytes its secret has.
const setupBytes = 32

// SetupOffer is the link by which the first of [Operators] comes in.
type SetupOffer struct {
	Secret string    // "" where the link was made before: only its hash is kept
	Until  time.Time // when it ceases to work
}

// OfferSetup makes the secret of the link by which the first of [Operators] comes
// in, with the event, in one unit: the one that there was is dead from now on.
// storage.ErrSpent: somebody runs this house already.
func (s *Service) OfferSetup(ctx context.Context, by events.Actor) (SetupOffer, error) {
	return s.offerSetup(ctx, s.store.ReplaceSetupLink, by)
}

// EnsureSetup is [Service.OfferSetup] where there is no link that works; one that does,
// and that somebody may have copied by now, stays.
func (s *Service) EnsureSetup(ctx context.Context, by events.Actor) (SetupOffer, error) {
	made, err := s.offerSetup(ctx, s.store.CreateSetupLink, by)
	if !errors.Is(err, storage.ErrSpent) {
		return made, err
	}
	link, occupied, failed := s.store.SetupLink(ctx, Operators)
	if failed != nil || occupied || link.SecretHash == nil { // nil: it was used or swept meanwhile
		return SetupOffer{}, errors.Join(failed, err)
	}
	return SetupOffer{Until: link.ExpiresAt.UTC()}, nil
}

func (s *Service) offerSetup(ctx context.Context, keep func(context.Context, *storage.SetupLink) error, by events.Actor) (SetupOffer, error) {
	b := make([]byte, setupBytes)
	_, _ = rand.Read(b) // never fails
	now := s.now()
	made := SetupOffer{Secret: base64.RawURLEncoding.EncodeToString(b), Until: now.Add(SetupLifetime).UTC()}
	link := &storage.SetupLink{
		Name: Operators, SecretHash: hashSetup(made.Secret), CreatedAt: storage.At(now), ExpiresAt: storage.At(made.Until),
	}
	err := s.store.Together(ctx, func(ctx context.Context) error {
		if err := keep(ctx, link); err != nil {
			return err
		}
		return s.events.Record(ctx, events.Event{Kind: events.SetupOffered, Actor: by})
	})
	if err != nil {
		return SetupOffer{}, fmt.Errorf("directory: offer set-up: %w", err)
	}
	return made, nil
}

func hashSetup(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// SetupOpen returns nil if secret is that of the living set-up link,
// storage.ErrSpent if somebody runs this house already, else storage.ErrNotFound. It
// is one statement and spends nothing.
func (s *Service) SetupOpen(ctx context.Context, secret string) error {
	link, occupied, err := s.store.SetupLink(ctx, Operators)
	switch {
	case err != nil:
		return fmt.Errorf("directory: set-up: %w", err)
	case occupied:
		return fmt.Errorf("directory: set-up: %w", storage.ErrSpent)
	case subtle.ConstantTimeCompare(link.SecretHash, hashSetup(secret)) != 1, !link.ExpiresAt.After(s.now()):
		return fmt.Errorf("directory: set-up: %w", storage.ErrNotFound)
	}
	return nil
}

// SetUp adds the first of [Operators] and spends the link that the secret is of, in
// the unit of ctx, which the caller flushes together with the person's proof: of any
// number of calls one comes to something, whatever they are called with, and the
// others fail with storage.ErrSpent. The address is not verified: nobody can answer
// for it yet. Faults are those of [Service.Create]; whoever has an account already
// keeps it as it is.
func (s *Service) SetUp(ctx context.Context, secret string, in NewPerson) (*storage.Person, error) {
	if in.Name == "" {
		_, faults := in.check()
		return nil, fault.Join(append(faults, fault.Invalid("name", "is missing"))...)
	}
	in.Verified = false
	now := storage.At(s.now())
	if err := s.store.SpendSetupLink(ctx, Operators, hashSetup(secret), now); err != nil {
		return nil, fmt.Errorf("directory: set up: %w", err)
	}
	p, err := s.Create(ctx, in, events.ActorPerson)
	if err != nil {
		return nil, err
	}
	if err := s.store.AddNewcomer(ctx, &storage.Member{GroupName: Operators, PersonID: p.ID, CreatedAt: now}); err != nil {
		return nil, fmt.Errorf("directory: set up: %w", err)
	}
	return p, errors.Join(
		s.events.Record(ctx, events.Event{Kind: events.GroupMemberAdded, Actor: events.ActorPerson, Person: p.ID, Data: groupEvent{Group: Operators}}),
		s.events.Record(ctx, events.Event{Kind: events.SetupCompleted, Actor: events.ActorPerson, Person: p.ID}),
	)
}
