package policy_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/doorstep-id/doorstep/policy"
)

// What the proofs of this page are: a passkey that was opened by a finger, one that
// a phone copies elsewhere, one that cannot leave its key ring, and one that only a
// touch opened.
var (
	strengths = map[string]policy.Evidence{
		"pwd":     {Method: policy.Password},
		"otp":     {Method: policy.OneTime, Credential: "t"},
		"synced":  {Method: policy.Software, Credential: "s", PhishingResistant: true, UserVerified: true},
		"bound":   {Method: policy.Hardware, Credential: "b", PhishingResistant: true, UserVerified: true, DeviceBound: true},
		"touched": {Method: policy.Hardware, Credential: "u", PhishingResistant: true, DeviceBound: true},
		"tapped":  {Method: policy.Software, Credential: "p", PhishingResistant: true},
		"mail":    {Method: policy.Mail},
		"code":    {Method: policy.Recovery},
		"sms":     {Method: policy.SMS, Credential: "n", Accepted: true},
		"text":    {Method: policy.SMS, Credential: "m"}, // where the operator does not have it count
	}
	names = []string{"bound", "code", "mail", "otp", "pwd", "sms", "synced", "tapped", "text", "touched"}
)

// proofs are those of these names, given so long before noon.
func proofs(list string, before time.Duration) (evs []policy.Evidence) {
	for name := range strings.FieldsSeq(list) {
		ev := strengths[name]
		ev.At = noon.Add(-before)
		evs = append(evs, ev)
	}
	return evs
}

func acrs(held []policy.Assurance) string {
	var out []string
	for _, a := range held {
		out = append(out, a.ACR)
	}
	return strings.Join(out, " ")
}

// TestWhatProofsAddUpTo: NIST SP 800-63B-4 sections 2.1.1, 2.2.1 and 2.3.1, OpenID
// EAP ACR Values 1.0, RFC 8176 section 2. No level is reached by two proofs of one
// factor, and a recovery code or a mail reaches none and lifts none.
func TestWhatProofsAddUpTo(t *testing.T) {
	for given, want := range map[string]struct{ acr, amr string }{
		"mail code":        {"", ""},
		"pwd":              {"aal1", "pwd"},
		"pwd mail code":    {"aal1", "pwd"},
		"otp":              {"aal1", "otp"},
		"pwd otp":          {"aal2 aal1", "mfa otp pwd"},
		"otp tapped":       {"phr aal1", "otp swk"},
		"tapped":           {"phr aal1", "swk"},
		"pwd tapped":       {"phr aal2 aal1", "mfa pwd swk"},
		"synced":           {"phr aal2 aal1", "mfa swk"},
		"touched":          {"phrh phr aal1", "hwk"},
		"otp code touched": {"phrh phr aal1", "hwk otp"},
		"pwd touched":      {"phrh phr aal3 aal2 aal1", "hwk mfa pwd"},
		"bound":            {"phrh phr aal3 aal2 aal1", "hwk mfa"},
		"synced touched":   {"phrh phr aal2 aal1", "mfa swk"}, // two keys are no hardware with a finger
		"sms":              {"", ""},
		"pwd sms":          {"aal2 aal1", "mfa pwd sms"},
		"otp sms":          {"aal1", "otp"},
		"tapped sms":       {"phr aal1", "swk"},
		"touched sms":      {"phrh phr aal1", "hwk"},
		"text":             {"", ""},
		"pwd text":         {"aal1", "pwd"},
	} {
		held := policy.Assess(proofs(given, 0), noon)
		best := strings.Join(policy.Best(held, policy.ACRAsked{}).AMR, " ")
		if acrs(held) != want.acr || best != want.amr {
			t.Errorf("%s: %q by %q, want %q by %q", given, acrs(held), best, want.acr, want.amr)
		}
	}
	forged := policy.Evidence{Method: policy.OneTime, At: noon, PhishingResistant: true, UserVerified: true, DeviceBound: true}
	if got := acrs(policy.Assess([]policy.Evidence{forged}, noon)); got != "aal1" {
		t.Errorf("a one-time code that says it is a key: %q", got)
	}
	forged.Method, forged.Accepted = policy.SMS, true
	if got := acrs(policy.Assess(append(proofs("pwd", 0), forged), noon)); got != "aal2 aal1" {
		t.Errorf("a text message that says it is a key: %q", got)
	}
	for _, method := range []string{policy.Mail, policy.Recovery} {
		if got := acrs(policy.Assess(append(proofs("pwd", 0), policy.Evidence{Method: method, At: noon, Accepted: true}), noon)); got != "aal1" {
			t.Errorf("%s that says it is accepted: %q", method, got)
		}
	}
}

