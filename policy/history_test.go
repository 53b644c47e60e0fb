package policy_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorstep-id/doorstep/policy"
)

// seen is an attempt with these values.
func seen(at time.Time, values map[policy.Feature]policy.Hash) policy.Attempt {
	a := policy.Attempt{At: at}
	for f, v := range values {
		a.Values[f].Value = v
	}
	return a
}

// stored is the history as it is read back.
func stored(t testing.TB, h policy.History) policy.History {
	t.Helper()
	doc, err := policy.EncodeHistory(h)
	if err != nil {
		t.Fatal(err)
	}
	back, err := policy.DecodeHistory(doc)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.01 }

// TestOldSignInsWeighLess: half after ninety days in which the person came, or after four
// times as many in which they did not.
func TestOldSignInsWeighLess(t *testing.T) {
	home := map[policy.Feature]policy.Hash{policy.Country: 1, policy.Address: 7}
	var h policy.History
	for range 4 {
		h = h.Learn(seen(noon, home))
	}
	for days, want := range map[int]float64{0: 4, 90: 3.37, 360: 2} {
		at := noon.Add(time.Duration(days) * day)
		if got := h.Weight(at); !near(got, want) {
			t.Errorf("after %d days all weigh %v, want %v", days, got, want)
		}
		if got := h.Seen(policy.Country, 1, at); !near(got, want) {
			t.Errorf("after %d days the country weighs %v, want %v", days, got, want)
		}
	}
	h = h.Learn(seen(noon.Add(90*day), map[policy.Feature]policy.Hash{policy.Country: 1, policy.Address: 8}))
	at := noon.Add(90 * day)
	if got := h.Weight(at); !near(got, 3) {
		t.Errorf("all weigh %v, want 3", got)
	}
	for v, want := range map[policy.Hash]float64{7: 2, 8: 1, 9: 0, 0: 0} {
		if got := h.Seen(policy.Address, v, at); !near(got, want) {
			t.Errorf("address %d weighs %v, want %v", v, got, want)
		}
	}
	if got := h.Seen(policy.Country, 1, at); !near(got, 3) {
		t.Errorf("the country weighs %v, want 3", got)
	}
}

// TestWhatIsForgotten: after half a year, if there were enough sign-ins since; of whoever
// comes seldom the last country and device stay for 400 days.
func TestWhatIsForgotten(t *testing.T) {
	first := map[policy.Feature]policy.Hash{policy.Country: 1, policy.Address: 1, policy.Device: 1, policy.Browser: 1}
	other := map[policy.Feature]policy.Hash{policy.Country: 2, policy.Address: 2, policy.Device: 2, policy.Browser: 2}
	knows := func(h policy.History, v policy.Hash, at time.Time) string {
		var out string
		for _, f := range []policy.Feature{policy.Country, policy.Address, policy.Device, policy.Browser} {
			if h.Seen(f, v, at) > 0 {
				out += f.String() + " "
			}
		}
		return out
	}
	for name, tc := range map[string]struct {
		since int // sign-ins with other values on the day after
		days  int
		want  string
	}{
		"half a year":                   {0, 180, "country address device browser "},
		"and a day":                     {0, 181, "country device browser "},
		"400 days":                      {0, 400, "country device browser "},
		"401 days":                      {0, 401, ""},
		"others were newer":             {1, 181, ""},
		"others were newer, not so old": {1, 180, "country address device browser "},
		"enough were newer":             {4, 181, ""},
		"enough were newer, not so old": {4, 180, "country address device browser "},
	} {
		t.Run(name, func(t *testing.T) {
			h := policy.History{}.Learn(seen(noon, first))
			for range tc.since {
				h = h.Learn(seen(noon.Add(day), other))
			}
			at := noon.Add(time.Duration(tc.days) * day)
			if got := knows(h, 1, at); got != tc.want {
				t.Errorf("remembers %q, want %q", got, tc.want)
			}
			if got := knows(stored(t, h), 1, at); got != tc.want {
				t.Errorf("remembers %q once it was stored, want %q", got, tc.want)
			}
		})
	}
}

