package behaviour_test

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/behaviour"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func score(t *testing.T, a policy.Attempt, h policy.History) (float64, map[string]policy.Signal) {
	t.Helper()
	signals, err := behaviour.Scorer{}.Score(t.Context(), nil, &a, &h)
	if err != nil {
		t.Fatal(err)
	}
	byCode := map[string]policy.Signal{}
	for _, one := range signals {
		byCode[one.Code] = one
	}
	return policy.Sum(signals), byCode
}

// TestWhatIsNewAmongTheLast sign-ins, each with its own number of them.
func TestWhatIsNewAmongTheLast(t *testing.T) {
	a := func(city, device policy.Hash, p policy.Point, at time.Time) policy.Attempt {
		a := policy.Attempt{At: at}
		for f, v := range map[policy.Feature]policy.Hash{policy.City: city, policy.Region: 1, policy.Country: 1, policy.Device: device, policy.Address: 1, policy.Place: p.Hash()} {
			a.Values[f].Value = v
		}
		return a
	}
	oslo, drammen, bergen := policy.Point{Lat: 5991, Lon: 1075}, policy.Point{Lat: 5974, Lon: 1020}, policy.Point{Lat: 6039, Lon: 532}
	h := policy.History{}.Learn(a(1, 1, oslo, noon))
	for name, tc := range map[string]struct {
		a    policy.Attempt
		want []string
	}{
		"the same":                 {a(1, 1, oslo, noon), nil},
		"a city close by":          {a(2, 1, policy.Point{Lat: 5995, Lon: 1080}, noon.Add(day)), []string{behaviour.NewCity}},
		"a city farther away":      {a(2, 1, drammen, noon.Add(day)), []string{behaviour.NewCity, behaviour.NewPlace}},
		"a city away at once":      {a(2, 1, bergen, noon.Add(time.Minute)), []string{behaviour.NewCity, behaviour.NewPlace, behaviour.Velocity}},
		"a browser without cookie": {a(1, 0, oslo, noon), []string{behaviour.NewDevice}},
		"another browser":          {a(1, 2, oslo, noon), []string{behaviour.NewDevice}},
	} {
		bits, signals := score(t, tc.a, h)
		for _, code := range tc.want {
			if signals[code].Bits != 1 {
				t.Errorf("%s: %v, want %s", name, signals, code)
			}
		}
		if len(signals) != len(tc.want) || bits != float64(len(tc.want)) {
			t.Errorf("%s: %v of %v, want %v", name, bits, signals, tc.want)
		}
	}
	for range 20 {
		h = h.Learn(a(2, 1, oslo, noon))
	}
	if bits, signals := score(t, a(1, 1, oslo, noon), h); bits != 1 || signals[behaviour.NewCity].N != 20 {
		t.Errorf("a city that was not among the last 20: %v", signals)
	}
}
