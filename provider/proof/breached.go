package proof

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // the hash by which breached passwords are published; nothing rests on it
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// A list of breached passwords is a head of 16 bytes (the magic, the width, three zero
// bytes, the count) and the first width bytes of the SHA-1 of each password, in order. It is searched where it lies, in the binary or in a file, and takes no memory.
// A password that is not in it is taken for one that is at most once in a million.
const (
	breachedMagic = "doorstp\x01"
	breachedHead  = 16
	minWidth      = 5
	maxWidth      = 8
	// MaxBreached is how many passwords a list has at most.
	MaxBreached = 1 << 30
)

// commonPasswords are those that everybody tries first. .ci/passwords makes the file.
//
//go:embed common.passwords
var commonPasswords string

// breachedList is a list that can be searched.
type breachedList struct {
	at    io.ReaderAt
	count int64
	width int
}

var errList = errors.New("not a list of breached passwords, as 'doorstep password filter build' makes them")

// BreachedError says that the file of PasswordConfig.Breached cannot be used.
type BreachedError struct{ Err error }

func (e *BreachedError) Error() string { return "proof: breached passwords: " + e.Err.Error() }

func (e *BreachedError) Unwrap() error { return e.Err }

// newBreachedList reads the head of a list of so many bytes.
func newBreachedList(at io.ReaderAt, size int64) (*breachedList, error) {
	head := make([]byte, breachedHead)
	if size < breachedHead {
		return nil, errList
	}
	if _, err := at.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("proof: breached passwords: %w", err)
	}
	l := &breachedList{at: at, width: int(head[len(breachedMagic)])}
	count := binary.BigEndian.Uint32(head[breachedHead-4:])
	l.count = int64(count)
	if !bytes.HasPrefix(head, []byte(breachedMagic)) || l.width < minWidth || l.width > maxWidth || count > MaxBreached ||
		size != breachedHead+l.count*int64(l.width) {
		return nil, errList
	}
	return l, nil
}

// openBreached opens the list in a file.
func openBreached(path string) (*breachedList, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, &BreachedError{err}
	}
	about, err := f.Stat()
	if err == nil {
		var l *breachedList
		if l, err = newBreachedList(f, about.Size()); err == nil {
			return l, nil // which is open as long as the process lives
		}
	}
	_ = f.Close()
	return nil, &BreachedError{fmt.Errorf("%s: %w", path, err)}
}

// has reports whether the password is in the list.
func (l *breachedList) has(password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see above
	entry := make([]byte, l.width)
	place, err := l.place(sum[:l.width], entry)
	if err != nil || place == l.count {
		return false, err
	}
	err = l.read(place, entry)
	return err == nil && bytes.Equal(sum[:l.width], entry), err
}

// place is that of the first entry that is not before sum; entry is overwritten.
func (l *breachedList) place(sum, entry []byte) (int64, error) {
	from := int64(0)
	for to := l.count; from < to; {
		middle := (from + to) / 2
		if err := l.read(middle, entry); err != nil {
			return 0, err
		}
		if bytes.Compare(entry, sum) < 0 {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from, nil
}

// read reads the entry at a place.
func (l *breachedList) read(place int64, entry []byte) error {
	if _, err := l.at.ReadAt(entry, breachedHead+place*int64(l.width)); err != nil {
		return fmt.Errorf("proof: breached passwords: %w", err)
	}
	return nil
}

// BreachedPrefix is how many hex digits [Password.Breached] is asked with: of the 2^20
// beginnings that there are, as Have I Been Pwned has them.
const BreachedPrefix = 5

// Breached returns the beginnings of the SHA-1 hashes, in hex, of all breached passwords
// whose own begins with prefix: whoever asks about one does not tell which. A prefix that
// is none is fault.Invalid.
func (p *Password) Breached(prefix string) ([]string, error) {
	first, err := hex.DecodeString(prefix + "0")
	if err != nil || len(prefix) != BreachedPrefix || strings.ToLower(prefix) != prefix {
		return nil, fault.Invalid("prefix", fmt.Sprintf("must be %d hex digits in small letters", BreachedPrefix))
	}
	found := []string{}
	for _, l := range p.breached {
		entry := make([]byte, l.width)
		place, err := l.place(first, entry)
		for ; err == nil && place < l.count; place++ {
			if err = l.read(place, entry); err != nil || !strings.HasPrefix(hex.EncodeToString(entry), prefix) {
				break
			}
			found = append(found, hex.EncodeToString(entry))
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// isBreached reports whether a password, or the same in small letters, as most lists
// have them, is in any of the lists.
func (p *Password) isBreached(password string) (bool, error) {
	for _, l := range p.breached {
		for _, form := range slices.Compact([]string{password, strings.ToLower(password)}) {
			if found, err := l.has(form); found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// WriteBreached makes a list of the passwords that in has, one a line, or of their
// SHA-1 hashes in hex, of which each may have a colon and a count behind it, as Have I
// Been Pwned gives them. It returns how many passwords are in it, and takes 8 bytes of
// memory for each line. What is too long for a password is left out.
func WriteBreached(w io.Writer, in io.Reader, hashes bool) (int, error) {
	firsts, err := readBreached(in, hashes)
	if err != nil {
		return 0, err
	}
	slices.Sort(firsts)
	firsts = slices.Compact(firsts)
	width := minWidth
	for ; width < maxWidth && uint64(len(firsts))*1_000_000 > 1<<(8*width); width++ {
	}
	entry := func(first uint64) uint64 { return first >> (64 - 8*width) }
	firsts = slices.CompactFunc(firsts, func(a, b uint64) bool { return entry(a) == entry(b) })
	out := bufio.NewWriterSize(w, 1<<16)
	head := make([]byte, breachedHead)
	copy(head, breachedMagic)
	head[len(breachedMagic)] = byte(width)                                 //nolint:gosec // at most maxWidth
	binary.BigEndian.PutUint32(head[breachedHead-4:], uint32(len(firsts))) //nolint:gosec // at most MaxBreached
	_, _ = out.Write(head)                                                 // Flush says what went wrong
	for _, first := range firsts {
		_, _ = out.Write(binary.BigEndian.AppendUint64(nil, first)[:width])
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("proof: write breached passwords: %w", err)
	}
	return len(firsts), nil
}

// readBreached returns the first 8 bytes of each line's SHA-1.
func readBreached(in io.Reader, hashes bool) ([]uint64, error) {
	var firsts []uint64
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<16)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		var sum [sha1.Size]byte
		switch {
		case len(line) == 0, !hashes && len(line) > MaxPassword:
			continue
		case hashes:
			text, _, _ := bytes.Cut(line, []byte(":"))
			if len(text) != hex.EncodedLen(len(sum)) {
				return nil, fmt.Errorf("line %d: not a SHA-1 hash of 40 hex digits", n)
			}
			if _, err := hex.Decode(sum[:], text); err != nil {
				return nil, fmt.Errorf("line %d: not a SHA-1 hash of 40 hex digits", n)
			}
		default:
			sum = sha1.Sum(line) //nolint:gosec // see above
		}
		if len(firsts) == MaxBreached {
			return nil, fmt.Errorf("line %d: a list has at most %d passwords", n, MaxBreached)
		}
		firsts = append(firsts, binary.BigEndian.Uint64(sum[:]))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read passwords: %w", err)
	}
	return firsts, nil
}
