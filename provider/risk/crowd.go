package risk

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/storage"
)

// mostCommon is of how many values of each feature it is known how common they are: of
// those that scorers compare with everybody's. The others are as good as never seen.
var mostCommon = [policy.Features]int{
	policy.Country: 300, policy.ASN: 20_000, policy.Block: 40_000, policy.Address: 40_000,
	policy.DeviceType: 10, policy.System: 500, policy.Browser: 2_000, policy.Version: 8_000, policy.Agent: 20_000,
}

const (
	// crowdHalfLife is when a sign-in weighs half, as in a person's own history.
	crowdHalfLife = 90 * 24 * time.Hour
	// rare is what a value weighs that is forgotten: one sign-in of 450 days ago.
	rare = 1.0 / 32
	// perCount is to which part of a sign-in facts tell of counts.
	perCount = 1024
	// allSignIns is the row of all of them, beside those of features, and allScores are those
	// of the scores of who is known.
	allSignIns = -1
	allScores  = -2
	// overlap is for who wrote before the last reading and was seen after it.
	overlap = time.Minute
	// recount is how often people are counted, and what is rare is forgotten.
	recount = time.Hour
)

// crowdEpoch is when a sign-in weighs 1. Old ones never become lighter, newer ones are heavier:
// so that what is stored is added to, by all servers, and by nothing else.
var crowdEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func heavier(at time.Time) float64 {
	return math.Exp2(float64(at.Sub(crowdEpoch)) / float64(crowdHalfLife))
}

// crowd is what is known of everybody's sign-ins: as all servers of a database have learned
// them, in memory, so that no sign-in waits for it. What this one learned since it was last
// kept is lost with it.
type crowd struct {
	mu      sync.Mutex
	known   counts // all that there is
	learned counts // the part of it that is to be stored yet
	people  float64

	// Of the chore alone.
	read    time.Time // what was stored since then is not known yet
	counted time.Time
}

// counts are weights by the feature and the value.
type counts struct {
	values  [policy.Features]map[policy.Hash]float64
	signIns float64
	scores  map[int]float64 // of those who were here before, by quarters of bits: see quarter
}

func newCounts() counts {
	c := counts{scores: map[int]float64{}}
	for f, most := range mostCommon {
		if most > 0 {
			c.values[f] = map[policy.Hash]float64{}
		}
	}
	return c
}

func newCrowd() *crowd { return &crowd{known: newCounts(), learned: newCounts()} }

// fill notes in facts how common their values are. A person is one of the crowd: what they
// did is no less common than that.
func (c *crowd) fill(f *policy.Facts, h *policy.History, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	weight := heavier(at)
	told := func(count, own float64) float64 { return math.Round(max(count/weight, own)*perCount) / perCount }
	f.Crowd = policy.Crowd{SignIns: told(c.known.signIns, h.Weight(at)), People: c.people}
	if h.SignIns > 0 {
		f.Crowd.People = max(f.Crowd.People, 1)
	}
	for feature, values := range c.known.values {
		if values == nil {
			continue
		}
		seen := &f.Values[feature]
		f.Crowd.Distinct[feature] = float64(len(values))
		if seen.Value != 0 {
			seen.Count = told(values[seen.Value], h.Seen(policy.Feature(feature), seen.Value, at))
		}
	}
}

// learn adds a sign-in with its score, one of somebody who was never here before if it is.
func (c *crowd) learn(a *policy.Attempt, score float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	weight := heavier(a.At)
	c.known.signIns += weight
	c.learned.signIns += weight
	if a.FirstTime {
		c.people++
	} else {
		c.known.scores[quarter(score)] += weight
		c.learned.scores[quarter(score)] += weight
	}
	for feature, values := range c.known.values {
		v := a.Values[feature].Value
		if values == nil || v == 0 {
			continue
		}
		if _, is := values[v]; !is && len(values) >= 2*mostCommon[feature] { // until the chore makes room
			continue
		}
		values[v] += weight
		c.learned.values[feature][v] += weight
	}
}

const (
	// perBit is how finely scores are told apart, and mostQuarters how far: there are so many
	// rows of them at most, twice.
	perBit       = 4
	mostQuarters = 400
	// enough is how many sign-ins a budget must be of, before it says anything.
	enough = 20
)

// quarter is a score in quarters of bits.
func quarter(score float64) int {
	return int(min(max(math.Floor(score*perBit), -mostQuarters), mostQuarters))
}

