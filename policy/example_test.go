package policy_test

import (
	"context"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// dormancy argues against a person who has not been here for long: whoever
// takes an account over prefers those that nobody watches.
type dormancy struct{ after time.Duration }

func (d dormancy) Score(_ context.Context, dst []policy.Signal, a *policy.Attempt, h *policy.History) ([]policy.Signal, error) {
	away := a.At.Sub(h.LastAt)
	if h.SignIns == 0 || away < d.after {
		return dst, nil
	}
	return append(dst, policy.Signal{
		Code:     "DORMANT",
		Bits:     policy.Bits(1.2),
		Observed: fmt.Sprintf("away for %d days", int(away.Hours()/24)),
		N:        h.SignIns,
	}), nil
}

// A scorer of one's own appends signals. It never decides: rules do.
func ExampleScorer() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	attempt := policy.Attempt{At: now, Facts: policy.Facts{Client: "shop"}}
	history := policy.History{SignIns: 7, LastAt: now.AddDate(0, 0, -200)}

	signals, err := dormancy{after: 180 * 24 * time.Hour}.Score(context.Background(), nil, &attempt, &history)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range signals {
		fmt.Printf("%s %+.2f bits: %s\n", s.Code, s.Bits, s.Observed)
	}
	// Output: DORMANT +1.20 bits: away for 200 days
}
