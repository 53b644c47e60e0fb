package soak

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// grace is how long a lost answer of a refresh can be asked for again, with room
// for the request itself: see the rules for refresh tokens.
const grace = 8 * time.Second

// Crowd is people at work. Each has a browser and waits for one answer at a time;
// whoever gets none asks again, as a client does.
type Crowd struct {
	Ledger *Ledger
	Told   *providertest.LogoutServer // of the client, for what it is told of logouts
	Pause  time.Duration              // after each visit

	t       testing.TB
	servers *Servers
	client  *providertest.RP
	people  []*person
	relying *Relying
	heard   map[string]bool // sessions that the client was told the end of
}

// person is one of them, with one client.
type person struct {
	crowd *Crowd
	n     int
	who   *providertest.Person
	http  *http.Client

	session int
	tokens  tokens
}

// tokens is what the person's client has.
type tokens struct{ grant, sid, access, refresh, id string }

// NewCrowd makes n people and their client.
func NewCrowd(t testing.TB, s *Servers, n int, ledger *Ledger) *Crowd {
	t.Helper()
	c := &Crowd{Ledger: ledger, t: t, servers: s, Told: s.P.LogoutServer(), heard: map[string]bool{}}
	c.client = s.P.Client("web", providertest.FirstParty, c.Told.Told, func(r *clients.Registration) {
		r.PostLogoutRedirectURIs = []string{"https://web.example/bye"}
	})
	c.invite(n, 0)
	return c
}

// invite makes n people, numbered from first on.
func (c *Crowd) invite(n, first int) {
	c.t.Helper()
	front := c.servers.Front()
	for i := first; i < first+n; i++ {
		c.people = append(c.people, &person{crowd: c, n: i, who: c.servers.P.Person(fmt.Sprintf("u%d", i)), http: &http.Client{
			Transport: from{front, fmt.Sprintf("10.%d.%d.1", i/250, i%250)}, Timeout: 20 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}})
		c.people[len(c.people)-1].forget()
	}
}

// forget gives the person a browser that was never here.
func (p *person) forget() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.crowd.t.Error(err)
	}
	p.http.Jar = jar
}

// Others is n more people of the same client, with a ledger of their own.
func (c *Crowd) Others(t testing.TB, n int) *Crowd {
	t.Helper()
	other := &Crowd{Ledger: NewLedger(t, filepath.Join(t.TempDir(), "others")), Told: c.Told, t: t, servers: c.servers, client: c.client, heard: map[string]bool{}}
	other.invite(n, len(c.people))
	return other
}

// SignInAgain has everybody sign in, each time with a browser that was never here,
// until ctx ends. Whoever is told to come later does.
func (c *Crowd) SignInAgain(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range c.people {
		all.Go(func() {
			for ctx.Err() == nil {
				p.forget()
				if _, err := p.walk(); err != nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

// from has every person come from a network of their own.
type from struct {
	http.RoundTripper
	address string
}

func (f from) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-Forwarded-For", f.address)
	return f.RoundTripper.RoundTrip(r)
}

// Work has everybody work until ctx ends, and returns when all have their last answer.
func (c *Crowd) Work(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range c.people {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := p.turn(ctx); err != nil && ctx.Err() == nil {
					c.t.Errorf("u%d: %v", p.n, err)
					return
				}
				time.Sleep(c.Pause)
			}
		})
	}
	all.Wait()
}

// turn is one visit: in, some refreshes, and one of the ways in which a visit ends.
func (p *person) turn(ctx context.Context) error {
	code, err := p.authorize(ctx)
	if err != nil {
		return err
	}
	if ok, err := p.exchange(code); err != nil || !ok {
		return err // the answer was lost and the code with it: the person comes again
	}
	for range 3 {
		if ok, err := p.refresh(); err != nil || !ok {
			return err
		}
		if err := p.look(); err != nil {
			return err
		}
	}
	switch dice(8) {
	case 0:
		return p.replay(code)
	case 1, 2:
		return p.revoke()
	case 3:
		return p.signOut()
	}
	return nil // it stays as it is
}

// patience is how long somebody asks again for an answer that was lost. Longer than
// that a service that is to survive its servers may not be away.
const patience = time.Minute

// again does what one request does until it is answered; a lost answer is written
// down and asked for again, also when the test's load is over.
func (p *person) again(e Entry, do func(*Entry) error) (Entry, error) {
	for first := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		e := e
		e.Began, e.Person, e.Session = time.Now(), p.n, p.session
		e.Late = e.Began.Sub(first) > grace
		err := do(&e)
		e.Ended = time.Now()
		if err != nil {
			e.Outcome, e.Error = Unknown, err.Error()
		}
		if err := p.crowd.Ledger.Write(&e); err != nil {
			return e, err
		}
		if e.Outcome != Unknown {
			return e, nil
		}
		if time.Since(first) > patience {
			return e, fmt.Errorf("no answer to %s for %s: %w", e.Op, patience, err)
		}
	}
}

