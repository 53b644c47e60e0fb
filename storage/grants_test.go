package storage_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

func testSessions(t *testing.T, f fixture) {
	p := f.person("ada")
	full := &storage.Session{ID: storage.NewID(), SecretHash: hash("full"), PersonID: p.ID, Evidence: doc(`[]`), DecisionID: storage.NewID(), Browser: "Firefox", System: "Linux",
		CreatedAt: now, SeenAt: after(time.Second), ExpiresAt: after(time.Hour), EndedAt: after(time.Minute), SettlesAt: after(2 * time.Minute)}
	f.must(f.CreateSession(f.ctx, full))
	se := f.session(p, "secret")
	for _, want := range []*storage.Session{full, se} {
		got, err := f.Session(f.ctx, want.ID)
		f.must(err)
		same(t, want, got)
	}
	f.want(storage.ErrConflict, f.CreateSession(f.ctx, &storage.Session{ID: storage.NewID(), SecretHash: hash("secret"), PersonID: p.ID, CreatedAt: now, SeenAt: now, ExpiresAt: now}))

	kept := *se
	kept.Evidence, kept.DecisionID, kept.SeenAt, kept.ExpiresAt = doc(`[{"method":"swk"}]`), storage.NewID(), after(time.Minute), after(90*time.Minute)
	f.must(f.KeepSession(f.ctx, &kept))
	got, err := f.Session(f.ctx, se.ID)
	f.must(err)
	same(t, &kept, got)

	renewed := *se
	renewed.SecretHash, renewed.Evidence, renewed.DecisionID = hash("new"), doc(`[{"method":"hwk"}]`), storage.NewID()
	renewed.SeenAt, renewed.ExpiresAt = after(2*time.Minute), after(2*time.Hour)
	f.must(f.RenewSession(f.ctx, &renewed, hash("secret")))
	f.want(storage.ErrStale, f.RenewSession(f.ctx, &renewed, hash("secret"))) // the secret was replaced
	f.must(f.KeepSession(f.ctx, &kept))                                       // changes nothing, for the same reason
	got, err = f.Session(f.ctx, se.ID)
	f.must(err)
	same(t, &renewed, got)
	f.must(f.EndSession(f.ctx, se.ID, now))
	ended := renewed
	ended.Evidence = doc(`[]`)
	f.must(f.KeepSession(f.ctx, &ended)) // nor here
	got, err = f.Session(f.ctx, se.ID)
	f.must(err)
	renewed.EndedAt, renewed.SettlesAt = now, after(time.Minute)
	same(t, &renewed, got)
	f.want(storage.ErrStale, f.RenewSession(f.ctx, &renewed, hash("new"))) // it ended
}

// A session takes the grants with it that live by it, and no others.
func testSessionEnds(t *testing.T, f fixture) {
	p := f.person("ada")
	se, other := f.session(p, "secret"), f.session(p, "other")
	grants := map[string]*storage.Grant{"online": newGrant(p, "a"), "offline": newGrant(p, "b"), "of another session": newGrant(p, "c"), "of none": newGrant(p, "d")}
	grants["online"].SessionID, grants["offline"].SessionID, grants["of another session"].SessionID = se.ID, se.ID, other.ID
	grants["offline"].Offline = true
	for _, g := range grants {
		f.must(f.CreateGrant(f.ctx, g))
	}
	f.must(f.EndSession(f.ctx, se.ID, after(time.Minute)))
	f.want(storage.ErrStale, f.EndSession(f.ctx, se.ID, after(time.Hour)))
	f.want(storage.ErrStale, f.EndSession(f.ctx, storage.NewID(), now))
	for name, g := range grants {
		got, err := f.GrantByID(f.ctx, g.ID)
		f.must(err)
		if revoked := !got.Grant.RevokedAt.IsZero(); revoked != (name == "online") {
			t.Errorf("grant %s: revoked %v", name, revoked)
		}
		if alive := got.Alive(now.Time); alive != (name != "online") {
			t.Errorf("grant %s: alive %v", name, alive)
		}
	}
	got, err := f.GrantByID(f.ctx, grants["offline"].ID)
	f.must(err)
	same(t, after(time.Minute), got.SessionEndedAt)
}

