package mail_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

var (
	ada     = mail.To{Address: "ada@example.com", Lang: "en"}
	firefox = mail.Device{Browser: "Firefox", System: "Windows"}
	code    = mail.Code{Code: "77554162", Valid: 10 * time.Minute, Device: firefox}
)

// house is a provider and the mailbox that takes its mails.
type house struct {
	*providertest.P
	box *providertest.Mailbox
	t   *testing.T
	url string
}

func newHouse(t *testing.T, url string, options ...providertest.Option) *house {
	t.Helper()
	box := providertest.NewMailbox(t)
	return &house{providertest.Start(t, append([]providertest.Option{providertest.On(url), providertest.WithMailbox(box)}, options...)...), box, t, url}
}

func each(t *testing.T, run func(t *testing.T, h *house), options ...providertest.Option) {
	t.Helper()
	providertest.Databases(t, func(t *testing.T, url string) { run(t, newHouse(t, url, options...)) })
}

func quick(c *provider.Config) { c.Mail.Timeout = 500 * time.Millisecond }

func (h *house) send(to mail.To, m mail.Message) {
	h.t.Helper()
	if err := h.Mail.Send(h.t.Context(), to, m); err != nil {
		h.t.Fatal(err)
	}
}

// rows returns the mails that are kept.
func (h *house) rows() []storage.Mail {
	h.t.Helper()
	list, err := h.Mail.List(h.t.Context(), false, storage.Page{})
	if err != nil {
		h.t.Fatal(err)
	}
	return list.Items
}

// row returns the one that is kept.
func (h *house) row() storage.Mail {
	h.t.Helper()
	rows := h.rows()
	if len(rows) != 1 {
		h.t.Fatalf("%d mails are kept, want one", len(rows))
	}
	return rows[0]
}

func (h *house) events(kind events.Kind) []storage.Event {
	h.t.Helper()
	all, err := h.Store.Events(h.t.Context(), 100)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []storage.Event
	for _, e := range all {
		if e.Kind == string(kind) {
			out = append(out, e)
		}
	}
	return out
}

// A mail goes with the unit of the change that it tells of: over TLS, with the password,
// in two parts, once.
func TestMailGoesWithItsUnit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := storage.WithUnit(t.Context())
		person := h.Person("ada")
		if err := h.Mail.Send(ctx, mail.To{Address: "Ada@EXAMPLE.com", Person: person.ID, Lang: "sv-FI"}, code); err != nil {
			t.Fatal(err)
		}
		if h.DeliverMails(); len(h.box.Got()) != 0 {
			t.Fatal("a mail was sent before its unit was carried out")
		}
		if err := h.Store.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		row := h.row()
		if row.Recipient != "ada@example.com" || row.PersonID != person.ID || row.Kind != "code" || row.Lang != "sv" {
			t.Errorf("the row is %+v", row)
		}
		for table, text := range providertest.ReadRows(t, h.url) {
			if strings.Contains(text, code.Code) {
				t.Errorf("%s has the code in the clear", table)
			}
		}
		h.DeliverMails()
		got := h.box.Wait("ada@example.com")
		if !got.TLS || got.Username != "doorstep" || got.From != "no-reply@login.example" || got.Code() != code.Code ||
			!strings.Contains(got.HTML, code.Code) || !strings.Contains(got.HTML, `lang="sv"`) || got.Subject != "Din kod för Doorstep" {
			t.Errorf("it came as %+v", got)
		}
		for name, want := range map[string]string{
			"From": `"Doorstep" <no-reply@login.example>`, "To": "<ada@example.com>", "Message-Id": "<" + string(row.ID) + "@login.example>",
			"Auto-Submitted": "auto-generated", "Content-Language": "sv", "Date": row.CreatedAt.Format(time.RFC1123Z), "Reply-To": "", "User-Agent": "",
		} {
			if is := got.Header.Get(name); is != want {
				t.Errorf("%s: %q, want %q", name, is, want)
			}
		}
		if row = h.row(); row.SentAt.IsZero() || row.Sealed != nil || !row.DueAt.IsZero() || row.ExpiresAt.Sub(h.Clock.Now()) != 24*time.Hour {
			t.Errorf("sent, the row is %+v", row)
		}
		h.Clock.Advance(24*time.Hour + time.Second)
		if h.DeliverMails(); len(h.box.Got()) != 0 {
			t.Error("it was sent again")
		}
		if _, err := h.Store.Sweep(t.Context(), storage.At(h.Clock.Now()), 100); err != nil || len(h.rows()) != 0 {
			t.Errorf("a day later the address is still there: %v", err)
		}
	})
}

