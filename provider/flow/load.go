package flow

import (
	"context"
	"fmt"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// load reads an interaction of a client or of a page of ours and answers it; it
// writes nothing.
func (s *Service) load(ctx context.Context, id string, b Browser) (Answer, *risk.Assessment, error) {
	i, err := s.interaction(ctx, id, b, kindAuthorize, kindPage)
	if err != nil {
		return Answer{}, nil, err
	}
	a := Answer{Interaction: i, browser: b}
	if a.Request, a.Progress, err = readInteraction(i); err != nil {
		return Answer{}, nil, err
	}
	if a.Client, _, err = s.asks(ctx, a.Request); err != nil {
		return Answer{}, nil, fmt.Errorf("flow: resume: %w", err)
	}
	if a.SignIn, err = s.goesOnWith(ctx, a); err != nil {
		return Answer{}, nil, err
	}
	a, fresh, err := s.answer(ctx, a)
	a.Path = s.path(a)
	return a, fresh, err
}

func (s *Service) interaction(ctx context.Context, id string, b Browser, kinds ...string) (*storage.Interaction, error) {
	key, err := storage.ParseID(id)
	if err != nil || b.Secret == "" {
		return nil, storage.ErrNotFound
	}
	i, err := s.store.Interaction(ctx, key, session.Hash(b.Secret), storage.At(s.now()))
	if err != nil {
		return nil, fmt.Errorf("flow: interaction: %w", err)
	}
	if !slices.Contains(kinds, i.Kind) {
		return nil, storage.ErrNotFound
	}
	return i, nil
}

// goesOnWith returns the session that the interaction goes on with: the one
// proved or chosen in it, if it lives, else the browser's current one. Another
// tab may have made another one current meanwhile.
func (s *Service) goesOnWith(ctx context.Context, a Answer) (*storage.SignIn, error) {
	if a.resets() {
		return s.recovering(ctx, a)
	}
	if a.Progress.Chosen && a.Progress.Session == "" {
		return nil, nil //nolint:nilnil // somebody who is not signed in yet
	}
	signIn, err := s.fitting(ctx, a.browser, a.Request, a.Client)
	if err != nil || a.Progress.Session == "" || signIn != nil && signIn.Session.ID == a.Progress.Session {
		return signIn, err
	}
	all, err := s.Accounts(ctx, a.browser)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.Session.ID == a.Progress.Session {
			return s.signIn(ctx, one.Session.SecretHash, a.Request.ClientID)
		}
	}
	return nil, nil //nolint:nilnil // it ended: they prove again
}

// answer fills in what next. The assessment is nil when the session's last
// decision stands, or nobody is signed in.
func (s *Service) answer(ctx context.Context, a Answer) (Answer, *risk.Assessment, error) {
	in := Input{Request: a.Request, Progress: a.Progress, Begun: s.now(), Now: s.now()}
	if a.Client != nil {
		in.Client = a.Client.Metadata.V
	}
	if a.Interaction != nil {
		in.Interaction, in.Begun = a.Interaction.ID, a.Interaction.CreatedAt.Time
	}
	var fresh *risk.Assessment
	if a.SignIn != nil {
		standing, err := s.standsOn(a)
		if err != nil {
			return Answer{}, nil, err
		}
		if a.Decision, fresh, err = s.decision(ctx, a, standing); err != nil {
			return Answer{}, nil, err
		}
		in.Offer = s.mayOffer(a.SignIn)
		in.Asking, in.AsksSince = policy.Asking(a.SignIn.Person.Asking), standing.AsksSince
		if in.Ways, in.Evidence, err = s.counts(ctx, a, standing.Evidence); err != nil {
			return Answer{}, nil, err
		}
		mailboxes, err := s.mailboxes(ctx, a, in.Ways, in.Evidence)
		if err != nil {
			return Answer{}, nil, err
		}
		for i := range mailboxes {
			in.Mailboxes = append(in.Mailboxes, mailboxes[i].Value)
		}
		if len(mailboxes) > 0 {
			a.Mailbox = mailboxes[0].Display
		}
		in.Strict = s.risk.Strict()
		in.Second = a.SignIn.Factors > 0 || s.cfg.TextsCount && a.SignIn.AllPhones > 0
		in.Person, in.Decision, in.Consent = a.SignIn.Person.ID, a.Decision, a.SignIn.Consent
		if a.Request.Subject != "" || len(a.Request.Subjects) > 0 {
			in.Subject = s.clients.Subject(a.Client, &a.SignIn.Person)
		}
	}
	a.Next = Decide(in)
	if a.Step == StepAccount {
		var err error
		if a.Accounts, err = s.Accounts(ctx, a.browser); err != nil {
			return Answer{}, nil, err
		}
	}
	return a, fresh, nil
}

// decision returns the session's last decision while the circumstances are
// those it was made in, else a new one.
func (s *Service) decision(ctx context.Context, a Answer, st policy.Standing) (policy.Decision, *risk.Assessment, error) {
	attempt := attemptOf(a.Request, a.browser, a.SignIn.Person.ID, a.SignIn.Groups, a.SignIn.History.V, st.Evidence)
	// The browser that the session was proven in is known by the session itself:
	// no other read.
	switch {
	case a.resets(): // there is no session
		known, err := s.store.LoadArrival(ctx, a.SignIn.Person.ID, a.browser.Device, storage.At(s.now()))
		if err != nil {
			return policy.Decision{}, nil, fmt.Errorf("flow: arrival: %w", err)
		}
		attempt.DeviceTier = tierOf(&known.Device)
	case a.browser.Device != "" && string(a.browser.Device) == st.Device:
		attempt.DeviceTier = st.Tier
	}
	if s.risk.Circumstances(attempt) == st.Circumstances {
		return st.Decision, nil, nil
	}
	fresh, err := s.risk.Assess(ctx, attempt)
	if err != nil {
		return policy.Decision{}, nil, fmt.Errorf("flow: assess: %w", err)
	}
	return fresh.Decision, fresh, nil
}

func attemptOf(r Request, b Browser, person storage.ID, groups []string, history storage.Raw, proven []policy.Evidence) risk.Attempt {
	return risk.Attempt{
		Person: person, Groups: groups, Client: r.ClientID, Scopes: r.Scopes, Resources: r.Resources, ACRAsked: slices.DeleteFunc(r.acr().All(), func(acr string) bool { return !policy.KnownACR(acr) }),
		Device: b.Device, Address: b.Address, UserAgent: b.UserAgent, Hints: risk.Hints{Brands: b.Brands, Mobile: b.Mobile, Platform: b.Platform},
		Breached: slices.ContainsFunc(proven, func(e policy.Evidence) bool { return e.Breached }), History: history,
	}
}

// note stores a new decision and makes it the session's last one.
func (s *Service) note(ctx context.Context, a Answer, fresh *risk.Assessment) error {
	if fresh == nil || a.resets() { // then it is the decision about the session that comes of it
		return nil
	}
	if err := s.risk.Remember(ctx, fresh); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	st, err := session.Standing(&a.SignIn.Session, s.now())
	if err != nil {
		return err
	}
	st.Circumstances, st.Decision = fresh.Circumstances, fresh.Decision
	return s.sessions.Decide(ctx, &a.SignIn.Session, st)
}
