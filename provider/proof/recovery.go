package proof

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	recoveryCodes = 10
	recoveryBytes = 10 // 80 bits, 16 letters
)

// crockford is Crockford's base32: no letter in it is taken for another.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// forgiven are the letters that people write for others, and what parts groups.
var forgiven = strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", " ", "", "\t", "", "\u00a0", "", "\u2010", "", "\u2013", "")

// Recovery makes and checks recovery codes: what a person keeps on paper for the day
// on which everything else is lost.
type Recovery struct {
	store  *storage.Store
	events *events.Service
	now    func() time.Time
	key    [32]byte
	nobody storage.ID // has no row, and is asked for like everybody
}

// NewRecovery returns the proof; key is the MAC key of the codes' hashes.
func NewRecovery(store *storage.Store, key [32]byte, ev *events.Service, now func() time.Time) *Recovery {
	return &Recovery{store: store, events: ev, now: now, key: key, nobody: storage.NewID()}
}

// hash is what the store knows of a person's code, however it was written: the same
// code of two people has two hashes.
func (r *Recovery) hash(person storage.ID, code string) []byte {
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write([]byte(string(person) + "\x00" + forgiven.Replace(strings.ToUpper(code))))
	return mac.Sum(nil)
}

// Generate gives a person new codes in the place of all that they had, with the event
// in one unit, and returns them to be shown once. They follow from what the caller draws
// them of, which is a secret that is kept nowhere: see [Recovery.Again].
func (r *Recovery) Generate(ctx context.Context, person storage.ID, of string, by events.Actor) ([]string, error) {
	now := r.now()
	codes, rows := r.draw(person, of, now)
	err := r.store.Together(ctx, func(ctx context.Context) error {
		if err := r.store.ReplaceRecoveryCodes(ctx, person, rows); err != nil {
			return err
		}
		return r.events.Record(ctx, events.Event{Kind: events.RecoveryGenerated, Actor: by, Person: person, At: now})
	})
	if err != nil {
		return nil, fmt.Errorf("proof: generate recovery codes: %w", err)
	}
	return codes, nil
}

// Again returns the codes that were drawn of this, to be shown once more to who did not see
// them: none unless they are the person's, every one unused, and younger than so long.
func (r *Recovery) Again(ctx context.Context, person storage.ID, of string, within time.Duration) ([]string, error) {
	codes, rows := r.draw(person, of, time.Time{})
	hashes := make([][]byte, len(rows))
	for i := range rows {
		hashes[i] = rows[i].Hash
	}
	n, err := r.store.RecoveryCodesAmong(ctx, person, hashes, storage.At(r.now().Add(-within)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("proof: recovery codes: %w", err)
	case n < len(rows):
		return nil, nil
	}
	return codes, nil
}

// draw makes codes of a secret: the same ones of the same one.
func (r *Recovery) draw(person storage.ID, of string, at time.Time) ([]string, []storage.RecoveryCode) {
	codes, rows := make([]string, recoveryCodes), make([]storage.RecoveryCode, recoveryCodes)
	for i := range codes {
		mac := hmac.New(sha256.New, r.key[:])
		fmt.Fprintf(mac, "drawn\x00%d\x00%s\x00%s", i, person, of)
		codes[i] = inFours(crockford.EncodeToString(mac.Sum(nil)[:recoveryBytes]), "-")
		rows[i] = storage.RecoveryCode{Hash: r.hash(person, codes[i]), PersonID: person, CreatedAt: storage.At(at)}
	}
	return codes, rows
}

// Remaining returns how many codes a person has left.
func (r *Recovery) Remaining(ctx context.Context, person storage.ID) (int, error) {
	n, err := r.store.RecoveryCodesOf(ctx, person)
	if err != nil {
		return 0, fmt.Errorf("proof: recovery codes: %w", err)
	}
	return n, nil
}

// Verify returns the evidence that a code gives that was not used, and uses it up with
// the event and what also does, whatever comes of the caller's unit; else [ErrWrong]. A nil person stands
// for an unknown one, who costs the same statements, as a disabled one does. The caller
// takes from the throttle before it asks, as for [TOTP.Verify].
func (r *Recovery) Verify(ctx context.Context, person *storage.Person, code string, also ...func(context.Context) error) (policy.Evidence, error) {
	owner := r.nobody
	if person != nil && person.DisabledAt.IsZero() {
		owner = person.ID
	}
	ctx, hash := storage.WithoutUnit(ctx), r.hash(owner, code)
	err := r.store.HasRecoveryCode(ctx, owner, hash) // what also does is not for guesses
	if err != nil {
		return policy.Evidence{}, wrongIfSpent(err)
	}
	err = r.store.Together(ctx, func(ctx context.Context) error {
		if err := r.store.SpendRecoveryCode(ctx, owner, hash); err != nil {
			return err
		}
		if err := r.events.Record(ctx, events.Event{Kind: events.RecoveryUsed, Actor: events.ActorPerson, Person: owner}); err != nil {
			return err
		}
		for _, do := range also {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return policy.Evidence{}, wrongIfSpent(err)
	}
	return policy.Evidence{Method: policy.Recovery, At: r.now()}, nil
}

func wrongIfSpent(err error) error {
	if errors.Is(err, storage.ErrSpent) {
		return ErrWrong
	}
	return fmt.Errorf("proof: recovery: %w", err)
}
