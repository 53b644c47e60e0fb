package proof

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// ErrWrong says that the proof does not fit, or that there is nobody whom it
// could fit. The caller says the same for both.
var ErrWrong = errors.New("proof: wrong")

const (
	// MaxPassword is the length of the longest password, in bytes.
	MaxPassword = 1024
	// MinPassword is the length of the shortest new password that stands alone,
	// in code points (NIST SP 800-63B-4 section 3.1.1.2).
	MinPassword = 15
	// MinBeside is that of one whose owner has a second factor.
	MinBeside = 8
	// minWord is the length of the shortest word that a password is searched for.
	minWord = 3
)

// PasswordConfig says how dear a hash is and how many run at once. What is zero
// takes its default.
type PasswordConfig struct {
	Memory  uint32   // KiB a hash; 19456
	Time    uint32   // passes; 2
	Threads uint8    // 1
	Workers int      // hashes at once; one less than there are cores, at least 1
	Queue   int      // callers waiting for one; 32 a worker
	Words   []string // which a password must not contain, such as the brand; "doorstep" always
	// Breached is the path of a list of breached passwords, as WriteBreached makes them,
	// beside the common ones that are always looked for; "" for none.
	Breached string
	// Passkeys says that there are any: one is a second factor then.
	Passkeys bool
}

func (cfg PasswordConfig) withDefaults() PasswordConfig {
	if cfg.Memory == 0 {
		cfg.Memory = 19456
	}
	if cfg.Time == 0 {
		cfg.Time = 2
	}
	if cfg.Threads == 0 {
		cfg.Threads = 1
	}
	if cfg.Workers <= 0 {
		cfg.Workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 32 * cfg.Workers
	}
	return cfg
}

// Password checks and sets passwords.
type Password struct {
	store    *storage.Store
	events   *events.Service
	now      func() time.Time
	cost     cost
	words    []string
	breached []*breachedList
	passkeys bool
	pool     *pool
	nobody   storage.ID // has no row, and is asked for like everybody
	hashes   atomic.Uint64
}

// NewPassword returns the password proof.
func NewPassword(cfg PasswordConfig, store *storage.Store, ev *events.Service, now func() time.Time) (*Password, error) {
	cfg = cfg.withDefaults()
	c := cost{memory: cfg.Memory, time: cfg.Time, threads: cfg.Threads}
	if !c.within() {
		return nil, fmt.Errorf("proof: password hashing: memory must be at most %d KiB (and 8 a thread), time at most %d, threads at most %d",
			MaxMemory, MaxTime, maxThreads)
	}
	common, err := newBreachedList(strings.NewReader(commonPasswords), int64(len(commonPasswords)))
	if err != nil {
		return nil, err
	}
	breached := []*breachedList{common}
	if cfg.Breached != "" {
		more, err := openBreached(cfg.Breached)
		if err != nil {
			return nil, err
		}
		breached = append(breached, more)
	}
	return &Password{
		store: store, events: ev, now: now, cost: c,
		words:    append([]string{"doorstep"}, cfg.Words...),
		breached: breached,
		passkeys: cfg.Passkeys,
		pool:     newPool(cfg.Workers, cfg.Queue),
		nobody:   storage.NewID(),
	}, nil
}

// Hashes returns how many hashes were computed so far: the same number for
// somebody and for nobody.
func (p *Password) Hashes() uint64 { return p.hashes.Load() }

// Load is what the hashing of passwords has to do.
type Load struct {
	Running, Waiting int
	Shed             uint64 // callers that were sent away so far, because too many waited
}

// Load returns the load of this moment.
func (p *Password) Load() Load {
	running := len(p.pool.workers)
	return Load{Running: running, Waiting: max(0, len(p.pool.places)-running), Shed: p.pool.shed.Load()}
}

// Room is asked before anything is read or written for a password that is to be hashed:
// fault.Unavailable while too many wait, so that whoever is sent away costs next to
// nothing. [Password.Verify] may be as busy even so.
func (p *Password) Room() error { return p.pool.room() }

