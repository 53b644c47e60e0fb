package eval

import (
	"context"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/scorers"
)

// Contenders are what tables compare; the first is Doorstep's.
func Contenders() []Contender {
	return []Contender{
		{Name: "chain", Scorer: scorers.NewChain(scorers.DefaultChain())},
		{Name: "baseline", Scorer: scorers.Baseline{}, Timeless: true},
		{Name: "behaviour", Scorer: scorers.Behaviour{}},
		{Name: "new ASN or country", Scorer: newPlace{}},
		{Name: "always", Scorer: always{}},
	}
}

// newPlace is the rule that asks for more where the network or the country is new.
type newPlace struct{}

func (newPlace) Score(_ context.Context, dst []policy.Signal, a *policy.Attempt, h *policy.History) ([]policy.Signal, error) {
	for _, f := range []policy.Feature{policy.Country, policy.ASN} {
		if h.Seen(f, a.Values[f].Value, a.At) == 0 {
			return append(dst, policy.Signal{Code: "NEW_PLACE", Bits: 1}), nil
		}
	}
	return dst, nil
}

// always asks for more.
type always struct{}

func (always) Score(_ context.Context, dst []policy.Signal, _ *policy.Attempt, _ *policy.History) ([]policy.Signal, error) {
	return append(dst, policy.Signal{Code: "ALWAYS", Bits: 1}), nil
}

// without is a scorer whose signals of some codes do not count.
type without struct {
	policy.Scorer
	codes []string
}

func (w without) Score(ctx context.Context, dst []policy.Signal, a *policy.Attempt, h *policy.History) ([]policy.Signal, error) {
	dst, err := w.Scorer.Score(ctx, dst, a, h)
	return slices.DeleteFunc(dst, func(s policy.Signal) bool { return slices.Contains(w.codes, s.Code) }), err
}

// Ablations are chain as it is, and without each of its signals.
func Ablations() []Contender {
	chain := scorers.NewChain(scorers.DefaultChain())
	out := []Contender{{Name: "all", Scorer: chain}}
	for _, less := range []struct {
		name  string
		codes []string
	}{
		{"network", []string{scorers.KnownNetwork, scorers.NewCountry, scorers.NewASN, scorers.NewBlock, scorers.NewAddress}},
		{"browser", []string{scorers.KnownAgent, scorers.NewDeviceType, scorers.NewSystem, scorers.NewBrowser, scorers.NewVersion, scorers.Upgraded, scorers.Downgraded}},
		{"cookie", []string{scorers.DeviceUnknown, scorers.DeviceKnown, scorers.DeviceSecond, scorers.DeviceBound}},
		{"activity", []string{scorers.Activity}},
		{"travel", []string{scorers.ImpossibleTravel}},
		{"hosting", []string{scorers.HostingASN}},
	} {
		out = append(out, Contender{Name: "without " + less.name, Scorer: without{chain, less.codes}})
	}
	return out
}
