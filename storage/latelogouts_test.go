package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// A client that something is issued to in the moment in which its session ends is
// told of that end all the same (Back-Channel Logout section 2.3).
var lateLogoutTests = map[string]func(*testing.T, fixture){
	"what is issued after the end is noticed":       testLateClient,
	"what is issued during the end is noticed":      testClientDuringTheEnd,
	"who is being told already is told again":       testLateClientBeingTold,
	"a session stays until its late clients cannot": testSessionSettles,
	"replicas notice each late client once":         testRaceLateClients,
	"issuing and ending never wait for each other":  testRaceIssueAndEnd,
	"who looks for late clients reads no others":    testLateClientsPlan,
}

func (f fixture) noticeLate(at storage.Time) {
	f.t.Helper()
	f.must(f.NoticeLateClients(f.ctx, at, 100))
}

func (f fixture) count(query string) (n int) {
	f.t.Helper()
	f.must(f.SQL().QueryRowContext(f.ctx, query).Scan(&n))
	return n
}

func testLateClient(t *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	f.backchannel("silent", "")
	for name, end := range map[string]func(*storage.Person, *storage.Session) error{
		"EndSession":        func(_ *storage.Person, se *storage.Session) error { return f.EndSession(f.ctx, se.ID, now) },
		"SignOutEverywhere": func(p *storage.Person, _ *storage.Session) error { return f.SignOutEverywhere(f.ctx, p.ID, "why", now) },
		"SignOutElsewhere": func(p *storage.Person, _ *storage.Session) error {
			return f.SignOutElsewhere(f.ctx, p.ID, storage.NewID(), "why", now)
		},
		"DisablePerson": func(p *storage.Person, _ *storage.Session) error { return f.DisablePerson(f.ctx, p.ID, now) },
	} {
		p := f.person(name)
		se, other := f.session(p, name), f.session(f.person("bob "+name), "bob "+name)
		f.used(other, "web")
		f.must(end(p, se))
		f.used(se, "web", "silent", "gone")
		f.noticeLate(after(time.Millisecond))
		same(t, []storage.LogoutNotice{{SessionID: se.ID, ClientID: "web", Sub: "sub-web", Sid: "sid-web",
			DueAt: after(time.Millisecond), ExpiresAt: after(24*time.Hour + time.Millisecond), CreatedAt: after(time.Millisecond)}}, f.due(after(time.Millisecond)))
		all := f.due(after(time.Millisecond))
		if len(all) != 1 {
			t.Fatalf("%s: noticed %v", name, all)
		}
		n := all[0]
		f.must(f.ClaimLogoutNotice(f.ctx, &n, after(time.Minute)))
		f.must(f.EndLogoutNotice(f.ctx, &n))
		f.noticeLate(after(time.Second))
		if all := f.due(after(time.Hour)); len(all) != 0 {
			t.Errorf("%s: noticed again: %v", name, all)
		}
		if left := f.count("SELECT count(*) FROM session_clients WHERE session_id <> '" + string(other.ID) + "'"); left != 0 {
			t.Errorf("%s: %d clients left of a session that ended", name, left)
		}
		f.must(f.EndSession(f.ctx, other.ID, now)) // it lived, with its client
		if all, err := f.LogoutNotices(f.ctx, other.ID); err != nil || len(all) != 1 {
			t.Errorf("%s: of another session: %v, %v", name, all, err)
		}
		web, err := f.Client(f.ctx, "web")
		f.must(err)
		f.must(f.DeleteClient(f.ctx, web, now))
		f.backchannel("web", "https://web.example/logout")
	}
}

