package sms_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/sms"
	"github.com/doorstep-id/doorstep/storage"
)

const number = "+46701740605"

var code = sms.Code{For: sms.ToSignIn, Code: "48151623", Valid: 10 * time.Minute}

// house is a provider and the gateway that takes its text messages.
type house struct {
	*providertest.P
	gateway *providertest.Gateway
	t       *testing.T
	url     string
}

func newHouse(t *testing.T, url string, options ...providertest.Option) *house {
	t.Helper()
	g := providertest.NewGateway(t)
	return &house{providertest.Start(t, append([]providertest.Option{providertest.On(url), providertest.WithGateway(g)}, options...)...), g, t, url}
}

// person makes one, and returns the id.
func (h *house) person(name string) storage.ID {
	h.t.Helper()
	who := h.Person(name)
	known, err := h.Directory.ByEmail(h.t.Context(), who.Email)
	if err != nil {
		h.t.Fatal(err)
	}
	return known.ID
}

func (h *house) ask(person storage.ID, number string, from byte) error {
	return h.askFor(sms.ToVerify, person, number, from)
}

func (h *house) askFor(purpose sms.Purpose, person storage.ID, number string, from byte) error {
	code := code
	code.For = purpose
	return h.SMS.Send(h.t.Context(), sms.To{Number: number, Person: person, From: netip.AddrFrom4([4]byte{203, 0, from, 1}), Lang: "en"}, code)
}

func (h *house) send() {
	h.t.Helper()
	if err := h.askFor(sms.ToSignIn, h.person("ada"), number, 1); err != nil {
		h.t.Fatal(err)
	}
}

// rows returns the messages that are kept.
func (h *house) rows() []storage.Mail {
	h.t.Helper()
	list, err := h.SMS.List(h.t.Context(), false, storage.Page{Limit: 100})
	if err != nil {
		h.t.Fatal(err)
	}
	return list.Items
}

func (h *house) row() storage.Mail {
	h.t.Helper()
	rows := h.rows()
	if len(rows) != 1 {
		h.t.Fatalf("%d messages are kept, want one", len(rows))
	}
	return rows[0]
}

// A message goes to a webhook as JSON that nobody else could have signed (Standard Webhooks
// 1.0.0), with its unit, and nothing of what it said is kept.
func TestAWebhookIsSigned(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		h := newHouse(t, url)
		ada := h.person("ada")
		broken := errors.New("broken")
		to := sms.To{Number: "+46 70-174 06 05", Person: ada, Lang: "sv"}
		err := h.Store.Together(t.Context(), func(ctx context.Context) error {
			return errors.Join(h.SMS.Send(ctx, to, code), broken)
		})
		if h.DeliverMails(); !errors.Is(err, broken) || len(h.gateway.Got()) != 0 {
			t.Fatalf("a message of a unit that failed was sent: %v", err)
		}
		if err := h.SMS.Send(t.Context(), to, code); err != nil {
			t.Fatal(err)
		}
		if row := h.row(); row.Recipient != number || strings.Contains(string(row.Sealed), code.Code) || row.Kind != "sms_signin" || row.Channel != storage.BySMS {
			t.Errorf("the row is %+v", row)
		}
		h.DeliverMails()
		got := h.gateway.Got()
		if len(got) != 1 {
			t.Fatalf("%d came, want one", len(got))
		}
		id, at := got[0].Header.Get("webhook-id"), got[0].Header.Get("webhook-timestamp")
		mac := hmac.New(sha256.New, []byte(providertest.GatewaySecret))
		fmt.Fprintf(mac, "%s.%s.%s", id, at, got[0].Body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got[0].Header.Get("webhook-signature") != want {
			t.Errorf("it is signed %q, want %q", got[0].Header.Get("webhook-signature"), want)
		}
		row := h.row()
		if id != string(row.ID) || at != strconv.FormatInt(h.Clock.Now().Unix(), 10) || got[0].Header.Get("Content-Type") != "application/json" {
			t.Errorf("the head is %v", got[0].Header)
		}
		var body struct {
			Type      string
			Timestamp time.Time
			Data      map[string]string
		}
		if err := json.Unmarshal(got[0].Body, &body); err != nil {
			t.Fatal(err)
		}
		const text = "48151623 är din kod för att logga in på Doorstep. Lämna aldrig ut den till någon.\n\n@localhost #48151623"
		if d := body.Data; body.Type != "sms.send" || !body.Timestamp.Equal(row.CreatedAt.Time) || d["to"] != number || d["from"] != "Doorstep" || d["lang"] != "sv" || d["text"] != text {
			t.Errorf("it says %s", got[0].Body)
		}
		if row.SentAt.IsZero() || row.Sealed != nil {
			t.Errorf("what is kept of it: %+v", row)
		}
		if log := h.Logs(); strings.Contains(log, number[1:]) || strings.Contains(log, code.Code) {
			t.Error("the log has the number or the code")
		}
	})
}