// TestLimitsAgeTheEvidence, not the sign-in (SP 800-63B-4 sections 2.1.3, 2.2.3 and
// 2.3.3): what lapses falls back to what still holds.
func TestLimitsAgeTheEvidence(t *testing.T) {
	const hour, minute = time.Hour, time.Minute
	for _, tc := range []struct {
		given     string
		age, idle time.Duration
		want      string
	}{
		{"pwd", 90*day - 1, 30*day - 1, "aal1"},
		{"pwd", 90 * day, 0, ""},
		{"pwd", 31 * day, 30 * day, ""},
		{"pwd otp", 24*hour - 1, hour - 1, "aal2 aal1"},
		{"pwd otp", 24 * hour, 0, "aal1"},
		{"pwd otp", 2 * hour, hour, "aal1"},
		{"synced", 24*hour - 1, hour - 1, "phr aal2 aal1"},
		{"synced", 24 * hour, 0, "aal1"},
		{"bound", 12*hour - 1, 15*minute - 1, "phrh phr aal3 aal2 aal1"},
		{"bound", 12 * hour, 0, "phr aal2 aal1"},
		{"bound", hour, 15 * minute, "phr aal2 aal1"},
		{"bound", 2 * hour, hour, "aal1"},
	} {
		evs := policy.Age(proofs(tc.given, tc.age), noon.Add(-tc.idle), noon)
		if got := acrs(policy.Assess(evs, noon)); got != tc.want {
			t.Errorf("%s, %v old, unused for %v: %q, want %q", tc.given, tc.age, tc.idle, got, tc.want)
		}
	}
	if l := policy.LimitsOf("urn:example:gold"); l != (policy.Limits{}) {
		t.Errorf("an unknown value lives %v", l)
	}
}

// TestWhatLapsedByIdlenessStaysLapsed: to use the session again is no proof.
func TestWhatLapsedByIdlenessStaysLapsed(t *testing.T) {
	evs := proofs("pwd otp", 3*time.Hour)
	evs = policy.Age(evs, noon.Add(-3*time.Hour), noon.Add(-2*time.Hour)) // an hour without use, then it is used
	evs = policy.Age(evs, noon.Add(-time.Minute), noon)
	if got := acrs(policy.Assess(evs, noon)); got != "aal1" {
		t.Errorf("used again: %q", got)
	}
	for _, again := range proofs("otp", 0) {
		evs = policy.AddEvidence(evs, again)
	}
	if got := acrs(policy.Assess(evs, noon)); got != "aal1" {
		t.Errorf("one of two factors again: %q", got)
	}
	for _, again := range proofs("pwd", 0) {
		evs = policy.AddEvidence(evs, again)
	}
	if got := acrs(policy.Assess(evs, noon)); got != "aal2 aal1" || len(evs) != 2 {
		t.Errorf("both again: %q of %d proofs", got, len(evs))
	}
}

// TestTimesAreThoseOfKindsThatAreNeeded: auth_time is the newest of them, max_age
// counts from the newest of the strongest.
func TestTimesAreThoseOfKindsThatAreNeeded(t *testing.T) {
	at := func(name string, before time.Duration) policy.Evidence { return proofs(name, before)[0] }
	evs := []policy.Evidence{at("otp", 3*time.Hour), at("pwd", 2*time.Hour), at("mail", time.Minute), at("code", time.Minute)}
	aal2 := policy.Best(policy.Assess(evs, noon), policy.ACRAsked{})
	if !aal2.AuthTime.Equal(noon.Add(-2*time.Hour)) || !aal2.FreshAt.Equal(noon.Add(-3*time.Hour)) || aal2.ACR != policy.AAL2 {
		t.Errorf("a password after a code: %+v", aal2)
	}
	evs = []policy.Evidence{at("pwd", 20*time.Hour), at("otp", time.Hour)}
	aal2 = policy.Best(policy.Assess(evs, noon), policy.ACRAsked{})
	if !aal2.AuthTime.Equal(noon.Add(-time.Hour)) || !aal2.FreshAt.Equal(aal2.AuthTime) {
		t.Errorf("a code after a password: %+v", aal2)
	}
	phr := policy.Best(policy.Assess([]policy.Evidence{at("synced", time.Hour), at("pwd", 0)}, noon), policy.ACRAsked{Values: []string{"phr"}})
	if !phr.AuthTime.Equal(noon.Add(-time.Hour)) {
		t.Errorf("a password moved the time of phr: %+v", phr)
	}
}

// TestWeakerProofDoesNotReplaceAStrongerOne by the same key: a touch takes nothing
// from the finger of before.
func TestWeakerProofDoesNotReplaceAStrongerOne(t *testing.T) {
	evs := proofs("bound", time.Hour)
	weak := evs[0]
	weak.At, weak.UserVerified = noon, false
	evs = policy.AddEvidence(evs, weak)
	if got := acrs(policy.Assess(evs, noon)); got != "phrh phr aal3 aal2 aal1" || len(evs) != 2 {
		t.Errorf("%q of %d proofs", got, len(evs))
	}
	if evs = policy.AddEvidence(evs, proofs("bound", 0)[0]); len(evs) != 1 {
		t.Errorf("a proof as strong left %d", len(evs))
	}
}

