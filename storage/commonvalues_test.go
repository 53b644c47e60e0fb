package storage_test

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

var commonValueTests = map[string]func(*testing.T, fixture){
	"common values are added to":   testCommonValues,
	"of 50 who add at once all do": testRaceCommonValues,
}

func (f fixture) commonValues(since storage.Time) []storage.CommonValue {
	f.t.Helper()
	values, err := f.CommonValues(f.ctx, since)
	f.must(err)
	slices.SortFunc(values, func(a, b storage.CommonValue) int {
		return cmp.Or(cmp.Compare(a.Feature, b.Feature), cmp.Compare(a.Value, b.Value))
	})
	return values
}

func testCommonValues(t *testing.T, f fixture) {
	value := func(feature int, value int64, weight float64, at storage.Time) storage.CommonValue {
		return storage.CommonValue{Feature: feature, Value: value, Weight: weight, UpdatedAt: at}
	}
	later := after(time.Hour)
	var many []storage.CommonValue
	for i := range int64(1201) { // more than one statement adds
		many = append(many, value(3, i, 1, now))
	}
	f.must(f.AddCommonValues(f.ctx, nil))
	f.must(f.AddCommonValues(f.ctx, []storage.CommonValue{value(1, math.MinInt64, 0.1, now), value(0, math.MaxInt64, 1e300, now), value(-1, 0, 1, now)}))
	f.must(f.AddCommonValues(f.ctx, many))
	f.must(f.AddCommonValues(f.ctx, []storage.CommonValue{value(1, math.MinInt64, 0.2, later), value(3, 7, 1, later)}))
	tenths := 0.1
	tenths += 0.2
	same(t, []storage.CommonValue{value(1, math.MinInt64, tenths, later), value(3, 7, 2, later)}, f.commonValues(later))
	if all := f.commonValues(now); len(all) != 1204 || all[0] != value(-1, 0, 1, now) || all[1] != value(0, math.MaxInt64, 1e300, now) {
		t.Errorf("%d: %v", len(all), all[:2])
	}
	f.must(f.ForgetCommonValues(f.ctx, 3, 2))
	same(t, []storage.CommonValue{value(-1, 0, 1, now), value(0, math.MaxInt64, 1e300, now), value(1, math.MinInt64, tenths, later), value(3, 7, 2, later)}, f.commonValues(now))
}

// testRaceCommonValues: each in its own order, and none waits for another for ever.
func testRaceCommonValues(t *testing.T, f fixture) {
	for _, err := range race(racers, func(i int) error {
		var values []storage.CommonValue
		for v := range int64(20) {
			values = append(values, storage.CommonValue{Value: v, Weight: 1, UpdatedAt: now})
		}
		if i%2 == 0 {
			slices.Reverse(values)
		}
		return f.AddCommonValues(f.ctx, values)
	}) {
		f.must(err)
	}
	all := f.commonValues(now)
	if len(all) != 20 || slices.ContainsFunc(all, func(v storage.CommonValue) bool { return v.Weight != racers }) {
		t.Errorf("%v", all)
	}
}
