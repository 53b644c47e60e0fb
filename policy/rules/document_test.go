package rules_test

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
)

const document = `
name: house
version: "4"
zones:
  blocked: {networks: [198.51.100.0/24], countries: [KP], asns: [64496]}
  office: {networks: [192.0.2.0/24, "2001:db8::/32"]}
levels:
  medium: {cost_ratio: 20000, prior: 0.00001}
  high: {cost_ratio: 2000, prior: 0.000011}
rules:
  - name: blocked
    when: '"blocked" in zones'
    then: deny
  - name: staff
    when: '"staff" in groups && !(device_tier in ["second", "passkey"])'
    then: {require: aal2, methods: [otp, hwk], max_age: 12h}
  - name: unusual
    when: level == "high" || "SPRAY_BURST" in signals
    then: {require: aal2, max_age: 5m}
  - name: first sale
    when: breached && first_time
    then: {require: aal1, level: medium}
default: allow
examples:
  - name: nobody comes from there
    given: {country: KP, signals: {NEW_COUNTRY: 9}}
    expect: {outcome: deny, rule: blocked}
  - name: staff at a strange machine
    given: {groups: [staff], device_tier: cookie}
    expect: {outcome: require, require: aal2, methods: [otp, hwk], max_age: 12h}
  - name: staff at theirs
    given: {groups: [staff], device_tier: passkey}
    expect: {outcome: allow, level: low}
  - name: odd
    given: {signals: {NEW_COUNTRY: 3.5, DEVICE_UNKNOWN: 2.5}}
    expect: {rule: unusual, level: high}
  - name: amid a burst
    given: {signals: {SPRAY_BURST: 0.1}}
    expect: {rule: unusual, level: low}
`

func none(float64) float64 { return math.Inf(1) }

