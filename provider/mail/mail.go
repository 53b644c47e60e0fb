package mail

import (
	"context"
	"encoding/json"
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

	Templates *templates.Overrides // in the place of ours; nil for none

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
	// Wanted, if set before the service is used, is asked at each attempt to send a mail
	// whether it is for anybody. One that is not is deleted, and nobody is told.
	Wanted func(ctx context.Context, m *storage.Mail) (bool, error)

	Deps
	cfg     Config
	deliver func(ctx context.Context, l *Letter) error
	woken   chan struct{} // something may be due
}

// New returns the service.
func New(cfg Config, d Deps) (*Service, error) {
	s := &Service{Deps: d, cfg: cfg, deliver: cfg.Deliver, woken: make(chan struct{}, 1)}
	if s.deliver == nil && cfg.SMTP != nil {
		s.deliver = cfg.SMTP.deliver
	}
	if !s.Enabled() {
		return s, nil
	}
	if s.cfg.Timeout == 0 {
		s.cfg.Timeout = 20 * time.Second
	}
	if cfg.From == nil {
		return nil, errors.New("mail: nobody is the sender")
	}
	from := *cfg.From
	if from.Name == "" {
		from.Name = short(cfg.Brand)
	}
	s.cfg.From = &from
	return s, nil
}

// Enabled says whether mails are sent at all. Whoever needs one for something does not offer it if not.
func (s *Service) Enabled() bool { return s.cfg.Enabled() }

// To is who gets a mail.
type To struct {
	Address string     // in any spelling
	Person  storage.ID // whose it is; "" for nobody's yet
	Lang    string     // as [templates.Base] has it
	Browser storage.ID // that asks for it, where it is known to be Person's; "" for every other
}

// How long a row is kept after its end: of a mail that was sent, by which its
// address goes; and of a dead letter.
const (
	keepSent = 24 * time.Hour
	keepDead = 30 * 24 * time.Hour
)

// content is what a row seals.
type content struct {
	Subject, Text, HTML string
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
	row, err := s.row(address, to, m)
	if err != nil {
		return fmt.Errorf("mail %s: %w", m.Kind(), err)
	}
	if err := s.Store.CreateMail(ctx, row); err != nil {
		return fmt.Errorf("mail %s: %w", m.Kind(), err)
	}
	storage.Then(ctx, s.wake)
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

func (s *Service) row(address string, to To, m Message) (*storage.Mail, error) {
	base := templates.MailBase{Lang: to.Lang, Brand: templates.Brand{Name: s.cfg.Brand}, Issuer: s.cfg.Issuer}
	view, err := m.view(base, links{s.cfg.Issuer})
	if err != nil {
		return nil, err
	}
	said, err := s.Mails.Render(view)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(content{said.Subject, said.Text, said.HTML})
	if err != nil {
		return nil, err
	}
	id, now := storage.NewID(), s.Now()
	sealed, err := s.Keys.Seal(storage.PurposeMail, string(id), plain)
	if err != nil {
		return nil, err
	}
	lapses := now.Add(m.life())
	return &storage.Mail{
		ID: id, Recipient: address, PersonID: to.Person, Kind: string(m.Kind()), Lang: said.Lang, Sealed: sealed, CreatedAt: storage.At(now),
		DueAt: storage.At(now), LapsesAt: storage.At(lapses), ExpiresAt: storage.At(lapses.Add(keepDead)),
	}, nil
}

// wake has the deliverer of this process look for what is due.
func (s *Service) wake() {
	select {
	case s.woken <- struct{}{}:
	default: // it will
	}
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

// letter opens a row.
func (s *Service) letter(m *storage.Mail) (*Letter, error) {
	plain, err := s.Keys.Open(storage.PurposeMail, string(m.ID), m.Sealed)
	if err != nil {
		return nil, err
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil {
		return nil, err
	}
	return &Letter{
		MessageID: string(m.ID) + "@" + domainOf(s.cfg.From.Address), From: s.cfg.From, ReplyTo: s.cfg.ReplyTo, To: m.Recipient,
		Date: m.CreatedAt.Time, Lang: m.Lang, Subject: c.Subject, Text: c.Text, HTML: c.HTML,
	}, nil
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
