package proof

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

func listOf(t testing.TB, text string, hashes bool) (*breachedList, []byte, int) {
	t.Helper()
	var out bytes.Buffer
	n, err := WriteBreached(&out, strings.NewReader(text), hashes)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newBreachedList(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return l, out.Bytes(), n
}

func in(t testing.TB, l *breachedList, password string) bool {
	t.Helper()
	found, err := l.has(password)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCommonPasswordsAreInTheBinary: NIST SP 800-63B-4 section 3.1.1.2, OWASP ASVS 5.0
// 6.2.4. They are in order, below a megabyte, and take a stranger for one of them at most
// once in a million.
func TestCommonPasswordsAreInTheBinary(t *testing.T) {
	l, err := newBreachedList(strings.NewReader(commonPasswords), int64(len(commonPasswords)))
	if err != nil {
		t.Fatal(err)
	}
	if l.count < 3000 || len(commonPasswords) > 1<<20 || float64(l.count)/float64(uint64(1)<<(8*l.width)) > 1e-6 {
		t.Errorf("%d passwords of %d bytes each, %d in all", l.count, l.width, len(commonPasswords))
	}
	entries := commonPasswords[breachedHead:]
	for i := l.width; i < len(entries); i += l.width {
		if entries[i-l.width:i] >= entries[i:i+l.width] {
			t.Fatalf("entry %d is not in order", i/l.width)
		}
	}
	for _, common := range []string{"123456", "password", "qwerty", "letmein", "passwordpassword", "123456789987654321"} {
		if !in(t, l, common) {
			t.Errorf("%q is missing", common)
		}
	}
	raw, strangers := make([]byte, 12), 0
	for range 300_000 {
		_, _ = rand.Read(raw)
		if in(t, l, string(raw)) {
			strangers++
		}
	}
	if strangers > 2 {
		t.Errorf("%d of 300,000 strangers are taken for common", strangers)
	}
}

// TestListIsMadeOfPasswordsOrHashes, as a person has them and as Have I Been Pwned gives
// them: both say the same.
func TestListIsMadeOfPasswordsOrHashes(t *testing.T) {
	words := []string{"first", "second ", " third", "with:colon", "ü", "a\xffb", strings.Repeat("x", MaxPassword)}
	var plain, sums strings.Builder
	for i, word := range append(words, words...) {
		plain.WriteString(word + "\n")
		sum := sha1.Sum([]byte(word))
		line := strings.ToUpper(hex.EncodeToString(sum[:]))
		if i%2 == 0 {
			line = strings.ToLower(line) + fmt.Sprintf(":%d\r", i)
		}
		sums.WriteString(line + "\r\n\n")
	}
	plain.WriteString("\n" + strings.Repeat("y", MaxPassword+1) + "\nno end")
	l, made, n := listOf(t, plain.String(), false)
	if n != len(words)+1 || l.count != int64(n) || l.width != minWidth || len(made) != 16+5*n {
		t.Errorf("%d passwords in %d bytes of width %d, want %d", n, len(made), l.width, len(words)+1)
	}
	hashed, _, m := listOf(t, strings.ReplaceAll(sums.String(), "\r\r", "\r"), true)
	if m != len(words) {
		t.Errorf("%d hashes, want %d", m, len(words))
	}
	for _, word := range words {
		if !in(t, l, word) || !in(t, hashed, word) {
			t.Errorf("%q is not in it", word)
		}
	}
	for _, other := range []string{"", "second", "third", "with", "First", strings.Repeat("y", MaxPassword+1)} {
		if in(t, l, other) || in(t, hashed, other) {
			t.Errorf("%q is in it", other)
		}
	}
	if !in(t, l, "no end") {
		t.Error("the last line needs no end")
	}
	if empty, _, n := listOf(t, "", false); n != 0 || in(t, empty, "x") {
		t.Error("something is in nothing")
	}
}

// TestLongListHasLongEntries, or it would take too many for one of its own.
func TestLongListHasLongEntries(t *testing.T) {
	var many strings.Builder
	for i := range 1_200_000 {
		fmt.Fprintf(&many, "%d\n", i)
	}
	l, _, n := listOf(t, many.String(), false)
	if n != 1_200_000 || l.width != 6 {
		t.Errorf("%d of width %d", n, l.width)
	}
	for _, i := range []int{0, 1, 599_999, 1_199_999} {
		if !in(t, l, fmt.Sprint(i)) || in(t, l, fmt.Sprint(-i-1)) {
			t.Errorf("%d", i)
		}
	}
}

func TestListThatCannotBeMade(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("0", 40) + "\nnot a hash\n": "line 2: not a SHA-1 hash",
		strings.Repeat("g", 40):                    "line 1: not a SHA-1 hash",
		strings.Repeat("0", 39):                    "line 1",
		strings.Repeat("0", 41) + ":3":             "line 1",
	} {
		if _, err := WriteBreached(io.Discard, strings.NewReader(text), true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := WriteBreached(io.Discard, strings.NewReader(strings.Repeat("x", 1<<17)), false); err == nil {
		t.Error("a line without end was read")
	}
	if _, err := WriteBreached(full{}, strings.NewReader("x"), false); err == nil {
		t.Error("a full disk is no list")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestFileThatIsNoListIsRefusedAtStart, with its name.
func TestFileThatIsNoListIsRefusedAtStart(t *testing.T) {
	_, good, _ := listOf(t, "a\nb\nc\n", false)
	change := func(at int, to byte) []byte { b := bytes.Clone(good); b[at] = to; return b }
	path := filepath.Join(t.TempDir(), "breached.passwords")
	for name, content := range map[string][]byte{
		"empty": {}, "a head cut short": good[:15], "cut short": good[:len(good)-1], "more": append(bytes.Clone(good), 0),
		"another kind": change(0, 'D'), "a newer one": change(7, 2), "too narrow": change(8, 4), "too wide": change(8, 9), "another count": change(15, 4),
		"a huge count": change(12, 255), "text": []byte("password\n123456\nqwertyuiop\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := cheap
		cfg.Breached = path
		if _, err := NewPassword(cfg, nil, nil, clock); err == nil || !strings.Contains(err.Error(), path) || !errors.Is(err, errList) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := cheap
	cfg.Breached = filepath.Join(t.TempDir(), "missing")
	if _, err := NewPassword(cfg, nil, nil, clock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// withList has a list of its own beside the common ones.
func withList(t *testing.T, text string) PasswordConfig {
	t.Helper()
	_, made, _ := listOf(t, text, false)
	cfg := cheap
	cfg.Breached = filepath.Join(t.TempDir(), "breached.passwords")
	if err := os.WriteFile(cfg.Breached, made, 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestBreachedPasswordIsRefusedWhenNew: attack case 65, also beside a second factor,
// and however its letters are written.
func TestBreachedPasswordIsRefusedWhenNew(t *testing.T) {
	d := newDesk(t)
	p := newPassword(t, d.store, withList(t, "Four Horses On A Hill\nanother of the list\n"))
	person := newPerson(t, d.store, "ada@example.com")
	refused := []string{"passwordpassword", "PasswordPassword", "123456789987654321", "Four Horses On A Hill", "another of the list", "ANOTHER of the LIST"}
	for range 2 {
		for _, password := range refused {
			f := wantFault(t, p.Set(t.Context(), person, password, events.ActorPerson), fault.KindInvalid)
			if f.Code != "password_breached" || f.Field != "password" || strings.Contains(f.Message, password) {
				t.Errorf("%q: %s: %s", password, f.Code, f.Shown())
			}
		}
		set(t, p, person, "four horses on a hill!")
		d.enrol(t, person, "phone")
		refused = append(refused, "12345678", "password1", "iloveyou")
	}
	if err := newPassword(t, d.store, cheap).Check("Four Horses On A Hill"); err != nil {
		t.Errorf("without the list: %v", err)
	}
}

// TestPasswordMayBeShorterBesideASecondFactor: 8 beside one that counts, 15 alone (NIST
// SP 800-63B-4 section 3.1.1.2).
func TestPasswordMayBeShorterBesideASecondFactor(t *testing.T) {
	d := newDesk(t)
	p := newPassword(t, d.store, cheap)
	person := newPerson(t, d.store, "ada@example.com")
	short := func() {
		t.Helper()
		for _, password := range []string{"åzhk7qx!", "fourteen chars"} {
			if f := wantFault(t, p.Set(t.Context(), person, password, events.ActorPerson), fault.KindInvalid); f.Code != "password_short" {
				t.Errorf("%q: %s", password, f.Code)
			}
		}
	}
	short()
	e, err := d.Begin(t.Context(), person, "phone")
	if err != nil {
		t.Fatal(err)
	}
	short() // it does not count yet
	if _, err := d.Confirm(t.Context(), person, e.ID, d.code(t, e.Secret, 0), events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	person.Asking = string(policy.AskSensitive) // a sign-in asks for nothing else
	short()
	person.Asking = string(policy.AskAlways)
	set(t, p, person, "åzhk7qx!")
	if f := wantFault(t, p.Set(t.Context(), person, "åzhk7qx", events.ActorPerson), fault.KindInvalid); f.Code != "password_short" || !strings.Contains(f.Message, "at least 8 characters, this has 7") {
		t.Errorf("%s", f.Shown())
	}
	if err := d.Remove(t.Context(), person.ID, e.ID, events.ActorPerson); err != nil {
		t.Fatal(err)
	}
	short()
	if _, err := p.Verify(t.Context(), person, "åzhk7qx!"); err != nil {
		t.Errorf("the one that there is stays: %v", err)
	}
	key := &storage.Passkey{ID: storage.NewID(), PersonID: person.ID, CredentialID: []byte{1}, PublicKey: []byte{1}, RPID: "login.example", CreatedAt: storage.At(noon)}
	if err := d.store.CreatePasskey(t.Context(), key, 1); err != nil {
		t.Fatal(err)
	}
	short() // an operator has switched passkeys off
	on := cheap
	on.Passkeys = true
	set(t, newPassword(t, d.store, on), person, "åzhk7qx!")
}

// TestBreachedPasswordSignsInAndSaysSo: a signal and a prompt, never a lockout, and no
// hash more than another one.
func TestBreachedPasswordSignsInAndSaysSo(t *testing.T) {
	store := newStore(t)
	before, p := newPassword(t, store, cheap), newPassword(t, store, withList(t, "four horses on a hill\n"))
	person := newPerson(t, store, "ada@example.com")
	for password, breached := range map[string]bool{"four horses on a hill": true, "five horses on a hill": false} {
		set(t, before, person, password)
		hashes := p.Hashes()
		ev, err := p.Verify(t.Context(), person, password)
		ev.Since = time.Time{} // of no matter here
		want := policy.Evidence{Method: policy.Password, At: noon, Breached: breached}
		if err != nil || ev != want || p.Hashes() != hashes+1 {
			t.Errorf("%q: %+v, %v, %d hashes", password, ev, err, p.Hashes()-hashes)
		}
		if _, err := p.Verify(t.Context(), person, "passwordpassword"); !errors.Is(err, ErrWrong) {
			t.Errorf("a wrong one: %v", err)
		}
	}
	p.breached[1].at = broken{}
	set(t, before, person, "six horses on a hill")
	if ev, err := p.Verify(t.Context(), person, "six horses on a hill"); err != nil || ev.Breached {
		t.Errorf("a list that cannot be read: %+v, %v", ev, err)
	}
	if err := p.Check("seven horses on a hill"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a new one, unlooked at: %v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestBreachedTellsOfAllThatBeginAlike: of the list of the house and of the operator's,
// and of nothing else.
func TestBreachedTellsOfAllThatBeginAlike(t *testing.T) {
	p := newPassword(t, newStore(t), withList(t, "four horses on a hill\n"))
	for password, known := range map[string]bool{"four horses on a hill": true, "five horses on a hill": false, "passwordpassword": true, "password1": true} {
		sum := sha1.Sum([]byte(password))
		whole := hex.EncodeToString(sum[:])
		all, err := p.Breached(whole[:BreachedPrefix])
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(all, func(one string) bool { return strings.HasPrefix(whole, one) }); got != known {
			t.Errorf("%q: %t among %d", password, got, len(all))
		}
		for _, one := range all {
			if !strings.HasPrefix(one, whole[:BreachedPrefix]) || len(one) < 2*minWidth {
				t.Errorf("%s is told of %s", one, whole)
			}
		}
	}
	found := 0
	for i := range 1 << 8 { // the first and the last beginnings of all
		for _, prefix := range []string{fmt.Sprintf("000%02x", i), fmt.Sprintf("fff%02x", i)} {
			all, err := p.Breached(prefix)
			if err != nil {
				t.Fatal(err)
			}
			found += len(all)
		}
	}
	if found < 5 || found > 100 {
		t.Errorf("%d passwords begin with 000 or fff", found)
	}
	for _, prefix := range []string{"", "abcd", "abcdef", "ABCDE", "abcdg", "abcd ", "äbcd"} {
		if _, err := p.Breached(prefix); err == nil {
			t.Errorf("%q is a prefix", prefix)
		}
	}
	p.breached[1].at = broken{}
	if _, err := p.Breached("00000"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a list that cannot be read: %v", err)
	}
}
