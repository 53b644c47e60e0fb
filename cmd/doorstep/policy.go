package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/risk"
)

func (a *app) policyCommand() *cobra.Command {
	return a.group("policy", "What has to be proven, by whom and for what", a.policyTestCommand(), a.policyExplainCommand(), a.policyReplayCommand())
}

func (a *app) policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "Check a file of rules, with its examples",
		Long: `Check a file of rules as a server does that starts with it: each fault names its line,
and every example in it must come out as it says. Nothing is changed, and no database is
asked. - reads standard input.`,
		Example: "  doorstep policy test rules.yaml",
		Args:    cobra.ExactArgs(1),
		RunE:    a.does(a.policyTest),
	}
}

// tested is what a file of rules has.
type tested struct {
	Set      string `json:"set"`
	Rules    int    `json:"rules"`
	Zones    int    `json:"zones"`
	Examples int    `json:"examples"`
}

func (a *app) policyTest(_ context.Context, _ *cobra.Command, args []string) error {
	text, err := a.readInput(args[0])
	if err != nil {
		return err
	}
	set, err := rules.Parse(text, nobodyKnown)
	if err != nil {
		return err
	}
	t := tested{set.ID(), len(set.Rules), len(set.Zones), set.Examples}
	return a.print(t, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d rules, %d zones; %d examples come out as they say\n", t.Set, t.Rules, t.Zones, t.Examples)
	})
}

// nobodyKnown is the score that a share of those who are known reach, where nobody is: a
// server counts them, and a file alone says nothing of them.
func nobodyKnown(float64) float64 { return math.Inf(1) }

// scorers are names of those that there are, each once; "none" is none.
func scorers(field func(*settings) *[]string) func(*settings, string) error {
	return func(s *settings, text string) error {
		*field(s) = []string{}
		if text == "none" {
			return nil
		}
		if err := texts(field)(s, text); err != nil {
			return err
		}
		names := *field(s)
		for i, name := range names {
			if slices.Contains(names[:i], name) {
				return fmt.Errorf("%q is there twice", name)
			}
			if !slices.Contains(risk.BuiltIn(), name) {
				return fmt.Errorf("%q is not one of %s, and none", name, strings.Join(risk.BuiltIn(), ", "))
			}
		}
		return nil
	}
}

// places looks at the files that say where addresses are.
func (d *doctor) places() {
	places, err := risk.OpenPlaces(risk.PlacesConfig{Files: d.cfg.Places, MaxAge: d.cfg.PlacesMaxAge}, d.now)
	if err != nil {
		d.fault("places", "put a file in the MaxMind DB format there, or take it out of risk.places", "%v", err)
		return
	}
	d.ages(places.Ages())
}

// lists looks at those of zones.
func (d *doctor) lists() {
	const check = "zone lists"
	lists, err := risk.OpenLists(d.own.rules, d.now)
	if err != nil {
		d.fault(check, "write the list again, and its checksum beside it, or take it out of the rules", "%v", err)
		return
	}
	for _, age := range lists.Ages() {
		written := age.Built.Format(time.DateTime)
		if age.Stale {
			d.fault(check, "put a newer one in its place, with its checksum: it is taken up within a minute", "%s is of %s: it is stale, and nobody is on it", age.Path, written)
			continue
		}
		d.ok(check, "%s is of %s", age.Path, written)
	}
}

func (d *doctor) ages(all []risk.Age) {
	const check = "places"
	if len(all) == 0 {
		d.ok(check, "nothing is known of where addresses are, and nothing asks for it")
	}
	for _, age := range all {
		built := age.Built.Format(time.DateOnly)
		if age.Stale {
			d.warning(check, "put a newer one in its place: it is taken up within a minute", "%s is of %s", age.Path, built)
			continue
		}
		d.ok(check, "%s is of %s", age.Path, built)
	}
}
