package risk

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// odd argues by a fixed number of bits.
type odd struct{ bits float64 }

func (o odd) Score(_ context.Context, dst []policy.Signal, _ *policy.Attempt, _ *policy.History) ([]policy.Signal, error) {
	return append(dst, policy.Signal{Code: "ODD", Bits: o.bits}), nil
}

// scores is a scorer of one function.
type scores func(context.Context, []policy.Signal) ([]policy.Signal, error)

func (f scores) Score(ctx context.Context, dst []policy.Signal, _ *policy.Attempt, _ *policy.History) ([]policy.Signal, error) {
	return f(ctx, dst)
}

// named are scorers called 0, 1 and so on.
func named(all ...policy.Scorer) (out []Scorer) {
	for i, s := range all {
		out = append(out, Scorer{Name: strconv.Itoa(i), Version: "1", Scorer: s})
	}
	return out
}

type broken struct{}

func (broken) Score(context.Context, []policy.Signal, *policy.Attempt, *policy.History) ([]policy.Signal, error) {
	return nil, errors.New("no answer")
}

func newRisk(t *testing.T, cfg Config) (*Service, *storage.Store) {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return New(cfg, store, func() time.Time { return noon }), store
}

func attempt() Attempt {
	return Attempt{
		Person: storage.NewID(), Client: "web", Scopes: []string{"openid"}, Device: "d1",
		Address: netip.MustParseAddr("192.0.2.17"), UserAgent: "Mozilla/5.0 (X11) Firefox/140.0",
	}
}

