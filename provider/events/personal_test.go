package events_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

const address = "198.51.100.7"

// recordFrom records an event that somebody did from an address.
func recordFrom(t *testing.T, p *providertest.P, e events.Event) {
	t.Helper()
	e.Kind = events.PersonUpdated
	if err := p.Events.From(origin("", address)).Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// newest returns the newest event.
func newest(t *testing.T, p *providertest.P) events.Recorded {
	t.Helper()
	page := must(p.Events.List(t.Context(), events.Filter{}, 0, 1))
	if len(page.Events) != 1 {
		t.Fatal("there is no event")
	}
	return page.Events[0]
}

// What is personal in an event can be read for as long as everybody whom it concerns
// is there: whom it is about, and who did it. Erasing one of them takes it away for
// good, whoever else is there, and the chain holds.
func TestErasingAPersonErasesThemFromEvents(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada, bob := p.Person("ada"), p.Person("bob")
		remove := "DELETE FROM persons WHERE id = '" + string(bob.ID) + "'"
		if strings.HasPrefix(url, "sqlite") {
			remove = "PRAGMA foreign_keys = 1; " + remove // as the store has it
		}
		for name, event := range map[string]events.Event{
			"by her":                {Actor: events.ActorPerson, Person: ada.ID},
			"about her":             {Actor: events.ActorClient, Person: ada.ID, Client: "shop"},
			"by another, about her": {Actor: events.ActorOperator, Person: ada.ID},
			"about nobody":          {Actor: events.ActorClient, Client: "shop"},
			"about another":         {Actor: events.ActorPerson, Person: bob.ID},
			"by a client of her id": {Actor: events.ActorClient, Client: string(ada.ID)},
		} {
			recordFrom(t, p, event)
			sequence(t, p)
			if e := newest(t, p); e.Personal["address"] != address || e.Erased {
				t.Errorf("%s: %+v", name, e)
			}
		}
		byHer := events.WithActor(t.Context(), events.ActorPerson, string(ada.ID))
		if err := p.Events.From(origin("", address)).Record(byHer, events.Event{Kind: events.PersonUpdated, Actor: events.ActorOperator, Person: bob.ID}); err != nil {
			t.Fatal(err)
		}
		sequence(t, p)
		if e := newest(t, p); e.Personal["address"] != address || e.Erased {
			t.Errorf("done to another: %+v", e)
		}
		before := head(t, p)

		if err := p.Events.Erase(t.Context(), ada.ID); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			readable, erased := 0, 0
			for _, e := range must(p.Events.List(t.Context(), events.Filter{Kind: events.PersonUpdated}, 0, 50)).Events {
				if e.Erased {
					erased++
				}
				if e.Personal["address"] != nil {
					readable++
				}
				if concerns := e.Person == ada.ID || e.ActorID == string(ada.ID) && e.Actor == events.ActorPerson; concerns != e.Erased || concerns == (e.Personal["address"] != nil) {
					t.Errorf("%s: %+v", when, e)
				}
			}
			if readable != 3 || erased != 4 {
				t.Errorf("%s: %d can be read and %d are erased, want 3 and 4", when, readable, erased)
			}
			if r := verify(t, p, before.Token); r.Fault != nil {
				t.Errorf("%s: %v", when, r.Fault)
			}
		}
		check("erased")

		// She is in the directory still: what comes now has another salt, and what was before stays erased.
		recordFrom(t, p, events.Event{Actor: events.ActorPerson, Person: ada.ID})
		sequence(t, p)
		if e := newest(t, p); e.Personal["address"] != address {
			t.Errorf("after she was erased: %+v", e)
		}
		recordFrom(t, p, events.Event{Actor: events.ActorPerson, Person: ada.ID})
		if err := p.Events.Erase(t.Context(), ada.ID); err != nil {
			t.Fatal(err)
		}
		sequence(t, p)
		if e := newest(t, p); e.Personal["address"] != nil {
			t.Errorf("erased before it was chained: %+v", e)
		}

		recordFrom(t, p, events.Event{Actor: events.ActorPerson, Person: bob.ID})
		providertest.Meddle(t, url, remove)
		sequence(t, p)
		if e := newest(t, p); e.Personal["address"] != nil || e.Person != bob.ID {
			t.Errorf("deleted before it was chained: %+v", e)
		}
		if salts := must(p.Store.PersonSalts(t.Context(), []storage.ID{ada.ID, bob.ID})); len(salts) != 0 {
			t.Errorf("%d salts are left", len(salts))
		}
		if r := verify(t, p, before.Token); r.Fault != nil {
			t.Error(r.Fault)
		}
	})
}

