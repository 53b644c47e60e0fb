package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// Breached notes whether the person replaces a password that is in lists of stolen ones
// now, or later. shown is as [Service.Consent]'s.
func (s *Service) Breached(ctx context.Context, a Answer, shown storage.ID, replace bool) (Answer, error) {
	if a.Step != StepBreached || a.SignIn.Session.ID != shown {
		return a, nil
	}
	progress := a.Progress
	progress.Session, progress.Breached = a.SignIn.Session.ID, BreachedLater
	if replace && a.CanReplace() {
		progress.Breached = BreachedReplace
	}
	return s.advance(ctx, a, progress, nil)
}

// CanReplace reports whether a password can be replaced in the midst of this request.
func (a *Answer) CanReplace() bool { return !a.Decision.Risky() }

// NewPassword sets a new password of the person by set, gives their session, which no
// list of stolen ones is held against any more, a new secret, and goes on: all in one
// unit. It returns the cookie's new values; none where nothing was set, as in
// [Service.Did], or when the session was renewed or ended meanwhile.
func (s *Service) NewPassword(ctx context.Context, a Answer, shown storage.ID, set func(context.Context) error) (Answer, []string, error) {
	if a.Step != StepNewPassword || a.SignIn.Session.ID != shown {
		return a, nil, nil
	}
	return s.renewing(ctx, a, a.replaced(), func(st *policy.Standing) {
		for i := range st.Evidence {
			st.Evidence[i].Breached = false
		}
	}, set, func(now Answer) (Progress, bool) {
		return now.replaced(), now.Step == StepNewPassword && now.SignIn.Session.ID == shown
	})
}

// Disowned takes the account back by disown, in one unit in which the person's session,
// which lives on, has a new secret, and this browser counts for no more than one that is known.
// It returns the cookie's new values; none where nothing was done, as in [Service.Did], or
// when the session was renewed or ended, or the link used, meanwhile.
func (s *Service) Disowned(ctx context.Context, a Answer, shown storage.ID, disown func(context.Context) error) (Answer, []string, error) {
	if !a.does(shown) {
		return a, nil, nil
	}
	var relies []storage.Provided
	if a.Request.Link != nil {
		relies = append(relies, storage.LinkOf(a.SignIn.Person.ID, a.Request.Link))
	}
	return s.renewing(ctx, a, a.did(), func(st *policy.Standing) {
		if st.Tier.AtLeast(policy.TierCookie) {
			st.Tier = policy.TierCookie
		}
	}, disown, func(now Answer) (Progress, bool) { return now.did(), now.does(shown) }, relies...)
}

// renewing notes p in one unit with what do does, in which the session of the request has a
// new secret and stands on what change makes of it, and answers anew once nothing lacks.
// It returns the cookie's new values; none where another tab was quicker, or what all of it
// relies on is not so any more.
func (s *Service) renewing(ctx context.Context, a Answer, p Progress, change func(*policy.Standing), do func(context.Context) error,
	lacks func(Answer) (Progress, bool), relies ...storage.Provided,
) (Answer, []string, error) {
	st, err := s.standing(a.SignIn)
	if err != nil {
		return Answer{}, nil, err
	}
	change(&st)
	progress, err := p.document()
	if err != nil {
		return Answer{}, nil, err
	}
	at, se := place(hashes(a.browser), &a.SignIn.Session), a.SignIn.Session
	unit := storage.WithUnit(ctx)
	secret, err := s.sessions.Renew(unit, &se, st, relies...)
	if err != nil {
		return Answer{}, nil, err
	}
	for _, write := range []func() error{
		func() error { return s.store.NoteProgress(unit, a.Interaction, progress) },
		func() error { return do(unit) },
		func() error { return s.store.Flush(unit) },
	} {
		err := write()
		if errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrConflict) { // by another tab of theirs
			next, err := s.Resume(ctx, string(a.Interaction.ID), a.browser)
			return next, nil, err
		}
		if err != nil {
			return Answer{}, nil, fmt.Errorf("flow: renew: %w", err)
		}
	}
	a.browser.Sessions = slices.Clone(session.Secrets(a.browser.Sessions))
	a.browser.Sessions[at] = secret
	next, err := s.settle(ctx, a, a.browser, lacks)
	return next, a.browser.Sessions, err
}

// replaced is the progress of a request in which a password was set.
func (a *Answer) replaced() Progress {
	progress := a.Progress
	progress.Breached, progress.Done = BreachedLater, progress.Done || a.Request.Page == PagePassword
	return progress
}
