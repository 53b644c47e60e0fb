package storage

import (
	"context"
	"errors"
	"time"
)

// Throttle is one bucket of the generic cell rate algorithm: Due is the
// theoretical arrival time in microseconds since 1970.
type Throttle struct {
	Key       []byte `gorm:"primaryKey"` // a keyed hash: no address or name in the clear
	Due       int64
	ExpiresAt Time
}

// TakeThrottle takes one of burst tokens, of which one comes back every
// interval, and returns 0; or, taking nothing, how long to wait for the next.
// One atomic statement: of parallel callers never more than burst succeed.
func (s *Store) TakeThrottle(ctx context.Context, key []byte, interval time.Duration, burst int, now time.Time) (time.Duration, error) {
	_, wait, err := s.CountThrottle(ctx, key, interval, burst, now)
	return wait, err
}

// CountThrottle is TakeThrottle that also tells when the bucket will be full again:
// the zero time if nothing was taken.
func (s *Store) CountThrottle(ctx context.Context, key []byte, interval time.Duration, burst int, now time.Time) (full time.Time, wait time.Duration, err error) {
	step, at := interval.Microseconds(), now.UnixMicro()
	tolerance := step * int64(burst-1)
	var due []int64
	// The key is not the first value: gorm would take the bytes after "(" for a list.
	err = s.db(ctx).Raw(
		"INSERT INTO throttles (due, key, expires_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"+
			" due = CASE WHEN throttles.due > ? THEN throttles.due ELSE ? END + ?,"+
			" expires_at = CASE WHEN throttles.due > ? THEN throttles.due ELSE ? END + ?"+
			" WHERE throttles.due <= ? RETURNING due",
		at+step, key, at+step, at, at, step, at, at, step, at+tolerance).Scan(&due).Error
	if err != nil {
		return time.Time{}, 0, translate(err)
	}
	if len(due) == 1 {
		return time.UnixMicro(due[0]).UTC(), 0, nil
	}
	wait, err = s.throttleWait(ctx, key, tolerance, at)
	return time.Time{}, wait, err
}

// throttleWait returns how long until the bucket gives its next token: at least
// a second, also when it was emptied meanwhile.
func (s *Store) throttleWait(ctx context.Context, key []byte, tolerance, at int64) (time.Duration, error) {
	var t Throttle
	if err := take(s.db(ctx).Where("key = ?", key), &t); err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	return max(time.Duration(t.Due-tolerance-at)*time.Microsecond, time.Second), nil
}

// GiveThrottle empties a bucket, after the right password.
func (s *Store) GiveThrottle(ctx context.Context, key []byte) error {
	return s.do(ctx, write{text: "DELETE FROM throttles WHERE key = ?", args: []any{key}})
}

// ReturnThrottle puts one token back, as if it had not been taken.
func (s *Store) ReturnThrottle(ctx context.Context, key []byte, interval time.Duration) error {
	return s.do(ctx, write{text: "UPDATE throttles SET due = due - ? WHERE key = ?", args: []any{interval.Microseconds(), key}})
}
