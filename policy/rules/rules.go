// Package rules turns facts and signals into a decision: an ordered, named,
// versioned set, of which the first rule that holds decides. Deciding is pure,
// so that any stored decision can be derived again from its facts.
//
// It must never gather a fact itself, and a rule that denies must rest on a hard
// fact, never on the score: [Parse] refuses one that does.
package rules

import (
	"cmp"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// Case is what a condition may look at.
type Case struct {
	Facts   *policy.Facts
	Signals []policy.Signal
	Score   float64 // the sum of the signals' bits
	Level   policy.Level
}

// A Condition says whether a rule is about this attempt. Where it cannot say, nobody is
// let in for that: see [Decide].
type Condition func(Case) (bool, error)

// Rule is one line of a set: when it holds, its demand is the decision.
type Rule struct {
	Name string
	When Condition
	Then Demand
}

// Demand is what a rule asks for; all but Outcome and Level count for policy.Require only.
type Demand struct {
	Outcome policy.Outcome
	Level   policy.Level // how unusual it is what the rule is about; "" for what the score says
	ACR     string
	Methods []string
	MaxAge  time.Duration
}

// Levels are the scores from which an attempt is more than a low one, in bits. The zero
// Levels call nothing by a level.
type Levels struct{ Medium, High float64 }

// Of is the level of a score. Who was never here is not low in silence.
func (l Levels) Of(score float64, firstTime bool) policy.Level {
	switch {
	case l == Levels{}:
		return ""
	case score >= l.High:
		return policy.High
	case score >= l.Medium || firstTime:
		return policy.Medium
	}
	return policy.Low
}

// Budgets are the shares of the sign-ins of those who are known that reach the levels, where
// these are said so; 0 for one that is not.
type Budgets struct{ Medium, High float64 }

// Set is an ordered list of rules. Default is the outcome when none holds; a
// set without one lets nobody in.
type Set struct {
	Name    string
	Version string
	Zones   []Zone
	Levels  Levels
	Budgets Budgets // by which levels follow the scores: see [Set.Budgeted]
	Rules   []Rule
	Default policy.Outcome
	// Places says that the set asks where addresses are: without a database of that, what
	// it says of countries and autonomous systems would never hold.
	Places bool
	// Scores says that it asks what scorers found: without any, that would never hold.
	Scores   bool
	Examples int    // how many came out as they say
	Digest   string // of the document that it was read from; "" for one of none
}

// ID names the set and its version in a decision, and by the digest the document: one that was
// changed and kept its version is another.
func (s Set) ID() string {
	if s.Digest == "" {
		return s.Name + "@" + s.Version
	}
	return s.Name + "@" + s.Version + "+" + s.Digest
}

// Allow returns the set that lets everybody in who proved who they are.
func Allow() Set { return Set{Name: "allow", Version: "1", Default: policy.Allow} }

// Budgeted returns the set with the levels that its budgets come to by now. A medium that would
// begin above high begins with it.
func (s Set) Budgeted(score Quantile) Set {
	if s.Budgets.Medium > 0 {
		s.Levels.Medium = score(s.Budgets.Medium)
	}
	if s.Budgets.High > 0 {
		s.Levels.High = score(s.Budgets.High)
	}
	if s.Budgets != (Budgets{}) {
		s.Levels.Medium = min(s.Levels.Medium, s.Levels.High)
	}
	return s
}

// failed is the rule in the place of one that cannot say whether it holds. What it guards stays
// guarded: it demands what that does.
func (r Rule) failed() Rule {
	r.Name += " (failed)"
	return r
}

// and is the rule of both, of which r is the one that failed: whoever meets what it demands meets
// what each does.
func (r Rule) and(s Rule, level policy.Level) Rule {
	switch {
	case r.Then.Outcome == policy.Deny:
		return r
	case s.Then.Outcome == policy.Deny:
		return s
	}
	then := r.Then
	then.Level = higher(cmp.Or(r.Then.Level, level), cmp.Or(s.Then.Level, level))
	if s.Then.Outcome == policy.Allow {
		return Rule{Name: r.Name, Then: then}
	}
	both, ok := then.and(s.Then)
	if !ok {
		both.Outcome = policy.Deny
	}
	return Rule{Name: r.Name + ", " + s.Name, Then: both}
}

// higher is the more unusual of two levels.
func higher(a, b policy.Level) policy.Level {
	order := []policy.Level{"", policy.Low, policy.Medium, policy.High}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// and is what meets both demands for proof, at d's level; not ok: no decision says that. The age of
// one and the methods of the other are none: a decision's age is of the proof by its methods.
func (d Demand) and(e Demand) (both Demand, ok bool) {
	both = d
	both.ACR = policy.Both(d.ACR, e.ACR)
	both.Methods, both.MaxAge = d.Methods, cmp.Or(d.MaxAge, e.MaxAge)
	if e.MaxAge > 0 {
		both.MaxAge = min(both.MaxAge, e.MaxAge)
	}
	switch {
	case len(d.Methods) == 0 && len(e.Methods) == 0:
		return both, true
	case len(d.Methods) == 0:
		both.Methods = e.Methods
		return both, d.MaxAge <= 0
	case len(e.Methods) == 0:
		return both, e.MaxAge <= 0
	}
	both.Methods = slices.DeleteFunc(slices.Clone(d.Methods), func(m string) bool { return !slices.Contains(e.Methods, m) })
	return both, len(both.Methods) > 0
}

// Strict reports whether the set demands more of anybody than a password alone can prove.
func (s *Set) Strict() bool {
	return slices.ContainsFunc(s.Rules, func(r Rule) bool {
		return r.Then.Outcome == policy.Require && (r.Then.ACR != "" && r.Then.ACR != policy.AAL1 || len(r.Then.Methods) > 0 && !slices.Contains(r.Then.Methods, policy.Password))
	})
}

// Decide returns the decision of the first rule that holds. One before it that could not say
// whether it does is not passed over, unless it would let in: it denies if it would, or what it
// demands is demanded beside what the other does.
func Decide(set Set, f policy.Facts, signals []policy.Signal) policy.Decision {
	c := Case{Facts: &f, Signals: signals, Score: policy.Sum(signals)}
	c.Level = set.Levels.Of(c.Score, f.FirstTime)
	rule := Rule{Name: "default", Then: Demand{Outcome: set.Default}}
	var failed []Rule
	for _, r := range set.Rules {
		holds, err := r.When(c)
		if err != nil && r.Then.Outcome != policy.Allow {
			failed = append(failed, r.failed())
		}
		if err == nil && holds {
			rule = r
			break
		}
	}
	for _, r := range slices.Backward(failed) {
		rule = r.and(rule, c.Level)
	}
	d := policy.Decision{
		Outcome:      rule.Then.Outcome,
		Level:        rule.Then.Level,
		Rule:         rule.Name,
		RulesVersion: set.ID(),
		Reasons:      signals,
		Score:        c.Score,
	}
	if d.Level == "" {
		d.Level = c.Level
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
