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
		p.standing.Evidence = s.counting(a.SignIn, a.Progress.Evidence)
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
