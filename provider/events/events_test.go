package events

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func now() time.Time { return at }

func start(t *testing.T) (*Service, *storage.Store) {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "events.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	k, err := keys.New(t.Context(), keys.Config{KEK: keys.NewKEK(), Algorithms: []string{keys.ES256}}, store, now)
	if err != nil {
		t.Fatal(err)
	}
	return New(store, k, now), store
}

func somewhere(context.Context) (requestID, address string) { return "req-1", "198.51.100.7" }

func TestAnEventSaysWhoWhatWhenAndWhence(t *testing.T) {
	s, store := start(t)
	person := storage.NewID()
	if err := s.From(somewhere).Record(t.Context(), Event{Kind: GrantMade, Actor: ActorPerson, Person: person, Client: "shop", Data: map[string]any{"scopes": []string{"openid"}}}); err != nil {
		t.Fatal(err)
	}
	rows, err := store.Events(t.Context(), 10)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v, want 1", len(rows), err)
	}
	e := rows[0]
	if e.Kind != "grant.made" || e.Actor != "person" || e.PersonID != person || e.ClientID != "shop" || e.RequestID != "req-1" ||
		!e.CreatedAt.Equal(at) || string(e.Document.V) != `{"scopes":["openid"]}` {
		t.Errorf("recorded %+v", e)
	}
	if bytes.Contains(e.Personal, []byte("198.51")) {
		t.Error("the address is in the clear")
	}
	if plain, err := s.openRecorded(&e); err != nil || string(plain) != `{"address":"198.51.100.7"}` {
		t.Errorf("the address opens as %q, %v", plain, err)
	}
	e.ID = storage.NewID()
	if _, err := s.openRecorded(&e); err == nil {
		t.Error("the address opens for another event")
	}
}

// Who did it: the one whom the surface names, else the person or the client itself.
// What the provider does by itself is nobody's wish.
func TestAnEventNamesItsActor(t *testing.T) {
	person, other := storage.NewID(), storage.NewID()
	plain := t.Context()
	for name, tc := range map[string]struct {
		ctx   context.Context
		event Event
		actor Actor
		id    string
	}{
		"a person":                 {plain, Event{Actor: ActorPerson, Person: person, Client: "shop"}, ActorPerson, string(person)},
		"a client":                 {plain, Event{Actor: ActorClient, Person: person, Client: "shop"}, ActorClient, "shop"},
		"the command line":         {plain, Event{Actor: ActorOperator, Person: person, Client: "shop"}, ActorOperator, ""},
		"the provider":             {plain, Event{Actor: ActorSystem, Person: person, Client: "shop"}, ActorSystem, ""},
		"a client of the API":      {WithActor(plain, ActorClient, "terraform"), Event{Actor: ActorOperator, Client: "shop"}, ActorClient, "terraform"},
		"a person who looks after": {WithActor(plain, ActorPerson, string(other)), Event{Actor: ActorOperator, Person: person}, ActorPerson, string(other)},
		"the provider, meanwhile":  {WithActor(plain, ActorClient, "terraform"), Event{Actor: ActorSystem, Client: "shop"}, ActorSystem, ""},
		"whoever was named last":   {WithActor(WithActor(plain, ActorClient, "a"), ActorClient, "b"), Event{Actor: ActorOperator}, ActorClient, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := start(t)
			tc.event.Kind = GrantRevoked
			if err := s.Record(tc.ctx, tc.event); err != nil {
				t.Fatal(err)
			}
			rows, err := store.Events(t.Context(), 2)
			if err != nil || len(rows) != 1 || rows[0].Actor != string(tc.actor) || rows[0].ActorID != tc.id {
				t.Errorf("%+v, %v, want %s %q", rows, err, tc.actor, tc.id)
			}
		})
	}
}

// By which token it was asked for is told beside what the event says itself, and of
// nothing that the provider did by itself.
func TestAnEventNamesItsActorsToken(t *testing.T) {
	asked := WithToken(WithActor(t.Context(), ActorClient, "terraform"), "T1")
	for name, tc := range map[string]struct {
		ctx  context.Context
		by   Actor
		data any
		want string
	}{
		"with data":            {asked, ActorOperator, map[string]any{"n": int64(9007199254740993), "a": []string{"x"}}, `{"a":["x"],"n":9007199254740993,"token_id":"T1"}`},
		"without":              {asked, ActorOperator, nil, `{"token_id":"T1"}`},
		"of another actor":     {WithActor(asked, ActorClient, "other"), ActorOperator, nil, `{}`},
		"the provider":         {asked, ActorSystem, map[string]string{"n": "1"}, `{"n":"1"}`},
		"nobody named a token": {t.Context(), ActorOperator, nil, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := start(t)
			if err := s.Record(tc.ctx, Event{Kind: GrantRevoked, Actor: tc.by, Data: tc.data}); err != nil {
				t.Fatal(err)
			}
			rows, err := store.Events(t.Context(), 2)
			if err != nil || len(rows) != 1 || string(canonical(rows[0].Document.V)) != tc.want {
				t.Errorf("%+v, %v, want %s", rows, err, tc.want)
			}
		})
	}
}

// An event is written with its change, or neither is.
func TestAnEventSharesTheFateOfItsChange(t *testing.T) {
	s, store := start(t)
	was, err := store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	change := func() error {
		ctx := storage.WithUnit(t.Context())
		if err := s.Record(ctx, Event{Kind: KeyRotated, Actor: ActorOperator}); err != nil {
			t.Fatal(err)
		}
		if err := store.ReplanKeys(ctx, was, storage.At(at), nil); err != nil {
			t.Fatal(err)
		}
		if rows, _ := store.Events(t.Context(), 10); len(rows) != told {
			t.Error("the event is there before its change")
		}
		return store.Flush(ctx)
	}
	if err := change(); err != nil {
		t.Fatal(err)
	}
	if rows, _ := store.Events(t.Context(), 10); len(rows) != 1 {
		t.Errorf("%d events, want 1", len(rows))
	}
	told = 1
	if err := change(); !errors.Is(err, storage.ErrStale) {
		t.Fatalf("the change again: %v, want ErrStale", err)
	}
	if rows, _ := store.Events(t.Context(), 10); len(rows) != 1 {
		t.Errorf("the change failed and its event is there: %+v", rows)
	}
}

func TestAnEventWithoutOriginOrData(t *testing.T) {
	s, store := start(t)
	if err := s.Record(t.Context(), Event{Kind: ClientCreated, Actor: ActorOperator, Client: "shop"}); err != nil {
		t.Fatal(err)
	}
	rows, err := store.Events(t.Context(), 1)
	if err != nil || len(rows) != 1 || rows[0].Personal != nil || rows[0].RequestID != "" || string(rows[0].Document.V) != "{}" {
		t.Errorf("%+v, %v", rows, err)
	}
	if err := s.Record(t.Context(), Event{Kind: ClientCreated, Data: func() {}}); err == nil {
		t.Error("what cannot be encoded was recorded")
	}
}

// An address that cannot be sealed is not written in another way.
func TestNothingIsRecordedUnsealed(t *testing.T) {
	_, store := start(t)
	s := New(store, nil, now)
	if err := s.From(somewhere).Record(t.Context(), Event{Kind: GrantMade}); err == nil {
		t.Error("recorded")
	}
	if rows, _ := store.Events(t.Context(), 1); len(rows) != 0 {
		t.Errorf("%+v", rows)
	}
}
