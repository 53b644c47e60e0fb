package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Lost begins the interaction of somebody who cannot give the password that a asks for.
// They prove an address, then their second factor if they have one, and choose another
// password, by which they are signed in; then they come back to a. Until then there is no
// session: what they proved is the interaction's.
func (s *Service) Lost(ctx context.Context, a Answer, b Browser) (Answer, error) {
	hint := a.Request.LoginHint
	if a.Reauth && a.SignIn != nil {
		hint = a.SignIn.Identifier
	}
	return s.Begin(ctx, Request{
		Page: PageRecover, Object: a.Interaction.ID, UILocales: a.Request.UILocales, LoginHint: hint,
		Person: a.Request.Person, Among: a.Request.Among, Before: a.Request.Before, Link: a.Request.Link,
		RedirectURI: a.Request.RedirectURI, // where the last form leads on to
	}, b)
}

// recoveredPath is where a recovery ends. What it came from by a link is done by it as well; one that
// was refused says so.
func (s *Service) recoveredPath(a Answer) string {
	switch {
	case a.Step == StepRefuse && !a.Progress.Cancelled && a.Interaction != nil:
		return s.cfg.Paths.Add[StepReset] + "?i=" + string(a.Interaction.ID)
	case a.Progress.Done && a.Request.Link != nil:
		return s.cfg.Paths.Pages[PageSecurity] + "?" + ParamDone
	case a.Request.Object == "":
		return s.cfg.Paths.Home
	}
	return s.cfg.Paths.Password + "?i=" + string(a.Request.Object)
}

// resets reports whether a is about somebody who has no session yet.
func (a *Answer) resets() bool { return pageRules[a.Request.Page].resets && !a.Progress.Done }

// recovering returns whose password is recovered, nil while nobody's is: also when it was
// changed since they proved their address, or the address is not believed any more.
func (s *Service) recovering(ctx context.Context, a Answer) (*storage.SignIn, error) {
	if a.Progress.Recovers == "" || len(a.Progress.Evidence) == 0 {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	signIn, err := s.store.LoadRecovering(ctx, a.Progress.Recovers, a.Progress.SentTo, a.Progress.recoversSince())
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("flow: who recovers: %w", err)
	}
	return signIn, nil
}

// recoversSince is when the address was proved whose person recovers.
func (p *Progress) recoversSince() storage.Time { return storage.At(p.Evidence[0].At) }

// standsOn is what a's person stands on: their session, or what they proved so far.
func (s *Service) standsOn(a Answer) (policy.Standing, error) {
	if a.resets() {
		return policy.Standing{Evidence: s.counting(a.SignIn, a.Progress.Evidence)}, nil
	}
	return s.standing(a.SignIn)
}

// Sent notes that a code was sent to an address, in one unit with what also does.
func (s *Service) Sent(ctx context.Context, a Answer, address string, also func(context.Context) error) (Answer, error) {
	progress := a.Progress
	progress.SentTo = address
	return s.advance(ctx, a, progress, also)
}

// Texted notes that a code was sent to a phone of the person's, in one unit with what also does.
func (s *Service) Texted(ctx context.Context, a Answer, phone storage.ID, also func(context.Context) error) (Answer, error) {
	progress := a.Progress
	progress.Texted = phone
	return s.advance(ctx, a, progress, also)
}

// Recovers reports whether a is about the password of somebody whose address is known to be
// theirs since then: whom the client named, and of what is about a moment who had it before that.
func (a *Answer) Recovers(person storage.ID, since time.Time) bool {
	return a.Request.fits(person, "") && (a.Request.Before.IsZero() || since.Before(a.Request.Before))
}

// Recover goes on with the person whose address, in its canonical form, was just proved, with
// the event.
func (s *Service) Recover(ctx context.Context, a Answer, person storage.ID, address string, ev policy.Evidence) (Answer, error) {
	if a.Step != StepRecover {
		return a, nil
	}
	ev.Interaction = string(a.Interaction.ID)
	return s.advance(ctx, a, Progress{SentTo: address, Recovers: person, Evidence: []policy.Evidence{ev}}, func(ctx context.Context) error {
		return s.events.Record(ctx, events.Event{Kind: events.RecoveryBegun, Actor: events.ActorPerson, Person: person, Data: map[string]string{"method": ev.Method}})
	})
}

