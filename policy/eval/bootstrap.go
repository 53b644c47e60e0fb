package eval

import (
	"math/rand/v2"
	"slices"
)

// Interval is between which two values 95 of 100 samples of the people lie.
type Interval struct{ Low, High float64 }

// samples is how many times the people are drawn anew.
const samples = 400

// bootstrap is how sure a share is: people are drawn with replacement, each with all of
// their sign-ins, since those of one person are alike.
func bootstrap(seed uint64, by map[int]Rate) Interval {
	people := make([]int, 0, len(by))
	for person := range by {
		people = append(people, person)
	}
	if len(people) == 0 {
		return Interval{}
	}
	slices.Sort(people)
	r := rand.New(rand.NewPCG(seed, 42)) //nolint:gosec // the same again from the same seed
	shares := make([]float64, samples)
	for i := range shares {
		var all Rate
		for range people {
			one := by[people[r.IntN(len(people))]]
			all.Of, all.All = all.Of+one.Of, all.All+one.All
		}
		shares[i] = all.Share()
	}
	slices.Sort(shares)
	return Interval{shares[samples*25/1000], shares[samples*975/1000-1]}
}
