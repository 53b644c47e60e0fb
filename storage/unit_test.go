package storage_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// All of a unit, or none of it.
var unitTests = map[string]func(*testing.T, fixture){
	"a unit writes all its kinds of rows":    testUnitWritesAll,
	"a unit waits for its flush":             testUnitWaits,
	"units within a unit join it":            testTogether,
	"a failed guard undoes the unit":         testUnitGuard,
	"a failed write undoes the unit":         testUnitConflict,
	"a unit holds one guard":                 testUnitGuards,
	"a change of several rows is one change": testWhole,
}

// Every value has the type of its column inside the one statement that Postgres
// gets, NULLs too.
func testUnitWritesAll(t *testing.T, f fixture) {
	p := f.person("ada")
	i := f.interaction(after(time.Hour))
	full, empty := newGrant(p, "full"), &storage.Grant{ID: storage.NewID(), PersonID: p.ID, ExpiresAt: now, CreatedAt: now}
	full.Offline, full.AuthTime, full.RefreshHash = true, now, hash("refresh")
	fullEvent := event("full")
	fullEvent.PersonID, fullEvent.Origin, fullEvent.Document = p.ID, []byte{1, 0}, doc(`{"a":[1]}`)
	newcomer := &storage.Person{ID: storage.NewID(), Sub: "new", CreatedAt: now, UpdatedAt: now}
	address := &storage.Identifier{Kind: "email", Value: "new@example.com", PersonID: newcomer.ID, CreatedAt: now}
	se := &storage.Session{ID: storage.NewID(), SecretHash: hash("unit"), PersonID: newcomer.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}

	ctx := storage.WithUnit(f.ctx)
	for _, err := range []error{
		f.CreateGrant(ctx, full), f.CreateGrant(ctx, empty),
		f.CreateEvent(ctx, fullEvent), f.CreateEvent(ctx, event("empty")),
		f.CreatePerson(ctx, newcomer), f.CreateIdentifier(ctx, address), f.SetPassword(ctx, &storage.Password{PersonID: newcomer.ID, Hash: "h", ChangedAt: now}),
		f.CreateSession(ctx, se), f.SeeDevice(ctx, &storage.Device{ID: storage.NewID(), PersonID: newcomer.ID, CreatedAt: now, SeenAt: now, ExpiresAt: now}),
		f.SetConsent(ctx, &storage.Consent{PersonID: p.ID, ClientID: "web", CreatedAt: now, UpdatedAt: now}),
		f.SetHistory(ctx, &storage.History{PersonID: p.ID, Document: doc(`{}`), UpdatedAt: now}),
		f.CreateDecision(ctx, &storage.Decision{ID: storage.NewID(), CreatedAt: now}),
		f.CreateKey(ctx, &storage.Key{KID: "k", Sealed: []byte{1}, CreatedAt: now, ActiveAt: now}),
		f.CreateSecret(ctx, &storage.Secret{Name: "s", Sealed: []byte{1}, CreatedAt: now}),
		f.CreateClient(ctx, &storage.Client{ID: "web", CreatedAt: now, UpdatedAt: now}),
		f.CreateResource(ctx, &storage.Resource{Audience: "https://api.example", CreatedAt: now, UpdatedAt: now}),
		f.Revoke(ctx, &storage.Revocation{Kind: storage.RevokedJTI, ID: "t", NotBefore: now, ExpiresAt: now}),
		f.CreateInteraction(ctx, &storage.Interaction{ID: storage.NewID(), BrowserHash: hash("b"), CreatedAt: now, ExpiresAt: now}),
		f.SpendInteraction(ctx, i.ID, now), // the guard that all of them hang on
		f.Flush(ctx),
	} {
		f.must(err)
	}
	for _, g := range []*storage.Grant{full, empty} {
		got, err := f.GrantByID(f.ctx, g.ID)
		f.must(err)
		same(t, g, &got.Grant)
	}
	_, who, err := f.PersonIdentified(f.ctx, "email", "new@example.com")
	f.must(err)
	same(t, address, who)
	if kinds := f.eventKinds(); len(kinds) != 2 {
		t.Errorf("events %v, want two", kinds)
	}
}

