package eval

import (
	"math"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
)

// Threshold is the score from which a contender asks for more, so that it catches at least
// that share of an attacker's attempts in the month of validation; +Inf if there were none.
func (r *Run) Threshold(contender, attacker int, share float64) float64 {
	var bits []float64
	for _, a := range r.Attacks {
		if a.Attacker == attacker && r.Protocol.Validate.has(a.At) {
			bits = append(bits, a.Bits[contender])
		}
	}
	if len(bits) == 0 {
		return math.Inf(1)
	}
	slices.Sort(bits)
	return bits[min(int(float64(len(bits))*(1-share)), len(bits)-1)]
}

// Caught is the share of an attacker's attempts in the month of the test.
func (r *Run) Caught(contender, attacker int, threshold float64) Rate {
	return rate(r.Attacks, func(a *Score) bool { return a.Attacker == attacker && r.Protocol.Test.has(a.At) }, contender, threshold)
}

// Asked is the share of those people's sign-ins in the month of the test.
func (r *Run) Asked(contender int, threshold float64, who func(*Score) bool) Rate {
	return rate(r.People, func(s *Score) bool { return r.Protocol.Test.has(s.At) && who(s) }, contender, threshold)
}

// AskedBetween is how sure that share is.
func (r *Run) AskedBetween(contender int, threshold float64, who func(*Score) bool) Interval {
	by := map[int]Rate{}
	for i := range r.People {
		s := &r.People[i]
		if !r.Protocol.Test.has(s.At) || !who(s) {
			continue
		}
		one := by[s.Person]
		one.All++
		if s.Bits[contender] >= threshold {
			one.Of++
		}
		by[s.Person] = one
	}
	return bootstrap(r.Protocol.Seed, by)
}

// Rate is so many of all.
type Rate struct{ Of, All int }

// Share is Of/All, 0 of nothing.
func (r Rate) Share() float64 {
	if r.All == 0 {
		return 0
	}
	return float64(r.Of) / float64(r.All)
}

func rate(scores []Score, who func(*Score) bool, contender int, threshold float64) (r Rate) {
	for i := range scores {
		if s := &scores[i]; who(s) {
			r.All++
			if s.Bits[contender] >= threshold {
				r.Of++
			}
		}
	}
	return r
}

// Repeats is the median number of times that people were asked by their n-th sign-in, of
// those who had so many; and how many they are.
func (r *Run) Repeats(contender int, threshold float64, n int64) (median, people int) {
	asked, reached := map[int]int{}, map[int]bool{}
	for i := range r.People {
		s := &r.People[i]
		if s.Earlier >= n {
			continue
		}
		if s.Bits[contender] >= threshold {
			asked[s.Person]++
		}
		if s.Earlier == n-1 {
			reached[s.Person] = true
		}
	}
	var all []int
	for person := range reached {
		all = append(all, asked[person])
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], len(all)
}

// Unlucky is the share of sign-ins at which that quantile of the people were asked who had
// the given number at least, in the ninety days before the test ends.
func (r *Run) Unlucky(contender int, threshold, quantile float64, least int, who func(*Score) bool) float64 {
	month := Month{From: r.Protocol.Test.Till - 90, Till: r.Protocol.Test.Till}
	by := map[int]*Rate{}
	for i := range r.People {
		s := &r.People[i]
		if !month.has(s.At) || !who(s) {
			continue
		}
		if by[s.Person] == nil {
			by[s.Person] = &Rate{}
		}
		by[s.Person].All++
		if s.Bits[contender] >= threshold {
			by[s.Person].Of++
		}
	}
	var shares []float64
	for _, one := range by {
		if one.All >= least {
			shares = append(shares, one.Share())
		}
	}
	if len(shares) == 0 {
		return 0
	}
	slices.Sort(shares)
	return shares[min(len(shares)-1, int(quantile*float64(len(shares))))]
}

// AUC is how likely an attacker's attempt has more bits than a sign-in of a person, in
// the month of the test.
func (r *Run) AUC(contender, attacker int) float64 {
	var attacks []float64
	for _, a := range r.Attacks {
		if a.Attacker == attacker && r.Protocol.Test.has(a.At) {
			attacks = append(attacks, a.Bits[contender])
		}
	}
	slices.Sort(attacks)
	sum, n := 0.0, 0
	for i := range r.People {
		if s := &r.People[i]; r.Protocol.Test.has(s.At) {
			below, _ := slices.BinarySearch(attacks, s.Bits[contender])
			same := 0
			for below+same < len(attacks) && attacks[below+same] == s.Bits[contender] {
				same++
			}
			sum += float64(len(attacks)-below-same) + float64(same)/2
			n++
		}
	}
	return sum / float64(max(1, n)) / float64(max(1, len(attacks)))
}

// Those that tables are about.

// Anybody is everybody who was here before.
func Anybody(*Score) bool { return true }

// Established is whoever signed in four times before.
func Established(s *Score) bool { return s.Earlier >= 4 }

// EstablishedDevice is such a one, with the cookie.
func EstablishedDevice(s *Score) bool { return Established(s) && withCookie(s) }

// Seldom is whoever comes less than weekly.
func Seldom(s *Score) bool { return s.Gap > 7*day }

// Second is the second or third sign-in, with the cookie of the first.
func Second(s *Score) bool { return s.Earlier <= 2 && withCookie(s) }

// Returning is whoever was away for half a year to 400 days, and has the cookie.
func Returning(s *Score) bool { return returning(s) && withCookie(s) }

// ReturningBare is such a one who lost it.
func ReturningBare(s *Score) bool { return returning(s) && !withCookie(s) }

func returning(s *Score) bool  { return s.Away > 180*day && s.Away <= 400*day }
func withCookie(s *Score) bool { return s.Tier.AtLeast(policy.TierCookie) }
