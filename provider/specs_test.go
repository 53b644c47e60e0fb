package provider_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/specs.md is the ledger of what we claim: spec section, file, test, or why
// we differ. These tests keep it true: what it names exists, no row is without an
// answer, and every attack case has its row.

const (
	specsFile   = "../docs/specs.md"
	specsAnswer = "test, or why we differ" // the last column of a table of rules
	specsCases  = 94
)

var (
	specsSpan   = regexp.MustCompile("`([^`]+)`")
	specsPath   = regexp.MustCompile(`^[a-z.][\w.-]*(/[\w.-]+)*\.(go|sql|html|json|md|golden|patch)$`)
	specsLink   = regexp.MustCompile(`\]\(\.\./([^)#]+)`)
	specsTest   = regexp.MustCompile(`^(Test|Fuzz|Example|Benchmark)[A-Z]\w*`)
	specsFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example|Benchmark)[A-Z]\w*)\(`)
	specsAttack = regexp.MustCompile(`^Test(?:Browser)?Attack0*(\d+)`)
	specsMutant = regexp.MustCompile(`^provider/testdata/mutants/0*(\d+)[a-z]*\.patch$`)
	specsReason = regexp.MustCompile(`^(Differs|Not yet|Not ours): `)
)

// ledger is what the repository has of what the ledger may name.
type ledger struct{ files, tests map[string]bool }

func TestSpecsNameWhatExists(t *testing.T) {
	for _, fault := range newLedger(t).faults(readSpecs(t)) {
		t.Error("docs/specs.md" + fault)
	}
}

func TestSpecsHaveEveryAttackCase(t *testing.T) {
	for _, fault := range newLedger(t).attackFaults(readSpecs(t)) {
		t.Error("docs/specs.md" + fault)
	}
}

// TestSpecsFaultsAreFound is the proof that the two above can fail.
func TestSpecsFaultsAreFound(t *testing.T) {
	l := ledger{
		files: map[string]bool{"a/b.go": true, "provider/testdata/mutants/02b.patch": true},
		tests: map[string]bool{"TestRule": true, "TestAttack2Twice": true, "TestAttack03": true},
	}
	const head = "| section | rule | file | " + specsAnswer + " |\n|---|---|---|---|\n"
	for text, want := range map[string]string{
		head + "| 1 | fine | `a/b.go` | `TestRule`, `TestRule/sub` |":     "",
		head + "| 1 | fine | `a/b.go` | Not yet: it waits |":              "",
		head + "| 1 | gone | `a/c.go` | `TestRule` |":                     ":3: no file a/c.go",
		head + "| 1 | gone | `a/b.go` | `TestRuled` |":                    ":3: no test TestRuled",
		head + "| 1 | open | `a/b.go` | it is so |":                       ":3: neither a test nor a reason",
		head + "| 1 | short | `TestRule` |":                               ":3: 3 cells, the table has 4",
		"see [b](../a/b.go) and `a/b.go`":                                 "",
		"see [c](../a/c.go#L1)":                                           ":1: no file a/c.go",
		"`/oauth2/token`, `application/json`, `/.well-known/jwks.json`":   "",
		"| other | table |\n|---|---|\n| without | an answer |":           "",
		head + "| 1 | fine | `a/b.go` | `TestRule` |\n\n| a | b |\n| c |": "",
	} {
		if got := strings.Join(l.faults(text), "; "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	all := &strings.Builder{}
	all.WriteString("| case | attack | " + specsAnswer + " |\n|---|---|---|\n")
	for i := 1; i <= specsCases; i++ {
		fmt.Fprintf(all, "| %d | x | `TestAttack%02d` |\n", i, i)
	}
	got := strings.Join(l.attackFaults(strings.Replace(all.String(), "| 94 |", "| 93 |", 1)), "; ")
	if want := ": attack case 2 does not name TestAttack2Twice; : attack case 3 has no mutant for TestAttack03; : attack case 93 has 2 rows; : attack case 94 has 0 rows"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// faults returns what text claims and is not so, each with its line.
func (l ledger) faults(text string) []string {
	var out []string
	columns := 0 // of the table of rules that the line is in; 0 outside of one
	for i, line := range strings.Split(text, "\n") {
		fault := func(format string, args ...any) {
			out = append(out, fmt.Sprintf(":%d: ", i+1)+fmt.Sprintf(format, args...))
		}
		for _, span := range specsSpan.FindAllStringSubmatch(line, -1) {
			name := specsTest.FindString(span[1])
			if name != "" && !l.tests[name] {
				fault("no test %s", name)
			}
			if specsPath.MatchString(span[1]) && !l.files[span[1]] {
				fault("no file %s", span[1])
			}
		}
		for _, link := range specsLink.FindAllStringSubmatch(line, -1) {
			if !l.files[link[1]] {
				fault("no file %s", link[1])
			}
		}
		cells := specsCells(line)
		switch {
		case len(cells) == 0:
			columns = 0
		case cells[len(cells)-1] == specsAnswer:
			columns = len(cells)
		case columns == 0 || strings.HasPrefix(line, "|-"):
		case len(cells) != columns:
			fault("%d cells, the table has %d", len(cells), columns)
		case !specsAnswered(cells[columns-1]):
			fault("neither a test nor a reason")
		}
	}
	return out
}

// attackFaults holds the attack cases against the tests and the mutants that carry
// their number: whoever plays a case proves that its defence is what stops it.
func (l ledger) attackFaults(text string) []string {
	rows := map[int][]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if cells := specsCells(line); len(cells) == 3 {
			if n, err := strconv.Atoi(cells[0]); err == nil {
				rows[n] = append(rows[n], line)
			}
		}
	}
	var out []string
	for n := 1; n <= specsCases; n++ {
		if len(rows[n]) != 1 {
			out = append(out, fmt.Sprintf(": attack case %d has %d rows", n, len(rows[n])))
		}
	}
	mutated := map[int]bool{}
	for name := range l.files {
		if m := specsMutant.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits, by the expression
			mutated[n] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.tests)) {
		if m := specsAttack.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits, by the expression
			if !strings.Contains(strings.Join(rows[n], ""), "`"+name+"`") {
				out = append(out, fmt.Sprintf(": attack case %d does not name %s", n, name))
			}
			if !mutated[n] {
				out = append(out, fmt.Sprintf(": attack case %d has no mutant for %s", n, name))
			}
		}
	}
	slices.Sort(out)
	return out
}

// specsAnswered says that the cell names a test or opens with a reason for having none.
func specsAnswered(cell string) bool {
	return specsReason.MatchString(cell) || slices.ContainsFunc(specsSpan.FindAllStringSubmatch(cell, -1),
		func(span []string) bool { return specsTest.MatchString(span[1]) })
}

// specsCells splits a table's row; nil if the line is none.
func specsCells(line string) []string {
	inner, ok := strings.CutPrefix(line, "|")
	if !ok {
		return nil
	}
	cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(inner), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

func readSpecs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(specsFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newLedger reads which files there are, and which tests in them.
func newLedger(t *testing.T) ledger {
	t.Helper()
	l := ledger{files: map[string]bool{}, tests: map[string]bool{}}
	walkTree(t, func(name, rel string) {
		l.files[rel] = true
		if !strings.HasSuffix(path.Base(rel), "_test.go") {
			return
		}
		for _, found := range specsFunc.FindAllStringSubmatch(string(readText(t, name)), -1) {
			l.tests[found[1]] = true
		}
	})
	return l
}
