package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// Every filter chooses what it says, alone and with others, the newest first.
func TestEventsAreFiltered(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada, bob := p.Person("ada"), p.Person("bob")
		p.Clock.Advance(time.Hour)
		began := p.Clock.Now()
		at := func(turn int) time.Time { return began.Add(time.Duration(turn) * time.Minute) }
		record := func(turn int, request string, e events.Event) {
			t.Helper()
			p.Clock.Advance(at(turn).Sub(p.Clock.Now()))
			e.Data = map[string]int{"turn": turn}
			if err := p.Events.From(origin(request, address)).Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			sequence(t, p)
		}
		record(1, "r1", events.Event{Kind: events.GrantMade, Actor: events.ActorPerson, Person: ada.ID, Client: "shop"})
		record(2, "r2", events.Event{Kind: events.CodeSpent, Actor: events.ActorClient, Person: ada.ID, Client: "shop"})
		record(3, "r3", events.Event{Kind: events.GrantMade, Actor: events.ActorPerson, Person: bob.ID, Client: "shop"})
		record(4, "r3", events.Event{Kind: events.GrantRevoked, Actor: events.ActorOperator, Person: bob.ID, Client: "bank"})
		record(5, "r5", events.Event{Kind: events.LogoutUntold, Outcome: events.Failure, Actor: events.ActorSystem, Client: "bank"})
		for name, tc := range map[string]struct {
			filter events.Filter
			want   []int
		}{
			"kind":                    {events.Filter{Kind: events.GrantMade, Since: began}, []int{3, 1}},
			"outcome":                 {events.Filter{Outcome: events.Failure}, []int{5}},
			"person":                  {events.Filter{Person: ada.ID, Since: began}, []int{2, 1}},
			"client":                  {events.Filter{Client: "bank"}, []int{5, 4}},
			"actor":                   {events.Filter{Actor: events.ActorSystem}, []int{5}},
			"actor's id":              {events.Filter{ActorID: "shop"}, []int{2}},
			"actor's id, of a person": {events.Filter{ActorID: string(bob.ID)}, []int{3}},
			"request":                 {events.Filter{RequestID: "r3"}, []int{4, 3}},
			"since":                   {events.Filter{Since: at(4)}, []int{5, 4}},
			"until":                   {events.Filter{Since: began, Until: at(3)}, []int{2, 1}},
			"between":                 {events.Filter{Since: at(2), Until: at(4)}, []int{3, 2}},
			"all of it":               {events.Filter{Kind: events.GrantMade, Outcome: events.Success, Person: bob.ID, Client: "shop", Actor: events.ActorPerson, ActorID: string(bob.ID), RequestID: "r3", Since: at(3), Until: at(4)}, []int{3}},
			"the future":              {events.Filter{Since: at(6)}, nil},
			"the past":                {events.Filter{Until: began.Add(-48 * time.Hour)}, nil},
			"nobody":                  {events.Filter{Person: storage.NewID()}, nil},
			"no such kind":            {events.Filter{Kind: "grant.' OR 1=1 --"}, nil},
			"no such request":         {events.Filter{RequestID: "r3' OR '1'='1"}, nil},
		} {
			t.Run(name, func(t *testing.T) {
				page, err := p.Events.List(t.Context(), tc.filter, 0, 50)
				if err != nil || page.Next != 0 {
					t.Fatalf("next %d, %v", page.Next, err)
				}
				var got []int
				for _, e := range page.Events {
					var turn int
					if _, err := fmt.Sscanf(string(e.Data), `{"turn":%d}`, &turn); err != nil {
						if _, err := fmt.Sscanf(string(e.Data), `{"turn": %d}`, &turn); err != nil {
							t.Fatalf("%s: %v", e.Data, err)
						}
					}
					got = append(got, turn)
					if e.Personal["address"] != address || !e.At.Equal(at(turn)) {
						t.Errorf("%+v", e)
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
			})
		}
	})
}

// Pages go on where the one before ended, and meet every event once.
func TestEventsComeInPages(t *testing.T) {
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		ada := p.Person("ada")
		tell(t, p, ada, 10)
		last := head(t, p).Number
		var seen []int64
		for cursor := int64(0); ; {
			page := must(p.Events.List(t.Context(), events.Filter{Person: ada.ID}, cursor, 3))
			for _, e := range page.Events {
				seen = append(seen, e.Number)
			}
			tell(t, p, ada, 1) // what comes meanwhile moves no page
			if cursor = page.Next; cursor == 0 {
				break
			}
		}
		if int64(len(seen)) != last {
			t.Fatalf("%d events, want %d: %v", len(seen), last, seen)
		}
		for i, number := range seen {
			if number != last-int64(i) {
				t.Errorf("%v", seen)
				break
			}
		}
		for name, ask := range map[string]struct {
			after int64
			limit int
			field string
		}{"none": {0, 0, "limit"}, "less": {0, -1, "limit"}, "too many": {0, events.MaxPage + 1, "limit"}, "before the first": {-1, 1, "after"}} {
			if _, err := p.Events.List(t.Context(), events.Filter{}, ask.after, ask.limit); len(fault.All(err)) != 1 || fault.All(err)[0].Field != ask.field {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
