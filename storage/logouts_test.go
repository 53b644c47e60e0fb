package storage_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What is to be told of the end of a session is written with it, claimed by one,
// and gone when it was told.
var logoutTests = map[string]func(*testing.T, fixture){
	"a session that ends leaves a notice a client": testLogoutNotices,
	"no client's notices hide another's":           testLogoutFairness,
	"one of 50 claims a logout notice":             testRaceLogout,
	"a notice needs the end that it tells of":      testLogoutUndone,
}

// backchannel is a client that wants to hear of logouts, or not.
func (f fixture) backchannel(id, uri string) {
	f.t.Helper()
	c := &storage.Client{ID: id, Version: 1, Name: id, RegisteredBy: storage.RegisteredByOperator, CreatedAt: now, UpdatedAt: now,
		Metadata: storage.Document(storage.ClientMetadata{BackchannelLogoutURI: uri})}
	f.must(f.CreateClient(f.ctx, c))
}

// used has clients get something in a session of a person's.
func (f fixture) used(se *storage.Session, clients ...string) {
	f.t.Helper()
	for _, id := range clients {
		f.must(f.KeepSessionClient(f.ctx, &storage.SessionClient{SessionID: se.ID, ClientID: id, Sub: "sub-" + id, Sid: "sid-" + id, CreatedAt: now}))
	}
}

func (f fixture) due(at storage.Time) []storage.LogoutNotice {
	f.t.Helper()
	all, err := f.DueLogoutNotices(f.ctx, at, 100, 100)
	f.must(err)
	return all
}

func testLogoutNotices(t *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	f.backchannel("silent", "")
	p := f.person("ada")
	first, second, ended := f.session(p, "first"), f.session(p, "second"), f.session(p, "ended")
	for _, se := range []*storage.Session{first, second, ended} {
		f.used(se, "web", "silent", "gone")
	}
	f.used(first, "web") // again: it is there once
	want := func(se *storage.Session, made storage.Time) storage.LogoutNotice {
		return storage.LogoutNotice{SessionID: se.ID, ClientID: "web", Sub: "sub-web", Sid: "sid-web",
			DueAt: storage.At(made.Add(time.Second)), ExpiresAt: storage.At(made.Add(24 * time.Hour)), CreatedAt: made}
	}

	f.must(f.EndSession(f.ctx, ended.ID, now))
	f.want(storage.ErrStale, f.EndSession(f.ctx, ended.ID, after(time.Minute)))
	if early := f.due(now); len(early) != 0 {
		t.Errorf("due at once: %v", early)
	}
	same(t, []storage.LogoutNotice{want(ended, now)}, f.due(after(time.Second)))
	got, err := f.LogoutNotices(f.ctx, ended.ID)
	f.must(err)
	same(t, []storage.LogoutNotice{want(ended, now)}, got)

	// An attempt that failed is due later; one that came to its end is gone.
	n := got[0]
	f.must(f.ClaimLogoutNotice(f.ctx, &n, after(time.Minute)))
	stale := got[0]
	f.want(storage.ErrStale, f.ClaimLogoutNotice(f.ctx, &stale, after(time.Hour)))
	f.want(storage.ErrStale, f.PostponeLogoutNotice(f.ctx, &stale, now))
	f.want(storage.ErrStale, f.EndLogoutNotice(f.ctx, &stale))
	if n.Attempts != 1 || len(f.due(after(time.Minute-time.Second))) != 0 || len(f.due(after(time.Minute))) != 1 {
		t.Errorf("after a claim: %v", f.due(after(time.Hour)))
	}
	if left, err := f.LogoutNotices(f.ctx, ended.ID); err != nil || len(left) != 0 {
		t.Errorf("not tried yet: %v, %v", left, err)
	}
	f.must(f.PostponeLogoutNotice(f.ctx, &n, after(2*time.Minute)))
	if len(f.due(after(time.Minute))) != 0 || len(f.due(after(2*time.Minute))) != 1 {
		t.Errorf("after it was postponed: %v", f.due(after(time.Hour)))
	}
	f.must(f.EndLogoutNotice(f.ctx, &n))

	// Everywhere at once: the sessions that live, not the one that ended.
	f.must(f.SignOutEverywhere(f.ctx, p.ID, "password set", after(time.Minute)))
	if all := f.due(after(time.Hour)); len(all) != 2 {
		t.Errorf("due of two sessions: %v", all)
	}
	web, err := f.Client(f.ctx, "web")
	f.must(err)
	f.must(f.DeleteClient(f.ctx, web, now))
	if all := f.due(after(time.Hour)); len(all) != 0 {
		t.Errorf("of a client that was deleted: %v", all)
	}

	f.backchannel("web", "https://web.example/logout")
	f.used(f.session(p, "third"), "web")
	f.must(f.DisablePerson(f.ctx, p.ID, now))
	if all := f.due(after(time.Hour)); len(all) != 1 {
		t.Errorf("of a person who was disabled: %v", all)
	}
	// The notice outlives its session, which takes its clients along.
	if _, err := f.Sweep(f.ctx, after(2*time.Hour), 100); err != nil {
		t.Fatal(err)
	}
	var left int
	f.must(f.SQL().QueryRowContext(f.ctx, "SELECT count(*) FROM session_clients").Scan(&left))
	if all := f.due(after(time.Hour)); len(all) != 1 || left != 0 {
		t.Errorf("after a sweep: %v, and %d clients of sessions", all, left)
	}
}