// Nothing personal stands in the database in the clear, neither before it is chained
// nor after, and one event's does not open as another's.
func TestWhatIsPersonalIsSealed(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		withContacts := func(r *clients.Registration) { r.Contacts = []string{"grace@example.com"} }
		look := func(when string) {
			t.Helper()
			rows := providertest.ReadRows(t, url)["events"]
			for _, personal := range []string{address, "grace@example.com", ada.Email, "Ada"} {
				if strings.Contains(rows, personal) {
					t.Errorf("%s: %q stands in the clear", when, personal)
				}
			}
		}
		p.Client("shop", withContacts)
		if _, err := p.Clients.Update(t.Context(), "shop", []byte(`{"client_name": "Car shop"}`), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		recordFrom(t, p, events.Event{Actor: events.ActorPerson, Person: ada.ID})
		recordFrom(t, p, events.Event{Actor: events.ActorPerson, Person: ada.ID})
		look("recorded")
		sequence(t, p)
		look("chained")
		if e := newest(t, p); e.Personal["address"] != address {
			t.Errorf("%+v", e)
		}
		for _, kind := range []events.Kind{events.ClientCreated, events.ClientUpdated} {
			page := must(p.Events.List(t.Context(), events.Filter{Kind: kind}, 0, 1))
			if len(page.Events) != 1 || len(page.Events[0].Personal) != 1 || strings.Contains(string(page.Events[0].Data), "contacts") {
				t.Fatalf("%s: %+v", kind, page.Events)
			}
			if contacts, ok := page.Events[0].Personal["contacts"].([]any); !ok || len(contacts) != 1 || contacts[0] != "grace@example.com" {
				t.Errorf("%s: %+v", kind, page.Events[0].Personal)
			}
		}
		rows := must(p.Store.ChainedEvents(t.Context(), 0, 100))
		last := len(rows) - 1
		if bytes.Equal(rows[last].Personal, rows[last-1].Personal) {
			t.Error("the same address twice is the same text twice")
		}
		providertest.Meddle(t, url, "UPDATE events SET personal = (SELECT personal FROM events WHERE id = '"+string(rows[last-1].ID)+"') WHERE id = '"+string(rows[last].ID)+"'")
		if e := newest(t, p); e.Personal["address"] != nil || e.Erased {
			t.Errorf("another's address opens: %+v", e)
		}
	})
}

// lacking are keys of whom lacks the key-encryption key that an address was sealed
// with.
type lacking struct{ *keys.Service }

func (lacking) Open(string, string, []byte) ([]byte, error) { return nil, keys.ErrWrongKEK }

// An address that the version before sealed waits for who has its key: it is not
// chained as what nobody can read.
func TestAnAddressWaitsForItsKey(t *testing.T) {
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		ada := p.Person("ada")
		sequence(t, p)
		e := storage.Event{
			ID: storage.NewID(), Kind: string(events.GrantMade), Outcome: string(events.Success), Actor: string(events.ActorPerson), ActorID: string(ada.ID),
			PersonID: ada.ID, Document: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(p.Clock.Now()),
		}
		e.Origin = must(p.Keys.Seal(storage.PurposeOrigin, string(e.ID), []byte(address)))
		if err := p.Store.CreateEvent(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		without := events.New(p.Store, lacking{p.Keys}, p.Clock.Now)
		if n, err := without.Sequence(t.Context()); !errors.Is(err, keys.ErrWrongKEK) || n != 0 {
			t.Errorf("without the key: %d, %v", n, err)
		}
		sequence(t, p)
		if got := newest(t, p); got.Personal["address"] != address {
			t.Errorf("with it: %+v", got)
		}
	})
}
