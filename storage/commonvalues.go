package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// CommonValue is how common a value is among everybody's sign-ins. It is nobody's row: a
// keyed hash, and a weight to which many added.
type CommonValue struct {
	Feature   int     `gorm:"primaryKey"` // as policy numbers them
	Value     int64   `gorm:"primaryKey"` // the bits of its hash
	Weight    float64 // of the sign-ins with it, newer ones weighing more
	UpdatedAt Time    `gorm:"autoUpdateTime:false"`
}

// addAtOnce is how many values one statement adds to: each has four parameters, of which
// databases take so many.
const addAtOnce = 500

// AddCommonValues adds the weights to those that there are. Several may do so at once.
func (s *Store) AddCommonValues(ctx context.Context, values []CommonValue) error {
	values = slices.Clone(values)
	slices.SortFunc(values, func(a, b CommonValue) int { // in one order, so that nobody waits for who waits for them
		return cmp.Or(cmp.Compare(a.Feature, b.Feature), cmp.Compare(a.Value, b.Value))
	})
	for some := range slices.Chunk(values, addAtOnce) {
		args := make([]any, 0, 4*len(some))
		for _, v := range some {
			args = append(args, v.Feature, v.Value, v.Weight, v.UpdatedAt)
		}
		err := s.db(ctx).Exec("INSERT INTO common_values (feature, value, weight, updated_at) VALUES "+
			strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(some)), ", ")+
			" ON CONFLICT (feature, value) DO UPDATE SET weight = common_values.weight + excluded.weight, updated_at = excluded.updated_at", args...).Error
		if err != nil {
			return fmt.Errorf("add common values: %w", translate(err))
		}
	}
	return nil
}

// CommonValues returns those that were added to since a time, that included.
func (s *Store) CommonValues(ctx context.Context, since Time) ([]CommonValue, error) {
	var values []CommonValue
	err := s.db(ctx).Where("updated_at >= ?", since).Find(&values).Error
	return values, translate(err)
}

// ForgetCommonValues deletes those of a feature that weigh less.
func (s *Store) ForgetCommonValues(ctx context.Context, feature int, lighter float64) error {
	return translate(s.db(ctx).Exec("DELETE FROM common_values WHERE feature = ? AND weight < ?", feature, lighter).Error)
}

// CountHistories is of how many people sign-ins are remembered.
func (s *Store) CountHistories(ctx context.Context) (int64, error) {
	var n int64
	err := s.db(ctx).Model(&History{}).Count(&n).Error
	return n, translate(err)
}
