package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// SignedIn goes on after a right proof: a new session, or the renewed one of the
// same person, whose secret changes in any case (OWASP ASVS 5.0 section 7.2.4);
// the decision about it; the history and the device, if the demanded assurance
// was reached; the event and the interaction's progress: all in one unit, which
// is flushed here. What it changed in the browser it returns also beside an error
// when the unit was written and only the answer failed: the old values open nothing
// any more. ErrChanged: another password was set since that one was looked at.
func (s *Service) SignedIn(ctx context.Context, a Answer, b Browser, person *storage.Person, ev policy.Evidence) (Answer, Changed, error) {
	ev.Interaction = string(a.Interaction.ID)
	if a.resets() {
		next, err := s.provedMore(ctx, a, person.ID, ev)
		return next, Changed{}, err
	}
	c, err := s.signedIn(ctx, a, b, person, ev)
	if err != nil {
		return Answer{}, Changed{}, fmt.Errorf("flow: signed in: %w", err)
	}
	b.Sessions, b.Device = c.Sessions, c.Device
	next, err := s.settle(ctx, a, b, func(now Answer) (Progress, bool) {
		return now.chose(c.session), now.Progress.Session != c.session && !now.Progress.Cancelled
	})
	return next, c, err
}

// ErrChanged says that a password was right when it was looked at, and is another one now.
var ErrChanged = errors.New("flow: the password was changed meanwhile")

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

// Changed is what a sign-in changed in its browser.
type Changed struct {
	Sessions []string     // the cookie's new values, the current one first; none: nothing was written
	Device   storage.ID   // the browser's device id
	Ended    []storage.ID // sessions that it had no room for, whose clients are to be told

	session storage.ID
}

// A proof is what signedIn writes down.
type proof struct {
	session   *storage.Session // nil: a new one
	others    []storage.SignIn // who else is signed in here, in the cookie's order
	standing  policy.Standing
	assessed  *risk.Assessment
	relies    []storage.Provided // what has to be so still when it is written
	signedIn  bool               // all was given that the rules and the person want of a sign-in
	device    storage.Device     // this browser, as it is from now on
	was       storage.ID         // its id before, if that changed: see rise
	remembers bool               // it spares its person from a second factor from now on
}

// signedIn writes a sign-in: once more, where something was not as it was read, as when its session
// ended or was renewed while they typed, by a second click.
func (s *Service) signedIn(ctx context.Context, a Answer, b Browser, person *storage.Person, ev policy.Evidence) (Changed, error) {
	c, err := s.signedInOnce(ctx, a, b, person, ev)
	if errors.Is(err, storage.ErrStale) {
		c, err = s.signedInOnce(ctx, a, b, person, ev)
	}
	return c, err
}

func (s *Service) signedInOnce(ctx context.Context, a Answer, b Browser, person *storage.Person, ev policy.Evidence) (Changed, error) {
	p, err := s.weigh(ctx, a, b, person, ev)
	if err != nil {
		return Changed{}, err
	}
	for i := range p.others {
		if i >= session.MaxPerBrowser-1 {
			p.relies = append(p.relies, storage.Living(p.others[i].Session.ID))
		}
	}
	ctx = storage.WithUnit(ctx)
	var secret string
	switch {
	case p.session == nil && !opens(ev): // it ended while they looked for their code
		return Changed{}, storage.ErrNotFound
	case p.session == nil:
		p.session, secret, err = s.sessions.Start(ctx, person.ID, session.AgentOf(b.UserAgent), p.standing, p.relies...)
	default:
		secret, err = s.sessions.Renew(ctx, p.session, p.standing, p.relies...)
	}
	if err != nil {
		return Changed{}, err
	}
	c := Changed{Sessions: []string{secret}, Device: p.device.ID, session: p.session.ID}
	for i := range p.others {
		other := &p.others[i].Session
		if len(c.Sessions) < session.MaxPerBrowser {
			if err := s.sessions.Moved(ctx, other, p.was, p.device.ID); err != nil {
				return Changed{}, err
			}
			c.Sessions = append(c.Sessions, secretOf(b, other))
			continue
		}
		// Nobody could reach it any more, and yet it would live on.
		if err := s.sessions.EndBeside(ctx, other, "too many accounts in one browser", events.ActorPerson); err != nil {
			return Changed{}, err
		}
		c.Ended = append(c.Ended, other.ID)
	}
	if err := s.record(ctx, a, p); err != nil {
		return Changed{}, err
	}
	if err := s.store.Flush(ctx); err != nil {
		return Changed{}, err
	}
	return c, nil
}

// opens reports whether a proof is one that a session may begin with: a code alone is
// not, nor is a key that anybody could have touched.
func opens(ev policy.Evidence) bool {
	return ev.Method == policy.Password || ev.UserVerified
}