// Where the change fails nothing is sent, and where the mail cannot be written it does.
func TestMailFailsWithItsUnit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		err := h.Store.Together(t.Context(), func(ctx context.Context) error {
			h.must(h.Mail.Send(ctx, ada, code))
			h.must(h.Events.Record(ctx, events.Event{Kind: events.SetupOffered, Actor: events.ActorSystem}))
			return h.Store.DisablePerson(ctx, storage.NewID(), storage.At(h.Clock.Now())) // there is nobody
		})
		if !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if h.DeliverMails(); len(h.box.Got()) != 0 || len(h.rows()) != 0 {
			t.Error("a mail of a change that failed")
		}
		err = h.Store.Together(t.Context(), func(ctx context.Context) error {
			h.must(h.Events.Record(ctx, events.Event{Kind: events.SetupOffered, Actor: events.ActorSystem}))
			return h.Mail.Send(ctx, mail.To{Address: ada.Address, Person: storage.NewID()}, code) // whose it is not
		})
		if err == nil || len(h.events(events.SetupOffered)) != 0 {
			t.Errorf("a change whose mail could not be written: %v", err)
		}
	})
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// Every link is the issuer's, whoever calls.
func TestMailsLeadToTheIssuerAlone(t *testing.T) {
	h := newHouse(t, providertest.Database(t))
	h.Person("ada") // who lost a password is written to only where somebody has the address
	now := h.Clock.Now()
	for _, m := range []mail.Message{
		mail.VerifyAddress{Path: "/verify?key=k", Valid: time.Hour, Device: firefox},
		mail.Recover{Path: "/recover?key=k", Valid: time.Hour, Device: firefox},
		mail.FactorAdded{Notice: mail.Notice{When: now, NotMe: "/not-me"}, Factor: mail.FactorPasskey, Name: "Work laptop"},
		mail.FactorRemoved{Notice: mail.Notice{When: now, NotMe: "/not-me"}, Factor: mail.FactorTOTP},
		mail.PasswordChanged{Notice: mail.Notice{When: now, NotMe: "/not-me"}},
		mail.NewSignIn{Notice: mail.Notice{When: now, NotMe: "/not-me"}},
	} {
		h.send(ada, m)
		h.DeliverMails()
		got := h.box.Wait(ada.Address)
		if links := got.Links(); len(links) != 1 || !strings.HasPrefix(links[0], h.Issuer+"/") || !strings.Contains(got.HTML, `href="`+links[0]) {
			t.Errorf("%s leads to %q", m.Kind(), links)
		}
	}
	for _, path := range []string{"", "recover", "//evil.example/", `/\evil.example`, "https://evil.example/", "/a b", "/a\r\nBcc: eve@example.com", "/#x", "@evil.example/", "/" + strings.Repeat("x", 2000)} {
		if err := h.Mail.Send(t.Context(), ada, mail.PasswordChanged{Notice: mail.Notice{When: now, NotMe: path}}); err == nil {
			t.Errorf("%.30q was taken for a path", path)
		}
	}
	for what, m := range map[string]mail.Message{
		"a code and a link": mail.Recover{Path: "/recover", Code: "481516", Valid: time.Hour},
		"neither of both":   mail.Recover{Valid: time.Hour},
		"no code":           mail.Code{Valid: time.Hour},
		"a code of two":     mail.Code{Code: "48 15", Valid: time.Hour},
		"valid for no time": mail.Code{Code: "481516"},
		"valid for ever":    mail.Code{Code: "481516", Valid: 365 * 24 * time.Hour},
		"no time":           mail.NewSignIn{Notice: mail.Notice{NotMe: "/not-me"}},
		"an unknown factor": mail.FactorAdded{Notice: mail.Notice{When: now, NotMe: "/not-me"}, Factor: "telepathy"},
	} {
		if err := h.Mail.Send(t.Context(), ada, m); err == nil {
			t.Errorf("%s was sent", what)
		}
	}
}

