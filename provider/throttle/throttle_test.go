package throttle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

type bench struct {
	*Service
	store *storage.Store
	at    atomic.Int64 // microseconds
}

func (b *bench) pass(d time.Duration) { b.at.Add(d.Microseconds()) }

func start(t testing.TB) *bench {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "throttle.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{store: store}
	b.at.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixMicro())
	b.Service = New(store, [32]byte{1}, func() time.Time { return time.UnixMicro(b.at.Load()).UTC() })
	return b
}

// tooMany returns how long err says to wait, 0 for no error.
func tooMany(t testing.TB, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.KindTooMany || f.RetryAfter <= 0 {
		t.Fatalf("%v, want a fault of kind TooMany with a time to wait", err)
	}
	return f.RetryAfter
}

func TestABucketEmptiesAndFillsUp(t *testing.T) {
	b := start(t)
	limit := Limit{Name: "x", Every: time.Minute, Burst: 3}
	take := func() time.Duration { t.Helper(); return tooMany(t, b.Take(t.Context(), limit, "ada")) }
	for i := range 3 {
		if wait := take(); wait != 0 {
			t.Fatalf("token %d: wait %v", i, wait)
		}
	}
	if wait := take(); wait != time.Minute {
		t.Errorf("the fourth: wait %v, want 1m", wait)
	}
	b.pass(30 * time.Second)
	if wait := take(); wait != 30*time.Second {
		t.Errorf("half a minute later: wait %v, want 30s", wait)
	}
	b.pass(30 * time.Second)
	if wait := take(); wait != 0 {
		t.Errorf("after the wait: %v more", wait)
	}
	if wait := take(); wait == 0 {
		t.Error("a minute brought two tokens")
	}
	if wait := tooMany(t, b.Take(t.Context(), limit, "eve")); wait != 0 {
		t.Error("another's bucket is empty too")
	}
	if wait := tooMany(t, b.Take(t.Context(), Limit{Name: "y", Every: time.Minute, Burst: 3}, "ada")); wait != 0 {
		t.Error("another limit's bucket is empty too")
	}
	if err := b.Return(t.Context(), limit, "ada"); err != nil {
		t.Fatal(err)
	}
	if wait := take(); wait != 0 {
		t.Errorf("a token was put back, and yet: wait %v", wait)
	}
	if err := b.Reset(t.Context(), limit, "ada"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if wait := take(); wait != 0 {
			t.Errorf("after a reset: wait %v", wait)
		}
	}
}

// Attack case 58: one account is one bucket; and no two things are.
func TestKeysNeverMeet(t *testing.T) {
	b := start(t)
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"a\x00b"}, {"a|b"}, {"a" + strings.Repeat("\x00", 8) + "b"}, {"\x00\x00\x00\x00\x00\x00\x00\x01a"}} {
		key := string(b.Key(parts...))
		if other, ok := seen[key]; ok || len(key) != 32 {
			t.Errorf("%q and %q have the key %x", parts, other, key)
		}
		seen[key] = parts
	}
	if other := New(b.store, [32]byte{2}, b.now); bytes.Equal(other.Key("ada"), b.Key("ada")) {
		t.Error("the key does not depend on the secret")
	}
}

// Attack case 60: 100 wrong passwords at once are not more than the limit.
func TestTheLimitHoldsInParallel(t *testing.T) {
	b := start(t)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			err := b.TakeSignIn(context.Background(), Attempt{Account: "ada@example.org", Address: netip.MustParseAddr(fmt.Sprintf("203.0.%d.9", i))})
			if err == nil {
				taken.Add(1)
			} else if f := (*fault.Error)(nil); !errors.As(err, &f) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := taken.Load(); got != int64(SignInStrangers.Burst) {
		t.Errorf("%d of 100 were let through, want %d", got, SignInStrangers.Burst)
	}
}

