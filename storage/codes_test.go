package storage_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// One-time codes and recovery codes.
var codeTests = map[string]func(*testing.T, fixture){
	"an authenticator counts once it is confirmed":              testTOTP,
	"an authenticator is its person's":                          testTOTPOwner,
	"one of 50 spends a step":                                   testRaceTOTP,
	"an authenticator or a passkey is a second factor":          testSecondFactor,
	"each of 50 tries is counted, and an authenticator stopped": testTriedTOTP,
	"a person has so many authenticators and no more":           testTOTPMost,
	"recovery codes are counted down":                           testRecoveryCodes,
	"one of 50 spends a recovery code":                          testRaceRecoveryCode,
	"of 20 sets of recovery codes at once one is left":          testRaceRecoveryCodes,
	"a sent code works once, in its interaction":                testSentCode,
	"one of 50 uses a sent code, of few tries":                  testRaceSentCode,
}

func totp(p *storage.Person, name string) *storage.TOTP {
	return &storage.TOTP{ID: storage.NewID(), PersonID: p.ID, Name: name, Seed: []byte("sealed"), CreatedAt: now, ExpiresAt: after(15 * time.Minute)}
}

// confirmed is an authenticator that counts, and whose step 100 is spent.
func (f fixture) confirmed(p *storage.Person, name string) *storage.TOTP {
	f.t.Helper()
	t := totp(p, name)
	f.must(f.BeginTOTP(f.ctx, t, 5))
	f.must(f.ConfirmTOTP(f.ctx, p.ID, t.ID, 100, now, 10))
	t.ConfirmedAt, t.UsedAt, t.LastStep, t.ExpiresAt = now, now, 100, storage.Time{}
	return t
}

func (f fixture) totps(p *storage.Person) []storage.TOTP {
	f.t.Helper()
	all, err := f.TOTPsOf(f.ctx, p.ID)
	f.must(err)
	return all
}

func testTOTP(t *testing.T, f fixture) {
	ada := f.person("ada")
	phone := f.confirmed(ada, "phone")
	lost, other, tablet := totp(ada, "lost"), totp(ada, "in another tab"), totp(ada, "tablet")
	eves := totp(f.person("eve"), "another's")
	other.CreatedAt, tablet.CreatedAt = after(time.Second), after(2*time.Second)
	for _, one := range []*storage.TOTP{eves, other, lost} { // not in this order: by their time
		f.must(f.BeginTOTP(f.ctx, one, 2))
	}
	f.must(f.BeginTOTP(f.ctx, tablet, 2)) // in the place of the older one of those that were never confirmed
	for _, one := range []*storage.TOTP{eves, other} {
		_, err := f.PendingTOTP(f.ctx, one.PersonID, one.ID, now)
		f.must(err)
	}
	same(t, []storage.TOTP{*phone}, f.totps(ada))
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, nil, tablet.ID, 200, now))
	_, err := f.PendingTOTP(f.ctx, ada.ID, lost.ID, now)
	f.want(storage.ErrNotFound, err)
	got, err := f.PendingTOTP(f.ctx, ada.ID, tablet.ID, after(15*time.Minute-time.Microsecond))
	f.must(err)
	same(t, tablet, got)
	late := after(15 * time.Minute)
	_, err = f.PendingTOTP(f.ctx, ada.ID, tablet.ID, late)
	f.want(storage.ErrNotFound, err)
	f.want(storage.ErrNotFound, f.ConfirmTOTP(f.ctx, ada.ID, tablet.ID, 1, late, 10))
	f.must(f.ConfirmTOTP(f.ctx, ada.ID, tablet.ID, 7, now, 10))
	f.want(storage.ErrNotFound, f.ConfirmTOTP(f.ctx, ada.ID, tablet.ID, 8, now, 10))
	_, err = f.PendingTOTP(f.ctx, ada.ID, tablet.ID, now)
	f.want(storage.ErrNotFound, err)
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, nil, tablet.ID, 7, now))
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, nil, tablet.ID, 6, now))
	f.must(f.SpendTOTP(f.ctx, nil, tablet.ID, 8, after(time.Second)))
	f.must(f.RenameTOTP(f.ctx, ada.ID, tablet.ID, "slate"))
	tablet.Name, tablet.LastStep, tablet.ConfirmedAt, tablet.UsedAt, tablet.ExpiresAt = "slate", 8, now, after(time.Second), storage.Time{}
	same(t, []storage.TOTP{*phone, *tablet}, f.totps(ada))
	_, err = f.Sweep(f.ctx, after(1000*time.Hour), 10)
	f.must(err)
	f.must(f.RemoveTOTP(f.ctx, ada.ID, phone.ID))
	same(t, []storage.TOTP{*tablet}, f.totps(ada))
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, nil, phone.ID, 1000, now))
}

