package proof

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	// MaxTOTP is how many authenticators a person has.
	MaxTOTP = 10
	// MaxWrong is how many wrong codes one after the other stop an authenticator (NIST SP 800-63B-4
	// section 3.2.2).
	MaxWrong = 100
	// maxPending is how many wait for their first code: one a tab, as far as anybody has so many.
	maxPending = 5
	// enrolTime is how long an authenticator waits for its first code.
	enrolTime = 15 * time.Minute
	seedBytes = 20 // 160 bits, the length of a SHA-1 hash (RFC 4226 section 4, R6)
	stepTime  = 30 // seconds
	digits    = otp.DigitsSix
)

// TOTP checks and enrols authenticator apps (RFC 6238): SHA-1, 6 digits, 30 seconds,
// and a step to each side for clocks that are off.
type TOTP struct {
	issuer string
	store  *storage.Store
	keys   *keys.Service
	events *events.Service
	now    func() time.Time
	nobody storage.TOTP // of somebody who has none: to check its codes costs the same
}

// NewTOTP returns the proof; issuer is what authenticator apps call this place.
func NewTOTP(issuer string, store *storage.Store, k *keys.Service, ev *events.Service, now func() time.Time) (*TOTP, error) {
	t := &TOTP{issuer: cmp.Or(issuer, "Doorstep"), store: store, keys: k, events: ev, now: now, nobody: storage.TOTP{ID: storage.NewID(), PersonID: storage.NewID()}}
	var err error
	t.nobody.Seed, err = t.seal(t.nobody.ID, newSeed())
	return t, err
}

func newSeed() []byte {
	seed := make([]byte, seedBytes)
	_, _ = rand.Read(seed) // never fails
	return seed
}

func (t *TOTP) seal(id storage.ID, seed []byte) ([]byte, error) {
	sealed, err := t.keys.Seal(storage.PurposeTOTP, string(id), seed)
	if err != nil {
		return nil, fmt.Errorf("proof: seal seed: %w", err)
	}
	return sealed, nil
}

func (t *TOTP) open(row *storage.TOTP) (secret string, err error) {
	seed, err := t.keys.Open(storage.PurposeTOTP, string(row.ID), row.Seed)
	if err != nil {
		return "", fmt.Errorf("proof: seed of %s: %w", row.ID, err)
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed), nil
}

// Enrolment is an authenticator that waits for its first code: what its owner has to
// see, and nobody else ever.
type Enrolment struct {
	ID        storage.ID
	Name      string
	Secret    string // base32 in groups of four, to be typed
	URL       string // otpauth://
	QR        QR     // of URL
	ExpiresAt time.Time
}

// Begin gives a person a new authenticator of this name, which counts for nothing until
// [TOTP.Confirm]. Others that wait for it go on waiting, the newest of them.
// fault.Conflict: they have [MaxTOTP].
func (t *TOTP) Begin(ctx context.Context, person *storage.Person, name string) (*Enrolment, error) {
	name, err := factorName(name)
	if err != nil {
		return nil, err
	}
	have, err := t.List(ctx, person.ID)
	if err != nil {
		return nil, err
	}
	if len(have) >= MaxTOTP {
		return nil, fault.Conflict("totp", fmt.Sprintf("can be %d at most: remove one that is not used any more", MaxTOTP))
	}
	now := t.now()
	row := &storage.TOTP{ID: storage.NewID(), PersonID: person.ID, Name: name, CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(enrolTime))}
	if row.Seed, err = t.seal(row.ID, newSeed()); err != nil {
		return nil, err
	}
	if err := t.store.BeginTOTP(ctx, row, maxPending); err != nil {
		return nil, fmt.Errorf("proof: begin TOTP: %w", err)
	}
	return t.enrolment(ctx, row)
}

// Pending returns an authenticator that was begun, to be shown again.
// storage.ErrNotFound: it lapsed, was confirmed, or too many were begun since.
func (t *TOTP) Pending(ctx context.Context, person *storage.Person, id storage.ID) (*Enrolment, error) {
	row, err := t.store.PendingTOTP(ctx, person.ID, id, storage.At(t.now()))
	if err != nil {
		return nil, fmt.Errorf("proof: pending TOTP: %w", err)
	}
	return t.enrolment(ctx, row)
}

