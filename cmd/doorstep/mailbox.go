package main

import (
	"context"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	netmail "net/mail"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/outbound"
	"github.com/doorstep-id/doorstep/provider/sms"
)

// mailboxPath is where the demo's mails are read, at its shop.
const mailboxPath = "/mailbox"

// maxMailbox is how many mails the demo keeps: the newest ones, in memory alone.
const maxMailbox = 100

// mailbox takes every mail and text message of a demo, in the place of a server, and shows them to
// whoever is at this machine. A server has none.
type mailbox struct {
	log *slog.Logger

	mu    sync.Mutex
	taken int            // so far
	mails []*mailboxMail // the newest first
}

type mailboxMail struct {
	Number int
	*mail.Letter
}

// deliver is mail.Config.Deliver.
func (b *mailbox) deliver(_ context.Context, l *mail.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken++
	b.mails = slices.Insert(b.mails, 0, &mailboxMail{b.taken, l})
	b.mails = b.mails[:min(len(b.mails), maxMailbox)]
	return nil
}

// Deliver is sms.Gateway: text messages lie with the mails.
func (b *mailbox) Deliver(ctx context.Context, _ *outbound.Client, m *sms.Message) error {
	return b.deliver(ctx, &mail.Letter{
		MessageID: m.ID, From: &netmail.Address{Name: m.From}, To: m.To, Date: m.Date, Lang: m.Lang, Subject: "Text message", Text: m.Text,
	})
}

// Links are those in the mail's text.
func (m *mailboxMail) Links() []string { return mailLinks.FindAllString(m.Text, -1) }

var mailLinks = regexp.MustCompile(`(?m)^https?://\S+$`)

//go:embed mailbox.html
var mailboxHTML string

var mailboxPages = template.Must(template.New("mailbox").Parse(mailboxHTML))

// in serves the mailbox beside another handler.
func (b *mailbox) in(other http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", other)
	mux.HandleFunc("GET "+mailboxPath, b.list)
	mux.HandleFunc("GET "+mailboxPath+"/{number}", b.one("mail"))
	mux.HandleFunc("GET "+mailboxPath+"/{number}/html", b.one("html"))
	return mux
}

func (b *mailbox) list(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	mails := slices.Clone(b.mails)
	b.mu.Unlock()
	b.show(w, "list", mails)
}

func (b *mailbox) one(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number, _ := strconv.Atoi(r.PathValue("number")) // what is none is no mail's
		b.mu.Lock()
		i := slices.IndexFunc(b.mails, func(m *mailboxMail) bool { return m.Number == number })
		var m *mailboxMail
		if i >= 0 {
			m = b.mails[i]
		}
		b.mu.Unlock()
		if m == nil {
			http.NotFound(w, r)
			return
		}
		if page == "html" {
			b.raw(w, m)
			return
		}
		b.show(w, page, m)
	}
}

func (b *mailbox) show(w http.ResponseWriter, page string, data any) {
	protectMailbox(w, "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if err := mailboxPages.ExecuteTemplate(w, page, data); err != nil {
		b.log.Warn("mailbox", slog.Any("error", err))
	}
}

// raw shows a mail as programs do: it runs nothing, loads nothing and leads nowhere.
func (b *mailbox) raw(w http.ResponseWriter, m *mailboxMail) {
	protectMailbox(w, "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	if _, err := w.Write([]byte(m.HTML)); err != nil {
		b.log.Debug("mailbox", slog.Any("error", err))
	}
}

func protectMailbox(w http.ResponseWriter, csp string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
