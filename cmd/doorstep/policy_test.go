package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/doorstep-id/doorstep/policy/rules"
)

// TestTheDocumentedRulesHold: what docs/policy.md shows is accepted, and comes out as it says.
func TestTheDocumentedRulesHold(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml\n(# /etc/doorstep/rules.yaml\n.*?)```").FindSubmatch(text)
	if shown == nil {
		t.Fatal("docs/policy.md shows no document")
	}
	set, err := rules.Parse(shown[1], nobodyKnown)
	if err != nil || set.Examples < 3 || len(set.Rules) < 3 || !set.Places {
		t.Errorf("%+v, %v", set, err)
	}
}
