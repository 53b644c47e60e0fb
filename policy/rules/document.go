package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/doorstep-id/doorstep/policy"
)

const (
	// MaxDocument is the size of the biggest document of rules, in bytes.
	MaxDocument = 256 << 10
	mostRules   = 200
	mostName    = 80
)

// document is a set as it is written; docs/policy.md tells of it.
type document struct {
	Name     string          `yaml:"name"`
	Version  string          `yaml:"version"`
	Zones    map[string]zone `yaml:"zones"`
	Levels   levels          `yaml:"levels"`
	Rules    []line          `yaml:"rules"`
	Default  demand          `yaml:"default"`
	Examples []example       `yaml:"examples"`
}

type line struct {
	Name string `yaml:"name"`
	When string `yaml:"when"`
	Then demand `yaml:"then"`
	at   int
}

// demand is written as "allow", "deny", or as what is required.
type demand struct {
	Outcome policy.Outcome
	Require string        `yaml:"require"` // of the acr values
	Methods []string      `yaml:"methods"`
	MaxAge  time.Duration `yaml:"max_age"`
	Level   policy.Level  `yaml:"level"`
}

// levels are written as what they cost.
type levels struct {
	Medium *cost `yaml:"medium"`
	High   *cost `yaml:"high"`
}

// cost says from which score it is cheaper to ask: a takeover costs so many times what
// asking somebody in vain does, and so many of all attempts are one. Or it is a budget:
// the share of the sign-ins of those who are known that may be asked.
type cost struct {
	Ratio  float64 `yaml:"cost_ratio"`
	Prior  float64 `yaml:"prior"`
	Budget float64 `yaml:"budget"`
}

// example is an attempt that a set must decide as it says.
type example struct {
	Name   string         `yaml:"name"`
	Given  given          `yaml:"given"`
	Expect map[string]any `yaml:"expect"`
	at     int
}

type given struct {
	Client     string             `yaml:"client"`
	Scopes     []string           `yaml:"scopes"`
	Resources  []string           `yaml:"resources"`
	ACRAsked   []string           `yaml:"acr_asked"`
	Groups     []string           `yaml:"groups"`
	Zones      []string           `yaml:"zones"`
	Country    string             `yaml:"country"`
	DeviceTier policy.Tier        `yaml:"device_tier"`
	FirstTime  bool               `yaml:"first_time"`
	Breached   bool               `yaml:"breached"`
	Signals    map[string]float64 `yaml:"signals"` // bits by code
}

// Quantile says which score a share of the sign-ins of those who are known reaches: a
// budget of 0.02 asks for Quantile(0.02). It is +Inf while too few are known.
type Quantile func(share float64) float64

// Parse reads a set of rules and checks it: each error names the line that it is about.
// Its examples must come out as they say.
func Parse(text []byte, budget Quantile) (Set, error) {
	if len(text) > MaxDocument {
		return Set{}, fmt.Errorf("rules: must have at most %d bytes", MaxDocument)
	}
	var doc document
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("there is nothing in it")
		}
		return Set{}, fmt.Errorf("rules: %w", err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Set{}, errors.New("rules: there is more than one document in it")
	}
	set, err := doc.set(budget)
	if err != nil {
		return Set{}, fmt.Errorf("rules: %w", err)
	}
	for _, e := range doc.Examples {
		err := doc.known(e.Given.Zones)
		if err == nil {
			err = e.check(set)
		}
		if err != nil {
			return Set{}, fmt.Errorf("rules: line %d: example %q: %w", e.at, e.Name, err)
		}
	}
	set.Examples = len(doc.Examples)
	sum := sha256.Sum256(text)
	set.Digest = hex.EncodeToString(sum[:4])
	return set, nil
}

