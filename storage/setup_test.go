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

	// Who comes in by another door closes this one.
	f.member("operators", f.person("ada"))
	read(*newest, true)
	f.want(storage.ErrSpent, f.SpendSetupLink(f.ctx, "operators", hash("second"), now))
	f.want(storage.ErrSpent, f.ReplaceSetupLink(f.ctx, setupLink("third")))
	_, _, err := f.SetupLink(f.ctx, "nobodies")
	f.want(storage.ErrNotFound, err)
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
