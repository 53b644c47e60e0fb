package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

func newGroup(t *testing.T, s *Service, name string) *storage.Group {
	t.Helper()
	g, err := s.CreateGroup(t.Context(), name, "", events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// wantFault fails the test unless err is one fault of this kind and field that says text.
func wantFault(t *testing.T, err error, kind fault.Kind, field, text string) {
	t.Helper()
	faults := fault.All(err)
	if len(faults) != 1 || faults[0].Kind != kind || faults[0].Field != field || !strings.Contains(faults[0].Message, text) {
		t.Errorf("%v, want %d %s: ... %s", err, kind, field, text)
	}
}

func TestAGroupHasOneName(t *testing.T) {
	s, store := newDirectory(t)
	g, err := s.CreateGroup(t.Context(), " Shop-Team", "Who sells", events.ActorOperator)
	if err != nil || g.Name != "shop-team" || g.Description != "Who sells" || !g.CreatedAt.Equal(noon) {
		t.Fatalf("%+v, %v", g, err)
	}
	for _, name := range []string{"shop-team", "SHOP-TEAM", "ｓhop-team"} {
		if found, err := s.Group(t.Context(), name); err != nil || found.Name != g.Name {
			t.Errorf("%q: %+v, %v", name, found, err)
		}
		_, err := s.CreateGroup(t.Context(), name, "", events.ActorOperator)
		wantFault(t, err, fault.KindConflict, "name", "taken")
	}
	_, err = s.CreateGroup(t.Context(), "operators", "", events.ActorOperator)
	wantFault(t, err, fault.KindConflict, "name", "taken")
	for _, name := range []string{"", "a b", "x'; DROP TABLE groups", strings.Repeat("a", 65)} {
		if _, err := s.Group(t.Context(), name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
		_, err := s.CreateGroup(t.Context(), name, "", events.ActorOperator)
		wantFault(t, err, fault.KindInvalid, "name", "letters")
	}
	_, err = s.CreateGroup(t.Context(), "long", strings.Repeat("a", 257), events.ActorOperator)
	wantFault(t, err, fault.KindInvalid, "description", "256")
	if _, err := s.CreateGroup(t.Context(), "a b", "\x00", events.ActorOperator); len(fault.All(err)) != 2 {
		t.Errorf("%v, want both faults", err)
	}

	if g, err = s.Group(t.Context(), "Shop-team"); err != nil {
		t.Fatal(err)
	}
	if err = s.PatchGroup(t.Context(), g, []byte(`{"description":"Who sells cars"}`), events.ActorOperator); err != nil || g.Description != "Who sells cars" || g.Version != 2 {
		t.Errorf("%+v, %v", g, err)
	}
	err = s.PatchGroup(t.Context(), g, []byte(`{"description":"\n"}`), events.ActorOperator)
	wantFault(t, err, fault.KindInvalid, "description", "")
	if got := kindsOf(t, store); !slices.Equal(got, []string{"group.created", "group.updated"}) {
		t.Errorf("events %v", got)
	}
}

func TestWhoIsInAGroup(t *testing.T) {
	s, store := newDirectory(t)
	ada := create(t, s, NewPerson{Email: "ada@example.com"})
	newGroup(t, s, "shop")
	ctx := t.Context()
	if err := s.AddMember(ctx, "Shop", "ADA@example.com", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.AddMember(ctx, "shop", ada.Sub, events.ActorOperator), fault.KindConflict, "person", "already")
	for _, who := range [][2]string{{"none", "ada@example.com"}, {"shop", "bob@example.com"}} {
		if err := s.AddMember(ctx, who[0], who[1], events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%v: %v", who, err)
		}
		if err := s.RemoveMember(ctx, who[0], who[1], events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%v: %v", who, err)
		}
	}
	members, err := s.Members(ctx, "shop", storage.Page{})
	if err != nil || len(members.Items) != 1 || members.Items[0].Person.ID != ada.ID || members.Items[0].Email != "ada@example.com" {
		t.Errorf("%+v, %v", members, err)
	}
	of, err := s.GroupsOf(ctx, string(ada.ID), storage.Page{})
	if err != nil || len(of.Items) != 1 || of.Items[0].Name != "shop" {
		t.Errorf("%+v, %v", of, err)
	}
	if err := s.RemoveMember(ctx, "shop", ada.Sub, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.RemoveMember(ctx, "shop", ada.Sub, events.ActorOperator), fault.KindConflict, "person", "not in")
	for i := range storage.MaxGroups {
		name := newGroup(t, s, fmt.Sprintf("g%d", i)).Name
		if err := s.AddMember(ctx, name, ada.Sub, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, s.AddMember(ctx, "shop", ada.Sub, events.ActorOperator), fault.KindConflict, "person", "100 groups")
	told := map[string]int{}
	es, err := store.Events(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if strings.HasPrefix(e.Kind, "group.member") {
			if e.PersonID != ada.ID || !strings.Contains(string(e.Document.V), `"group"`) {
				t.Errorf("event %+v", e)
			}
			told[e.Kind]++
		}
	}
	if told["group.member_added"] != storage.MaxGroups+1 || told["group.member_removed"] != 1 {
		t.Errorf("events %v", told)
	}
}

// Whoever else is in the group with a closed account does not count, nor does who is in
// another group.
func TestTheLastOperatorStays(t *testing.T) {
	s, store := newDirectory(t)
	ctx := t.Context()
	ada, bob := create(t, s, NewPerson{Email: "ada@example.com"}), create(t, s, NewPerson{Email: "bob@example.com"})
	add := func(group string, p *storage.Person) {
		t.Helper()
		if err := s.AddMember(ctx, group, p.Sub, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
	}
	add(newGroup(t, s, "shop").Name, bob)
	add(Operators, ada)
	add(Operators, bob)
	if _, err := s.Disable(ctx, bob.Sub, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	before := kindsOf(t, store)
	const why = "is the last one in the group operators with an open account"
	_, closed := s.Disable(ctx, ada.Sub, events.ActorOperator)
	for what, err := range map[string]error{
		"taken out": s.RemoveMember(ctx, "Operators", ada.Sub, events.ActorOperator),
		"closed":    closed,
		"erased":    s.Delete(ctx, ada.Sub, events.ActorOperator),
	} {
		t.Run(what, func(t *testing.T) { wantFault(t, err, fault.KindConflict, "person", why) })
	}
	if got := kindsOf(t, store); !slices.Equal(got, before) {
		t.Errorf("events %v of what was refused", got)
	}
	if _, err := s.Enable(ctx, bob.Sub, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, ada.Sub, events.ActorOperator); err != nil {
		t.Error(err)
	}
	wantFault(t, s.Delete(ctx, bob.Sub, events.ActorOperator), fault.KindConflict, "person", why)
}

// A link that works is nobody's to take away by starting another server, and a restart
// after its hour makes one that works.
func TestAStartLeavesASetupLinkThatWorks(t *testing.T) {
	s, store := newDirectory(t)
	clock := noon
	s.now = func() time.Time { return clock }
	ensure := func(fresh bool, until time.Time) string {
		t.Helper()
		made, err := s.EnsureSetup(t.Context(), events.ActorSystem)
		if err != nil || (made.Secret != "") != fresh || !made.Until.Equal(until) {
			t.Errorf("%+v, %v, want a new one (%t) that works until %v", made, err, fresh, until)
		}
		return made.Secret
	}
	first := ensure(true, noon.Add(SetupLifetime))
	clock = noon.Add(SetupLifetime - time.Second)
	ensure(false, noon.Add(SetupLifetime))
	if err := s.SetupOpen(t.Context(), first); err != nil {
		t.Error(err)
	}
	clock = noon.Add(SetupLifetime)
	if second := ensure(true, clock.Add(SetupLifetime)); s.SetupOpen(t.Context(), second) != nil {
		t.Error("the second link does not work")
	}
	asked, err := s.OfferSetup(t.Context(), events.ActorOperator) // by command
	if err != nil || s.SetupOpen(t.Context(), asked.Secret) != nil {
		t.Error(asked, err)
	}
	if got := kindsOf(t, store); len(got) != 3 {
		t.Errorf("events %v", got)
	}
	if err := s.AddMember(t.Context(), Operators, create(t, s, NewPerson{Email: "ada@example.com"}).Sub, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnsureSetup(t.Context(), events.ActorSystem); !errors.Is(err, storage.ErrSpent) {
		t.Error(err)
	}
}

// What belongs to a group has an owner for as long as it is there; the group of those
// who run the house is there always.
func TestAGroupThatOwnsSomethingStays(t *testing.T) {
	s, store := newDirectory(t)
	newGroup(t, s, "shop")
	ctx, now := t.Context(), storage.At(noon)
	for i := range 7 {
		c := &storage.Client{ID: fmt.Sprintf("c%d", i), Version: 1, Owner: "shop", CreatedAt: now, UpdatedAt: now}
		if err := store.CreateClient(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.CreateResource(ctx, &storage.Resource{Audience: "https://a.example", Owner: "shop", CreatedAt: now, UpdatedAt: now}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteGroup(ctx, "shop", events.ActorOperator), fault.KindConflict, "name",
		"clients (c0, c1, c2, c3, c4 and others) and of resources (https://a.example)")
	for i := range 7 {
		if err := store.DeleteClient(ctx, &storage.Client{ID: fmt.Sprintf("c%d", i), Version: 1}, now); err != nil {
			t.Fatal(err)
		}
	}
	wantFault(t, s.DeleteGroup(ctx, "shop", events.ActorOperator), fault.KindConflict, "name", "is the owner of resources (https://a.example)")
	if err := store.DeleteResource(ctx, &storage.Resource{Audience: "https://a.example"}); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteGroup(ctx, "SHOP", events.ActorOperator); err != nil {
		t.Error(err)
	}
	if err := s.DeleteGroup(ctx, "shop", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
	wantFault(t, s.DeleteGroup(ctx, "Operators", events.ActorOperator), fault.KindConflict, "name", "stays")
	if got := kindsOf(t, store); !slices.Equal(got, []string{"group.created", "group.deleted"}) {
		t.Errorf("events %v", got)
	}
}
