package rules

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/doorstep-id/doorstep/policy"
)

// strict decodes a node into a struct that has a field for every key: a decoder that is
// strict forgets it in what has an UnmarshalYAML.
func strict[T any](node *yaml.Node, into *T) error {
	var known []string
	for field := range reflect.TypeFor[T]().Fields() {
		if key := field.Tag.Get("yaml"); key != "" {
			known = append(known, key)
		}
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: must be a mapping with %v", node.Line, known)
	}
	for i := 0; i < len(node.Content); i += 2 {
		if key := node.Content[i]; !slices.Contains(known, key.Value) {
			return fmt.Errorf("line %d: %q is not known; known are %v", key.Line, key.Value, known)
		}
	}
	return node.Decode(into)
}

// UnmarshalYAML notes the line.
func (l *line) UnmarshalYAML(node *yaml.Node) error {
	type plain line
	if err := strict(node, (*plain)(l)); err != nil {
		return err
	}
	l.at = node.Line
	if l.Then.Outcome == "" {
		return fmt.Errorf("line %d: then: is missing: allow, deny or what is required", node.Line)
	}
	return nil
}

// UnmarshalYAML notes the line.
func (e *example) UnmarshalYAML(node *yaml.Node) error {
	type plain example
	if err := strict(node, (*plain)(e)); err != nil {
		return err
	}
	e.at = node.Line
	return nil
}

// UnmarshalYAML refuses what no list has.
func (l *list) UnmarshalYAML(node *yaml.Node) error {
	type plain list
	return strict(node, (*plain)(l))
}

// UnmarshalYAML refuses what no zone has.
func (z *zone) UnmarshalYAML(node *yaml.Node) error {
	type plain zone
	return strict(node, (*plain)(z))
}

// UnmarshalYAML refuses facts that there are none of.
func (g *given) UnmarshalYAML(node *yaml.Node) error {
	type plain given
	if err := strict(node, (*plain)(g)); err != nil {
		return err
	}
	if known := policy.Tiers(); g.DeviceTier != "" && !slices.Contains(known, g.DeviceTier) {
		return fmt.Errorf("line %d: device_tier: must be one of %v, not %q", node.Line, known, g.DeviceTier)
	}
	return nil
}

// UnmarshalYAML reads "allow", "deny", or a mapping that has require.
func (d *demand) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		switch d.Outcome = policy.Outcome(node.Value); d.Outcome {
		case policy.Allow, policy.Deny:
			return nil
		case policy.Require:
		}
		return fmt.Errorf("line %d: must be allow, deny or a mapping that has require, not %q", node.Line, node.Value)
	}
	type plain demand
	if err := strict(node, (*plain)(d)); err != nil {
		return err
	}
	d.Outcome = policy.Require
	switch {
	case !policy.KnownACR(d.Require):
		return fmt.Errorf("line %d: require: must be one of %v, not %q", node.Line, policy.ACRValues(), d.Require)
	case d.MaxAge < 0 || d.MaxAge > 365*24*time.Hour:
		return fmt.Errorf("line %d: max_age: must be a time of at most a year", node.Line)
	case d.Level != "" && !slices.Contains([]policy.Level{policy.Low, policy.Medium, policy.High}, d.Level):
		return fmt.Errorf("line %d: level: must be low, medium or high, not %q", node.Line, d.Level)
	}
	for _, m := range d.Methods {
		if !slices.Contains(methods, m) {
			return fmt.Errorf("line %d: methods: must be of %v, not %q", node.Line, methods, m)
		}
	}
	return nil
}

// methods are those that a rule may name: what proves an address of theirs, or stands in for what
// was lost, is nobody's proof of the moment.
var methods = []string{policy.Password, policy.Hardware, policy.Software, policy.OneTime, policy.SMS}
