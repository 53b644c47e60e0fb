package chain_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/baseline"
	"github.com/doorstep-id/doorstep/policy/behaviour"
	"github.com/doorstep-id/doorstep/policy/chain"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// home is an attempt as a person makes it who is at home.
func home() policy.Attempt {
	a := policy.Attempt{At: noon, Facts: policy.Facts{DeviceTier: policy.TierCookie, Release: 120}}
	for f, v := range map[policy.Feature]policy.Seen{
		policy.Country: {Value: 1, Count: 60_000}, policy.ASN: {Value: 11, Count: 9000}, policy.Block: {Value: 111, Count: 40}, policy.Address: {Value: 1111, Count: 10},
		policy.DeviceType: {Value: 2, Count: 50_000}, policy.System: {Value: 22, Count: 30_000}, policy.Browser: {Value: 222, Count: 20_000}, policy.Version: {Value: 2222, Count: 8000},
	} {
		a.Values[f] = v
	}
	a.Crowd.SignIns, a.Crowd.People = 100_000, 30_000
	copy(a.Crowd.Distinct[:], []float64{policy.Country: 90, policy.ASN: 1500, policy.Block: 12_000, policy.Address: 40_000, policy.DeviceType: 3, policy.System: 40, policy.Browser: 200, policy.Version: 1200})
	return a
}

// with is home with changes.
func with(change func(a *policy.Attempt)) policy.Attempt {
	a := home()
	change(&a)
	return a
}

// elsewhere changes a chain from one feature down.
func elsewhere(a *policy.Attempt, from policy.Feature, of [4]policy.Feature) {
	for i, f := range of[slices.Index(of[:], from):] {
		a.Values[f] = policy.Seen{Value: policy.Hash(9000 + 10*int(f) + i), Count: a.Values[f].Count / 500}
	}
}

func regular(n int) policy.History {
	var h policy.History
	for i := range n {
		a := home()
		a.At = noon.Add(-time.Duration(n-i) * day)
		h = h.Learn(a)
	}
	return h
}

func score(t testing.TB, s policy.Scorer, a policy.Attempt, h policy.History) (float64, map[string]policy.Signal) {
	t.Helper()
	signals, err := s.Score(context.Background(), nil, &a, &h)
	if err != nil {
		t.Fatal(err)
	}
	byCode := map[string]policy.Signal{}
	for _, one := range signals {
		if one.Bits != policy.Bits(one.Bits) {
			t.Errorf("%s: %v bits are not rounded", one.Code, one.Bits)
		}
		if _, twice := byCode[one.Code]; twice {
			t.Errorf("%s stands there twice", one.Code)
		}
		byCode[one.Code] = one
	}
	return policy.Sum(signals), byCode
}

// TestChainOrdersAttempts: the farther from what is remembered, the more bits.
func TestChainOrdersAttempts(t *testing.T) {
	scorer, h := chain.New(chain.Defaults()), regular(8)
	network, agent := policy.NetworkChain(), policy.AgentChain()
	upgraded := func(a *policy.Attempt) { elsewhere(a, policy.Version, agent); a.Release = 121 }
	for _, row := range [][]struct {
		name   string
		code   string
		change func(a *policy.Attempt)
	}{
		{
			{"at home", chain.KnownNetwork, func(*policy.Attempt) {}},
			{"another address", chain.NewAddress, func(a *policy.Attempt) { elsewhere(a, policy.Address, network) }},
			{"another block", chain.NewBlock, func(a *policy.Attempt) { elsewhere(a, policy.Block, network) }},
			{"another network", chain.NewASN, func(a *policy.Attempt) { elsewhere(a, policy.ASN, network) }},
			{"another country", chain.NewCountry, func(a *policy.Attempt) { elsewhere(a, policy.Country, network) }},
		},
		{
			{"the same browser", chain.KnownAgent, func(*policy.Attempt) {}},
			{"a newer one", chain.Upgraded, upgraded},
			{"one of unknown version", chain.NewVersion, func(a *policy.Attempt) { elsewhere(a, policy.Version, agent); a.Release = 0 }},
			{"another browser", chain.NewBrowser, func(a *policy.Attempt) { elsewhere(a, policy.Browser, agent) }},
			{"another system", chain.NewSystem, func(a *policy.Attempt) { elsewhere(a, policy.System, agent) }},
		},
		{
			{"a newer browser", chain.Upgraded, upgraded},
			{"an older one", chain.Downgraded, func(a *policy.Attempt) { elsewhere(a, policy.Version, agent); a.Release = 119 }},
		},
		{
			{"this very machine", chain.DeviceBound, func(a *policy.Attempt) { a.DeviceTier = policy.TierPasskey }},
			{"a second factor in it", chain.DeviceSecond, func(a *policy.Attempt) { a.DeviceTier = policy.TierSecond }},
			{"its cookie", chain.DeviceKnown, func(*policy.Attempt) {}},
			{"no cookie", chain.DeviceUnknown, func(a *policy.Attempt) { a.DeviceTier = policy.TierNone }},
		},
		{
			{"a password nobody knows", chain.KnownNetwork, func(*policy.Attempt) {}},
			{"a breached one", chain.PasswordBreached, func(a *policy.Attempt) { a.Breached = true }},
		},
		{
			{"a few wrong ones before", chain.AccountFailures, func(a *policy.Attempt) { a.Failures = 2 }},
			{"many", chain.AccountFailures, func(a *policy.Attempt) { a.Failures = 30 }},
		},
		{
			{"a calm neighbourhood", chain.KnownNetwork, func(*policy.Attempt) {}},
			{"one that tries some people", chain.SprayBurst, func(a *policy.Attempt) { a.Burst = 5 }},
			{"one that tries many", chain.SprayBurst, func(a *policy.Attempt) { a.Burst = 500 }},
		},
	} {
		last := 0.0
		for i, one := range row {
			bits, signals := score(t, scorer, with(one.change), h)
			if _, ok := signals[one.code]; !ok {
				t.Errorf("%s: %v, want %s", one.name, signals, one.code)
			}
			if i > 0 && bits <= last {
				t.Errorf("%s has %.2f bits, %s has %.2f", one.name, bits, row[i-1].name, last)
			}
			last = bits
		}
	}
}

