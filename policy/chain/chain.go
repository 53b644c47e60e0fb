// Package chain is the scorer that Doorstep uses: it goes down two chains, of where an
// attempt comes from and of what it is made with, from coarse to fine.
package chain

import (
	"context"
	"math"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// Params are the numbers of [Scorer]; [Defaults] has those that were chosen.
type Params struct {
	Network, Agent LevelParams
	Device         DeviceParams
	// Upgrade is how often somebody's known browser has a version that is newer than any
	// that they used before; Downgrade how often an older one that they never used.
	Upgrade, Downgrade float64
	// Bits of what stands alone, or the most of what grows.
	Travel, Hosting, Anonymous, Breached, Burst, Failures, Activity float64
}

// LevelParams are the numbers of one chain, coarse to fine.
type LevelParams struct {
	// Back is how many sign-ins the guess from the coarser level weighs.
	Back [4]float64
	// Global is the share of attackers who know nothing of the person; Copies that of those
	// who are like the person down to that level, and like anybody below it. They sum to 1.
	Global float64
	Copies [4]float64
	// Spread is the share of attackers who take any of the coarsest values there are, be it
	// common or not; the others are spread as everybody is.
	Spread float64
}

// DeviceParams say how often the tiers are seen: in people who come back after a short
// while, and in attackers. What a browser knows is lost the more often the longer
// somebody was away.
type DeviceParams struct {
	Lost     float64 // of the person's own browsers have no cookie, after no time at all
	LostDays float64 // after so many days, as many again have lost theirs as a share of 1-1/e
	// Thief is the share of attackers who have the person's cookie; ThiefSecond that of
	// those who have one that was given a second factor; ThiefBound the machine itself.
	Thief, ThiefSecond, ThiefBound float64
}

// Defaults returns the numbers that Doorstep uses: docs/risk-evaluation.md tells
// how they were chosen.
func Defaults() Params {
	return Params{
		Network:   LevelParams{Back: [4]float64{0.5, 0.5, 0.5, 0.7}, Global: 0.5, Copies: [4]float64{0.28, 0.18, 0.03, 0.01}, Spread: 0.3},
		Agent:     LevelParams{Back: [4]float64{0.3, 0.5, 0.7, 0.7}, Global: 0.4, Copies: [4]float64{0.2, 0.2, 0.1, 0.1}},
		Device:    DeviceParams{Lost: 0.1, LostDays: 700, Thief: 0.002, ThiefSecond: 0.001, ThiefBound: 0.0002},
		Upgrade:   0.35,
		Downgrade: 0.02,
		Travel:    2, Hosting: 1, Anonymous: 3, Breached: 1.5, Burst: 4, Failures: 3, Activity: 2,
	}
}

// Scorer compares an attempt with what is remembered of its person, from coarse to fine:
// country, network, block, address; kind of device, system, browser, version. How likely
// a value is for the person is counted, and where little was counted it is guessed from
// the coarser level and from everybody's sign-ins; how likely it is for somebody else is
// a mixture of those who know nothing of the person and of those who know the person's
// country, network or browser, and copy that. Beside them stands what the browser's
// cookie proves, and what is odd by itself.
//
// Values that are not known say nothing. It allocates nothing where dst has room.
type Scorer struct{ p Params }

var _ policy.Scorer = (*Scorer)(nil)

// New returns the scorer with these numbers.
func New(p Params) *Scorer { return &Scorer{p} }

// Score implements [policy.Scorer].
func (c *Scorer) Score(_ context.Context, dst []policy.Signal, a *policy.Attempt, h *policy.History) ([]policy.Signal, error) {
	if h.SignIns == 0 {
		dst = append(dst, policy.Signal{Code: policy.FirstLogin})
	} else {
		dst = append(dst, c.network(a, h), c.agent(a, h), c.device(a, h), c.activity(a, h))
		dst = c.travel(dst, a, h)
	}
	return c.alone(dst, a, h), nil
}

// A step is what one chain comes to.
type step struct {
	bits   float64
	finest int // the finest level that is known of the attempt, -1 for none
	novel  int // the coarsest level that is new to the person, -1 for none
}

// walk goes down a chain. own, if there is any, says how likely a level's value is for the
// person, who was seen with it so often, where it is as likely for anybody as cond says, and
// for them as the guess that was made.
func walk(chain [4]policy.Feature, p *LevelParams, a *policy.Attempt, h *policy.History, own func(level int, seen, cond, guess float64) float64) step {
	s := step{finest: -1, novel: -1}
	weight, crowd := h.Weight(a.At), a.Crowd.SignIns
	pu, below := 1.0, [4]float64{1, 1, 1, 1} // how likely everything finer is, for anybody
	copied, global := [4]float64{}, 1.0
	userBefore, crowdBefore := weight, crowd
	for l := range 4 {
		f := chain[l]
		seen := &a.Values[f]
		if seen.Value == 0 {
			copied[l] = -1
			continue
		}
		cond := conditional(seen.Count, crowdBefore)
		user := min(h.Seen(f, seen.Value, a.At), userBefore)
		if s.finest = l; user == 0 && s.novel < 0 {
			s.novel = l
		}
		guess := (user + float64(p.Back[l]*cond)) / (userBefore + p.Back[l])
		if own != nil {
			guess = own(l, user, cond, guess)
		}
		pu = float64(pu * guess)
		theirs := cond
		if all := a.Crowd.Distinct[f]; l == 0 && all > 0 {
			theirs = float64((1-p.Spread)*cond) + p.Spread/all
		}
		global = float64(global * theirs)
		for finer := range l {
			below[finer] = float64(below[finer] * theirs)
		}
		if user > 0 {
			copied[l] = user / weight
		}
		userBefore, crowdBefore = user, seen.Count
	}
	if s.finest < 0 {
		return s
	}
	attacker, shares := float64(p.Global*global), p.Global
	for l := range chain {
		if copied[l] >= 0 {
			attacker += float64(float64(p.Copies[l]*copied[l]) * below[l])
			shares += p.Copies[l]
		}
	}
	s.bits = math.Log2(attacker / shares / pu)
	return s
}

// conditional is how likely a value is for anybody who has the coarser one: count of
// before sign-ins, and some for values that were never seen.
func conditional(count, before float64) float64 {
	return min(1, (count+0.5)/(before+float64(0.5*math.Sqrt(before+1))+1))
}

var (
	newNetwork = [4]string{NewCountry, NewASN, NewBlock, NewAddress}
	newAgent   = [4]string{NewDeviceType, NewSystem, NewBrowser, NewVersion}
)

func (c *Scorer) network(a *policy.Attempt, h *policy.History) policy.Signal {
	return signal(walk(policy.NetworkChain(), &c.p.Network, a, h, nil), policy.NetworkChain(), KnownNetwork, &newNetwork, h)
}

// newer is the share of everybody's versions of a browser that those who are newer than
// anybody's last one are among: most browsers renew themselves.
const newer = 0.7

func (c *Scorer) agent(a *policy.Attempt, h *policy.History) policy.Signal {
	const version = 3
	moved := ""
	s := walk(policy.AgentChain(), &c.p.Agent, a, h, func(level int, seen, cond, guess float64) float64 {
		if level != version || seen > 0 || a.Release == 0 {
			return guess
		}
		switch newest := h.Release(a.Values[policy.Browser].Value, a.At); {
		case newest == 0:
			return guess
		case a.Release > newest:
			moved = Upgraded
			return max(guess, float64(c.p.Upgrade*min(1, cond/newer)))
		case a.Release < newest:
			moved = Downgraded
			return min(guess, float64(c.p.Downgrade*cond))
		}
		return guess
	})
	out := signal(s, policy.AgentChain(), KnownAgent, &newAgent, h)
	if moved != "" {
		out.Code = moved
	}
	return out
}

// signal tells of a chain.
func signal(s step, chain [4]policy.Feature, known string, novel *[4]string, h *policy.History) policy.Signal {
	out := policy.Signal{Code: known, Bits: policy.Bits(s.bits), N: h.SignIns}
	switch {
	case s.novel >= 0:
		out.Code, out.Level = novel[s.novel], chain[s.novel].String()
	case s.finest >= 0:
		out.Level = chain[s.finest].String()
	}
	return out
}

// device weighs what the browser's cookie proves. Who was away for long may have lost it.
func (c *Scorer) device(a *policy.Attempt, h *policy.History) policy.Signal {
	p := &c.p.Device
	away := max(0, a.At.Sub(h.LastAt).Hours()/24)
	lost := 1 - float64((1-p.Lost)*math.Exp(-away/p.LostDays))
	out := policy.Signal{Level: string(a.DeviceTier), N: h.SignIns}
	var person, thief float64
	switch a.DeviceTier {
	case policy.TierCookie:
		out.Code, person, thief = DeviceKnown, 1-lost, p.Thief
	case policy.TierSecond:
		out.Code, person, thief = DeviceSecond, 1-lost, p.ThiefSecond
	case policy.TierPasskey:
		out.Code, person, thief = DeviceBound, 1-lost, p.ThiefBound
	default:
		out.Code, person, thief = DeviceUnknown, lost, 1-p.Thief
	}
	out.Bits = policy.Bits(math.Log2(thief / person))
	return out
}

// activity is for how many sign-ins are remembered of the person, where everybody else has
// so many: an attacker takes any account, while sign-ins are mostly of those who come often.
func (c *Scorer) activity(a *policy.Attempt, h *policy.History) policy.Signal {
	out := policy.Signal{Code: Activity, N: h.SignIns}
	if a.Crowd.People > 0 && a.Crowd.SignIns > 0 {
		bits := math.Log2(a.Crowd.SignIns / a.Crowd.People / max(h.Weight(a.At), 1.0/16))
		out.Bits = policy.Bits(min(max(bits, -c.p.Activity), c.p.Activity))
	}
	return out
}

// The journeys that nobody makes: so fast, and so far that no error of the places explains it.
const (
	impossibleSpeed = 1000 // km/h
	impossibleWay   = 100  // km
)

// travel is for a journey that nobody makes, between places that are not both the
// person's, unless it is a machine's network: those are anywhere.
func (c *Scorer) travel(dst []policy.Signal, a *policy.Attempt, h *policy.History) []policy.Signal {
	here, ok := policy.PointOf(a.Values[policy.Place].Value)
	there, known := h.LastPoint(a.At)
	if !ok || !known || a.Hosting || a.Anonymous || h.Seen(policy.Place, a.Values[policy.Place].Value, a.At) > 0 {
		return dst
	}
	km := here.Kilometres(there)
	if km <= impossibleWay || policy.Speed(km, a.At.Sub(h.LastAt)) <= impossibleSpeed {
		return dst
	}
	return append(dst, policy.Signal{Code: ImpossibleTravel, Bits: policy.Bits(c.p.Travel), N: 1})
}

// dormantAfter is when a person who comes back is said to have been away.
const dormantAfter = 180 * 24 * time.Hour

// alone is what is odd whoever the person is.
func (c *Scorer) alone(dst []policy.Signal, a *policy.Attempt, h *policy.History) []policy.Signal {
	known := h.SignIns > 0 && h.Seen(policy.ASN, a.Values[policy.ASN].Value, a.At) > 0
	if a.Anonymous && !known {
		dst = append(dst, policy.Signal{Code: AnonymousNetwork, Bits: policy.Bits(c.p.Anonymous)})
	} else if a.Hosting && !known {
		dst = append(dst, policy.Signal{Code: HostingASN, Bits: policy.Bits(c.p.Hosting)})
	}
	if a.Burst > 0 {
		dst = append(dst, policy.Signal{Code: SprayBurst, Bits: policy.Bits(growing(a.Burst, c.p.Burst)), N: int64(a.Burst)})
	}
	if a.Failures > 0 {
		dst = append(dst, policy.Signal{Code: AccountFailures, Bits: policy.Bits(growing(a.Failures, c.p.Failures)), N: int64(a.Failures)})
	}
	if a.Breached {
		dst = append(dst, policy.Signal{Code: PasswordBreached, Bits: policy.Bits(c.p.Breached)})
	}
	if h.SignIns > 0 && a.At.Sub(h.LastAt) > dormantAfter {
		// What that changes is in the other signals already: less is remembered.
		dst = append(dst, policy.Signal{Code: Dormant, N: int64(a.At.Sub(h.LastAt).Hours() / 24)})
	}
	return dst
}

// growing is half a bit for each doubling, up to most.
func growing(n int, most float64) float64 { return min(most, math.Log2(1+float64(n))/2) }
