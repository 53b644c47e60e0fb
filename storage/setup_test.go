package storage_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// The one-time link by which the first member of a group comes in.
var setupTests = map[string]func(*testing.T, fixture){
	"a set-up link is the newest one":                testSetupLink,
	"one of 50 sets up, and nobody after them":       testRaceSetup,
	"a set-up link is spent in time and by its hash": testSetupLinkSpent,
	"one of 50 makes the set-up link":                testRaceSetupLink,
	"no set-up link outlives its group's emptiness":  testRaceSetupLinkMember,
}

func setupLink(secret string) *storage.SetupLink {
	return &storage.SetupLink{Name: "operators", SecretHash: hash(secret), CreatedAt: now, ExpiresAt: after(time.Hour)}
}

func testSetupLink(t *testing.T, f fixture) {
	read := func(want storage.SetupLink, wantOccupied bool) {
		t.Helper()
		l, occupied, err := f.SetupLink(f.ctx, "operators")
		f.must(err)
		same(t, want, l)
		same(t, wantOccupied, occupied)
	}
	read(storage.SetupLink{}, false)
	f.must(f.ReplaceSetupLink(f.ctx, setupLink("first")))
	newest := setupLink("second")
	newest.CreatedAt, newest.ExpiresAt = after(time.Minute), after(2*time.Hour)
	f.must(f.ReplaceSetupLink(f.ctx, newest))
	read(*newest, false)
	f.want(storage.ErrSpent, f.SpendSetupLink(f.ctx, "operators", hash("first"), now))

	// One that works stays, and one that does not is made anew.
	f.want(storage.ErrSpent, f.CreateSetupLink(f.ctx, setupLink("third")))
	read(*newest, false)
	late := setupLink("third")
	late.CreatedAt, late.ExpiresAt = newest.ExpiresAt, after(3*time.Hour)
	f.must(f.CreateSetupLink(f.ctx, late))
	read(*late, false)

	// Who comes in by another door closes this one, for good.
	ada := f.person("ada")
	f.member("operators", ada)
	read(storage.SetupLink{}, true)
	f.want(storage.ErrSpent, f.SpendSetupLink(f.ctx, "operators", hash("third"), now))
	f.want(storage.ErrSpent, f.ReplaceSetupLink(f.ctx, setupLink("fourth")))
	f.want(storage.ErrSpent, f.CreateSetupLink(f.ctx, setupLink("fourth")))
	_, _, err := f.SetupLink(f.ctx, "nobodies")
	f.want(storage.ErrNotFound, err)
}

// As many replicas that start at the same moment, with a link that lapsed.
func testRaceSetupLink(_ *testing.T, f fixture) {
	lapsed := setupLink("lapsed")
	lapsed.ExpiresAt = now
	f.must(f.CreateSetupLink(f.ctx, lapsed))
	f.oneWins(storage.ErrSpent, race(racers, func(i int) error { return f.CreateSetupLink(f.ctx, setupLink(fmt.Sprint(i))) }))
}

// Whichever of them is first: a link that is made while somebody is put into the group
// is gone, or was never made.
func testRaceSetupLinkMember(t *testing.T, f fixture) {
	for round := range racers {
		group, p := fmt.Sprint("g", round), f.person(fmt.Sprint(round))
		f.group(group)
		for _, err := range race(4, func(i int) error {
			if i == 0 {
				return f.AddMember(f.ctx, &storage.Member{GroupName: group, PersonID: p.ID, CreatedAt: now})
			}
			l := setupLink("secret")
			l.Name = group
			if err := f.ReplaceSetupLink(f.ctx, l); err != nil && !errors.Is(err, storage.ErrSpent) {
				return err
			}
			return nil
		}) {
			f.must(err)
		}
		l, occupied, err := f.SetupLink(f.ctx, group)
		f.must(err)
		if !occupied || l.SecretHash != nil {
			t.Fatalf("round %d: occupied %t, and a link %+v", round, occupied, l)
		}
	}
}

func testSetupLinkSpent(_ *testing.T, f fixture) {
	f.must(f.ReplaceSetupLink(f.ctx, setupLink("right")))
	f.want(storage.ErrSpent, f.SpendSetupLink(f.ctx, "operators", hash("wrong"), now))
	f.want(storage.ErrSpent, f.SpendSetupLink(f.ctx, "operators", hash("right"), after(time.Hour)))
	f.must(f.SpendSetupLink(f.ctx, "operators", hash("right"), after(time.Hour-time.Microsecond)))
	f.want(storage.ErrSpent, f.SpendSetupLink(f.ctx, "operators", hash("right"), now))
}

// Each loser's person and membership are undone with their spending; a link that was
// made while they tried lets nobody in after the winner.
func testRaceSetup(t *testing.T, f fixture) {
	f.must(f.ReplaceSetupLink(f.ctx, setupLink("right")))
	f.oneWins(storage.ErrSpent, race(racers, func(i int) error {
		if i%5 == 4 { // a replica that starts meanwhile; what it makes is dead or never was
			if err := f.ReplaceSetupLink(f.ctx, setupLink("right")); err != nil && !errors.Is(err, storage.ErrSpent) {
				return err
			}
		}
		p := &storage.Person{ID: storage.NewID(), Sub: fmt.Sprint("p_", i), CreatedAt: now, UpdatedAt: now}
		ctx := storage.WithUnit(f.ctx)
		return errors.Join(f.SpendSetupLink(ctx, "operators", hash("right"), now), f.CreatePerson(ctx, p),
			f.AddNewcomer(ctx, &storage.Member{GroupName: "operators", PersonID: p.ID, CreatedAt: now}), f.Flush(ctx))
	}))
	members, err := f.Members(f.ctx, "operators", storage.Page{Limit: 10})
	f.must(err)
	if len(members.Items) != 1 {
		t.Errorf("%d people came in by one link", len(members.Items))
	}
}
