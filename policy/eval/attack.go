package eval

import (
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// An Attacker knows somebody's password and signs in as them.
type Attacker struct {
	Name, About string
	attempt     func(x *attack) Visit
	// before is what was learned of the attacker as if it were the person; nil for nothing.
	before func(x *attack) []Visit
}

// attack is what an attacker has to go by.
type attack struct {
	d       draws
	net     *networks
	last    *Visit // of the person
	fashion *Visit // of somebody, of late
	at      time.Time
}

// from is an attempt from a spot with the device of a visit.
func (x *attack) from(s spot, with *Visit) Visit {
	v := Visit{Person: x.last.Person, At: x.at, Tier: policy.TierNone, Release: with.Release}
	for _, f := range append([]policy.Feature{policy.Agent}, agentChain[:]...) {
		v.Values[f] = with.Values[f]
	}
	s.put(&v)
	return v
}

var agentChain = policy.AgentChain()

// sameNetwork is another spot of the network that the person came from last.
func (x *attack) sameNetwork() spot { return x.net.spotIn(x.last.from.network) }

// Attackers are those that scorers are measured against, from the one who knows nothing
// of the person to the one who has their cookie.
func Attackers() []Attacker {
	return []Attacker{
		{Name: "naive", About: "a machine anywhere, a common browser", attempt: func(x *attack) Visit {
			return x.from(x.net.spotIn(x.net.machineIn(1+x.net.country()%(countries-1))), x.fashion)
		}},
		{Name: "vpn", About: "a machine or a home in the person's country, a common browser", attempt: func(x *attack) Visit {
			w := x.net.homeIn(x.last.from.country)
			if x.d.chance(0.5) {
				w = x.net.machineIn(x.last.from.country)
			}
			return x.from(x.net.spotIn(w), x.fashion)
		}},
		{Name: "proxy", About: "a home in the person's country, behind a residential proxy, a browser like theirs", attempt: func(x *attack) Visit {
			v := x.from(x.net.spotIn(x.net.homeIn(x.last.from.country)), x.fashion)
			v.Values[policy.DeviceType] = x.last.Values[policy.DeviceType]
			return v
		}},
		{Name: "targeted", About: "the person's network, their kind of browser, half the time its very version", attempt: func(x *attack) Visit {
			v := x.from(x.sameNetwork(), x.last)
			if x.d.chance(0.5) {
				v.Release--
				v.Values[policy.Version] ^= 0xABCDEF00
				v.Values[policy.Agent] ^= 0xABCDEF00
			}
			return v
		}},
		{Name: "same browser", About: "the person's network and their very browser", attempt: func(x *attack) Visit {
			return x.from(x.sameNetwork(), x.last)
		}},
		{Name: "own network", About: "the person's own address, a common browser", attempt: func(x *attack) Visit {
			return x.from(x.last.from, x.fashion)
		}},
		{Name: "poisoner", About: "as targeted, and was let in twice from there before", attempt: func(x *attack) Visit {
			return x.from(x.sameNetwork(), x.last)
		}, before: func(x *attack) []Visit {
			one, two := x.from(x.sameNetwork(), x.last), x.from(x.sameNetwork(), x.last)
			one.At, two.At = x.at.Add(-2*day), x.at.Add(-day)
			return []Visit{one, two}
		}},
		{Name: "thief", About: "a machine in the person's country, with their very browser and its cookie", attempt: func(x *attack) Visit {
			v := x.from(x.net.spotIn(x.net.machineIn(x.last.from.country)), x.last)
			v.Tier, v.Values[policy.Device] = policy.TierCookie, x.last.Values[policy.Device]
			return v
		}},
	}
}
