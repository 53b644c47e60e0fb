package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
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
// until ctx ends. Whoever is told to come later does, or is back at once if they hurry.
func (c *Crowd) SignInAgain(ctx context.Context, hurry bool) {
	var all sync.WaitGroup
	for _, p := range c.people {
		all.Go(func() {
			for ctx.Err() == nil {
				p.forget()
				_, err := p.walk()
				if err == nil {
					continue
				}
				pause, later := 100*time.Millisecond, (*laterError)(nil)
				if errors.As(err, &later) && !hurry {
					pause = later.wait
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	all.Wait()
}

// AskForItself has everybody's client ask for tokens of its own until ctx ends.
func (c *Crowd) AskForItself(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range c.people {
		all.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
				if _, err := p.again(Entry{Op: Credentials}, func(e *Entry) error {
					_, err := p.ask(web.PathToken, url.Values{"grant_type": {"client_credentials"}}, e)
					return err
				}); err != nil {
					c.t.Error(err)
					return
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

// laterError is a server's answer that says when to come back.
type laterError struct{ wait time.Duration }

func (e *laterError) Error() string { return fmt.Sprintf("status 503, Retry-After %s", e.wait) }

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
	if later := res.Header.Get("Retry-After"); res.StatusCode == http.StatusServiceUnavailable && later != "" {
		wait, err := time.ParseDuration(later + "s")
		if err != nil {
			return nil, nil, fmt.Errorf("status %d, Retry-After %q", res.StatusCode, later)
		}
		return nil, nil, &laterError{wait}
	}
	if res.StatusCode >= http.StatusInternalServerError {
		return nil, nil, fmt.Errorf("status %d: %s", res.StatusCode, tail(string(body), 200))
	}
	return res, body, nil
}
