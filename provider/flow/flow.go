package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
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
	SMS      string
	Recovery string
	Lost     string
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
	Passkeys bool // there are any
	Mails    bool // there are any
	Texts    bool // there are any text messages to phones
	// TextsCount says that a code by SMS counts beside a password, as a second factor.
	TextsCount bool
	Lifetime   time.Duration // of an interaction; 30 minutes
	Device     time.Duration // how long a browser is known since its last sign-in; 400 days
	Remember   time.Duration // how long one spares its person from a second factor, if they want it to; 90 days
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

func (s *Service) path(a Answer) string { return s.PathTo(a, a.Step) }

// PathTo is where a step of an answer is: the one that is due, or one of the others.
func (s *Service) PathTo(a Answer, step Step) string {
	to := map[Step]string{
		StepPassword: s.cfg.Paths.Password,
		StepPasskey:  s.cfg.Paths.Passkey,
		StepTOTP:     s.cfg.Paths.TOTP,
		StepSMS:      s.cfg.Paths.SMS,
		StepRecovery: s.cfg.Paths.Recovery,
		StepLost:     s.cfg.Paths.Lost,
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
