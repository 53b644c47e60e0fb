package proof

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// TestNewPasswordEndsWhatTheOldOneBegan: who knew the old one is out, wherever
// they are; a first password has nothing to end.
func TestNewPasswordEndsWhatTheOldOneBegan(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	person, other := newPerson(t, store, "grace@example.com"), newPerson(t, store, "alan@example.com")
	var (
		sessions [2]storage.ID
		grants   [2]storage.ID // the person's outlives its session
	)
	for i, who := range []*storage.Person{person, other} {
		se := &storage.Session{
			ID: storage.NewID(), SecretHash: []byte(who.Sub), PersonID: who.ID, Evidence: storage.Document(storage.Raw("{}")),
			CreatedAt: storage.At(noon), SeenAt: storage.At(noon), ExpiresAt: storage.At(noon.Add(time.Hour)),
		}
		g := &storage.Grant{
			ID: storage.NewID(), ClientID: "shop", PersonID: who.ID, SessionID: se.ID, Sub: who.Sub, Offline: true,
			CodeHash: []byte(who.Sub), ExpiresAt: storage.At(noon.Add(time.Hour)), CreatedAt: storage.At(noon),
		}
		if err := errors.Join(store.CreateSession(t.Context(), se), store.CreateGrant(t.Context(), g)); err != nil {
			t.Fatal(err)
		}
		sessions[i], grants[i] = se.ID, g.ID
	}
	want := func(when string, isOut bool) {
		t.Helper()
		for i, out := range []bool{isOut, false} {
			se, err := store.Session(t.Context(), sessions[i])
			if err != nil || se.EndedAt.IsZero() == out {
				t.Errorf("%s: session %d ended at %v, %v", when, i, se.EndedAt, err)
			}
			g, err := store.GrantByID(t.Context(), grants[i])
			if err != nil || g.Grant.RevokedAt.IsZero() == out || out && g.Grant.RevokedWhy != "password set" {
				t.Errorf("%s: grant %d revoked at %v (%s), %v", when, i, g.Grant.RevokedAt, g.Grant.RevokedWhy, err)
			}
		}
	}
	kinds := func() map[string]string {
		t.Helper()
		es, err := store.Events(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]string{}
		for _, e := range es {
			if e.PersonID != person.ID || e.Actor != string(events.ActorOperator) {
				t.Errorf("event %+v", e)
			}
			told[e.Kind] = string(e.Document.V)
		}
		return told
	}

	set(t, p, person, "correct horse battery")
	want("a first password", false)
	if told := kinds(); len(told) != 1 || told["password.set"] == "" {
		t.Errorf("a first password: %v", told)
	}
	if err := p.Set(t.Context(), person, "short", events.ActorOperator); err == nil {
		t.Error("a short password was taken")
	}
	unit := storage.WithUnit(t.Context())
	if err := p.Set(unit, person, "battery staple horse", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	want("before the unit is flushed", false)
	if err := store.Flush(unit); err != nil {
		t.Fatal(err)
	}
	want("another password", true)
	told := kinds()
	if len(told) != 3 || told["session.ended"] != `{"session":"all","why":"password set"}` || told["grant.revoked"] != `{"grant":"all","why":"password set"}` {
		t.Errorf("another password: %v", told)
	}
}

// TestAChangeEndsWhatIsElsewhereIfItIsTo: never the session that it is made in.
func TestAChangeEndsWhatIsElsewhereIfItIsTo(t *testing.T) {
	store := newStore(t)
	p := newPassword(t, store, cheap)
	person := newPerson(t, store, "ada@example.com")
	at := storage.At(noon)
	var sessions []storage.ID
	for _, secret := range []string{"here", "there"} {
		se := &storage.Session{ID: storage.NewID(), SecretHash: []byte(secret), PersonID: person.ID, Evidence: storage.Document(storage.Raw("[]")), CreatedAt: at, SeenAt: at, ExpiresAt: storage.At(noon.Add(time.Hour))}
		if err := store.CreateSession(t.Context(), se); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, se.ID)
	}
	for _, step := range []struct {
		password  string
		elsewhere bool
		ended     []bool
	}{
		{"correct horse battery", true, []bool{false, false}}, // a first one
		{"battery staple horse", false, []bool{false, false}},
		{"four horses on a hill", true, []bool{false, true}},
	} {
		if err := p.Change(t.Context(), person, step.password, sessions[0], step.elsewhere); err != nil {
			t.Fatal(err)
		}
		for i, id := range sessions {
			se, err := store.Session(t.Context(), id)
			if err != nil || se.EndedAt.IsZero() == step.ended[i] {
				t.Errorf("%s: session %d ended: %v, %v", step.password, i, se.EndedAt, err)
			}
		}
		if _, err := p.Verify(t.Context(), person, step.password); err != nil {
			t.Errorf("%s: %v", step.password, err)
		}
	}
	es, err := store.Events(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, e := range es {
		told[e.Kind] = string(e.Document.V)
	}
	if len(es) != 5 || told["session.ended"] != `{"session":"others","why":"password set"}` || told["grant.revoked"] != `{"grant":"others","why":"password set"}` {
		t.Errorf("told: %v", told)
	}
}

// TestOfTwoFirstPasswordsOneIsTheFirst: the other replaces it, and ends what it began.
func TestOfTwoFirstPasswordsOneIsTheFirst(t *testing.T) {
	store := newStore(t)
	cfg := cheap
	cfg.Workers = 1
	p, other := newPassword(t, store, cfg), newPassword(t, store, cheap)
	person := newPerson(t, store, "grace@example.com")
	working, done := make(chan struct{}), make(chan struct{})
	go func() { _ = p.pool.do(context.Background(), func() { close(working); <-done }) }()
	<-working
	late := make(chan error, 1)
	go func() { late <- p.Set(context.Background(), person, "battery staple horse", events.ActorOperator) }()
	for p.Load().Waiting == 0 { // it knows of no password yet
		time.Sleep(time.Millisecond)
	}
	set(t, other, person, "correct horse battery")
	se := &storage.Session{
		ID: storage.NewID(), SecretHash: []byte("secret"), PersonID: person.ID, Evidence: storage.Document(storage.Raw("{}")),
		CreatedAt: storage.At(noon), SeenAt: storage.At(noon), ExpiresAt: storage.At(noon.Add(time.Hour)),
	}
	if err := store.CreateSession(t.Context(), se); err != nil {
		t.Fatal(err)
	}
	close(done)
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(t.Context(), person, "battery staple horse"); err != nil {
		t.Errorf("the later one: %v", err)
	}
	if got, err := store.Session(t.Context(), se.ID); err != nil || got.EndedAt.IsZero() {
		t.Errorf("the session that the first one began: %+v, %v", got, err)
	}
	if es, err := store.Events(t.Context(), 10); err != nil || len(es) != 4 {
		t.Errorf("events %+v, %v", es, err)
	}
}
