package mail_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// answers is a mailbox's answer at one stage.
func answers(at providertest.Stage, err error) func(providertest.Stage, string) error {
	return func(stage providertest.Stage, _ string) error {
		if stage == at {
			return err
		}
		return nil
	}
}

// What fails this once is tried again, later each time; what is refused for good is a dead
// letter at once, and what is wrong with us buries nobody's mail.
func TestServerSaysNo(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(providertest.Stage, string) error
		dead   bool
		says   string
	}{
		"the sender, this once":       {answers(providertest.AtMail, providertest.Reply(451, "later")), false, "MAIL FROM"},
		"the sender, for good":        {answers(providertest.AtMail, providertest.Reply(550, "not from you")), false, "550"},
		"the recipient, this once":    {answers(providertest.AtRcpt, providertest.Reply(450, "greylisted")), false, "greylisted"},
		"the recipient, for good":     {answers(providertest.AtRcpt, providertest.Reply(550, "no such user")), true, "no such user"},
		"the message, this once":      {answers(providertest.AtData, providertest.Reply(452, "no room")), false, "no room"},
		"the message, for good":       {answers(providertest.AtData, providertest.Reply(554, "spam")), true, "spam"},
		"everything: it shuts down":   {answers(providertest.AtRcpt, providertest.Reply(421, "bye")), false, "421"},
		"nothing, and drops the line": {answers(providertest.AtRcpt, providertest.ErrHangUp), false, "RCPT"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, providertest.Database(t))
			h.box.Answer(tc.answer)
			h.send(ada, code)
			h.DeliverMails()
			row := h.row()
			if row.Attempts != 1 || !strings.Contains(row.Reason, tc.says) || row.DeadAt.IsZero() == tc.dead || len(h.events(events.MailUndelivered)) == 1 != tc.dead {
				t.Fatalf("after one attempt: %+v", row)
			}
			h.box.Answer(nil)
			if tc.dead {
				h.Clock.Advance(5 * time.Minute)
				if h.DeliverMails(); len(h.box.Got()) != 0 {
					t.Error("a dead letter was sent")
				}
				return
			}
			if wait := row.DueAt.Sub(h.Clock.Now()); wait < 2500*time.Millisecond || wait > 5*time.Second {
				t.Errorf("it is tried again after %s", wait)
			}
			if h.DeliverMails(); h.row().Attempts != 1 {
				t.Error("it was tried again at once")
			}
			h.Clock.Advance(5 * time.Second)
			h.DeliverMails()
			h.box.Wait(ada.Address)
			if row = h.row(); row.SentAt.IsZero() || row.Reason != "" || row.Attempts != 2 {
				t.Errorf("sent at last: %+v", row)
			}
		})
	}
}

// A server that is down is tried less and less; what has lapsed by then is not sent any
// more, and what it said is forgotten.
func TestServerIsDown(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.box.Close()
		h.send(ada, code)
		notice := mail.PasswordChanged{Notice: mail.Notice{When: h.Clock.Now(), NotMe: "/not-me"}}
		h.send(mail.To{Address: "grace@example.com"}, notice)
		var longest time.Duration
		attempts := 0
		for range 200 {
			h.DeliverMails()
			rows := h.rows()
			if rows[1].DueAt.IsZero() {
				break
			}
			longest = max(longest, rows[1].DueAt.Sub(h.Clock.Now()))
			if !rows[0].DueAt.IsZero() {
				attempts = int(rows[0].Attempts)
			}
			h.Clock.Advance(time.Minute / 2)
			if attempts > 12 || h.Clock.Now().Sub(rows[0].CreatedAt.Time) > 20*time.Minute {
				h.Clock.Advance(time.Hour)
			}
		}
		rows := h.rows()
		if rows[0].DeadAt.IsZero() || rows[0].Sealed != nil && h.Clock.Now().Before(rows[0].LapsesAt.Time) || rows[0].DeadAt.Sub(rows[0].CreatedAt.Time) > 11*time.Minute || attempts < 4 || attempts > 12 {
			t.Errorf("of a code that is good for ten minutes, after %d attempts: %+v", attempts, rows[0])
		}
		if rows[1].DeadAt.IsZero() || rows[1].Attempts < 60 || rows[1].Attempts > 160 || longest > time.Hour || longest < 30*time.Minute {
			t.Errorf("of a notice, with %s between attempts at the most: %+v", longest, rows[1])
		}
		if n := len(h.events(events.MailUndelivered)); n != 2 {
			t.Errorf("%d events tell of two dead letters", n)
		}
		var f *fault.Error
		h.Clock.Advance(time.Hour)
		if err := h.Mail.Retry(t.Context(), string(rows[0].ID), events.ActorOperator); !errors.As(err, &f) || f.Kind != fault.KindConflict {
			t.Errorf("a code that has lapsed is tried again: %v", err)
		}
	})
}

