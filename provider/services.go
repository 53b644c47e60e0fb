package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/provider/sms"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// Config is everything that an operator decides, room by room.
type Config struct {
	Issuer   *url.URL // the one source of the issuer's address
	Web      web.Config
	Keys     keys.Config
	Engine   engine.Config
	Session  session.Config
	Password proof.PasswordConfig
	Passkey  proof.PasskeyConfig
	Flow     flow.Config
	Rules    rules.Set // what is demanded of whom; the zero Set is that of [rules.Allow]
	// Scorers are those that are asked, of [risk.BuiltIn]; nil: the first of these. None, and
	// no [WithScorer]: the rules alone decide.
	Scorers  []string
	Places   risk.PlacesConfig
	Outbound outbound.Config
	Mail     mail.Config
	SMS      sms.Config
	API      api.Config
	Server   ServerConfig
	// Templates are an operator's own pages, mails and words; nil for none.
	Templates *templates.Overrides
	// Traces takes the spans of requests; nil for none.
	Traces trace.TracerProvider
	// Demo is shown on the sign-in page; only `doorstep demo` sets it.
	Demo *templates.DemoAccount
}

// Services are the rooms without a face: what the command line works with too.
type Services struct {
	Store     *storage.Store
	Outbound  *outbound.Client
	Keys      *keys.Service
	Events    *events.Service
	Throttle  *throttle.Service
	Mail      *mail.Service
	SMS       *sms.Service
	Clients   *clients.Service
	Grants    *grants.Service
	Sessions  *session.Service
	Directory *directory.Service
	Passwords *proof.Password
	TOTP      *proof.TOTP
	Recovery  *proof.Recovery
	Sent      *proof.Sent // by mail
	Texted    *proof.Sent // by SMS
	Phones    *proof.Phones
	Notices   *proof.Notices
	Passkeys  *proof.Passkey
	Risk      *risk.Service
	Flow      *flow.Service
	Engine    *engine.Engine

	observer *observer
	issuer   string
	now      func() time.Time
}

// tracerName is the instrumentation scope of our spans.
const tracerName = "github.com/doorstep-id/doorstep"

