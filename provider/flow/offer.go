package flow

import (
	"context"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// How long somebody is left alone who skipped the offer of a passkey: once, and more often.
const (
	offerAgain = 30 * 24 * time.Hour
	offerRare  = 90 * 24 * time.Hour
)

// never is beyond every life.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *Service) mayOffer(in *storage.SignIn) bool {
	at := in.Person.PasskeyOfferAt
	return s.cfg.Passkeys && len(in.Passkeys) == 0 && (at.IsZero() || !at.After(s.now()))
}

// Skip notes that the person wants no passkey now, or with forGood never to be asked
// again, and answers anew. As [Service.Did] it does nothing where another step is due.
func (s *Service) Skip(ctx context.Context, a Answer, shown storage.ID, forGood bool) (Answer, error) {
	if !a.offers(shown) {
		return a, nil
	}
	until := s.now().Add(offerAgain)
	switch {
	case forGood:
		until = never
	case !a.SignIn.Person.PasskeyOfferAt.IsZero():
		until = s.now().Add(offerRare)
	}
	return s.advance(ctx, a, a.offered(), func(ctx context.Context) error {
		return s.store.DeferPasskeyOffer(ctx, a.SignIn.Person.ID, storage.At(until))
	})
}

// Took is [Service.DidGuarded] for the offer of a passkey.
func (s *Service) Took(ctx context.Context, a Answer, shown storage.ID, also func(context.Context) error) (Answer, error) {
	if !a.offers(shown) {
		return a, nil
	}
	return s.guarded(ctx, a, a.offered(), also, func(now Answer) (Progress, bool) { return now.offered(), now.offers(shown) })
}

func (a *Answer) offers(shown storage.ID) bool {
	return a.Step == StepOffer && a.SignIn.Session.ID == shown
}

func (a *Answer) offered() Progress {
	progress := a.Progress
	progress.Offered = true
	return progress
}
