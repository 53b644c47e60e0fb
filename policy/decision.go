package policy

import (
	"context"
	"math"
	"slices"
	"time"
)

// Facts are what is seen of an attempt, and what is remembered that it depends
// on. They are stored with the decision. Places and programs are keyed hashes.
type Facts struct {
	Client     string         `json:"client"`
	Scopes     []string       `json:"scopes,omitempty"`
	Resources  []string       `json:"resources,omitempty"`
	ACRAsked   []string       `json:"acr_asked,omitempty"`
	Groups     []string       `json:"groups,omitempty"`  // of the person
	Zones      []string       `json:"zones,omitempty"`   // that its address is in
	CountryOf  string         `json:"country,omitempty"` // of its address, ISO 3166-1 alpha-2
	DeviceTier Tier           `json:"device_tier"`       // how well this browser is known to be the person's
	FirstTime  bool           `json:"first_time"`        // nothing is remembered of this person
	Values     [Features]Seen `json:"values"`
	Crowd      Crowd          `json:"crowd,omitzero"`
	Release    int            `json:"release,omitempty"`   // the major version of the browser
	Hosting    bool           `json:"hosting,omitempty"`   // the network is one of machines, not of people
	Anonymous  bool           `json:"anonymous,omitempty"` // it hides who uses it
	// Failures are the wrong proofs for this account since its last sign-in that did not
	// come from a browser that the person is known by.
	Failures int `json:"failures,omitempty"`
	// Burst is for how many accounts more than usual wrong passwords came from around here.
	Burst    int  `json:"burst,omitempty"`
	Breached bool `json:"breached,omitempty"` // the password is in lists of stolen ones
}

// Attempt is one sign-in or silent return, as a scorer sees it.
type Attempt struct {
	At time.Time
	Facts
}

// Signal is one observation that argues for (negative) or against (positive)
// the account's owner: a log2 likelihood ratio, in bits.
type Signal struct {
	Code     string  `json:"code"` // upper case, such as NEW_DEVICE
	Bits     float64 `json:"bits"` // as [Bits] rounds it
	Level    string  `json:"level,omitempty"`
	Observed string  `json:"observed,omitempty"`
	Baseline string  `json:"baseline,omitempty"`
	N        int64   `json:"n,omitempty"`      // how many sign-ins the baseline rests on
	Source   string  `json:"source,omitempty"` // the scorer, name@version, as whoever asked it noted
}

// FirstLogin is the code of every scorer for a person without a history, of no bits:
// nothing is known for or against them.
const FirstLogin = "FIRST_LOGIN"

// Bits rounds a log2 likelihood ratio to 2^-20 bit. Sums of such values are
// exact, so that a score is the sum of its signals in any order, on any machine.
func Bits(x float64) float64 { return math.Round(math.Ldexp(x, 20)) / (1 << 20) }

// Sum is the score of signals: the sum of their bits.
func Sum(signals []Signal) float64 {
	var sum float64
	for _, s := range signals {
		sum += s.Bits
	}
	return sum
}

// Scorer turns an attempt and a history into signals, which it appends to dst.
// It is pure and never decides; an error says that it could not look.
type Scorer interface {
	Score(ctx context.Context, dst []Signal, a *Attempt, h *History) ([]Signal, error)
}

// Outcome is what a decision comes to.
type Outcome string

// The outcomes. The zero Outcome is none of them, and lets nobody in.
const (
	Allow   Outcome = "allow"
	Require Outcome = "require" // the assurance, methods and age that it names
	Deny    Outcome = "deny"
)

// Level is how unusual an attempt is, in the rules' judgement.
type Level string

// The levels. A first sign-in is unknown, and as such not high.
const (
	Low    Level = "low"
	Medium Level = "medium"
	High   Level = "high"
)

// Decision is the answer to one attempt, with its reasons.
type Decision struct {
	ID           string        `json:"-"` // the key of its row
	Outcome      Outcome       `json:"outcome"`
	ACR          string        `json:"acr,omitempty"`     // Require: the assurance needed
	Methods      []string      `json:"methods,omitempty"` // Require: one of these proves it; empty: any
	MaxAge       time.Duration `json:"max_age,omitempty"` // Require: that proof, or the strongest that the assurance rests on, is at most so old; 0: any age
	Level        Level         `json:"level,omitempty"`   // how unusual the attempt is; "" is not
	Rule         string        `json:"rule"`              // the rule that fired
	RulesVersion string        `json:"rules_version"`
	Reasons      []Signal      `json:"reasons,omitempty"`
	Score        float64       `json:"score"` // the sum of the reasons' bits
}

// Risky reports whether somebody else may be at work: nothing that lets them come back is
// done then. That more is required is by itself no risk.
func (d *Decision) Risky() bool {
	return d.Level == High || d.Outcome != Allow && d.Outcome != Require
}

// MetBy reports whether evidence satisfies the decision at now.
func (d *Decision) MetBy(evs []Evidence, now time.Time) bool {
	switch d.Outcome {
	case Allow:
		return true
	case Require:
	default:
		return false
	}
	young := func(at time.Time) bool { return d.MaxAge <= 0 || !at.Add(d.MaxAge).Before(now) }
	held := Assess(evs, now)
	switch {
	case d.ACR != "" && !anyHeld(held, []string{d.ACR}):
		return false
	case len(d.Methods) > 0: // the assurance may rest on older proofs: one of a named method and age is needed beside it
		return slices.ContainsFunc(evs, func(e Evidence) bool { return slices.Contains(d.Methods, e.Method) && young(e.At) })
	case d.ACR == "":
		return slices.ContainsFunc(evs, func(e Evidence) bool { return isAuthenticator(e) && young(e.At) })
	}
	return slices.ContainsFunc(held, func(a Assurance) bool { return a.ACR == d.ACR && young(a.FreshAt) })
}