func (t *TOTP) enrolment(ctx context.Context, row *storage.TOTP) (*Enrolment, error) {
	secret, err := t.open(row)
	if err != nil {
		return nil, err
	}
	ids, err := t.store.Identifiers(ctx, row.PersonID)
	if err != nil {
		return nil, fmt.Errorf("proof: TOTP: %w", err)
	}
	account := row.Name
	if len(ids) > 0 {
		account = ids[0].Display
	}
	e := &Enrolment{ID: row.ID, Name: row.Name, Secret: inFours(secret, " "), URL: t.url(account, secret), ExpiresAt: row.ExpiresAt.Time}
	if e.QR, err = newQR(e.URL); err != nil {
		return nil, err
	}
	return e, nil
}

// url is what an authenticator app reads (the key URI format that all of them know).
// A colon parts issuer and account, so neither may hold one.
func (t *TOTP) url(account, secret string) string {
	issuer := strings.ReplaceAll(t.issuer, ":", " ")
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + strings.ReplaceAll(account, ":", " ")}
	q := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {digits.String()}, "period": {fmt.Sprint(stepTime)}}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // apps that show a plus for a space are common
	return u.String()
}

// Confirm makes an authenticator count once it gave a right code, which is spent with
// it, and records the event. The caller takes from the throttle as for
// [TOTP.Verify]. ErrWrong: another code may be tried; storage.ErrNotFound: it is not
// pending any more.
func (t *TOTP) Confirm(ctx context.Context, person *storage.Person, id storage.ID, code string, by events.Actor) (policy.Evidence, error) {
	now := t.now()
	row, err := t.store.PendingTOTP(ctx, person.ID, id, storage.At(now))
	if err != nil {
		return policy.Evidence{}, fmt.Errorf("proof: confirm TOTP: %w", err)
	}
	step, err := t.match(row, code, now)
	if err != nil {
		return policy.Evidence{}, err
	}
	err = t.store.Together(ctx, func(ctx context.Context) error {
		if err := t.store.ConfirmTOTP(ctx, person.ID, id, step, storage.At(now), MaxTOTP); err != nil {
			return err
		}
		return t.record(ctx, events.FactorAdded, person.ID, row.ID, row.Name, by)
	})
	if err != nil {
		return policy.Evidence{}, fmt.Errorf("proof: confirm TOTP: %w", err)
	}
	return evidenceOf(row, now), nil
}

// Verify returns the evidence that a right code gives that was not spent, and spends
// it, whatever comes of the caller's unit; else [ErrWrong]. A nil person stands for an
// unknown one: that, a disabled one and one without an authenticator cost one statement, like
// a wrong code. The caller takes from the throttle before it asks, from the buckets of
// [throttle.Service.TakeSignIn], as for a password. An authenticator at which [MaxWrong] wrong codes
// were tried is stopped, with the event and what stopped also does, which is told its name; a code
// of it is wrong from then on.
func (t *TOTP) Verify(ctx context.Context, person *storage.Person, code string, stopped func(ctx context.Context, name string) error) (policy.Evidence, error) {
	owner := t.nobody.PersonID
	if person != nil && person.DisabledAt.IsZero() {
		owner = person.ID
	}
	ctx = storage.WithoutUnit(ctx)
	tried, err := t.store.TryTOTPs(ctx, owner)
	if err != nil {
		return policy.Evidence{}, fmt.Errorf("proof: TOTP: %w", err)
	}
	rows := slices.DeleteFunc(slices.Clone(tried), func(row storage.TOTP) bool { return row.Wrong > MaxWrong })
	if len(rows) == 0 {
		rows = []storage.TOTP{t.nobody}
	}
	now := t.now()
	ev, err := t.look(ctx, tried, rows, code, now)
	if !errors.Is(err, ErrWrong) {
		return ev, err
	}
	for i := range tried {
		if tried[i].Wrong < MaxWrong {
			continue
		}
		if err := t.stop(ctx, &tried[i], now, stopped); err != nil {
			return policy.Evidence{}, err
		}
	}
	return policy.Evidence{}, ErrWrong
}

// look is [TOTP.Verify] of a try that was counted.
func (t *TOTP) look(ctx context.Context, tried, rows []storage.TOTP, code string, now time.Time) (policy.Evidence, error) {
	for i := range rows {
		row := &rows[i]
		step, err := t.match(row, code, now)
		switch {
		case errors.Is(err, ErrWrong):
			continue
		case err != nil:
			return policy.Evidence{}, err
		case row.ID == t.nobody.ID:
			return policy.Evidence{}, ErrWrong
		}
		err = t.store.SpendTOTP(ctx, tried, row.ID, step, storage.At(now))
		switch {
		case errors.Is(err, storage.ErrSpent):
			return policy.Evidence{}, ErrWrong
		case err != nil:
			return policy.Evidence{}, fmt.Errorf("proof: TOTP: %w", err)
		}
		return evidenceOf(row, now), nil
	}
	return policy.Evidence{}, ErrWrong
}

