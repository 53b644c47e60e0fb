package providertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/mail"
)

// Mailbox is an SMTP server on loopback, with STARTTLS and AUTH, that keeps what it
// is sent.
type Mailbox struct {
	relay    relay
	server   *smtp.Server
	listener net.Listener
	t        testing.TB

	mu     sync.Mutex
	answer func(at Stage, to string) error
	got    []Received
	came   chan struct{} // closed when something comes
}

// relay is how a Mailbox is reached, in a form that another process can be told.
type relay struct {
	Port               int
	Certificate        []byte // in PEM
	Username, Password string
	Implicit           bool
}

func (r *relay) configure(c *provider.Config) {
	if r == nil {
		return
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.Certificate)
	c.Mail.SMTP = &mail.SMTP{Host: "localhost", Port: r.Port, Implicit: r.Implicit, Username: r.Username, Password: r.Password, Roots: roots}
	c.Mail.From = &netmail.Address{Address: "no-reply@login.example"}
}

// Stage is where in a delivery a Mailbox is asked for its answer.
type Stage string

// The stages of a delivery.
const (
	AtMail Stage = "MAIL"
	AtRcpt Stage = "RCPT"
	AtData Stage = "DATA" // all of it is there, and kept if the answer is good
)

// ErrHangUp is an answer that drops the connection. At AtData the mail was kept.
var ErrHangUp = errors.New("hang up")

// Reply is an answer of that code.
func Reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// MailboxOption changes what NewMailbox starts.
type MailboxOption func(*smtp.Server, *relay)

// ImplicitTLS has it speak TLS from the first byte.
func ImplicitTLS(_ *smtp.Server, r *relay) { r.Implicit = true }

// WithoutTLS has it offer no STARTTLS.
func WithoutTLS(s *smtp.Server, _ *relay) { s.TLSConfig, s.AllowInsecureAuth = nil, true }

// NewMailbox starts one.
func NewMailbox(t testing.TB, options ...MailboxOption) *Mailbox {
	t.Helper()
	m := &Mailbox{t: t, came: make(chan struct{}), relay: relay{Username: "doorstep", Password: "relay password"}}
	m.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &delivery{box: m, conn: c}, nil }))
	m.server.Domain, m.server.EnableSMTPUTF8 = "relay.example", true
	m.server.MaxMessageBytes, m.server.MaxRecipients = 1<<20, 1
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	m.server.ErrorLog = quiet{}
	m.server.TLSConfig, m.relay.Certificate = selfSigned(t)
	for _, option := range options {
		option(m.server, &m.relay)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.relay.Port = l.Addr().(*net.TCPAddr).Port
	if m.relay.Implicit {
		l = tls.NewListener(l, m.server.TLSConfig)
	}
	m.listener = l
	served := make(chan error, 1)
	go func() { served <- m.server.Serve(l) }()
	t.Cleanup(func() {
		m.Close() // a test may have done so
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Error(err)
		}
	})
	return m
}

// quiet is a log of nothing: what a test has go wrong is nobody's concern.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// WithMailbox has the provider send its mails there.
func WithMailbox(m *Mailbox) Option {
	return func(s *setup) {
		s.relay = &m.relay
		s.configure = append(s.configure, m.relay.configure)
	}
}

// Close ends it: whoever comes is refused. A server that does not serve yet knows no listener.
func (m *Mailbox) Close() { _, _ = m.server.Close(), m.listener.Close() }

