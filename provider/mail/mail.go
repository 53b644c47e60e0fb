package mail

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// ErrOff says that no mails are sent here: there is no server to give them to.
var ErrOff = errors.New("mail: there is no SMTP server")

// Config is what an operator decides.
type Config struct {
	SMTP    *SMTP            // nil: no mails
	From    *netmail.Address // without a name it has the brand's
	ReplyTo *netmail.Address // nil: none
	Brand   string           // what mails call this place
	Issuer  string           // every link in a mail begins with it
	Timeout time.Duration    // how long a server has to take a mail; default 20 s

	// Deliver, if set, takes mails in the place of an SMTP server, as the demo's mailbox does.
	Deliver func(ctx context.Context, l *Letter) error
}

// Enabled says whether there is anybody to give mails to.
func (c *Config) Enabled() bool { return c.SMTP != nil || c.Deliver != nil }

// Deps is what the service works with.
type Deps struct {
	Store    *storage.Store
	Keys     Keys
	Events   *events.Service
	Throttle *throttle.Service
	Mails    *templates.Mails
	Now      func() time.Time
}

// Keys is what mails are sealed with; it is the keys service.
type Keys interface {
	Seal(purpose, id string, plain []byte) ([]byte, error)
	Open(purpose, id string, sealed []byte) ([]byte, error)
}

// Service writes mails and looks after them. It is safe for concurrent use.
type Service struct {
	*Outbox
	Deps
	cfg Config
}

// New returns the service.
func New(cfg Config, d Deps) (*Service, error) {
	s := &Service{Deps: d, cfg: cfg}
	if s.cfg.Timeout == 0 {
		s.cfg.Timeout = 20 * time.Second
	}
	out := OutboxConfig{Channel: storage.ByMail, Name: "mails", Status: "smtp_code", Timeout: s.cfg.Timeout}
	if cfg.Enabled() {
		if cfg.From == nil {
			return nil, errors.New("mail: nobody is the sender")
		}
		from := *cfg.From
		if from.Name == "" {
			from.Name = short(cfg.Brand)
		}
		s.cfg.From = &from
		if s.cfg.Deliver == nil {
			s.cfg.Deliver = cfg.SMTP.deliver
		}
		out.Carry = func(ctx context.Context, m *storage.Mail, said Content) error {
			return s.cfg.Deliver(ctx, s.letter(m, said))
		}
	}
	s.Outbox = NewOutbox(out, OutboxDeps{Store: d.Store, Keys: d.Keys, Events: d.Events, Now: d.Now})
	return s, nil
}

// To is who gets a mail.
type To struct {
	Address string     // in any spelling
	Person  storage.ID // whose it is; "" for nobody's yet
	Lang    string     // as [templates.Base] has it
	Browser storage.ID // that asks for it, where it is known to be Person's; "" for every other
}

// Send has a mail sent once the unit in ctx is carried out, and at once without one.
// It is a fault of kind TooMany if too many go to this address, ErrOff if none are
// sent; a change whose mail cannot be written is not to happen.
func (s *Service) Send(ctx context.Context, to To, m Message) error {
	if !s.Enabled() {
		return ErrOff
	}
	address, err := ident.Email(to.Address)
	if err != nil {
		return fault.Invalid("email", "must be an e-mail address")
	}
	limit, parts := limitOf(address, to, m)
	if err := s.Throttle.Take(ctx, limit, parts...); err != nil {
		return err
	}
	if err := s.put(ctx, address, to, m); err != nil {
		return fmt.Errorf("mail %s: %w", m.Kind(), err)
	}
	return nil
}

// limitOf returns the limit of a mail and the parts of its bucket. What strangers ask for
// has one for each kind of mail, and each browser that is known to be the person's has its
// own: nobody empties that for them.
func limitOf(address string, to To, m Message) (throttle.Limit, []string) {
	if !m.asked() {
		return throttle.MailNotices, []string{address}
	}
	return throttle.MailAsked, []string{address, string(m.Kind()), string(to.Browser)}
}

func (s *Service) put(ctx context.Context, address string, to To, m Message) error {
	base := templates.MailBase{Lang: to.Lang, Brand: templates.Brand{Name: s.cfg.Brand}, Issuer: s.cfg.Issuer}
	view, err := m.view(base, links{s.cfg.Issuer})
	if err != nil {
		return err
	}
	said, err := s.Mails.Render(view)
	if err != nil {
		return err
	}
	row := &storage.Mail{Recipient: address, PersonID: to.Person, Kind: string(m.Kind()), Lang: said.Lang}
	return s.Put(ctx, row, Content{said.Subject, said.Text, said.HTML}, m.life())
}

// Letter is a mail as it is handed over.
type Letter struct {
	MessageID           string // the same at each attempt
	From                *netmail.Address
	ReplyTo             *netmail.Address // nil: none
	To                  string
	Date                time.Time
	Lang                string
	Subject, Text, HTML string
}

func (s *Service) letter(m *storage.Mail, said Content) *Letter {
	return &Letter{
		MessageID: string(m.ID) + "@" + domainOf(s.cfg.From.Address), From: s.cfg.From, ReplyTo: s.cfg.ReplyTo, To: m.Recipient,
		Date: m.CreatedAt.Time, Lang: m.Lang, Subject: said.Subject, Text: said.Text, HTML: said.HTML,
	}
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
