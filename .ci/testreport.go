//go:build ignore

// Testreport reads the events of `go test -json` and prints what a person wants
// to know: a line for each package, the output of what failed and of nothing
// else, and last "N passed, N failed". It exits 1 if anything failed, if nothing
// ran and, with -no-skips, if a test was skipped.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output, instead of Package
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// id names a test; with an empty test, what the package itself printed.
type id struct{ pkg, test string }

type report struct {
	out                     io.Writer
	printed                 map[id]*strings.Builder // by those that have not ended
	running                 map[id]bool
	tests                   map[string]int // that ended, by package
	builds                  map[string]*strings.Builder
	passed, failed, skipped int
	skips, failures         []string
}

func main() {
	noSkips := flag.Bool("no-skips", false, "a skipped test is a failure")
	flag.Parse()

	r := &report{
		out:     os.Stdout,
		printed: map[id]*strings.Builder{},
		running: map[id]bool{},
		tests:   map[string]int{},
		builds:  map[string]*strings.Builder{},
	}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.close(*noSkips) {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(r.out, "%s", line) // of the go command itself
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	who := id{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		builder(r.builds, e.ImportPath).WriteString(e.Output)
	case "output":
		builder(r.printed, who).WriteString(e.Output)
	case "run":
		r.running[who] = true
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(who, e.Action)
		}
	}
}

func (r *report) endTest(who id, action string) {
	delete(r.running, who)
	r.tests[who.pkg]++
	name := who.pkg + " " + who.test
	switch action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		r.skips = append(r.skips, name+": "+strings.Join(strings.Fields(builder(r.printed, who).String()), " "))
	case "fail":
		r.fail(name, builder(r.printed, who).String())
	}
	delete(r.printed, who)
}

func (r *report) endPackage(e event) {
	before := r.failed
	if e.FailedBuild != "" {
		r.fail(e.Package+": does not build", builder(r.builds, e.FailedBuild).String())
	}
	for who := range r.running { // a panic or the time limit ended them
		if who.pkg == e.Package {
			r.fail(who.pkg+" "+who.test+": did not finish", builder(r.printed, who).String())
			delete(r.running, who)
			delete(r.printed, who)
		}
	}
	own := id{pkg: e.Package}
	if e.Action == "fail" && e.FailedBuild == "" {
		output := builder(r.printed, own).String()
		if r.failed == before && !r.named(e.Package) {
			r.fail(e.Package, output)
		} else {
			fmt.Fprint(r.out, output)
		}
	}
	delete(r.printed, own)
	if e.Action != "skip" { // that is: it has test files
		word := map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action]
		fmt.Fprintf(r.out, "%-4s  %-60s %4d tests %7.1f s\n", word, e.Package, r.tests[e.Package], e.Elapsed)
	}
}

// named says that a test of this package is among the failures.
func (r *report) named(pkg string) bool {
	return slices.ContainsFunc(r.failures, func(name string) bool { return strings.HasPrefix(name, pkg+" ") })
}

func (r *report) fail(name, output string) {
	r.failed++
	r.failures = append(r.failures, name)
	fmt.Fprintf(r.out, "\n--- failed: %s\n%s\n", name, output)
}

// close prints the sum and says whether all is well.
func (r *report) close(noSkips bool) bool {
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "skipped:", s)
	}
	for _, f := range r.failures {
		fmt.Fprintln(r.out, "failed: ", f)
	}
	ok := r.failed == 0
	if r.passed+r.failed == 0 {
		fmt.Fprintln(r.out, "no test ran")
		ok = false
	}
	if noSkips && r.skipped > 0 {
		fmt.Fprintln(r.out, "a test was skipped, and here nothing may be")
		ok = false
	}
	fmt.Fprintf(r.out, "%d passed, %d failed", r.passed, r.failed)
	if r.skipped > 0 {
		fmt.Fprintf(r.out, ", %d skipped", r.skipped)
	}
	fmt.Fprintln(r.out)
	return ok
}

func builder[K comparable](m map[K]*strings.Builder, key K) *strings.Builder {
	if m[key] == nil {
		m[key] = &strings.Builder{}
	}
	return m[key]
}