// The id of another's, and one that is not confirmed, opens nothing.
func testTOTPOwner(_ *testing.T, f fixture) {
	ada, eve := f.person("ada"), f.person("eve")
	phone, pending := f.confirmed(ada, "phone"), totp(ada, "tablet")
	f.must(f.BeginTOTP(f.ctx, pending, 5))
	_, err := f.PendingTOTP(f.ctx, eve.ID, pending.ID, now)
	f.want(storage.ErrNotFound, err)
	f.want(storage.ErrNotFound, f.ConfirmTOTP(f.ctx, eve.ID, pending.ID, 1, now, 10))
	f.want(storage.ErrNotFound, f.RenameTOTP(f.ctx, eve.ID, phone.ID, "mine"))
	f.want(storage.ErrNotFound, f.RemoveTOTP(f.ctx, eve.ID, phone.ID))
	f.want(storage.ErrNotFound, f.RenameTOTP(f.ctx, ada.ID, pending.ID, "tablet"))
	f.want(storage.ErrNotFound, f.RemoveTOTP(f.ctx, ada.ID, pending.ID))
}

func testSecondFactor(t *testing.T, f fixture) {
	want := func(p *storage.Person, want bool) {
		t.Helper()
		has, err := f.HasSecondFactor(f.ctx, p.ID, true)
		f.must(err)
		if has != want {
			t.Errorf("%s has one: %v", p.Sub, has)
		}
	}
	ada, bob := f.person("ada"), f.person("bob")
	f.must(f.BeginTOTP(f.ctx, totp(ada, "pending"), 5))
	want(ada, false)
	phone := f.confirmed(ada, "phone")
	want(ada, true)
	want(bob, false)
	f.must(f.CreatePasskey(f.ctx, &storage.Passkey{ID: storage.NewID(), PersonID: bob.ID, CredentialID: []byte{1}, PublicKey: []byte{1}, RPID: "login.example", CreatedAt: now}, 1))
	want(bob, true)
	if has, err := f.HasSecondFactor(f.ctx, bob.ID, false); err != nil || has {
		t.Errorf("a passkey is one where there are none: %v", err)
	}

	// And the session's person is read with those that count.
	f.must(f.BeginTOTP(f.ctx, totp(ada, "pending"), 5))
	f.session(ada, "secret")
	in, err := f.LoadSignIn(f.ctx, hash("secret"), "", now)
	f.must(err)
	same(t, storage.Words{string(phone.ID)}, in.TOTPs)
	f.must(f.RemoveTOTP(f.ctx, ada.ID, phone.ID))
	in, err = f.LoadSignIn(f.ctx, hash("secret"), "", now)
	f.must(err)
	same(t, nil, in.TOTPs)
	want(ada, false)
}

func testTOTPMost(t *testing.T, f fixture) {
	ada := f.person("ada")
	for _, name := range []string{"one", "two"} {
		f.confirmed(ada, name)
	}
	f.confirmed(f.person("bob"), "another's")
	third := totp(ada, "three")
	f.must(f.BeginTOTP(f.ctx, third, 5))
	f.want(storage.ErrNotFound, f.ConfirmTOTP(f.ctx, ada.ID, third.ID, 1, now, 2))
	f.must(f.ConfirmTOTP(f.ctx, ada.ID, third.ID, 1, now, 3))
	if n := len(f.totps(ada)); n != 3 {
		t.Errorf("%d, want 3", n)
	}
}

// Attack case 61: one success a code, whatever came at the same moment.
func testRaceTOTP(t *testing.T, f fixture) {
	phone := f.confirmed(f.person("ada"), "phone")
	f.oneWins(storage.ErrSpent, race(racers, func(int) error { return f.SpendTOTP(f.ctx, nil, phone.ID, 101, now) }))
	won := 0
	for _, err := range race(racers, func(i int) error { return f.SpendTOTP(f.ctx, nil, phone.ID, 102+int64(i%3), now) }) {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, storage.ErrSpent):
			t.Error(err)
		}
	}
	if won < 1 || won > 3 {
		t.Errorf("%d of 3 steps were spent", won)
	}
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, nil, phone.ID, 104, now))
}

