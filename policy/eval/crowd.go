package eval

import (
	"math"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// halfLife is that of everybody's sign-ins, as of a person's.
const halfLife = 90 * day

// crowd counts everybody's sign-ins, the old ones weighing less: instead of making the
// old ones lighter it makes the new ones heavier, and divides by that.
type crowd struct {
	counts  [policy.Features]map[policy.Hash]float64
	signIns float64
	people  map[int]bool
}

func newCrowd() *crowd {
	c := &crowd{people: map[int]bool{}}
	for f := range c.counts {
		c.counts[f] = map[policy.Hash]float64{}
	}
	return c
}

func heavier(at time.Time) float64 { return math.Exp2(float64(at.Sub(Epoch)) / float64(halfLife)) }

// learn adds a sign-in.
func (c *crowd) learn(v *Visit, at time.Time) {
	w := heavier(at)
	for f, value := range v.Values {
		if value != 0 {
			c.counts[f][value] += w
		}
	}
	c.signIns += w
	c.people[v.Person] = true
}

// attempt is a visit as a scorer sees it at that moment.
func (c *crowd) attempt(v *Visit, at time.Time, h *policy.History) policy.Attempt {
	a := policy.Attempt{At: at, Facts: policy.Facts{Release: v.Release, DeviceTier: v.Tier, Hosting: v.Hosting, FirstTime: h.SignIns == 0}}
	w := heavier(at)
	for f, value := range v.Values {
		a.Values[f] = policy.Seen{Value: value, Count: c.counts[f][value] / w}
		a.Crowd.Distinct[f] = float64(len(c.counts[f]))
	}
	a.Crowd.SignIns, a.Crowd.People = c.signIns/w, float64(len(c.people))
	return a
}