// Attack case 60: the owner is not locked out, neither on a known device while
// it goes on nor elsewhere when it is over.
func TestABotnetDoesNotLockTheOwnerOut(t *testing.T) {
	b := start(t)
	owner := Attempt{Account: "ada@example.org", Device: storage.NewID(), Address: netip.MustParseAddr("198.51.100.7")}
	for i := range 1000 {
		_ = b.TakeSignIn(t.Context(), Attempt{Account: owner.Account, Address: netip.AddrFrom4([4]byte{203, byte(i >> 8), byte(i), 9})})
		b.pass(10 * time.Second)
		if i%250 == 249 {
			if wait := tooMany(t, b.TakeSignIn(t.Context(), owner)); wait != 0 {
				t.Fatalf("attempt %d: the owner has to wait %v", i, wait)
			}
		}
	}
	owner.Device = ""
	if wait := tooMany(t, b.TakeSignIn(t.Context(), owner)); wait == 0 || wait > SignInStrangers.Every {
		t.Errorf("on another browser the owner waits %v, want a moment", wait)
	}
	b.pass(SignInStrangers.Every)
	if wait := tooMany(t, b.TakeSignIn(t.Context(), owner)); wait != 0 {
		t.Errorf("after it is over the owner has to wait %v", wait)
	}
}

func TestOneAddressCannotTryManyAccounts(t *testing.T) {
	b := start(t)
	try := func(i int) error {
		return b.TakeSignIn(t.Context(), Attempt{Account: fmt.Sprintf("p%d@example.org", i), Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})})
	}
	for i := range SignInAddress.Burst {
		if wait := tooMany(t, try(i)); wait != 0 {
			t.Fatalf("attempt %d: wait %v", i, wait)
		}
	}
	if wait := tooMany(t, try(200)); wait == 0 {
		t.Error("the block of addresses has no limit")
	}
}