// A code that nobody could type any more is not sent, however ready the server is.
func TestLapsedMailIsNotSent(t *testing.T) {
	h := newHouse(t, providertest.Database(t))
	h.send(ada, code)
	h.Clock.Advance(code.Valid)
	h.DeliverMails()
	if row := h.row(); len(h.box.Got()) != 0 || row.DeadAt.IsZero() || row.Sealed != nil {
		t.Errorf("after it lapsed: %+v", row)
	}
}

// A server that does not answer holds up nobody: not whoever has a mail sent, and few
// connections of ours.
func TestServerIsSlow(t *testing.T) {
	h := newHouse(t, providertest.Database(t), providertest.Configure(quick))
	var at, most, all atomic.Int64
	let := make(chan struct{})
	h.box.Answer(func(stage providertest.Stage, _ string) error {
		if stage == providertest.AtMail {
			all.Add(1)
			most.Store(max(most.Load(), at.Add(1)))
			<-let
			at.Add(-1)
		}
		return nil
	})
	for i := range 20 {
		h.send(mail.To{Address: fmt.Sprintf("ada%d@example.com", i)}, code)
	}
	h.DeliverMails()
	if n := most.Load(); n > 8 || n < 2 {
		t.Errorf("%d connections at once", n)
	}
	before := all.Load()
	if h.DeliverMails(); all.Load() != before+1 {
		t.Errorf("it takes nothing, and is tried %d times at once", all.Load()-before)
	}
	for _, row := range h.rows() {
		if row.Attempts > 0 && (row.DueAt.IsZero() || !row.DeadAt.IsZero() || row.Reason == "") {
			t.Errorf("after it timed out: %+v", row)
		}
	}
	close(let)
	h.box.Answer(nil)
	for range 20 {
		h.Clock.Advance(5 * time.Second)
		h.DeliverMails()
	}
	if n := len(h.box.Got()); n != 20 {
		t.Errorf("%d of 20 came at last", n)
	}
}

// What was taken although the answer was lost comes again, and can be told by its id.
func TestAnswerIsLost(t *testing.T) {
	h := newHouse(t, providertest.Database(t))
	h.box.Answer(answers(providertest.AtData, providertest.ErrHangUp))
	h.send(ada, code)
	h.DeliverMails()
	first := h.box.Wait(ada.Address)
	h.box.Answer(nil)
	h.Clock.Advance(5 * time.Second)
	h.DeliverMails()
	second := h.box.Wait(ada.Address)
	if id := first.Header.Get("Message-Id"); id == "" || second.Header.Get("Message-Id") != id || first.Code() != second.Code() {
		t.Errorf("%q and %q", id, second.Header.Get("Message-Id"))
	}
}

// Two servers on one database send each mail once.
func TestTwoServersSendOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		other := providertest.Start(t, providertest.On(h.url), providertest.WithMailbox(h.box))
		const mails = 60
		for i := range mails {
			h.send(mail.To{Address: fmt.Sprintf("ada%d@example.com", i)}, code)
		}
		var all sync.WaitGroup
		for _, p := range []*providertest.P{h.P, other} {
			all.Go(func() {
				for range mails {
					p.DeliverMails()
				}
			})
		}
		all.Wait()
		came := map[string]int{}
		for _, got := range h.box.Got() {
			came[got.To]++
		}
		if len(came) != mails {
			t.Errorf("%d of %d came", len(came), mails)
		}
		for to, times := range came {
			if times != 1 {
				t.Errorf("%s got it %d times", to, times)
			}
		}
	})
}