// answered reads an answer; a 5xx is none.
func (p *person) answered(r *http.Request) (*http.Response, []byte, error) {
	res, err := p.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode >= http.StatusInternalServerError {
		return nil, nil, fmt.Errorf("status %d: %s", res.StatusCode, tail(string(body), 200))
	}
	return res, body, nil
}

func (p *person) get(to string) (*http.Response, []byte, error) {
	r, err := http.NewRequest(http.MethodGet, to, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "text/html")
	return p.answered(r)
}

// authorize walks until there is a code, from the start again where an answer is
// lost: an interaction that was not answered is worth nothing.
func (p *person) authorize(ctx context.Context) (string, error) {
	for {
		code, err := p.walk()
		if err == nil {
			return code, nil
		}
		var lost *lostError
		if !errors.As(err, &lost) || ctx.Err() != nil {
			return "", err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lostError is a step of a walk that was not answered.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

func (p *person) walk() (string, error) {
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	rp := p.crowd.client
	at := p.crowd.servers.P.URL(web.PathAuthorize) + "?" + url.Values{
		"response_type": {"code"}, "client_id": {rp.ID}, "redirect_uri": {rp.RedirectURI}, "scope": {"openid"}, "state": {verifier},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	for range 10 {
		res, page, err := p.get(at) //nolint:bodyclose // answered has read and closed it
		if err == nil && res.StatusCode == http.StatusGone {
			// HTTP asked by itself once more, after an answer that was lost on its way.
			err = errors.New("this was answered before")
		}
		if err != nil {
			p.lost(err)
			return "", &lostError{err}
		}
		location := res.Header.Get("Location")
		if location == "" {
			if location, err = p.signIn(at, page); err != nil {
				return "", err
			}
		}
		next, err := res.Request.URL.Parse(location)
		if err != nil {
			return "", err
		}
		at = next.String()
		if code := next.Query().Get("code"); strings.HasPrefix(at, rp.RedirectURI) && code != "" {
			return code + " " + verifier, nil
		}
		if strings.HasPrefix(at, rp.RedirectURI) {
			return "", fmt.Errorf("refused: %s", next.RawQuery)
		}
	}
	return "", fmt.Errorf("going in circles at %s", at)
}

// lost notes a page that did not come: nobody asked it to change anything that the
// person could count on.
func (p *person) lost(err error) {
	now := time.Now()
	if err := p.crowd.Ledger.Write(&Entry{Began: now, Ended: now, Person: p.n, Session: p.session, Op: Page, Outcome: Unknown, Error: err.Error()}); err != nil {
		p.crowd.t.Error(err)
	}
}

// signIn sends the password once. Whether a lost one counted, the next walk shows.
func (p *person) signIn(at string, page []byte) (string, error) {
	form := providertest.ReadForm(page)
	if form == nil || !form.Fields.Has("password") {
		return "", fmt.Errorf("no password is asked for at %s: %s", at, tail(string(page), 300))
	}
	form.Fields.Set("identifier", p.who.Email)
	form.Fields.Set("password", p.who.Password)
	here, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	to, err := here.Parse(form.Action)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(form.Fields.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", here.Scheme+"://"+here.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	e := Entry{Began: time.Now(), Person: p.n, Op: SignIn}
	res, body, err := p.answered(r) //nolint:bodyclose // answered has read and closed it
	e.Ended = time.Now()
	switch {
	case err != nil:
		e.Outcome, e.Error = Unknown, err.Error()
	case res.StatusCode == http.StatusSeeOther:
		p.session++
		e.Outcome, e.Status = Done, res.StatusCode
	default:
		e.Outcome, e.Status = Refused, res.StatusCode
	}
	e.Session = p.session
	if err := p.crowd.Ledger.Write(&e); err != nil {
		return "", err
	}
	switch e.Outcome {
	case Unknown:
		return "", &lostError{err}
	case Refused:
		return "", fmt.Errorf("the password was refused: %d %s", e.Status, tail(string(body), 300))
	case Done:
	}
	return res.Header.Get("Location"), nil
}

// ask sends a form to an endpoint of clients.
func (p *person) ask(path string, form url.Values, e *Entry) ([]byte, error) {
	r, err := http.NewRequest(http.MethodPost, p.crowd.servers.P.URL(path), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(p.crowd.client.ID), url.QueryEscape(p.crowd.client.Secret))
	res, body, err := p.answered(r) //nolint:bodyclose // answered has read and closed it
	if err != nil {
		return nil, err
	}
	e.Status = res.StatusCode
	if res.StatusCode == http.StatusOK {
		e.Outcome = Done
		return body, nil
	}
	e.Outcome = Refused
	var refusal struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &refusal); err != nil {
		return nil, fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	e.Error = refusal.Error
	return body, nil
}

// got reads what a token answer brought.
func (e *Entry) got(body []byte) (string, error) {
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	e.Access, e.Refresh = answer.Access, answer.Refresh
	var access, id struct {
		GID string `json:"gid"`
		SID string `json:"sid"`
	}
	if err := errors.Join(claims(answer.Access, &access), claims(answer.ID, &id)); err != nil {
		return "", err
	}
	e.Grant, e.SID = access.GID, id.SID
	return answer.ID, nil
}

// claims reads a token of ours without asking who signed it.
func claims(token string, into any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts of a token", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, into)
}

func (p *person) swap(op Op, sent string, form url.Values) (bool, error) {
	var id string
	e, err := p.again(Entry{Op: op, Sent: sent, Grant: p.tokens.grant}, func(e *Entry) error {
		body, err := p.ask(web.PathToken, form, e)
		if err != nil || e.Outcome != Done {
			return err
		}
		id, err = e.got(body)
		return err
	})
	if err != nil || e.Outcome != Done {
		return false, err
	}
	p.tokens = tokens{e.Grant, e.SID, e.Access, e.Refresh, id}
	p.crowd.relying.take(id)
	return true, nil
}

func (p *person) exchange(code string) (bool, error) {
	p.tokens = tokens{}
	code, verifier, _ := strings.Cut(code, " ")
	return p.swap(Exchange, code, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.crowd.client.RedirectURI}, "code_verifier": {verifier},
	})
}

func (p *person) refresh() (bool, error) {
	return p.swap(Refresh, p.tokens.refresh, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.tokens.refresh}})
}

// replay uses the code again, which must end what came of it.
func (p *person) replay(code string) error {
	had := p.tokens
	defer func() { p.tokens = had }()
	_, err := p.exchange(code)
	return err
}

// look has the access token read by the provider itself.
func (p *person) look() error {
	_, err := p.again(Entry{Op: Introspect, Grant: p.tokens.grant, Sent: p.tokens.access}, func(e *Entry) error {
		body, err := p.ask(web.PathIntrospect, url.Values{"token": {p.tokens.access}}, e)
		if err != nil {
			return err
		}
		return active(body, e)
	})
	return err
}

// active makes an answer of introspection an outcome.
func active(body []byte, e *Entry) error {
	var answer struct {
		Active bool `json:"active"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if !answer.Active {
		e.Outcome, e.Error = Refused, "inactive"
	}
	return nil
}

func (p *person) revoke() error {
	_, err := p.again(Entry{Op: Revoke, Grant: p.tokens.grant, Sent: p.tokens.refresh}, func(e *Entry) error {
		_, err := p.ask(web.PathRevoke, url.Values{"token": {p.tokens.refresh}}, e)
		return err
	})
	return err
}

// signOut ends the session. Where the answer is lost it is asked for again: who is
// not signed in any more is sent on all the same.
func (p *person) signOut() error {
	to := p.crowd.servers.P.URL(web.PathEndSession) + "?" + url.Values{
		"id_token_hint": {p.tokens.id}, "post_logout_redirect_uri": {"https://web.example/bye"},
	}.Encode()
	_, err := p.again(Entry{Op: SignOut, SID: p.tokens.sid}, func(e *Entry) error {
		res, body, err := p.get(to) //nolint:bodyclose // answered has read and closed it
		if err != nil {
			return err
		}
		e.Status = res.StatusCode
		if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "https://web.example/bye") {
			return fmt.Errorf("signing out: %d %s %s", res.StatusCode, res.Header.Get("Location"), tail(string(body), 300))
		}
		e.Outcome = Done
		return nil
	})
	return err
}

func dice(n int64) int64 {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // the machine has no randomness
	}
	return v.Int64()
}
