package soak

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

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

func (e *lostError) Unwrap() error { return e.err }

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
