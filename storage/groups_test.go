package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Groups, and who is in them.
var groupTests = map[string]func(*testing.T, fixture){
	"groups are kept":                       testGroups,
	"members are kept":                      testMembers,
	"an owner keeps its group":              testOwners,
	"no owner is gone":                      testRaceOwners,
	"what reads a person reads the groups":  testGroupsAreRead,
	"a list goes on where it stopped":       testPages,
	"people are found by an address":        testSearch,
	"a person is erased":                    testDeletePerson,
	"all sessions of a person end":          testEndSessionsOf,
	"the last operator stays":               testLastOperator,
	"one of 50 operators stays":             testRaceLastOperator,
	"nobody waits for the operators' group": testLastOperatorWaits,
	"who becomes the last operator stays":   testRaceNewOperator,
}

func (f fixture) group(name string) *storage.Group {
	f.t.Helper()
	g := &storage.Group{Name: name, Version: 1, Description: "Who " + name, CreatedAt: now, UpdatedAt: now}
	f.must(f.CreateGroup(f.ctx, g))
	return g
}

func (f fixture) member(group string, p *storage.Person) {
	f.t.Helper()
	f.must(f.AddMember(f.ctx, &storage.Member{GroupName: group, PersonID: p.ID, CreatedAt: now}))
}

func testGroups(t *testing.T, f fixture) {
	operators, err := f.Group(f.ctx, "operators") // of the migration
	f.must(err)
	if operators.Version != 1 || operators.CreatedAt.IsZero() {
		t.Errorf("the group of the migration: %+v", operators)
	}
	g := f.group("shop")
	got, err := f.Group(f.ctx, "shop")
	f.must(err)
	same(t, g, got)
	f.want(storage.ErrConflict, f.CreateGroup(f.ctx, g))
	_, err = f.Group(f.ctx, "Shop")
	f.want(storage.ErrNotFound, err)

	stale := *g
	g.Description, g.UpdatedAt = "Who sells", after(time.Second)
	f.must(f.UpdateGroup(f.ctx, g))
	f.want(storage.ErrStale, f.UpdateGroup(f.ctx, &stale))
	got, err = f.Group(f.ctx, "shop")
	f.must(err)
	same(t, g, got)
	same(t, int64(2), got.Version)

	f.want(storage.ErrStale, f.DeleteGroup(f.ctx, &stale))
	f.must(f.DeleteGroup(f.ctx, g))
	f.want(storage.ErrStale, f.DeleteGroup(f.ctx, g))
	f.want(storage.ErrStale, f.UpdateGroup(f.ctx, g))
}

func testMembers(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.email(ada, "Ada@example.com", now)
	shop := f.group("shop")
	f.group("bank")
	f.member("shop", bob)
	f.member("shop", ada)
	f.member("bank", ada)
	f.want(storage.ErrConflict, f.AddMember(f.ctx, &storage.Member{GroupName: "shop", PersonID: ada.ID, CreatedAt: now}))
	f.want(storage.ErrNotFound, f.AddMember(f.ctx, &storage.Member{GroupName: "none", PersonID: ada.ID, CreatedAt: now}))
	f.want(storage.ErrNotFound, f.AddMember(f.ctx, &storage.Member{GroupName: "shop", PersonID: storage.NewID(), CreatedAt: now}))

	members, err := f.Members(f.ctx, "shop", storage.Page{})
	f.must(err)
	same(t, storage.List[storage.MemberEntry]{Items: []storage.MemberEntry{
		{Member: storage.Member{GroupName: "shop", PersonID: ada.ID, CreatedAt: now}, Person: *ada, Email: "Ada@example.com"},
		{Member: storage.Member{GroupName: "shop", PersonID: bob.ID, CreatedAt: now}, Person: *bob},
	}}, members)
	of, err := f.GroupsOf(f.ctx, ada.ID, storage.Page{})
	f.must(err)
	if len(of.Items) != 2 || of.Items[0].Name != "bank" || of.Items[1].Description != "Who shop" {
		t.Errorf("groups %+v", of.Items)
	}

	for _, tc := range []struct {
		group  string
		person *storage.Person
		in     bool
	}{{"shop", bob, true}, {"bank", bob, false}, {"bank", ada, true}, {"none", ada, false}} {
		in, err := f.IsMember(f.ctx, tc.group, tc.person.ID)
		f.must(err)
		same(t, tc.in, in)
	}

	f.must(f.RemoveMember(f.ctx, "shop", bob.ID))
	f.want(storage.ErrNotFound, f.RemoveMember(f.ctx, "shop", bob.ID))
	f.must(f.DeleteGroup(f.ctx, shop)) // and who was in it is not
	of, err = f.GroupsOf(f.ctx, ada.ID, storage.Page{})
	f.must(err)
	if len(of.Items) != 1 {
		t.Errorf("groups %+v", of.Items)
	}

	for i := range storage.MaxGroups - 1 {
		name := fmt.Sprintf("g%03d", i)
		f.group(name)
		f.member(name, ada)
	}
	f.group("last")
	f.want(storage.ErrStale, f.AddMember(f.ctx, &storage.Member{GroupName: "last", PersonID: ada.ID, CreatedAt: now}))
}