// Answer changes how it answers from now on, also by waiting before it does; nil takes
// everything.
func (m *Mailbox) Answer(how func(at Stage, to string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = how
}

// Got returns what came so far, and forgets it.
func (m *Mailbox) Got() []Received {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.got
	m.got = nil
	return got
}

// Wait returns the next mail to an address, and forgets it; it waits for one that is
// still to come.
func (m *Mailbox) Wait(to string) Received {
	m.t.Helper()
	limit := time.After(within)
	for {
		m.mu.Lock()
		i := slices.IndexFunc(m.got, func(r Received) bool { return r.To == to })
		if i >= 0 {
			r := m.got[i]
			m.got = slices.Delete(m.got, i, i+1)
			m.mu.Unlock()
			return r
		}
		came := m.came
		m.mu.Unlock()
		select {
		case <-came:
		case <-limit:
			m.t.Fatalf("no mail came to %s", to)
		}
	}
}

// Received is a mail as it came.
type Received struct {
	From, To   string // of the envelope
	Username   string // who gave it
	TLS        bool
	Header     netmail.Header
	Subject    string
	Text, HTML string
	Raw        []byte
}

// Code returns the code in the mail, which stands alone on its line.
func (r *Received) Code() string {
	found := regexp.MustCompile(`(?m)^ {4}(\S+)$`).FindStringSubmatch(r.Text)
	if found == nil {
		return ""
	}
	return found[1]
}

// Links returns the links in the mail.
func (r *Received) Links() []string {
	return regexp.MustCompile(`(?m)^https?://\S+$`).FindAllString(r.Text, -1)
}

// delivery is a connection to a Mailbox.
type delivery struct {
	box      *Mailbox
	conn     *smtp.Conn
	username string
	mail     Received
}

func (d *delivery) ask(at Stage) error {
	d.box.mu.Lock()
	answer := d.box.answer
	d.box.mu.Unlock()
	if answer == nil {
		return nil
	}
	err := answer(at, d.mail.To)
	if errors.Is(err, ErrHangUp) {
		_ = d.conn.Conn().Close()
	}
	return err
}

// AuthMechanisms implements smtp.AuthSession.
func (d *delivery) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (d *delivery) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != d.box.relay.Username || password != "relay password" {
			return smtp.ErrAuthFailed
		}
		d.username = username
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (d *delivery) Mail(from string, _ *smtp.MailOptions) error {
	_, secure := d.conn.TLSConnectionState()
	d.mail = Received{From: from, Username: d.username, TLS: secure}
	return d.ask(AtMail)
}

// Rcpt implements smtp.Session.
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.mail.To = to
	return d.ask(AtRcpt)
}

// Data implements smtp.Session.
func (d *delivery) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	d.mail.Raw = raw
	if err := d.mail.parse(); err != nil {
		d.box.t.Errorf("a mail that cannot be read: %v\n%s", err, raw)
		return err
	}
	err = d.ask(AtData)
	if err != nil && !errors.Is(err, ErrHangUp) {
		return err
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.got = append(d.box.got, d.mail)
	close(d.box.came)
	d.box.came = make(chan struct{})
	return err
}

// Reset implements smtp.Session.
func (d *delivery) Reset() { d.mail = Received{} }

// Logout implements smtp.Session.
func (d *delivery) Logout() error { return nil }

// parse reads what came (RFC 5322, RFC 2046 section 5.1.4).
func (r *Received) parse() error {
	m, err := netmail.ReadMessage(bytes.NewReader(r.Raw))
	if err != nil {
		return err
	}
	r.Header = m.Header
	if r.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return errors.Join(err, errors.New("its type is "+kind))
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct {
		kind string
		into *string
	}{{"text/plain", &r.Text}, {"text/html", &r.HTML}} {
		part, err := parts.NextRawPart()
		if err != nil {
			return err
		}
		if kind, params, err = mime.ParseMediaType(part.Header.Get("Content-Type")); err != nil || kind != want.kind || !strings.EqualFold(params["charset"], "utf-8") {
			return errors.Join(err, errors.New("a part's type is "+kind))
		}
		if encoding := part.Header.Get("Content-Transfer-Encoding"); encoding != "quoted-printable" {
			return errors.New("a part's encoding is " + encoding)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			return err
		}
		*want.into = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		return errors.Join(err, errors.New("it has another part"))
	}
	return nil
}

// selfSigned returns a certificate for localhost, and it in PEM.
func selfSigned(t testing.TB) (*tls.Config, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// DeliverMails has the mails sent that are due, and waits until that has come to an end.
func (p *P) DeliverMails() {
	p.t.Helper()
	if err := p.served.DeliverMails(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// Environment returns what a command that is to send its mails there has in its
// environment: files go to dir.
func (m *Mailbox) Environment(dir string) []string {
	m.t.Helper()
	certificate, password := filepath.Join(dir, "relay.pem"), filepath.Join(dir, "relay-password")
	err := errors.Join(os.WriteFile(certificate, m.relay.Certificate, 0o600), os.WriteFile(password, []byte(m.relay.Password), 0o600))
	if err != nil {
		m.t.Fatal(err)
	}
	return []string{fmt.Sprintf("SMTP=smtp://localhost:%d", m.relay.Port), "SMTP_PASSWORD=" + password, "SSL_CERT_FILE=" + certificate}
}