// Twilio's way is a form with HTTP Basic.
func TestTwilioTakesAForm(t *testing.T) {
	for from, field := range map[string]string{"+12025550143": "From", "MG0123456789abcdef0123456789abcdef": "MessagingServiceSid", "MGM": "From"} {
		h := newHouse(t, providertest.Database(t), providertest.Configure(func(c *provider.Config) {
			c.SMS.Gateway = &sms.Twilio{URL: c.SMS.Gateway.(*sms.Webhook).URL, Username: "AC123", Password: "a token"}
			c.SMS.From = from
		}))
		h.send()
		h.DeliverMails()
		got := h.gateway.Got()
		if len(got) != 1 {
			t.Fatalf("%d came, want one", len(got))
		}
		r := http.Request{Header: got[0].Header}
		user, password, _ := r.BasicAuth()
		form, err := url.ParseQuery(string(got[0].Body))
		if err != nil || user != "AC123" || password != "a token" || len(form) != 3 || form.Get("To") != number || form.Get(field) != from ||
			!strings.HasSuffix(form.Get("Body"), "\n\n@localhost #48151623") || got[0].Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("from %s: %v, %v, %v", from, form, got[0].Header, err)
		}
	}
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// What fails this once is tried again while the code works; what is refused for good is a dead
// letter at once, which operators see, with nothing in it that the gateway said.
func TestGatewaySaysNo(t *testing.T) {
	twilio := func(code int) string {
		return fmt.Sprintf(`{"code": %d, "message": "about %s, 48151623", "status": 400}`, code, number)
	}
	for name, tc := range map[string]struct {
		like   string
		answer http.HandlerFunc
		dead   bool
		says   string
	}{
		"webhook, for good":      {"webhook", answers(422, "to "+number), true, "the gateway answers 422"},
		"webhook, the signature": {"webhook", answers(401, "48151623"), false, "the gateway answers 401"},
		"webhook, too many":      {"webhook", answers(429, ""), false, "the gateway answers 429"},
		"webhook, broken":        {"webhook", answers(500, ""), false, "the gateway answers 500"},
		"webhook, elsewhere": {"webhook", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		}, false, "the gateway answers 307"},
		"webhook, nothing":              {"webhook", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "EOF"},
		"Twilio, no such number":        {"twilio", answers(400, twilio(21211)), true, "the gateway answers 400, code 21211"},
		"Twilio, unsubscribed":          {"twilio", answers(400, twilio(21610)), true, "the gateway answers 400, code 21610"},
		"Twilio, the sender":            {"twilio", answers(400, twilio(21606)), false, "the gateway answers 400, code 21606"},
		"Twilio, the password":          {"twilio", answers(401, twilio(20003)), false, "the gateway answers 401, code 20003"},
		"Twilio, what is no JSON":       {"twilio", answers(400, "<html>"), false, "the gateway answers 400"},
		"Twilio, more than one reads":   {"twilio", answers(200, strings.Repeat("x", 1<<20)), false, "too large"},
		"Twilio, a code of another one": {"twilio", answers(400, `{"code": "21211"}`), false, "the gateway answers 400"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, providertest.Database(t), providertest.Configure(func(c *provider.Config) {
				if tc.like == "twilio" {
					c.SMS.Gateway = &sms.Twilio{URL: c.SMS.Gateway.(*sms.Webhook).URL, Username: "AC123", Password: "a token"}
				}
			}))
			h.gateway.Answer(tc.answer)
			h.send()
			h.DeliverMails()
			row := h.row()
			if row.Attempts != 1 || !strings.Contains(row.Reason, tc.says) || row.DeadAt.IsZero() == tc.dead || strings.Contains(row.Reason, number[1:]) {
				t.Fatalf("after one attempt: %+v", row)
			}
			h.gateway.Answer(nil)
			h.gateway.Got()
			h.Clock.Advance(5 * time.Second)
			h.DeliverMails()
			if came := len(h.gateway.Got()); (came == 0) != tc.dead {
				t.Errorf("%d came at the second attempt", came)
			}
			if tc.dead {
				h.buried(tc.says)
				if err := h.Mail.Retry(t.Context(), string(row.ID), events.ActorOperator); err != nil {
					t.Fatal(err)
				}
				if h.DeliverMails(); len(h.gateway.Got()) != 1 {
					t.Error("an operator's retry was not sent")
				}
			}
			if log := h.Logs(); strings.Contains(log, number[1:]) || strings.Contains(log, code.Code) {
				t.Error("the log has the number or the code")
			}
		})
	}
}

