// Package outbound is the one client for going out: keys of clients, logout
// tokens, and whatever else is fetched from or sent to an address that somebody
// gave us (OWASP ASVS 5.0 section 15.3, OpenID Connect Core 1.0 section 16; the
// attack is server-side request forgery).
//
// The address is judged when the connection is made, after the name was
// resolved, so that neither a second answer of the DNS nor another spelling
// changes anything. Two kinds of URL are told apart: one that an operator
// registered may also reach what [Config].Allow names; any other (of a client
// that registered itself, of a metadata document, of a request) reaches public
// addresses alone. Link-local and cloud metadata addresses are reached by neither.
//
// https only, and http where Allow names the address of an operator's URL. It
// follows no redirect: the status is the caller's to refuse, and where it points
// is never asked. Time, headers and body are bounded; bodies come as they are,
// compressed ones are refused. There are no cookies, no proxy of the environment
// and no connection that is kept.
//
// It must never be gone round: a second client in provider is refused by the
// linter and by a test. What an [Error] says is for the log; whoever asked from
// outside may read its Shown alone, which is the same for every cause, or we
// would be scanning ports for them.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Config is what an operator decides; the zero value reaches public addresses.
type Config struct {
	Allow    []netip.Prefix // addresses that URLs of operators may reach beside the public ones
	Timeout  time.Duration  // from the first question to the DNS to the last byte; default 5 s
	MaxBytes int64          // of a body; default 100 KB
	Resolver *net.Resolver  // nil: the machine's
	Roots    *x509.CertPool // nil: the machine's

	// Watch, if set, is told of a request that is about to go out, and what it returns
	// is told of its end: the status, or why there is none.
	Watch func(ctx context.Context, method string) (context.Context, func(status int, err error))
}

func (c *Config) setDefaults() {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 100 << 10
	}
}

// maxHeader bounds status line and headers of an answer, in bytes.
const maxHeader = 16 << 10

// Request is what goes out.
type Request struct {
	URL      string
	Operator bool              // an operator registered URL: Config.Allow holds for it
	Accept   string            // media type wanted; "" for any
	Header   map[string]string // what else the server wants, such as a signature; not logged
	MaxBytes int64             // of the answer's body; 0: Config's
	Blind    bool              // the answer's body is of no interest, and not read
}

// Response is what came back, whatever its status: also a redirect, which
// nobody follows.
type Response struct {
	Status int
	Body   []byte
	header http.Header
}

// Header returns a header of the answer, "" if it has none of that name.
func (r *Response) Header(name string) string { return r.header.Get(name) }

// The causes that a test or a log may want to tell apart; an [Error] wraps them.
var (
	ErrURL      = errors.New("not a URL that may be fetched")
	ErrAddress  = errors.New("the address may not be reached from here")
	ErrTooLarge = errors.New("the answer is too large")
	ErrEncoded  = errors.New("the answer is compressed, which was not asked for")
)

// Error says that nothing came back, and to the log why.
type Error struct {
	URL string // without user, query and fragment
	Err error
}

// Error returns address and cause, for the log.
func (e *Error) Error() string { return fmt.Sprintf("outbound %s: %v", e.URL, e.Err) }

// Shown is the same for every cause: what somebody outside may read.
func (*Error) Shown() string { return "could not be fetched" }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Outcome is what came of a request.
type Outcome string

// The outcomes of requests.
const (
	Success Outcome = "success" // a status of 200 to 299
	Refused Outcome = "refused" // any other
	Failed  Outcome = "failed"  // no answer, or none that was wanted
)

// OutcomeOf returns what came of a request that ended so.
func OutcomeOf(status int, err error) Outcome {
	switch {
	case err != nil:
		return Failed
	case status < 200 || status > 299:
		return Refused
	}
	return Success
}

// Client goes out. It is safe for many goroutines.
type Client struct {
	cfg     Config
	clients map[reach]*http.Client
}

// New returns the client.
func New(cfg Config) *Client {
	cfg.setDefaults()
	c := &Client{cfg: cfg, clients: map[reach]*http.Client{}}
	for _, r := range []reach{reachPublic, reachOperator, reachPlain} {
		c.clients[r] = c.client(r)
	}
	return c
}

// client speaks HTTP/1.1 to whom r may reach.
func (c *Client) client(r reach) *http.Client {
	dialer := &net.Dialer{
		Timeout: c.cfg.Timeout, KeepAlive: -1, Resolver: c.cfg.Resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return r.check(address, c.cfg.Allow)
		},
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // an environment's proxy would judge addresses for us
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.cfg.Roots},
			TLSHandshakeTimeout:    c.cfg.Timeout,
			ResponseHeaderTimeout:  c.cfg.Timeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			Protocols:              &protocols,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Get fetches a URL. Its error is an [*Error].
func (c *Client) Get(ctx context.Context, r Request) (*Response, error) {
	return c.do(ctx, http.MethodGet, r, "", "")
}

// PostForm sends a form to a URL. Its error is an [*Error].
func (c *Client) PostForm(ctx context.Context, r Request, form url.Values) (*Response, error) {
	return c.Post(ctx, r, "application/x-www-form-urlencoded", form.Encode())
}

// Post sends a body of that media type to a URL. Its error is an [*Error].
func (c *Client) Post(ctx context.Context, r Request, mediaType, body string) (*Response, error) {
	return c.do(ctx, http.MethodPost, r, mediaType, body)
}

// do sends a request, and tells whoever looks on.
func (c *Client) do(ctx context.Context, method string, in Request, mediaType, body string) (*Response, error) {
	if c.cfg.Watch == nil {
		return c.send(ctx, method, in, mediaType, body)
	}
	ctx, ended := c.cfg.Watch(ctx, method)
	answer, err := c.send(ctx, method, in, mediaType, body)
	if err != nil {
		ended(0, err)
		return nil, err
	}
	ended(answer.Status, nil)
	return answer, nil
}

func (c *Client) send(ctx context.Context, method string, in Request, mediaType, body string) (*Response, error) {
	u, err := url.Parse(in.URL)
	if err != nil {
		return nil, &Error{Err: ErrURL} // its text may hold a secret
	}
	failed := &Error{URL: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()}
	r, err := reachOf(u, in.Operator)
	if err != nil {
		failed.Err = err
		return nil, failed
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		failed.Err = ErrURL
		return nil, failed
	}
	out.Header.Set("User-Agent", "Doorstep")
	out.Header.Set("Accept-Encoding", "identity")
	if in.Accept != "" {
		out.Header.Set("Accept", in.Accept)
	}
	if mediaType != "" {
		out.Header.Set("Content-Type", mediaType)
	}
	for name, text := range in.Header {
		out.Header.Set(name, text)
	}
	answer, err := c.clients[r].Do(out)
	if err != nil {
		failed.Err = unwrap(err)
		return nil, failed
	}
	defer answer.Body.Close()
	if in.Blind {
		return &Response{Status: answer.StatusCode, header: answer.Header}, nil
	}
	limit := c.cfg.MaxBytes
	if in.MaxBytes > 0 {
		limit = in.MaxBytes
	}
	came, err := read(answer, limit)
	if err != nil {
		failed.Err = err
		return nil, failed
	}
	return &Response{Status: answer.StatusCode, Body: came, header: answer.Header}, nil
}

// read returns the body of at most limit bytes.
func read(answer *http.Response, limit int64) ([]byte, error) {
	if encoding := answer.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, ErrEncoded
	}
	if answer.ContentLength > limit {
		return nil, ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, ErrTooLarge
	}
	return body, nil
}

// unwrap takes off the URL that net/http writes around every cause.
func unwrap(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