// Attack case 61: no two tries at once have one count, at however many authenticators.
func testTriedTOTP(t *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	phone, tablet := f.confirmed(ada, "phone"), f.confirmed(ada, "tablet")
	f.confirmed(bob, "phone")
	f.must(f.BeginTOTP(f.ctx, totp(ada, "pending"), 5))
	try := func(p *storage.Person) []storage.TOTP {
		t.Helper()
		tried, err := f.TryTOTPs(f.ctx, p.ID)
		f.must(err)
		return tried
	}
	counts := func() (n []int64) {
		t.Helper()
		for _, a := range f.totps(ada) {
			n = append(n, a.Wrong)
		}
		return n
	}
	counted := make(chan int64, 2*racers)
	for _, err := range race(racers, func(int) error {
		tried, err := f.TryTOTPs(f.ctx, ada.ID)
		for _, a := range tried {
			counted <- a.Wrong
		}
		return err
	}) {
		f.must(err)
	}
	close(counted)
	times := map[int64]int{}
	for n := range counted {
		times[n]++
	}
	for n := range int64(racers) {
		if times[n+1] != 2 {
			t.Errorf("%d authenticators were tried as number %d, want both", times[n+1], n+1)
		}
	}
	same(t, 1, try(bob)[0].Wrong)

	// A right code has both begin anew.
	tried := try(ada)
	same(t, []int64{racers + 1, racers + 1}, []int64{tried[0].Wrong, tried[1].Wrong})
	f.must(f.SpendTOTP(f.ctx, tried, tablet.ID, 200, now))
	same(t, []int64{0, 0}, counts())
	same(t, 2, try(bob)[0].Wrong)

	f.want(storage.ErrSpent, f.StopTOTP(f.ctx, phone.ID, 1, now)) // a right code came
	try(ada)
	f.must(f.StopTOTP(f.ctx, phone.ID, 1, now))
	f.want(storage.ErrSpent, f.StopTOTP(f.ctx, phone.ID, 1, now))
	tried = try(ada)
	if len(tried) != 1 || tried[0].ID != tablet.ID {
		t.Errorf("%+v is tried, want the tablet alone", tried)
	}
	f.want(storage.ErrSpent, f.SpendTOTP(f.ctx, tried, phone.ID, 300, now))
	f.must(f.SpendTOTP(f.ctx, tried, tablet.ID, 300, now))
	same(t, []int64{1, 0}, counts())
	same(t, now, f.totps(ada)[0].StoppedAt)
	f.want(storage.ErrNotFound, f.LiftTOTP(f.ctx, bob.ID, phone.ID))
	f.want(storage.ErrNotFound, f.LiftTOTP(f.ctx, ada.ID, tablet.ID))
	f.must(f.LiftTOTP(f.ctx, ada.ID, phone.ID))
	same(t, []int64{0, 0}, counts())
	f.must(f.SpendTOTP(f.ctx, try(ada), phone.ID, 300, now))
	if n := len(try(f.person("nobody"))); n != 0 {
		t.Errorf("%d authenticators of who has none are tried", n)
	}
}

func recoveryCodes(p *storage.Person, codes ...string) (rows []storage.RecoveryCode) {
	for _, code := range codes {
		rows = append(rows, storage.RecoveryCode{Hash: hash(p.Sub + code), PersonID: p.ID, CreatedAt: now})
	}
	return rows
}

func (f fixture) wantCodes(p *storage.Person, want int) {
	f.t.Helper()
	n, err := f.RecoveryCodesOf(f.ctx, p.ID)
	f.must(err)
	if n != want {
		f.t.Errorf("%s has %d codes left, want %d", p.Sub, n, want)
	}
}