// TestLastSignIns: new is what was not among so many.
func TestLastSignIns(t *testing.T) {
	h := policy.History{}.Learn(seen(noon, map[policy.Feature]policy.Hash{policy.City: 1}))
	for range 19 {
		h = h.Learn(seen(noon, map[policy.Feature]policy.Hash{policy.City: 2}))
	}
	if h = stored(t, h); !h.SeenIn(policy.City, 1, 20, noon) {
		t.Error("the first of 20 is not among the last 20")
	}
	if h = h.Learn(seen(noon, map[policy.Feature]policy.Hash{policy.City: 2})); h.SeenIn(policy.City, 1, 20, noon) {
		t.Error("the first of 21 is among the last 20")
	}
	if h.SeenIn(policy.City, 3, 20, noon) || h.SeenIn(policy.City, 0, 20, noon) {
		t.Error("what was never there is among the last")
	}
}

// TestPlaces: the last one, and those within some kilometres.
func TestPlaces(t *testing.T) {
	oslo, gothenburg, auckland := policy.Point{Lat: 5991, Lon: 1075}, policy.Point{Lat: 5771, Lon: 1197}, policy.Point{Lat: -3685, Lon: 17476}
	if got := oslo.Kilometres(gothenburg); got < 250 || got > 260 {
		t.Errorf("from Oslo to Gothenburg: %v km, want 254", got)
	}
	if got := gothenburg.Kilometres(auckland); got < 17300 || got > 17700 {
		t.Errorf("from Gothenburg to Auckland: %v km, want 17500", got)
	}
	if got := auckland.Kilometres(auckland); got != 0 {
		t.Errorf("from Auckland to Auckland: %v km", got)
	}
	for _, p := range []policy.Point{oslo, gothenburg, auckland, {}} {
		if back, ok := policy.PointOf(p.Hash()); !ok || back != p {
			t.Errorf("%v came back as %v, %v", p, back, ok)
		}
	}
	if _, ok := policy.PointOf(0); ok {
		t.Error("nowhere is a place")
	}
	var h policy.History
	if _, ok := h.LastPoint(noon); ok {
		t.Error("nobody was somewhere")
	}
	h = h.Learn(seen(noon, map[policy.Feature]policy.Hash{policy.Place: auckland.Hash()})).
		Learn(seen(noon, map[policy.Feature]policy.Hash{policy.Place: oslo.Hash()}))
	h = stored(t, h)
	if p, ok := h.LastPoint(noon); !ok || p != oslo {
		t.Errorf("was last at %v, %v", p, ok)
	}
	for km, want := range map[float64]bool{253: false, 256: true} {
		if got := h.Near(gothenburg, km, 20, noon); got != want {
			t.Errorf("was within %v km of Gothenburg: %v", km, got)
		}
	}
	if h.Near(auckland, 20, 1, noon) {
		t.Error("the last sign-in was in Auckland")
	}
	if h = h.Learn(seen(noon, nil)); func() bool { _, ok := h.LastPoint(noon); return ok }() {
		t.Error("it is known where the last sign-in was, though that had no place")
	}
}

// TestAHistoryIsAKilobyte, whatever there is to remember: all values new each time, and
// all known ones, over years.
func TestAHistoryIsAKilobyte(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, value := range map[string]func() policy.Hash{
		"always new": func() policy.Hash { return policy.Hash(r.Uint64() | 1) },
		"a few":      func() policy.Hash { return policy.Hash(1 + r.IntN(20)) },
	} {
		var h policy.History
		most, at := 0, noon
		for range 40_000 {
			at = at.Add(time.Duration(r.IntN(2)) * time.Hour)
			a := policy.Attempt{At: at, Facts: policy.Facts{Release: r.IntN(1 << 17)}}
			for f := range a.Values {
				a.Values[f].Value = value()
			}
			h = h.Learn(a)
			doc, err := policy.EncodeHistory(h)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, len(doc))
		}
		if t.Logf("%s: %d bytes at most", name, most); most > 1024 {
			t.Errorf("%s: %d bytes, want at most 1024", name, most)
		}
		back := stored(t, h)
		for f := range policy.Features {
			for v := range policy.Hash(30) {
				if a, b := h.Seen(policy.Feature(f), v, at), back.Seen(policy.Feature(f), v, at); math.Abs(a-b) > 1.0/256 && a < 255 {
					t.Errorf("%s: %v of %s %d is %v once stored", name, a, policy.Feature(f), v, b)
				}
			}
		}
	}
}