func testUnitWaits(t *testing.T, f fixture) {
	ctx := storage.WithUnit(f.ctx)
	f.must(f.CreateEvent(ctx, event("a")))
	if kinds := f.eventKinds(); kinds != nil {
		t.Errorf("events %v before the flush", kinds)
	}
	f.must(f.Flush(ctx))
	f.must(f.Flush(ctx)) // nothing is left to do
	if kinds := f.eventKinds(); len(kinds) != 1 {
		t.Errorf("events %v after the flush, want one", kinds)
	}
	f.must(f.Flush(f.ctx)) // without a unit
}

// Whoever opened the unit flushes it; who comes later joins.
func testTogether(t *testing.T, f fixture) {
	g := f.grant(f.person("ada"), "code")
	g.CodeUsedAt = now
	both := func() error {
		return f.Together(f.ctx, func(ctx context.Context) error {
			err := f.Together(ctx, func(ctx context.Context) error { return f.CreateEvent(ctx, event("inner")) })
			if kinds := f.eventKinds(); len(kinds) > 1 {
				t.Errorf("events %v before the outer unit's end", kinds)
			}
			return errors.Join(err, f.SpendCode(ctx, g))
		})
	}
	f.must(both())
	f.want(storage.ErrSpent, both())
	mine := errors.New("mine")
	f.want(mine, f.Together(f.ctx, func(ctx context.Context) error {
		f.must(f.CreateEvent(ctx, event("undone")))
		return mine
	}))
	if kinds := f.eventKinds(); len(kinds) != 1 {
		t.Errorf("events %v, want that of the unit that held", kinds)
	}
}

// The guard comes last here: it holds for what was appended before it too.
func testUnitGuard(t *testing.T, f fixture) {
	p := f.person("ada")
	g := f.grant(p, "code")
	g.CodeUsedAt = now
	f.must(f.SpendCode(f.ctx, g))
	ctx := storage.WithUnit(f.ctx)
	f.must(f.CreateEvent(ctx, event("code.spent")))
	f.must(f.SetHistory(ctx, &storage.History{PersonID: p.ID, Document: doc(`{}`), UpdatedAt: now}))
	f.must(f.RevokeGrant(ctx, g.ID, "why", now, now))
	f.must(f.GiveThrottle(ctx, []byte("key")))
	f.must(f.SpendCode(ctx, g))
	f.want(storage.ErrSpent, f.Flush(ctx))
	if kinds := f.eventKinds(); kinds != nil {
		t.Errorf("events %v of a code that was spent before", kinds)
	}
	_, err := f.HistoryOf(f.ctx, p.ID)
	f.want(storage.ErrNotFound, err)
	got, err := f.GrantByID(f.ctx, g.ID)
	f.must(err)
	if !got.Grant.RevokedAt.IsZero() {
		t.Error("an update of the unit happened without its guard")
	}
	f.must(f.Flush(ctx)) // the unit is spent: nothing comes back
	if kinds := f.eventKinds(); kinds != nil {
		t.Errorf("events %v of a unit that had failed", kinds)
	}
}

func testUnitConflict(t *testing.T, f fixture) {
	f.email(f.person("ada"), "ada@example.com", now)
	eve := &storage.Person{ID: storage.NewID(), Sub: "eve", CreatedAt: now, UpdatedAt: now}
	ctx := storage.WithUnit(f.ctx)
	f.must(f.CreateEvent(ctx, event("person.created")))
	f.must(f.CreatePerson(ctx, eve))
	f.must(f.CreateIdentifier(ctx, &storage.Identifier{Kind: "email", Value: "ada@example.com", PersonID: eve.ID, CreatedAt: now}))
	f.want(storage.ErrConflict, f.Flush(ctx))
	if kinds := f.eventKinds(); kinds != nil {
		t.Errorf("events %v of a person who was not created", kinds)
	}
	_, err := f.Person(f.ctx, eve.ID)
	f.want(storage.ErrNotFound, err)

	ctx = storage.WithUnit(f.ctx)
	f.must(f.CreateEvent(ctx, event("grant.made")))
	f.must(f.CreateGrant(ctx, newGrant(&storage.Person{ID: storage.NewID()}, "orphan")))
	f.want(storage.ErrNotFound, f.Flush(ctx))
	if kinds := f.eventKinds(); kinds != nil {
		t.Errorf("events %v of a grant of nobody", kinds)
	}
}