// stop stops an authenticator, unless somebody else did, or gave a right code meanwhile.
func (t *TOTP) stop(ctx context.Context, row *storage.TOTP, now time.Time, also func(ctx context.Context, name string) error) error {
	err := t.store.Together(ctx, func(ctx context.Context) error {
		if err := t.store.StopTOTP(ctx, row.ID, MaxWrong, storage.At(now)); err != nil {
			return err
		}
		if err := t.record(ctx, events.FactorStopped, row.PersonID, row.ID, row.Name, events.ActorPerson); err != nil {
			return err
		}
		return also(ctx, row.Name)
	})
	if err != nil && !errors.Is(err, storage.ErrSpent) {
		return fmt.Errorf("proof: stop TOTP: %w", err)
	}
	return nil
}

func evidenceOf(row *storage.TOTP, now time.Time) policy.Evidence {
	return policy.Evidence{Method: policy.OneTime, At: now, Credential: string(row.ID)}
}

// match returns which step code is of, of those around now that were not spent, or
// ErrWrong.
func (t *TOTP) match(row *storage.TOTP, code string, now time.Time) (int64, error) {
	secret, err := t.open(row)
	if err != nil {
		return 0, err
	}
	code = strings.Join(strings.Fields(code), "") // apps show it in two groups
	at, found := now.Unix()/stepTime, int64(0)
	for _, step := range []int64{at - 1, at, at + 1} {
		right, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // the clock is beyond 1970
		if err != nil {
			return 0, fmt.Errorf("proof: TOTP: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(code), []byte(right)) == 1 && step > row.LastStep {
			found = step
		}
	}
	if found == 0 {
		return 0, ErrWrong
	}
	return found, nil
}

// List returns a person's authenticators, those that are doubted among them, oldest first.
func (t *TOTP) List(ctx context.Context, person storage.ID) ([]storage.TOTP, error) {
	rows, err := t.store.TOTPsOf(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("proof: list TOTP: %w", err)
	}
	return rows, nil
}

// Rename names an authenticator, with the event. storage.ErrNotFound: the person has
// none of this id.
func (t *TOTP) Rename(ctx context.Context, person, id storage.ID, name string, by events.Actor) error {
	name, err := factorName(name)
	if err != nil {
		return err
	}
	return t.change(ctx, events.FactorRenamed, person, id, name, by, func(ctx context.Context) error {
		return t.store.RenameTOTP(ctx, person, id, name)
	})
}

// Remove removes an authenticator, with the event, and ends nothing else; what it proved
// in living sessions counts no more. storage.ErrNotFound: the person has none of this id.
func (t *TOTP) Remove(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return t.change(ctx, events.FactorRemoved, person, id, "", by, func(ctx context.Context) error {
		return t.store.RemoveTOTP(ctx, person, id)
	})
}

// Trust has an authenticator count again that was disowned, with the event.
// storage.ErrNotFound: the person has none of this id that is doubted.
func (t *TOTP) Trust(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return t.change(ctx, events.FactorTrusted, person, id, "", by, func(ctx context.Context) error {
		return t.store.TrustTOTP(ctx, person, id)
	})
}

// Lift has codes of a stopped authenticator looked at again, with the event.
// storage.ErrNotFound: the person has none of this id that is stopped.
func (t *TOTP) Lift(ctx context.Context, person, id storage.ID, by events.Actor) error {
	return t.change(ctx, events.FactorLifted, person, id, "", by, func(ctx context.Context) error {
		return t.store.LiftTOTP(ctx, person, id)
	})
}

func (t *TOTP) change(ctx context.Context, kind events.Kind, person, id storage.ID, name string, by events.Actor, do func(context.Context) error) error {
	err := t.store.Together(ctx, func(ctx context.Context) error {
		if err := do(ctx); err != nil {
			return err
		}
		return t.record(ctx, kind, person, id, name, by)
	})
	if err != nil {
		return fmt.Errorf("proof: change TOTP: %w", err)
	}
	return nil
}

func (t *TOTP) record(ctx context.Context, kind events.Kind, person, id storage.ID, name string, by events.Actor) error {
	return t.events.Record(ctx, factorEvent(kind, policy.OneTime, person, id, name, by))
}
