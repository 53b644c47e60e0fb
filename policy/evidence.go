package policy

import (
	"slices"
	"time"
)

// Evidence is one proof, given in a session.
type Evidence struct {
	Method            string    `json:"method"` // one of the methods below
	At                time.Time `json:"at"`
	Credential        string    `json:"credential,omitempty"`  // which of the person's credentials; of mail the address; "" for the password
	Interaction       string    `json:"interaction,omitempty"` // the interaction that it was given in
	PhishingResistant bool      `json:"phishing_resistant,omitempty"`
	UserVerified      bool      `json:"user_verified,omitempty"`
	DeviceBound       bool      `json:"device_bound,omitempty"`
	Platform          bool      `json:"platform,omitempty"` // by a part of the machine that the browser runs on, as that says
	Breached          bool      `json:"breached,omitempty"` // a password that is in lists of stolen ones: to be changed
	// Accepted is of a code by SMS: the operator has one count beside a password.
	Accepted bool `json:"accepted,omitempty"`
	// Since is of a password when it had been set, as it was found right. It is for whoever
	// notes the proof, and not kept.
	Since time.Time `json:"-"`
	// Idle is the longest that the session went unused since: [Age] notes it, a proof has none.
	Idle time.Duration `json:"idle,omitempty"`
}

// Methods of proof. All but the last two are values of amr (RFC 8176 section 2); mail
// and recovery prove an address, and never raise an assurance or move its time.
const (
	Password = "pwd"
	Hardware = "hwk"
	Software = "swk"
	OneTime  = "otp"
	SMS      = "sms"
	Mail     = "mail"
	Recovery = "recovery"
)

// multiFactor is in amr beside the methods of a level that needs two factors (RFC 8176
// section 2); no proof has it.
const multiFactor = "mfa"

// AddEvidence returns evs with ev, which replaces an older proof by the same
// method and credential, unless that was the stronger one: the list is a few times as
// long as a person has ways to prove.
func AddEvidence(evs []Evidence, ev Evidence) []Evidence {
	out := slices.DeleteFunc(slices.Clone(evs), func(e Evidence) bool {
		return e.Method == ev.Method && e.Credential == ev.Credential &&
			(ev.PhishingResistant || !e.PhishingResistant) && (ev.UserVerified || !e.UserVerified) && (ev.DeviceBound || !e.DeviceBound)
	})
	return append(out, ev)
}

// Age returns evs at now, each with the longest that its session went unused since:
// seen is when that was last used before now. What lapsed by idleness so stays lapsed
// when the session is used again.
func Age(evs []Evidence, seen, now time.Time) []Evidence {
	out := slices.Clone(evs)
	for i := range out {
		out[i].Idle = max(out[i].Idle, now.Sub(later(out[i].At, seen)))
	}
	return out
}

// Values of acr. The first three are the authentication assurance levels of
// NIST SP 800-63B-4 section 2, the others those of OpenID EAP ACR Values 1.0.
const (
	AAL1 = "aal1"
	AAL2 = "aal2"
	AAL3 = "aal3"
	PHR  = "phr"
	PHRH = "phrh"
)

// ACRValues returns every value that Doorstep knows, reachable or not, the
// strongest last: aal3 > aal2 > aal1, phrh > phr.
func ACRValues() []string { return []string{AAL1, AAL2, AAL3, PHR, PHRH} }

// KnownACR reports whether v is a value that Doorstep knows: a request that
// names a known one must be met, unknown ones are ignored.
func KnownACR(v string) bool { return slices.Contains(ACRValues(), v) }

// A kind tells whether a proof is of a sort that a level needs.
type kind func(Evidence) bool

// Held reports whether e proves something that the person has: beside a password, the
// second factor.
func (e Evidence) Held() bool { return isHeld(e) }

// isAuthenticator: what lets somebody go on by itself. A number can be taken over, so a code
// that is sent there does not.
func isAuthenticator(e Evidence) bool { return isKnown(e) || isKey(e) || e.Method == OneTime }

// isKnown: something that the person knows.
func isKnown(e Evidence) bool { return e.Method == Password }

// isHeld: something that the person has. A mobile is that where the operator says so: codes by SMS
// are a restricted authenticator (NIST SP 800-63B-4 sections 3.1.3.3 and 3.2.9).
func isHeld(e Evidence) bool {
	return isKey(e) || e.Method == OneTime || e.Method == SMS && e.Accepted
}

func isKey(e Evidence) bool { return e.Method == Hardware || e.Method == Software }

// isBoth: a key that was opened by what the person knows or is, two factors in one.
func isBoth(e Evidence) bool { return isKey(e) && e.UserVerified }

func isPhishingResistant(e Evidence) bool { return isKey(e) && e.PhishingResistant }

// isBound: a phishing-resistant key that cannot leave its hardware.
func isBound(e Evidence) bool {
	return isPhishingResistant(e) && e.Method == Hardware && e.DeviceBound
}

func isBoundBoth(e Evidence) bool { return isBound(e) && isBoth(e) }

// Limits are how long a proof counts.
type Limits struct {
	Lives time.Duration // since it was given
	Idle  time.Duration // without use of the session; see [Age]
}

const day = 24 * time.Hour

// The limits of the levels. SP 800-63B-4 section 2.1.3 recommends to ask again after
// 30 days; we ask after 30 days without use, and after 90 in any case: a shop's
// customers come seldom. Those of aal2 and aal3 are in sections 2.2.3 and 2.3.3. EAP
// sets none: whoever asks for phr or phrh wants what a step-up brings.
var (
	limits1 = Limits{Lives: 90 * day, Idle: 30 * day}
	limits2 = Limits{Lives: day, Idle: time.Hour}
	limits3 = Limits{Lives: 12 * time.Hour, Idle: 15 * time.Minute}
)