// TestWhatIsNotKnownSaysNothing: without a map of the networks, of a program without a
// name, or of a place that nobody knows.
func TestWhatIsNotKnownSaysNothing(t *testing.T) {
	scorer := chain.New(chain.Defaults())
	for name, h := range map[string]policy.History{"remembered": regular(8), "never known either": func() policy.History {
		var h policy.History
		for range 8 {
			h = h.Learn(policy.Attempt{At: noon.Add(-day)})
		}
		return h
	}()} {
		_, signals := score(t, scorer, with(func(a *policy.Attempt) { a.Values = [policy.Features]policy.Seen{} }), h)
		for _, code := range []string{chain.KnownNetwork, chain.KnownAgent} {
			if s, ok := signals[code]; !ok || s.Bits != 0 || s.Level != "" {
				t.Errorf("%s: %s is %+v, want no bits", name, code, s)
			}
		}
	}
	known, _ := score(t, scorer, with(func(a *policy.Attempt) { a.Values[policy.Country].Value, a.Values[policy.ASN].Value = 0, 0 }), regular(8))
	other, signals := score(t, scorer, with(func(a *policy.Attempt) {
		a.Values[policy.Country].Value, a.Values[policy.ASN].Value = 0, 0
		elsewhere(a, policy.Block, policy.NetworkChain())
	}), regular(8))
	if known >= other || signals[chain.NewBlock].Level != "block" {
		t.Errorf("a known block without a map has %v bits, another one %v: %v", known, other, signals)
	}
}

// TestAFirstSignInIsNoSign, neither for the person nor against them; what is odd by itself is.
func TestAFirstSignInIsNoSign(t *testing.T) {
	for _, s := range []policy.Scorer{chain.New(chain.Defaults()), baseline.Scorer{}, behaviour.Scorer{}} {
		if bits, signals := score(t, s, home(), policy.History{}); bits != 0 || len(signals) != 1 || signals[policy.FirstLogin].Code == "" {
			t.Errorf("%T: %v bits of %v", s, bits, signals)
		}
	}
	bits, _ := score(t, chain.New(chain.Defaults()), with(func(a *policy.Attempt) { a.Burst, a.Anonymous = 100, true }), policy.History{})
	if bits < 5 {
		t.Errorf("amid a burst, from a hidden network: %v bits", bits)
	}
}

// TestOneSignInWithItsCookieIsEnough: the typical person signs in twice.
func TestOneSignInWithItsCookieIsEnough(t *testing.T) {
	scorer := chain.New(chain.Defaults())
	network := func(a *policy.Attempt) { elsewhere(a, policy.Country, policy.NetworkChain()) }
	if bits, _ := score(t, scorer, with(network), regular(1)); bits > 0 {
		t.Errorf("another country with the browser of the first time: %v bits", bits)
	}
	stranger := func(a *policy.Attempt) {
		network(a)
		elsewhere(a, policy.System, policy.AgentChain())
		a.DeviceTier = policy.TierNone
	}
	if bits, _ := score(t, scorer, with(stranger), regular(1)); bits < 3 {
		t.Errorf("all is new: %v bits", bits)
	}
}