// reachedBy is the score that no more than a share of the sign-ins of those who are known reach:
// none while they are too few. See [rules.Quantile].
func (c *crowd) reachedBy(share float64, now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all float64
	for _, weight := range c.known.scores {
		all += weight
	}
	if all*share < enough*heavier(now) {
		return math.Inf(1)
	}
	left := all * share
	for _, q := range slices.Backward(slices.Sorted(maps.Keys(c.known.scores))) {
		if left -= c.known.scores[q]; left < 0 {
			return float64(q+1) / perBit
		}
	}
	return math.Inf(-1)
}

// keep stores what was learned here, and reads what others learned.
func (c *crowd) keep(ctx context.Context, store *storage.Store, now time.Time) error {
	if err := c.store(ctx, store, now); err != nil {
		return err
	}
	since := storage.At(c.read.Add(-overlap))
	if c.read.IsZero() {
		since = storage.At(time.Unix(0, 0))
	}
	rows, err := store.CommonValues(ctx, since)
	if err != nil {
		return err
	}
	c.take(rows)
	c.read = now
	if now.Sub(c.counted) < recount && !now.Before(c.counted) {
		return nil
	}
	people, err := store.CountHistories(ctx)
	if err != nil {
		return err
	}
	lightest := c.tidy(float64(people), now)
	for feature, most := range mostCommon {
		if most == 0 || lightest[feature] == 0 {
			continue
		}
		if err := store.ForgetCommonValues(ctx, feature, lightest[feature]); err != nil {
			return err
		}
	}
	c.counted = now
	return nil
}

func (c *crowd) store(ctx context.Context, store *storage.Store, now time.Time) error {
	c.mu.Lock()
	due := c.learned
	c.learned = newCounts()
	c.mu.Unlock()
	var rows []storage.CommonValue
	add := func(feature int, v policy.Hash, weight float64) {
		rows = append(rows, storage.CommonValue{Feature: feature, Value: int64(v), Weight: weight, UpdatedAt: storage.At(now)}) //nolint:gosec // its bits
	}
	for feature, values := range due.values {
		for v, weight := range values {
			add(feature, v, weight)
		}
	}
	if due.signIns > 0 {
		add(allSignIns, 0, due.signIns)
	}
	for q, weight := range due.scores {
		add(allScores, policy.Hash(q), weight) //nolint:gosec // there and back
	}
	stored := 0
	err := func() error {
		for some := range slices.Chunk(rows, storeAtOnce) {
			if err := store.AddCommonValues(ctx, some); err != nil {
				return err
			}
			stored += len(some)
		}
		return nil
	}()
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rows[stored:] { // they are tried again
		switch r.Feature {
		case allSignIns:
			c.learned.signIns += r.Weight
		case allScores:
			c.learned.scores[int(r.Value)] += r.Weight
		default:
			c.learned.values[r.Feature][policy.Hash(r.Value)] += r.Weight //nolint:gosec // its bits
		}
	}
	return err
}

// storeAtOnce is how many values are lost together if the server dies while it stores them.
const storeAtOnce = 500

// take knows what is stored, and what was learned here since.
func (c *crowd) take(rows []storage.CommonValue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rows {
		switch {
		case r.Feature == allSignIns:
			c.known.signIns = r.Weight + c.learned.signIns
		case r.Feature == allScores:
			c.known.scores[int(r.Value)] = r.Weight + c.learned.scores[int(r.Value)]
		case r.Feature >= 0 && r.Feature < policy.Features && c.known.values[r.Feature] != nil:
			v := policy.Hash(r.Value) //nolint:gosec // its bits
			c.known.values[r.Feature][v] = r.Weight + c.learned.values[r.Feature][v]
		}
	}
}

// tidy forgets what is rare, and the rarest where there is too much, and returns what the
// lightest that stays weighs at least; 0 where nothing was forgotten.
func (c *crowd) tidy(people float64, now time.Time) (lightest [policy.Features]float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.people = people
	for feature, values := range c.known.values {
		least, were := rare*heavier(now), len(values)
		if most := mostCommon[feature]; were > most {
			weights := slices.Sorted(maps.Values(values))
			least = max(least, weights[were-most])
		}
		maps.DeleteFunc(values, func(v policy.Hash, weight float64) bool { return weight < least && c.learned.values[feature][v] == 0 })
		if len(values) < were {
			lightest[feature] = least
		}
	}
	return lightest
}

// KeepCrowd stores what this server learned of everybody's sign-ins, and reads what others did;
// the first time all of it. It must not run twice at once.
func (s *Service) KeepCrowd(ctx context.Context) error {
	if s.crowd == nil {
		return nil
	}
	if err := s.crowd.keep(ctx, s.store, s.now()); err != nil {
		return fmt.Errorf("risk: crowd: %w", err)
	}
	set := s.cfg.Rules.Budgeted(func(share float64) float64 { return s.crowd.reachedBy(share, s.now()) })
	s.rules.Store(&set)
	return nil
}