func drawProof(t *rapid.T, from, to time.Duration) policy.Evidence {
	ev := strengths[rapid.SampledFrom(names).Draw(t, "proof")]
	if ev.Credential != "" {
		ev.Credential = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "credential")
	}
	ev.At = noon.Add(-time.Duration(rapid.Int64Range(int64(to), int64(from)).Draw(t, "age")))
	return ev
}

// drawSession is evidence as a session gathers it, which was used now and then.
func drawSession(t *rapid.T) (evs []policy.Evidence, seen time.Time) {
	ages := rapid.SliceOfN(rapid.Int64Range(int64(time.Minute), int64(100*day)), 1, 8).Draw(t, "times")
	slices.Sort(ages)
	for _, age := range slices.Backward(ages) {
		at := noon.Add(-time.Duration(age))
		evs = policy.Age(evs, seen, at)
		if rapid.Bool().Draw(t, "proves") {
			evs = policy.AddEvidence(evs, drawProof(t, time.Duration(age), time.Duration(age)))
		}
		seen = at
	}
	return evs, seen
}

func holdsAll(t *rapid.T, what string, more, less []policy.Assurance) {
	for _, a := range less {
		i := slices.IndexFunc(more, func(b policy.Assurance) bool { return a.ACR == b.ACR })
		if i < 0 {
			t.Fatalf("%s: %s no more", what, a.ACR)
		}
		if more[i].AuthTime.Before(a.AuthTime) || more[i].FreshAt.Before(a.FreshAt) {
			t.Fatalf("%s: the times of %s went back", what, a.ACR)
		}
	}
}

// Another proof takes nothing away.
func TestMoreEvidenceNeverLowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evs, seen := drawSession(t)
		evs = policy.Age(evs, seen, noon)
		before := policy.Assess(evs, noon)
		ev := drawProof(t, 0, 0)
		after := policy.Assess(policy.AddEvidence(evs, ev), noon)
		holdsAll(t, "after a "+ev.Method, after, before)
		if ev.Method == policy.Mail || ev.Method == policy.Recovery {
			holdsAll(t, "without the "+ev.Method, before, after)
		}
	})
}

// Nothing but a proof raises anything, and what lapsed does not come back.
func TestTimeNeverRaises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evs, seen := drawSession(t)
		now := policy.Age(evs, seen, noon)
		before := policy.Assess(now, noon)
		then := noon.Add(time.Duration(rapid.Int64Range(0, int64(100*day)).Draw(t, "later")))
		unused := policy.Assess(policy.Age(evs, seen, then), then)
		used := policy.Assess(policy.Age(now, noon, then), then)
		holdsAll(t, "later", before, used)
		holdsAll(t, "used meanwhile", used, unused)
	})
}

// A stronger level holds every weaker one of its scale.
func TestLevelsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evs, seen := drawSession(t)
		held := acrs(policy.Assess(policy.Age(evs, seen, noon), noon))
		for strong, weak := range map[string]string{"aal3": "aal2", "aal2": "aal1", "phrh": "phr", "phr": "aal1"} {
			if fields := strings.Fields(held); slices.Contains(fields, strong) && !slices.Contains(fields, weak) {
				t.Fatalf("%q: %s without %s", held, strong, weak)
			}
		}
	})
}

// TestBothIsMetByWhatMeetsEach alone: tried with every set of up to two proofs. Only where neither
// value has the other in it does it want more.
func TestBothIsMetByWhatMeetsEach(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	proofs := []policy.Evidence{
		{Method: policy.Password}, {Method: policy.OneTime}, {Method: policy.Mail},
		{Method: policy.Software, PhishingResistant: true}, {Method: policy.Software, PhishingResistant: true, UserVerified: true},
		{Method: policy.Hardware, PhishingResistant: true, DeviceBound: true}, {Method: policy.Hardware, PhishingResistant: true, DeviceBound: true, UserVerified: true},
	}
	for i := range proofs {
		proofs[i].At, proofs[i].Credential = now, strconv.Itoa(i)
	}
	meets := func(acr string, evs []policy.Evidence) bool {
		d := policy.Decision{Outcome: policy.Require, ACR: acr}
		return d.MetBy(evs, now)
	}
	for _, a := range policy.ACRValues() {
		for _, b := range policy.ACRValues() {
			acr := policy.Both(a, b)
			for i, one := range proofs {
				for _, other := range proofs[i:] {
					evs := policy.AddEvidence([]policy.Evidence{one}, other)
					if got, want := meets(acr, evs), meets(a, evs) && meets(b, evs); got != want && (got || acr != policy.AAL3) {
						t.Errorf("%s and %s is %s: %v, want %v of %+v", a, b, acr, got, want, evs)
					}
				}
			}
		}
		if policy.Both(a, "") != a || policy.Both("", a) != a {
			t.Errorf("%s and nothing is another", a)
		}
	}
}
