package eval

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorstep-id/doorstep/policy"
)

// small is a world that is quick to go through.
func small(t testing.TB, name string, people int) *World {
	t.Helper()
	return Generators()[name](Size{People: people, Days: 240, Seed: 3})
}

var months = Protocol{Contenders: Contenders(), Validate: Month{180, 210}, Test: Month{210, 240}, Attacked: 0.5, Seed: 5}

func gone(t testing.TB, w *World, p Protocol) *Run {
	t.Helper()
	r, err := Go(w, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAWorldIsTheSameAgain from the same seed, another one from another; and so is a run.
func TestAWorldIsTheSameAgain(t *testing.T) {
	same := cmp.AllowUnexported(Visit{}, spot{}, network{})
	for name, generate := range Generators() {
		size := Size{People: 200, Days: 240, Seed: 3}
		first, again := generate(size), generate(size)
		if diff := cmp.Diff(first.Visits, again.Visits, same); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		size.Seed = 4
		if other := generate(size); cmp.Equal(first.Visits, other.Visits, same) {
			t.Errorf("%s: another seed makes the same world", name)
		}
		one, two := gone(t, first, months), gone(t, again, months)
		if diff := cmp.Diff(one.People, two.People); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(one.Attacks, two.Attacks); diff != "" || len(one.Attacks) == 0 {
			t.Errorf("%s: %d attacks: %s", name, len(one.Attacks), diff)
		}
	}
}

// TestNothingIsKnownOfTheFuture: what is scored does not depend on what comes after it.
func TestNothingIsKnownOfTheFuture(t *testing.T) {
	for name := range Generators() {
		w := small(t, name, 200)
		whole := gone(t, w, months)
		cut := *w
		cut.Visits = w.Visits[:len(w.Visits)*3/4]
		part := gone(t, &cut, months)
		if diff := cmp.Diff(whole.People[:len(part.People)], part.People); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAttackersTeachNothing: with them or without, people are scored alike.
func TestAttackersTeachNothing(t *testing.T) {
	w := small(t, "shop", 300)
	calm := months
	calm.Attacked = 0
	if diff := cmp.Diff(gone(t, w, calm).People, gone(t, w, months).People); diff != "" {
		t.Error(diff)
	}
}

// TestTimelessIsWithoutTime: the reference sees whole counts, whenever they are from.
func TestTimelessIsWithoutTime(t *testing.T) {
	w := small(t, "shop", 100)
	known := pasts{newPast(w.People, false), newPast(w.People, true)}
	var last *Visit
	for i := range w.Visits {
		known.learn(&w.Visits[i])
		last = &w.Visits[i]
	}
	h := known[1].people[last.Person]
	if got := h.Weight(Epoch); got != float64(h.SignIns) {
		t.Errorf("%d sign-ins weigh %v", h.SignIns, got)
	}
	if a := known[1].crowd.attempt(last, Epoch, &h); a.Crowd.SignIns != float64(len(w.Visits)) || a.Crowd.People != float64(len(known[1].crowd.people)) {
		t.Errorf("%+v of %d", a.Crowd, len(w.Visits))
	}
	faded := known[0].people[last.Person]
	if got := faded.Weight(last.At); faded.SignIns > 1 && got >= float64(faded.SignIns) {
		t.Errorf("%d sign-ins of months weigh %v", faded.SignIns, got)
	}
}

// run is one by hand: people have 0 and 1 bits, attackers 1 and 2.
func byHand() *Run {
	r := &Run{World: &World{Name: "<hand>"}, Protocol: Protocol{Contenders: []Contender{{Name: "<one>"}}, Validate: Month{0, 10}, Test: Month{10, 20}}, Attackers: []Attacker{{Name: "a"}}}
	for i := range 100 {
		for _, today := range []int{5, 15} {
			at := Epoch.AddDate(0, 0, today)
			r.Attacks = append(r.Attacks, Score{Attacker: 0, At: at, Bits: []float64{1 + float64(i%2)}})
			r.People = append(r.People, Score{Attacker: -1, Person: i, At: at, Earlier: int64(1 + today/10), Bits: []float64{float64(i % 2)}})
		}
	}
	return r
}

// TestMeasures by hand.
func TestMeasures(t *testing.T) {
	r := byHand()
	for share, want := range map[float64]float64{1: 1, 0.99: 1, 0.5: 2, 0.4: 2} {
		if got := r.Threshold(0, 0, share); got != want {
			t.Errorf("the threshold that catches %v is %v, want %v", share, got, want)
		}
	}
	if got := r.Threshold(0, 1, 1); !math.IsInf(got, 1) {
		t.Errorf("the threshold of an attacker who never came is %v", got)
	}
	if got := r.Caught(0, 0, 2); got != (Rate{50, 100}) {
		t.Errorf("caught %v", got)
	}
	if got := r.Asked(0, 1, Anybody); got != (Rate{50, 100}) {
		t.Errorf("asked %v", got)
	}
	// Of a person with 0 bits and an attacker with 1 or 2 the attacker has more; of one with 1
	// and an attacker with 1 neither.
	if got := r.AUC(0, 0); got != 0.875 {
		t.Errorf("AUC %v, want 0.875", got)
	}
	if median, people := r.Repeats(0, 1, 2); median != 1 || people != 100 {
		t.Errorf("asked %d times by the second sign-in, of %d people", median, people)
	}
	if got := r.Unlucky(0, 1, 0.95, 1, Anybody); got != 1 {
		t.Errorf("the unlucky are asked %v", got)
	}
	if got := r.Unlucky(0, 1, 0.4, 1, Anybody); got != 0 {
		t.Errorf("the lucky are asked %v", got)
	}
	i := r.AskedBetween(0, 1, Anybody)
	if i.Low >= 0.5 || i.High <= 0.5 || i.Low < 0.35 || i.High > 0.65 {
		t.Errorf("half are asked, between %v", i)
	}
	want := []Bucket{{0, 2, 100, 50, -1}, {2, 4, 0, 50, math.Inf(1)}}
	if diff := cmp.Diff(want, r.Calibration(0), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
}

// TestThresholdsHoldInTheNextMonth, about: what is caught there is what was chosen.
func TestThresholdsHoldInTheNextMonth(t *testing.T) {
	r := gone(t, small(t, "commuters", 1500), months)
	for a, attacker := range r.Attackers {
		th := r.Threshold(ours, a, 0.9)
		if got := r.Caught(ours, a, th).Share(); math.Abs(got-0.9) > 0.05 {
			t.Errorf("%s: %v are caught, 0.9 were chosen", attacker.Name, got)
		}
	}
}

// TestReportsAndPlotsAreWhole: every goal, contender and attacker, and XML.
func TestReportsAndPlotsAreWhole(t *testing.T) {
	r := gone(t, small(t, "shop", 600), months)
	ablations := months
	ablations.Contenders = Ablations()
	less := gone(t, small(t, "shop", 600), ablations)
	var doc bytes.Buffer
	if err := Report(&doc, []*Run{r}); err != nil {
		t.Fatal(err)
	}
	if err := Ablate(&doc, []*Run{less}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, b := range Bars() {
		want = append(want, b.Goal)
	}
	for _, a := range Attackers() {
		want = append(want, a.Name)
	}
	for _, c := range append(Contenders(), Ablations()...) {
		want = append(want, c.Name)
	}
	for _, w := range want {
		if !strings.Contains(doc.String(), w) {
			t.Errorf("the report has no %q", w)
		}
	}
	if strings.Contains(doc.String(), "NaN") {
		t.Error("the report has what is no number")
	}
	for _, one := range []*Run{r, byHand()} {
		var plot bytes.Buffer
		if err := Plot(&plot, one, one.Attackers[0].Name); err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(&plot); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSumOfBitsIsTheScore in any order, for each of a hundred thousand sign-ins.
func TestSumOfBitsIsTheScore(t *testing.T) {
	w := Generators()["commuters"](Size{People: 6000, Days: 540, Seed: 9})
	if len(w.Visits) < 100_000 {
		t.Fatalf("only %d sign-ins", len(w.Visits))
	}
	known := pasts{newPast(w.People, false), newPast(w.People, true)}
	scorer := Contenders()[ours].Scorer
	var signals []policy.Signal
	for i := range w.Visits[:100_000] {
		v := &w.Visits[i]
		h := known[0].people[v.Person]
		a := known[0].crowd.attempt(v, v.At, &h)
		var err error
		if signals, err = scorer.Score(t.Context(), signals[:0], &a, &h); err != nil {
			t.Fatal(err)
		}
		sum := policy.Sum(signals)
		backwards := 0.0
		for j := range signals {
			backwards += signals[len(signals)-1-j].Bits
		}
		if sum != backwards || sum != policy.Bits(sum) || math.IsNaN(sum) || math.IsInf(sum, 0) {
			t.Fatalf("sign-in %d: %v and %v of %v", i, sum, backwards, signals)
		}
		known.learn(v)
	}
}