// Verify returns the evidence that a right password gives, else [ErrWrong]. A
// nil person stands for an unknown one: an unknown, a disabled and a
// passwordless person cost one read and one hash, like everybody. Too long a
// password is fault.TooLarge before any work, a full queue fault.Unavailable. A right
// one that is breached signs in like any other: its evidence says so, and since when it is
// theirs: another one may be set by the time that the evidence is noted.
func (p *Password) Verify(ctx context.Context, person *storage.Person, password string) (policy.Evidence, error) {
	if err := tooLong(password); err != nil {
		return policy.Evidence{}, err
	}
	stored, since, err := p.stored(ctx, person)
	if err != nil {
		return policy.Evidence{}, err
	}
	var (
		right bool
		fresh phc
	)
	err = p.pool.do(ctx, func() {
		right = stored.matches(password)
		p.hashes.Add(1)
		if right && !stored.current(p.cost) {
			fresh = p.cost.hash(password)
			p.hashes.Add(1)
		}
	})
	switch {
	case err != nil:
		return policy.Evidence{}, err
	case !right:
		return policy.Evidence{}, ErrWrong
	case fresh.key != nil:
		if err := p.rehash(ctx, person.ID, stored, fresh); err != nil {
			return policy.Evidence{}, err
		}
	}
	// A list that cannot be read keeps nobody out.
	breached, _ := p.isBreached(password)
	return policy.Evidence{Method: policy.Password, At: p.now(), Breached: breached, Since: since.Time}, nil
}

// stored returns the person's hash and when it was set, or one that nothing matches.
func (p *Password) stored(ctx context.Context, person *storage.Person) (hash phc, since storage.Time, err error) {
	id := p.nobody
	if person != nil {
		id = person.ID
	}
	row, err := p.store.PasswordOf(ctx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return p.cost.unmatched(), since, nil
	case err != nil:
		return phc{}, since, fmt.Errorf("proof: password: %w", err)
	case !person.DisabledAt.IsZero():
		return p.cost.unmatched(), since, nil
	}
	hash, err = parsePHC(row.Hash)
	return hash, row.ChangedAt, err
}

// rehash keeps the same password at today's cost. It is nobody's change, so it
// has no event, and stays out of the caller's unit.
func (p *Password) rehash(ctx context.Context, person storage.ID, old, fresh phc) error {
	ctx = storage.WithUnit(ctx)
	if err := p.store.RehashPassword(ctx, person, old.String(), fresh.String()); err != nil {
		return fmt.Errorf("proof: rehash: %w", err)
	}
	if err := p.store.Flush(ctx); err != nil && !errors.Is(err, storage.ErrStale) {
		return fmt.Errorf("proof: rehash: %w", err)
	}
	return nil
}

// Set gives a person a new password, after [Password.Check] with their addresses, which
// asks for less of whoever has a second factor, and records the event in the unit of the
// change. by is who did it.
// Where it replaces another, whoever knew that one may be signed in: all of the
// person's sessions end and all of their grants are revoked in the same unit, with
// an event each. A first password ends nothing; in a unit of the caller's, whose flush
// says storage.ErrConflict where there is another one by then.
func (p *Password) Set(ctx context.Context, person *storage.Person, password string, by events.Actor) error {
	return p.set(ctx, person, password, by, func(ctx context.Context) error { return p.signOut(ctx, person.ID, "", by) })
}

// Change is Set by the person themselves, in their session here, which lives on with its
// grants; so does all the rest unless elsewhere is to end.
func (p *Password) Change(ctx context.Context, person *storage.Person, password string, here storage.ID, elsewhere bool) error {
	return p.set(ctx, person, password, events.ActorPerson, func(ctx context.Context) error {
		if !elsewhere {
			return nil
		}
		return p.signOut(ctx, person.ID, here, events.ActorPerson)
	})
}

// Reset is Set by whoever lost their password, or never had one: a first one ends all that was begun
// without it as well. Where that ended already, ended says so.
func (p *Password) Reset(ctx context.Context, person *storage.Person, password string, ended bool) error {
	row, err := p.fresh(ctx, person, password)
	if err != nil {
		return err
	}
	return p.write(ctx, row, p.store.SetPassword, events.ActorPerson, map[string]string{"how": "recovery"}, func(ctx context.Context) error {
		if ended {
			return nil
		}
		return p.signOut(ctx, person.ID, "", events.ActorPerson)
	})
}

// set sets a password; after is what comes of another one than the first, in its unit.
func (p *Password) set(ctx context.Context, person *storage.Person, password string, by events.Actor, after func(context.Context) error) error {
	_, err := p.store.PasswordOf(ctx, person.ID)
	first := errors.Is(err, storage.ErrNotFound)
	if err != nil && !first {
		return fmt.Errorf("proof: set password: %w", err)
	}
	row, err := p.fresh(ctx, person, password)
	if err != nil {
		return err
	}
	if !first {
		return p.write(ctx, row, p.store.SetPassword, by, nil, after)
	}
	err = p.write(ctx, row, p.store.CreatePassword, by, nil, nil)
	if errors.Is(err, storage.ErrConflict) { // another one was the first meanwhile
		err = p.write(ctx, row, p.store.SetPassword, by, nil, after)
	}
	return err
}