// Neither taken out, nor closed, nor erased; who is closed counts for nobody.
func testLastOperator(t *testing.T, f fixture) {
	ada, bob, eve := f.person("ada"), f.person("bob"), f.person("eve")
	last := func(p *storage.Person, want bool) {
		t.Helper()
		got, err := f.LastOperator(f.ctx, p.ID)
		f.must(err)
		same(t, want, got)
		if want {
			f.want(storage.ErrNotFound, f.RemoveMember(f.ctx, storage.Operators, p.ID))
			f.want(storage.ErrNotFound, f.DisablePerson(f.ctx, p.ID, now))
			f.want(storage.ErrNotFound, f.DeletePerson(f.ctx, p.ID))
		}
	}
	last(ada, false)
	f.member(storage.Operators, ada)
	last(ada, true)
	last(bob, false)
	f.must(f.DisablePerson(f.ctx, bob.ID, now))
	f.member(storage.Operators, bob)
	last(ada, true)
	last(bob, false)
	f.member(storage.Operators, eve)
	last(ada, false)
	f.must(f.DeletePerson(f.ctx, bob.ID))
	f.must(f.RemoveMember(f.ctx, storage.Operators, ada.ID))
	f.want(storage.ErrNotFound, f.RemoveMember(f.ctx, storage.Operators, ada.ID))
	last(eve, true)

	// A house of the time before this rule may have nobody whose account is open.
	if _, err := f.SQL().ExecContext(f.ctx, "UPDATE persons SET disabled_at = 1 WHERE sub = 'eve'"); err != nil {
		t.Fatal(err)
	}
	last(eve, true)
	f.must(f.EnablePerson(f.ctx, eve.ID, after(time.Second)))
}

// Whichever way each of them goes. What goes with the one who stays is undone.
func testRaceLastOperator(t *testing.T, f fixture) {
	var people [racers]*storage.Person
	for i := range people {
		people[i] = f.person(fmt.Sprint(i))
		f.member(storage.Operators, people[i])
	}
	stayed := 0
	for _, err := range race(racers, func(i int) error {
		ctx, id := storage.WithUnit(f.ctx), people[i].ID
		goes := func() error { return f.RemoveMember(ctx, storage.Operators, id) }
		if i%2 == 1 {
			goes = func() error { return f.DisablePerson(ctx, id, now) }
		}
		return errors.Join(goes(), f.CreateEvent(ctx, event("gone")), f.Flush(ctx))
	}) {
		if errors.Is(err, storage.ErrNotFound) {
			stayed++
			continue
		}
		f.must(err)
	}
	if kinds := f.eventKinds(); stayed != 1 || len(kinds) != racers-1 {
		t.Errorf("%d stayed, with %d events of those who went", stayed, len(kinds))
	}
}

// But those who are in it: the end of an account with much history takes long.
func testLastOperatorWaits(_ *testing.T, f fixture) {
	if !f.onPostgres() {
		return // SQLite has one writer at a time
	}
	f.member(storage.Operators, f.person("ada"))
	bob, eve := f.person("bob"), f.person("eve")
	f.member(storage.Operators, bob)
	release := f.hold("SELECT 1 FROM groups WHERE name = 'operators' FOR UPDATE")
	ctx, cancel := context.WithTimeout(f.ctx, 20*time.Second)
	defer cancel()
	f.must(f.DisablePerson(ctx, eve.ID, now))
	f.must(f.DeletePerson(ctx, eve.ID))
	gone := make(chan error, 1)
	go func() { gone <- f.DisablePerson(f.ctx, bob.ID, now) }()
	f.waiting(1)
	release()
	f.must(<-gone)
}