// weigh reads what is known of the person and this browser, and decides.
func (s *Service) weigh(ctx context.Context, a Answer, b Browser, person *storage.Person, ev policy.Evidence) (proof, error) {
	var p proof
	all, err := s.Accounts(ctx, b)
	if err != nil {
		return p, err
	}
	if i := slices.IndexFunc(all, func(one storage.SignIn) bool { return one.Person.ID == person.ID }); i >= 0 {
		p.session = &all[i].Session
		if p.standing, err = s.standing(&all[i]); err != nil {
			return p, err
		}
	}
	p.others = slices.DeleteFunc(slices.Clone(all), func(one storage.SignIn) bool { return p.session != nil && one.Session.ID == p.session.ID })
	if a.resets() {
		p.standing.Evidence = counting(a.SignIn, a.Progress.Evidence)
	}
	known, err := s.store.LoadArrival(ctx, person.ID, b.Device, storage.At(s.now()))
	if err != nil {
		return p, fmt.Errorf("arrival: %w", err)
	}
	if ev.Method == policy.Password {
		if !known.Password.Equal(ev.Since) {
			return p, ErrChanged
		}
		p.relies = append(p.relies, storage.PasswordOf(person.ID, known.Password))
	}
	p.standing.AsksSince = s.asksSince(a, p, known, ev)
	p.standing.Evidence = policy.AddEvidence(p.standing.Evidence, ev)
	p.device = s.recognise(p, b, known, person.ID, ev)
	if known.Device.ID != "" { // another tab, or whoever forgets it, may be quicker: then it is not made anew
		p.relies = append(p.relies, storage.Known(&known.Device))
	}
	had := b.Device
	b.Device = p.device.ID
	attempt := attemptOf(a.Request, b, person.ID, known.Groups, known.History.V, p.standing.Evidence)
	attempt.DeviceTier = tierOf(&known.Device)
	if p.assessed, err = s.risk.Assess(ctx, attempt); err != nil {
		return p, fmt.Errorf("assess: %w", err)
	}
	p.signedIn = p.standing.AsksSince.IsZero() && p.assessed.Decision.MetBy(p.standing.Evidence, s.now())
	if p.signedIn {
		s.rise(&p, had, tierOf(&known.Device), a.Remember && a.Remembers && ev.Held(), ev)
		attempt.Device = p.device.ID
	}
	p.standing.Device, p.standing.Tier = string(p.device.ID), tierOf(&known.Device)
	if p.signedIn { // half a sign-in makes no browser known
		p.standing.Tier = tierOf(&p.device)
	}
	p.standing.Circumstances, p.standing.Decision = s.risk.Circumstances(attempt), p.assessed.Decision
	return p, nil
}

// record appends to the unit all that follows from a proof but the session.
func (s *Service) record(ctx context.Context, a Answer, p proof) error {
	if err := s.risk.Remember(ctx, p.assessed); err != nil {
		return err
	}
	now := storage.At(s.now())
	if p.signedIn {
		if err := s.risk.Learn(ctx, p.assessed, p.device.ID); err != nil {
			return err
		}
		if err := s.seeDevice(ctx, p); err != nil {
			return err
		}
	}
	best := policy.Best(policy.Assess(p.standing.Evidence, now.Time), a.Request.acr())
	err := s.events.Record(ctx, events.Event{
		Kind: events.SignInSucceeded, Actor: events.ActorPerson, Person: p.session.PersonID, Client: a.Request.ClientID,
		Data: signedInData{p.session.ID, best.ACR, best.AMR, p.assessed.Decision.ID, p.assessed.Decision.Outcome},
	})
	if err != nil {
		return err
	}
	chosen := a.chose(p.session.ID)
	chosen.Done = chosen.Done || a.resets()
	progress, err := chosen.document()
	if err != nil {
		return err
	}
	return s.store.NoteProgress(ctx, a.Interaction, progress)
}

// chose is the progress of going on with a session: what the person of another one
// said about the client is not theirs.
func (a *Answer) chose(id storage.ID) Progress {
	p := Progress{Chosen: true, Session: id, Passkeys: a.Progress.Passkeys}
	if a.SignIn != nil && a.SignIn.Session.ID == id {
		p.Consent, p.Withdrawals = a.Progress.Consent, a.Progress.Withdrawals
		p.Done, p.Pending, p.Offered, p.Breached = a.Progress.Done, a.Progress.Pending, a.Progress.Offered, a.Progress.Breached
	}
	return p
}

type signedInData struct {
	Session  storage.ID     `json:"session"`
	ACR      string         `json:"acr"`
	AMR      []string       `json:"amr"`
	Decision string         `json:"decision"`
	Outcome  policy.Outcome `json:"outcome"`
}

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
