package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
)

// Paths are where the steps are, on this server. The id of the interaction is
// added as the parameter i.
type Paths struct {
	Password string
	Passkey  string
	TOTP     string
	Recovery string
	Mail     string
	Account  string
	Consent  string
	Offer    string          // of a passkey
	Add      map[Step]string // of steps that pages of ours are for
	Finish   string          // where done and refused interactions end
	SignOut  string
	NotMe    string          // where "this was not me" ends that came to nothing: it says so by ParamRefused or ParamStopped
	Home     string          // where who gives one of our own pages up ends
	Pages    map[Page]string // our own pages
}

// Config says where steps are and how long a request waits for its person.
type Config struct {
	Paths    Paths
	Passkeys bool          // there are any
	Mails    bool          // there are any
	Lifetime time.Duration // of an interaction; 30 minutes
	Device   time.Duration // how long a browser is known since its last sign-in; 400 days
	Remember time.Duration // how long one spares its person from a second factor, if they want it to; 90 days
}

// Service answers what next.
type Service struct {
	cfg      Config
	store    *storage.Store
	clients  *clients.Service
	sessions *session.Service
	grants   *grants.Service
	risk     *risk.Service
	throttle *throttle.Service
	events   *events.Service
	now      func() time.Time
}

// New returns the service.
func New(cfg Config, store *storage.Store, cs *clients.Service, ss *session.Service, gs *grants.Service, rs *risk.Service, th *throttle.Service, ev *events.Service, now func() time.Time) *Service {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = 30 * time.Minute
	}
	if cfg.Device == 0 {
		cfg.Device = 400 * 24 * time.Hour
	}
	if cfg.Remember == 0 {
		cfg.Remember = 90 * 24 * time.Hour
	}
	return &Service{cfg: cfg, store: store, clients: cs, sessions: ss, grants: gs, risk: rs, throttle: th, events: ev, now: now}
}

// The ways in which people can prove more, the best first: with a passkey that stays in
// its device, with one that may be elsewhere as well, with an authenticator's code, with
// the password; and where that is enough with a recovery code.
var (
	byBound    = Way{Step: StepPasskey, Gives: policy.Evidence{Method: policy.Hardware, PhishingResistant: true, UserVerified: true, DeviceBound: true}}
	bySynced   = Way{Step: StepPasskey, Gives: policy.Evidence{Method: policy.Software, PhishingResistant: true, UserVerified: true}}
	byCode     = Way{Step: StepTOTP, Gives: policy.Evidence{Method: policy.OneTime}}
	byPassword = Way{Step: StepPassword, Gives: policy.Evidence{Method: policy.Password}}
	byRecovery = Way{Step: StepRecovery, Gives: policy.Evidence{Method: policy.Recovery}}
)

// hasSecond reports whether somebody who has these has a second factor.
func (s *Service) hasSecond(passkeys, totps storage.Words) bool {
	return s.cfg.Passkeys && len(passkeys) > 0 || len(totps) > 0
}

// waysOf are the ways of one person.
func (s *Service) waysOf(in *storage.SignIn) []Way {
	var ways []Way
	for _, one := range []Way{byBound, bySynced} {
		one.By = slices.DeleteFunc(slices.Clone([]string(in.Passkeys)), func(id string) bool {
			return slices.Contains(in.BoundPasskeys, id) != one.Gives.DeviceBound
		})
		if s.cfg.Passkeys && len(one.By) > 0 {
			ways = append(ways, one)
		}
	}
	if len(in.TOTPs) > 0 {
		ways = append(ways, byCode)
	}
	if !in.Password.IsZero() {
		ways = append(ways, byPassword)
	}
	if in.RecoveryCodes > 0 {
		ways = append(ways, byRecovery)
	}
	return ways
}

// standing is what a session stands on: without the evidence of passkeys and
// authenticators that the person has no more.
func (s *Service) standing(in *storage.SignIn) (policy.Standing, error) {
	st, err := session.Standing(&in.Session, s.now())
	st.Evidence = counting(in, st.Evidence)
	return st, err
}

func counting(in *storage.SignIn, evs []policy.Evidence) []policy.Evidence {
	return slices.DeleteFunc(slices.Clone(evs), func(e policy.Evidence) bool {
		switch {
		case isPasskey(e):
			return !slices.Contains(in.Passkeys, e.Credential)
		case e.Method == policy.OneTime:
			return !slices.Contains(in.TOTPs, e.Credential)
		}
		return false
	})
}

