package storage

import "context"

// RecoveryCode is one that a person has not used yet.
type RecoveryCode struct {
	Hash      []byte `gorm:"primaryKey"` // keyed, of the person and the code
	PersonID  ID
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// ReplaceRecoveryCodes gives a person these codes in the place of all others, all at
// once. Of two calls at once one's codes stay.
func (s *Store) ReplaceRecoveryCodes(ctx context.Context, person ID, codes []RecoveryCode) error {
	writes := []write{{
		text: "DELETE FROM recovery_codes WHERE person_id = ?", args: []any{person},
		locks: []waitFor{personAlone(person)},
	}}
	for i := range codes {
		writes = append(writes, s.insert(ctx, &codes[i], ""))
	}
	return s.doAll(ctx, writes...)
}

// HasRecoveryCode returns ErrSpent unless a person has the code.
func (s *Store) HasRecoveryCode(ctx context.Context, person ID, hash []byte) error {
	var n int64
	err := s.db(ctx).Model(&RecoveryCode{}).Where("hash = ? AND person_id = ?", hash, person).Count(&n).Error
	if err == nil && n == 0 {
		return ErrSpent
	}
	return translate(err)
}

// SpendRecoveryCode uses a code up: of any number of calls, on any number of
// replicas, one returns nil, all others ErrSpent.
func (s *Store) SpendRecoveryCode(ctx context.Context, person ID, hash []byte) error {
	return s.do(ctx, write{text: "DELETE FROM recovery_codes WHERE hash = ? AND person_id = ?", args: []any{hash, person}, guard: ErrSpent})
}

// RecoveryCodesAmong returns how many of these a person has unused that were made after a time.
func (s *Store) RecoveryCodesAmong(ctx context.Context, person ID, hashes [][]byte, after Time) (int, error) {
	var n int64
	err := s.db(ctx).Model(&RecoveryCode{}).Where("person_id = ? AND hash IN ? AND created_at > ?", person, hashes, after).Count(&n).Error
	return int(n), translate(err)
}

// RecoveryCodesOf returns how many codes a person has left.
func (s *Store) RecoveryCodesOf(ctx context.Context, person ID) (int, error) {
	var n int64
	err := s.db(ctx).Model(&RecoveryCode{}).Where("person_id = ?", person).Count(&n).Error
	return int(n), translate(err)
}
