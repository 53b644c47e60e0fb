package baseline

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// signIn is a row of a log, as the reference reads it.
type signIn struct {
	person                                                  int
	address, asn, country, agent, version, system, deviceOf uint64
}

// slow is the reference's algorithm, by counting a whole log anew for each attempt.
type slow []signIn

func (log slow) count(is func(signIn) bool) (n float64) {
	for _, s := range log {
		if is(s) {
			n++
		}
	}
	return n
}

func (log slow) distinct(of func(signIn) uint64) float64 {
	seen := map[uint64]bool{}
	for _, s := range log {
		seen[of(s)] = true
	}
	return float64(len(seen))
}

// coarserOf is how many values of the coarser columns were seen beside a value.
func (log slow) coarserOf(finest func(signIn) uint64, v uint64, coarser []func(signIn) uint64) (n float64) {
	for _, of := range coarser {
		seen := map[uint64]bool{}
		for _, s := range log {
			if finest(s) == v {
				seen[of(s)] = true
			}
		}
		n += float64(len(seen))
	}
	return n
}

func (log slow) feature(x signIn, columns []func(signIn) uint64, weights []float64) float64 {
	n := float64(len(log))
	mine := log.count(func(s signIn) bool { return s.person == x.person })
	var local, global float64
	m := 1.0
	for l, of := range columns {
		local += weights[l] * log.count(func(s signIn) bool { return s.person == x.person && of(s) == of(x) }) / mine
		if l > 0 {
			m += log.distinct(of)
			global += weights[l] * log.count(func(s signIn) bool { return of(s) == of(x) }) / n
		}
	}
	seen := log.count(func(s signIn) bool { return columns[0](s) == columns[0](x) })
	if seen > 0 { // smoothed: what is left for values that were never seen
		beside := log.coarserOf(columns[0], columns[0](x), columns[1:]) + 1
		global += weights[0] * (seen / (seen + beside)) * (seen / n) * (1 - m/(n+m))
	} else {
		global += weights[0] / (n + m)
	}
	if local == 0 {
		return 4
	}
	return global / local
}

func (log slow) score(x signIn) float64 {
	places := log.feature(x, []func(signIn) uint64{
		func(s signIn) uint64 { return s.address }, func(s signIn) uint64 { return s.asn }, func(s signIn) uint64 { return s.country },
	}, []float64{0.6, 0.3, 0.1})
	programs := log.feature(x, []func(signIn) uint64{
		func(s signIn) uint64 { return s.agent }, func(s signIn) uint64 { return s.version },
		func(s signIn) uint64 { return s.system }, func(s signIn) uint64 { return s.deviceOf },
	}, []float64{0.5386653840551359, 0.2680451498625666, 0.18818295100109536, 0.0051065150812021525})
	people := log.distinct(func(s signIn) uint64 { return uint64(s.person) })
	mine := log.count(func(s signIn) bool { return s.person == x.person })
	return places * programs * (1 / people) / (mine / float64(len(log)))
}

// TestBaselineIsTheReference: to 1e-12 of an implementation that shares nothing with it
// and counts the log for each attempt. The signals are that, rounded to 2^-20 bit.
func TestBaselineIsTheReference(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var (
		log       slow
		histories = map[int]policy.History{}
		counts    = [policy.Features]map[uint64]float64{}
		compared  = 0
	)
	for f := range counts {
		counts[f] = map[uint64]float64{}
	}
	for range 1500 {
		country := uint64(1 + r.IntN(4))
		asn := country*10 + uint64(r.IntN(4))
		kind := uint64(1 + r.IntN(3))
		system := kind*10 + uint64(r.IntN(3))
		version := system*10 + uint64(r.IntN(3))
		x := signIn{
			person: r.IntN(60), country: country, asn: asn, address: asn*10 + uint64(r.IntN(3)),
			deviceOf: kind, system: system, version: version, agent: version*10 + uint64(r.IntN(2)),
		}
		values := map[policy.Feature]uint64{
			policy.Country: x.country, policy.ASN: x.asn, policy.Address: x.address,
			policy.DeviceType: x.deviceOf, policy.System: x.system, policy.Version: x.version, policy.Agent: x.agent,
		}
		a := policy.Attempt{At: at}
		a.Crowd.SignIns, a.Crowd.People = float64(len(log)), float64(len(histories))
		for f, v := range values {
			a.Values[f] = policy.Seen{Value: policy.Hash(v), Count: counts[f][v]}
			a.Crowd.Distinct[f] = float64(len(counts[f]))
		}
		h := histories[x.person]
		if h.SignIns > 0 && h.SignIns <= 5 { // as long as the person's memory holds every value
			want := log.score(x)
			n := h.Weight(at)
			got := ratio(network, &a, &h, n) * ratio(agent, &a, &h, n) / a.Crowd.People / (n / a.Crowd.SignIns)
			if math.Abs(got-want) > 1e-12*want {
				t.Fatalf("sign-in %d: %v, want %v", len(log), got, want)
			}
			signals, err := Scorer{}.Score(t.Context(), nil, &a, &h)
			if err != nil {
				t.Fatal(err)
			}
			if sum := policy.Sum(signals); math.Abs(sum-math.Log2(want)) > 3.0/(1<<20) {
				t.Fatalf("sign-in %d: %v bits, want %v", len(log), sum, math.Log2(want))
			}
			compared++
		}
		log = append(log, x)
		histories[x.person] = h.Learn(a)
		for f, v := range values {
			counts[f][v]++
		}
	}
	if compared < 200 {
		t.Errorf("only %d were compared", compared)
	}
}