func testInteractions(t *testing.T, f fixture) {
	i := f.interaction(after(time.Hour))
	got, err := f.Interaction(f.ctx, i.ID, hash("browser"), now)
	f.must(err)
	same(t, i, got)
	_, err = f.Interaction(f.ctx, i.ID, hash("another browser"), now)
	f.want(storage.ErrNotFound, err)
	_, err = f.Interaction(f.ctx, i.ID, nil, now)
	f.want(storage.ErrNotFound, err)
	_, err = f.Interaction(f.ctx, i.ID, hash("browser"), after(time.Hour))
	f.want(storage.ErrNotFound, err)

	behind := *i
	f.must(f.AdvanceInteraction(f.ctx, i, doc(`{"chosen":true}`)))
	i.Progress = doc(`{"chosen":true}`)
	f.want(storage.ErrStale, f.AdvanceInteraction(f.ctx, &behind, doc(`{"consent":"deny"}`))) // what it builds on is no more
	f.must(f.NoteProgress(f.ctx, &behind, doc(`{"consent":"deny"}`)))
	got, err = f.Interaction(f.ctx, i.ID, hash("browser"), now)
	f.must(err)
	same(t, i, got)
	f.want(storage.ErrSpent, f.SpendInteraction(f.ctx, i.ID, after(time.Hour))) // it lapsed
	f.must(f.NoteProgress(f.ctx, got, doc(`{"consent":"allow"}`)))              // as it was read
	i.Progress = doc(`{"consent":"allow"}`)
	f.must(f.SpendInteraction(f.ctx, i.ID, now))
	f.want(storage.ErrSpent, f.SpendInteraction(f.ctx, i.ID, now))
	f.must(f.NoteProgress(f.ctx, i, doc(`{}`))) // changes nothing: it was answered
	f.want(storage.ErrStale, f.AdvanceInteraction(f.ctx, i, doc(`{}`)))
	got, err = f.Interaction(f.ctx, i.ID, hash("browser"), now)
	f.want(storage.ErrSpent, err)
	i.SpentAt = now
	same(t, i, got)
}

