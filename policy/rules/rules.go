// Package rules turns facts and signals into a decision: an ordered, named,
// versioned set, of which the first rule that holds decides. Deciding is pure,
// so that any stored decision can be derived again from its facts.
//
// It must never gather a fact itself, and a rule that denies must rest on a hard
// fact, never on the score alone.
package rules

import (
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// A Condition says whether a rule is about this attempt; score is the sum of
// the signals' bits.
type Condition func(f policy.Facts, signals []policy.Signal, score float64) bool

// Rule is one line of a set: when it holds, its demand is the decision.
type Rule struct {
	Name string
	When Condition
	Then Demand
}

// Demand is what a rule asks for; all but Outcome and Level count for policy.Require only.
type Demand struct {
	Outcome policy.Outcome
	Level   policy.Level // how unusual it is what the rule is about
	ACR     string
	Methods []string
	MaxAge  time.Duration
}

// Set is an ordered list of rules. Default is the outcome when none holds; a
// set without one lets nobody in.
type Set struct {
	Name    string
	Version string
	Rules   []Rule
	Default policy.Outcome
}

// ID names the set and its version in a decision.
func (s Set) ID() string { return s.Name + "@" + s.Version }

// Allow returns the set that lets everybody in who proved who they are.
func Allow() Set { return Set{Name: "allow", Version: "1", Default: policy.Allow} }

// Decide returns the decision of the first rule that holds.
func Decide(set Set, f policy.Facts, signals []policy.Signal) policy.Decision {
	score := policy.Sum(signals)
	rule := Rule{Name: "default", Then: Demand{Outcome: set.Default}}
	for _, r := range set.Rules {
		if r.When(f, signals, score) {
			rule = r
			break
		}
	}
	d := policy.Decision{
		Outcome:      rule.Then.Outcome,
		Level:        rule.Then.Level,
		Rule:         rule.Name,
		RulesVersion: set.ID(),
		Reasons:      signals,
		Score:        score,
	}
	switch d.Outcome {
	case policy.Require:
		d.ACR, d.Methods, d.MaxAge = rule.Then.ACR, rule.Then.Methods, rule.Then.MaxAge
	case policy.Allow, policy.Deny:
	default:
		d.Outcome = policy.Deny
	}
	return d
}
