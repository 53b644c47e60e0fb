package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/chain"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/storage"
)

// houseOf is a set of rules as a document has it.
func houseOf(t *testing.T, document string) rules.Set {
	t.Helper()
	set, err := rules.Parse([]byte("name: house\nversion: \"1\"\n"+document), func(float64) float64 { return 1000 })
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// decisions are all that were stored.
func decisions(t *testing.T, url string) (all []policy.Record) {
	t.Helper()
	for line := range strings.Lines(providertest.ReadRows(t, url)["decisions"]) {
		doc, is := strings.CutPrefix(line, "document=")
		if !is {
			continue
		}
		record, err := policy.DecodeDecision(json.RawMessage(doc))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

func codes(r policy.Record) (codes []string) {
	for _, s := range r.Decision.Reasons {
		codes = append(codes, s.Code)
	}
	return codes
}

// TestChainIsAskedAndAsksNothing: without rules on them, scores are stored with each decision
// and come in nobody's way; the sum of the signals' bits is the score, and who was asked, the
// rules and their version are there. What is known of everybody is what all servers learned.
func TestChainIsAskedAndAsksNothing(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		other := providertest.Start(t, providertest.On(url))
		advance := func() {
			p.Clock.Advance(24 * time.Hour)
			other.Clock.Advance(24 * time.Hour)
		}
		shop := p.Client("shop", providertest.FirstParty)
		p.Person("ada")
		p.Person("eve")
		known := p.Browser().SignIn("ada")
		known.Authorize(shop, "openid")
		advance()
		p.Browser().SignIn("ada").As("curl/8.14.1").Authorize(shop, "openid")
		advance()
		known.Authorize(shop, "openid", providertest.With("prompt", "login"))
		for _, s := range []*providertest.P{p, other} {
			if err := s.Risk.KeepCrowd(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		other.Browser().SignIn("eve").Authorize(other.Client("store", providertest.FirstParty), "openid")

		all := decisions(t, url)
		byPerson := map[string]int{}
		for _, r := range all {
			d := r.Decision
			if policy.Sum(d.Reasons) != d.Score || d.Outcome != policy.Allow || d.Level != "" || d.RulesVersion != "allow@1" || d.Rule != "default" {
				t.Errorf("%+v", d)
			}
			again := rules.Decide(rules.Allow(), r.Facts, d.Reasons)
			if diff := cmp.Diff(d, again); diff != "" {
				t.Error(diff)
			}
			if !slices.Equal(r.Scorers, []string{"chain@1"}) || len(d.Reasons) == 0 || d.Reasons[0].Source != "chain@1" {
				t.Errorf("asked %v, and %+v", r.Scorers, d.Reasons)
			}
			byPerson[strings.Join(codes(r), " ")]++
		}
		scores := map[string]float64{}
		for _, r := range all {
			for _, code := range codes(r) {
				scores[code] = r.Decision.Score
			}
		}
		if unknown, known := scores[chain.NewBrowser], scores[chain.DeviceKnown]; !(unknown > 0 && known < 0) {
			t.Errorf("another program scores %.2f bits, the known browser %.2f: %v", unknown, known, byPerson)
		}
		var first []float64
		for _, r := range all {
			if !r.Facts.FirstTime {
				continue
			}
			if first = append(first, r.Facts.Crowd.SignIns); !slices.Equal(codes(r), []string{policy.FirstLogin}) {
				t.Errorf("a first sign-in: %+v", r)
			}
			if f := r.Facts; f.Crowd.SignIns > 0 && (f.Crowd.SignIns < 2.9 || f.Crowd.People != 1 || f.Values[policy.Block].Count < 2.9 || f.Crowd.Distinct[policy.Block] != 1) {
				t.Errorf("eve is compared with %+v, %+v", f.Crowd, f.Values)
			}
		}
		if slices.Sort(first); len(first) != 2 || first[0] != 0 || first[1] == 0 {
			t.Errorf("of %v sign-ins was known when two people were new", first)
		}
	})
}

// odd says that an attempt is odd, and how much.
type odd struct {
	bits float64
	err  error
}

func (o *odd) Score(_ context.Context, dst []policy.Signal, _ *policy.Attempt, _ *policy.History) ([]policy.Signal, error) {
	return append(dst, policy.Signal{Code: "ODD", Bits: o.bits}), o.err
}

// TestLevelsOfScores: rules that ask for levels have them, also of a program's own scorer; and
// where every scorer fails a password is not enough.
func TestLevelsOfScores(t *testing.T) {
	t.Parallel()
	set := houseOf(t, `
levels: {medium: {cost_ratio: 800000, prior: 0.00001}, high: {cost_ratio: 20000, prior: 0.00001}}
rules:
  - {name: odd, when: 'level == "high"', then: {require: aal2}}
default: allow
`)
	own := &odd{}
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		*own = odd{}
		shop := p.Client("shop", providertest.FirstParty)
		p.Person("ada")
		p.Browser().SignIn("ada").Authorize(shop, "openid")
		own.bits = 9
		p.Browser().SignIn("ada").Ask(shop, "openid").WantError(flow.UnmetRequirements)
		*own = odd{err: errors.New("no answer")}
		p.Browser().SignIn("ada").Ask(shop, "openid").WantError(flow.UnmetRequirements)
		if n := reading(t, p, "doorstep_risk_scorer_failures_total", "scorer=own", "code="+risk.ScorerFailed); n < 1 {
			t.Errorf("%v failures were counted", n)
		}
	}, providertest.Configure(func(c *provider.Config) { c.Rules, c.Scorers = set, []string{} }), providertest.Having(provider.WithScorer("own", "3", own)))
}

// TestPoisonedHistories: who is turned away, or goes away before the second factor, 300 times
// becomes no habit of the person's, nor of everybody's. What is stored of a person is a kilobyte.
func TestPoisonedHistories(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, url string) {
		p := providertest.Start(t, providertest.On(url))
		rp := p.Client("web", providertest.FirstParty)
		ada := p.Person("ada")
		seed := addTOTP(t, p, ada.Person)
		remembered(t, p, rp, p.Browser().SignIn("ada"), seed)
		learned := func() (history, common string) {
			t.Helper()
			if err := p.Risk.KeepCrowd(t.Context()); err != nil {
				t.Fatal(err)
			}
			rows := providertest.ReadRows(t, url)
			history, common = rows["histories"], rows["common_values"]
			return history, common
		}
		history, common := learned()
		if history == "" || common == "" {
			t.Fatal("nothing was learned of a sign-in")
		}
		half := 0
		for i := range 300 {
			p.Clock.Advance(10 * time.Minute)
			password := "wrong"
			if i%2 == 0 {
				password = ada.Password
			}
			b := p.Browser().As("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0")
			if guesserAt(t, p, rp, b).try(ada.Email, password).Status == signedOn {
				half++
			}
		}
		if half < 100 {
			t.Errorf("of 150 with the password %d came to the second step", half)
		}
		if h, c := learned(); h != history || c != common {
			t.Errorf("learned %s%s\nwas %s%s", h, c, history, common)
		}
		for i := range 60 { // a person of many habits
			p.Clock.Advance(time.Hour)
			h := historyAfter(t, p, ada.ID, i)
			if h > 1024 {
				t.Fatalf("after %d sign-ins %d bytes are remembered of a person", i, h)
			}
		}
	})
}

// historyAfter learns a sign-in of another network and browser, and returns how big the
// document is.
func historyAfter(t *testing.T, p *providertest.P, person storage.ID, i int) int {
	t.Helper()
	row, err := p.Store.HistoryOf(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	as, err := p.Risk.Assess(t.Context(), risk.Attempt{
		Person: person, Device: storage.NewID(), Address: netip.AddrFrom4([4]byte{198, 51, byte(i), 1}), History: row.Document.V,
		UserAgent: fmt.Sprintf("Mozilla/5.0 (Linux; Android %d; Mobile; rv:%d.0) Gecko/20100101 Firefox/%d.0", i%9, 100+i, 100+i),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Risk.Learn(t.Context(), as, storage.NewID()); err != nil {
		t.Fatal(err)
	}
	if row, err = p.Store.HistoryOf(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	return len(row.Document.V)
}
