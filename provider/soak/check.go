package soak

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/web"
)

// standing is what the ledger says of one grant.
type standing struct {
	grant   string
	person  int
	session int
	access  []string // all that came of it
	refresh string   // the newest
	over    string   // why it is dead; "" while it lives
}

// Account is what must hold by a ledger, and what its entries break already.
type Account struct {
	grants map[string]*standing
	codes  map[string]*standing // of acknowledged exchanges
	lost   map[string]bool      // codes whose answer was lost
	of     []Entry
	Broken []string // each begins with the invariant's name
}

// Tally works out from what was answered what must hold now. It looks at no server.
func Tally(entries []Entry, faults []Fault) *Account {
	a := &Account{grants: map[string]*standing{}, codes: map[string]*standing{}, lost: map[string]bool{}, of: entries}
	for i := range entries {
		a.read(&entries[i])
		a.excuse(&entries[i], faults)
	}
	return a
}

// TallyCopy is Tally for a copy of the database that was taken between from and till.
// What was answered before is in it. What was under way meanwhile may be, so that it
// counts as a lost answer, and its grants are not asked about. What began later is not:
// grants that were made then are dead, and those that ended then live again.
func TallyCopy(entries []Entry, from, till time.Time) *Account {
	var known, later []Entry
	for i := range entries {
		switch e := entries[i]; {
		case e.Began.After(till):
			later = append(later, e)
		case !e.Ended.Before(from):
			e.Outcome, e.Error = Unknown, "the copy was taken"
			known = append(known, e)
		default:
			known = append(known, e)
		}
	}
	a := Tally(known, []Fault{{"copy", from, till}})
	for i := range known {
		if e := &known[i]; e.Outcome == Unknown && !e.Ended.Before(from) {
			a.leaveOut(e)
		}
	}
	for i := range later {
		e := &later[i]
		if e.Op != Exchange || e.Outcome != Done || a.lost[e.Sent] {
			continue
		}
		a.grants[e.Grant] = &standing{grant: e.Grant, person: e.Person, session: e.Session, access: []string{e.Access}, refresh: e.Refresh, over: "it was made later"}
	}
	return a
}

// leaveOut forgets every grant that a lost answer could have changed.
func (a *Account) leaveOut(e *Entry) {
	switch e.Op {
	case Exchange:
		if g := a.codes[e.Sent]; g != nil {
			delete(a.grants, g.grant)
		}
	case Refresh, Revoke:
		delete(a.grants, e.Grant)
	case SignOut:
		for id, g := range a.grants {
			if g.person == e.Person && g.session == e.Session {
				delete(a.grants, id)
			}
		}
	case Page, SignIn, Introspect, Credentials:
	}
}

func (a *Account) breaks(invariant, format string, args ...any) {
	a.Broken = append(a.Broken, invariant+": "+fmt.Sprintf(format, args...))
}

func (a *Account) read(e *Entry) {
	switch e.Op {
	case Exchange:
		a.exchanged(e)
	case Refresh:
		a.refreshed(e)
	case Revoke:
		if e.Outcome == Done {
			a.ends(e.Grant, "revoked")
		}
	case SignOut:
		if e.Outcome != Done {
			return
		}
		for id, g := range a.grants {
			if g.person == e.Person && g.session == e.Session {
				a.ends(id, "signed out")
			}
		}
	case Introspect:
		if g := a.grants[e.Grant]; e.Outcome == Refused && g != nil && g.over == "" {
			a.breaks("I1", "the access token of %s is %s", e.Grant, e.Error)
		}
	case SignIn, Page, Credentials:
	}
}

func (a *Account) exchanged(e *Entry) {
	had := a.codes[e.Sent]
	switch e.Outcome {
	case Unknown:
		a.lost[e.Sent] = true
	case Done:
		if had != nil {
			a.breaks("I3", "a code of u%d was taken twice", e.Person)
			return
		}
		g := &standing{grant: e.Grant, person: e.Person, session: e.Session, access: []string{e.Access}, refresh: e.Refresh}
		a.grants[e.Grant], a.codes[e.Sent] = g, g
	case Refused:
		switch {
		case e.Error != "invalid_grant":
			a.breaks("I1", "a code of u%d was refused by %s", e.Person, e.Error)
		case had != nil:
			had.over = "its code was used again"
		case !a.lost[e.Sent]:
			a.breaks("I1", "a fresh code of u%d was refused", e.Person)
		}
	}
}

