package storage

import "context"

// IdempotencyKey is a request that its sender may send again and that is carried
// out once.
type IdempotencyKey struct {
	Hash      []byte `gorm:"primaryKey"` // HMAC of who sent it and of their key
	Request   []byte // HMAC of what was asked
	Answer    []byte // what was answered, sealed; nil until it is known
	BegunAt   Time
	DoneAt    Time // set in the unit of the change itself; zero: nothing was changed yet
	ExpiresAt Time
}

// ClaimIdempotencyKey adds k: of any number of calls with one hash one returns nil,
// all others ErrConflict. A row that has lapsed is nobody's.
func (s *Store) ClaimIdempotencyKey(ctx context.Context, k *IdempotencyKey) error {
	w := s.insert(ctx, k, "ON CONFLICT (hash) DO UPDATE SET request = excluded.request, answer = NULL, begun_at = excluded.begun_at,"+
		" done_at = NULL, expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= excluded.begun_at")
	w.guard = ErrConflict
	return s.do(ctx, w)
}

// IdempotencyKey returns the row of this hash, or ErrNotFound.
func (s *Store) IdempotencyKey(ctx context.Context, hash []byte) (*IdempotencyKey, error) {
	var k IdempotencyKey
	if err := take(s.db(ctx).Where("hash = ?", hash), &k); err != nil {
		return nil, err
	}
	return &k, nil
}

// ReclaimIdempotencyKey begins anew what k, as it was read, began and did not do,
// at now; ErrStale: somebody else was first, or it was done after all.
func (s *Store) ReclaimIdempotencyKey(ctx context.Context, k *IdempotencyKey, now Time) error {
	return s.do(ctx, write{
		text: "UPDATE idempotency_keys SET begun_at = ? WHERE hash = ? AND begun_at = ? AND done_at IS NULL",
		args: []any{now, k.Hash, k.BegunAt}, guard: ErrStale,
	})
}

// DoOnce returns a ctx in which every unit marks the key of this hash as done, in
// the same transaction: whoever finds it unmarked knows that nothing was changed.
func (s *Store) DoOnce(ctx context.Context, hash []byte, now Time) context.Context {
	return context.WithValue(ctx, riderKey{}, write{
		text: "UPDATE idempotency_keys SET done_at = ? WHERE hash = ?", args: []any{now, hash},
	})
}

// AnswerIdempotencyKey keeps what was answered.
func (s *Store) AnswerIdempotencyKey(ctx context.Context, hash, answer []byte) error {
	return s.do(ctx, write{text: "UPDATE idempotency_keys SET answer = ? WHERE hash = ?", args: []any{answer, hash}})
}

// ForgetIdempotencyKey removes a key whose request was refused: it may be mended
// and sent again. One whose request was done stays.
func (s *Store) ForgetIdempotencyKey(ctx context.Context, hash []byte) error {
	return s.do(ctx, write{text: "DELETE FROM idempotency_keys WHERE hash = ? AND done_at IS NULL", args: []any{hash}})
}
