package policy

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// What is remembered of a person fits into a kilobyte: so many values in all, and of
// each feature. Those that weigh least go first.
const mostCounters = 49

var mostOf = [Features]int{
	Country: 5, ASN: 6, Block: 8, Address: 12, DeviceType: 3, System: 5, Browser: 5, Version: 6, Agent: 6, Region: 4, City: 5, Device: 6, Place: 5,
}

const (
	// halfLife is after how many days a sign-in weighs half.
	halfLife = 90
	// forgetAfter is how many days a value is remembered without being seen, if there
	// were enoughNewer sign-ins since, or it is not among what stays.
	forgetAfter = 180
	enoughNewer = 4
	// stayFor is how many days the last country and device stay of whoever comes seldom.
	stayFor = 400
)

// stays are the features whose last value stays with whoever comes seldom.
var stays = [Features]bool{Country: true, DeviceType: true, System: true, Browser: true, Device: true}

// A Counter is how often a value was seen.
type Counter struct {
	Value   Hash
	Weight  float64 // sign-ins with it, as they weighed on Day
	Day     int     // when it was last seen, in days since 1970 (UTC)
	SignIn  int64   // the number of the sign-in that it was last seen at; the first is 1
	Release int     // of a Browser: the newest major version seen
}

// History is what is remembered of a person's sign-ins. It must be changed by
// [History.Learn] alone.
type History struct {
	SignIns int64     // those that reached the demanded assurance
	FirstAt time.Time // to the second
	LastAt  time.Time // to the second

	weight   float64 // of all sign-ins on the day of LastAt
	counters [Features][]Counter
}

// dayOf is a day since 1970 in UTC.
func dayOf(t time.Time) int { return int(math.Floor(float64(t.Unix()) / 86400)) }

// fade is what a sign-in weighs after so many days.
func fade(days int) float64 {
	if days <= 0 {
		return 1 // a clock that went back makes nothing heavier
	}
	if days < len(faded) {
		return faded[days]
	}
	return 0
}

// faded is counted once: a decision is so derived from the same numbers.
var faded = func() (table [stayFor + 1]float64) {
	for days := range table {
		table[days] = math.Exp2(-float64(days) / halfLife)
	}
	return table
}()

// away is what the days since the last sign-in are divided by: a person's habits grow
// old by what they do, and slowly while they do nothing.
const away = 4

// old is how many days old something is at a moment that was seen last on a day.
func (h *History) old(day int, at time.Time) int {
	last := dayOf(h.LastAt)
	return last - day + max(0, dayOf(at)-last)/away
}

// Weight is how many sign-ins are remembered at a moment: old ones weigh less.
func (h *History) Weight(at time.Time) float64 {
	return float64(h.weight * fade(h.old(dayOf(h.LastAt), at)))
}

// Seen is how many of the sign-ins that are remembered at a moment had that value.
func (h *History) Seen(f Feature, v Hash, at time.Time) float64 {
	c := h.find(f, v, at)
	if c == nil {
		return 0
	}
	return float64(c.Weight * fade(h.old(c.Day, at)))
}

// SeenIn reports whether one of the last n sign-ins had that value; as far back as is
// remembered, which is some values of each feature.
func (h *History) SeenIn(f Feature, v Hash, n int64, at time.Time) bool {
	c := h.find(f, v, at)
	return c != nil && h.SignIns-c.SignIn < n
}

// Release is the newest major version of a browser that is remembered, 0 for none.
func (h *History) Release(browser Hash, at time.Time) int {
	if c := h.find(Browser, browser, at); c != nil {
		return c.Release
	}
	return 0
}

// LastPoint is where the last sign-in was, if that is known.
func (h *History) LastPoint(at time.Time) (Point, bool) {
	for i := range h.counters[Place] {
		if c := &h.counters[Place][i]; c.SignIn == h.SignIns && !h.forgotten(Place, c, dayOf(at)) {
			return PointOf(c.Value)
		}
	}
	return Point{}, false
}

