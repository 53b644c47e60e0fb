package policy_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/policy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration, method, credential string) policy.Evidence {
	return policy.Evidence{Method: method, Credential: credential, At: noon.Add(-d)}
}

const day = 24 * time.Hour

// TestAssuranceComesFromLivingEvidence: acr, amr and auth_time (OIDC Core
// section 2) follow what was proven, never what was hoped for.
func TestAssuranceComesFromLivingEvidence(t *testing.T) {
	for name, tc := range map[string]struct {
		evidence []policy.Evidence
		want     []policy.Assurance
	}{
		"nothing proven": {},
		"a password": {
			[]policy.Evidence{ago(time.Hour, policy.Password, "")},
			[]policy.Assurance{{ACR: "aal1", AMR: []string{"pwd"}, AuthTime: noon.Add(-time.Hour), FreshAt: noon.Add(-time.Hour)}},
		},
		"a password in its last moment": {
			[]policy.Evidence{ago(90*day-1, policy.Password, "")},
			[]policy.Assurance{{ACR: "aal1", AMR: []string{"pwd"}, AuthTime: noon.Add(1 - 90*day), FreshAt: noon.Add(1 - 90*day)}},
		},
		"a lapsed password": {[]policy.Evidence{ago(90*day, policy.Password, "")}, nil},
		"mail and recovery prove no person": {
			[]policy.Evidence{ago(0, policy.Mail, ""), ago(0, policy.Recovery, "")}, nil,
		},
		"mail does not move the time of a password": {
			[]policy.Evidence{ago(2*time.Hour, policy.Password, ""), ago(0, policy.Mail, "")},
			[]policy.Assurance{{ACR: "aal1", AMR: []string{"pwd"}, AuthTime: noon.Add(-2 * time.Hour), FreshAt: noon.Add(-2 * time.Hour)}},
		},
		"the newest proof counts, every living one is told": {
			[]policy.Evidence{ago(2*day, policy.Password, ""), ago(day, policy.Hardware, "k1"), ago(91*day, policy.OneTime, "t"), ago(3*day, policy.Hardware, "k2")},
			[]policy.Assurance{{ACR: "aal1", AMR: []string{"hwk", "pwd"}, AuthTime: noon.Add(-day), FreshAt: noon.Add(-day)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, policy.Assess(tc.evidence, noon)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestACRAskedIsAListOfAlternatives: unknown values are ignored, a known one
// must be met, the first that holds is carried (OIDC Core section 3.1.2.1).
func TestACRAskedIsAListOfAlternatives(t *testing.T) {
	held := policy.Assess([]policy.Evidence{ago(0, policy.Password, "")}, noon)
	for asked, unmet := range map[string]string{
		"":                           "",
		"urn:example:gold":           "",
		"aal1":                       "",
		"aal2 aal1":                  "",
		"urn:example:gold phr":       "phr",
		"aal2":                       "aal2",
		"phrh urn:example:gold aal3": "phrh aal3",
		"AAL1":                       "", // another word: values are compared as they are
	} {
		of := policy.ACRAsked{Values: strings.Fields(asked)}
		if got := strings.Join(of.Unmet(held), " "); got != unmet || policy.Best(held, of).ACR != policy.AAL1 {
			t.Errorf("asked %q: unmet %q, want %q", asked, got, unmet)
		}
	}
	if best := policy.Best(nil, policy.ACRAsked{}); best.ACR != "" {
		t.Errorf("no evidence: %q, want nothing", best.ACR)
	}
}

// TestEssentialACRMustHold, known or not; a voluntary one is carried if it holds
// (OIDC Core section 5.5.1.1). What is carried otherwise is the strongest aal.
func TestEssentialACRMustHold(t *testing.T) {
	held := []policy.Assurance{{ACR: policy.PHRH}, {ACR: policy.PHR}, {ACR: policy.AAL2}, {ACR: policy.AAL1}}
	for _, tc := range []struct {
		asked          policy.ACRAsked
		carried, unmet string
	}{
		{policy.ACRAsked{}, "aal2", ""},
		{policy.ACRAsked{Values: []string{"aal3", "phr", "aal1"}}, "phr", ""},
		{policy.ACRAsked{Values: []string{"aal3"}}, "aal2", "aal3"},
		{policy.ACRAsked{Essential: []string{"aal1"}}, "aal1", ""},
		{policy.ACRAsked{Essential: []string{"urn:example:gold", "phrh"}}, "phrh", ""},
		{policy.ACRAsked{Essential: []string{"urn:example:gold"}}, "aal2", "urn:example:gold"},
		{policy.ACRAsked{Essential: []string{"aal1"}, Values: []string{"aal2"}}, "aal1", ""},
		{policy.ACRAsked{Essential: []string{"aal1"}, Values: []string{"aal3"}}, "aal1", "aal3"},
		{policy.ACRAsked{Preferred: []string{"aal3", "urn:example:gold", "aal1"}}, "aal1", ""},
		{policy.ACRAsked{Preferred: []string{"aal3"}}, "aal2", ""},
	} {
		best, unmet := policy.Best(held, tc.asked), strings.Join(tc.asked.Unmet(held), " ")
		if best.ACR != tc.carried || unmet != tc.unmet {
			t.Errorf("%+v: carries %s and misses %q, want %s and %q", tc.asked, best.ACR, unmet, tc.carried, tc.unmet)
		}
	}
}

func TestEvidenceOfOneCredentialIsReplaced(t *testing.T) {
	first := []policy.Evidence{ago(day, policy.Password, ""), ago(day, policy.Hardware, "k1")}
	got := policy.AddEvidence(first, ago(0, policy.Password, ""))
	want := []policy.Evidence{ago(day, policy.Hardware, "k1"), ago(0, policy.Password, "")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !first[0].At.Equal(noon.Add(-day)) {
		t.Error("the list it was given changed")
	}
}

// TestScoreIsExactlyTheSumOfItsBits, in any order: that is the explanation.
func TestScoreIsExactlyTheSumOfItsBits(t *testing.T) {
	var signals []policy.Signal
	for i := range 1000 {
		signals = append(signals, policy.Signal{Bits: policy.Bits(math.Sin(float64(i)) * 7.3)})
	}
	sum := policy.Sum(signals)
	slices.Reverse(signals)
	if back := policy.Sum(signals); back != sum {
		t.Errorf("forwards %v, backwards %v", sum, back)
	}
	if got := policy.Bits(1.0 / 3); got == 1.0/3 || math.Abs(got-1.0/3) > 1.0/(1<<21) {
		t.Errorf("a third rounds to %v", got)
	}
}

func TestDecisionIsMetByEvidence(t *testing.T) {
	password := []policy.Evidence{ago(time.Hour, policy.Password, "")}
	for name, tc := range map[string]struct {
		decision policy.Decision
		evidence []policy.Evidence
		want     bool
	}{
		"allowed":             {policy.Decision{Outcome: policy.Allow}, password, true},
		"denied":              {policy.Decision{Outcome: policy.Deny}, password, false},
		"no decision":         {policy.Decision{}, password, false},
		"aal1 held":           {policy.Decision{Outcome: policy.Require, ACR: "aal1"}, password, true},
		"aal2 not held":       {policy.Decision{Outcome: policy.Require, ACR: "aal2"}, password, false},
		"aal1 without proof":  {policy.Decision{Outcome: policy.Require, ACR: "aal1"}, nil, false},
		"fresh enough":        {policy.Decision{Outcome: policy.Require, ACR: "aal1", MaxAge: time.Hour}, password, true},
		"too old":             {policy.Decision{Outcome: policy.Require, ACR: "aal1", MaxAge: time.Hour - 1}, password, false},
		"by a named method":   {policy.Decision{Outcome: policy.Require, Methods: []string{"otp", "pwd"}}, password, true},
		"by another method":   {policy.Decision{Outcome: policy.Require, ACR: "aal1", Methods: []string{"otp"}}, password, false},
		"any proof, none had": {policy.Decision{Outcome: policy.Require}, nil, false},
	} {
		if got := tc.decision.MetBy(tc.evidence, noon); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestOnlyWhatIsLearnedIsRemembered keeps the first and the last.
func TestOnlyWhatIsLearnedIsRemembered(t *testing.T) {
	var h policy.History
	h = h.Learn(policy.Attempt{At: noon}).Learn(policy.Attempt{At: noon.Add(day)})
	if h.SignIns != 2 || !h.FirstAt.Equal(noon) || !h.LastAt.Equal(noon.Add(day)) {
		t.Errorf("%+v", h)
	}
}

func TestDocumentsComeBackAsTheyWere(t *testing.T) {
	record := policy.Record{
		Decision: policy.Decision{
			Outcome: policy.Require, ACR: "aal2", Methods: []string{"otp"}, MaxAge: time.Minute, Rule: "r", RulesVersion: "s@2",
			Reasons: []policy.Signal{{Code: "NEW_DEVICE", Bits: policy.Bits(1.0 / 3), Level: "medium", N: 4}}, Score: policy.Bits(1.0 / 3),
		},
		Facts: policy.Facts{Client: "web", Scopes: []string{"openid"}, Values: [policy.Features]policy.Seen{policy.Block: {Value: 5, Count: 1.5}}, FirstTime: true},
	}
	doc, err := policy.EncodeDecision(record)
	if err != nil {
		t.Fatal(err)
	}
	got, err := policy.DecodeDecision(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record, got); diff != "" {
		t.Error(diff)
	}
	if sum := policy.Sum(got.Decision.Reasons); sum != got.Decision.Score {
		t.Errorf("after storage the bits add up to %v, the score is %v", sum, got.Decision.Score)
	}

	standing := policy.Standing{Evidence: []policy.Evidence{ago(day, policy.Password, "")}, Device: "d", Circumstances: "c", Decision: record.Decision}
	if doc, err = policy.EncodeStanding(standing); err != nil {
		t.Fatal(err)
	}
	back, err := policy.DecodeStanding(doc)
	if err != nil {
		t.Fatal(err)
	}
	standing.Decision.Reasons = nil // in the decision's own row
	if diff := cmp.Diff(standing, back); diff != "" {
		t.Error(diff)
	}
}

// TestDocumentOfANewerProgramIsRefused: version N and N-1 run side by side, and
// a guess at what the newer one meant could let somebody in.
func TestDocumentOfANewerProgramIsRefused(t *testing.T) {
	for _, doc := range []string{`{"v":2,"is":{}}`, `{"v":0,"is":{}}`, `{"is":{}}`, `{}`} {
		if _, err := policy.DecodeStanding(json.RawMessage(doc)); !errors.Is(err, policy.ErrVersion) {
			t.Errorf("%s: %v, want ErrVersion", doc, err)
		}
	}
	if _, err := policy.DecodeStanding(json.RawMessage(`[]`)); err == nil {
		t.Error("a list was read as a standing")
	}
	if h, err := policy.DecodeHistory(nil); err != nil || h.SignIns != 0 || h.Weight(noon) != 0 {
		t.Errorf("no document: %v, %v, want the empty history", h, err)
	}
}

// TestRisky: what says that somebody else may be at work; that more is required does not.
func TestRisky(t *testing.T) {
	for _, tc := range []struct {
		d    policy.Decision
		want bool
	}{
		{policy.Decision{Outcome: policy.Allow}, false},
		{policy.Decision{Outcome: policy.Allow, Level: policy.Medium}, false},
		{policy.Decision{Outcome: policy.Require, ACR: policy.AAL2, Level: policy.Low}, false},
		{policy.Decision{Outcome: policy.Require, ACR: policy.AAL2, Level: policy.High}, true},
		{policy.Decision{Outcome: policy.Allow, Level: policy.High}, true},
		{policy.Decision{Outcome: policy.Deny}, true},
		{policy.Decision{}, true},
	} {
		if got := tc.d.Risky(); got != tc.want {
			t.Errorf("%+v: %v", tc.d, got)
		}
	}
}

// TestTierIsWhatAProofSaysOfTheBrowser: a key that is carried about, a second factor
// without the first, a recovery code or a password say nothing more than its cookie.
func TestTierIsWhatAProofSaysOfTheBrowser(t *testing.T) {
	password := ago(time.Minute, policy.Password, "")
	key := func(change ...func(*policy.Evidence)) policy.Evidence {
		ev := ago(0, policy.Hardware, "k")
		ev.PhishingResistant, ev.UserVerified, ev.DeviceBound, ev.Platform = true, true, true, true
		for _, c := range change {
			c(&ev)
		}
		return ev
	}
	unverified := func(e *policy.Evidence) { e.UserVerified = false }
	for name, tc := range map[string]struct {
		ev   policy.Evidence
		with []policy.Evidence
		want policy.Tier
	}{
		"a password":                     {ago(0, policy.Password, ""), nil, policy.TierCookie},
		"a recovery code":                {ago(0, policy.Recovery, ""), []policy.Evidence{password}, policy.TierCookie},
		"a code beside a password":       {ago(0, policy.OneTime, "t"), []policy.Evidence{password}, policy.TierSecond},
		"a code alone":                   {ago(0, policy.OneTime, "t"), nil, policy.TierCookie},
		"a password beside a code":       {ago(0, policy.Password, ""), []policy.Evidence{ago(time.Minute, policy.OneTime, "t")}, policy.TierCookie},
		"a passkey of this machine":      {key(), nil, policy.TierPasskey},
		"one that was only touched":      {key(unverified), nil, policy.TierCookie},
		"one touched, beside a password": {key(unverified), []policy.Evidence{password}, policy.TierPasskey},
		"one that is carried about":      {key(func(e *policy.Evidence) { e.Platform = false }), nil, policy.TierSecond},
		"one that may be elsewhere too":  {key(func(e *policy.Evidence) { e.Method, e.DeviceBound = policy.Software, false }), nil, policy.TierSecond},
		"a code long after the password": {ago(0, policy.OneTime, "t"), []policy.Evidence{ago(2*day, policy.Password, "")}, policy.TierCookie},
	} {
		if got := policy.TierBy(tc.ev, policy.AddEvidence(tc.with, tc.ev), noon); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	for i, order := 0, []policy.Tier{"", policy.TierCookie, policy.TierSecond, policy.TierPasskey}; i < len(order); i++ {
		for j := range order {
			if got := order[i].AtLeast(order[j]); got != (i >= j) {
				t.Errorf("%q is at least %q: %v", order[i], order[j], got)
			}
		}
	}
	if !policy.TierNone.AtLeast("") || !policy.Tier("").AtLeast(policy.TierNone) || policy.Tier("gold").AtLeast(policy.TierCookie) {
		t.Error("what is no tier is none")
	}
}

// TestDecisionsFromBeforeTiersAreRead: a browser was known, or it was not.
func TestDecisionsFromBeforeTiersAreRead(t *testing.T) {
	for doc, want := range map[string]policy.Tier{
		`{"v":1,"is":{"decision":{"outcome":"allow"},"facts":{"client":"web","device_known":true}}}`:  policy.TierCookie,
		`{"v":1,"is":{"decision":{"outcome":"allow"},"facts":{"client":"web","device_known":false}}}`: policy.TierNone,
	} {
		got, err := policy.DecodeDecision(json.RawMessage(doc))
		if err != nil || got.Facts.DeviceTier != want || got.Facts.Client != "web" || got.Decision.Outcome != policy.Allow {
			t.Errorf("%s: %+v, %v", doc, got, err)
		}
	}
}