func testGrants(t *testing.T, f fixture) {
	p := f.person("ada")
	full := &storage.Grant{ID: storage.NewID(), ClientID: "web", PersonID: p.ID, SessionID: f.session(p, "secret").ID, Sub: "sub", Sid: "sid",
		Scopes: storage.Strings{"openid", `"\`}, Resources: storage.Strings{"https://api.example"}, Nonce: "n'",
		Claims: storage.Document(storage.ClaimsAsked{Userinfo: map[string][]any{"email": nil, "locale": {"sv", 1.5, true}}}),
		ACR:    "aal1", AMR: storage.Strings{"pwd"}, AuthTime: now,
		CodeHash: hash("full"), CodeExpiresAt: after(time.Minute), CodeUsedAt: after(time.Second), RedirectURI: "https://a.example/cb", CodeChallenge: "c",
		Offline: true, Withdrawals: 3, RefreshHash: hash("refresh"), RefreshGen: 7, RotatedAt: after(2 * time.Second), IdleExpiresAt: after(time.Hour),
		ExpiresAt: after(2 * time.Hour), RevokedAt: after(3 * time.Second), RevokedWhy: "why", CreatedAt: now}
	for name, field := range reflect.ValueOf(*full).Fields() { // each is read by hand
		if field.IsZero() {
			t.Errorf("the full grant has no %s", name.Name)
		}
	}
	empty := &storage.Grant{ID: storage.NewID(), PersonID: p.ID, ExpiresAt: after(time.Hour), CreatedAt: now}
	for _, g := range []*storage.Grant{full, empty} {
		f.must(f.CreateGrant(f.ctx, g))
		got, err := f.GrantByID(f.ctx, g.ID)
		f.must(err)
		same(t, g, &got.Grant)
	}
	byCode, err := f.GrantByCode(f.ctx, hash("full"))
	f.must(err)
	same(t, full, &byCode.Grant)
	_, err = f.GrantByCode(f.ctx, hash("unknown"))
	f.want(storage.ErrNotFound, err)
	_, err = f.GrantByCode(f.ctx, nil) // grants without a code are not the grant of no code
	f.want(storage.ErrNotFound, err)

	codeless := &storage.Grant{ID: storage.NewID(), PersonID: p.ID, ExpiresAt: after(time.Hour), CreatedAt: now}
	f.must(f.CreateGrant(f.ctx, codeless)) // codes are unique; grants without one are many
	sameCode := newGrant(p, "full")
	f.want(storage.ErrConflict, f.CreateGrant(f.ctx, sameCode))
	orphan := newGrant(&storage.Person{ID: storage.NewID()}, "orphan")
	f.want(storage.ErrNotFound, f.CreateGrant(f.ctx, orphan))
}

// A grant is read together with whom and what it hangs on.
func testGrantState(t *testing.T, f fixture) {
	p := &storage.Person{ID: storage.NewID(), Sub: "ada", Name: "Ada L", Locale: "sv", Claims: doc(`{"website":"https://ada.example"}`), CreatedAt: now, UpdatedAt: after(time.Second)}
	f.must(f.CreatePerson(f.ctx, p))
	f.email(p, "Two@example.com", after(time.Hour))
	f.email(p, "One@example.com", after(time.Minute))
	se := f.session(p, "secret")
	g := newGrant(p, "code")
	g.SessionID = se.ID
	f.must(f.CreateGrant(f.ctx, g))
	got, err := f.GrantByCode(f.ctx, hash("code"))
	f.must(err)
	same(t, &storage.GrantState{Grant: *g, PersonName: p.Name, PersonLocale: p.Locale, PersonClaims: p.Claims, PersonUpdatedAt: p.UpdatedAt,
		Email: "One@example.com", EmailVerifiedAt: after(time.Minute), SessionExpiresAt: se.ExpiresAt}, got)
	for at, want := range map[time.Duration]bool{0: true, time.Hour - time.Microsecond: true, time.Hour: false} {
		if got.Alive(now.Add(at)) != want {
			t.Errorf("after %v: alive is not %v", at, want)
		}
	}
	if got.Grant.SessionID = storage.NewID(); got.SessionExpiresAt.IsZero() {
		t.Fatal("no session was joined")
	}
	got.SessionExpiresAt = storage.Time{} // its session was swept
	if got.Alive(now.Time) {
		t.Error("a grant outlives the session that it hangs on")
	}
}

// RFC 6749 section 4.1.2 and RFC 9700 section 4.14, as far as the row goes.
func testGrantLife(t *testing.T, f fixture) {
	p := f.person("ada")
	g := f.grant(p, "code")
	g.CodeUsedAt, g.RefreshHash, g.RefreshGen, g.RotatedAt, g.IdleExpiresAt, g.ExpiresAt = after(time.Second), hash("refresh"), 1, after(time.Second), after(time.Hour), after(24*time.Hour)
	f.must(f.SpendCode(f.ctx, g))
	f.want(storage.ErrSpent, f.SpendCode(f.ctx, g))
	f.want(storage.ErrSpent, f.KillCode(f.ctx, g.ID, after(time.Hour))) // and changes nothing
	got, err := f.GrantByID(f.ctx, g.ID)
	f.must(err)
	same(t, g, &got.Grant)

	next := *g
	next.RotatedAt, next.IdleExpiresAt = after(time.Minute), after(2*time.Hour)
	for name, wrong := range map[string]func(*storage.Grant){
		"secret":    func(g *storage.Grant) { g.RefreshHash = hash("forged") },
		"client":    func(g *storage.Grant) { g.ClientID = "other" },
		"grant":     func(g *storage.Grant) { g.ID = storage.NewID() },
		"no secret": func(g *storage.Grant) { g.RefreshHash = nil },
	} {
		forged := next
		wrong(&forged)
		if err := f.RotateRefresh(f.ctx, &forged, 1); err == nil {
			t.Errorf("rotated with another %s", name)
		}
	}
	f.must(f.RotateRefresh(f.ctx, &next, 1))
	f.want(storage.ErrStale, f.RotateRefresh(f.ctx, &next, 1))
	got, err = f.GrantByID(f.ctx, g.ID)
	f.must(err)
	next.RefreshGen = 2
	same(t, &next, &got.Grant)

	f.must(f.RevokeGrant(f.ctx, g.ID, "reuse", after(time.Hour), after(2*time.Hour)))
	f.must(f.RevokeGrant(f.ctx, g.ID, "again", after(3*time.Hour), after(4*time.Hour)))
	f.want(storage.ErrStale, f.RotateRefresh(f.ctx, &next, 2))
	got, err = f.GrantByID(f.ctx, g.ID)
	f.must(err)
	next.RevokedAt, next.RevokedWhy = after(time.Hour), "reuse" // the first revocation stands
	same(t, &next, &got.Grant)
	revoked, err := f.Revocations(f.ctx, map[string]string{storage.RevokedGrant: string(g.ID)})
	f.must(err)
	same(t, []storage.Revocation{{Kind: storage.RevokedGrant, ID: string(g.ID), NotBefore: after(3 * time.Hour), ExpiresAt: after(4 * time.Hour)}}, revoked)

	killed := f.grant(p, "killed")
	f.must(f.KillCode(f.ctx, killed.ID, after(time.Second)))
	f.want(storage.ErrSpent, f.SpendCode(f.ctx, killed))
	got, err = f.GrantByID(f.ctx, killed.ID)
	f.must(err)
	killed.CodeUsedAt, killed.RevokedAt, killed.RevokedWhy = after(time.Second), after(time.Second), "wrong code_verifier"
	same(t, killed, &got.Grant)
	dead := f.grant(p, "dead")
	f.must(f.RevokeGrant(f.ctx, dead.ID, "why", now, now))
	f.want(storage.ErrSpent, f.SpendCode(f.ctx, dead))
}
