package proof

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// desk has both kinds of codes, and a clock that stands still until a test moves it.
type desk struct {
	*TOTP
	*Recovery
	store *storage.Store
	at    atomic.Int64 // microseconds
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{store: newStore(t)}
	d.at.Store(noon.UnixMicro())
	clock := func() time.Time { return time.UnixMicro(d.at.Load()).UTC() }
	k, err := keys.New(t.Context(), keys.Config{KEK: []byte(strings.Repeat("k", 32)), Algorithms: []string{keys.ES256}}, d.store, clock)
	if err != nil {
		t.Fatal(err)
	}
	ev := events.New(d.store, k, clock)
	if d.TOTP, err = NewTOTP("House: 7 & Co", d.store, k, ev, clock); err != nil {
		t.Fatal(err)
	}
	d.Recovery = NewRecovery(d.store, k.Derive("recovery-codes"), ev, clock)
	return d
}

func (d *desk) stopped(_ context.Context, name string) error {
	return fmt.Errorf("%s was stopped", name)
}

func (d *desk) pass(by time.Duration) { d.at.Add(by.Microseconds()) }

// code is what an app shows that has this secret, so many steps from now.
func (d *desk) code(t *testing.T, secret string, steps int64) string {
	t.Helper()
	step := d.at.Load()/1e6/30 + steps
	code, err := hotp.GenerateCodeCustom(strings.ReplaceAll(secret, " ", ""), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrol gives a person an authenticator that counts, and returns it; the clock moves on
// to where the code that confirmed it is over.
func (d *desk) enrol(t *testing.T, person *storage.Person, name string) *Enrolment {
	t.Helper()
	e, err := d.Begin(t.Context(), person, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Confirm(t.Context(), person, e.ID, d.code(t, e.Secret, 0), events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	d.pass(2 * time.Minute)
	return e
}

func (d *desk) verify(t *testing.T, person *storage.Person, code string) error {
	t.Helper()
	_, err := d.TOTP.Verify(t.Context(), person, code, d.stopped)
	return err
}

// told returns the kinds of the events so far, the oldest first.
func (d *desk) told(t *testing.T) (kinds []string) {
	t.Helper()
	es, err := d.store.Events(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if strings.Contains(string(e.Document.V), "phone") || strings.Contains(string(e.Document.V), "tablet") {
			t.Errorf("%s tells in the clear what somebody calls their things: %s", e.Kind, e.Document.V)
		}
		kinds = append(kinds, e.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

// TestVectorsOfTheRFC: RFC 6238 appendix B, SHA-1, of whose eight digits an app that
// shows six shows the last.
func TestVectorsOfTheRFC(t *testing.T) {
	d := newDesk(t)
	row := &storage.TOTP{ID: storage.NewID()}
	var err error
	if row.Seed, err = d.seal(row.ID, []byte("12345678901234567890")); err != nil {
		t.Fatal(err)
	}
	for at, code := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		for _, typed := range []string{code[2:], code[2:5] + " " + code[5:], "\t" + code[2:] + "\n"} {
			if step, err := d.match(row, typed, time.Unix(at, 0)); err != nil || step != at/30 {
				t.Errorf("at %d: %q is of step %d, %v; want %d", at, typed, step, err, at/30)
			}
		}
		for _, typed := range []string{code, "", code[2:7], code[2:] + "0", strings.Repeat("0", 1000), "-" + code[3:]} {
			if _, err := d.match(row, typed, time.Unix(at, 0)); !errors.Is(err, ErrWrong) {
				t.Errorf("at %d: %q: %v, want ErrWrong", at, typed, err)
			}
		}
	}
}

// TestAttack61CodeOfAStepToEachSide, and no further: RFC 6238 section 5.2.
func TestAttack61CodeOfAStepToEachSide(t *testing.T) {
	d := newDesk(t)
	person := newPerson(t, d.store, "ada@example.com")
	e := d.enrol(t, person, "phone")
	for _, far := range []int64{-2, 2, -10, 10} {
		if err := d.verify(t, person, d.code(t, e.Secret, far)); !errors.Is(err, ErrWrong) {
			t.Errorf("%d steps away: %v, want ErrWrong", far, err)
		}
	}
	for _, near := range []int64{-1, 0, 1} { // each newer than the one before
		ev, err := d.TOTP.Verify(t.Context(), person, d.code(t, e.Secret, near), d.stopped)
		if err != nil || ev.Method != policy.OneTime || ev.Credential != string(e.ID) || ev.At.UnixMicro() != d.at.Load() {
			t.Errorf("%d steps away: %+v, %v", near, ev, err)
		}
	}
}

// TestCodeWorksOnce: attack case 61. Neither it nor an older one works again, nor the
// one that confirmed the authenticator; and of many at once one does.
func TestCodeWorksOnce(t *testing.T) {
	d := newDesk(t)
	person := newPerson(t, d.store, "ada@example.com")
	e, err := d.Begin(t.Context(), person, "phone")
	if err != nil {
		t.Fatal(err)
	}
	first := d.code(t, e.Secret, 0)
	if _, err := d.Confirm(t.Context(), person, e.ID, first, events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	for _, used := range []string{first, d.code(t, e.Secret, -1)} {
		if err := d.verify(t, person, used); !errors.Is(err, ErrWrong) {
			t.Errorf("what confirmed it: %v, want ErrWrong", err)
		}
	}
	next := d.code(t, e.Secret, 1)
	var (
		won atomic.Int64
		all sync.WaitGroup
	)
	for range 50 {
		all.Go(func() {
			switch _, err := d.TOTP.Verify(t.Context(), person, next, d.stopped); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ErrWrong):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 got in by one code", won.Load())
	}
}

// TestSpentCodeStaysSpent when the caller's unit comes to nothing.
func TestSpentCodeStaysSpent(t *testing.T) {
	d := newDesk(t)
	person := newPerson(t, d.store, "ada@example.com")
	e := d.enrol(t, person, "phone")
	codes, err := d.Generate(t.Context(), person.ID, rand.Text(), events.ActorPerson)
	if err != nil {
		t.Fatal(err)
	}
	dropped := storage.WithUnit(t.Context())
	code := d.code(t, e.Secret, 0)
	_, errTOTP := d.TOTP.Verify(dropped, person, code, d.stopped)
	_, errRecovery := d.Recovery.Verify(dropped, person, codes[0])
	if err := errors.Join(errTOTP, errRecovery); err != nil {
		t.Fatal(err)
	}
	_, errRecovery = d.Recovery.Verify(t.Context(), person, codes[0])
	if err := d.verify(t, person, code); !errors.Is(err, ErrWrong) || !errors.Is(errRecovery, ErrWrong) {
		t.Errorf("again: %v, %v", err, errRecovery)
	}
}

// TestAuthenticatorCountsOnceConfirmed, in time, and until then takes nothing from the
// one that counts.
func TestAuthenticatorCountsOnceConfirmed(t *testing.T) {
	d := newDesk(t)
	person, eve := newPerson(t, d.store, "ada@example.com"), newPerson(t, d.store, "eve@example.com")
	phone := d.enrol(t, person, "phone")
	tablet, err := d.Begin(t.Context(), person, " tablet ")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.verify(t, person, d.code(t, tablet.Secret, 0)); !errors.Is(err, ErrWrong) {
		t.Errorf("unconfirmed: %v", err)
	}
	if err := d.verify(t, person, d.code(t, phone.Secret, 0)); err != nil {
		t.Errorf("the one that counts: %v", err)
	}
	again, err := d.Pending(t.Context(), person, tablet.ID)
	if err != nil || again.Secret != tablet.Secret || again.URL != tablet.URL || again.Name != "tablet" {
		t.Errorf("shown again: %+v, %v", again, err)
	}
	if _, err := d.Pending(t.Context(), eve, tablet.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("shown to another: %v", err)
	}
	if _, err := d.Confirm(t.Context(), eve, tablet.ID, d.code(t, tablet.Secret, 0), events.ActorPerson); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("confirmed by another: %v", err)
	}
	if _, err := d.Confirm(t.Context(), person, tablet.ID, d.code(t, phone.Secret, 1), events.ActorPerson); !errors.Is(err, ErrWrong) {
		t.Errorf("confirmed by a code of another app: %v", err)
	}
	before := d.at.Load()
	d.pass(enrolTime)
	if _, err := d.Confirm(t.Context(), person, tablet.ID, d.code(t, tablet.Secret, 0), events.ActorPerson); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("confirmed too late: %v", err)
	}
	d.at.Store(before)
	ev, err := d.Confirm(t.Context(), person, tablet.ID, d.code(t, tablet.Secret, 0), events.ActorPerson)
	if err != nil || ev.Method != policy.OneTime || ev.Credential != string(tablet.ID) {
		t.Errorf("confirmed: %+v, %v", ev, err)
	}
	d.pass(time.Minute)
	for _, e := range []*Enrolment{phone, tablet} {
		if err := d.verify(t, person, d.code(t, e.Secret, 0)); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	if err := d.verify(t, eve, d.code(t, phone.Secret, 1)); !errors.Is(err, ErrWrong) {
		t.Errorf("another's code: %v", err)
	}
}

// TestAuthenticatorsAreListedNamedAndRemoved, with an event in the unit of each change.
func TestAuthenticatorsAreListedNamedAndRemoved(t *testing.T) {
	d := newDesk(t)
	person, eve := newPerson(t, d.store, "ada@example.com"), newPerson(t, d.store, "eve@example.com")
	phone := d.enrol(t, person, "phone")
	for _, bad := range []string{"", "  ", strings.Repeat("å", 65), "a\x00b", "a\nb", "\xff"} {
		f := wantFault(t, d.Rename(t.Context(), person.ID, phone.ID, bad, events.ActorPerson), fault.KindInvalid)
		if _, err := d.Begin(t.Context(), person, bad); f.Field != "name" || err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	for _, err := range []error{
		d.Rename(t.Context(), eve.ID, phone.ID, "mine", events.ActorPerson), d.Remove(t.Context(), eve.ID, phone.ID, events.ActorPerson),
	} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("another's: %v", err)
		}
	}
	if err := d.Rename(t.Context(), person.ID, phone.ID, strings.Repeat("å", 64), events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	rows, err := d.List(t.Context(), person.ID)
	if err != nil || len(rows) != 1 || rows[0].Name != strings.Repeat("å", 64) || rows[0].UsedAt.IsZero() {
		t.Errorf("%+v, %v", rows, err)
	}
	if err := d.Remove(t.Context(), person.ID, phone.ID, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if err := d.verify(t, person, d.code(t, phone.Secret, 0)); !errors.Is(err, ErrWrong) {
		t.Errorf("a removed one: %v", err)
	}
	if got := d.told(t); !slices.Equal(got, []string{"factor.added", "factor.removed", "factor.renamed"}) {
		t.Errorf("events %v", got)
	}
}

func TestSoManyAuthenticatorsAndNoMore(t *testing.T) {
	d := newDesk(t)
	person := newPerson(t, d.store, "ada@example.com")
	for i := range MaxTOTP {
		d.enrol(t, person, fmt.Sprint("app ", i))
	}
	_, err := d.Begin(t.Context(), person, "one more")
	_ = wantFault(t, err, fault.KindConflict)
}

// TestSeedIsSealed: 160 bits, in the clear nowhere, and for its row alone.
func TestSeedIsSealed(t *testing.T) {
	d := newDesk(t)
	person := newPerson(t, d.store, "ada@example.com")
	e := d.enrol(t, person, "phone")
	rows, err := d.List(t.Context(), person.ID)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(e.Secret, " ", ""))
	if err != nil || len(seed) != 20 || strings.Contains(string(rows[0].Seed), string(seed)) {
		t.Errorf("a seed of %d bytes, %v", len(seed), err)
	}
	other := rows[0]
	other.ID = storage.NewID()
	if _, err := d.match(&other, d.code(t, e.Secret, 0), time.UnixMicro(d.at.Load())); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("the seed of another row: %v", err)
	}
	two, err := d.Begin(t.Context(), person, "tablet")
	if err != nil || two.Secret == e.Secret {
		t.Errorf("two apps of one seed, %v", err)
	}
}

// TestWhatAnAppReads: the key URI, and the same as squares and as groups of four.
func TestWhatAnAppReads(t *testing.T) {
	d := newDesk(t)
	e, err := d.Begin(t.Context(), newPerson(t, d.store, "Ada@Example.com"), "phone")
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Secret) != 39 || len(strings.Fields(e.Secret)) != 8 {
		t.Errorf("to be typed: %q", e.Secret)
	}
	key, err := otp.NewKeyFromURL(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	if key.Issuer() != "House  7 & Co" || key.AccountName() != "Ada@Example.com" || key.Secret() != strings.ReplaceAll(e.Secret, " ", "") ||
		key.Period() != 30 || key.Digits() != otp.DigitsSix || key.Algorithm() != otp.AlgorithmSHA1 || key.Type() != "totp" {
		t.Errorf("%s", e.URL)
	}
	if u, err := url.Parse(e.URL); err != nil || strings.Contains(u.RawQuery, "+") || u.Path != "/House  7 & Co:Ada@Example.com" {
		t.Errorf("%s: %v", e.URL, err)
	}
	if !e.ExpiresAt.Equal(noon.Add(15 * time.Minute)) {
		t.Errorf("lapses at %v", e.ExpiresAt)
	}
	code, err := qr.Encode(e.URL, qr.M, qr.Auto)
	if err != nil {
		t.Fatal(err)
	}
	side := code.Bounds().Dx()
	if e.QR.Size != side+8 {
		t.Errorf("%d squares a side, want %d", e.QR.Size, side+8)
	}
	drawn := map[[2]int]bool{}
	for row := range strings.SplitSeq(strings.TrimSuffix(e.QR.Path, "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(row, "M%d %dh%dv1h-%d", &x, &y, &n, &back); err != nil || n != back {
			t.Fatalf("%q: %v", row, err)
		}
		for i := range n {
			drawn[[2]int{x + i - 4, y - 4}] = true
		}
	}
	for y := range side {
		for x := range side {
			if r, _, _, _ := code.At(x, y).RGBA(); (r == 0) != drawn[[2]int{x, y}] {
				t.Fatalf("the square %d, %d is another one", x, y)
			}
		}
	}
}

// TestRecoveryCodesAreCountedDown, each works once, and new ones replace all.
func TestRecoveryCodesAreCountedDown(t *testing.T) {
	d := newDesk(t)
	person, eve := newPerson(t, d.store, "ada@example.com"), newPerson(t, d.store, "eve@example.com")
	remaining := func(want int) {
		t.Helper()
		if n, err := d.Remaining(t.Context(), person.ID); err != nil || n != want {
			t.Errorf("%d left, %v; want %d", n, err, want)
		}
	}
	remaining(0)
	codes, err := d.Generate(t.Context(), person.ID, rand.Text(), events.ActorPerson)
	if err != nil || len(codes) != 10 || len(slices.Compact(slices.Sorted(slices.Values(codes)))) != 10 {
		t.Fatalf("%v, %v", codes, err)
	}
	remaining(10)
	for _, code := range codes {
		if groups := strings.Split(code, "-"); len(groups) != 4 || len(code) != 19 || strings.ContainsAny(code, "ILOU") {
			t.Errorf("%q is no code to write down", code)
		}
	}
	if other := NewRecovery(d.store, [32]byte{1}, nil, clock); slices.Equal(other.hash(person.ID, codes[0]), d.hash(person.ID, codes[0])) ||
		slices.Equal(d.hash(eve.ID, codes[0]), d.hash(person.ID, codes[0])) {
		t.Error("the hash does not depend on the key and the person")
	}
	if _, err := d.Recovery.Verify(t.Context(), eve, codes[0]); !errors.Is(err, ErrWrong) {
		t.Errorf("another's: %v", err)
	}
	spellings := []string{
		codes[0], strings.ToLower(codes[1]), strings.ReplaceAll(codes[2], "-", ""), " " + strings.ReplaceAll(codes[3], "-", " ") + "\t",
		strings.ReplaceAll(strings.ReplaceAll(codes[4], "0", "o"), "1", "l"), strings.ReplaceAll(strings.ReplaceAll(codes[5], "0", "O"), "1", "I"),
	}
	for i, code := range spellings {
		ev, err := d.Recovery.Verify(t.Context(), person, code)
		if err != nil || ev.Method != policy.Recovery {
			t.Errorf("%q: %+v, %v", code, ev, err)
		}
		if held := policy.Assess([]policy.Evidence{ev}, ev.At); held != nil {
			t.Errorf("it holds %+v", held)
		}
		if _, err := d.Recovery.Verify(t.Context(), person, codes[i]); !errors.Is(err, ErrWrong) {
			t.Errorf("%q again: %v", codes[i], err)
		}
		remaining(9 - i)
	}
	if _, err := d.Generate(t.Context(), person.ID, rand.Text(), events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	remaining(10)
	for _, code := range append(codes, "", "0000-0000-0000-0000", strings.Repeat("0", 1<<16)) {
		if _, err := d.Recovery.Verify(t.Context(), person, code); !errors.Is(err, ErrWrong) {
			t.Errorf("an old one: %v", err)
		}
	}
	if got := d.told(t); len(got) != 2+len(spellings) || got[0] != "recovery.generated" || got[2] != "recovery.used" {
		t.Errorf("events %v", got)
	}
}

// TestCodesOfNobodyAreWrong, and cost what others cost; a disabled person is nobody.
func TestCodesOfNobodyAreWrong(t *testing.T) {
	d := newDesk(t)
	person, bare := newPerson(t, d.store, "ada@example.com"), newPerson(t, d.store, "bob@example.com")
	e := d.enrol(t, person, "phone")
	codes, err := d.Generate(t.Context(), person.ID, rand.Text(), events.ActorPerson)
	if err != nil {
		t.Fatal(err)
	}
	person.DisabledAt = storage.At(noon)
	decoy, err := d.open(&d.TOTP.nobody)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []*storage.Person{nil, bare, person} {
		for _, code := range []string{d.code(t, e.Secret, 0), d.code(t, decoy, 0), "000000"} {
			if err := d.verify(t, who, code); !errors.Is(err, ErrWrong) {
				t.Errorf("%v: %v, want ErrWrong", who, err)
			}
		}
		if _, err := d.Recovery.Verify(t.Context(), who, codes[0]); !errors.Is(err, ErrWrong) {
			t.Errorf("%v: %v, want ErrWrong", who, err)
		}
	}
}

// TestStoreInTroubleIsNoWrongCode: it is told, and nobody's guess is counted.
func TestStoreInTroubleIsNoWrongCode(t *testing.T) {
	d := newDesk(t)
	person := newPerson(t, d.store, "ada@example.com")
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := d.Recovery.Verify(t.Context(), person, "x")
	for _, err := range []error{err, d.verify(t, person, "000000")} {
		if err == nil || errors.Is(err, ErrWrong) {
			t.Errorf("%v, want the store's error", err)
		}
	}
}
