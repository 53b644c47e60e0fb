package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/risk"
)

// Option is what a program adds to a provider beside what its operator decides.
type Option func(*options)

type options struct{ scorers []risk.Scorer }

// ownScorer is how long a scorer of a program's own may take.
const ownScorer = 25 * time.Millisecond

// WithScorer has a scorer asked beside those of the configuration. Decisions tell of it by
// its name and version: a change of what it says is another version. It has 25 ms for an
// attempt; one that is late, fails or panics has said nothing, as a signal tells, and the
// others decide.
func WithScorer(name, version string, s policy.Scorer) Option {
	return func(o *options) {
		o.scorers = append(o.scorers, risk.Scorer{Name: name, Version: version, Scorer: s, Within: ownScorer})
	}
}

// openRisk makes the engine: who is asked, and by which rules it decides.
func openRisk(cfg Config, s *Services, now func() time.Time, opts []Option) (*risk.Service, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	if cfg.Scorers == nil {
		cfg.Scorers = risk.BuiltIn()[:1]
	}
	scorers, err := risk.Named(cfg.Scorers)
	if err != nil {
		return nil, err
	}
	scorers = append(scorers, o.scorers...)
	names := map[string]bool{}
	for _, one := range scorers {
		if one.Name == "" || one.Version == "" || names[one.Name] {
			return nil, fmt.Errorf("scorer %q: needs a name of its own and a version, by which decisions tell of it", one.Name)
		}
		names[one.Name] = true
	}
	if cfg.Rules.Scores && len(scorers) == 0 {
		return nil, errors.New("rules speak of levels, scores or signals, and no scorer is asked")
	}
	s.observer.begin(scorers)
	return risk.New(risk.Config{
		Key: s.Keys.Derive("risk"), Rules: cfg.Rules, Scorers: scorers,
		Failed: s.observer.scorerFailed, Decided: s.observer.decided,
	}, s.Store, now), nil
}

// keepCrowd keeps what is known of everybody's sign-ins, and once more when the server stops.
func (p *Provider) keepCrowd(ctx context.Context) {
	keep := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, longChore)
		defer cancel()
		return p.Risk.KeepCrowd(ctx)
	}
	p.every(ctx, time.Minute, "crowd", keep)
	if err := keep(context.WithoutCancel(ctx)); err != nil {
		p.job("crowd").Warn("what was learned in the last minute of how common places and browsers are is lost", slog.Any("error", err))
	}
}

// longChore is how long a piece of work may take that is more than a few statements.
const longChore = 30 * time.Second

// decided counts a decision.
func (m *metrics) decided(outcome policy.Outcome, level policy.Level) {
	m.decisions.WithLabelValues(string(outcome), levelLabel(level)).Inc()
}

// scorerFailed counts a scorer that said nothing of an attempt.
func (m *metrics) scorerFailed(scorer, code string, _ error) {
	m.scorers.WithLabelValues(scorer, code).Inc()
}

func levelLabel(level policy.Level) string {
	if level == "" {
		return "none"
	}
	return string(level)
}

// begin has every decision that there can be counted from 0, and every scorer's failures.
func (m *metrics) begin(scorers []risk.Scorer) {
	for _, outcome := range []policy.Outcome{policy.Allow, policy.Require, policy.Deny} {
		for _, level := range []policy.Level{"", policy.Low, policy.Medium, policy.High} {
			m.decisions.WithLabelValues(string(outcome), levelLabel(level))
		}
	}
	for _, one := range scorers {
		for _, code := range []string{risk.ScorerFailed, risk.ScorerTimeout} {
			m.scorers.WithLabelValues(one.Name, code)
		}
	}
}