func (a *Account) refreshed(e *Entry) {
	switch e.Outcome {
	case Unknown:
	case Done:
		g := a.grants[e.Grant]
		switch {
		case g == nil:
			a.breaks("I1", "a refresh of u%d answered for the unknown grant %s", e.Person, e.Grant)
		case g.over != "":
			a.breaks("I2", "%s was refreshed, which is over: %s", e.Grant, g.over)
		default:
			g.refresh, g.access = e.Refresh, append(g.access, e.Access)
		}
	case Refused:
		g := a.grants[e.Grant]
		if g == nil || g.over != "" {
			return
		}
		if !e.Late {
			a.breaks("I1", "the newest refresh token of %s was refused by %s", e.Grant, e.Error)
		}
		g.over = "its newest refresh token was refused"
	}
}

func (a *Account) ends(grant, why string) {
	if g := a.grants[grant]; g != nil && g.over == "" {
		g.over = why
	}
}

// excuse holds lost answers against the times in which something was broken.
func (a *Account) excuse(e *Entry, faults []Fault) {
	if e.Outcome != Unknown {
		return
	}
	for _, f := range faults {
		if !e.Ended.Before(f.From) && !e.Began.After(f.Till) {
			return
		}
	}
	a.breaks("availability", "u%d got no answer to %s at %s, and nothing was broken then: %s", e.Person, e.Op, e.Began.Format("15:04:05.000"), e.Error)
}

// Probe asks the servers about every grant, each of the next server: the living are
// refreshed, the dead must be refused. It changes the account's living grants.
func (a *Account) Probe(t testing.TB, c *Crowd) {
	t.Helper()
	type job struct {
		g  *standing
		at int
	}
	jobs := make(chan job)
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	for range 8 {
		all.Go(func() {
			for j := range jobs {
				found := c.probe(j.g, c.servers.To(j.at))
				mu.Lock()
				a.Broken = append(a.Broken, found...)
				mu.Unlock()
			}
		})
	}
	n := 0
	for _, g := range a.grants {
		jobs <- job{g, n % len(c.servers.all)}
		n++
	}
	close(jobs)
	all.Wait()
}

func (c *Crowd) probe(g *standing, to http.RoundTripper) []string {
	var broken []string
	p := &person{crowd: c, http: &http.Client{Transport: from{to, "10.200.0.1"}, Timeout: 20 * time.Second}}
	for i, access := range g.access {
		if g.over == "" && i < len(g.access)-1 {
			continue // the newest stands for the others of a living grant
		}
		var e Entry
		body, err := p.ask(web.PathIntrospect, url.Values{"token": {access}}, &e)
		if err == nil {
			err = active(body, &e)
		}
		switch {
		case err != nil:
			broken = append(broken, fmt.Sprintf("availability: introspection of %s: %v", g.grant, err))
		case g.over == "" && e.Outcome != Done && !expired(access):
			broken = append(broken, "I1: the newest access token of "+g.grant+" is inactive")
		case g.over != "" && e.Outcome == Done:
			broken = append(broken, "I2: an access token of "+g.grant+" is active, which is over: "+g.over)
		}
	}
	var e Entry
	_, err := p.ask(web.PathToken, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.refresh}}, &e)
	switch {
	case err != nil:
		broken = append(broken, fmt.Sprintf("availability: refresh of %s: %v", g.grant, err))
	case g.over == "" && e.Outcome != Done:
		broken = append(broken, "I1: the newest refresh token of "+g.grant+" is refused: "+e.Error)
	case g.over != "" && (e.Outcome == Done || e.Error != "invalid_grant"):
		broken = append(broken, fmt.Sprintf("I2: %s is over (%s), and its refresh is answered %s %s", g.grant, g.over, e.Outcome, e.Error))
	}
	return broken
}

// expired says whether a token of ours is past its time.
func expired(token string) bool {
	var c struct {
		Exp int64 `json:"exp"`
	}
	return claims(token, &c) == nil && time.Now().Unix() >= c.Exp
}

// untold reads the logout tokens that came, until all of these sessions were told
// of or the limit is over, and returns those that were not.
func (c *Crowd) untold(sids []string, limit time.Duration) []string {
	for until := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		for _, got := range c.Told.Got() {
			var told struct {
				SID string `json:"sid"`
			}
			if claims(got.Token, &told) == nil {
				c.heard[told.SID] = true
			}
		}
		sids = slices.DeleteFunc(sids, func(sid string) bool { return c.heard[sid] })
		if len(sids) == 0 || time.Now().After(until) {
			return sids
		}
	}
}

// Summary says how much was done, and how it was answered.
func Summary(entries []Entry) string {
	counts := map[Op]map[Outcome]int{}
	for i := range entries {
		if counts[entries[i].Op] == nil {
			counts[entries[i].Op] = map[Outcome]int{}
		}
		counts[entries[i].Op][entries[i].Outcome]++
	}
	text, err := json.Marshal(counts)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), `"`, "")
}
