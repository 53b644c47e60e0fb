// Package baseline is the scorer of the literature that others are measured against.
package baseline

import (
	"context"
	"math"

	"github.com/doorstep-id/doorstep/policy"
)

// Scorer is the score of Freeman, Jain, Dürmuth, Biggio, Giacinto: "Who Are You? A
// Statistical Approach to Measuring User Authenticity" (NDSS 2016), equation 7, with the
// features, weights and smoothing of Wiefling et al., "Pump Up Password Security!" (ACM
// TOPS 2022), as log2 and in three signals: network, browser, and how active the person
// is. It knows no decay, no cookie and nothing of attackers, and stays as it is: others
// are measured against it.
//
// It counts whole sign-ins, so it wants facts and histories whose counts do not fade;
// with those that do it is the same formula on the faded counts.
type Scorer struct{}

var _ policy.Scorer = Scorer{}

// The codes of its signals.
const (
	NetworkScore  = "BASELINE_NETWORK"
	AgentScore    = "BASELINE_BROWSER"
	ActivityScore = "BASELINE_ACTIVITY"
)

// A weighted feature; the finest is first.
type weighted struct {
	feature policy.Feature
	weight  float64
}

var (
	network = []weighted{{policy.Address, 0.6}, {policy.ASN, 0.3}, {policy.Country, 0.1}}
	agent   = []weighted{
		{policy.Agent, 0.5386653840551359}, {policy.Version, 0.2680451498625666},
		{policy.System, 0.18818295100109536}, {policy.DeviceType, 0.0051065150812021525},
	}
)

// neverSeen is what a value that the person never had is divided by.
const neverSeen = 4

// Score implements [policy.Scorer].
func (Scorer) Score(_ context.Context, dst []policy.Signal, a *policy.Attempt, h *policy.History) ([]policy.Signal, error) {
	if h.SignIns == 0 {
		return append(dst, policy.Signal{Code: policy.FirstLogin}), nil
	}
	n := h.Weight(a.At)
	return append(dst,
		policy.Signal{Code: NetworkScore, Bits: policy.Bits(math.Log2(ratio(network, a, h, n))), N: h.SignIns},
		policy.Signal{Code: AgentScore, Bits: policy.Bits(math.Log2(ratio(agent, a, h, n))), N: h.SignIns},
		policy.Signal{Code: ActivityScore, Bits: policy.Bits(math.Log2(1 / a.Crowd.People / (n / a.Crowd.SignIns))), N: h.SignIns},
	), nil
}

// ratio is p(x)/p(x|u,L) of one feature and its coarser levels.
func ratio(levels []weighted, a *policy.Attempt, h *policy.History, n float64) float64 {
	var local, global float64
	finest, coarser := a.Values[levels[0].feature], 0.0
	with := finest.Coarser
	for i, l := range levels {
		v := &a.Values[l.feature]
		local += float64(l.weight * h.Seen(l.feature, v.Value, a.At) / n)
		if i > 0 {
			coarser += a.Crowd.Distinct[l.feature]
			global += float64(l.weight * v.Count / a.Crowd.SignIns)
			if finest.Coarser == 0 {
				with++
			}
		}
	}
	smoothed := levels[0].weight * max(finest.Count, 1) / (a.Crowd.SignIns + coarser + 1)
	if finest.Count > 0 {
		smoothed = float64(smoothed * finest.Count / (finest.Count + float64(with+1)))
	}
	global += smoothed
	if local == 0 {
		local = global / neverSeen
	}
	return global / local
}