// Near reports whether one of the last n sign-ins was within so many kilometres.
func (h *History) Near(p Point, km float64, n int64, at time.Time) bool {
	for i := range h.counters[Place] {
		c := &h.counters[Place][i]
		q, ok := PointOf(c.Value)
		if ok && h.SignIns-c.SignIn < n && !h.forgotten(Place, c, dayOf(at)) && p.Kilometres(q) <= km {
			return true
		}
	}
	return false
}

// Knows reports whether anything of a feature is remembered.
func (h *History) Knows(f Feature, at time.Time) bool {
	return slices.ContainsFunc(h.counters[f], func(c Counter) bool { return !h.forgotten(f, &c, dayOf(at)) })
}

func (h *History) find(f Feature, v Hash, at time.Time) *Counter {
	if v == 0 {
		return nil
	}
	for i := range h.counters[f] {
		if c := &h.counters[f][i]; c.Value == v {
			if h.forgotten(f, c, dayOf(at)) {
				return nil
			}
			return c
		}
	}
	return nil
}

// forgotten reports whether a value is to be remembered no more.
func (h *History) forgotten(f Feature, c *Counter, day int) bool {
	switch old := day - c.Day; {
	case old <= forgetAfter:
		return false
	case old > stayFor || h.SignIns-c.SignIn >= enoughNewer:
		return true
	}
	return !stays[f] || slices.ContainsFunc(h.counters[f], func(other Counter) bool { return other.SignIn > c.SignIn })
}

// Learn returns the history with one more sign-in. Only one that reached the
// demanded assurance may be learned: else whoever is turned away often enough
// becomes a habit.
func (h History) Learn(a Attempt) History {
	at := a.At.UTC().Truncate(time.Second)
	if at.Before(h.LastAt) { // a clock went back: no sign-in is before the last one
		at = h.LastAt
	}
	day := dayOf(at)
	if h.SignIns == 0 {
		h.FirstAt, h.LastAt = at, at
	}
	h.weight = float64(h.weight*fade(day-dayOf(h.LastAt))) + 1
	h.SignIns++
	h.LastAt = at
	for f := range h.counters {
		h.counters[f] = h.learned(Feature(f), &a.Facts, day)
	}
	h.shrink(day)
	return h
}

// learned is a feature's counters with the value of an attempt on that day, without
// those that are forgotten, the newest first.
func (h *History) learned(f Feature, facts *Facts, day int) []Counter {
	out := make([]Counter, 0, len(h.counters[f])+1)
	now := Counter{Value: facts.Values[f].Value, Weight: 1, Day: day, SignIn: h.SignIns}
	if f == Browser {
		now.Release = facts.Release
	}
	if now.Value != 0 {
		out = append(out, now)
	}
	for i := range h.counters[f] {
		switch c := &h.counters[f][i]; {
		case c.Value == now.Value:
			out[0].Weight += float64(c.Weight * fade(day-c.Day))
			out[0].Release = max(out[0].Release, c.Release)
		case !h.forgotten(f, c, day):
			out = append(out, *c)
		}
	}
	return out
}

// shrink leaves out what weighs least where there is too much.
func (h *History) shrink(day int) {
	all := 0
	for f := range h.counters {
		for len(h.counters[f]) > mostOf[f] {
			h.counters[f] = withoutLightest(h.counters[f], day)
		}
		all += len(h.counters[f])
	}
	for ; all > mostCounters; all-- {
		most := 0 // the feature that has most for what it may have
		for f := range h.counters {
			if len(h.counters[f])*mostOf[most] > len(h.counters[most])*mostOf[f] {
				most = f
			}
		}
		h.counters[most] = withoutLightest(h.counters[most], day)
	}
}

// withoutLightest leaves out the counter that weighs least; never the newest, which is the
// first one.
func withoutLightest(counters []Counter, day int) []Counter {
	lightest := 1
	for i := 2; i < len(counters); i++ {
		a, b := counters[i], counters[lightest]
		if cmp.Or(cmp.Compare(float64(a.Weight*fade(day-a.Day)), float64(b.Weight*fade(day-b.Day))), cmp.Compare(a.SignIn, b.SignIn)) < 0 {
			lightest = i
		}
	}
	return slices.Delete(counters, lightest, lightest+1)
}