// Who is put into the group while their account is being closed lets nobody else go.
func testRaceNewOperator(t *testing.T, f fixture) {
	if !f.onPostgres() {
		return // SQLite has one writer at a time
	}
	ada, bob := f.person("ada"), f.person("bob")
	f.member(storage.Operators, ada)
	f.session(bob, "secret")
	release := f.hold("SELECT 1 FROM sessions FOR UPDATE")
	closed, left := make(chan error, 1), make(chan error, 1)
	go func() { closed <- f.DisablePerson(f.ctx, bob.ID, now) }()
	f.waiting(1)
	go func() {
		f.member(storage.Operators, bob)
		left <- f.RemoveMember(f.ctx, storage.Operators, ada.ID)
	}()
	select {
	case err := <-left:
		left <- err
	case <-time.After(300 * time.Millisecond): // it waits, too
	}
	release()
	if a, b := <-closed, <-left; a == nil && b == nil {
		t.Error("nobody is left")
	}
}

// hold sends a statement in a transaction of its own, which stays until release.
func (f fixture) hold(statement string) (release func()) {
	f.t.Helper()
	tx, err := f.SQL().BeginTx(f.ctx, nil)
	f.must(err)
	_, err = tx.ExecContext(f.ctx, statement)
	f.must(err)
	return func() { f.must(tx.Rollback()) }
}