// A server that is killed when the mail was taken, and before it wrote that down, has it
// sent again: by another one, when the lease has ended and not before.
func TestServerIsKilled(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		box := providertest.NewMailbox(t)
		p := providertest.Replicas(t, 1, providertest.On(url), providertest.WithMailbox(box))
		killed := make(chan struct{})
		var once sync.Once
		box.Answer(func(at providertest.Stage, _ string) error {
			if at == providertest.AtData {
				once.Do(func() { p.KillReplicas(); close(killed) })
			}
			return nil
		})
		if err := p.Mail.Send(t.Context(), ada, code); err != nil {
			t.Fatal(err)
		}
		<-killed
		first := box.Wait(ada.Address)
		p.StartReplicas(0)
		if err := p.Mail.Send(t.Context(), mail.To{Address: "grace@example.com"}, code); err != nil {
			t.Fatal(err)
		}
		box.Wait("grace@example.com") // it looked for what is due
		if got := box.Got(); len(got) != 0 {
			t.Fatal("it was sent again although its lease had not ended")
		}
		rows, err := p.Mail.List(t.Context(), false, storage.Page{})
		if err != nil || rows.Items[0].Attempts != 1 || time.Until(rows.Items[0].DueAt.Time) < 10*time.Second {
			t.Fatalf("%+v, %v", rows.Items, err)
		}
		if err := p.Store.PostponeMail(t.Context(), &rows.Items[0], storage.At(time.Now()), "its lease has ended"); err != nil {
			t.Fatal(err)
		}
		second := box.Wait(ada.Address)
		if id := first.Header.Get("Message-Id"); id == "" || second.Header.Get("Message-Id") != id {
			t.Errorf("%q and %q", id, second.Header.Get("Message-Id"))
		}
	})
}

// Nothing is sent in the clear, to whom nobody vouches for, or by an old password.
func TestServerHasToBeTheRightOne(t *testing.T) {
	for name, tc := range map[string]struct {
		box    providertest.MailboxOption
		change func(*mail.SMTP)
		sent   bool
		says   string
	}{
		"TLS from the first byte":        {box: providertest.ImplicitTLS, sent: true},
		"no STARTTLS":                    {box: providertest.WithoutTLS, says: "STARTTLS"},
		"no STARTTLS, and told so":       {box: providertest.WithoutTLS, change: func(s *mail.SMTP) { s.Opportunistic = true }, sent: true},
		"a stranger's certificate":       {change: func(s *mail.SMTP) { s.Roots = nil }, says: "certificate"},
		"a certificate of another name":  {change: func(s *mail.SMTP) { s.Host = "127.0.0.1" }, says: "certificate"},
		"a stranger's, opportunistic":    {change: func(s *mail.SMTP) { s.Roots, s.Opportunistic = nil, true }, says: "certificate"},
		"a password that is not right":   {change: func(s *mail.SMTP) { s.Password = "s3cret of ours" }, says: "AUTH"},
		"TLS at once where it is not so": {change: func(s *mail.SMTP) { s.Implicit = true }, says: "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			var options []providertest.MailboxOption
			if tc.box != nil {
				options = append(options, tc.box)
			}
			box := providertest.NewMailbox(t, options...)
			p := providertest.Start(t, providertest.WithMailbox(box), providertest.Configure(func(c *provider.Config) {
				if tc.change != nil {
					tc.change(c.Mail.SMTP)
				}
			}))
			h := &house{P: p, box: box, t: t}
			h.send(ada, code)
			h.DeliverMails()
			row := h.row()
			if row.SentAt.IsZero() == tc.sent || len(box.Got()) == 1 != tc.sent || !row.DeadAt.IsZero() || !strings.Contains(row.Reason, tc.says) {
				t.Errorf("%+v", row)
			}
			if strings.Contains(row.Reason+p.Logs(), "s3cret") {
				t.Error("the password is told")
			}
		})
	}
}

