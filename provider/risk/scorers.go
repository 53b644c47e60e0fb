package risk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/baseline"
	"github.com/doorstep-id/doorstep/policy/behaviour"
	"github.com/doorstep-id/doorstep/policy/chain"
)

// Scorer is one that is asked, and the name and version by which decisions tell of it: each
// change of what it says is another version.
type Scorer struct {
	Name, Version string
	policy.Scorer
	// Within is how long it may take; 0 for one that only counts, and is waited for.
	Within time.Duration
}

func (s Scorer) id() string { return s.Name + "@" + s.Version }

// builtIn are the scorers that come with Doorstep.
var builtIn = []Scorer{
	{Name: "chain", Version: "1", Scorer: chain.New(chain.Defaults())},
	{Name: "baseline", Version: "1", Scorer: baseline.Scorer{}},
	{Name: "behaviour", Version: "1", Scorer: behaviour.Scorer{}},
}

// BuiltIn are the names of the scorers that come with Doorstep; the first is the one that
// is asked where nothing else is said.
func BuiltIn() []string {
	var names []string
	for _, s := range builtIn {
		names = append(names, s.Name)
	}
	return names
}

// Named are built-in scorers by their names.
func Named(names []string) ([]Scorer, error) {
	var all []Scorer
	for _, name := range names {
		i := slices.IndexFunc(builtIn, func(s Scorer) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("risk: there is no scorer %q; there are %v", name, BuiltIn())
		}
		all = append(all, builtIn[i])
	}
	return all, nil
}

// The codes, of no bits, of a scorer that said nothing.
const (
	ScorerFailed  = "SCORER_FAILED"
	ScorerTimeout = "SCORER_TIMEOUT"
)

// What a scorer may say of one attempt: more than any does.
const (
	mostSignals = 64
	mostWords   = 100
	mostBits    = 1000
	// mostAsked is how many attempts a scorer that is late may look at still.
	mostAsked = 64
)

var (
	errLate  = errors.New("risk: a scorer took too long")
	errWords = errors.New("risk: a scorer said what is no signal")
)

// asked is a scorer with room for those who ask it.
type asked struct {
	Scorer
	room chan struct{}
}

func newAsked(s Scorer) *asked { return &asked{s, make(chan struct{}, mostAsked)} }

type answer struct {
	signals []policy.Signal
	err     error
}

// ask returns what a scorer says. Neither what it does nor how long it takes harms who asks: one
// that is late, panics or says what is no signal has said nothing.
func (s *asked) ask(ctx context.Context, attempt policy.Attempt, h policy.History) ([]policy.Signal, error) {
	if s.Within == 0 {
		return s.look(ctx, &attempt, &h)
	}
	select {
	case s.room <- struct{}{}:
	default: // it hangs
		return nil, errLate
	}
	ctx, cancel := context.WithTimeout(ctx, s.Within)
	defer cancel()
	said := make(chan answer, 1)
	go func() {
		defer func() { <-s.room }()
		signals, err := s.look(ctx, &attempt, &h)
		said <- answer{signals, err}
	}()
	select {
	case a := <-said:
		return a.signals, a.err
	case <-ctx.Done():
		return nil, errLate
	}
}

func (s *asked) look(ctx context.Context, a *policy.Attempt, h *policy.History) (signals []policy.Signal, err error) {
	defer func() {
		if p := recover(); p != nil {
			signals, err = nil, fmt.Errorf("risk: scorer %s: panic: %v", s.Name, p)
		}
	}()
	signals, err = s.Score(ctx, make([]policy.Signal, 0, 8), a, h)
	if err != nil {
		return nil, err
	}
	if len(signals) > mostSignals {
		return nil, errWords
	}
	for i := range signals {
		sig := &signals[i]
		if !(math.Abs(sig.Bits) <= mostBits) || sig.Code == "" || max(len(sig.Code), len(sig.Level), len(sig.Observed), len(sig.Baseline)) > mostWords {
			return nil, errWords
		}
		sig.Bits, sig.Source = policy.Bits(sig.Bits), s.id()
	}
	return signals, nil
}

// ask asks every scorer, and reports whether none of them had anything to say.
func (s *Service) ask(ctx context.Context, a policy.Attempt, h policy.History) (signals []policy.Signal, none bool) {
	failed := 0
	for _, one := range s.scorers {
		said, err := one.ask(ctx, a, h)
		if err != nil {
			failed++
			code := ScorerFailed
			if errors.Is(err, errLate) || errors.Is(err, context.DeadlineExceeded) {
				code = ScorerTimeout
			}
			said = []policy.Signal{{Code: code, Source: one.id()}}
			if ctx.Err() == nil { // else it was not the scorer
				s.cfg.Failed(one.Name, code, err)
			}
		}
		signals = append(signals, said...)
	}
	return signals, failed > 0 && failed == len(s.scorers)
}