// TestWhoWasAwayMayHaveLostTheCookie: its absence says less, its presence no less.
func TestWhoWasAwayMayHaveLostTheCookie(t *testing.T) {
	scorer, h := chain.New(chain.Defaults()), regular(8)
	last := 10.0
	for _, days := range []int{1, 30, 200, 390} {
		_, signals := score(t, scorer, with(func(a *policy.Attempt) {
			a.DeviceTier, a.At = policy.TierNone, noon.Add(time.Duration(days)*day)
		}), h)
		bits := signals[chain.DeviceUnknown].Bits
		if bits >= last || bits <= 0 {
			t.Errorf("after %d days: %v bits, want less than %v", days, bits, last)
		}
		last = bits
		if _, ok := signals[chain.Dormant]; ok != (days > 180) {
			t.Errorf("after %d days: %v", days, signals)
		}
	}
}

// TestJourneysThatNobodyMakes count by both their speed and their way, and not for machines.
func TestJourneysThatNobodyMakes(t *testing.T) {
	scorer := chain.New(chain.Defaults())
	oslo, bergen, auckland, drammen := policy.Point{Lat: 5991, Lon: 1075}, policy.Point{Lat: 6039, Lon: 532}, policy.Point{Lat: -3685, Lon: 17476}, policy.Point{Lat: 5974, Lon: 1020}
	at := func(p policy.Point, after time.Duration) policy.Attempt {
		return with(func(a *policy.Attempt) {
			a.Values[policy.Place].Value = p.Hash()
			a.At = noon.Add(after)
		})
	}
	h := policy.History{}.Learn(at(auckland, -9*day)).Learn(at(oslo, 0))
	for name, tc := range map[string]struct {
		a    policy.Attempt
		want bool
	}{
		"across the country in ten minutes": {at(bergen, 10*time.Minute), true},
		"in an hour":                        {at(bergen, time.Hour), false},
		"to the next town at once":          {at(drammen, 0), false},
		"to a place that is theirs":         {at(auckland, time.Hour), false},
		"through a machine's network":       {func() policy.Attempt { a := at(bergen, time.Minute); a.Hosting = true; return a }(), false},
	} {
		if _, signals := score(t, scorer, tc.a, h); (signals[chain.ImpossibleTravel].Code != "") != tc.want {
			t.Errorf("%s: %v", name, signals)
		}
	}
}

// crowded is a person with as much to remember as there may be, and their attempts.
func crowded() (policy.History, []policy.Attempt) {
	r := rand.New(rand.NewPCG(3, 5))
	var (
		h        policy.History
		attempts []policy.Attempt
	)
	for i := range 512 {
		a := home()
		a.At = noon.Add(time.Duration(i) * time.Hour)
		for f := range a.Values {
			a.Values[f].Value = policy.Hash(1 + r.IntN(15))
			a.Values[f].Count = float64(r.IntN(10_000))
		}
		a.Values[policy.Place].Value = policy.Point{Lat: int16(r.IntN(9000)), Lon: int16(r.IntN(9000))}.Hash()
		a.Failures, a.Burst, a.Hosting = r.IntN(3), r.IntN(3), r.IntN(4) == 0
		h = h.Learn(a)
		attempts = append(attempts, a)
	}
	return h, attempts
}

// TestScoringAllocatesNothing where there is room for the signals.
func TestScoringAllocatesNothing(t *testing.T) {
	h, attempts := crowded()
	room := make([]policy.Signal, 0, 16)
	for _, s := range []policy.Scorer{chain.New(chain.Defaults()), baseline.Scorer{}, behaviour.Scorer{}} {
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := s.Score(context.Background(), room, &attempts[i%len(attempts)], &h); err != nil {
				t.Fatal(err)
			}
			i++
		}); n != 0 {
			t.Errorf("%T: %v allocations a score", s, n)
		}
	}
}

// BenchmarkChainScore reports p50 and p99 too, in nanoseconds.
func BenchmarkChainScore(b *testing.B) {
	h, attempts := crowded()
	scorer := chain.New(chain.Defaults())
	room := make([]policy.Signal, 0, 16)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := scorer.Score(context.Background(), room, &attempts[i%len(attempts)], &h); err != nil {
			b.Fatal(err)
		}
	}
	took := make([]time.Duration, 20_000)
	for i := range took {
		began := time.Now()
		_, _ = scorer.Score(context.Background(), room, &attempts[i%len(attempts)], &h)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