func (doc *document) set(budget Quantile) (Set, error) {
	switch {
	case doc.Name == "" || len(doc.Name) > mostName:
		return Set{}, fmt.Errorf("name: must have 1 to %d bytes", mostName)
	case doc.Version == "" || len(doc.Version) > mostName:
		return Set{}, fmt.Errorf("version: must have 1 to %d bytes", mostName)
	case len(doc.Rules) > mostRules:
		return Set{}, fmt.Errorf("rules: must be at most %d", mostRules)
	case doc.Default.Outcome == "":
		return Set{}, errors.New("default: is missing: say what is done when no rule holds")
	}
	set := Set{Name: doc.Name, Version: doc.Version, Default: doc.Default.Outcome, Scores: doc.Levels != (levels{})}
	if doc.Default.Outcome == policy.Require { // a rule of its own, which always holds
		set.Default = policy.Deny
	}
	var err error
	if set.Levels, err = doc.Levels.bits(budget); err != nil {
		return Set{}, err
	}
	if l := doc.Levels; l.Medium != nil && l.High != nil {
		set.Budgets = Budgets{Medium: l.Medium.Budget, High: l.High.Budget}
	}
	if err := doc.zones(&set); err != nil {
		return Set{}, err
	}
	for i, l := range doc.Rules {
		if l.Name == "" || len(l.Name) > mostName || slices.ContainsFunc(doc.Rules[:i], func(other line) bool { return other.Name == l.Name }) {
			return Set{}, fmt.Errorf("line %d: name: must be one of its own, of 1 to %d bytes", l.at, mostName)
		}
		when, checked, err := condition(l.When, l.Then.Outcome == policy.Deny)
		if err != nil {
			return Set{}, fmt.Errorf("line %d: rule %q: when: %w", l.at, l.Name, err)
		}
		zones, err := zonesIn(checked)
		if err == nil {
			err = doc.known(zones)
		}
		if err != nil {
			return Set{}, fmt.Errorf("line %d: rule %q: when: %w", l.at, l.Name, err)
		}
		asked := variablesIn(checked)
		set.Places = set.Places || slices.Contains(asked, "country")
		set.Scores = set.Scores || slices.ContainsFunc(asked, func(name string) bool { return variables[name].soft })
		set.Rules = append(set.Rules, Rule{Name: l.Name, When: when, Then: l.Then.demand()})
	}
	if doc.Default.Outcome == policy.Require {
		always := func(Case) (bool, error) { return true, nil }
		set.Rules = append(set.Rules, Rule{Name: "default", When: always, Then: doc.Default.demand()})
	}
	return set, nil
}

// known says which of these zones there is not.
func (doc *document) known(zones []string) error {
	for _, name := range zones {
		if _, known := doc.Zones[name]; !known {
			return fmt.Errorf("there is no zone %q", name)
		}
	}
	return nil
}

func (doc *document) zones(set *Set) error {
	if len(doc.Zones) > mostZones {
		return fmt.Errorf("zones: must be at most %d", mostZones)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Zones)) {
		written := doc.Zones[name]
		zone, err := written.named(name)
		if err != nil {
			return fmt.Errorf("zones: %q: %w", name, err)
		}
		set.Zones = append(set.Zones, zone)
		set.Places = set.Places || len(zone.Countries)+len(zone.ASNs) > 0
	}
	return nil
}

func (d demand) demand() Demand {
	return Demand{Outcome: d.Outcome, Level: d.Level, ACR: d.Require, Methods: d.Methods, MaxAge: d.MaxAge}
}

// bits are the thresholds. A sign-in is worth a question where the loss that it spares
// outweighs it: from log2 of what asking costs of a loss, less log2 of the odds before
// anything is seen.
func (l levels) bits(budget Quantile) (Levels, error) {
	if l.Medium == nil && l.High == nil {
		return Levels{}, nil
	}
	if l.Medium == nil || l.High == nil {
		return Levels{}, errors.New("levels: medium and high go together")
	}
	medium, err := l.Medium.bits(budget)
	if err != nil {
		return Levels{}, fmt.Errorf("levels: medium: %w", err)
	}
	high, err := l.High.bits(budget)
	if err != nil {
		return Levels{}, fmt.Errorf("levels: high: %w", err)
	}
	if medium > high && !math.IsInf(medium, 1) { // which is not known yet
		return Levels{}, fmt.Errorf("levels: medium begins at %.2f bits, above high, which begins at %.2f", medium, high)
	}
	return Levels{Medium: medium, High: high}, nil
}

func (c cost) bits(budget Quantile) (float64, error) {
	switch {
	case c.Budget != 0 && (c.Ratio != 0 || c.Prior != 0):
		return 0, errors.New("budget: is instead of cost_ratio and prior")
	case c.Budget != 0:
		if !(c.Budget > 0 && c.Budget < 1) {
			return 0, errors.New("budget: must be a share between 0 and 1")
		}
		return budget(c.Budget), nil
	case !(c.Ratio > 1 && c.Ratio <= 1e9):
		return 0, errors.New("cost_ratio: must be more than 1, and at most 1e9")
	case !(c.Prior > 0 && c.Prior < 1):
		return 0, errors.New("prior: must be a share between 0 and 1")
	}
	return -math.Log2(c.Ratio) - math.Log2(c.Prior/(1-c.Prior)), nil
}
