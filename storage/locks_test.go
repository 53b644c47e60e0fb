package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// On SQLite there is one writer at a time, and nobody waits for a lock.
var lockTests = map[string]func(*testing.T, fixture){
	"who waits for who waits for them is not in vain": testDeadlock,
	"who forgets a browser waits for a sign-in":       testForgetWaits,
	"what a browser was remembered for is taken once": testKnownAsRead,
}

func testDeadlock(_ *testing.T, f fixture) {
	if !f.onPostgres() {
		return
	}
	ada, bob := f.person("ada"), f.person("bob")
	other, err := f.SQL().BeginTx(f.ctx, nil)
	f.must(err)
	_, err = other.ExecContext(f.ctx, "SET LOCAL deadlock_timeout = '1min'") // it is the other one that finds out
	f.must(err)
	alone := func(p *storage.Person) error {
		_, err := other.ExecContext(f.ctx, "SELECT 1 FROM persons WHERE id = $1 FOR NO KEY UPDATE", string(p.ID))
		return err
	}
	f.must(alone(bob))
	done := make(chan error, 1)
	go func() {
		ctx := storage.WithUnit(f.ctx)
		done <- errors.Join(f.UnrememberDevices(ctx, ada.ID), f.UnrememberDevices(ctx, bob.ID), f.CreateEvent(ctx, event("done")), f.Flush(ctx))
	}()
	f.waiting(1)
	f.must(alone(ada))
	f.must(other.Commit())
	f.must(<-done)
	same(f.t, []string{"done"}, f.eventKinds())
}

// It deletes nothing of which a sign-in found, before, that it is there.
func testForgetWaits(_ *testing.T, f fixture) {
	if !f.onPostgres() {
		return
	}
	ada, id := f.person("ada"), storage.NewID()
	f.must(f.SeeDevice(f.ctx, &storage.Device{ID: id, PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour)}))
	release := f.hold("SELECT 1 FROM persons FOR NO KEY UPDATE")
	done := make(chan error, 1)
	go func() { done <- f.ForgetDevice(f.ctx, ada.ID, id) }()
	f.waiting(1)
	release()
	f.must(<-done)
}

// A sign-in that read what a browser is remembered for writes it only where that still holds.
func testKnownAsRead(_ *testing.T, f fixture) {
	ada, phone := f.person("ada"), storage.NewID()
	se := f.session(ada, "secret")
	d := &storage.Device{
		ID: storage.NewID(), PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour),
		ProvenAt: now, RememberedUntil: after(time.Hour), RememberedBy: phone,
	}
	f.must(f.SeeDevice(f.ctx, d))
	renew := func(d *storage.Device) error { return f.RenewSession(f.ctx, se, hash("secret"), storage.Known(d)) }
	f.must(renew(d))
	f.must(f.UnrememberDevices(f.ctx, ada.ID))
	f.want(storage.ErrStale, renew(d))
	forgot := *d
	forgot.RememberedUntil, forgot.RememberedBy = storage.Time{}, ""
	f.must(renew(&forgot))
	f.must(f.Disown(f.ctx, storage.Disowning{PersonID: ada.ID, Keep: se.ID, Device: d.ID, Since: now, Why: "disowned", Now: now}))
	f.want(storage.ErrStale, renew(&forgot))
	forgot.ProvenAt = storage.Time{}
	f.must(renew(&forgot))
	f.must(f.ForgetDevice(f.ctx, ada.ID, d.ID))
	f.want(storage.ErrStale, renew(&forgot))
}
