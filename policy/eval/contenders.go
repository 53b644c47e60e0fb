package eval

import (
	"context"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/baseline"
	"github.com/doorstep-id/doorstep/policy/behaviour"
	"github.com/doorstep-id/doorstep/policy/chain"
)

// Contenders are what tables compare; the first is Doorstep's.
func Contenders() []Contender {
	return []Contender{
		{Name: "chain", Scorer: chain.New(chain.Defaults())},
		{Name: "baseline", Scorer: baseline.Scorer{}, Timeless: true},
		{Name: "behaviour", Scorer: behaviour.Scorer{}},
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
	whole := chain.New(chain.Defaults())
	out := []Contender{{Name: "all", Scorer: whole}}
	for _, less := range []struct {
		name  string
		codes []string
	}{
		{"network", []string{chain.KnownNetwork, chain.NewCountry, chain.NewASN, chain.NewBlock, chain.NewAddress}},
		{"browser", []string{chain.KnownAgent, chain.NewDeviceType, chain.NewSystem, chain.NewBrowser, chain.NewVersion, chain.Upgraded, chain.Downgraded}},
		{"cookie", []string{chain.DeviceUnknown, chain.DeviceKnown, chain.DeviceSecond, chain.DeviceBound}},
		{"activity", []string{chain.Activity}},
		{"travel", []string{chain.ImpossibleTravel}},
		{"hosting", []string{chain.HostingASN}},
	} {
		out = append(out, Contender{Name: "without " + less.name, Scorer: without{whole, less.codes}})
	}
	return out
}