// Neither sees the other: what ends the session does not wait for what is issued.
// SQLite has one writer.
func testClientDuringTheEnd(t *testing.T, f fixture) {
	if !f.onPostgres() {
		return
	}
	f.backchannel("web", "https://web.example/logout")
	f.backchannel("known", "https://known.example/logout")
	se := f.session(f.person("ada"), "secret")
	f.used(se, "known")
	tx, err := f.SQL().BeginTx(f.ctx, nil)
	f.must(err)
	for _, client := range []string{"web", "known"} { // the first thing, and another thing by a new subject
		_, err = tx.ExecContext(f.ctx, "INSERT INTO session_clients VALUES ($1, $2, 'new', 'sid', 0) ON CONFLICT (session_id, client_id) DO UPDATE SET sub = 'new'", string(se.ID), client)
		f.must(err)
	}
	f.must(f.EndSession(f.ctx, se.ID, now))
	f.noticeLate(now)
	if all := f.due(after(time.Hour)); len(all) != 0 {
		t.Errorf("noticed of what is not issued yet: %v", all)
	}
	f.must(tx.Commit())
	f.noticeLate(now)
	all := f.due(now)
	if len(all) != 2 || all[0].Sub != "new" || all[1].Sub != "new" {
		t.Errorf("noticed %v, want both by their new subject", all)
	}
}

// An attempt under way may come to the client before what it was given since.
func testLateClientBeingTold(t *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	se := f.session(f.person("ada"), "secret")
	f.used(se, "web")
	f.must(f.EndSession(f.ctx, se.ID, now))
	n := f.due(after(time.Hour))[0]
	f.must(f.ClaimLogoutNotice(f.ctx, &n, after(time.Hour)))
	f.must(f.KeepSessionClient(f.ctx, &storage.SessionClient{SessionID: se.ID, ClientID: "web", Sub: "new", Sid: "sid-web", CreatedAt: now}))
	f.noticeLate(after(time.Second))
	f.want(storage.ErrStale, f.EndLogoutNotice(f.ctx, &n))
	if all := f.due(after(time.Second)); len(all) != 1 || all[0].Sub != "new" {
		t.Errorf("due are %v, want one by the newest subject", all)
	}
}

// A session whose late clients may yet come, or were not noticed, is not swept,
// however long ago it lapsed: they would go with it.
func testSessionSettles(t *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	se := f.session(f.person("ada"), "secret")
	f.must(f.EndSession(f.ctx, se.ID, after(2*time.Hour))) // it had lapsed
	left := func(at storage.Time) int {
		t.Helper()
		_, err := f.Sweep(f.ctx, at, 100)
		f.must(err)
		return f.count("SELECT count(*) FROM sessions")
	}
	if left(after(2*time.Hour+time.Minute)) != 1 {
		t.Fatal("swept while clients may come")
	}
	f.used(se, "web")
	if left(after(5*time.Hour)) != 1 {
		t.Fatal("swept with a client that was not noticed")
	}
	f.noticeLate(after(5 * time.Hour))
	if left(after(5*time.Hour)) != 0 || len(f.due(after(5*time.Hour))) != 1 {
		t.Errorf("not swept, or not noticed: %v", f.due(after(5*time.Hour)))
	}

	// One that has not lapsed is let go of alone, and stays.
	se = f.session(f.person("bob"), "secret")
	f.must(f.EndSession(f.ctx, se.ID, now))
	ended, err := f.Session(f.ctx, se.ID)
	f.must(err)
	if !ended.EndedAt.Equal(now.Time) || !ended.SettlesAt.Equal(after(time.Minute).Time) {
		t.Errorf("ended at %v, settles at %v", ended.EndedAt, ended.SettlesAt)
	}
	if swept, err := f.Sweep(f.ctx, after(time.Minute+time.Microsecond), 100); err != nil || swept != 1 {
		t.Errorf("%d rows swept, %v", swept, err)
	}
	if ended, err = f.Session(f.ctx, se.ID); err != nil || !ended.SettlesAt.IsZero() || ended.EndedAt.IsZero() {
		t.Errorf("after it settled: %+v, %v", ended, err)
	}
}

func testRaceLateClients(t *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	stores := []*storage.Store{f.Store, open(t, f.url), open(t, f.url)}
	p := f.person("ada")
	const sessions = 20
	for i := range sessions {
		se := f.session(p, fmt.Sprint(i))
		f.must(f.EndSession(f.ctx, se.ID, now))
		f.used(se, "web")
	}
	for _, err := range race(12, func(i int) error { return stores[i%3].NoticeLateClients(f.ctx, now, 100) }) {
		f.must(err)
	}
	all := f.due(now)
	if len(all) != sessions {
		t.Errorf("%d notices of %d sessions", len(all), sessions)
	}
	for _, n := range all {
		if n.Attempts != 0 {
			t.Errorf("noticed more than once: %v", n)
		}
	}
}