// buried looks at the event of a dead letter.
func (h *house) buried(says string) {
	h.t.Helper()
	all, err := h.Store.Events(h.t.Context(), 100)
	if err != nil {
		h.t.Fatal(err)
	}
	var told []string
	for _, e := range all {
		if e.Kind == string(events.MailUndelivered) {
			told = append(told, string(e.Document.V))
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], `"http_status"`) || strings.Contains(told[0], number[1:]) || strings.Contains(told[0], says) {
		h.t.Errorf("the events of dead letters are %v", told)
	}
}

// A code that nobody could type any more is not sent, and a gateway that hangs holds up
// nobody's mails.
func TestGatewayIsDownOrSlow(t *testing.T) {
	h := newHouse(t, providertest.Database(t), providertest.Configure(func(c *provider.Config) { c.SMS.Timeout = 300 * time.Millisecond }))
	let := make(chan struct{})
	h.gateway.Answer(func(http.ResponseWriter, *http.Request) { <-let })
	h.send()
	h.DeliverMails()
	close(let)
	if row := h.row(); row.SentAt.IsZero() && row.Reason == "" {
		t.Errorf("after a gateway that hangs: %+v", row)
	}
	h.gateway.Close()
	attempts := int64(0)
	for range 30 {
		h.Clock.Advance(time.Minute / 2)
		if h.DeliverMails(); h.row().DeadAt.IsZero() {
			attempts = h.row().Attempts
		}
	}
	if row := h.row(); row.DeadAt.IsZero() || row.DeadAt.Sub(row.CreatedAt.Time) > code.Valid+time.Minute || attempts < 4 {
		t.Errorf("after a gateway that is down, and %d attempts: %+v", attempts, row)
	}
}

// Attack case 94, by SMS: nothing is sent, or counted, to what is no mobile's number, or to a
// country that the operator did not name, whoever asks.
func TestAttack94NothingIsSentWhereOthersEarn(t *testing.T) {
	h := newHouse(t, providertest.Database(t), providertest.Configure(func(c *provider.Config) { c.SMS.Caps.Network = 1 }))
	ada := h.person("ada")
	for _, to := range []string{"", "0701740605", "+4684401234", "+19005550143", "+34612345678", "+16135550143", "+881612345678"} {
		var f *fault.Error
		if err := h.ask(ada, to, 1); !errors.As(err, &f) || f.Kind != fault.KindInvalid || f.Field != "phone" {
			t.Errorf("to %q: %v", to, err)
		}
	}
	if rows := h.rows(); len(rows) != 0 {
		t.Errorf("%d messages are kept", len(rows))
	}
	if err := h.ask(ada, number, 1); err != nil {
		t.Errorf("what was refused counts: %v", err)
	}
	off := providertest.Start(t)
	if err := off.SMS.Send(t.Context(), sms.To{Number: number, Person: ada}, code); !errors.Is(err, sms.ErrOff) || off.SMS.Enabled() {
		t.Errorf("without a gateway: %v", err)
	}
}

