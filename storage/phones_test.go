package storage_test

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Mobiles that people showed to be theirs.
var phoneTests = map[string]func(*testing.T, fixture){
	"a phone is its person's":                  testPhones,
	"a phone that was doubted is another one":  testDoubtedPhone,
	"a phone is added by a living session":     testPhoneRelies,
	"a person has so many phones and no more":  testPhoneMost,
	"no browser is remembered by a phone gone": testPhoneUnremembers,
	"a phone is used by its person":            testPhoneUsed,
	"a sign-in knows the phones that count":    testPhonesOfASignIn,
}

// phone is one of a person's, verified then.
func (f fixture) phone(p *storage.Person, number string, at storage.Time) *storage.Phone {
	f.t.Helper()
	one := &storage.Phone{ID: storage.NewID(), PersonID: p.ID, Number: number, VerifiedAt: at}
	f.must(f.VerifyPhone(f.ctx, one, 5))
	return one
}

func (f fixture) phones(p *storage.Person) []storage.Phone {
	f.t.Helper()
	all, err := f.PhonesOf(f.ctx, p.ID)
	f.must(err)
	return all
}

func testPhones(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	young, old := f.phone(ada, "+46701740605", after(time.Minute)), f.phone(ada, "+46701740606", now)
	shared := f.phone(bob, "+46701740605", now) // a family has one
	same(t, []storage.Phone{*old, *young}, f.phones(ada))
	f.want(storage.ErrConflict, f.VerifyPhone(f.ctx, &storage.Phone{ID: storage.NewID(), PersonID: ada.ID, Number: young.Number, VerifiedAt: after(time.Hour)}, 5))
	same(t, []storage.Phone{*old, *young}, f.phones(ada))
	f.want(storage.ErrNotFound, f.RemovePhone(f.ctx, bob.ID, young.ID))
	f.want(storage.ErrNotFound, f.TrustPhone(f.ctx, ada.ID, young.ID)) // nobody doubts it
	f.must(f.RemovePhone(f.ctx, ada.ID, young.ID))
	f.want(storage.ErrNotFound, f.RemovePhone(f.ctx, ada.ID, young.ID))
	same(t, []storage.Phone{*old}, f.phones(ada))
	same(t, []storage.Phone{*shared}, f.phones(bob))
}

func testDoubtedPhone(t *testing.T, f fixture) {
	ada := f.person("ada")
	old := f.phone(ada, "+46701740605", now)
	doubt := func() {
		t.Helper()
		f.must(f.Disown(f.ctx, storage.Disowning{PersonID: ada.ID, Since: now, Why: "disowned", Now: after(time.Minute)}))
		old.DoubtedAt = after(time.Minute)
		same(t, []storage.Phone{*old}, f.phones(ada))
	}
	doubt()
	f.want(storage.ErrNotFound, f.TrustPhone(f.ctx, f.person("bob").ID, old.ID))
	f.must(f.TrustPhone(f.ctx, ada.ID, old.ID))
	old.DoubtedAt = storage.Time{}
	same(t, []storage.Phone{*old}, f.phones(ada))
	doubt()
	again := f.phone(ada, old.Number, after(time.Hour))
	same(t, []storage.Phone{*again}, f.phones(ada))
}

func testPhoneRelies(t *testing.T, f fixture) {
	ada := f.person("ada")
	se := f.session(ada, "here")
	one := &storage.Phone{ID: storage.NewID(), PersonID: ada.ID, Number: "+46701740605", VerifiedAt: now}
	f.want(storage.ErrConflict, f.VerifyPhone(f.ctx, one, 5, storage.Living(storage.NewID())))
	same(t, []storage.Phone{}, f.phones(ada))
	f.must(f.VerifyPhone(f.ctx, one, 5, storage.Living(se.ID)))
	same(t, []storage.Phone{*one}, f.phones(ada))
}