// Requests that issue note the session's use in the same unit, before its client or
// after it, while others end it: none of them fails, and every client is noticed.
func testRaceIssueAndEnd(t *testing.T, f fixture) {
	const clients = 6
	for c := range clients {
		f.backchannel(fmt.Sprint(c), "https://web.example/logout")
	}
	for round := range 8 {
		p := f.person(fmt.Sprint(round))
		se := f.session(p, fmt.Sprint(round))
		f.used(se, "0", "1", "2", "3")
		for _, err := range race(2*clients+2, func(i int) error {
			switch i {
			case 2 * clients:
				if err := f.EndSession(f.ctx, se.ID, now); !errors.Is(err, storage.ErrStale) {
					return err
				}
				return nil
			case 2*clients + 1:
				return f.SignOutEverywhere(f.ctx, p.ID, "why", now)
			}
			ctx := storage.WithUnit(f.ctx)
			client := &storage.SessionClient{SessionID: se.ID, ClientID: fmt.Sprint(i % clients), Sub: "s", Sid: "s", CreatedAt: now}
			if round%2 == 0 {
				return errors.Join(f.KeepSession(ctx, se), f.KeepSessionClient(ctx, client), f.Flush(ctx))
			}
			return errors.Join(f.KeepSessionClient(ctx, client), f.KeepSession(ctx, se), f.Flush(ctx))
		}) {
			f.must(err)
		}
		f.noticeLate(now)
		all, err := f.DueLogoutNotices(f.ctx, after(time.Hour), 100, 1000)
		f.must(err)
		if len(all) != clients*(round+1) || f.count("SELECT count(*) FROM session_clients") != 0 {
			t.Fatalf("%d notices after %d rounds of %d clients", len(all), round+1, clients)
		}
	}
}

// The look goes on every second: it reads the few sessions that just ended, and of
// each its clients by their key, however many sessions there are.
func testLateClientsPlan(t *testing.T, f fixture) {
	p := f.person("ada")
	ctx := storage.WithUnit(f.ctx)
	for i := range 2000 {
		se := &storage.Session{ID: storage.NewID(), SecretHash: hash(fmt.Sprint(i)), PersonID: p.ID, Evidence: doc(`[]`), CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}
		f.must(f.CreateSession(ctx, se))
		if i%500 == 499 {
			f.must(f.Flush(ctx))
		}
	}
	_, err := f.SQL().ExecContext(f.ctx, "INSERT INTO session_clients SELECT id, 'web', 's', 's', 0 FROM sessions")
	f.must(err)
	_, err = f.SQL().ExecContext(f.ctx, "ANALYZE") // as a database does by itself, sooner or later
	f.must(err)
	plan := f.plan(storage.SessionsWithLateClients)
	for _, table := range []string{"sessions", "session_clients"} {
		if strings.Contains(plan, "Seq Scan on "+table+" ") || !strings.Contains(plan, "sessions_settles") || strings.Contains(plan, "SCAN sc") {
			t.Errorf("%s is read as a whole:\n%s", table, plan)
		}
	}
}

// plan is how the database would carry out a query.
func (f fixture) plan(query string) string {
	f.t.Helper()
	explain, column := "EXPLAIN QUERY PLAN ", 3
	if f.onPostgres() {
		explain, column = "EXPLAIN ", 0
	}
	var lines []string
	rows, err := f.SQL().QueryContext(f.ctx, explain+strings.ReplaceAll(query, "?", "100"))
	f.must(err)
	defer func() { f.must(rows.Close()) }()
	for rows.Next() {
		columns, err := rows.Columns()
		f.must(err)
		values, into := make([]string, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		f.must(rows.Scan(into...))
		lines = append(lines, values[column])
	}
	f.must(rows.Err())
	return strings.Join(lines, "\n")
}
