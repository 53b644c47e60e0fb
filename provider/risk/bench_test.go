package risk

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
)

// BenchmarkAssess is a decision about somebody with habits: its facts, how common they are, the
// score and the rules; and the fingerprint alone, which every silent return has.
func BenchmarkAssess(b *testing.B) {
	scorers, err := Named(BuiltIn()[:1])
	if err != nil {
		b.Fatal(err)
	}
	set, err := rules.Parse([]byte(`
name: house
version: "1"
zones: {office: {networks: [203.0.113.0/24]}}
levels: {medium: {cost_ratio: 2000, prior: 0.00001}, high: {cost_ratio: 200, prior: 0.00001}}
rules:
  - {name: staff, when: '"staff" in groups && !("office" in zones)', then: {require: aal2}}
  - {name: unusual, when: 'level == "high"', then: {require: aal2}}
default: allow
`), nil)
	if err != nil {
		b.Fatal(err)
	}
	s := New(Config{Rules: set, Scorers: scorers}, nil, func() time.Time { return noon })
	a := attempt()
	a.UserAgent, a.Hints = chromeWindows, chromium("Google Chrome", "142", "?0", "Windows")
	h := policy.History{}
	for range 12 {
		learned := policy.Attempt{At: noon, Facts: s.facts(a, h)}
		s.crowd.learn(&learned, 0)
		h = h.Learn(learned)
	}
	doc, err := policy.EncodeHistory(h)
	if err != nil {
		b.Fatal(err)
	}
	a.History = doc
	b.Run("decision", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if as, err := s.Assess(b.Context(), a); err != nil || as.Decision.Outcome != policy.Allow || len(as.Decision.Reasons) == 0 {
				b.Fatal(as, err)
			}
		}
	})
	b.Run("circumstances", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if s.Circumstances(a) == "" {
				b.Fatal("none")
			}
		}
	})
}
