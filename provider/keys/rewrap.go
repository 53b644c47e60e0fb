package keys

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
)

// KEKUse is how much is sealed with one key-encryption key.
type KEKUse struct {
	ID      string // as KEKID has it
	Records int64
	Current bool // new records are sealed with it
	Given   bool // it opens what was sealed with it: it is current or accepted
}

// KEKUses returns the key-encryption keys that anything in the database is sealed
// with, and the current one, which is first.
func (s *Service) KEKUses(ctx context.Context) ([]KEKUse, error) {
	keks := s.keks()
	counts := map[[kekIDSize]byte]int64{keks.current.id: 0}
	for _, column := range storage.SealedColumns() {
		of, err := s.store.CountSealed(ctx, column, sealHeader)
		if err != nil {
			return nil, fmt.Errorf("keys: count what is sealed in %s: %w", column.Table, err)
		}
		for prefix, n := range of {
			if len(prefix) == sealHeader && prefix[0] == sealFormat { // what is damaged names no key
				counts[[kekIDSize]byte([]byte(prefix[1:]))] += n
			}
		}
	}
	uses := make([]KEKUse, 0, len(counts))
	for id, n := range counts {
		_, given := keks.all[id]
		uses = append(uses, KEKUse{ID: hex.EncodeToString(id[:]), Records: n, Current: id == keks.current.id, Given: given})
	}
	slices.SortFunc(uses, func(a, b KEKUse) int {
		switch {
		case a.Current:
			return -1
		case b.Current:
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return uses, nil
}

// rewrapBatch is how many records are wrapped anew in one transaction: little enough
// that whoever writes beside it hardly waits.
const rewrapBatch = 100

// Rewrapped is what one pass of Rewrap did.
type Rewrapped struct {
	Records int64    // wrapped anew
	Damaged []string // "table key" of those that no key opens, although it is given; 100 at most
}

// maxDamaged bounds what is told of records that cannot be opened.
const maxDamaged = 100

// Rewrap wraps the data key of every record that was sealed with another
// key-encryption key with the current one; what is sealed stays as it is. It goes
// record by record by compare-and-set, in small batches, so that it may be ended at
// any point, begun again and run beside everything else. report, if not nil, is told
// how many records are done after each batch. ErrWrongKEK: something is sealed with
// a key that is not given; nothing is written then.
func (s *Service) Rewrap(ctx context.Context, report func(done int64)) (Rewrapped, error) {
	var done Rewrapped
	uses, err := s.KEKUses(ctx)
	if err != nil {
		return done, err
	}
	for _, use := range uses {
		if !use.Given {
			return done, fmt.Errorf("%w: %d records are sealed with the key %s, which is not given", ErrWrongKEK, use.Records, use.ID)
		}
	}
	for _, column := range storage.SealedColumns() {
		err := s.otherwiseSealed(ctx, column, func(rows []storage.SealedRow) error {
			if err := s.rewrapRows(ctx, column, rows, &done); err != nil {
				return err
			}
			if report != nil {
				report(done.Records)
			}
			return nil
		})
		if err != nil {
			return done, fmt.Errorf("keys: rewrap: %w", err)
		}
	}
	return done, nil
}

// otherwiseSealed calls each with every value of a column that was not sealed with
// the current key, in batches.
func (s *Service) otherwiseSealed(ctx context.Context, column storage.SealedColumn, each func([]storage.SealedRow) error) error {
	current := s.keks().current
	prefix := append([]byte{sealFormat}, current.id[:]...)
	var after any
	for {
		rows, err := s.store.SealedRows(ctx, column, prefix, after, rewrapBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := each(rows); err != nil {
			return err
		}
		after = rows[len(rows)-1].Key
	}
}

func (s *Service) rewrapRows(ctx context.Context, column storage.SealedColumn, rows []storage.SealedRow, done *Rewrapped) error {
	var (
		was   []storage.SealedRow
		fresh [][]byte
	)
	current := s.keks().current
	for _, row := range rows {
		aad := label(column.Purpose, row.ID())
		dataKey, err := s.unwrap(row.Sealed, aad)
		if err != nil {
			if len(done.Damaged) < maxDamaged {
				done.Damaged = append(done.Damaged, column.Table+" "+row.ID())
			}
			continue
		}
		out := current.wrap(make([]byte, 0, len(row.Sealed)), dataKey, aad)
		was, fresh = append(was, row), append(fresh, append(out, row.Sealed[sealHeader+wrappedSize:]...))
	}
	n, err := s.store.ReplaceSealed(ctx, column, was, fresh)
	done.Records += n
	return err
}

// CheckSealed opens every record that is sealed and returns how many there are, and
// "table key" of those that cannot be opened, 100 at most.
func (s *Service) CheckSealed(ctx context.Context) (records int64, damaged []string, err error) {
	for _, column := range storage.SealedColumns() {
		var after any
		for {
			// No value begins so: every one is read.
			rows, err := s.store.SealedRows(ctx, column, []byte{0}, after, rewrapBatch)
			if err != nil {
				return records, damaged, fmt.Errorf("keys: read what is sealed in %s: %w", column.Table, err)
			}
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				records++
				if _, err := s.Open(column.Purpose, row.ID(), row.Sealed); err != nil && len(damaged) < maxDamaged {
					damaged = append(damaged, column.Table+" "+row.ID())
				}
			}
			after = rows[len(rows)-1].Key
		}
	}
	return records, damaged, nil
}

// SealedWith returns the id of the key-encryption key that a value was sealed with,
// as KEKID has it, or "" if it was not sealed.
func SealedWith(sealed []byte) string {
	if len(sealed) < sealHeader || sealed[0] != sealFormat {
		return ""
	}
	return hex.EncodeToString(sealed[1:sealHeader])
}
