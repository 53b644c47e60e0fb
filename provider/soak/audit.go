package soak

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// tables is what the database says of grants, sessions and their events.
type tables struct {
	grants map[string]grantRow            // by id
	about  map[events.Kind]map[string]int // events by kind and the grant or session that they are about
	people map[string]int                 // sign-ins by person
}

type grantRow struct {
	session       string
	used, revoked bool // its code, the grant
}

// read reads them behind the store's back.
func read(t testing.TB, database string) *tables {
	t.Helper()
	got := &tables{grants: map[string]grantRow{}, about: map[events.Kind]map[string]int{}, people: map[string]int{}}
	providertest.Query(t, database, "SELECT CAST(id AS text), COALESCE(CAST(session_id AS text), ''), code_used_at IS NOT NULL, revoked_at IS NOT NULL FROM grants", func(rows *sql.Rows) error {
		var (
			id string
			g  grantRow
		)
		if err := rows.Scan(&id, &g.session, &g.used, &g.revoked); err != nil {
			return err
		}
		got.grants[id] = g
		return nil
	})
	providertest.Query(t, database, "SELECT kind, CAST(document AS text), COALESCE(CAST(person_id AS text), '') FROM events", func(rows *sql.Rows) error {
		var kind, document, person string
		if err := rows.Scan(&kind, &document, &person); err != nil {
			return err
		}
		var about struct{ Grant, Session, Why string }
		if err := json.Unmarshal([]byte(document), &about); err != nil {
			return err
		}
		k := events.Kind(kind)
		if k == events.SignInSucceeded {
			got.people[person]++
		}
		if got.about[k] == nil {
			got.about[k] = map[string]int{}
		}
		if about.Grant != "" {
			got.about[k][about.Grant]++
		} else if about.Session != "" {
			got.about[k][about.Session]++
		}
		return nil
	})
	return got
}

// Audit holds the tables against themselves and against the ledger: I4, I5 and I6.
func (a *Account) Audit(t testing.TB, c *Crowd, database string) {
	t.Helper()
	for _, sid := range c.untold(signedOut(a.of), patience) {
		a.breaks("I5", "nobody was told of the end of %s", sid)
	}
	got := read(t, database)
	a.whole(got)
	a.recorded(got, a.of)
	a.signIns(got, c, a.of)
}

// signedOut is the sessions, as the client knows them, whose end was acknowledged.
func signedOut(entries []Entry) []string {
	var sids []string
	for i := range entries {
		if e := &entries[i]; e.Op == SignOut && e.Outcome == Done && !slices.Contains(sids, e.SID) {
			sids = append(sids, e.SID)
		}
	}
	return sids
}

// whole looks at every change that is in the tables, acknowledged or not.
func (a *Account) whole(got *tables) {
	for id, g := range got.grants {
		if n := got.about[events.GrantMade][id]; n != 1 {
			a.breaks("I6", "%d events tell that %s was made", n, id)
		}
		if n := got.about[events.CodeSpent][id]; (n == 1) != g.used {
			a.breaks("I6", "%d events tell that the code of %s was spent, its row says %t", n, id, g.used)
		}
		revoked, ended := got.about[events.GrantRevoked][id], got.about[events.SessionEnded][g.session]
		if (revoked+ended > 0) != g.revoked {
			a.breaks("I6", "%d events tell that %s was revoked, %d that its session ended; its row says %t", revoked, id, ended, g.revoked)
		}
	}
	for id, n := range got.about[events.SessionEnded] {
		if n != 1 {
			a.breaks("I6", "session %s ended %d times", id, n)
		}
	}
}

// recorded looks for the event of every acknowledged change.
func (a *Account) recorded(got *tables, entries []Entry) {
	asked, ended := map[string]int{}, map[string]int{}
	for i := range entries {
		switch e := &entries[i]; {
		case e.Op == Exchange && e.Outcome == Done:
			if n := got.about[events.CodeSpent][e.Grant]; n != 1 {
				a.breaks("I4", "%d events tell of the acknowledged exchange of %s", n, e.Grant)
			}
		case e.Op == Revoke && e.Outcome != Refused:
			asked[e.Grant]++
			ended[e.Grant] += map[Outcome]int{Done: 1}[e.Outcome]
		}
	}
	for grant, n := range asked {
		if told := got.about[events.GrantRevoked][grant]; ended[grant] > 0 && (told < 1 || told > n) {
			a.breaks("I4", "%d events tell of %d revocations of %s", told, n, grant)
		}
	}
	if told, done := len(got.about[events.SessionEnded]), len(signedOut(entries)); told < done {
		a.breaks("I4", "%d events tell of %d sign-outs", told, done)
	}
}

func (a *Account) signIns(got *tables, c *Crowd, entries []Entry) {
	done, perhaps := map[int]int{}, map[int]int{}
	for i := range entries {
		switch e := &entries[i]; {
		case e.Op != SignIn:
		case e.Outcome == Done:
			done[e.Person]++
		case e.Outcome == Unknown:
			perhaps[e.Person]++
		}
	}
	for _, p := range c.people {
		n := got.people[string(p.who.ID)]
		if n < done[p.n] || n > done[p.n]+perhaps[p.n] {
			a.breaks("I4", "%d events tell of %d sign-ins of u%d, and of at most %d that were not answered", n, done[p.n], p.n, perhaps[p.n])
		}
	}
}

// Hold fails the test for all that is broken.
func (a *Account) Hold(t testing.TB) {
	t.Helper()
	for i, broken := range a.Broken {
		if i == 20 {
			t.Errorf("and %d more", len(a.Broken)-i)
			return
		}
		t.Error(broken)
	}
}

// String says what the account is of.
func (a *Account) String() string {
	over := 0
	for _, g := range a.grants {
		if g.over != "" {
			over++
		}
	}
	return fmt.Sprintf("%d grants, %d of them over", len(a.grants), over)
}
