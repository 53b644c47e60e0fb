package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// Choose goes on with one of the browser's sessions, "" for an account that is
// not signed in yet, and returns the cookie's new values. storage.ErrNotFound:
// it is none of this browser's living sessions.
func (s *Service) Choose(ctx context.Context, a Answer, b Browser, id storage.ID) (Answer, []string, error) {
	progress := a.chose(id)
	if id != "" {
		secret, err := s.secretByID(ctx, b, id)
		if err != nil {
			return Answer{}, nil, err
		}
		b.Sessions = session.First(secret, b.Sessions)
	}
	a.browser = b
	next, err := s.advance(ctx, a, progress, nil)
	return next, session.Secrets(b.Sessions), err
}

func (s *Service) secretByID(ctx context.Context, b Browser, id storage.ID) (string, error) {
	all, err := s.Accounts(ctx, b)
	if err != nil {
		return "", err
	}
	for _, one := range all {
		if one.Session.ID == id {
			return secretOf(b, &one.Session), nil
		}
	}
	return "", storage.ErrNotFound
}

// secretOf returns what the cookie holds for one of its sessions.
func secretOf(b Browser, se *storage.Session) string {
	return session.Secrets(b.Sessions)[place(hashes(b), se)]
}

// Consent notes what the person said to the client's wishes; a yes is
// remembered, with its event, beside what they agreed to before. shown is the
// session whose person was asked: if it is not the one that the request goes on
// with by now, or another step is due, it changes nothing and answers a.
func (s *Service) Consent(ctx context.Context, a Answer, shown storage.ID, allow bool) (Answer, error) {
	if a.Step != StepConsent || a.SignIn.Session.ID != shown {
		return a, nil
	}
	// From now on it is this person's request, whoever signs in in another tab.
	progress := a.Progress
	progress.Session, progress.Consent = a.SignIn.Session.ID, ConsentDeny
	if !allow {
		return s.advance(ctx, a, progress, nil)
	}
	progress.Consent, progress.Withdrawals = ConsentAllow, a.SignIn.Consent.Withdrawals
	return s.advance(ctx, a, progress, func(ctx context.Context) error {
		return s.grants.Give(ctx, a.SignIn.Person.ID, a.Request.ClientID, &a.SignIn.Consent, a.Request.asked())
	})
}

// Did notes that the step was done that a page of ours is for, in one unit with what
// also does, and answers anew. Nothing is done where another step is due by now, or
// the request goes on with another session than shown.
func (s *Service) Did(ctx context.Context, a Answer, shown storage.ID, also func(context.Context) error) (Answer, error) {
	if !a.does(shown) {
		return a, nil
	}
	return s.advance(ctx, a, a.did(), also)
}

// DidGuarded is Did for what finds by itself that it comes too late: also brings the guard
// of the unit, whose error this returns.
func (s *Service) DidGuarded(ctx context.Context, a Answer, shown storage.ID, also func(context.Context) error) (Answer, error) {
	if !a.does(shown) {
		return a, nil
	}
	return s.guarded(ctx, a, a.did(), also, func(now Answer) (Progress, bool) { return now.did(), now.does(shown) })
}

// guarded notes p in one unit with what also does, which brings the guard, and answers
// anew once nothing lacks.
func (s *Service) guarded(ctx context.Context, a Answer, p Progress, also func(context.Context) error, lacks func(Answer) (Progress, bool)) (Answer, error) {
	progress, err := p.document()
	if err != nil {
		return Answer{}, err
	}
	unit := storage.WithUnit(ctx)
	if err := s.store.NoteProgress(unit, a.Interaction, progress); err != nil {
		return Answer{}, fmt.Errorf("flow: did: %w", err)
	}
	if err := also(unit); err != nil {
		return Answer{}, fmt.Errorf("flow: did: %w", err)
	}
	if err := s.store.Flush(unit); err != nil {
		if !tooLate(err) {
			return Answer{}, fmt.Errorf("flow: did: %w", err)
		}
		now, failed := s.Resume(ctx, string(a.Interaction.ID), a.browser)
		if failed == nil {
			if _, is := lacks(now); !is { // another tab did it, or their session ended
				return now, nil
			}
		}
		return Answer{}, fmt.Errorf("flow: did: %w", errors.Join(err, failed))
	}
	return s.settle(ctx, a, a.browser, lacks)
}

