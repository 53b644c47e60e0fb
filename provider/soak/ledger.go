package soak

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Op is what somebody of the crowd asked for.
type Op string

// The operations of the crowd.
const (
	Page       Op = "page"     // a step on the way to a code
	SignIn     Op = "sign-in"  // the password was sent
	Exchange   Op = "exchange" // a code for tokens
	Refresh    Op = "refresh"
	Revoke     Op = "revoke" // a refresh token, and with it its grant
	SignOut    Op = "sign-out"
	Introspect Op = "introspect"

	Credentials Op = "client credentials"
)

// Outcome is how it ended, as far as the one who asked can know.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"    // acknowledged
	Refused Outcome = "refused" // answered by an error of the protocol
	Unknown Outcome = "unknown" // no answer, or a 5xx: it may have happened
)

// Entry is one request and what came of it. An entry is written when the answer
// is there, before the next request of the same person.
type Entry struct {
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Person  int       `json:"person"` // in the crowd, from 0
	Op      Op        `json:"op"`
	Outcome Outcome   `json:"outcome"`
	Status  int       `json:"status,omitempty"` // 0 without an answer
	Error   string    `json:"error,omitempty"`  // its OAuth code, or why there was no answer

	Session int    `json:"session"`           // the person's sign-ins so far
	Grant   string `json:"grant,omitempty"`   // the gid of its tokens
	SID     string `json:"sid,omitempty"`     // the session as its client knows it
	Sent    string `json:"sent,omitempty"`    // the code or the refresh token that was sent
	Access  string `json:"access,omitempty"`  // that came back
	Refresh string `json:"refresh,omitempty"` // that came back
	Late    bool   `json:"late,omitempty"`    // sent again after the grace of a lost answer was over
}

// Ledger keeps what was answered, in a file that is on the disk before the next
// request goes out.
type Ledger struct {
	mu      sync.Mutex
	file    *os.File
	entries []Entry
	faults  []Fault
}

// Fault is a time in which requests may fail, and why.
type Fault struct {
	Name       string
	From, Till time.Time
}

// NewLedger starts an empty ledger at path, which must not exist.
func NewLedger(t testing.TB, path string) *Ledger {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	l := &Ledger{file: f}
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return l
}

// Write adds an entry and returns when the disk has it.
func (l *Ledger) Write(e *Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, *e)
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return l.file.Sync()
}

// During notes that requests could fail while do ran, and for as long after it as
// do says that the servers may take.
func (l *Ledger) During(name string, do func() (after time.Duration)) {
	from := time.Now()
	after := do()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, Fault{name, from, time.Now().Add(after)})
}

// Entries returns a copy of what was written, in that order.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Of returns the entries of one operation.
func (l *Ledger) Of(op Op) []Entry {
	return slices.DeleteFunc(l.Entries(), func(e Entry) bool { return e.Op != op })
}

// Faults returns a copy of the times in which requests could fail.
func (l *Ledger) Faults() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// P99 is the 99th percentile of how long requests took: see [Percentile].
func P99(entries []Entry, from, till time.Time) time.Duration {
	return Percentile(entries, from, till, 99)
}

// Percentile is how long that many of a hundred of these requests took at most that
// began in that time and were answered; 0 if none did.
func Percentile(entries []Entry, from, till time.Time, percent int) time.Duration {
	var took []time.Duration
	for i := range entries {
		if e := &entries[i]; e.Outcome != Unknown && !e.Began.Before(from) && e.Began.Before(till) {
			took = append(took, e.Ended.Sub(e.Began))
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*percent/100]
}