// Nothing that anybody chooses ends a header (RFC 5322 section 2.2): not the name of the
// house, a device or a factor, nor an address.
func TestNobodyInjectsHeaders(t *testing.T) {
	const evil = "Evil\r\nBcc: eve@evil.example\r\n\r\n<b>hello"
	h := newHouse(t, providertest.Database(t), providertest.Configure(func(c *provider.Config) { c.Web.Name = evil + " Åsas hus" }))
	h.send(mail.To{Address: "Ada@Åre.example", Lang: "es\r\nBcc: eve@evil.example"}, mail.FactorAdded{
		Notice: mail.Notice{When: h.Clock.Now(), Device: mail.Device{Browser: evil, System: "\x00\x1b[2J\u2028x"}, NotMe: "/not-me"}, Factor: mail.FactorPasskey, Name: evil,
	})
	h.DeliverMails()
	got := h.box.Wait("ada@xn--re-xia.example")
	from, err := got.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Address != "no-reply@login.example" || !strings.Contains(from[0].Name, "Åsas hus") {
		t.Errorf("from %v, %v", from, err)
	}
	if got.Header.Get("Bcc") != "" || len(h.box.Got()) != 0 {
		t.Errorf("a header was injected:\n%s", got.Raw)
	}
	if strings.ContainsAny(got.Text+got.Subject, "\r\x00\x1b\u2028") || strings.Contains(got.HTML, "<b>hello") {
		t.Errorf("a name is more than text:\n%s", got.Text)
	}
	for _, address := range []string{"ada@example.com\r\nBcc: eve@evil.example", "ada", "a@b@c", "<ada@example.com>", "ada@example.com, eve@evil.example", ""} {
		var f *fault.Error
		if err := h.Mail.Send(t.Context(), mail.To{Address: address}, code); !errors.As(err, &f) || f.Field != "email" {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// Whoever asks for mails to an address gets few of a kind; another kind, a browser that is
// known and what tells of changes have limits of their own.
func TestMailsToOneAddressAreLimited(t *testing.T) {
	h := newHouse(t, providertest.Database(t))
	for range 10 {
		h.send(ada, code)
	}
	var f *fault.Error
	spelled := mail.To{Address: "ADA@example.com"}
	if err := h.Mail.Send(t.Context(), spelled, code); !errors.As(err, &f) || f.Kind != fault.KindTooMany || f.RetryAfter <= 0 {
		t.Errorf("the eleventh: %v", err)
	}
	h.send(spelled, mail.Recover{Code: "481516", Valid: time.Hour})
	h.send(mail.To{Address: ada.Address, Browser: storage.NewID()}, code)
	h.send(mail.To{Address: "grace@example.com"}, code)
	notice := mail.PasswordChanged{Notice: mail.Notice{When: h.Clock.Now(), NotMe: "/not-me"}}
	for range 30 {
		h.send(ada, notice)
	}
	if err := h.Mail.Send(t.Context(), ada, notice); !errors.As(err, &f) || f.Kind != fault.KindTooMany {
		t.Errorf("the thirty-first notice: %v", err)
	}
	h.Clock.Advance(6 * time.Minute)
	h.send(ada, code)
}

func TestWithoutAServerMailsAreOff(t *testing.T) {
	p := providertest.Start(t)
	if p.Mail.Enabled() {
		t.Error("they are on")
	}
	if err := p.Mail.Send(t.Context(), ada, code); !errors.Is(err, mail.ErrOff) {
		t.Errorf("%v", err)
	}
	p.DeliverMails()
}

// In the process that wrote it a mail goes at once, not when somebody looks for it.
func TestMailsGoAtOnce(t *testing.T) {
	h := newHouse(t, providertest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Background(ctx) }()
	defer func() { cancel(); <-done }()
	began := time.Now()
	for i := range 10 {
		to := fmt.Sprintf("ada%d@example.com", i)
		h.send(mail.To{Address: to}, code)
		h.box.Wait(to)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ten mails took %s: each waited for its second", took)
	}
}

func TestParseSMTP(t *testing.T) {
	for text, want := range map[string]mail.SMTP{
		"smtp://relay.example":        {Host: "relay.example", Port: 587},
		"smtp://relay.example:25/":    {Host: "relay.example", Port: 25},
		"smtps://relay.example":       {Host: "relay.example", Port: 465, Implicit: true},
		"smtps://[2001:db8::1]:10465": {Host: "2001:db8::1", Port: 10465, Implicit: true},
	} {
		if got, err := mail.ParseSMTP(text); err != nil || *got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "relay.example:25", "http://relay.example", "smtp://", "smtp://:25", "smtp://u:p@relay.example", "smtp://relay.example:0", "smtp://relay.example:99999", "smtp://relay.example/x", "smtp://relay.example?tls=no"} {
		if got, err := mail.ParseSMTP(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
