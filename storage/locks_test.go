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
