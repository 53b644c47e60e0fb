package risk

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/storage"
)

// onOne are two services on one store, as two servers are.
func onOne(t *testing.T) (a, b *Service, store *storage.Store, at *time.Time) {
	t.Helper()
	clock := noon
	cfg := Config{Rules: rules.Allow(), Scorers: named(odd{1})}
	_, store = newRisk(t, cfg)
	now := func() time.Time { return clock }
	return New(cfg, store, now), New(cfg, store, now), store, &clock
}

func (s *Service) from(addr Attempt, history policy.History) policy.Facts {
	f := s.facts(addr, history)
	s.crowd.fill(&f, &history, s.now())
	return f
}

func keep(t *testing.T, services ...*Service) {
	t.Helper()
	for _, s := range services {
		if err := s.KeepCrowd(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestServersCountTogether: what each learns all know, once they kept it; nothing is counted
// twice, and what could not be stored is stored later.
func TestServersCountTogether(t *testing.T) {
	a, b, store, clock := onOne(t)
	keep(t, a, b)
	seen := attempt()
	learn := func(s *Service, first bool) {
		f := s.facts(seen, policy.History{})
		f.FirstTime = first
		s.crowd.learn(&policy.Attempt{At: *clock, Facts: f}, 1)
	}
	count := func(s *Service) (address, signIns, people, blocks float64) {
		f := s.from(seen, policy.History{})
		return f.Values[policy.Address].Count, f.Crowd.SignIns, f.Crowd.People, f.Crowd.Distinct[policy.Block]
	}
	want := func(s *Service, what string, address, signIns, people, blocks float64) {
		t.Helper()
		if a, n, p, d := count(s); a != address || n != signIns || p != people || d != blocks {
			t.Errorf("%s: the address %v times of %v, %v people, %v blocks; want %v, %v, %v, %v", what, a, n, p, d, address, signIns, people, blocks)
		}
	}
	want(a, "nobody", 0, 0, 0, 0)
	learn(a, true)
	learn(a, false)
	learn(b, true)
	want(a, "one's own", 2, 2, 1, 1)
	want(b, "the other's", 1, 1, 1, 1)
	keep(t, a, b, a, b, a)
	want(a, "of both", 3, 3, 1, 1)
	want(b, "of both", 3, 3, 1, 1)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	learn(a, false)
	if err := a.KeepCrowd(canceled); err == nil {
		t.Fatal("a store that does not answer")
	}
	want(a, "before it is stored", 4, 4, 1, 1)
	keep(t, a, b, a)
	want(a, "stored later", 4, 4, 1, 1)
	want(b, "stored later", 4, 4, 1, 1)

	fresh := New(a.cfg, store, a.now)
	keep(t, fresh)
	want(fresh, "after a start", 4, 4, 0, 1) // of nobody is there a history here

	*clock = clock.Add(crowdHalfLife)
	keep(t, a)
	want(a, "after a half-life", 2, 2, 0, 1)
	*clock = clock.Add(5 * crowdHalfLife)
	keep(t, a)
	if _, _, _, blocks := count(a); blocks != 1 {
		t.Errorf("after six half-lives %v blocks: four sign-ins of then are two thirty-secondths", blocks)
	}
	*clock = clock.Add(2 * crowdHalfLife)
	keep(t, a)
	if rows, err := store.CommonValues(t.Context(), storage.At(time.Unix(0, 0))); err != nil || len(rows) != 2 {
		t.Errorf("what is rare is stored still: %v, %v", rows, err)
	}
	want(a, "after eight half-lives", 0, math.Round(4.0/256*perCount)/perCount, 0, 0)
}

// TestCrowdIsBounded: of more values than it has room for the most common stay, here and in
// the store.
func TestCrowdIsBounded(t *testing.T) {
	a, _, store, clock := onOne(t)
	most := mostCommon[policy.DeviceType]
	for i := range 3 * most {
		f := policy.Facts{}
		f.Values[policy.DeviceType].Value = policy.Hash(i + 1)
		for range 1 + i%2 {
			a.crowd.learn(&policy.Attempt{At: *clock, Facts: f}, 1)
		}
	}
	if n := len(a.crowd.known.values[policy.DeviceType]); n != 2*most {
		t.Errorf("%d values until there is room, want %d", n, 2*most)
	}
	keep(t, a)
	*clock = clock.Add(recount)
	keep(t, a)
	rows, err := store.CommonValues(t.Context(), storage.At(time.Unix(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Feature == int(policy.DeviceType) && r.Value%2 != 0 {
			t.Errorf("a rarer one stays: %+v", r)
		}
	}
	if n := len(a.crowd.known.values[policy.DeviceType]); n != most || len(rows) != most+2 {
		t.Errorf("%d values in memory and %d rows, want %d", n, len(rows), most)
	}
}

// TestPeopleAreOfTheCrowd: what somebody did is never less common than that, also where the
// crowd knows less than they remember.
func TestPeopleAreOfTheCrowd(t *testing.T) {
	s, _, _, clock := onOne(t)
	h := policy.History{}
	for range 3 {
		h = h.Learn(policy.Attempt{At: *clock, Facts: s.facts(attempt(), h)})
	}
	f := s.from(attempt(), h)
	if f.Crowd.SignIns != 3 || f.Crowd.People != 1 || f.Values[policy.Block].Count != 3 {
		t.Errorf("%+v, %+v", f.Crowd, f.Values[policy.Block])
	}
}

// TestOnlySignInsThatAreStoredCount: those of a unit that was not carried out do not.
func TestOnlySignInsThatAreStoredCount(t *testing.T) {
	s, store := newRisk(t, Config{Rules: rules.Allow(), Scorers: named(odd{1})})
	a := attempt()
	person := &storage.Person{ID: a.Person, Sub: "p_x", Claims: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(noon), UpdatedAt: storage.At(noon)}
	as := assess(t, s, a)
	signIns := func() float64 { return s.from(a, policy.History{}).Crowd.SignIns }

	unit := storage.WithUnit(t.Context())
	if err := s.Learn(unit, as, "d1"); err != nil {
		t.Fatal(err)
	}
	if err := store.Flush(unit); err == nil { // there is no such person
		t.Fatal("carried out")
	}
	if err := store.CreatePerson(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	assess(t, s, a)
	if n := signIns(); n != 0 {
		t.Errorf("%v sign-ins count, and none came to anything", n)
	}
	unit = storage.WithUnit(t.Context())
	if err := s.Learn(unit, as, "d1"); err != nil {
		t.Fatal(err)
	}
	if n := signIns(); n != 0 {
		t.Errorf("%v sign-ins count before they are stored", n)
	}
	if err := store.Flush(unit); err != nil {
		t.Fatal(err)
	}
	if n := signIns(); n != 1 {
		t.Errorf("%v sign-ins count, want 1", n)
	}
}

// TestBudgetsFollowScores: no more than such a share of those who are known reaches a level,
// once there are enough of them; what was so is in the decision.
func TestBudgetsFollowScores(t *testing.T) {
	set, err := rules.Parse([]byte("name: house\nversion: '1'\nlevels: {medium: {budget: 0.1}, high: {budget: 0.02}}\ndefault: allow\n"), func(float64) float64 { return math.Inf(1) })
	if err != nil {
		t.Fatal(err)
	}
	how := &odd{}
	s, store := newRisk(t, Config{Rules: set, Scorers: named(how)})
	learn := func(score float64, times int, first bool) {
		for range times {
			s.crowd.learn(&policy.Attempt{At: noon, Facts: policy.Facts{FirstTime: first}}, score)
		}
	}
	record := func(bits float64) policy.Record {
		t.Helper()
		how.bits = bits
		as := assess(t, s, attempt())
		if err := s.Remember(t.Context(), as); err != nil {
			t.Fatal(err)
		}
		row, err := store.DecisionByID(t.Context(), storage.ID(as.Decision.ID))
		if err != nil {
			t.Fatal(err)
		}
		r, err := policy.DecodeDecision(row.Document.V)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	learn(100, 5000, true) // who was never here is not known
	learn(-2, 900, false)
	learn(1.1, 80, false)
	keep(t, s)
	if r := record(50); r.Decision.Level != policy.Medium || r.High != nil {
		t.Errorf("of 980 sign-ins a budget of 2 %% says nothing: %+v", r)
	}
	learn(7.3, 20, false)
	learn(-2, 20, false)
	keep(t, s)
	for bits, want := range map[float64]policy.Level{1.2: policy.Medium, 1.25: policy.High, 7.3: policy.High} {
		r := record(bits)
		if r.High == nil || r.Medium == nil {
			t.Fatalf("%v bits: no levels: %+v", bits, r)
		}
		if r.Decision.Level != want || *r.High != 1.25 || *r.Medium != -1.75 {
			t.Errorf("%v bits: %s; %v, %v", bits, r.Decision.Level, *r.Medium, *r.High)
		}
		levels := set
		levels.Levels = rules.Levels{Medium: *r.Medium, High: *r.High}
		if again := rules.Decide(levels, r.Facts, r.Decision.Reasons); again.Level != want {
			t.Errorf("derived again: %s", again.Level)
		}
	}
	other := New(s.cfg, store, s.now)
	keep(t, other)
	if l := other.rules.Load().Levels; l != (rules.Levels{Medium: -1.75, High: 1.25}) {
		t.Errorf("another server has %v", l)
	}
}