// counts are the ways and the evidence that count for a request: all that there are, or
// for one that is about a moment those that the person had before it. Recovery codes are not
// among them: who has the others can have them anew. For whoever recovers a password all count,
// whatever moment that is about: else a mail alone would do away with the second factor that
// its reader lacks.
func (s *Service) counts(ctx context.Context, a Answer, evidence []policy.Evidence) ([]Way, []policy.Evidence, error) {
	if a.resets() {
		return slices.DeleteFunc(s.waysOf(a.SignIn), func(w Way) bool { return w.Step == StepPassword }), evidence, nil
	}
	before := storage.At(a.Request.Before)
	if before.IsZero() || pageRules[a.Request.Page].resets { // that is over: what they chose counts
		return s.waysOf(a.SignIn), evidence, nil
	}
	younger, password, err := s.store.ProofsSince(ctx, a.SignIn.Person.ID, before)
	if err != nil {
		return nil, nil, fmt.Errorf("flow: proofs: %w", err)
	}
	isYounger := func(id string) bool { return slices.Contains(younger, storage.ID(id)) }
	in := *a.SignIn
	for _, ids := range []*storage.Words{&in.Passkeys, &in.BoundPasskeys, &in.TOTPs} {
		*ids = slices.DeleteFunc(slices.Clone(*ids), isYounger)
	}
	if in.RecoveryCodes = 0; password {
		in.Password = storage.Time{}
	}
	return s.waysOf(&in), slices.DeleteFunc(slices.Clone(evidence), func(e policy.Evidence) bool {
		return e.Method == policy.Recovery || e.Method == policy.Mail || e.Method == policy.Password && password || isYounger(e.Credential)
	}), nil
}

// ReachableACR returns the acr values that somebody can reach, in policy's order,
// for the metadata (OpenID Connect Discovery section 3).
func (s *Service) ReachableACR() []string {
	ways := []Way{byPassword, byCode}
	if s.cfg.Passkeys {
		ways = append(ways, byBound)
	}
	var evs []policy.Evidence
	for _, w := range ways {
		w.Gives.At = s.now()
		evs = append(evs, w.Gives)
	}
	held := policy.Assess(evs, s.now())
	return slices.DeleteFunc(policy.ACRValues(), func(acr string) bool {
		return !slices.ContainsFunc(held, func(a policy.Assurance) bool { return a.ACR == acr })
	})
}

// Begin answers a new request. It reads once when the browser has a session,
// else not at all; a second time only for the accounts of a chooser, or to find
// the one that the client named. An interaction is begun when a page is to be
// shown: so many for each block of addresses, then no more for a while.
//
// What it writes (the interaction; a decision, when the circumstances are not
// those of the session's last one) joins the unit of ctx, which the caller
// flushes together with its own, such as the grant. On the silent happy path it
// writes nothing.
func (s *Service) Begin(ctx context.Context, r Request, b Browser) (Answer, error) {
	client, kind, err := s.asks(ctx, r)
	if err != nil {
		return Answer{}, fmt.Errorf("flow: begin: %w", err)
	}
	var signIn *storage.SignIn
	if !pageRules[r.Page].resets {
		if signIn, err = s.fitting(ctx, b, r, client); err != nil {
			return Answer{}, err
		}
	}
	a, fresh, err := s.answer(ctx, Answer{Request: r, Client: client, SignIn: signIn, browser: b})
	if err != nil {
		return Answer{}, err
	}
	if a.Step.asks() {
		if err := s.throttle.Take(ctx, throttle.Interactions, throttle.Block(b.Address)); err != nil {
			return Answer{}, fmt.Errorf("flow: begin: %w", err)
		}
		if a.Interaction, err = newInteraction(kind, r, a.Progress, b, s.now(), s.cfg.Lifetime); err != nil {
			return Answer{}, err
		}
		a.Path = s.path(a)
	}
	return a, s.store.Together(ctx, func(ctx context.Context) error {
		if err := s.note(ctx, a, fresh); err != nil || a.Interaction == nil {
			return err
		}
		if err := s.store.CreateInteraction(ctx, a.Interaction); err != nil {
			return fmt.Errorf("flow: begin: %w", err)
		}
		return nil
	})
}

// Resume answers a request that was begun, by the id in its address:
// storage.ErrNotFound when there is none such, it lapsed or it is another
// browser's, storage.ErrSpent when it was answered. A new decision joins the
// unit of ctx.
func (s *Service) Resume(ctx context.Context, id string, b Browser) (Answer, error) {
	a, fresh, err := s.load(ctx, id, b)
	if err != nil {
		return Answer{}, err
	}
	return a, s.store.Together(ctx, func(ctx context.Context) error { return s.note(ctx, a, fresh) })
}

// Current returns who is signed in with this browser, nil when nobody is.
func (s *Service) Current(ctx context.Context, b Browser) (*storage.SignIn, error) {
	return s.current(ctx, b, "")
}

// Agreed reports whether whoever is signed in with this browser ever agreed to
// anything for the client.
func (s *Service) Agreed(ctx context.Context, b Browser, client string) (bool, error) {
	signIn, err := s.current(ctx, b, client)
	return signIn != nil && signIn.HasConsent(), err
}