func testPhoneUsed(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	one := f.phone(ada, "+46701740605", now)
	other := f.phone(ada, "+46701740606", after(time.Minute))
	f.want(storage.ErrNotFound, f.UsePhone(f.ctx, bob.ID, one.ID, one.Number, after(time.Hour)))
	f.want(storage.ErrNotFound, f.UsePhone(f.ctx, ada.ID, one.ID, other.Number, after(time.Hour)))
	f.must(f.UsePhone(f.ctx, ada.ID, one.ID, one.Number, after(time.Hour)))
	one.UsedAt = after(time.Hour)
	f.must(f.Disown(f.ctx, storage.Disowning{PersonID: ada.ID, Since: other.VerifiedAt, Why: "disowned", Now: after(2 * time.Minute)}))
	other.DoubtedAt = after(2 * time.Minute)
	f.want(storage.ErrNotFound, f.UsePhone(f.ctx, ada.ID, other.ID, other.Number, after(time.Hour)))
	same(t, []storage.Phone{*one, *other}, f.phones(ada))
	f.must(f.RemovePhone(f.ctx, ada.ID, one.ID))
	f.want(storage.ErrNotFound, f.UsePhone(f.ctx, ada.ID, one.ID, one.Number, after(time.Hour)))
}

func testPhonesOfASignIn(t *testing.T, f fixture) {
	ada := f.person("ada")
	f.phone(f.person("bob"), "+46701740604", now)
	one := f.phone(ada, "+46701740605", now)
	f.phone(ada, "+46701740606", after(time.Minute))
	f.must(f.Disown(f.ctx, storage.Disowning{PersonID: ada.ID, Since: after(time.Minute), Why: "disowned", Now: after(time.Hour)}))
	f.session(ada, "secret")
	in, err := f.LoadSignIn(f.ctx, hash("secret"), "", now)
	f.must(err)
	same(t, storage.Words{string(one.ID)}, in.Phones)
	known, err := f.LoadArrival(f.ctx, ada.ID, "", now)
	f.must(err)
	same(t, storage.Words{string(one.ID)}, known.Phones)
}

func testPhoneMost(t *testing.T, f fixture) {
	ada := f.person("ada")
	f.phone(f.person("bob"), "+46701740604", now)
	one, two := f.phone(ada, "+46701740605", now), f.phone(ada, "+46701740606", after(time.Second))
	three := &storage.Phone{ID: storage.NewID(), PersonID: ada.ID, Number: "+46701740607", VerifiedAt: now}
	f.want(storage.ErrConflict, f.VerifyPhone(f.ctx, three, 2))
	same(t, []storage.Phone{*one, *two}, f.phones(ada))
	f.must(f.Disown(f.ctx, storage.Disowning{PersonID: ada.ID, Since: two.VerifiedAt, Why: "disowned", Now: after(time.Minute)}))
	f.want(storage.ErrConflict, f.VerifyPhone(f.ctx, three, 2))
	two = &storage.Phone{ID: storage.NewID(), PersonID: ada.ID, Number: two.Number, VerifiedAt: after(time.Hour)} // in its own place
	f.must(f.VerifyPhone(f.ctx, two, 2))
	same(t, []storage.Phone{*one, *two}, f.phones(ada))
}

func testPhoneUnremembers(t *testing.T, f fixture) {
	ada := f.person("ada")
	one, other := f.phone(ada, "+46701740605", now), f.phone(ada, "+46701740606", now)
	for _, by := range []*storage.Phone{one, other} {
		f.must(f.SeeDevice(f.ctx, &storage.Device{
			ID: by.ID, PersonID: ada.ID, CreatedAt: now, SeenAt: now, ExpiresAt: after(time.Hour), RememberedUntil: after(time.Hour), RememberedBy: by.ID,
		}))
	}
	f.must(f.RemovePhone(f.ctx, ada.ID, one.ID))
	for by, want := range map[*storage.Phone]bool{one: false, other: true} {
		known, err := f.LoadArrival(f.ctx, ada.ID, by.ID, now)
		f.must(err)
		if got := !known.Device.RememberedUntil.IsZero(); got != want {
			t.Errorf("%s: remembered %v", by.Number, got)
		}
	}
}
