package policy

import (
	"cmp"
	"slices"
	"time"
)

// Evidence is one proof, given in a session.
type Evidence struct {
	Method            string    `json:"method"` // one of the methods below
	At                time.Time `json:"at"`
	Credential        string    `json:"credential,omitempty"`  // which of the person's credentials; "" for the password
	Interaction       string    `json:"interaction,omitempty"` // the interaction that it was given in
	PhishingResistant bool      `json:"phishing_resistant,omitempty"`
	UserVerified      bool      `json:"user_verified,omitempty"`
	DeviceBound       bool      `json:"device_bound,omitempty"`
}

// Methods of proof. The first four are values of amr (RFC 8176 section 2); mail
// and recovery prove an address, and never raise an assurance or move its time.
const (
	Password = "pwd"
	Hardware = "hwk"
	Software = "swk"
	OneTime  = "otp"
	Mail     = "mail"
	Recovery = "recovery"
)

// AddEvidence returns evs with ev, which replaces an older proof by the same
// method and credential: the list is as long as a person has ways to prove.
func AddEvidence(evs []Evidence, ev Evidence) []Evidence {
	out := slices.DeleteFunc(slices.Clone(evs), func(e Evidence) bool {
		return e.Method == ev.Method && e.Credential == ev.Credential
	})
	return append(out, ev)
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

func isAuthenticator(e Evidence) bool {
	return slices.Contains([]string{Password, Hardware, Software, OneTime}, e.Method)
}

// levels says what each acr value needs: one living proof of every kind, the
// strongest kind first. Strongest level last.
var levels = []struct {
	acr   string
	needs []kind
	lives time.Duration
}{
	// Any one authenticator. SP 800-63B-4 section 2.1.3 recommends to ask again after
	// 30 days; we ask after 30 days without use, which is the session's to end, and
	// after 90 in any case: a shop's customers come seldom.
	{AAL1, []kind{isAuthenticator}, 90 * 24 * time.Hour},
}

// Assurance is what evidence adds up to at one moment, for one acr value.
type Assurance struct {
	ACR      string    // the value that a token may carry; "" when nothing holds
	AMR      []string  // how it was reached (RFC 8176), sorted
	AuthTime time.Time // the newest proof of a kind that ACR needs (OIDC Core section 2)
	FreshAt  time.Time // the newest proof of the strongest such kind: max_age counts from here
}

// Assess returns every level that the evidence holds at now, strongest first;
// none when it all lapsed or there was none.
func Assess(evs []Evidence, now time.Time) []Assurance {
	var held []Assurance
	for _, l := range slices.Backward(levels) {
		living := slices.DeleteFunc(slices.Clone(evs), func(e Evidence) bool { return !e.At.Add(l.lives).After(now) })
		if a, ok := holds(l.acr, l.needs, living); ok {
			held = append(held, a)
		}
	}
	return held
}

func holds(acr string, needs []kind, evs []Evidence) (Assurance, bool) {
	a := Assurance{ACR: acr}
	for i, is := range needs {
		of := slices.DeleteFunc(slices.Clone(evs), func(e Evidence) bool { return !is(e) })
		if len(of) == 0 {
			return Assurance{}, false
		}
		newest := slices.MaxFunc(of, func(a, b Evidence) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) }).At
		if i == 0 {
			a.FreshAt = newest
		}
		if newest.After(a.AuthTime) {
			a.AuthTime = newest
		}
		for _, e := range of {
			a.AMR = append(a.AMR, e.Method)
		}
	}
	slices.Sort(a.AMR)
	a.AMR = slices.Compact(a.AMR)
	return a, true
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
