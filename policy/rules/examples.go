package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// check decides an example, and compares all that it expects.
func (e *example) check(set Set) error {
	if len(e.Expect) == 0 {
		return errors.New("expect: is missing")
	}
	facts := e.Given.facts()
	for _, name := range set.ZonesOf(netip.Addr{}, facts.CountryOf, 0, nil) {
		if !slices.Contains(facts.Zones, name) {
			facts.Zones = append(slices.Clone(facts.Zones), name)
		}
	}
	d := Decide(set, facts, e.Given.signals())
	got := map[string]string{
		"outcome": string(d.Outcome), "require": d.ACR, "rule": d.Rule, "level": string(d.Level),
		"methods": strings.Join(d.Methods, " "), "max_age": d.MaxAge.String(),
	}
	for _, key := range slices.Sorted(maps.Keys(e.Expect)) {
		is, known := got[key]
		if !known {
			return fmt.Errorf("expect: %q is not known; known are %v", key, slices.Sorted(maps.Keys(got)))
		}
		want := expected(e.Expect[key])
		if age, err := time.ParseDuration(want); err == nil && key == "max_age" {
			want = age.String()
		}
		if want != is {
			return fmt.Errorf("%s is %q, and %q was expected", key, is, want)
		}
	}
	return nil
}

// expected is a value as it was written; a list is its elements.
func expected(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	words := make([]string, len(list))
	for i, one := range list {
		words[i] = fmt.Sprint(one)
	}
	return strings.Join(words, " ")
}

func (g given) facts() policy.Facts {
	return policy.Facts{
		Client: g.Client, Scopes: g.Scopes, Resources: g.Resources, ACRAsked: g.ACRAsked,
		Groups: g.Groups, Zones: g.Zones, CountryOf: g.Country, DeviceTier: cmp.Or(g.DeviceTier, policy.TierNone), FirstTime: g.FirstTime,
		Breached: g.Breached,
	}
}

func (g given) signals() []policy.Signal {
	var out []policy.Signal
	for _, code := range slices.Sorted(maps.Keys(g.Signals)) {
		out = append(out, policy.Signal{Code: code, Bits: policy.Bits(g.Signals[code])})
	}
	return out
}
