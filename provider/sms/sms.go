package sms

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// DefaultTimeout is how long a gateway has to take a message, unless an operator says otherwise.
const DefaultTimeout = 10 * time.Second

// ErrOff says that no text messages are sent here: there is no gateway to give them to.
var ErrOff = errors.New("sms: there is no gateway")

// Config is what an operator decides.
type Config struct {
	Gateway   Gateway // nil: no text messages
	From      string  // who sends, as the gateway wants it; "" leaves it to the gateway
	Countries []string
	Caps      Caps
	Timeout   time.Duration // how long the gateway has to take a message; default [DefaultTimeout]
	// AAL2 has a code that was sent to a phone count beside a password, as a second factor.
	AAL2 bool

	Brand  string // what messages call this place
	Domain string // the issuer's host

	Templates *templates.Overrides // words in the place of ours; nil for none
}

// Enabled says whether there is anybody to give messages to.
func (c *Config) Enabled() bool { return c.Gateway != nil }

// Caps are how many messages go out in any 24 hours; 0 is the default. Those to numbers that people
// showed to be theirs, and those that ask whose a number is, are counted apart; for one person together.
type Caps struct {
	Number  int // to one number; default 10
	Person  int // for one person; default 20
	Network int // asked for from one block of addresses; default 50
	Country int // to one country; default 1000
}

// A Gateway takes messages.
type Gateway interface {
	// Deliver hands a message over. Its error is a *[mail.Refusal], or why nobody answered.
	Deliver(ctx context.Context, out *outbound.Client, m *Message) error
}

// Message is a text message as it is handed over.
type Message struct {
	ID       string // the same at each attempt
	To, From string
	Text     string
	Lang     string
	Date     time.Time // when it was written
	At       time.Time // of the attempt
}

// Deps is what the service works with.
type Deps struct {
	Store    *storage.Store
	Keys     mail.Keys
	Events   *events.Service
	Throttle *throttle.Service
	Out      *outbound.Client
	Now      func() time.Time
}

// Service writes text messages. It is safe for concurrent use.
type Service struct {
	*mail.Outbox
	cfg      Config
	throttle *throttle.Service
	texts    *templates.Texts

	number, person, network, country throttle.Limit
}

// New returns the service.
func New(cfg Config, d Deps) (*Service, error) {
	setDefault(&cfg.Timeout, DefaultTimeout)
	setDefault(&cfg.Caps.Number, 10)
	setDefault(&cfg.Caps.Person, 20)
	setDefault(&cfg.Caps.Network, 50)
	setDefault(&cfg.Caps.Country, 1000)
	s := &Service{
		cfg: cfg, throttle: d.Throttle,
		number: throttle.PerDay("sms-number", cfg.Caps.Number), person: throttle.PerDay("sms-person", cfg.Caps.Person),
		network: throttle.PerDay("sms-network", cfg.Caps.Network), country: throttle.PerDay("sms-country", cfg.Caps.Country),
	}
	box := mail.OutboxConfig{Channel: storage.BySMS, Name: "sms", Status: "http_status", Timeout: cfg.Timeout}
	if cfg.Enabled() {
		var err error
		if s.texts, err = templates.NewTexts(cfg.Templates); err != nil {
			return nil, err
		}
		box.Carry = func(ctx context.Context, m *storage.Mail, said mail.Content) error {
			return cfg.Gateway.Deliver(ctx, d.Out, &Message{
				ID: string(m.ID), To: m.Recipient, From: cfg.From, Text: said.Text, Lang: m.Lang, Date: m.CreatedAt.Time, At: d.Now(),
			})
		}
	}
	s.Outbox = mail.NewOutbox(box, mail.OutboxDeps{Store: d.Store, Keys: d.Keys, Events: d.Events, Now: d.Now})
	return s, nil
}

func setDefault[T comparable](field *T, preset T) {
	var zero T
	if *field == zero {
		*field = preset
	}
}

// To is who gets a message, and who asked for it.
type To struct {
	Number string     // in any spelling, with its country code
	Person storage.ID // who asks: nobody else may
	From   netip.Addr // of whoever asks
	Lang   string     // as [templates.Base] has it
}

// AAL2 says whether a code counts as a second factor.
func (s *Service) AAL2() bool { return s.cfg.AAL2 }

// Purpose is what a code is for.
type Purpose string

// The purposes.
const (
	ToSignIn Purpose = "signin"
	ToProve  Purpose = "prove"  // who changes something at their account
	ToVerify Purpose = "verify" // whose number it is; the others go to one that is the person's
)

// Code is a code, and how long it works.
type Code struct {
	For   Purpose
	Code  string
	Valid time.Duration
}

// buckets are those that a message is taken from. One to a number that is known to be the person's has
// its own of the number, the network and the country: nobody uses these up who tells a number.
func (s *Service) buckets(to To, purpose Purpose, number, country string) []throttle.Bucket {
	network, whose, where := []string{throttle.Block(to.From)}, []string{number}, []string{country}
	if purpose != ToVerify {
		network, whose, where = append(network, "theirs"), append(whose, string(to.Person)), append(where, "theirs")
	}
	return []throttle.Bucket{
		{Limit: s.network, Parts: network},
		{Limit: s.person, Parts: []string{string(to.Person)}},
		{Limit: s.number, Parts: whose},
		{Limit: s.country, Parts: where},
	}
}

// Send has a code sent once the unit in ctx is carried out, and at once without one. It is
// a fault of kind Invalid for a number that nothing is sent to, and one of kind TooMany where a
// cap is reached, whichever; ErrOff if no messages are sent. A message that is
// refused counts for no cap; one whose unit comes to nothing does, as of a second click: what became
// of a unit that failed is not always known, and a cap is not to be got around by that.
func (s *Service) Send(ctx context.Context, to To, code Code) error {
	if !s.Enabled() {
		return ErrOff
	}
	number, err := ident.Phone(to.Number)
	if err != nil {
		return fault.Invalid("phone", "must be the number of a mobile, with + and its country code")
	}
	country := ident.PhoneCountry(number)
	if !slices.Contains(s.cfg.Countries, country) {
		return fault.Invalid("phone", "must be of a country that messages are sent to")
	}
	lang, text, err := s.texts.Code(templates.TextCode{Lang: to.Lang, For: string(code.For), Brand: s.cfg.Brand, Code: code.Code, Domain: s.cfg.Domain})
	if err != nil {
		return fmt.Errorf("sms: %w", err)
	}
	if err := s.throttle.TakeAll(ctx, s.buckets(to, code.For, number, country)); err != nil {
		return err
	}
	row := &storage.Mail{Recipient: number, PersonID: to.Person, Kind: "sms_" + string(code.For), Lang: lang}
	if err := s.Put(ctx, row, mail.Content{Text: text}, code.Valid); err != nil {
		return fmt.Errorf("sms: %w", err)
	}
	return nil
}