// fresh is a person's new password, which may be one.
func (p *Password) fresh(ctx context.Context, person *storage.Person, password string) (*storage.Password, error) {
	ids, err := p.store.Identifiers(ctx, person.ID)
	if err != nil {
		return nil, fmt.Errorf("proof: set password: %w", err)
	}
	var emails []string
	for _, i := range ids {
		emails = append(emails, i.Value)
	}
	least, err := p.Least(ctx, person)
	if err != nil {
		return nil, err
	}
	if err := p.check(password, least, emails); err != nil {
		return nil, err
	}
	var fresh phc
	err = p.pool.do(ctx, func() {
		fresh = p.cost.hash(password)
		p.hashes.Add(1)
	})
	if err != nil {
		return nil, err
	}
	return &storage.Password{PersonID: person.ID, Hash: fresh.String(), ChangedAt: storage.At(p.now())}, nil
}

// write puts a person's password, and what comes after it, in one unit with the event, which has data.
func (p *Password) write(ctx context.Context, row *storage.Password, put func(context.Context, *storage.Password) error, by events.Actor, data any, after func(context.Context) error) error {
	return p.store.Together(ctx, func(ctx context.Context) error {
		if err := put(ctx, row); err != nil {
			return fmt.Errorf("proof: set password: %w", err)
		}
		if after != nil {
			if err := after(ctx); err != nil {
				return err
			}
		}
		return p.events.Record(ctx, events.Event{Kind: events.PasswordSet, Actor: by, Person: row.PersonID, Data: data})
	})
}

// signOut ends what was begun with the password before, in the unit in ctx, but for the
// session here, "" for none. One event tells of all sessions and one of all grants,
// however many there are.
func (p *Password) signOut(ctx context.Context, person, here storage.ID, by events.Actor) error {
	const why = "password set"
	which, end := "others", func() error { return p.store.SignOutElsewhere(ctx, person, here, why, storage.At(p.now())) }
	if here == "" {
		which, end = "all", func() error { return p.store.SignOutEverywhere(ctx, person, why, storage.At(p.now())) }
	}
	if err := end(); err != nil {
		return fmt.Errorf("proof: set password: %w", err)
	}
	for kind, of := range map[events.Kind]string{events.SessionEnded: "session", events.GrantRevoked: "grant"} {
		err := p.events.Record(ctx, events.Event{Kind: kind, Actor: by, Person: person, Data: map[string]string{of: which, "why": why}})
		if err != nil {
			return err
		}
	}
	return nil
}

// Least is the length of the shortest new password of a person, in code points: whose
// sign-ins ask for a second factor may have a shorter one beside it. They have one, and
// want to be asked for it wherever a browser does not remember it.
func (p *Password) Least(ctx context.Context, person *storage.Person) (int, error) {
	if !policy.Asking(person.Asking).Asks(false) {
		return MinPassword, nil
	}
	beside, err := p.store.HasSecondFactor(ctx, person.ID, p.passkeys)
	switch {
	case err != nil:
		return 0, fmt.Errorf("proof: password: %w", err)
	case beside:
		return MinBeside, nil
	}
	return MinPassword, nil
}

// Check returns a fault that says what to do when a new password that stands alone is
// too short, too long, breached, or has in it what everybody would try first for the
// owner of these addresses (NIST SP 800-63B-4 section 3.1.1.2).
func (p *Password) Check(password string, emails ...string) error {
	return p.check(password, MinPassword, emails)
}

func (p *Password) check(password string, least int, emails []string) error {
	if err := tooLong(password); err != nil {
		return err
	}
	if !utf8.ValidString(password) {
		return refuse("password_encoding", "must be valid UTF-8")
	}
	if n := utf8.RuneCountInString(password); n < least {
		return refuse("password_short", fmt.Sprintf("must have at least %d characters, this has %d: "+
			"a few words that only you would put together are easy to remember", least, n))
	}
	lower := strings.ToLower(password)
	words := p.words
	for _, e := range emails {
		local, _, _ := strings.Cut(e, "@")
		words = append(words[:len(words):len(words)], local)
	}
	for _, w := range words {
		if utf8.RuneCountInString(w) >= minWord && strings.Contains(lower, strings.ToLower(w)) {
			return refuse("password_context", fmt.Sprintf("must not contain %q, which is the first thing others would try: leave it out", w))
		}
	}
	switch breached, err := p.isBreached(password); {
	case err != nil:
		return err
	case breached:
		return refuse("password_breached", "must be one that nobody knows: this one is in lists of stolen passwords, which others try first")
	}
	return nil
}

func refuse(code, message string) error {
	f := fault.Invalid("password", message)
	f.Code = code
	return f
}

func tooLong(password string) error {
	if len(password) > MaxPassword {
		return fault.TooLarge("password", fmt.Sprintf("must have at most %d bytes", MaxPassword))
	}
	return nil
}
