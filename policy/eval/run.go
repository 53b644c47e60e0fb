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
	// Timeless is for one whose formula knows no decay: to it, all that happened before is
	// as if it were of the same day.
	Timeless bool
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

// past is what is known when an attempt is made: of everybody, and of each person.
type past struct {
	crowd    *crowd
	people   []policy.History
	timeless bool
}

func newPast(people int, timeless bool) *past {
	return &past{crowd: newCrowd(), people: make([]policy.History, people), timeless: timeless}
}

// at is the moment as this past counts it.
func (p *past) at(v *Visit) time.Time {
	if p.timeless {
		return Epoch
	}
	return v.At
}

// learned is a history with one more visit.
func (p *past) learned(h policy.History, v *Visit) policy.History {
	a := policy.Attempt{At: p.at(v), Facts: policy.Facts{Release: v.Release}}
	for f, value := range v.Values {
		a.Values[f].Value = value
	}
	return h.Learn(a)
}

// pasts are that with and that without time, for the two kinds of contenders.
type pasts [2]*past

// of is what is remembered of a person.
func (p pasts) of(person int) (hs [2]policy.History) {
	for i := range p {
		hs[i] = p[i].people[person]
	}
	return hs
}

func (p pasts) learned(hs [2]policy.History, v *Visit) [2]policy.History {
	for i := range p {
		hs[i] = p[i].learned(hs[i], v)
	}
	return hs
}

// learn adds a visit of the person themselves.
func (p pasts) learn(v *Visit) {
	hs := p.learned(p.of(v.Person), v)
	for i := range p {
		p[i].people[v.Person] = hs[i]
		p[i].crowd.learn(v, p[i].at(v))
	}
}

// Go goes through a world.
func Go(w *World, p Protocol) (*Run, error) {
	r := &Run{World: w, Protocol: p, Attackers: Attackers()}
	x := &attack{d: newDraws(p.Seed, "attackers of "+w.Name), net: w.net}
	known := pasts{newPast(w.People, false), newPast(w.People, true)}
	last := make([]*Visit, w.People)
	for i := range w.Visits {
		v := &w.Visits[i]
		if hs := known.of(v.Person); hs[0].SignIns > 0 {
			s, err := r.score(known, hs, v, -1)
			if err != nil {
				return nil, err
			}
			r.People = append(r.People, s)
			if (p.Validate.has(v.At) || p.Test.has(v.At)) && x.d.chance(p.Attacked) {
				x.last, x.at, x.fashion = last[v.Person], v.At, &w.Visits[max(0, i-1-x.d.IntN(min(i, 2000)+1))]
				if err := r.attack(known, hs, x); err != nil {
					return nil, err
				}
			}
		}
		known.learn(v)
		last[v.Person] = v
	}
	return r, nil
}

// attack has each attacker try.
func (r *Run) attack(known pasts, hs [2]policy.History, x *attack) error {
	for i, attacker := range r.Attackers {
		then := hs
		if attacker.before != nil {
			for _, v := range attacker.before(x) {
				then = known.learned(then, &v)
			}
		}
		v := attacker.attempt(x)
		s, err := r.score(known, then, &v, i)
		if err != nil {
			return err
		}
		s.Earlier = hs[0].SignIns
		r.Attacks = append(r.Attacks, s)
	}
	return nil
}

// score is an attempt with what every contender says of it.
func (r *Run) score(known pasts, hs [2]policy.History, v *Visit, attacker int) (Score, error) {
	h := &hs[0]
	s := Score{Person: v.Person, At: v.At, Earlier: h.SignIns, Away: v.At.Sub(h.LastAt), Tier: v.Tier, Attacker: attacker, Bits: make([]float64, len(r.Protocol.Contenders))}
	if h.SignIns > 1 {
		s.Gap = h.LastAt.Sub(h.FirstAt) / time.Duration(h.SignIns-1)
	}
	var attempts [2]policy.Attempt
	for i := range known {
		attempts[i] = known[i].crowd.attempt(v, known[i].at(v), &hs[i])
	}
	for i, c := range r.Protocol.Contenders {
		past := 0
		if c.Timeless {
			past = 1
		}
		signals, err := c.Scorer.Score(context.Background(), nil, &attempts[past], &hs[past])
		if err != nil {
			return Score{}, fmt.Errorf("eval: %s: %w", c.Name, err)
		}
		s.Bits[i] = policy.Sum(signals)
	}
	return s, nil
}