// Open wires the services on a store that is at this binary's schema. It makes
// keys if there are none, those aside that take long, and returns keys.ErrWrongKEK, with nothing written, if
// the store was sealed with another key-encryption key.
func Open(ctx context.Context, cfg Config, store *storage.Store, now func() time.Time, opts ...Option) (*Services, error) {
	k, err := keys.New(ctx, cfg.Keys, store, now)
	if err != nil {
		return nil, err
	}
	s := &Services{Store: store, Keys: k, observer: &observer{metrics: newMetrics()}, issuer: cfg.Issuer.String(), now: now}
	if cfg.Traces != nil {
		s.observer.tracer = cfg.Traces.Tracer(tracerName)
	}
	cfg.Outbound.Watch = s.observer.goingOut
	s.Outbound = outbound.New(cfg.Outbound)
	s.Events = events.New(store, k, now).From(web.Origin).Counted(s.observer.recorded).With(func(ctx context.Context) (browser, system string) {
		agent := session.AgentOf(web.UserAgent(ctx))
		return agent.Browser, agent.System
	})
	s.Throttle = throttle.New(store, k.Derive("throttle"), now)
	s.Throttle.Refused = s.observer.refused
	if s.Mail, err = openMail(cfg, s, now); err != nil {
		return nil, err
	}
	if s.SMS, err = openSMS(cfg, s, now); err != nil {
		return nil, err
	}
	s.Clients = clients.New(clients.Config{Issuer: cfg.Issuer.String(), Salt: k.PairwiseSalt(), Out: s.Outbound}, store, s.Events, now)
	s.Grants = grants.New(store, s.Events, k.Derive("refresh-token"), now)
	s.Sessions = session.New(cfg.Session, store, s.Events, now)
	s.Directory = directory.New(store, s.Events, now)
	if s.TOTP, err = proof.NewTOTP(cfg.Web.Name, store, k, s.Events, now); err != nil {
		return nil, err
	}
	s.Recovery = proof.NewRecovery(store, k.Derive("recovery-codes"), s.Events, now)
	s.Sent = proof.NewSent(proof.ByMail(s.Mail), store, s.Throttle, k.Derive("sent-codes"), now)
	s.Texted = proof.NewSent(proof.BySMS(s.SMS), store, s.Throttle, k.Derive("sent-codes"), now)
	s.Phones = proof.NewPhones(cfg.SMS.AAL2, store, s.Events, now)
	s.Mail.Wanted = s.Sent.Wanted
	s.Notices = proof.NewNotices(store, s.Mail, s.Events, s.Phones, proof.NoticePaths{NotMe: web.PathNotMe, Activity: web.PathActivity}, now)
	cfg.Passkey.RPID = proof.RPIDOf(cfg.Passkey.RPID, cfg.Issuer)
	cfg.Passkey.Name = cmp.Or(cfg.Web.Name, "Doorstep")
	cfg.Passkey.Origins = append([]string{cfg.Issuer.Scheme + "://" + cfg.Issuer.Host}, cfg.Passkey.Origins...)
	cfg.Passkey.IsApp = s.Clients.IsAppOrigin
	if s.Passkeys, err = proof.NewPasskey(cfg.Passkey, store, s.Events, k.Derive("webauthn challenge"), now); err != nil {
		return nil, err
	}
	cfg.Password.Passkeys = s.Passkeys.Enabled()
	if s.Passwords, err = proof.NewPassword(cfg.Password, store, s.Events, now); err != nil {
		return nil, fmt.Errorf("password hashing: %w", err)
	}
	switch {
	case cfg.Rules.Name == "" && len(cfg.Rules.Rules) == 0 && cfg.Rules.Default == "":
		cfg.Rules = rules.Allow()
	case cfg.Rules.Name == "" || cfg.Rules.Version == "":
		return nil, errors.New("rules have no name or no version, by which decisions tell of them")
	case cfg.Rules.Places && len(cfg.Places.Files) == 0:
		return nil, errors.New("rules speak of countries or autonomous systems, and no file of places is given")
	}
	if s.Risk, err = openRisk(cfg, s, now, opts); err != nil {
		return nil, err
	}
	prefix := cfg.Issuer.EscapedPath()
	cfg.Flow.Paths = flow.Paths{
		Password: prefix + web.PathSignIn, Passkey: prefix + web.PathPasskey, TOTP: prefix + web.PathTOTP, SMS: prefix + web.PathSMS, Recovery: prefix + web.PathRecovery, Lost: prefix + web.PathLost, Mail: prefix + web.PathMail, Account: prefix + web.PathAccount, Consent: prefix + web.PathConsent,
		Offer:  prefix + web.PathOfferPasskey,
		Finish: prefix + web.PathAuthorize, SignOut: prefix + web.PathSignOut, Home: prefix + web.PathHome, NotMe: prefix + web.PathNotMe,
		Add: map[flow.Step]string{
			flow.StepVerify: prefix + web.PathVerify, flow.StepRecover: prefix + web.PathRecover, flow.StepReset: prefix + web.PathReset,
			flow.StepAddPasskey: prefix + web.PathAddPasskey, flow.StepAddTOTP: prefix + web.PathAddTOTP, flow.StepPhone: prefix + web.PathAddPhone, flow.StepRecoveryCodes: prefix + web.PathRecoveryCodes,
			flow.StepNewPassword: prefix + web.PathNewPassword, flow.StepBreached: prefix + web.PathBreached,
			flow.StepDisown: prefix + web.PathDisown,
		},
		Pages: map[flow.Page]string{
			flow.PageApps: prefix + web.PathApps, flow.PageSetupDone: prefix + web.PathSetupDone,
			flow.PageSecurity: prefix + web.PathSecurity, flow.PageSessions: prefix + web.PathSessions, flow.PageFactor: prefix + web.PathSecurityFactor, flow.PageAddPasskey: prefix + web.PathSecurityAddPasskey,
			flow.PageAddresses: prefix + web.PathAddresses, flow.PageVerify: prefix + web.PathAddresses, flow.PageRecover: prefix + web.PathHome,
			flow.PageAddTOTP: prefix + web.PathSecurityAddTOTP, flow.PageAddPhone: prefix + web.PathSecurityAddPhone, flow.PageRecovery: prefix + web.PathSecurityRecovery, flow.PagePassword: prefix + web.PathSecurityPassword, flow.PageAsking: prefix + web.PathSecurityAsking,
			flow.PageActivity: prefix + web.PathActivity, flow.PageLanguage: prefix + web.PathLanguage, flow.PageDisown: prefix + web.PathNotMeEvent, flow.PageReview: prefix + web.PathSecurityReview,
		},
	}
	cfg.Flow.Passkeys, cfg.Flow.Mails = s.Passkeys.Enabled(), s.Sent.Enabled()
	cfg.Flow.Texts, cfg.Flow.TextsCount = s.Texted.Enabled(), s.Phones.Accepted()
	s.Flow = flow.New(cfg.Flow, store, s.Clients, s.Sessions, s.Grants, s.Risk, s.Throttle, s.Events, now)
	cfg.Engine.Issuer = cfg.Issuer.String()
	s.Engine = engine.New(cfg.Engine, store, k, s.Clients, s.Grants, s.Events, now)
	return s, nil
}

// discard is where logs go when nobody wants them.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