// waiting returns when so many wait for a lock on Postgres.
func (f fixture) waiting(want int) {
	f.t.Helper()
	for range 200 {
		var n int
		f.must(f.SQL().QueryRowContext(f.ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n))
		if n >= want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.t.Fatalf("%d do not wait", want)
}

func testOwners(t *testing.T, f fixture) {
	shop := f.group("shop")
	c := &storage.Client{ID: "web", Version: 1, Owner: "shop", CreatedAt: now, UpdatedAt: now}
	f.must(f.CreateClient(f.ctx, c))
	r := &storage.Resource{Audience: "https://a.example", Version: 1, Owner: "shop", CreatedAt: now, UpdatedAt: now}
	f.must(f.CreateResource(f.ctx, r))
	f.want(storage.ErrStale, f.DeleteGroup(f.ctx, shop))
	clients, resources, err := f.Owned(f.ctx, "shop", 5)
	f.must(err)
	same(t, []string{"web"}, clients)
	same(t, []string{"https://a.example"}, resources)
	f.must(f.DeleteClient(f.ctx, c, now))
	f.want(storage.ErrStale, f.DeleteGroup(f.ctx, shop))
	f.must(f.DeleteResource(f.ctx, r))
	f.must(f.DeleteGroup(f.ctx, shop))
}

// What is given an owner while that group is being deleted is refused, or the group
// stays; one that never was a group stays with what has it.
func testRaceOwners(t *testing.T, f fixture) {
	c := &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now}
	r := &storage.Resource{Audience: "https://a.example", Version: 1, CreatedAt: now, UpdatedAt: now}
	f.must(f.CreateClient(f.ctx, c))
	f.must(f.CreateResource(f.ctx, r))
	for round := range racers {
		name := fmt.Sprint("team", round)
		g := f.group(name)
		for i, err := range race(5, func(i int) error {
			switch i {
			case 0:
				return f.CreateClient(f.ctx, &storage.Client{ID: name, Version: 1, Owner: name, CreatedAt: now, UpdatedAt: now})
			case 1:
				return f.CreateResource(f.ctx, &storage.Resource{Audience: "https://a.example/" + name, Version: 1, Owner: name, CreatedAt: now, UpdatedAt: now})
			case 2:
				changed := *c
				changed.Owner = name
				return f.UpdateClient(f.ctx, &changed)
			case 3:
				changed := *r
				changed.Owner = name
				return f.UpdateResource(f.ctx, &changed)
			}
			return f.DeleteGroup(f.ctx, g)
		}) {
			if err != nil && !errors.Is(err, storage.ErrStale) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		_, err := f.Group(f.ctx, name)
		clients, resources, failed := f.Owned(f.ctx, name, 5)
		f.must(failed)
		if errors.Is(err, storage.ErrNotFound) != (len(clients)+len(resources) == 0) {
			t.Fatalf("round %d: the group: %v, and it owns %v and %v", round, err, clients, resources)
		}
		var was *storage.Client
		was, err = f.Client(f.ctx, "web")
		f.must(err)
		*c = *was
		var had *storage.Resource
		had, err = f.Resource(f.ctx, "https://a.example")
		f.must(err)
		*r = *had
	}
	if _, err := f.SQL().ExecContext(f.ctx, "UPDATE clients SET owner = 'No group' WHERE id = 'web'"); err != nil {
		t.Fatal(err)
	}
	c.Owner = "No group"
	f.must(f.UpdateClient(f.ctx, c))
	c.Owner = "nor this"
	f.want(storage.ErrStale, f.UpdateClient(f.ctx, c))
}

// By code, by grant, by token and by session: in the read that there was.
func testGroupsAreRead(t *testing.T, f fixture) {
	ada := f.person("ada")
	f.session(ada, "secret")
	g := f.grant(ada, "code")
	f.must(f.CreateClient(f.ctx, &storage.Client{ID: "web", Version: 1, CreatedAt: now, UpdatedAt: now}))
	read := func() map[string]storage.Words {
		t.Helper()
		byCode, err := f.GrantByCode(f.ctx, hash("code"))
		f.must(err)
		byID, err := f.GrantByID(f.ctx, g.ID)
		f.must(err)
		token, err := f.TokenPerson(f.ctx, storage.TokenIDs{JTI: "x", GrantID: g.ID, ClientID: "web", KeyID: "k"})
		f.must(err)
		signIn, err := f.LoadSignIn(f.ctx, hash("secret"), "web", now)
		f.must(err)
		return map[string]storage.Words{"code": byCode.PersonGroups, "id": byID.PersonGroups, "token": token.PersonGroups, "sign-in": signIn.Groups}
	}
	for what, got := range read() {
		if len(got) != 0 {
			t.Errorf("%s: nobody's groups: %v", what, got)
		}
	}
	for _, name := range []string{"shop", "bank"} {
		f.group(name)
		f.member(name, ada)
	}
	for what, got := range read() {
		t.Run(what, func(t *testing.T) { same(t, storage.Words{"bank", "shop"}, got) })
	}
}

// With the grants that live by them, and those of nobody else.
func testEndSessionsOf(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	in := func(p *storage.Person, code string, se storage.ID, offline bool) storage.ID {
		g := newGrant(p, code)
		g.SessionID, g.Offline = se, offline
		f.must(f.CreateGrant(f.ctx, g))
		return g.ID
	}
	one, two, bobs := f.session(ada, "one"), f.session(ada, "two"), f.session(bob, "bob")
	ended := []storage.ID{in(ada, "1", one.ID, false), in(ada, "2", two.ID, false)}
	living := []storage.ID{in(ada, "3", two.ID, true), in(ada, "4", "", false), in(bob, "5", bobs.ID, false)}
	f.must(f.EndSessionsOf(f.ctx, ada.ID, after(time.Minute)))
	for i, ids := range [][]storage.ID{ended, living} {
		for _, id := range ids {
			g, err := f.GrantByID(f.ctx, id)
			f.must(err)
			if g.Grant.RevokedAt.IsZero() != (i == 1) {
				t.Errorf("grant %+v", g.Grant)
			}
		}
	}
	left, err := f.SessionsOf(f.ctx, ada.ID, now, storage.Page{})
	f.must(err)
	lapsed, err := f.SessionsOf(f.ctx, bob.ID, after(2*time.Hour), storage.Page{})
	f.must(err)
	hers, err := f.SessionsOf(f.ctx, bob.ID, now, storage.Page{})
	f.must(err)
	if len(left.Items) != 0 || len(lapsed.Items) != 0 || len(hers.Items) != 1 {
		t.Errorf("living sessions: %v, %v, %v", left, lapsed, hers)
	}
	standing, err := f.GrantsOf(f.ctx, ada.ID, "", storage.Page{})
	f.must(err)
	if len(standing.Items) != 2 || standing.Items[0].Alive(now.Time) != true {
		t.Errorf("grants %+v", standing.Items)
	}
	if cs, err := f.SessionClients(f.ctx, nil); err != nil || len(cs) != 0 {
		t.Error(cs, err)
	}
}

// Every row once, in one order, however long a page is; and no more than the most.
func testPages(t *testing.T, f fixture) {
	ada := f.person("ada")
	for i := range storage.MaxGroups {
		f.group(fmt.Sprintf("g%03d", i))
		f.member(fmt.Sprintf("g%03d", i), ada)
	}
	for i := range storage.MaxPage {
		f.group(fmt.Sprintf("h%03d", i))
		p := f.person(fmt.Sprintf("p%03d", i))
		f.member("operators", p)
		f.email(p, fmt.Sprintf("p-%d_%03d@example.com", i%3, i), now)
		f.session(ada, fmt.Sprint(i))
		f.grant(ada, fmt.Sprint(i))
	}
	other := newGrant(ada, "other")
	other.ClientID = "other"
	f.must(f.CreateGrant(f.ctx, other))
	for name, list := range map[string]struct {
		want int
		read func(storage.Page) (keys []string, next string, err error)
	}{
		"groups": {storage.MaxGroups + storage.MaxPage + 1, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.Group], error) { return f.Groups(f.ctx, p) }, func(g storage.Group) string { return g.Name })
		}},
		"groups of a person": {storage.MaxGroups, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.Group], error) { return f.GroupsOf(f.ctx, ada.ID, p) }, func(g storage.Group) string { return g.Name })
		}},
		"persons": {storage.MaxPage + 1, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.Person], error) { return f.Persons(f.ctx, p) }, func(p storage.Person) string { return string(p.ID) })
		}},
		"sessions of a person": {storage.MaxPage, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.Session], error) { return f.SessionsOf(f.ctx, ada.ID, now, p) },
				func(se storage.Session) string { return string(se.ID) })
		}},
		"grants of a person": {storage.MaxPage + 1, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.GrantState], error) { return f.GrantsOf(f.ctx, ada.ID, "", p) },
				func(g storage.GrantState) string { return string(g.Grant.ID) })
		}},
		"grants of a client": {storage.MaxPage, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.GrantState], error) { return f.GrantsFor(f.ctx, "web", p) },
				func(g storage.GrantState) string { return string(g.Grant.ID) })
		}},
		"grants of a person for a client": {storage.MaxPage, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.GrantState], error) { return f.GrantsOf(f.ctx, ada.ID, "web", p) },
				func(g storage.GrantState) string { return string(g.Grant.ID) })
		}},
		"members": {storage.MaxPage, func(p storage.Page) ([]string, string, error) {
			return keysOf(func() (storage.List[storage.MemberEntry], error) { return f.Members(f.ctx, "operators", p) },
				func(m storage.MemberEntry) string { return string(m.Person.ID) })
		}},
	} {
		t.Run(name, func(t *testing.T) { wantPages(t, list.want, list.read) })
	}
}