func parse(t *testing.T, text string) rules.Set {
	t.Helper()
	set, err := rules.Parse([]byte(text), none)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestADocumentDecides as it reads.
func TestADocumentDecides(t *testing.T) {
	set := parse(t, document)
	if !strings.HasPrefix(set.ID(), "house@4+") || set.Default != policy.Allow || len(set.Rules) != 4 {
		t.Errorf("%s has %d rules, and %s", set.ID(), len(set.Rules), set.Default)
	}
	if got := set.Levels; math.Abs(got.Medium-2.32) > 0.01 || math.Abs(got.High-5.5) > 0.01 {
		t.Errorf("levels begin at %+v, want 2.32 and 5.50", got)
	}
	got := rules.Decide(set, policy.Facts{Client: "shop", Breached: true, FirstTime: true}, nil)
	if diff := cmp.Diff(policy.Decision{Outcome: policy.Require, ACR: "aal1", Level: policy.Medium, Rule: "first sale", RulesVersion: set.ID()}, got); diff != "" {
		t.Error(diff)
	}
	got = rules.Decide(set, policy.Facts{Groups: []string{"staff"}}, nil)
	if diff := cmp.Diff(policy.Decision{Outcome: policy.Require, ACR: "aal2", Methods: []string{"otp", "hwk"}, MaxAge: 12 * time.Hour, Level: policy.Low, Rule: "staff", RulesVersion: set.ID()}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAChangedDocumentIsAnotherSet, whatever it calls itself: who is signed in is judged anew.
func TestAChangedDocumentIsAnotherSet(t *testing.T) {
	one, same, other := parse(t, document), parse(t, document), parse(t, strings.Replace(document, "12h", "13h", 2))
	if one.ID() != same.ID() || one.ID() == other.ID() {
		t.Errorf("%s, the same is %s, and another %s", one.ID(), same.ID(), other.ID())
	}
}

// TestWhoWasNeverHereIsNotLow, nor high by that.
func TestWhoWasNeverHereIsNotLow(t *testing.T) {
	l := rules.Levels{Medium: 2, High: 5}
	for _, tc := range []struct {
		score float64
		first bool
		want  policy.Level
	}{{-9, false, policy.Low}, {1.9, false, policy.Low}, {2, false, policy.Medium}, {4.9, false, policy.Medium}, {5, false, policy.High}, {-9, true, policy.Medium}, {5, true, policy.High}} {
		if got := l.Of(tc.score, tc.first); got != tc.want {
			t.Errorf("%v bits, first time %v: %s, want %s", tc.score, tc.first, got, tc.want)
		}
	}
	if got := (rules.Levels{}).Of(99, true); got != "" {
		t.Errorf("without levels: %q", got)
	}
}

// TestDefaultMayRequire: for everybody whom no rule is about.
func TestDefaultMayRequire(t *testing.T) {
	set := parse(t, "name: n\nversion: v\ndefault: {require: phr}\n")
	if d := rules.Decide(set, policy.Facts{}, nil); d.Outcome != policy.Require || d.ACR != policy.PHR || d.Rule != "default" {
		t.Errorf("%+v", d)
	}
}

// TestZonesAreWhereAnAddressIs, by what is known of it.
func TestZonesAreWhereAnAddressIs(t *testing.T) {
	set := parse(t, document)
	for _, tc := range []struct {
		address, country string
		asn              uint32
		want             []string
	}{
		{"192.0.2.7", "", 0, []string{"office"}},
		{"::ffff:192.0.2.7", "", 0, []string{"office"}},
		{"2001:db8::1%eth0", "SE", 64500, []string{"office"}},
		{"192.0.3.7", "", 0, nil},
		{"192.0.2.7", "KP", 0, []string{"blocked", "office"}},
		{"203.0.113.1", "SE", 64496, []string{"blocked"}},
		{"198.51.100.1", "SE", 64500, []string{"blocked"}},
	} {
		if diff := cmp.Diff(tc.want, set.ZonesOf(netip.MustParseAddr(tc.address), tc.country, tc.asn, nil)); diff != "" {
			t.Errorf("%s %s %d: %s", tc.address, tc.country, tc.asn, diff)
		}
	}
	if got := set.ZonesOf(netip.Addr{}, "", 0, nil); got != nil {
		t.Errorf("nowhere is in %v", got)
	}
	if !set.Places {
		t.Error("nobody has to know of countries")
	}
	for text, want := range map[string]bool{
		"zones: {office: {networks: [192.0.2.0/24]}}\nrules: [{name: r, when: '\"office\" in zones', then: allow}]\n": false,
		"zones: {far: {asns: [64496]}}\n":                              true,
		"rules: [{name: r, when: 'country == \"SE\"', then: allow}]\n": true,
	} {
		if set := parse(t, "name: n\nversion: v\ndefault: allow\n"+text); set.Places != want {
			t.Errorf("%s: %v", text, set.Places)
		}
	}
}

// TestBudgetsAskWhatTheyCost.
func TestBudgetsAskWhatTheyCost(t *testing.T) {
	text := "name: n\nversion: v\ndefault: allow\nlevels: {medium: {budget: 0.1}, high: {budget: 0.02}}\n"
	set, err := rules.Parse([]byte(text), func(share float64) float64 { return -math.Log2(share) })
	if err != nil || math.Abs(set.Levels.Medium-3.32) > 0.01 || math.Abs(set.Levels.High-5.64) > 0.01 {
		t.Errorf("%+v, %v", set.Levels, err)
	}
	if set := parse(t, "name: n\nversion: v\ndefault: allow\nlevels: {medium: {budget: 0.1}, high: {cost_ratio: 20, prior: 0.1}}\n"); set.Levels.Of(1e9, false) != policy.High {
		t.Error("a budget that is not known yet hides what is")
	}
	if set = parse(t, text); set.Levels.Of(1e9, false) != policy.Low {
		t.Error("while nobody is known somebody is unusual")
	}
}

// TestBadDocumentsAreRefused, each with where and why.
func TestBadDocumentsAreRefused(t *testing.T) {
	const head = "name: n\nversion: v\ndefault: allow\n"
	rule := func(when, then string) string {
		return head + "rules:\n  - name: r\n    when: '" + when + "'\n    then: " + then + "\n"
	}
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":                           {"", "nothing in it"},
		"no name":                           {"version: v\ndefault: allow\n", "name:"},
		"no version":                        {"name: n\ndefault: allow\n", "version:"},
		"no default":                        {"name: n\nversion: v\n", "default:"},
		"an unknown key":                    {head + "rule: []\n", "rule"},
		"an unknown key of a rule":          {head + "rules:\n  - {name: r, wen: 'true', then: deny}\n", `line 5: "wen" is not known`},
		"two documents":                     {head + "---\n" + head, "more than one"},
		"a rule without a demand":           {head + "rules:\n  - {name: r, when: 'true'}\n", "line 5: then:"},
		"a rule without a condition":        {head + "rules:\n  - {name: r, then: deny}\n", `line 5: rule "r": when:`},
		"two rules of one name":             {head + "rules:\n  - {name: r, when: 'true', then: deny}\n  - {name: r, when: 'true', then: deny}\n", "line 6: name:"},
		"an outcome that is none":           {rule("true", "refuse"), "must be allow, deny or"},
		"an acr that is none":               {rule("true", "{require: aal9}"), "require:"},
		"a method that is none":             {rule("true", "{require: aal2, methods: [mail]}"), "methods:"},
		"a level that is none":              {rule("true", "{require: aal2, level: huge}"), "level:"},
		"a time that is none":               {rule("true", "{require: aal2, max_age: soon}"), "soon"},
		"a negative time":                   {rule("true", "{require: aal2, max_age: -1s}"), "max_age:"},
		"a condition that is no CEL":        {rule("client ==", "deny"), `rule "r": when:`},
		"of an unknown variable":            {rule("password == \"x\"", "deny"), "undeclared reference to ''password''"},
		"of another type":                   {rule("client == 3", "deny"), "no matching overload"},
		"that is neither true nor false":    {rule("client", "deny"), "must be true or false"},
		"that denies by the score":          {rule("score > 40.0", "deny"), "must not deny by [score]"},
		"that denies by the level":          {rule("\"x\" in zones && (client == \"a\" || level == \"high\")", "deny"), "must not deny by [level]"},
		"that denies by a signal":           {rule("signals.exists(s, s == \"NEW_COUNTRY\")", "deny"), "must not deny by [signals]"},
		"that denies by what it hides":      {rule("scopes.exists(score, .score > 40.0)", "deny"), "must not deny by [score]"},
		"that asks for zones otherwise":     {rule("zones.exists(z, z == \"offise\")", "deny"), "one by one"},
		"of a zone that it hides":           {rule("scopes.exists(zones, \"offise\" in .zones)", "deny"), `there is no zone "offise"`},
		"of what nobody finds":              {rule("sensitive", "deny"), "undeclared reference"},
		"that is too long":                  {rule("client == \""+strings.Repeat("x", 3000)+"\"", "deny"), "at most 2000 bytes"},
		"that is too deep":                  {rule(strings.Repeat("(", 500)+"true"+strings.Repeat(")", 500), "deny"), "recursion"},
		"of a zone that is none":            {rule("\"offise\" in zones", "deny"), `there is no zone "offise"`},
		"a zone of nothing":                 {head + "zones: {office: {}}\n", "nothing is in it"},
		"a zone with an unknown key":        {head + "zones: {office: {cidrs: [192.0.2.0/24]}}\n", `line 4: "cidrs" is not known`},
		"a list somewhere":                  {head + "zones: {office: {list: {file: tor.txt, max_age: 48h}}}\n", "list: file: must be an absolute path"},
		"a list for ever":                   {head + "zones: {office: {list: {file: /tor.txt}}}\n", "list: max_age:"},
		"a list of another kind":            {head + "zones: {office: {list: {file: /tor.txt, max_age: 48h, url: x}}}\n", `"url" is not known`},
		"a network that is an address":      {head + "zones: {office: {networks: [192.0.2.1]}}\n", `"192.0.2.1" is not a network`},
		"a network with an address":         {head + "zones: {office: {networks: [192.0.2.1/24]}}\n", `"192.0.2.1/24" is not a network`},
		"a country by its name":             {head + "zones: {office: {countries: [Sweden]}}\n", `"Sweden" is not a code`},
		"a system of nobody":                {head + "zones: {office: {asns: [0]}}\n", "0 is the number"},
		"a system that is no number":        {head + "zones: {office: {asns: [-1]}}\n", "-1"},
		"one level alone":                   {head + "levels: {high: {budget: 0.1}}\n", "go together"},
		"levels upside down":                {head + "levels: {medium: {cost_ratio: 20, prior: 0.00001}, high: {cost_ratio: 2000, prior: 0.00001}}\n", "above high"},
		"a ratio that costs nothing":        {head + "levels: {medium: {cost_ratio: 0.5, prior: 0.1}, high: {cost_ratio: 20, prior: 0.1}}\n", "cost_ratio:"},
		"a prior of everybody":              {head + "levels: {medium: {cost_ratio: 5, prior: 1}, high: {cost_ratio: 20, prior: 0.1}}\n", "prior:"},
		"a ratio that is no number":         {head + "levels: {medium: {cost_ratio: .nan, prior: 0.1}, high: {cost_ratio: 20, prior: 0.1}}\n", "cost_ratio:"},
		"a budget of more than all":         {head + "levels: {medium: {budget: 2}, high: {budget: 0.1}}\n", "budget:"},
		"a budget and a ratio":              {head + "levels: {medium: {budget: 0.2, prior: 0.1}, high: {budget: 0.1}}\n", "budget:"},
		"an example that fails":             {head + "examples:\n  - {name: e, given: {client: a}, expect: {outcome: deny}}\n", `line 5: example "e": outcome is "allow", and "deny" was expected`},
		"an example of nothing":             {head + "examples:\n  - {name: e, given: {client: a}}\n", "expect: is missing"},
		"an example of an unknown thing":    {head + "examples:\n  - {name: e, given: {client: a}, expect: {outcom: allow}}\n", `"outcom" is not known`},
		"an example of a zone that is none": {head + "examples:\n  - {name: e, given: {zones: [office]}, expect: {outcome: allow}}\n", `there is no zone "office"`},
		"an example of a tier that is none": {head + "examples:\n  - {name: e, given: {device_tier: paskey}, expect: {outcome: allow}}\n", "device_tier: must be one of"},
		"an example with an odd fact":       {head + "examples:\n  - {name: e, given: {browser: a}, expect: {outcome: allow}}\n", "browser"},
		"too long a document":               {head + "#" + strings.Repeat("x", rules.MaxDocument), "at most"},
	} {
		_, err := rules.Parse([]byte(tc.text), none)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if want := strings.ReplaceAll(tc.want, "''", "'"); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, want something with %q", name, err, want)
		}
	}
}

// TestAConditionCannotRunAway: what costs too much is stopped, soon, and asks for more
// proof in its rule's name. Nobody gets past by being too much.
func TestAConditionCannotRunAway(t *testing.T) {
	const many = "scopes.all(a, scopes.all(b, scopes.all(c, scopes.all(d, a + b + c + d != client))))"
	set := parse(t, "name: n\nversion: v\ndefault: allow\nrules:\n  - {name: runs, when: '"+many+"', then: deny}\n  - {name: after, when: 'true', then: allow}\n")
	if d := rules.Decide(set, policy.Facts{Scopes: []string{"openid"}}, nil); d.Outcome != policy.Deny {
		t.Errorf("of one scope: %+v", d)
	}
	scopes := make([]string, 200)
	for i := range scopes {
		scopes[i] = strings.Repeat("s", 100)
	}
	d := rules.Decide(set, policy.Facts{Scopes: scopes}, nil) // 200^4 steps would take longer than a test may
	if d.Outcome != policy.Deny || d.Rule != "runs (failed)" {
		t.Errorf("of 200 scopes: %+v", d)
	}
}

// TestAConditionThatFailsGuards: an element that is not there is no way past a rule.
func TestAConditionThatFailsGuards(t *testing.T) {
	set := parse(t, "name: n\nversion: v\ndefault: allow\nrules:\n  - {name: first scope, when: 'scopes[0] == \"pay\"', then: deny}\n")
	for scope, want := range map[string]policy.Outcome{"pay": policy.Deny, "read": policy.Allow} {
		if d := rules.Decide(set, policy.Facts{Scopes: []string{scope}}, nil); d.Outcome != want {
			t.Errorf("%s: %+v", scope, d)
		}
	}
	if d := rules.Decide(set, policy.Facts{}, nil); d.Outcome != policy.Deny || d.Rule != "first scope (failed)" {
		t.Errorf("of no scopes: %+v", d)
	}
	const fails = "name: n\nversion: v\ndefault: allow\nrules:\n  - {name: fails, when: 'scopes[0] == \"pay\"', then: THEN}\n  - {name: after, when: 'true', then: AFTER}\n"
	for _, tc := range []struct {
		then, after, rule string
		want              policy.Decision
	}{
		{"allow", "allow", "after", policy.Decision{Outcome: policy.Allow}},
		{"allow", "{require: phr, max_age: 5m}", "after", policy.Decision{Outcome: policy.Require, ACR: policy.PHR, MaxAge: 5 * time.Minute}},
		{"allow", "deny", "after", policy.Decision{Outcome: policy.Deny}},
		{"{require: aal2}", "deny", "after", policy.Decision{Outcome: policy.Deny}},
		{"deny", "{require: aal2}", "fails (failed)", policy.Decision{Outcome: policy.Deny}},
		{"{require: aal1}", "allow", "fails (failed)", policy.Decision{Outcome: policy.Require, ACR: policy.AAL1}},
		{"{require: phr, methods: [hwk], max_age: 5m, level: high}", "allow", "fails (failed)",
			policy.Decision{Outcome: policy.Require, ACR: policy.PHR, Methods: []string{policy.Hardware}, MaxAge: 5 * time.Minute, Level: policy.High}},
		{"{require: aal2, max_age: 1h}", "{require: aal3, max_age: 5m}", "fails (failed), after", policy.Decision{Outcome: policy.Require, ACR: policy.AAL3, MaxAge: 5 * time.Minute}},
		{"{require: phr, max_age: 5m}", "{require: aal2, max_age: 1h, level: high}", "fails (failed), after",
			policy.Decision{Outcome: policy.Require, ACR: policy.AAL3, MaxAge: 5 * time.Minute, Level: policy.High}},
		{"{require: aal2, level: high}", "{require: aal1, level: low}", "fails (failed), after", policy.Decision{Outcome: policy.Require, ACR: policy.AAL2, Level: policy.High}},
		{"{require: aal2, max_age: 5m}", "{require: aal1, methods: [pwd]}", "fails (failed), after", policy.Decision{Outcome: policy.Deny}},
		{"{require: aal1, methods: [otp]}", "{require: aal2, max_age: 5m}", "fails (failed), after", policy.Decision{Outcome: policy.Deny}},
		{"{require: aal2}", "{require: phrh}", "fails (failed), after", policy.Decision{Outcome: policy.Require, ACR: policy.AAL3}},
		{"{require: aal2, methods: [otp, hwk]}", "{require: aal1, methods: [swk, hwk]}", "fails (failed), after", policy.Decision{Outcome: policy.Require, ACR: policy.AAL2, Methods: []string{policy.Hardware}}},
		{"{require: aal2, methods: [otp]}", "{require: aal1, methods: [hwk]}", "fails (failed), after", policy.Decision{Outcome: policy.Deny}},
	} {
		set := parse(t, strings.NewReplacer("THEN", tc.then, "AFTER", tc.after).Replace(fails))
		tc.want.Rule, tc.want.RulesVersion = tc.rule, set.ID()
		got := rules.Decide(set, policy.Facts{}, nil)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s, then %s: %s", tc.then, tc.after, diff)
		}
	}
}

