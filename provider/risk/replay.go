package risk

import (
	"math"
	"net/netip"
	"slices"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
)

// Again is what a set decides on what a stored decision was made on: its facts and its signals.
// By the set that it was made by it comes out as it was, where levels follow the scores by those
// of then. Addresses are not kept: who was in which zone is known of zones of the same name, and of
// countries.
func Again(set rules.Set, r *policy.Record) policy.Decision {
	if set.Budgets != (rules.Budgets{}) && set.ID() == r.Decision.RulesVersion {
		set.Levels = rules.Levels{Medium: orNever(r.Medium), High: orNever(r.High)}
	}
	facts := r.Facts
	facts.Zones = slices.DeleteFunc(slices.Clone(facts.Zones), func(name string) bool {
		return !slices.ContainsFunc(set.Zones, func(z rules.Zone) bool { return z.Name == name })
	})
	for _, name := range set.ZonesOf(netip.Addr{}, facts.CountryOf, 0, nil) {
		if !slices.Contains(facts.Zones, name) {
			facts.Zones = append(facts.Zones, name)
		}
	}
	d := rules.Decide(set, facts, r.Decision.Reasons)
	if everyScorerFailed(r) {
		stepUp(&d)
	}
	d.ID = r.Decision.ID
	return d
}

func orNever(score *float64) float64 {
	if score == nil {
		return math.Inf(1)
	}
	return *score
}

func everyScorerFailed(r *policy.Record) bool {
	return len(r.Scorers) > 0 && !slices.ContainsFunc(r.Scorers, func(id string) bool {
		return !slices.ContainsFunc(r.Decision.Reasons, func(s policy.Signal) bool {
			return s.Source == id && (s.Code == ScorerFailed || s.Code == ScorerTimeout)
		})
	})
}
