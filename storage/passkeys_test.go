package storage_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

func testPasskeys(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	full := &storage.Passkey{
		ID: storage.NewID(), PersonID: ada.ID, CredentialID: []byte{0, 1, 255}, PublicKey: []byte{2}, RPID: "login.example",
		AAGUID: "00000000-0000-0000-0000-000000000000", Transports: storage.Strings{"internal", "hybrid"}, Name: "Ada's \"phone\"",
		SignCount: 1<<32 - 1, BackupEligible: true, BackedUp: true, CreatedAt: now, UsedAt: after(time.Hour),
	}
	sparse := &storage.Passkey{ID: storage.NewID(), PersonID: ada.ID, CredentialID: []byte{1}, PublicKey: []byte{3}, RPID: "login.example", CreatedAt: after(time.Second)}
	f.must(f.CreatePasskey(f.ctx, sparse, 20))
	f.must(f.CreatePasskey(f.ctx, full, 20))
	got, err := f.PasskeysOf(f.ctx, ada.ID)
	f.must(err)
	sparse.Transports = storage.Strings{}
	same(t, []storage.Passkey{*full, *sparse}, got)
	one, person, err := f.PasskeyByCredential(f.ctx, full.CredentialID)
	f.must(err)
	same(t, *full, *one)
	same(t, ada.ID, person.ID)
	_, _, err = f.PasskeyByCredential(f.ctx, []byte("nobody's"))
	f.want(storage.ErrNotFound, err)

	third := *full // so many and no more
	third.ID, third.CredentialID = storage.NewID(), []byte{2}
	f.want(storage.ErrStale, f.CreatePasskey(f.ctx, &third, 2))

	again := *full // a credential is one person's
	again.ID, again.PersonID = storage.NewID(), bob.ID
	f.want(storage.ErrConflict, f.CreatePasskey(f.ctx, &again, 20))

	// Its count only goes on from what was read.
	sparse.SignCount, sparse.BackedUp, sparse.UsedAt = 7, true, after(time.Minute)
	f.must(f.UsePasskey(f.ctx, sparse, 0))
	f.want(storage.ErrStale, f.UsePasskey(f.ctx, sparse, 0))
	f.want(storage.ErrNotFound, f.RenamePasskey(f.ctx, bob.ID, sparse.ID, "Bob's"))
	f.must(f.RenamePasskey(f.ctx, ada.ID, sparse.ID, "key"))
	sparse.Name = "key"
	got, err = f.PasskeysOf(f.ctx, ada.ID)
	f.must(err)
	same(t, []storage.Passkey{*full, *sparse}, got)

	for rp, want := range map[string]string{"login.example": "", "a.example": "login.example", "z.example": "login.example"} {
		other, err := f.PasskeysElsewhere(f.ctx, rp)
		f.must(err)
		same(t, want, other)
	}
	f.want(storage.ErrNotFound, f.DeletePasskey(f.ctx, bob.ID, full.ID))
	f.must(f.DeletePasskey(f.ctx, ada.ID, full.ID))
	f.want(storage.ErrStale, f.UsePasskey(f.ctx, full, full.SignCount))

	// They go with their person.
	f.must(f.DisablePerson(f.ctx, ada.ID, now))
	f.must(f.DeletePerson(f.ctx, ada.ID))
	if got, err = f.PasskeysOf(f.ctx, ada.ID); err != nil || len(got) != 0 {
		t.Error(got, errors.Unwrap(err))
	}
}

// Of 50 passkeys at once one is added where there is room for one. Ten times,
// for they have to meet.
func testRacePasskeys(t *testing.T, f fixture) {
	for round := range 10 {
		ada := f.person(fmt.Sprint("ada", round))
		f.oneWins(storage.ErrStale, race(racers, func(i int) error {
			ctx := storage.WithUnit(f.ctx)
			return errors.Join(
				f.CreateEvent(ctx, event("passkey.added")),
				f.CreatePasskey(ctx, &storage.Passkey{ID: storage.NewID(), PersonID: ada.ID, CredentialID: []byte{byte(round), byte(i)}, PublicKey: []byte{1}, CreatedAt: now}, 1),
				f.Flush(ctx))
		}))
	}
}

// One of 50 uses of a count is noted.
func testRacePasskey(t *testing.T, f fixture) {
	p := &storage.Passkey{ID: storage.NewID(), PersonID: f.person("ada").ID, CredentialID: []byte{1}, PublicKey: []byte{1}, SignCount: 1, CreatedAt: now}
	f.must(f.CreatePasskey(f.ctx, p, 20))
	f.oneWins(storage.ErrStale, race(racers, func(i int) error {
		used := *p
		used.SignCount, used.UsedAt = int64(2+i), now
		return f.UsePasskey(f.ctx, &used, 1)
	}))
}