func testUnitGuards(t *testing.T, f fixture) {
	g, i := f.grant(f.person("ada"), "code"), f.interaction(after(time.Hour))
	ctx := storage.WithUnit(f.ctx)
	f.must(f.SpendCode(ctx, g))
	f.must(f.SpendInteraction(ctx, i.ID, now))
	if err := f.Flush(ctx); err == nil {
		t.Error("a unit took two guards: only one of them would have been asked")
	}
	f.must(f.SpendCode(f.ctx, g))
	f.must(f.SpendInteraction(f.ctx, i.ID, now))
}

// A method that changes rows of several tables changes all of them or none,
// also when nobody opened a unit: here the last table of each is gone.
func testWhole(t *testing.T, f fixture) {
	p := f.person("ada")
	se, g := f.session(p, "secret"), f.grant(p, "code")
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", CreatedAt: now, UpdatedAt: now}))
	db := f.SQL()
	rename := func(from, to string) {
		t.Helper()
		_, err := db.ExecContext(f.ctx, "ALTER TABLE "+from+" RENAME TO "+to)
		f.must(err)
	}
	rename("revocations", "hidden")
	if err := f.RevokeGrant(f.ctx, g.ID, "why", now, now); err == nil {
		t.Fatal("revoked without a table of revocations")
	}
	rename("hidden", "revocations")
	state, err := f.GrantByID(f.ctx, g.ID)
	f.must(err)
	if !state.Grant.RevokedAt.IsZero() {
		t.Error("RevokeGrant: the grant is revoked, its tokens are not")
	}

	web, err := f.Client(f.ctx, "web")
	f.must(err)
	rename("grants", "hidden")
	for name, change := range map[string]func() error{
		"EndSession":        func() error { return f.EndSession(f.ctx, se.ID, now) },
		"DisablePerson":     func() error { return f.DisablePerson(f.ctx, p.ID, now) },
		"SignOutEverywhere": func() error { return f.SignOutEverywhere(f.ctx, p.ID, "why", now) },
		"SignOutElsewhere":  func() error { return f.SignOutElsewhere(f.ctx, p.ID, storage.NewID(), "why", now) },
		"DeleteClient":      func() error { return f.DeleteClient(f.ctx, web, now) },
	} {
		if err := change(); err == nil {
			t.Errorf("%s succeeded without a table of grants", name)
		}
	}
	rename("hidden", "grants")
	if _, err := f.LoadSignIn(f.ctx, hash("secret"), "web", now); err != nil {
		t.Errorf("EndSession, DisablePerson or SignOutEverywhere was half done: %v", err)
	}
	if _, err := f.Client(f.ctx, "web"); err != nil {
		t.Errorf("DeleteClient was half done: %v", err)
	}
}

// A unit is one statement on Postgres, BEGIN and COMMIT included.
func TestUnitIsOneStatement(t *testing.T) {
	var statements providertest.Statements
	url := providertest.Postgres(t)
	f := fixture{Store: open(t, url, storage.WithTracer(&statements)), t: t, ctx: t.Context(), url: url}
	g := f.grant(f.person("ada"), "code")
	sent := statements.During(func() {
		ctx := storage.WithUnit(f.ctx)
		f.must(f.SpendCode(ctx, g))
		f.must(f.CreateEvent(ctx, event("code.spent")))
		f.must(f.RevokeGrant(ctx, g.ID, "why", now, now))
		f.must(f.Flush(ctx))
	})
	if len(sent) != 1 {
		t.Errorf("%d statements:\n%s", len(sent), strings.Join(sent, "\n"))
	}
}
