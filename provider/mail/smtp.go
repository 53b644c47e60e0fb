package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/doorstep-id/doorstep/provider/outbound"
)

// SMTP is a server that takes mails (RFC 6409).
type SMTP struct {
	Host     string
	Port     int
	Implicit bool // TLS from the first byte (RFC 8314), else by STARTTLS (RFC 3207)
	// Opportunistic goes on without TLS where the server has no STARTTLS. A password is never
	// sent so, but to this machine.
	Opportunistic      bool
	Username, Password string
	Roots              *x509.CertPool // who may vouch for the server; nil for the system's
}

// ParseSMTP reads smtp://host:port, or smtps: without a port it is 587 or 465.
func ParseSMTP(text string) (*SMTP, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		return nil, errors.New("is neither smtp://host:587 nor smtps://host:465")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("must be a host and a port alone: the user's name and password have settings of their own")
	}
	s := &SMTP{Host: u.Hostname(), Port: 587, Implicit: u.Scheme == "smtps"}
	if s.Implicit {
		s.Port = 465
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a port", port)
		}
		s.Port = int(n)
	}
	return s, nil
}

// deliver hands a mail to the server, within ctx's deadline. What it returns is a *Refusal.
func (s *SMTP) deliver(ctx context.Context, l *Letter) error {
	message, err := l.message()
	if err != nil {
		return &Refusal{Final: true, Apart: true, Says: scrub("the mail cannot be written: "+err.Error(), l.content())}
	}
	client, err := s.client(domainOf(l.From.Address))
	if err != nil {
		return &Refusal{Says: scrub(err.Error(), l.content())}
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() { // it was taken; how the connection ends is of no matter
		return nil
	}
	says, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "send failed: "), ", affected ") // by whom and of what is in the row
	r := &Refusal{Says: scrub(says, l.content())}
	var failed *gomail.SendError
	if errors.As(err, &failed) {
		r.Code = failed.ErrorCode()
		switch failed.Reason {
		case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
			r.Apart = r.Code != 0 && r.Code != 421 // RFC 5321 section 3.8: it shuts down
			r.Final = r.Code >= 500
		default:
		}
	}
	return r
}

// Check connects to the server as for a mail of that sender, within ctx's deadline, and
// says why it would take none. It sends nothing.
func (s *SMTP) Check(ctx context.Context, from string) error {
	client, err := s.client(domainOf(from))
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return err
	}
	return client.Close()
}

// client is one of one connection.
func (s *SMTP) client(helo string) (*gomail.Client, error) {
	secure := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, RootCAs: s.Roots}
	policy := gomail.TLSMandatory
	if s.Opportunistic {
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{ // the time is that of the context, see outbound.Dial
		gomail.WithPort(s.Port), gomail.WithTimeout(time.Minute), gomail.WithTLSConfig(secure), gomail.WithHELO(helo), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(ctx context.Context, _, address string) (net.Conn, error) {
			conn, err := outbound.Dial(ctx, address)
			if err == nil && s.Implicit {
				conn = tls.Client(conn, secure)
			}
			return conn, err
		}),
	}
	if s.Implicit {
		options = append(options, gomail.WithSSL())
	} else {
		options = append(options, gomail.WithTLSPolicy(policy))
	}
	if s.Username != "" {
		options = append(options, gomail.WithUsername(s.Username), gomail.WithPassword(s.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(s.Host, options...)
}

// message writes the letter.
func (l *Letter) message() (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(l.From)
	if l.ReplyTo != nil {
		m.ReplyToMailAddress(l.ReplyTo)
	}
	if err := m.To(l.To); err != nil {
		return nil, err
	}
	m.Subject(l.Subject)
	m.SetMessageIDWithValue(l.MessageID)
	m.SetDateWithValue(l.Date)
	m.SetGenHeader("Content-Language", l.Lang)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5: nobody's absence is to answer it
	m.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	return m, nil
}

func (l *Letter) content() Content { return Content{l.Subject, l.Text, l.HTML} }

// maxReason bounds why an attempt failed, in runes.
const maxReason = 240

// scrub makes of what a server said something that may be kept and logged: in one
// line, bounded, without addresses and links, and without any word with a digit
// in it that stands in the mail too: a filter may quote what it does not like.
// What is shorter than four signs stays: a reply code is (RFC 5321 section 4.2.1), no secret is.
func scrub(says string, said Content) string {
	var out []string
	for word := range strings.FieldsSeq(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, says)) {
		bare := strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if strings.ContainsAny(word, "@/") || len(bare) > 3 && strings.ContainsFunc(bare, unicode.IsDigit) && strings.Contains(said.Subject+" "+said.Text+" "+said.HTML, bare) {
			word = "…"
		}
		out = append(out, word)
	}
	line := []rune(strings.Join(out, " "))
	if len(line) > maxReason {
		line = append(line[:maxReason-1], '…')
	}
	return string(line)
}