// TestStrictSetsDemandMoreThanAPassword of somebody.
func TestStrictSetsDemandMoreThanAPassword(t *testing.T) {
	for then, want := range map[string]bool{"allow": false, "deny": false, "{require: aal1}": false, "{require: aal1, methods: [pwd, otp]}": false, "{require: aal1, methods: [otp]}": true, "{require: aal1, methods: [sms]}": true, "{require: phr}": true} {
		set := parse(t, "name: n\nversion: v\ndefault: allow\nrules: [{name: r, when: 'client == \"a\"', then: "+then+"}]\n")
		if set.Strict() != want {
			t.Errorf("%s: %v", then, set.Strict())
		}
	}
	if set := parse(t, "name: n\nversion: v\ndefault: {require: aal2}\n"); !set.Strict() {
		t.Error("a default of aal2 is not strict")
	}
}

// FuzzParse: what is parsed decides, and nothing panics or hangs.
func FuzzParse(f *testing.F) {
	f.Add(document)
	f.Add("name: n\nversion: v\ndefault: {require: aal2}\n")
	f.Add("name: &a n\nversion: *a\ndefault: allow\n")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := rules.Parse([]byte(text), none)
		if err != nil {
			return
		}
		d := rules.Decide(set, policy.Facts{Client: "a", Scopes: []string{"b"}}, []policy.Signal{{Code: "C", Bits: 2}})
		switch d.Outcome {
		case policy.Allow, policy.Require, policy.Deny:
		default:
			t.Errorf("%q decides %q", text, d.Outcome)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	set, err := rules.Parse([]byte(document), none)
	if err != nil {
		b.Fatal(err)
	}
	f := policy.Facts{Client: "shop", Scopes: []string{"openid", "email"}, DeviceTier: policy.TierCookie}
	signals := []policy.Signal{{Code: "KNOWN_NETWORK", Bits: -2}, {Code: "KNOWN_BROWSER", Bits: -2}}
	b.ReportAllocs()
	for b.Loop() {
		rules.Decide(set, f, signals)
	}
}
