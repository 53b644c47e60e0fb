package storage

import "context"

// Device is a browser that one person has signed in with before.
type Device struct {
	ID        ID   `gorm:"primaryKey"` // of the browser: that of everybody who signs in with it
	PersonID  ID   `gorm:"primaryKey"`
	CreatedAt Time `gorm:"autoCreateTime:false"`
	SeenAt    Time
	ExpiresAt Time
	Browser   string // as a Session's
	System    string
	ProvenAt  Time // when a second factor was last given in it
	BoundAt   Time // when that was last a passkey that stays in the very machine
	// Until when it spares its person from a second factor, and the passkey or the
	// authenticator that it was remembered by.
	RememberedUntil Time
	RememberedBy    ID
}

// Remembers reports whether the device spares its person from a second factor at now.
func (d *Device) Remembers(now Time) bool { return d.RememberedUntil.After(now.Time) }

// seenAgain leaves what a sign-in said nothing of as it was.
const seenAgain = "ON CONFLICT (id, person_id) DO UPDATE SET seen_at = excluded.seen_at, expires_at = excluded.expires_at," +
	" browser = excluded.browser, system = excluded.system, proven_at = COALESCE(excluded.proven_at, devices.proven_at)," +
	" bound_at = COALESCE(excluded.bound_at, devices.bound_at)"

// SeeDevice adds a device for a person or notes that it was used again. Whether it is
// remembered stays as it was.
func (s *Store) SeeDevice(ctx context.Context, d *Device) error {
	return s.do(ctx, s.insert(ctx, d, seenAgain))
}

// RotateDevice puts d, whose id is new, in the place of the device that was that of
// this browser, for everybody who signs in with it: a copy of what the browser had before
// is of no device any more. Those of here are signed in with it, and keep what they have; of
// the others it remembers that they were here, and no more: whoever brings a copied id may
// be somebody else, with an account of their own.
func (s *Store) RotateDevice(ctx context.Context, d *Device, was ID, here ...ID) error {
	alone := waitFor{"SELECT 1 FROM devices WHERE id = ? ORDER BY person_id FOR UPDATE", []any{was}}
	here = append(here, d.PersonID) // IN needs one
	return s.doAll(ctx,
		write{text: "DELETE FROM devices WHERE id = ? AND person_id = ?", args: []any{was, d.PersonID}, locks: []waitFor{alone}},
		// One statement: those of a unit do not see each other's work on Postgres.
		write{
			text: "UPDATE devices SET id = ?, proven_at = CASE WHEN person_id IN ? THEN proven_at END, bound_at = CASE WHEN person_id IN ? THEN bound_at END," +
				" remembered_until = CASE WHEN person_id IN ? THEN remembered_until END, remembered_by = CASE WHEN person_id IN ? THEN remembered_by END" +
				" WHERE id = ? AND person_id <> ?",
			args: []any{d.ID, here, here, here, here, was, d.PersonID},
		},
		s.insert(ctx, d, ""))
}

// Known is that a person's device is there still, by the id that was read, and knows no less and
// no more than it did then: who writes it anew brings nothing back that was taken from it.
func Known(d *Device) Provided {
	return Provided{
		"EXISTS (SELECT 1 FROM devices WHERE id = ? AND person_id = ? AND proven_at IS NOT DISTINCT FROM ? AND bound_at IS NOT DISTINCT FROM ?" +
			" AND remembered_until IS NOT DISTINCT FROM ? AND remembered_by IS NOT DISTINCT FROM ?)",
		[]any{d.ID, d.PersonID, d.ProvenAt, d.BoundAt, d.RememberedUntil, d.RememberedBy},
	}
}

// DeviceKnown reports whether a person signed in with this device before and
// it has not lapsed.
func (s *Store) DeviceKnown(ctx context.Context, id, person ID, now Time) (bool, error) {
	var n int64
	err := s.db(ctx).Model(&Device{}).Where("id = ? AND person_id = ? AND expires_at > ?", id, person, now).Count(&n).Error
	return n > 0, translate(err)
}

// DeviceOf returns a person's device that has not lapsed; or ErrNotFound.
func (s *Store) DeviceOf(ctx context.Context, id, person ID, now Time) (d Device, err error) {
	err = take(s.db(ctx).Where("id = ? AND person_id = ? AND expires_at > ?", id, person, now), &d)
	return d, err
}

// DevicesOf returns a person's devices that did not lapse, at most that many, those that
// were used last first.
func (s *Store) DevicesOf(ctx context.Context, person ID, now Time, limit int) ([]Device, error) {
	var ds []Device
	err := s.db(ctx).Where("person_id = ? AND expires_at > ?", person, now).Order("seen_at DESC, id DESC").Limit(limit).Find(&ds).Error
	return ds, translate(err)
}

// ForgetDevice deletes a device of a person's; ErrNotFound: they have none such.
func (s *Store) ForgetDevice(ctx context.Context, person, id ID) error {
	return s.do(ctx, write{
		text: "DELETE FROM devices WHERE id = ? AND person_id = ?", args: []any{id, person}, guard: ErrNotFound,
		locks: []waitFor{personAlone(person)}, // a sign-in that relies on it would add it again
	})
}

// unremember ends what a person's browsers were remembered by one of their proofs for.
func unremember(person, by ID) write {
	return write{text: "UPDATE devices SET remembered_until = NULL, remembered_by = NULL WHERE person_id = ? AND remembered_by = ?", args: []any{person, by}}
}

// UnrememberDevices ends what all of a person's browsers were remembered for.
func (s *Store) UnrememberDevices(ctx context.Context, person ID) error {
	return s.do(ctx, unrememberAll(person))
}

func unrememberAll(person ID) write {
	return write{text: "UPDATE devices SET remembered_until = NULL, remembered_by = NULL WHERE person_id = ? AND remembered_until IS NOT NULL", args: []any{person}, locks: []waitFor{personAlone(person)}}
}