// A filter that quotes what it does not like makes nobody keep or log what a mail said.
func TestReasonsQuoteNoMail(t *testing.T) {
	h := newHouse(t, providertest.Database(t))
	h.box.Answer(answers(providertest.AtData, providertest.Reply(554, "blocked: (77554162) or '77554162', https://x.example/recover?key=k to ada@example.com by rule 77 "+strings.Repeat("long ", 100))))
	h.send(ada, code)
	h.DeliverMails()
	row := h.row()
	for _, secret := range []string{"77554162", "x.example", "ada@"} {
		if strings.Contains(row.Reason, secret) || strings.Contains(h.Logs(), secret) {
			t.Errorf("%q is kept or logged: %s", secret, row.Reason)
		}
	}
	if !strings.Contains(row.Reason, "554") || !strings.Contains(row.Reason, "rule 77") || len([]rune(row.Reason)) > 240 {
		t.Errorf("the reason is %q", row.Reason)
	}
	for _, e := range h.events(events.MailUndelivered) {
		if doc := string(e.Document.V); !strings.Contains(doc, "554") || strings.Contains(doc, "@") || strings.Contains(doc, "blocked") {
			t.Errorf("the event says %s", doc)
		}
	}
}

// An operator tries a dead letter again, or throws it away.
func TestDeadLettersAreLookedAfter(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.box.Answer(answers(providertest.AtRcpt, providertest.Reply(550, "no such user")))
		h.send(ada, code)
		h.send(mail.To{Address: "grace@example.com"}, code)
		h.DeliverMails()
		dead, err := h.Mail.List(t.Context(), true, storage.Page{})
		if err != nil || len(dead.Items) != 2 {
			t.Fatal(dead, err)
		}
		if err := h.tells("doorstep_mails_dead 2", "doorstep_mails_waiting 0", `doorstep_mails_total{outcome="dead"} 2`); err != nil {
			t.Error(err)
		}
		h.box.Answer(nil)
		first, second := string(dead.Items[0].ID), string(dead.Items[1].ID)
		h.must(h.Mail.Retry(t.Context(), first, events.ActorOperator))
		h.must(h.Mail.Discard(t.Context(), second, events.ActorOperator))
		var f *fault.Error
		if err := h.Mail.Retry(t.Context(), first, events.ActorOperator); !errors.As(err, &f) || f.Kind != fault.KindConflict {
			t.Errorf("of one that is not dead any more: %v", err)
		}
		for _, id := range []string{second, "x", string(storage.NewID())} {
			for what, do := range map[string]error{
				"retry":   h.Mail.Retry(t.Context(), id, events.ActorOperator),
				"discard": h.Mail.Discard(t.Context(), id, events.ActorOperator),
			} {
				if !errors.Is(do, storage.ErrNotFound) {
					t.Errorf("%s %s: %v", what, id, do)
				}
			}
		}
		h.DeliverMails()
		h.box.Wait(ada.Address)
		if err := h.tells("doorstep_mails_dead 0", `doorstep_mails_total{outcome="sent"} 1`); err != nil {
			t.Error(err)
		}
		for kind, want := range map[events.Kind]int{events.MailUndelivered: 2, events.MailRetried: 1, events.MailDiscarded: 1} {
			if got := len(h.events(kind)); got != want {
				t.Errorf("%s: %d events, want %d", kind, got, want)
			}
		}
	})
}

// tells says which of these lines the metrics do not have.
func (h *house) tells(lines ...string) error {
	asked := httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, "/metrics", http.NoBody)
	told := httptest.NewRecorder()
	h.Ops.ServeHTTP(told, asked)
	var err error
	for _, line := range lines {
		if !strings.Contains(told.Body.String(), line+"\n") {
			err = errors.Join(err, fmt.Errorf("the metrics have no %s", line))
		}
	}
	return err
}