// A level is what one acr value needs: by any of its ways, one living proof of every
// kind, the strongest kind first.
type level struct {
	acr    string
	ways   [][]kind
	limits Limits
	mfa    bool // each way is two factors
}

// levels are in the order of [ACRValues]. What a stronger one of a scale needs is
// enough for every weaker one.
var levels = []level{
	{AAL1, [][]kind{{isAuthenticator}}, limits1, false},
	{AAL2, [][]kind{{isBoth}, {isHeld, isKnown}}, limits2, true},
	{AAL3, [][]kind{{isBoundBoth}, {isBound, isKnown}}, limits3, true},
	{PHR, [][]kind{{isPhishingResistant}}, limits2, false},
	{PHRH, [][]kind{{isBound}}, limits3, false},
}

// stronger says of each acr value which others hold where it does.
var stronger = map[string][]string{
	AAL3: {PHRH, PHR, AAL2, AAL1},
	PHRH: {PHR, AAL1},
	PHR:  {AAL1},
	AAL2: {AAL1},
}

// Both returns an acr value that holds only where both of these do, "" being none: of two of which
// neither has the other in it that is aal3, which has all.
func Both(a, b string) string {
	switch {
	case a == b, b == "", slices.Contains(stronger[a], b):
		return a
	case a == "", slices.Contains(stronger[b], a):
		return b
	}
	return AAL3
}

// LimitsOf returns how long a proof counts for an acr value, nothing for an unknown one.
func LimitsOf(acr string) Limits {
	for _, l := range levels {
		if l.acr == acr {
			return l.limits
		}
	}
	return Limits{}
}

// Assurance is what evidence adds up to at one moment, for one acr value.
type Assurance struct {
	ACR      string    // the value that a token may carry; "" when nothing holds
	AMR      []string  // how it was reached (RFC 8176), sorted
	AuthTime time.Time // the newest proof of a kind that ACR needs (OIDC Core section 2)
	FreshAt  time.Time // the newest proof of the strongest such kind: max_age counts from here
}

// Assess returns every level that the evidence, aged to now by [Age], holds, strongest
// first; none when it all lapsed or there was none.
func Assess(evs []Evidence, now time.Time) []Assurance {
	var held []Assurance
	for _, l := range slices.Backward(levels) {
		living := slices.DeleteFunc(slices.Clone(evs), func(e Evidence) bool {
			return !e.At.Add(l.limits.Lives).After(now) || e.Idle >= l.limits.Idle
		})
		if a, ok := l.heldBy(living); ok {
			held = append(held, a)
		}
	}
	return held
}

// heldBy returns what evidence amounts to at this level: all ways count that it goes.
func (l level) heldBy(evs []Evidence) (Assurance, bool) {
	a := Assurance{ACR: l.acr}
	for _, way := range l.ways {
		proofs := make([][]Evidence, len(way))
		gone := true
		for i, is := range way {
			proofs[i] = slices.DeleteFunc(slices.Clone(evs), func(e Evidence) bool { return !is(e) })
			gone = gone && len(proofs[i]) > 0
		}
		if !gone {
			continue
		}
		a.FreshAt = later(a.FreshAt, newest(proofs[0]))
		for _, of := range proofs {
			a.AuthTime = later(a.AuthTime, newest(of))
			for _, e := range of {
				a.AMR = append(a.AMR, e.Method)
			}
		}
	}
	if len(a.AMR) == 0 {
		return Assurance{}, false
	}
	if l.mfa {
		a.AMR = append(a.AMR, multiFactor)
	}
	slices.Sort(a.AMR)
	a.AMR = slices.Compact(a.AMR)
	return a, true
}

func newest(evs []Evidence) (at time.Time) {
	for _, e := range evs {
		at = later(at, e.At)
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ACRAsked is which acr is asked for.
type ACRAsked struct {
	Values    []string // alternatives, as of acr_values: of the known ones one must hold, unknown ones are ignored
	Essential []string // of an essential acr claim: one must hold, known or not
	Preferred []string // of a voluntary acr claim: carried if it holds
}

// All returns every value that is asked for.
func (a ACRAsked) All() []string { return slices.Concat(a.Essential, a.Values, a.Preferred) }

// Unmet returns the alternatives of one demand that the assurances held do not
// meet, nil when every demand is met.
func (a ACRAsked) Unmet(held []Assurance) []string {
	if len(a.Essential) > 0 && !anyHeld(held, a.Essential) {
		return a.Essential
	}
	if slices.ContainsFunc(a.Values, KnownACR) && !anyHeld(held, a.Values) {
		return slices.DeleteFunc(slices.Clone(a.Values), func(v string) bool { return !KnownACR(v) })
	}
	return nil
}

func anyHeld(held []Assurance, values []string) bool {
	return slices.ContainsFunc(held, func(a Assurance) bool { return slices.Contains(values, a.ACR) })
}

// Best returns the assurance that a token carries: for the first of the values
// asked that holds, else the strongest aal. The zero Assurance means that nothing
// is proven.
func Best(held []Assurance, asked ACRAsked) Assurance {
	for _, v := range asked.All() {
		if i := slices.IndexFunc(held, func(a Assurance) bool { return a.ACR == v }); i >= 0 {
			return held[i]
		}
	}
	for _, v := range slices.Backward([]string{AAL1, AAL2, AAL3}) {
		if i := slices.IndexFunc(held, func(a Assurance) bool { return a.ACR == v }); i >= 0 {
			return held[i]
		}
	}
	return Assurance{}
}