func assess(t *testing.T, s *Service, a Attempt) *Assessment {
	t.Helper()
	as, err := s.Assess(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return as
}

// TestEveryDecisionCanBeDerivedAgain from what was stored of it: facts, signals,
// rule and versions; its score is the sum of its bits.
func TestEveryDecisionCanBeDerivedAgain(t *testing.T) {
	set := rules.Set{Name: "house", Version: "7", Default: policy.Allow, Rules: []rules.Rule{{
		Name: "odd", When: func(c rules.Case) (bool, error) { return c.Score > 0.5, nil },
		Then: rules.Demand{Outcome: policy.Require, ACR: policy.AAL2},
	}}}
	s, store := newRisk(t, Config{Rules: set, Scorers: named(odd{1.0 / 3}, odd{1.0 / 3})})
	as := assess(t, s, attempt())
	if err := s.Remember(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	row, err := store.DecisionByID(t.Context(), storage.ID(as.Decision.ID))
	if err != nil {
		t.Fatal(err)
	}
	if row.Outcome != "require" || row.Rule != "odd" || row.ClientID != "web" || row.PersonID != as.person {
		t.Errorf("row %+v", row)
	}
	record, err := policy.DecodeDecision(row.Document.V)
	if err != nil {
		t.Fatal(err)
	}
	again := Again(set, &record)
	if diff := cmp.Diff(record.Decision, again); diff != "" {
		t.Error(diff)
	}
	if got := record.Decision.Reasons[0].Bits; got != policy.Bits(1.0/3) {
		t.Errorf("a scorer's bits were not rounded: %v", got)
	}
	if sum := policy.Sum(record.Decision.Reasons); sum != record.Decision.Score || sum == 0 || record.Decision.RulesVersion != "house@7" {
		t.Errorf("sum %v, score %v, rules %s", sum, record.Decision.Score, record.Decision.RulesVersion)
	}
}

// TestFactsNameNoPlaceAndNoProgram: only keyed hashes of them leave this room.
func TestFactsNameNoPlaceAndNoProgram(t *testing.T) {
	s, store := newRisk(t, Config{Rules: rules.Allow(), Key: [32]byte{1}})
	as := assess(t, s, attempt())
	if err := s.Remember(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	row, err := store.DecisionByID(t.Context(), storage.ID(as.Decision.ID))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"192.0.2", "Mozilla", "Firefox", `"d1"`} {
		if strings.Contains(string(row.Document.V), secret) {
			t.Errorf("stored %s", row.Document.V)
		}
	}
	f := as.attempt.Facts
	if f.Values[policy.Device].Value == 0 || f.Values[policy.Block].Value == 0 || f.Values[policy.Agent].Value == 0 || !f.FirstTime || f.DeviceTier != policy.TierNone {
		t.Errorf("facts %+v", f)
	}
	other, _ := newRisk(t, Config{Rules: rules.Allow(), Key: [32]byte{2}})
	if g := other.facts(attempt(), policy.History{}); g.Values[policy.Block] == f.Values[policy.Block] || g.Values[policy.Device] == f.Values[policy.Device] || g.Values[policy.Agent] == f.Values[policy.Agent] {
		t.Error("the key changes nothing")
	}
	if g := s.facts(Attempt{}, policy.History{}); g.Values != [policy.Features]policy.Seen{} {
		t.Errorf("hashes of nothing: %+v", g)
	}
}

// TestFactsAreWhereAndWho: what rules may look at, of a place as far as it is known.
func TestFactsAreWhereAndWho(t *testing.T) {
	path := filepath.Join(t.TempDir(), "places.mmdb")
	database(t, path, noon, map[string]mmdbtype.Map{"192.0.2.0/24": {"country_code": mmdbtype.String("SE"), "autonomous_system_number": mmdbtype.Uint32(64500)}})
	places, err := OpenPlaces(PlacesConfig{Files: []string{path}}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	set := rules.Allow()
	set.Zones = []rules.Zone{{Name: "home", ASNs: []uint32{64500}}, {Name: "lab", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.16/28")}}}
	s, _ := newRisk(t, Config{Rules: set})
	a := attempt()
	a.Groups, a.Breached = []string{"staff"}, true
	for name, tc := range map[string]struct {
		places  *Places
		country string
		zones   []string
	}{"with places": {places, "SE", []string{"home", "lab"}}, "without": {nil, "", []string{"lab"}}} {
		s.Places = tc.places
		f := assess(t, s, a).attempt.Facts
		if f.CountryOf != tc.country || !slices.Equal(f.Zones, tc.zones) || !slices.Equal(f.Groups, a.Groups) || !f.Breached {
			t.Errorf("%s: %+v", name, f)
		}
	}
	s.Places = nil
	was := s.Circumstances(a)
	for name, change := range map[string]func(){"places are known": func() { s.Places = places }, "they left a group": func() { a.Groups = nil }} {
		change()
		now := s.Circumstances(a)
		if now == was {
			t.Errorf("%s: the last decision stands", name)
		}
		was = now
	}
}

// TestFactsAreFromCoarseToFine: each value of a chain stands for the coarser ones as well,
// and what changes by itself changes the finest alone.
func TestFactsAreFromCoarseToFine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "places.mmdb")
	city := func(country, name string, asn uint32) mmdbtype.Map {
		return mmdbtype.Map{
			"country_code": mmdbtype.String(country), "state1": mmdbtype.String("X"), "city": mmdbtype.String(name),
			"latitude": mmdbtype.Float64(59.33), "longitude": mmdbtype.Float64(18.06), "autonomous_system_number": mmdbtype.Uint32(asn),
		}
	}
	database(t, path, noon, map[string]mmdbtype.Map{
		"192.0.2.0/24": city("SE", "Springfield", 64500), "198.51.100.0/24": city("US", "Springfield", 64501), "2001:db8::/32": city("SE", "Springfield", 64500),
	})
	places, err := OpenPlaces(PlacesConfig{Files: []string{path}}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newRisk(t, Config{Rules: rules.Allow(), Key: [32]byte{1}})
	s.Places = places
	of := func(addr, agent string, hints Hints) policy.Facts {
		return s.facts(Attempt{Address: netip.MustParseAddr(addr), UserAgent: agent, Hints: hints}, policy.History{})
	}
	const all = policy.Features
	for name, tc := range map[string]struct {
		a, b    policy.Facts
		changed []policy.Feature
	}{
		"the same":               {of("192.0.2.1", chromeWindows, Hints{}), of("192.0.2.1", chromeWindows, Hints{}), []policy.Feature{}},
		"written as IPv6":        {of("192.0.2.1", chromeWindows, Hints{}), of("::ffff:192.0.2.1", chromeWindows, Hints{}), []policy.Feature{}},
		"another address":        {of("192.0.2.1", chromeWindows, Hints{}), of("192.0.2.2", chromeWindows, Hints{}), []policy.Feature{policy.Address}},
		"the same /64":           {of("2001:db8:1:2::1", chromeWindows, Hints{}), of("2001:db8:1:2:9::1", chromeWindows, Hints{}), []policy.Feature{}},
		"another /64":            {of("2001:db8:1:2::1", chromeWindows, Hints{}), of("2001:db8:1:3::1", chromeWindows, Hints{}), []policy.Feature{policy.Address}},
		"another /48":            {of("2001:db8:1:2::1", chromeWindows, Hints{}), of("2001:db8:2:2::1", chromeWindows, Hints{}), []policy.Feature{policy.Block, policy.Address}},
		"a town of that name":    {of("192.0.2.1", chromeWindows, Hints{}), of("198.51.100.1", chromeWindows, Hints{}), []policy.Feature{policy.Country, policy.ASN, policy.Block, policy.Address, policy.Region, policy.City}},
		"a newer version":        {of("192.0.2.1", chromeWindows, Hints{}), of("192.0.2.1", strings.ReplaceAll(chromeWindows, "142", "143"), Hints{}), []policy.Feature{policy.Version, policy.Agent}},
		"another brand":          {of("192.0.2.1", chromeWindows, Hints{}), of("192.0.2.1", chromeWindows, chromium("Brave", "142", "?0", "Windows")), []policy.Feature{policy.Browser, policy.Version}},
		"another system":         {of("192.0.2.1", chromeWindows, Hints{}), of("192.0.2.1", chromeMac, Hints{}), []policy.Feature{policy.System, policy.Browser, policy.Version, policy.Agent}},
		"another kind":           {of("192.0.2.1", chromePhone, Hints{}), of("192.0.2.1", chromeTablet, Hints{}), []policy.Feature{policy.DeviceType, policy.System, policy.Browser, policy.Version, policy.Agent}},
		"a place nobody knows":   {of("203.0.113.1", chromeWindows, Hints{}), of("203.0.113.1", chromeWindows, Hints{}), []policy.Feature{}},
		"somewhere, and nowhere": {of("192.0.2.1", chromeWindows, Hints{}), of("203.0.113.1", chromeWindows, Hints{}), []policy.Feature{policy.Country, policy.ASN, policy.Block, policy.Address, policy.Region, policy.City, policy.Place}},
	} {
		var changed []policy.Feature
		for f := range policy.Feature(all) {
			if tc.a.Values[f] != tc.b.Values[f] {
				changed = append(changed, f)
			}
		}
		if !slices.Equal(changed, tc.changed) {
			t.Errorf("%s: changed %v, want %v", name, changed, tc.changed)
		}
	}
	known := of("192.0.2.1", chromeWindows, Hints{})
	seen := map[policy.Hash]bool{}
	for f := range policy.Feature(all) {
		if v := known.Values[f].Value; (v == 0) != (f == policy.Device) || seen[v] {
			t.Errorf("%s: %v", f, v)
		} else {
			seen[v] = true
		}
	}
	if p, ok := policy.PointOf(known.Values[policy.Place].Value); !ok || p != (policy.Point{Lat: 5933, Lon: 1806}) || known.Release != 142 {
		t.Errorf("at %v %v, release %d", p, ok, known.Release)
	}
	if lost := of("203.0.113.1", "", Hints{}); lost.Values[policy.Country].Value != 0 || lost.Values[policy.Browser].Value != 0 || lost.Values[policy.Block].Value == 0 {
		t.Errorf("of what is not known: %+v", lost.Values)
	}
}

// TestCircumstancesAreWhatIsSeen, and who decides; not what is remembered.
func TestCircumstancesAreWhatIsSeen(t *testing.T) {
	s, _ := newRisk(t, Config{Rules: rules.Allow()})
	was := s.Circumstances(attempt())
	for name, tc := range map[string]struct {
		change func(*Attempt)
		same   bool
	}{
		"nothing":                        {func(*Attempt) {}, true},
		"another address of the block":   {func(a *Attempt) { a.Address = netip.MustParseAddr("192.0.2.200") }, true},
		"the same address in IPv6 form":  {func(a *Attempt) { a.Address = netip.MustParseAddr("::ffff:192.0.2.17") }, true},
		"an update of the browser":       {func(a *Attempt) { a.UserAgent = "Mozilla/5.0 (X11) Firefox/141.0.2" }, true},
		"the device is known by now":     {func(a *Attempt) { a.DeviceTier = policy.TierSecond }, true},
		"a history":                      {func(a *Attempt) { a.History = json.RawMessage(`{"v":1,"is":{"sign_ins":3}}`) }, true},
		"a stolen password":              {func(a *Attempt) { a.Breached = true }, false},
		"a hint that says nothing":       {func(a *Attempt) { a.Hints.Brands = `"Chromium";v="142"` }, true},
		"a brand by a hint":              {func(a *Attempt) { a.Hints = chromium("Brave", "141", "?0", "") }, false},
		"another block":                  {func(a *Attempt) { a.Address = netip.MustParseAddr("192.0.3.17") }, false},
		"no address":                     {func(a *Attempt) { a.Address = netip.Addr{} }, false},
		"another browser":                {func(a *Attempt) { a.UserAgent = "Mozilla/5.0 (X11) Chrome/140.0" }, false},
		"another device":                 {func(a *Attempt) { a.Device = "d2" }, false},
		"no device":                      {func(a *Attempt) { a.Device = "" }, false},
		"another client":                 {func(a *Attempt) { a.Client = "shop" }, false},
		"a wider scope":                  {func(a *Attempt) { a.Scopes = []string{"openid", "cars"} }, false},
		"another resource":               {func(a *Attempt) { a.Resources = []string{"https://api.example"} }, false},
		"a higher demand":                {func(a *Attempt) { a.ACRAsked = []string{"aal2"} }, false},
		"one scope that looks like two":  {func(a *Attempt) { a.Scopes = []string{"openid\",\"cars"} }, false},
		"what was a scope is a resource": {func(a *Attempt) { a.Resources, a.Scopes = a.Scopes, nil }, false},
	} {
		a := attempt()
		tc.change(&a)
		if same := s.Circumstances(a) == was; same != tc.same {
			t.Errorf("%s: the same %v, want %v", name, same, tc.same)
		}
	}
	newer := rules.Allow()
	newer.Version = "2"
	for name, cfg := range map[string]Config{"other rules": {Rules: newer}, "another scorer": {Rules: rules.Allow(), Scorers: named(odd{})}} {
		if other, _ := newRisk(t, cfg); other.Circumstances(attempt()) == was {
			t.Errorf("%s: the same circumstances", name)
		}
	}
}

// TestSilentScorersNeverLetIn: one that fails leaves the decision to the others
// and a signal behind; when all fail the person has to prove more; an empty set
// is no failure.
func TestSilentScorersNeverLetIn(t *testing.T) {
	aal1 := rules.Set{Name: "house", Version: "1", Rules: []rules.Rule{{
		Name: "all", When: func(rules.Case) (bool, error) { return true, nil }, Then: rules.Demand{Outcome: policy.Require, ACR: policy.AAL1},
	}}}
	phr := aal1
	phr.Rules = []rules.Rule{{Name: "all", When: aal1.Rules[0].When, Then: rules.Demand{Outcome: policy.Require, ACR: policy.PHR, MaxAge: time.Minute}}}
	failed := func(code string) []policy.Signal { return []policy.Signal{{Code: code, Source: "0@1"}} }
	hangs := Scorer{Name: "0", Version: "1", Scorer: scores(func(ctx context.Context, _ []policy.Signal) ([]policy.Signal, error) {
		<-ctx.Done()
		return []policy.Signal{{Code: "LATE", Bits: -9}}, nil
	}), Within: time.Millisecond}
	says := func(s ...policy.Signal) []Scorer {
		return named(scores(func(_ context.Context, dst []policy.Signal) ([]policy.Signal, error) { return append(dst, s...), nil }))
	}
	stepUp := policy.Decision{Outcome: policy.Require, ACR: policy.AAL2, Rule: ruleScorersFailed, RulesVersion: "allow@1", Reasons: failed(ScorerFailed)}
	late := stepUp
	late.Reasons = failed(ScorerTimeout)
	for name, tc := range map[string]struct {
		set     rules.Set
		scorers []Scorer
		want    policy.Decision
	}{
		"none configured": {rules.Allow(), nil, policy.Decision{Outcome: policy.Allow, Rule: "default", RulesVersion: "allow@1"}},
		"one of two": {rules.Allow(), named(broken{}, odd{2}), policy.Decision{
			Outcome: policy.Allow, Rule: "default", RulesVersion: "allow@1", Score: 2,
			Reasons: append(failed(ScorerFailed), policy.Signal{Code: "ODD", Bits: 2, Source: "1@1"}),
		}},
		"one of two is late": {rules.Allow(), append([]Scorer{hangs}, named(broken{}, odd{2})[1]), policy.Decision{
			Outcome: policy.Allow, Rule: "default", RulesVersion: "allow@1", Score: 2,
			Reasons: append(failed(ScorerTimeout), policy.Signal{Code: "ODD", Bits: 2, Source: "1@1"}),
		}},
		"every one":               {rules.Allow(), named(broken{}), stepUp},
		"every one is late":       {rules.Allow(), []Scorer{hangs}, late},
		"one that panics":         {rules.Allow(), named(scores(func(context.Context, []policy.Signal) ([]policy.Signal, error) { panic("no") })), stepUp},
		"bits that are no number": {rules.Allow(), says(policy.Signal{Code: "ODD", Bits: math.NaN()}), stepUp},
		"endless bits":            {rules.Allow(), says(policy.Signal{Code: "ODD", Bits: math.Inf(-1)}), stepUp},
		"no code":                 {rules.Allow(), says(policy.Signal{Bits: 1}), stepUp},
		"a long story":            {rules.Allow(), says(policy.Signal{Code: "ODD", Observed: strings.Repeat("a", mostWords+1)}), stepUp},
		"more than anybody says":  {rules.Allow(), says(slices.Repeat([]policy.Signal{{Code: "ODD"}}, mostSignals+1)...), stepUp},
		"every one, and the rules deny": {rules.Set{Name: "closed", Version: "1", Default: policy.Deny}, named(broken{}), policy.Decision{
			Outcome: policy.Deny, Rule: "default", RulesVersion: "closed@1", Reasons: failed(ScorerFailed),
		}},
		"every one, and a password is enough": {aal1, named(broken{}), policy.Decision{
			Outcome: policy.Require, ACR: policy.AAL2, Rule: ruleScorersFailed, RulesVersion: "house@1", Reasons: failed(ScorerFailed),
		}},
		"every one, and more is demanded": {phr, named(broken{}), policy.Decision{
			Outcome: policy.Require, ACR: policy.PHR, MaxAge: time.Minute, Rule: "all", RulesVersion: "house@1", Reasons: failed(ScorerFailed),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var told, want []string
			s, _ := newRisk(t, Config{Rules: tc.set, Scorers: tc.scorers, Failed: func(scorer, code string, _ error) { told = append(told, scorer+" "+code) }})
			got := assess(t, s, attempt()).Decision
			got.ID = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			for _, sig := range tc.want.Reasons {
				if sig.Code != "ODD" {
					want = append(want, "0 "+sig.Code)
				}
			}
			if !slices.Equal(told, want) {
				t.Errorf("told of %v, want %v", told, want)
			}
		})
	}
}

// TestScorersThatHangAreNotWaitedFor: of so many attempts each waits its time, and the others
// not at all, until the scorer answers again.
func TestScorersThatHangAreNotWaitedFor(t *testing.T) {
	goOn := make(chan struct{})
	s := newAsked(Scorer{Name: "own", Version: "1", Within: time.Millisecond, Scorer: scores(func(context.Context, []policy.Signal) ([]policy.Signal, error) {
		<-goOn
		return nil, nil
	})})
	for range mostAsked {
		if _, err := s.ask(t.Context(), policy.Attempt{}, policy.History{}); !errors.Is(err, errLate) {
			t.Fatal(err)
		}
	}
	s.Within = time.Hour
	if _, err := s.ask(t.Context(), policy.Attempt{}, policy.History{}); !errors.Is(err, errLate) {
		t.Fatal(err)
	}
	close(goOn)
	s.room <- struct{}{} // one of them is done
	<-s.room
	if _, err := s.ask(t.Context(), policy.Attempt{}, policy.History{}); err != nil {
		t.Error(err)
	}
}

// TestOnlyWhatIsLearnedBecomesHistory: to assess and to remember teach nothing.
func TestOnlyWhatIsLearnedBecomesHistory(t *testing.T) {
	s, store := newRisk(t, Config{Rules: rules.Allow()})
	a := attempt()
	person := &storage.Person{ID: a.Person, Sub: "p_x", Claims: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(noon), UpdatedAt: storage.At(noon)}
	if err := store.CreatePerson(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	as := assess(t, s, a)
	if err := s.Remember(t.Context(), as); err != nil {
		t.Fatal(err)
	}
	if _, err := store.HistoryOf(t.Context(), a.Person); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("learned before it was said: %v", err)
	}
	if err := s.Learn(t.Context(), as, "d2"); err != nil {
		t.Fatal(err)
	}
	row, err := store.HistoryOf(t.Context(), a.Person)
	if err != nil {
		t.Fatal(err)
	}
	h, err := policy.DecodeHistory(row.Document.V)
	if err != nil || h.SignIns != 1 || !h.LastAt.Equal(noon) {
		t.Errorf("%+v, %v", h, err)
	}
	if a.History = row.Document.V; assess(t, s, a).attempt.FirstTime {
		t.Error("still a first time")
	}
	if seen := func(device string) float64 { return h.Seen(policy.Device, s.deviceHash(storage.ID(device)), noon) }; seen("d1") != 0 || seen("d2") == 0 {
		t.Errorf("the browser is remembered by the id that it had: %v, and by that which it has: %v", seen("d1"), seen("d2"))
	}
}

// TestWhatCannotBeReadLocksNobodyOut: a history that is broken is one of somebody who was
// never here, says so, and is begun anew; one of a newer program stays as it is.
func TestWhatCannotBeReadLocksNobodyOut(t *testing.T) {
	s, store := newRisk(t, Config{Rules: rules.Allow()})
	for doc, want := range map[string]int64{`{"v":2,"is":"!"}`: 1, `{"v":99,"is":{}}`: 0} {
		a := attempt()
		person := &storage.Person{ID: a.Person, Sub: string(a.Person), Claims: storage.Document(storage.Raw("{}")), CreatedAt: storage.At(noon), UpdatedAt: storage.At(noon)}
		row := &storage.History{PersonID: a.Person, Document: storage.Document(storage.Raw(doc)), UpdatedAt: storage.At(noon)}
		a.History = row.Document.V
		as := assess(t, s, a)
		if err := errors.Join(store.CreatePerson(t.Context(), person), store.SetHistory(t.Context(), row), s.Learn(t.Context(), as, a.Device)); err != nil {
			t.Fatal(err)
		}
		if d := as.Decision; d.Outcome != policy.Allow || d.Score != 0 || len(d.Reasons) != 1 || d.Reasons[0].Code != Unreadable || !as.attempt.FirstTime {
			t.Errorf("%s: %+v", doc, d)
		}
		left, err := store.HistoryOf(t.Context(), a.Person)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := policy.DecodeHistory(left.Document.V); h.SignIns != want || (err == nil) != (want == 1) {
			t.Errorf("%s: %d sign-ins are remembered, %v", doc, h.SignIns, err)
		}
	}
}