// provedMore notes what else the person proved whose password is recovered; what somebody else
// proves is nothing.
func (s *Service) provedMore(ctx context.Context, a Answer, person storage.ID, ev policy.Evidence) (Answer, error) {
	if a.SignIn == nil || person != a.SignIn.Person.ID {
		return s.Resume(ctx, string(a.Interaction.ID), a.browser)
	}
	progress := a.Progress
	progress.Evidence = policy.AddEvidence(progress.Evidence, ev)
	return s.advance(ctx, a, progress, nil)
}

// Owner is a name, that only they get to know, of whose password is recovered.
func (a *Answer) Owner() string {
	if a.SignIn == nil {
		return ""
	}
	return a.SignIn.Person.Sub
}

// Reset signs the person in who chooses another password, as [Service.SignedIn] does, after
// set, which sets it and ends all that was begun with the one before, in a unit of its own: who sees another password
// set in its place, before they are signed in by it, begins anew. shown is whom the page was
// for, by [Answer.Owner]. Nothing is done where another step is due by now, or where what the
// person proved does not stand any more: another tab was quicker, they have another password, the
// address is not theirs, or the link was used.
func (s *Service) Reset(ctx context.Context, a Answer, b Browser, shown string, set func(context.Context) error) (Answer, Changed, error) {
	if a.Step != StepReset || a.Owner() != shown {
		return a, Changed{}, nil
	}
	relies := []storage.Provided{storage.Recovering(a.SignIn, a.Progress.SentTo, a.Progress.recoversSince())}
	if a.Request.Link != nil {
		relies = append(relies, storage.LinkOf(a.SignIn.Person.ID, a.Request.Link))
	}
	spent, err := Progress{SentTo: a.Progress.SentTo}.document() // if they are not signed in then, they begin anew
	if err != nil {
		return Answer{}, Changed{}, err
	}
	unit := storage.WithUnit(ctx)
	for _, write := range []func() error{
		func() error { return s.store.AdvanceInteraction(unit, a.Interaction, spent, relies...) },
		func() error { return set(unit) },
		func() error { return s.store.Flush(unit) },
	} {
		err := write()
		if errors.Is(err, storage.ErrStale) {
			next, err := s.Resume(ctx, string(a.Interaction.ID), b)
			return next, Changed{}, err
		}
		if err != nil {
			return Answer{}, Changed{}, fmt.Errorf("flow: reset: %w", err)
		}
	}
	noted := *a.Interaction
	noted.Progress, a.Interaction = spent, &noted
	row, err := s.store.PasswordOf(ctx, a.SignIn.Person.ID)
	if err != nil {
		return Answer{}, Changed{}, fmt.Errorf("flow: reset: %w", err)
	}
	ev := policy.Evidence{Method: policy.Password, At: s.now(), Interaction: string(a.Interaction.ID), Since: row.ChangedAt.Time}
	c, err := s.signedIn(ctx, a, b, &a.SignIn.Person, ev)
	if errors.Is(err, ErrChanged) || errors.Is(err, storage.ErrStale) { // theirs is not the last word: they begin anew
		next, err := s.Resume(ctx, string(a.Interaction.ID), b)
		return next, Changed{}, err
	}
	if err != nil {
		return Answer{}, Changed{}, fmt.Errorf("flow: reset: %w", err)
	}
	b.Sessions, b.Device = c.Sessions, c.Device
	next, err := s.settle(ctx, a, b, func(now Answer) (Progress, bool) {
		progress := now.chose(c.session)
		progress.Done = true
		return progress, now.Progress.Session != c.session
	})
	if err != nil {
		return Answer{}, c, err
	}
	if a.Request.Link != nil || a.Request.Object == "" {
		return next, c, nil
	}
	switch _, err := s.interaction(ctx, string(a.Request.Object), b, kindAuthorize, kindPage); {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrSpent): // what they came from did not wait so long
		next.Path = s.cfg.Paths.Home
	case err != nil:
		return Answer{}, c, err
	}
	return next, c, nil
}
