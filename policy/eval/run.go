package eval

import (
	"context"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// A Contender is a scorer with the name that it has in tables.
type Contender struct {
	Name   string
	Scorer policy.Scorer
}

// Protocol says how a world is gone through.
type Protocol struct {
	Contenders []Contender
	// Validate and Test are the months in which attackers come: thresholds are chosen in the
	// first and used in the second.
	Validate, Test Month
	// Attacked is the share of sign-ins in them at which each attacker tries as well.
	Attacked float64
	Seed     uint64
}

// Month is some days of a world.
type Month struct{ From, Till int }

func (m Month) has(at time.Time) bool {
	today := int(at.Sub(Epoch) / day)
	return today >= m.From && today < m.Till
}

// A Score is one attempt with what each contender says, in their order.
type Score struct {
	Person   int
	At       time.Time
	Earlier  int64         // sign-ins of the person before it
	Away     time.Duration // since the last of them
	Gap      time.Duration // between those before it, on average; 0 for fewer than two
	Tier     policy.Tier
	Attacker int // -1 for the person
	Bits     []float64
}

// Run has all visits of a world and the attackers among them scored, each with what was
// known before it. A first sign-in has no scores.
type Run struct {
	World     *World
	Protocol  Protocol
	Attackers []Attacker
	People    []Score // in time order
	Attacks   []Score
}

// Go goes through a world.
func Go(w *World, p Protocol) (*Run, error) {
	r := &Run{World: w, Protocol: p, Attackers: Attackers()}
	x := &attack{d: newDraws(p.Seed, "attackers of "+w.Name), net: w.net}
	all, histories, last := newCrowd(), make([]policy.History, w.People), make([]*Visit, w.People)
	signals := make([]policy.Signal, 0, 32)
	score := func(v *Visit, h *policy.History, attacker int) (Score, error) {
		a := all.attempt(v, h)
		s := Score{Person: v.Person, At: v.At, Earlier: h.SignIns, Away: v.At.Sub(h.LastAt), Tier: v.Tier, Attacker: attacker, Bits: make([]float64, len(p.Contenders))}
		if h.SignIns > 1 {
			s.Gap = h.LastAt.Sub(h.FirstAt) / time.Duration(h.SignIns-1)
		}
		for i, c := range p.Contenders {
			var err error
			if signals, err = c.Scorer.Score(context.Background(), signals[:0], &a, h); err != nil {
				return Score{}, fmt.Errorf("eval: %s: %w", c.Name, err)
			}
			s.Bits[i] = policy.Sum(signals)
		}
		return s, nil
	}
	for i := range w.Visits {
		v := &w.Visits[i]
		h := &histories[v.Person]
		if h.SignIns > 0 {
			s, err := score(v, h, -1)
			if err != nil {
				return nil, err
			}
			r.People = append(r.People, s)
			if (p.Validate.has(v.At) || p.Test.has(v.At)) && x.d.chance(p.Attacked) {
				x.last, x.at, x.fashion = last[v.Person], v.At, &w.Visits[max(0, i-1-x.d.IntN(min(i, 2000)+1))]
				if r.Attacks, err = r.attacks(r.Attacks, x, h, score); err != nil {
					return nil, err
				}
			}
		}
		a := all.attempt(v, h)
		*h = h.Learn(a)
		all.learn(v)
		last[v.Person] = v
	}
	return r, nil
}

// attacks appends what each attacker comes to.
func (r *Run) attacks(dst []Score, x *attack, h *policy.History, score func(*Visit, *policy.History, int) (Score, error)) ([]Score, error) {
	for i, attacker := range r.Attackers {
		was := *h
		if attacker.before != nil {
			for _, v := range attacker.before(x) {
				was = was.Learn(policy.Attempt{At: v.At, Facts: factsOf(&v)})
			}
		}
		v := attacker.attempt(x)
		s, err := score(&v, &was, i)
		if err != nil {
			return nil, err
		}
		s.Earlier = h.SignIns
		dst = append(dst, s)
	}
	return dst, nil
}

// factsOf is what a history learns of a visit.
func factsOf(v *Visit) (f policy.Facts) {
	for i, value := range v.Values {
		f.Values[i].Value = value
	}
	f.Release = v.Release
	return f
}