// A right password costs nothing, however often; and it pays for no wrong one
// at another account.
func TestARightProofGivesItsTokensBack(t *testing.T) {
	b := start(t)
	right := Attempt{Account: "ada@example.org", Address: netip.MustParseAddr("203.0.113.1")}
	for i := range 70 {
		if err := b.TakeSignIn(t.Context(), right); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
		ctx := storage.WithUnit(t.Context())
		if err := b.SignedIn(ctx, right); err != nil {
			t.Fatal(err)
		}
		if err := b.store.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var wrong int
	for i := range 70 {
		if b.TakeSignIn(t.Context(), Attempt{Account: fmt.Sprintf("p%d@example.org", i), Address: right.Address}) == nil {
			wrong++
		}
		if b.TakeSignIn(t.Context(), right) == nil {
			if err := b.SignedIn(t.Context(), right); err != nil {
				t.Fatal(err)
			}
		}
	}
	if wrong != SignInAddress.Burst {
		t.Errorf("between right ones %d wrong ones were let through, want %d", wrong, SignInAddress.Burst)
	}
}

// What nobody looked at costs nothing, also when whoever asked has gone: a
// cancelled request is the usual reason.
func TestAnAttemptThatWasNotLookedAtCostsNothing(t *testing.T) {
	b := start(t)
	for _, device := range []storage.ID{"", storage.NewID()} {
		a := Attempt{Account: "ada@example.org", Device: device, Address: netip.MustParseAddr("203.0.113.1")}
		for i := range SignInAddress.Burst + 1 {
			ctx, cancel := context.WithCancel(t.Context())
			if err := b.TakeSignIn(ctx, a); err != nil {
				t.Fatalf("attempt %d: %v", i, err)
			}
			cancel()
			if err := b.ReturnSignIn(ctx, a); err != nil {
				t.Fatal(err)
			}
			b.Wait()
		}
	}
	// One token for one: it does not fill a bucket that guesses have emptied.
	guess := Attempt{Account: "ada@example.org", Address: netip.MustParseAddr("203.0.113.1")}
	for i := range SignInStrangers.Burst {
		if wait := tooMany(t, b.TakeSignIn(t.Context(), guess)); wait != 0 {
			t.Fatalf("guess %d: wait %v", i, wait)
		}
	}
	if err := b.ReturnSignIn(t.Context(), guess); err != nil {
		t.Fatal(err)
	}
	if wait := tooMany(t, b.TakeSignIn(t.Context(), guess)); wait != 0 {
		t.Errorf("the token that was put back: wait %v", wait)
	}
	if wait := tooMany(t, b.TakeSignIn(t.Context(), guess)); wait == 0 {
		t.Error("one token came back as two")
	}
}

// A code that is not looked at, because others emptied a bucket that is shared with them,
// costs nothing of its owner's own.
func TestRefusedCodesCostNone(t *testing.T) {
	b := start(t)
	a := Attempt{Account: "ada@example.org", Address: netip.MustParseAddr("203.0.113.1"), Code: storage.NewID()}
	for range SignInStrangers.Burst {
		if err := b.TakeSignIn(t.Context(), Attempt{Account: a.Account, Address: netip.MustParseAddr("198.51.100.1")}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * Codes.Burst {
		if tooMany(t, b.TakeSignIn(t.Context(), a)) == 0 {
			t.Fatalf("try %d was let through", i)
		}
	}
	a.Device = storage.NewID() // from a browser that is known
	if wait := tooMany(t, b.TakeSignIn(t.Context(), a)); wait != 0 {
		t.Errorf("the owner's own browser: wait %v", wait)
	}
}

// What is put back for whoever has no time left goes on by itself, outside their unit,
// which nobody will flush, and Wait waits for all of it.
func TestWhatIsPutBackLateIsPutBack(t *testing.T) {
	b := start(t)
	var lost atomic.Int64
	b.Lost = func(err error) { lost.Add(1); t.Log(err) }
	a := Attempt{Account: "ada@example.org", Address: netip.MustParseAddr("203.0.113.1"), Code: storage.NewID()}
	for range Codes.Burst {
		if err := b.TakeSignIn(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if tooMany(t, b.TakeSignIn(t.Context(), a)) == 0 {
		t.Fatal("the bucket is not empty")
	}
	for range Codes.Burst {
		unit := storage.WithUnit(t.Context())
		ended, cancel := context.WithTimeout(unit, time.Second)
		if err := b.ReturnSignIn(ended, a); err != nil {
			t.Error(err)
		}
		cancel()
	}
	b.Wait()
	if lost.Load() > 0 {
		t.Errorf("%d tokens were lost", lost.Load())
	}
	for i := range Codes.Burst {
		if wait := tooMany(t, b.TakeSignIn(t.Context(), a)); wait != 0 {
			t.Fatalf("token %d of those that were put back: wait %v", i, wait)
		}
	}
}

// Attack case 59 in part: whoever holds a block of addresses has one bucket.
func TestBlock(t *testing.T) {
	for addr, want := range map[string]string{
		"198.51.100.7":        "198.51.100.0/24",
		"198.51.100.255":      "198.51.100.0/24",
		"198.51.101.7":        "198.51.101.0/24",
		"::ffff:198.51.100.7": "198.51.100.0/24",
		"2001:db8:1:2::1":     "2001:db8:1::/48",
		"2001:db8:1:ffff::2":  "2001:db8:1::/48",
		"2001:db8:2::1":       "2001:db8:2::/48",
		"fe80::1%eth0":        "fe80::/48",
		"127.0.0.1":           "127.0.0.0/24",
		"::1":                 "::/48",
	} {
		if got := Block(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Block(%s) = %s, want %s", addr, got, want)
		}
	}
	if got := Block(netip.Addr{}); got != "unknown" {
		t.Errorf("Block of no address = %s", got)
	}
}

func TestAFailingStoreIsNoVerdict(t *testing.T) {
	b := start(t)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	err := b.Take(t.Context(), Limit{Name: "x", Every: time.Second, Burst: 1})
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		t.Errorf("%v, want the store's error: neither a token nor a refusal", err)
	}
}
