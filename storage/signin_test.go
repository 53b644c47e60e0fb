package storage_test

import (
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// What the authorization endpoint reads about a browser, and what dies with what.
var signInTests = map[string]func(*testing.T, fixture){
	"a sign-in is read with all that hangs on it": testLoadSignIn,
	"a sign-in is read without what is not there": testLoadBareSignIn,
	"a sign-in that is over is not found":         testLoadNoSignIn,
	"a browser's sessions are read once each":     testLoadSignIns,
	"a session ends with its grants":              testSessionEnds,
	"a grant is read with what it hangs on":       testGrantState,
	"a grant lives from code to revocation":       testGrantLife,
}

func testLoadSignIn(t *testing.T, f fixture) {
	p := f.person("ada")
	f.email(p, "Later@example.com", after(time.Hour))
	f.email(p, "Ada@Example.com", now)
	se := f.session(p, "secret")
	consent := &storage.Consent{PersonID: p.ID, ClientID: "web", Scopes: storage.Strings{"openid"}, CreatedAt: now, UpdatedAt: now}
	f.must(f.SetConsent(f.ctx, consent))
	f.must(f.SetConsent(f.ctx, &storage.Consent{PersonID: p.ID, ClientID: "other", Scopes: storage.Strings{"everything"}, CreatedAt: now, UpdatedAt: now}))
	f.must(f.SetHistory(f.ctx, &storage.History{PersonID: p.ID, Document: doc(`{"n":3}`), UpdatedAt: now}))
	got, err := f.LoadSignIn(f.ctx, hash("secret"), "web", now)
	f.must(err)
	same(t, &storage.SignIn{Session: *se, Person: *p, Identifier: "Ada@Example.com", Consent: *consent, History: doc(`{"n":3}`), Verified: now}, got)
	if !got.HasConsent() {
		t.Error("the consent was read but does not count")
	}
}

func testLoadBareSignIn(t *testing.T, f fixture) {
	p := f.person("ada")
	se := f.session(p, "secret")
	got, err := f.LoadSignIn(f.ctx, hash("secret"), "web", now)
	f.must(err)
	same(t, &storage.SignIn{Session: *se, Person: *p}, got)
	if got.HasConsent() {
		t.Error("there is a consent that nobody gave")
	}
}

func testLoadNoSignIn(t *testing.T, f fixture) {
	p := f.person("ada")
	f.session(p, "living")
	ended := f.session(p, "ended")
	f.must(f.EndSession(f.ctx, ended.ID, now))
	gone := f.person("gone")
	f.session(gone, "disabled")
	f.must(f.DisablePerson(f.ctx, gone.ID, now))
	for name, tc := range map[string]struct {
		secret string
		at     storage.Time
	}{
		"unknown secret":  {"forged", now},
		"lapsed":          {"living", after(time.Hour)},
		"ended":           {"ended", now},
		"person disabled": {"disabled", now},
	} {
		if _, err := f.LoadSignIn(f.ctx, hash(tc.secret), "web", tc.at); err == nil {
			t.Errorf("%s: a sign-in was found", name)
		} else {
			f.want(storage.ErrNotFound, err)
		}
	}
	_, err := f.LoadSignIn(f.ctx, nil, "web", now)
	f.want(storage.ErrNotFound, err)
}

// Each session comes once, also for a person whose addresses were added at the
// same moment.
func testLoadSignIns(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.email(ada, "b@example.com", now)
	f.email(ada, "a@example.com", now)
	want := []storage.ID{f.session(ada, "one").ID, f.session(ada, "two").ID, f.session(bob, "three").ID}
	f.session(bob, "of another browser")
	got, err := f.LoadSignIns(f.ctx, [][]byte{hash("one"), hash("two"), hash("three"), hash("forged")}, now)
	f.must(err)
	var ids []storage.ID
	for _, s := range got {
		ids = append(ids, s.Session.ID)
	}
	slices.Sort(ids)
	same(t, want, ids)
	none, err := f.LoadSignIns(f.ctx, nil, now)
	f.must(err)
	if len(none) != 0 {
		t.Errorf("a browser without cookies has %d sessions", len(none))
	}
}