// TestTheLastSignInIsAlwaysRemembered, however much weighs more.
func TestTheLastSignInIsAlwaysRemembered(t *testing.T) {
	var h policy.History
	for v := range policy.Hash(60) {
		for range 5 {
			a := policy.Attempt{At: noon}
			for f := range a.Values {
				a.Values[f].Value = v + 1
			}
			h = h.Learn(a)
		}
	}
	a := policy.Attempt{At: noon}
	for f := range a.Values {
		a.Values[f].Value = 1000
	}
	h = h.Learn(a)
	for f := range policy.Features {
		if h.Seen(policy.Feature(f), 1000, noon) != 1 {
			t.Errorf("the last %s is not remembered", policy.Feature(f))
		}
	}
}

// TestReleases: the newest version of each browser.
func TestReleases(t *testing.T) {
	use := func(h policy.History, browser policy.Hash, release int) policy.History {
		a := seen(noon, map[policy.Feature]policy.Hash{policy.Browser: browser})
		a.Release = release
		return h.Learn(a)
	}
	h := stored(t, use(use(use(policy.History{}, 1, 120), 1, 118), 2, 17))
	for browser, want := range map[policy.Hash]int{1: 120, 2: 17, 3: 0} {
		if got := h.Release(browser, noon); got != want {
			t.Errorf("the newest of browser %d is %d, want %d", browser, got, want)
		}
	}
}

// TestAClockThatGoesBack neither loses nor invents what was learned.
func TestAClockThatGoesBack(t *testing.T) {
	home := map[policy.Feature]policy.Hash{policy.Country: 1}
	h := policy.History{}.Learn(seen(noon, home)).Learn(seen(noon.Add(-300*day), home))
	if h.SignIns != 2 || !h.LastAt.Equal(noon) || !near(h.Weight(noon), 2) || !near(h.Seen(policy.Country, 1, noon), 2) {
		t.Errorf("%d sign-ins, the last at %s, of weight %v", h.SignIns, h.LastAt, h.Weight(noon))
	}
}

// TestHistoriesOfTheFirstVersionAreRead: they had no values.
func TestHistoriesOfTheFirstVersionAreRead(t *testing.T) {
	h, err := policy.DecodeHistory([]byte(`{"v":1,"is":{"sign_ins":3,"first_at":"2026-03-01T12:00:00Z","last_at":"2026-03-02T12:00:00Z"}}`))
	if err != nil || h.SignIns != 3 || !h.LastAt.Equal(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)) || h.Weight(h.LastAt) != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	if back := stored(t, h); back.SignIns != 3 || !back.FirstAt.Equal(h.FirstAt) {
		t.Errorf("once stored: %+v", back)
	}
}

// FuzzHistory: what is no history is refused, what is one is written as it was read.
func FuzzHistory(f *testing.F) {
	h := policy.History{}
	for v := range policy.Hash(3) {
		h = h.Learn(seen(noon, map[policy.Feature]policy.Hash{policy.Country: 1, policy.Address: v + 1, policy.Browser: v + 1}))
	}
	doc, err := h.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add(doc[:len(doc)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		var h policy.History
		if h.UnmarshalBinary(data) != nil {
			if h.SignIns != 0 {
				t.Error("half a history was read")
			}
			return
		}
		once, err := h.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again policy.History
		if err := again.UnmarshalBinary(once); err != nil {
			t.Fatal(err)
		}
		twice, err := again.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Error(diff)
		}
	})
}
