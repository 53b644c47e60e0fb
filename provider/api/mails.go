package api

import (
	"context"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/storage"
)

// Mail is a mail that is to be sent, was sent within a day, or was given up. What it
// says is nobody's but its reader's.
type Mail struct {
	ID        string     `json:"id" required:"true" doc:"The first part of its Message-ID."`
	Kind      string     `json:"kind" required:"true" doc:"What it tells, such as code or password_changed; of text messages, sms_signin, sms_prove or sms_verify."`
	Recipient string     `json:"recipient" required:"true" doc:"The address; of a text message, the end of the number."`
	UserID    string     `json:"user_id,omitempty" doc:"Whose address it is; not there where it is nobody's yet."`
	Language  string     `json:"language" required:"true"`
	State     string     `json:"state" required:"true" enum:"waiting,sent,dead" doc:"dead: given up."`
	Attempts  int64      `json:"attempts" required:"true" doc:"That were begun."`
	Reason    string     `json:"reason,omitempty" doc:"Why the last attempt failed."`
	CreatedAt time.Time  `json:"created_at" required:"true"`
	DueAt     *time.Time `json:"due_at,omitempty" doc:"When it is tried next; while it is tried, when that has failed."`
	LapsesAt  time.Time  `json:"lapses_at" required:"true" doc:"It is of no use from here, and not sent any more."`
	SentAt    *time.Time `json:"sent_at,omitempty"`
	DeadAt    *time.Time `json:"dead_at,omitempty"`
}

type (
	mailPath struct {
		MailID string `path:"mail_id" maxLength:"64" doc:"The mail's id."`
	}
	mailPage struct {
		PageInput
		Dead bool `query:"dead" doc:"Only those that were given up."`
	}
)

func (h *Handler) registerMails() {
	made := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	died := made.Add(2 * time.Second)
	dead := Mail{
		ID: "01a202a9-03b5-7130-aa5f-c18ae97db90c", Kind: string(mail.KindPasswordChanged), Recipient: "ada@example.com", UserID: exampleUserID, Language: "en",
		State: "dead", Attempts: 1, Reason: "sending SMTP RCPT TO command: 550 5.1.1 no such user", CreatedAt: made, LapsesAt: made.Add(72 * time.Hour), DeadAt: &died,
	}
	waiting := dead
	waiting.State, waiting.DueAt, waiting.DeadAt = "waiting", &died, nil
	const one = "/mails/{mail_id}"
	register(h, operation{
		id: "listMails", method: http.MethodGet, path: "/mails", scope: clients.ScopeMailsRead, status: http.StatusOK,
		summary: "List mails, the oldest first", answers: Page[Mail]{Items: []Mail{dead}},
		text: "Those that wait, those that were sent within a day, and those that were given up within a month.",
	}, h.listMails)
	register(h, operation{
		id: "getMail", method: http.MethodGet, path: one, scope: clients.ScopeMailsRead, status: http.StatusOK,
		summary: "Read about a mail", answers: dead,
	}, h.getMail)
	register(h, operation{
		id: "retryMail", method: http.MethodPost, path: one + "/retry", scope: clients.ScopeMailsWrite, status: http.StatusOK, once: true, conflicts: true,
		summary: "Send a mail that was given up", answers: waiting, text: "Unless it has lapsed: an old code helps nobody.",
	}, h.retryMail)
	register(h, operation{
		id: "discardMail", method: http.MethodDelete, path: one, scope: clients.ScopeMailsWrite, status: http.StatusNoContent,
		summary: "Throw a mail away, whatever its state", text: "One that is just being sent arrives all the same.",
	}, h.discardMail)
}

func showMail(m *storage.Mail) Mail {
	out := Mail{
		ID: string(m.ID), Kind: m.Kind, Recipient: m.Recipient, UserID: string(m.PersonID), Language: m.Lang, State: "waiting", Attempts: m.Attempts,
		Reason: m.Reason, CreatedAt: m.CreatedAt.UTC(), DueAt: moment(m.DueAt), LapsesAt: m.LapsesAt.UTC(), SentAt: moment(m.SentAt), DeadAt: moment(m.DeadAt),
	}
	if m.Channel == storage.BySMS {
		out.Recipient = ident.MaskPhone(m.Recipient)
	}
	switch {
	case !m.SentAt.IsZero():
		out.State = "sent"
	case !m.DeadAt.IsZero():
		out.State = "dead"
	}
	return out
}

func (h *Handler) listMails(ctx context.Context, in *mailPage) (*pageOf[Mail], error) {
	dead := ""
	if in.Dead {
		dead = "true"
	}
	return paged(h, "/mails", filters("dead", dead), &in.PageInput, func(p storage.Page) (storage.List[Mail], error) {
		list, err := h.Mail.List(ctx, in.Dead, p)
		return shown(list, showMail), err
	})
}

func (h *Handler) getMail(ctx context.Context, in *mailPath) (*plain[Mail], error) {
	m, err := h.Mail.Show(ctx, in.MailID)
	if err != nil {
		return nil, err
	}
	return &plain[Mail]{showMail(m)}, nil
}

func (h *Handler) retryMail(ctx context.Context, in *mailPath) (*plain[Mail], error) {
	if err := h.Mail.Retry(ctx, in.MailID, events.ActorOperator); err != nil {
		return nil, err
	}
	return h.getMail(ctx, in)
}

func (h *Handler) discardMail(ctx context.Context, in *mailPath) (*nothing, error) {
	return nil, h.Mail.Discard(ctx, in.MailID, events.ActorOperator)
}
