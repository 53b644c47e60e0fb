// Package storage keeps everything that outlives a request: entities as plain
// structs, one concrete [Store] on gorm, one file per entity, SQL migrations.
// It is the only importer of gorm and imports nothing of ours.
//
// A method is verb + entity, takes ctx first, and is atomic in one statement;
// its comment has the invariant. Whoever needs several changes to happen
// together opens a [Unit]: every write that finds a unit in its ctx joins it,
// and [Store.Flush] carries all of them out at once, as one data-modifying
// statement on Postgres and as one transaction on SQLite.
//
// It must never decide anything that is single-use by reading first: such a
// change is a compare-and-set whose touched rows are counted. It must never
// take a column, a table or an order from outside, never see a secret in the
// clear (bearer secrets come as hashes, others as ciphertext), and never use
// gorm's Updates(struct) or Where(&T{...}), which drop zero values in silence.
//
// Notes
//
//   - 2026-11-22: times are microseconds in a bigint ([Time]), the same on both
//     databases: no time zones, exact comparison, no text collation. Ids are
//     UUIDv7 ([ID]), so that new rows sit together in their index.
package storage

import "errors"

// The four outcomes that callers tell apart; all else is a fault of the store.
var (
	// ErrNotFound: no such row, or not for this caller.
	ErrNotFound = errors.New("storage: not found")
	// ErrConflict: a row with this key exists already.
	ErrConflict = errors.New("storage: conflict")
	// ErrSpent: something that may be used once was used before.
	ErrSpent = errors.New("storage: spent")
	// ErrStale: the row changed since it was read.
	ErrStale = errors.New("storage: stale")
)
