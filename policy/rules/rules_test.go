package rules_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
)

func forClient(id string) rules.Condition {
	return func(c rules.Case) (bool, error) { return c.Facts.Client == id, nil }
}

func above(bits float64) rules.Condition {
	return func(c rules.Case) (bool, error) { return c.Score > bits, nil }
}

var house = rules.Set{
	Name: "house", Version: "3", Default: policy.Allow,
	Rules: []rules.Rule{
		{"closed", forClient("closed"), rules.Demand{Outcome: policy.Deny, ACR: "aal2"}},
		{"odd", above(4), rules.Demand{Outcome: policy.Require, Level: policy.High, ACR: "aal2", Methods: []string{"otp", "hwk"}, MaxAge: time.Minute}},
		{"never reached by closed", forClient("closed"), rules.Demand{Outcome: policy.Allow}},
	},
}

// TestFirstRuleThatHoldsDecides, and the decision says which it was.
func TestFirstRuleThatHoldsDecides(t *testing.T) {
	odd := []policy.Signal{{Code: "A", Bits: 3}, {Code: "B", Bits: 2}, {Code: "C", Bits: -0.5}}
	for name, tc := range map[string]struct {
		set     rules.Set
		client  string
		signals []policy.Signal
		want    policy.Decision
	}{
		"nothing holds":     {house, "web", nil, policy.Decision{Outcome: policy.Allow, Rule: "default", RulesVersion: "house@3"}},
		"a fact":            {house, "closed", odd, policy.Decision{Outcome: policy.Deny, Rule: "closed", RulesVersion: "house@3", Reasons: odd, Score: 4.5}},
		"a score":           {house, "web", odd, policy.Decision{Outcome: policy.Require, Level: policy.High, ACR: "aal2", Methods: []string{"otp", "hwk"}, MaxAge: time.Minute, Rule: "odd", RulesVersion: "house@3", Reasons: odd, Score: 4.5}},
		"a lower score":     {house, "web", odd[:1], policy.Decision{Outcome: policy.Allow, Rule: "default", RulesVersion: "house@3", Reasons: odd[:1], Score: 3}},
		"the set of today":  {rules.Allow(), "web", odd, policy.Decision{Outcome: policy.Allow, Rule: "default", RulesVersion: "allow@1", Reasons: odd, Score: 4.5}},
		"a set without end": {rules.Set{Name: "empty", Version: "1"}, "web", nil, policy.Decision{Outcome: policy.Deny, Rule: "default", RulesVersion: "empty@1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := rules.Decide(tc.set, policy.Facts{Client: tc.client}, tc.signals)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