// Attack case 94, by SMS: nobody is flooded, and nobody earns by it: a number, a person, a
// block of addresses and a country have so many a day, whatever the others have left; and over
// all replicas.
func TestAttack94TextMessagesAreCapped(t *testing.T) {
	caps := func(c *provider.Config) { c.SMS.Caps = sms.Caps{Number: 4, Person: 6, Network: 8, Country: 20} }
	providertest.Databases(t, func(t *testing.T, at string) {
		h := newHouse(t, at, providertest.Configure(caps))
		other := &house{providertest.Start(t, providertest.On(at), providertest.WithGateway(h.gateway), providertest.Configure(caps)), h.gateway, t, at}
		var persons []storage.ID
		for i := range 12 {
			persons = append(persons, h.person(fmt.Sprint("p", i)))
		}
		// all asks many at once of both replicas, and returns how many were sent.
		all := func(ask func(h *house, i int) error) (sent int64) {
			var wait sync.WaitGroup
			for i := range 12 {
				wait.Go(func() {
					err := ask([]*house{h, other}[i%2], i)
					var f *fault.Error
					switch {
					case err == nil:
						atomic.AddInt64(&sent, 1)
					case !errors.As(err, &f) || f.Kind != fault.KindTooMany || f.RetryAfter <= 0 || f.Shown() != "too many attempts":
						t.Errorf("number %d: %v", i, err)
					}
				})
			}
			wait.Wait()
			return sent
		}
		to := func(i int) string { return fmt.Sprintf("+4670174%04d", 610+i) }
		for _, tc := range []struct {
			what string
			want int64
			ask  func(h *house, i int) error
		}{ // half of each cap at once; each on a day of its own
			{"to one number", 2, func(h *house, i int) error { return h.ask(persons[i], number, byte(i)) }},
			{"by one person", 3, func(h *house, i int) error { return h.ask(persons[0], to(i), byte(i)) }},
			{"from one block", 4, func(h *house, i int) error { return h.ask(persons[i], to(i), 99) }},
			{"to one country", 10, func(h *house, i int) error { return h.ask(persons[i], to(i), byte(i)) }},
		} {
			h.Clock.Advance(48 * time.Hour)
			other.Clock.Advance(48 * time.Hour)
			if got := all(tc.ask); got != tc.want {
				t.Errorf("%s: %d at once, want %d", tc.what, got, tc.want)
			}
		}
		if err := h.ask(persons[0], "+12025550143", 200); err != nil {
			t.Errorf("another country pays for it: %v", err)
		}
	})
}

// Attack case 94, by SMS: whoever has codes sent to numbers that are not theirs yet, to as many as
// there are, or to somebody else's, uses up no code of who signs in by a mobile that is theirs. Codes
// to sign in are capped as well: by person, by number of theirs, by block of addresses, by country.
func TestAttack94WhoAddsANumberUsesUpNobodysCodes(t *testing.T) {
	caps := func(c *provider.Config) { c.SMS.Caps = sms.Caps{Number: 4, Person: 8, Network: 12, Country: 20} }
	providertest.Databases(t, func(t *testing.T, at string) {
		h := newHouse(t, at, providertest.Configure(caps))
		var persons []storage.ID
		for i := range 12 {
			persons = append(persons, h.person(fmt.Sprint("p", i)))
		}
		to := func(i int) string { return fmt.Sprintf("+4670174%04d", 610+i) }
		// until asks until it is refused, and returns how many were sent.
		until := func(ask func(i int) error) int {
			t.Helper()
			for i := range persons {
				if err := ask(i); err != nil {
					var f *fault.Error
					if !errors.As(err, &f) || f.Kind != fault.KindTooMany {
						t.Fatal(err)
					}
					return i
				}
			}
			return len(persons)
		}
		for _, tc := range []struct {
			what string
			want int
			ask  func(purpose sms.Purpose, i int) error
		}{ // each on a day of its own
			{"to one number", 2, func(purpose sms.Purpose, i int) error { return h.askFor(purpose, persons[1], number, byte(i)) }},
			{"from one block", 6, func(purpose sms.Purpose, i int) error { return h.askFor(purpose, persons[i], to(i), 99) }},
			{"to one country", 10, func(purpose sms.Purpose, i int) error { return h.askFor(purpose, persons[i], to(i), byte(i)) }},
		} {
			h.Clock.Advance(48 * time.Hour)
			if got := until(func(i int) error { return tc.ask(sms.ToVerify, i) }); got != tc.want {
				t.Errorf("%s, to verify: %d, want %d", tc.what, got, tc.want)
			}
			for _, purpose := range []sms.Purpose{sms.ToSignIn, sms.ToProve} {
				if err := h.askFor(purpose, persons[0], number, 99); err != nil {
					t.Errorf("%s: none is left to %s: %v", tc.what, purpose, err)
				}
			}
			h.Clock.Advance(48 * time.Hour)
			if got := until(func(i int) error { return tc.ask([]sms.Purpose{sms.ToSignIn, sms.ToProve}[i%2], i) }); got != tc.want {
				t.Errorf("%s, to sign in: %d, want %d", tc.what, got, tc.want)
			}
		}
	})
}
