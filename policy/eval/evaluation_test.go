package eval

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	write  = flag.String("write", "", "write risk-evaluation.md and its plots into this directory")
	people = flag.Int("people", 20_000, "people in each world, to write")
	seed   = flag.Uint64("seed", 1, "of the worlds and the attackers, to write")
)

// TestEvaluation writes what stands in docs/risk-evaluation.md, if it is told to; else it goes
// through small worlds.
func TestEvaluation(t *testing.T) {
	to, size := *write, Size{People: *people, Days: 540, Seed: *seed}
	if to == "" {
		to, size.People = t.TempDir(), 300
	}
	protocol := Protocol{Contenders: Contenders(), Validate: Month{480, 510}, Test: Month{510, 540}, Attacked: 0.3, Seed: size.Seed}
	ablations := protocol
	ablations.Contenders = Ablations()
	var (
		doc        bytes.Buffer
		runs, less []*Run
	)
	fmt.Fprintf(&doc, head, size.People, size.Seed)
	for _, name := range slices.Sorted(maps.Keys(Generators())) {
		w := Generators()[name](size)
		runs, less = append(runs, gone(t, w, protocol)), append(less, gone(t, w, ablations))
	}
	if err := Report(&doc, runs); err != nil {
		t.Fatal(err)
	}
	if err := Ablate(&doc, less); err != nil {
		t.Fatal(err)
	}
	doc.WriteString("## How many are caught where so many are asked\n\n")
	for _, r := range runs {
		for _, attacker := range []string{"vpn", "same browser"} {
			name := fmt.Sprintf("risk-%s-%s.svg", r.World.Name, strings.ReplaceAll(attacker, " ", "-"))
			var plot bytes.Buffer
			if err := Plot(&plot, r, attacker); err != nil {
				t.Fatal(err)
			}
			store(t, filepath.Join(to, name), plot.Bytes())
			fmt.Fprintf(&doc, "![%s, attacker %s](%s)\n", r.World.Name, attacker, name)
		}
	}
	store(t, filepath.Join(to, "risk-evaluation.md"), doc.Bytes())
}

func store(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

const head = `# How good the scorers are

**All of this is synthetic.** People, sign-ins and attackers are made up by three generators (policy/eval) that differ in
what they assume. What a world assumes it rewards: a scorer that counts on cookies does well where most people keep
theirs. None of the figures says how many real attackers are caught or how many real people are asked. For that, run the
scorers beside each other on real sign-ins.

Made by "go test ./policy/eval -run Evaluation -timeout 1h -write ../../docs -people %d -seed %d". Each world runs for 540 days in time order: an attempt is scored with what was
known before it, and learned after; attackers are never learned, the poisoner aside. Thresholds are chosen in days 480 to 509, so that the share of an attacker's attempts
that the table names is caught, and used in days 510 to 539, whose figures stand here. First sign-ins are not scored.
Intervals are of 95 %%, by drawing the people anew.

Where chain loses: to a thief of the cookie (only a passkey that stays in its machine tells the two apart), and to whoever
sits at the person's own address, which it asks the person about several times before it catches nine of ten. Who keeps no cookie is
asked at every unusual visit: most of those whom it asks at all are these. In the world "marginals" every twelfth visit is
from anywhere with anything and no cookie: no scorer that catches strangers can let it pass, and the goals for the
39th sign-in are out of reach there by construction.

"baseline" is the formula of Freeman et al. (NDSS 2016) with the parameters of Wiefling et al. (ACM TOPS 2022), without decay;
"behaviour" counts what is new among the last sign-ins; "new ASN or country" is that rule; "always" asks everybody. A scorer
with few different scores catches more than was chosen, or asks everybody.

`
