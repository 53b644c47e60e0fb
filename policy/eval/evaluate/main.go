package main

import (
	"fmt"
	"sort"
	"time"

	"github.com/doorstep-id/doorstep/policy/eval"
	"github.com/doorstep-id/doorstep/policy/scorers"
)

func main() {
	names := []string{}
	for n := range eval.Generators() {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, name := range names {
		began := time.Now()
		w := eval.Generators()[name](eval.Size{People: 20000, Days: 540, Seed: 1})
		r, err := eval.Go(w, eval.Protocol{Contenders: []eval.Contender{{Name: "chain", Scorer: scorers.NewChain(scorers.DefaultChain())}, {Name: "baseline", Scorer: scorers.Baseline{}, Timeless: true}, {Name: "behaviour", Scorer: scorers.Behaviour{}}},
			Validate: eval.Month{From: 480, Till: 510}, Test: eval.Month{From: 510, Till: 540}, Attacked: 0.3, Seed: 1})
		if err != nil {
			panic(err)
		}
		fmt.Println(name, len(w.Visits), "visits", len(r.Attacks), "attacks", time.Since(began))
		for c, con := range r.Protocol.Contenders {
			for a, at := range r.Attackers {
				fmt.Printf("  %-10s %-13s AUC %.4f", con.Name, at.Name, r.AUC(c, a))
				for _, tpr := range []float64{.83, .99} {
					th := r.Threshold(c, a, tpr)
					m12, _ := r.Repeats(c, th, 12)
					m39, n39 := r.Repeats(c, th, 39)
					fmt.Printf(" | TPR%.2f th %.1f got %.3f: 12/39 %d/%d(%d) est %.3f p95 %.2f seldom %.3f second %.3f ret+ %.3f", tpr, th, r.Caught(c, a, th).Share(), m12, m39, n39,
						r.Asked(c, th, eval.Established).Share(), r.Unlucky(c, th, .95, 5, eval.Established), r.Asked(c, th, eval.Seldom).Share(), r.Asked(c, th, eval.Second).Share(),
						r.Asked(c, th, func(s *eval.Score) bool { return eval.Returning(s) && s.Tier.AtLeast("cookie") }).Share())
				}
				fmt.Println()
			}
		}
	}
}