func testLogoutFairness(t *testing.T, f fixture) {
	f.backchannel("busy", "https://busy.example/logout")
	f.backchannel("quiet", "https://quiet.example/logout")
	p := f.person("ada")
	for i := range 9 {
		se := f.session(p, fmt.Sprint(i))
		f.used(se, "busy")
		if i == 8 {
			f.used(se, "quiet")
		}
		f.must(f.EndSession(f.ctx, se.ID, after(time.Duration(i)*time.Second)))
	}
	all, err := f.DueLogoutNotices(f.ctx, after(time.Hour), 3, 100)
	f.must(err)
	count := map[string]int{}
	for _, n := range all {
		count[n.ClientID]++
	}
	if count["busy"] != 3 || count["quiet"] != 1 || !all[0].DueAt.Equal(after(time.Second).Time) {
		t.Errorf("due are %v", all)
	}
	// Fewer than each of every client, and still one of each; the oldest of those first.
	if few, err := f.DueLogoutNotices(f.ctx, after(time.Hour), 3, 2); err != nil || len(few) != 2 || few[0].ClientID != "busy" || few[1].ClientID != "quiet" {
		t.Errorf("one of each: %v, %v", few, err)
	}
}

func testRaceLogout(_ *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	se := f.session(f.person("ada"), "secret")
	f.used(se, "web")
	f.must(f.EndSession(f.ctx, se.ID, now))
	seen := f.due(after(time.Hour))[0]
	f.oneWins(storage.ErrStale, race(racers, func(int) error {
		mine := seen
		return f.ClaimLogoutNotice(f.ctx, &mine, after(time.Hour))
	}))
}

// Where the end of the session fails with its unit, nobody is told of it.
func testLogoutUndone(t *testing.T, f fixture) {
	f.backchannel("web", "https://web.example/logout")
	p := f.person("ada")
	se := f.session(p, "secret")
	f.used(se, "web")
	ctx := storage.WithUnit(f.ctx)
	twice := event("session.ended")
	f.must(errors.Join(f.EndSession(ctx, se.ID, now), f.CreateEvent(ctx, twice), f.CreateEvent(ctx, twice)))
	f.want(storage.ErrConflict, f.Flush(ctx))
	if all := f.due(after(time.Hour)); len(all) != 0 {
		t.Errorf("told of an end that was not: %v", all)
	}
	f.must(f.EndSession(f.ctx, se.ID, now))
	if all := f.due(after(time.Hour)); len(all) != 1 {
		t.Errorf("due are %v", all)
	}
}