// tooLate reports whether a guard found that something is not as it was read.
func tooLate(err error) bool {
	return slices.ContainsFunc([]error{storage.ErrNotFound, storage.ErrConflict, storage.ErrSpent, storage.ErrStale}, func(guard error) bool { return errors.Is(err, guard) })
}

// does reports whether the step that a page of ours is for is due, for that session.
func (a *Answer) does(shown storage.ID) bool {
	return a.Step == pageRules[a.Request.Page].does && a.SignIn.Session.ID == shown
}

// DidFor reports whether the step was done, that a page of ours is for, by that session.
func (a *Answer) DidFor(page Page, shown storage.ID) bool {
	return a.Request.Page == page && a.Progress.Done && a.SignIn != nil && a.SignIn.Session.ID == shown
}

// Own is a secret of this request and session that only the browser can bring again, with
// its cookie: whenever the form comes back that it sent here.
func (a *Answer) Own() string {
	return a.browser.Secret + " " + string(a.Interaction.ID) + " " + string(a.SignIn.Session.ID)
}

func (a *Answer) did() Progress {
	progress := a.Progress
	progress.Done = true
	return progress
}

// Pend notes what the step began that a page of ours is for, so that the page shows the
// same again, and returns what stands: another tab's, where that came first.
// storage.ErrStale: something else is due by now.
func (s *Service) Pend(ctx context.Context, a Answer, id storage.ID) (storage.ID, error) {
	err := s.write(ctx, a, a.pending(id))
	if !errors.Is(err, storage.ErrStale) {
		return id, err
	}
	now, err := s.settle(ctx, a, a.browser, func(now Answer) (Progress, bool) {
		return now.pending(id), now.Step == a.Step && now.Progress.Pending == a.Progress.Pending
	})
	if err == nil && now.Step != a.Step {
		err = storage.ErrStale
	}
	return now.Progress.Pending, err
}

func (a *Answer) pending(id storage.ID) Progress {
	progress := a.Progress
	progress.Pending = id
	return progress
}

func (s *Service) write(ctx context.Context, a Answer, p Progress) error {
	progress, err := p.document()
	if err != nil {
		return err
	}
	if err := s.store.AdvanceInteraction(ctx, a.Interaction, progress); err != nil {
		return fmt.Errorf("flow: note: %w", err)
	}
	return nil
}

// Cancel ends the request with a no: "back to the app". Who only thought better of
// replacing their password goes on without.
func (s *Service) Cancel(ctx context.Context, a Answer) (Answer, error) {
	progress := a.Progress
	if progress.Breached == BreachedReplace {
		progress.Breached = BreachedLater
	} else {
		progress.Cancelled = true
	}
	return s.advance(ctx, a, progress, nil)
}

// advance writes progress, and what also does, in one unit, and answers anew. Where
// something else was noted since a was read, nothing is written, and the answer is what
// is due now. storage.ErrSpent: the interaction was answered meanwhile.
func (s *Service) advance(ctx context.Context, a Answer, p Progress, also func(context.Context) error) (Answer, error) {
	unit := storage.WithUnit(ctx)
	if err := s.write(unit, a, p); err != nil {
		return Answer{}, err
	}
	if also != nil {
		if err := also(unit); err != nil {
			return Answer{}, fmt.Errorf("flow: advance: %w", err)
		}
	}
	if err := s.store.Flush(unit); err != nil && !errors.Is(err, storage.ErrStale) {
		return Answer{}, fmt.Errorf("flow: advance: %w", err)
	}
	return s.Resume(ctx, string(a.Interaction.ID), a.browser)
}

// settle answers anew, once there is nothing to note any more: another tab may have noted
// something since a was read, so that what was done stands nowhere yet.
func (s *Service) settle(ctx context.Context, a Answer, b Browser, lacks func(Answer) (Progress, bool)) (now Answer, err error) {
	for range maxSettles {
		if now, err = s.Resume(ctx, string(a.Interaction.ID), b); err != nil {
			return now, err
		}
		progress, is := lacks(now)
		if !is {
			return now, nil
		}
		if err := s.write(ctx, now, progress); err != nil && !errors.Is(err, storage.ErrStale) {
			return Answer{}, err
		}
	}
	return now, nil // others are busy with it: they go on from there
}

// maxSettles is how often a request is answered anew because another tab was quicker.
const maxSettles = 4