func (s *Service) current(ctx context.Context, b Browser, client string) (*storage.SignIn, error) {
	secrets := session.Secrets(b.Sessions)
	if len(secrets) == 0 {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	return s.signIn(ctx, session.Hash(secrets[0]), client)
}

// fitting returns who is signed in with this browser: the current one, or another
// one if the client named that person and not the current one (OIDC Core section
// 3.1.2.1, id_token_hint: whoever is named and signed in is answered about).
func (s *Service) fitting(ctx context.Context, b Browser, r Request, c *storage.Client) (*storage.SignIn, error) {
	fits := func(one *storage.SignIn) bool {
		if c == nil { // a page of ours knows nobody by a subject
			return r.fits(one.Person.ID, "")
		}
		return r.fits(one.Person.ID, s.clients.Subject(c, &one.Person))
	}
	signIn, err := s.current(ctx, b, r.ClientID)
	if err != nil || !r.names() || signIn != nil && fits(signIn) || len(session.Secrets(b.Sessions)) < 2 {
		return signIn, err
	}
	all, err := s.Accounts(ctx, b)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if fits(&all[i]) {
			return s.signIn(ctx, all[i].Session.SecretHash, r.ClientID)
		}
	}
	return signIn, nil
}

func (s *Service) signIn(ctx context.Context, hash []byte, client string) (*storage.SignIn, error) {
	signIn, err := s.store.LoadSignIn(ctx, hash, client, storage.At(s.now()))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("flow: session: %w", err)
	}
	return signIn, nil
}

// Accounts returns everybody who is signed in with this browser, the current
// one first.
func (s *Service) Accounts(ctx context.Context, b Browser) ([]storage.SignIn, error) {
	hashes := hashes(b)
	rows, err := s.store.LoadSignIns(ctx, hashes, storage.At(s.now()))
	if err != nil {
		return nil, fmt.Errorf("flow: accounts: %w", err)
	}
	slices.SortFunc(rows, func(x, y storage.SignIn) int { return place(hashes, &x.Session) - place(hashes, &y.Session) })
	return rows, nil
}

func hashes(b Browser) [][]byte {
	var out [][]byte
	for _, secret := range session.Secrets(b.Sessions) {
		out = append(out, session.Hash(secret))
	}
	return out
}

// place is the position of a session in the cookie, -1 if it is not there.
func place(hashes [][]byte, se *storage.Session) int {
	return slices.IndexFunc(hashes, func(h []byte) bool { return string(h) == string(se.SecretHash) })
}

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
		if a.Mailbox, err = s.mailbox(ctx, a, in.Ways); err != nil {
			return Answer{}, nil, err
		}
		in.Strict, in.Mailbox = s.risk.Strict(), a.Mailbox != ""
		in.Second = a.SignIn.Factors > 0
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

// mailbox is the first of the verified addresses of somebody who has no factor yet, and is where
// one is added: that of the account, or one that has been theirs for a while, so that whoever has
// their password adds none for this; "" for all others, and where no mails are sent.
func (s *Service) mailbox(ctx context.Context, a Answer, ways []Way) (string, error) {
	page := pageRules[a.Request.Page]
	if !s.cfg.Mails || !page.adds || !page.changes || slices.ContainsFunc(ways, func(w Way) bool { return w.Gives.Held() }) {
		return "", nil
	}
	all, err := s.store.Identifiers(ctx, a.SignIn.Person.ID)
	if err != nil {
		return "", fmt.Errorf("flow: addresses: %w", err)
	}
	settled := storage.At(s.now().Add(-ident.Settles))
	for i, one := range all {
		if one.Kind == ident.KindEmail && !one.VerifiedAt.IsZero() && (i == 0 || !one.VerifiedAt.After(settled.Time)) {
			return one.Display, nil
		}
	}
	return "", nil
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
		Device: b.Device, Address: b.Address, UserAgent: b.UserAgent,
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

func (s *Service) path(a Answer) string { return s.PathTo(a, a.Step) }

// PathTo is where a step of an answer is: the one that is due, or one of the others.
func (s *Service) PathTo(a Answer, step Step) string {
	to := map[Step]string{
		StepPassword: s.cfg.Paths.Password,
		StepPasskey:  s.cfg.Paths.Passkey,
		StepTOTP:     s.cfg.Paths.TOTP,
		StepRecovery: s.cfg.Paths.Recovery,
		StepMail:     s.cfg.Paths.Mail,
		StepAccount:  s.cfg.Paths.Account,
		StepConsent:  s.cfg.Paths.Consent,
		StepOffer:    s.cfg.Paths.Offer,
	}[step]
	switch {
	case to != "":
	case s.cfg.Paths.Add[step] != "":
		to = s.cfg.Paths.Add[step]
	case a.Request.Page != "":
		return s.pagePath(a)
	default:
		to = s.cfg.Paths.Finish
	}
	return to + "?i=" + string(a.Interaction.ID)
}