func testRecoveryCodes(_ *testing.T, f fixture) {
	ada, bob := f.person("ada"), f.person("bob")
	f.wantCodes(ada, 0)
	f.must(f.ReplaceRecoveryCodes(f.ctx, ada.ID, recoveryCodes(ada, "1", "2", "3")))
	f.must(f.ReplaceRecoveryCodes(f.ctx, bob.ID, recoveryCodes(bob, "1")))
	f.want(storage.ErrSpent, f.SpendRecoveryCode(f.ctx, bob.ID, hash("ada1"))) // another's
	f.must(f.SpendRecoveryCode(f.ctx, ada.ID, hash("ada1")))
	f.want(storage.ErrSpent, f.SpendRecoveryCode(f.ctx, ada.ID, hash("ada1")))
	f.wantCodes(ada, 2)
	f.must(f.ReplaceRecoveryCodes(f.ctx, ada.ID, recoveryCodes(ada, "4", "5")))
	f.want(storage.ErrSpent, f.SpendRecoveryCode(f.ctx, ada.ID, hash("ada2")))
	f.wantCodes(ada, 2)
	f.wantCodes(bob, 1)
	f.want(storage.ErrNotFound, f.ReplaceRecoveryCodes(f.ctx, storage.NewID(), []storage.RecoveryCode{{Hash: hash("x"), PersonID: storage.NewID(), CreatedAt: now}}))
}

func testRaceRecoveryCode(_ *testing.T, f fixture) {
	ada := f.person("ada")
	f.must(f.ReplaceRecoveryCodes(f.ctx, ada.ID, recoveryCodes(ada, "1", "2")))
	f.oneWins(storage.ErrSpent, race(racers, func(int) error { return f.SpendRecoveryCode(f.ctx, ada.ID, hash("ada1")) }))
	f.wantCodes(ada, 1)
}

func testRaceRecoveryCodes(t *testing.T, f fixture) {
	ada := f.person("ada")
	for _, err := range race(20, func(i int) error {
		n := string(rune('a' + i))
		return f.ReplaceRecoveryCodes(f.ctx, ada.ID, recoveryCodes(ada, n+"1", n+"2"))
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	f.wantCodes(ada, 2)
}

func sentCode(interaction, person storage.ID, expires storage.Time) *storage.SentCode {
	return &storage.SentCode{
		InteractionID: interaction, PersonID: person, Kind: "email", Address: "ada@example.com", Display: "Ada@example.com",
		Hash: hash("1"), CreatedAt: now, ExpiresAt: expires,
	}
}

func testSentCode(t *testing.T, f fixture) {
	ada := f.person("ada")
	c, other := sentCode(storage.NewID(), ada.ID, after(time.Minute)), sentCode(storage.NewID(), "", after(time.Hour))
	other.Hash = hash("2")
	f.must(f.PutSentCode(f.ctx, c))
	f.must(f.PutSentCode(f.ctx, other))
	try := func(code string, at storage.Time) (*storage.SentCode, error) {
		return f.TrySentCode(f.ctx, c.InteractionID, hash(code), at, 3)
	}
	got, err := try("2", now) // another interaction's
	f.must(err)
	c.Tries = 1
	same(t, c, got)
	_, err = try("1", after(time.Minute))
	f.want(storage.ErrNotFound, err)
	got, err = try("1", after(time.Second))
	f.must(err)
	c.Tries, c.UsedAt = 2, after(time.Second)
	same(t, c, got)
	_, err = try("1", after(time.Second))
	f.want(storage.ErrNotFound, err)
	again := sentCode(c.InteractionID, "", after(time.Hour)) // in its place
	again.Hash = hash("3")
	f.must(f.PutSentCode(f.ctx, again))
	for i, code := range []string{"1", "2", "1"} {
		got, err = try(code, now)
		f.must(err)
		again.Tries = int64(i + 1)
		same(t, again, got)
	}
	_, err = try("3", now) // the right one, too late
	f.want(storage.ErrNotFound, err)
	_, err = f.TrySentCode(f.ctx, storage.NewID(), hash("3"), now, 3)
	f.want(storage.ErrNotFound, err)
}

func testRaceSentCode(t *testing.T, f fixture) {
	c := sentCode(storage.NewID(), "", after(time.Hour))
	f.must(f.PutSentCode(f.ctx, c))
	const most = racers / 2
	var used, tried atomic.Int64
	for _, err := range race(racers, func(i int) error {
		code := "0"
		if i%3 == 0 {
			code = "1"
		}
		got, err := f.TrySentCode(f.ctx, c.InteractionID, hash(code), now, most)
		if err == nil {
			tried.Add(1)
			if !got.UsedAt.IsZero() {
				used.Add(1)
			}
		}
		return err
	}) {
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Error(err)
		}
	}
	if used.Load() > 1 || tried.Load() > most || used.Load() == 0 && tried.Load() != most {
		t.Errorf("of %d tries %d used it", tried.Load(), used.Load())
	}
}
