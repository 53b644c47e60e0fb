package soak_test

import (
	"database/sql"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
)

// A ledger that tells of a loss is not passed over.
func TestALossIsSeenInTheLedger(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	code := soak.Entry{Op: soak.Exchange, Outcome: soak.Done, Sent: "c", Grant: "g", Refresh: "r1", Access: "a1", Session: 1}
	again := soak.Entry{Op: soak.Exchange, Outcome: soak.Refused, Sent: "c", Error: "invalid_grant", Session: 1}
	refreshed := soak.Entry{Op: soak.Refresh, Outcome: soak.Done, Sent: "r1", Grant: "g", Refresh: "r2", Access: "a2", Session: 1}
	refused := soak.Entry{Op: soak.Refresh, Outcome: soak.Refused, Sent: "r2", Grant: "g", Error: "invalid_grant", Session: 1}
	late := refused
	late.Late = true
	lost := soak.Entry{Op: soak.Refresh, Outcome: soak.Unknown, Sent: "r2", Grant: "g", Began: at, Ended: at.Add(time.Second)}
	broken := []soak.Fault{{Name: "kill", From: at.Add(-time.Second), Till: at.Add(time.Second)}}
	for name, c := range map[string]struct {
		entries []soak.Entry
		faults  []soak.Fault
		want    string // the invariant, "" for none
	}{
		"nothing is lost":                      {[]soak.Entry{code, refreshed}, nil, ""},
		"a code twice":                         {[]soak.Entry{code, code}, nil, "I3"},
		"a code again ends its grant":          {[]soak.Entry{code, again, refused}, nil, ""},
		"a fresh code refused":                 {[]soak.Entry{again}, nil, "I1"},
		"a code whose answer was lost":         {[]soak.Entry{{Op: soak.Exchange, Outcome: soak.Unknown, Sent: "c", Began: at, Ended: at}, again}, broken, ""},
		"the newest refresh token refused":     {[]soak.Entry{code, refreshed, refused}, nil, "I1"},
		"refused after its grace":              {[]soak.Entry{code, refreshed, lost, late}, broken, ""},
		"a refresh of what was used again":     {[]soak.Entry{code, again, refreshed}, nil, "I2"},
		"a refresh of what was revoked":        {[]soak.Entry{code, {Op: soak.Revoke, Outcome: soak.Done, Grant: "g"}, refreshed}, nil, "I2"},
		"a refresh after signing out":          {[]soak.Entry{code, {Op: soak.SignOut, Outcome: soak.Done, Session: 1}, refreshed}, nil, "I2"},
		"a refresh after another's sign-out":   {[]soak.Entry{code, {Op: soak.SignOut, Outcome: soak.Done, Session: 1, Person: 2}, refreshed}, nil, ""},
		"an access token that is inactive":     {[]soak.Entry{code, {Op: soak.Introspect, Outcome: soak.Refused, Grant: "g"}}, nil, "I1"},
		"no answer while something was broken": {[]soak.Entry{code, lost}, broken, ""},
		"no answer, and nothing was broken":    {[]soak.Entry{code, lost}, nil, "availability"},
	} {
		got := soak.Tally(c.entries, c.faults).Broken
		if (c.want == "") != (len(got) == 0) || c.want != "" && !strings.HasPrefix(got[0], c.want+":") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// living is how many grants were neither revoked nor lost with their session. Each of a crowd may
// end one more while it stops.
func living(entries []soak.Entry) int {
	type session struct{ person, number int }
	grants := map[string]session{}
	for _, e := range entries {
		if e.Op == soak.Exchange && e.Outcome == soak.Done {
			grants[e.Grant] = session{e.Person, e.Session}
		}
		if e.Op == soak.Revoke {
			delete(grants, e.Grant)
		}
		if e.Op == soak.SignOut {
			maps.DeleteFunc(grants, func(_ string, s session) bool { return s == session{e.Person, e.Session} })
		}
	}
	return len(grants)
}

// What a fault could do to the tables is seen in them, and by asking the servers.
func TestALossIsSeenInTheTables(t *testing.T) {
	t.Parallel()
	url := providertest.Database(t)
	s := soak.Start(t, 1, url)
	c := soak.NewCrowd(t, s, 3, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	work(t, c, func() {
		soak.Within(t, time.Minute, "everything was done", func() bool {
			summary := soak.Summary(c.Ledger.Entries())
			return strings.Contains(summary, "revoke") && strings.Contains(summary, "sign-out") && living(c.Ledger.Entries()) > 3
		})
	})
	check := func() []string {
		a := soak.Tally(c.Ledger.Entries(), nil)
		a.Audit(t, c, url)
		a.Probe(t, c)
		return a.Broken
	}
	if got := check(); len(got) > 0 {
		t.Fatalf("before anything was lost: %q", got)
	}
	for _, loss := range []struct{ want, statement string }{
		{"I4", "DELETE FROM events WHERE kind = 'code.spent'"},
		{"I4", "DELETE FROM events WHERE kind = 'signin.succeeded'"},
		{"I6", "DELETE FROM events WHERE kind = 'session.ended'"},
		{"I6", "UPDATE grants SET revoked_at = NULL"},
		{"I1", "DELETE FROM grants"},
	} {
		providertest.Meddle(t, url, loss.statement)
		if got := check(); !strings.Contains(strings.Join(got, "\n"), loss.want+":") {
			t.Errorf("%s: %q, want %s", loss.statement, got, loss.want)
		}
	}
	events := 0
	providertest.Query(t, url, "SELECT count(*) FROM events", func(rows *sql.Rows) error { return rows.Scan(&events) })
	if events == 0 {
		t.Error("nothing is left to check")
	}
}
