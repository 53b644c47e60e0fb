package soak

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorstep-id/doorstep/provider/web"
)

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
