// Command evaluate measures the scorers and writes docs/risk-evaluation.md with its plots.
//
//	go run ./policy/eval/evaluate
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/doorstep-id/doorstep/policy/eval"
)

func main() {
	people := flag.Int("people", 20_000, "people in each world")
	seed := flag.Uint64("seed", 1, "of the worlds and the attackers")
	to := flag.String("to", "docs", "the directory for risk-evaluation.md and its plots")
	flag.Parse()
	if err := evaluate(*people, *seed, *to); err != nil {
		fmt.Fprintln(os.Stderr, "evaluate:", err)
		os.Exit(1)
	}
}

func evaluate(people int, seed uint64, to string) error {
	var doc bytes.Buffer
	fmt.Fprintf(&doc, head, people, seed)
	size := eval.Size{People: people, Days: 540, Seed: seed}
	protocol := eval.Protocol{Contenders: eval.Contenders(), Validate: eval.Month{From: 480, Till: 510}, Test: eval.Month{From: 510, Till: 540}, Attacked: 0.3, Seed: seed}
	var runs, less []*eval.Run
	for _, name := range slices.Sorted(maps.Keys(eval.Generators())) {
		w := eval.Generators()[name](size)
		r, err := eval.Go(w, protocol)
		if err != nil {
			return err
		}
		runs = append(runs, r)
		ablations := protocol
		ablations.Contenders = eval.Ablations()
		if r, err = eval.Go(w, ablations); err != nil {
			return err
		}
		less = append(less, r)
	}
	if err := eval.Report(&doc, runs); err != nil {
		return err
	}
	if err := eval.Ablate(&doc, less); err != nil {
		return err
	}
	doc.WriteString("## How many are caught where so many are asked\n\n")
	for _, r := range runs {
		for _, attacker := range []string{"vpn", "same browser"} {
			name := fmt.Sprintf("risk-%s-%s.svg", r.World.Name, bytes.ReplaceAll([]byte(attacker), []byte(" "), []byte("-")))
			var plot bytes.Buffer
			if err := eval.Plot(&plot, r, attacker); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(to, name), plot.Bytes(), 0o644); err != nil { //nolint:gosec // for everybody to read
				return err
			}
			fmt.Fprintf(&doc, "![%s, attacker %s](%s)\n", r.World.Name, attacker, name)
		}
	}
	return os.WriteFile(filepath.Join(to, "risk-evaluation.md"), doc.Bytes(), 0o644) //nolint:gosec // for everybody to read
}

const head = `# How good the scorers are

**All of this is synthetic.** People, sign-ins and attackers are made up by three generators (policy/eval) that differ in
what they assume. What a world assumes it rewards: a scorer that counts on cookies does well where most people keep
theirs. None of the figures says how many real attackers are caught or how many real people are asked. For that, run the
scorers beside each other on real sign-ins.

Made by "go run ./policy/eval/evaluate -people %d -seed %d". Each world runs for 540 days in time order: an attempt is scored with what was
known before it, and learned after. Thresholds are chosen in days 480 to 509, so that the share of an attacker's attempts
that the table names is caught, and used in days 510 to 539, whose figures stand here. First sign-ins are not scored.
Intervals are of 95 %%, by drawing the people anew.

`
