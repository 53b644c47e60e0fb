package eval

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Caught is the share of an attacker's attempts that thresholds are chosen for.
const (
	most    = 0.99
	sameTPR = 0.83 // of those on the person's network with their browser
)

// attacker returns the number of the one of that name.
func (r *Run) attacker(name string) int {
	return slices.IndexFunc(r.Attackers, func(a Attacker) bool { return a.Name == name })
}

// A Bar is a figure that is to be reached.
type Bar struct {
	Goal string
	Want string
	// measure says what it is, and whether that is good enough.
	measure func(r *Run) (got string, met bool)
}

const ours, theReference = 0, 1 // of Contenders

// Bars are the goals for chain.
func Bars() []Bar {
	repeats := func(attacker string, share float64, most12, most39 int) func(*Run) (string, bool) {
		return func(r *Run) (string, bool) {
			th := r.Threshold(ours, r.attacker(attacker), share)
			at12, _ := r.Repeats(ours, th, 12)
			at39, people := r.Repeats(ours, th, 39)
			return fmt.Sprintf("%d/%d (%d people)", at12, at39, people), at12 <= most12 && at39 <= most39
		}
	}
	asked := func(who func(*Score) bool, bar float64) func(*Run) (string, bool) {
		return func(r *Run) (string, bool) {
			th := r.Threshold(ours, r.attacker("vpn"), most)
			share := r.Asked(ours, th, who).Share()
			return percent(share) + between(r.AskedBetween(ours, th, who)), share <= bar
		}
	}
	return []Bar{
		{"asked by sign-in 12/39 (median), naive caught .99", "<= 1/1", repeats("naive", most, 1, 1)},
		{"the same, vpn", "<= 2/1", repeats("vpn", most, 2, 1)},
		{"the same, targeted", "<= 2/1", repeats("targeted", most, 2, 1)},
		{"the same, same browser caught .83", "<= 3/2", repeats("same browser", sameTPR, 3, 2)},
		{"less than weekly, of baseline's rate at vpn .99", "<= 0.5", func(r *Run) (string, bool) {
			vpn := r.attacker("vpn")
			asked := r.Asked(ours, r.Threshold(ours, vpn, most), Seldom).Share()
			theirs := r.Asked(theReference, r.Threshold(theReference, vpn, most), Seldom).Share()
			return fmt.Sprintf("%.2f (%s of %s)", asked/theirs, percent(asked), percent(theirs)), asked <= theirs/2
		}},
		{"established devices at vpn .99", "<= 2 %", asked(EstablishedDevice, 0.02)},
		{"of established people, the 95th of 100, in 90 days", "<= 10 %", func(r *Run) (string, bool) {
			share := r.Unlucky(ours, r.Threshold(ours, r.attacker("vpn"), most), 0.95, 1, EstablishedDevice)
			return percent(share), share <= 0.1
		}},
		{"sign-ins 2 and 3 with the cookie at vpn .99", "<= 5 %", asked(Second, 0.05)},
		{"back after 180 to 400 days with the cookie", "<= 10 %", asked(Returning, 0.1)},
		{"the same without it: one step more, never denied", "any", asked(ReturningBare, 1)},
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func between(i Interval) string { return fmt.Sprintf(" (%.1f to %.1f)", 100*i.Low, 100*i.High) }

// Report writes what the runs come to, as Markdown.
func Report(w io.Writer, runs []*Run) error {
	out := &printer{w: w}
	out.line("## The goals")
	header := []string{"goal", "bar"}
	for _, r := range runs {
		header = append(header, r.World.Name)
	}
	out.table(header, func(row func(...string)) {
		for _, bar := range Bars() {
			cells := []string{bar.Goal, bar.Want}
			for _, r := range runs {
				got, met := bar.measure(r)
				if !met {
					got += " **missed**"
				}
				cells = append(cells, got)
			}
			row(cells...)
		}
	})
	for _, r := range runs {
		out.line("## World: " + r.World.Name)
		out.line(fmt.Sprintf("%d people, %d sign-ins, %d attempts of attackers.", r.World.People, len(r.World.Visits), len(r.Attacks)))
		for a, attacker := range r.Attackers {
			out.line(fmt.Sprintf("### Attacker: %s (%s)", attacker.Name, attacker.About))
			out.table([]string{"scorer", "AUC", "caught", "asked: all", "established", "with the cookie", "less than weekly", "2nd and 3rd, cookie", "by sign-in 12/39"}, func(row func(...string)) {
				for c, contender := range r.Protocol.Contenders {
					th := r.Threshold(c, a, most)
					share := func(who func(*Score) bool) string { return percent(r.Asked(c, th, who).Share()) }
					at12, _ := r.Repeats(c, th, 12)
					at39, _ := r.Repeats(c, th, 39)
					row(contender.Name, fmt.Sprintf("%.3f", r.AUC(c, a)), percent(r.Caught(c, a, th).Share()),
						share(Anybody)+between(r.AskedBetween(c, th, Anybody)), share(Established), share(EstablishedDevice), share(Seldom), share(Second), fmt.Sprintf("%d/%d", at12, at39))
				}
			})
		}
		out.line("### Are bits what they say?")
		out.line("Odds of attackers (one of each kind alike) against people, as the bits promise and as they are:")
		out.table([]string{"bits", "people", "attempts", "log2 of the odds"}, func(row func(...string)) {
			for _, b := range r.Calibration(ours) {
				row(fmt.Sprintf("%g to %g", b.From, b.Till), fmt.Sprint(b.People), fmt.Sprint(b.Attacks), fmt.Sprintf("%.1f", b.Odds))
			}
		})
	}
	return out.err
}

// Ablate writes what each signal is worth.
func Ablate(w io.Writer, runs []*Run) error {
	out := &printer{w: w}
	out.line("## Without one signal")
	header := []string{"chain"}
	for _, r := range runs {
		header = append(header, r.World.Name+": AUC vpn", "asked", "AUC same browser", "asked")
	}
	out.table(header, func(row func(...string)) {
		for c, contender := range runs[0].Protocol.Contenders {
			cells := []string{contender.Name}
			for _, r := range runs {
				for _, attacker := range []struct {
					name string
					tpr  float64
				}{{"vpn", most}, {"same browser", sameTPR}} {
					a := r.attacker(attacker.name)
					th := r.Threshold(c, a, attacker.tpr)
					cells = append(cells, fmt.Sprintf("%.3f", r.AUC(c, a)), percent(r.Asked(c, th, Anybody).Share()))
				}
			}
			row(cells...)
		}
	})
	return out.err
}

// Bucket is the attempts whose bits are between two numbers.
type Bucket struct {
	From, Till      float64
	People, Attacks int
	Odds            float64 // log2 of the attackers' share over the people's
}

// Calibration compares bits with the odds there were in the month of the test.
func (r *Run) Calibration(contender int) []Bucket {
	edges := []float64{math.Inf(-1), -8, -4, -2, 0, 2, 4, 6, 8, 12, math.Inf(1)}
	buckets := make([]Bucket, len(edges)-1)
	for i := range buckets {
		buckets[i].From, buckets[i].Till = edges[i], edges[i+1]
	}
	in := func(bits float64) *Bucket {
		i, found := slices.BinarySearch(edges, bits)
		if !found {
			i--
		}
		return &buckets[min(max(i, 0), len(buckets)-1)]
	}
	people, attacks := 0, 0
	for i := range r.People {
		if r.Protocol.Test.has(r.People[i].At) {
			in(r.People[i].Bits[contender]).People++
			people++
		}
	}
	for i := range r.Attacks {
		if r.Protocol.Test.has(r.Attacks[i].At) {
			in(r.Attacks[i].Bits[contender]).Attacks++
			attacks++
		}
	}
	for i := range buckets {
		b := &buckets[i]
		b.Odds = math.Log2(float64(b.Attacks) / float64(attacks) / (float64(b.People) / float64(people)))
	}
	return slices.DeleteFunc(buckets, func(b Bucket) bool { return b.People+b.Attacks == 0 })
}

// printer keeps its first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) print(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, text)
	}
}

func (p *printer) line(text string) { p.print(text + "\n\n") }

func (p *printer) table(header []string, fill func(row func(cells ...string))) {
	row := func(cells ...string) { p.print("| " + strings.Join(cells, " | ") + " |\n") }
	row(header...)
	p.print("|" + strings.Repeat("---|", len(header)) + "\n")
	fill(row)
	p.print("\n")
}