func keysOf[T any](read func() (storage.List[T], error), key func(T) string) (keys []string, next string, err error) {
	list, err := read()
	for _, item := range list.Items {
		keys = append(keys, key(item))
	}
	return keys, list.Next, err
}

// wantPages reads a list of so many rows in pages of several lengths.
func wantPages(t *testing.T, rows int, read func(storage.Page) (keys []string, next string, err error)) {
	t.Helper()
	for limit, most := range map[int]int{0: storage.PageSize, -1: storage.PageSize, 7: 7, rows: min(rows, storage.MaxPage), storage.MaxPage: storage.MaxPage, 100_000: storage.MaxPage} {
		var all []string
		for p := (storage.Page{Limit: limit}); ; {
			keys, next, err := read(p)
			if err != nil {
				t.Fatal(err)
			}
			if len(keys) > most || next != "" && len(keys) != most {
				t.Fatalf("limit %d: a page of %d", limit, len(keys))
			}
			all = append(all, keys...)
			if next == "" {
				break
			}
			p.After = next
		}
		if len(all) != rows {
			t.Errorf("limit %d: %d rows, want %d", limit, len(all), rows)
		}
		for i := 1; i < len(all); i++ {
			if all[i-1] >= all[i] {
				t.Fatalf("limit %d: %q comes before %q", limit, all[i-1], all[i])
			}
		}
	}
}
