// Package behaviour is a scorer that compares with the last sign-ins.
package behaviour

import (
	"context"

	"github.com/doorstep-id/doorstep/policy"
)

// Scorer compares with the last sign-ins, each with its own number of them, as Okta
// documents its behaviours: what was not among them is new. A new thing is one bit, so
// that the score is how many things are new.
type Scorer struct{}

var _ policy.Scorer = Scorer{}

// The codes of its signals.
const (
	NewCity    = "NEW_CITY"
	NewRegion  = "NEW_REGION"
	NewCountry = "NEW_COUNTRY"
	NewDevice  = "NEW_DEVICE"
	NewAddress = "NEW_ADDRESS"
	NewPlace   = "NEW_PLACE"
	Velocity   = "VELOCITY"
)

// behaviours are the features, and among how many sign-ins each is looked for.
var behaviours = []struct {
	feature policy.Feature
	last    int64
	code    string
}{
	{policy.City, 20, NewCity},
	{policy.Region, 15, NewRegion},
	{policy.Country, 10, NewCountry},
	{policy.Device, 20, NewDevice},
	{policy.Address, 50, NewAddress},
}

const (
	nearKm   = 20  // a place that is farther from all of the last is new
	nearLast = 20  // so many sign-ins
	velocity = 805 // km/h: faster than that nobody travels
	novelty  = 1   // bits of each
)

// Score implements [policy.Scorer].
func (Scorer) Score(_ context.Context, dst []policy.Signal, a *policy.Attempt, h *policy.History) ([]policy.Signal, error) {
	if h.SignIns == 0 {
		return append(dst, policy.Signal{Code: policy.FirstLogin}), nil
	}
	for _, b := range behaviours {
		v := a.Values[b.feature].Value
		unknown := v == 0 && b.feature != policy.Device // a browser without a cookie is a new one
		if !unknown && h.Knows(b.feature, a.At) && !h.SeenIn(b.feature, v, b.last, a.At) {
			dst = append(dst, policy.Signal{Code: b.code, Bits: novelty, N: min(h.SignIns, b.last)})
		}
	}
	here, ok := policy.PointOf(a.Values[policy.Place].Value)
	if !ok || !h.Knows(policy.Place, a.At) {
		return dst, nil
	}
	if !h.Near(here, nearKm, nearLast, a.At) {
		dst = append(dst, policy.Signal{Code: NewPlace, Bits: novelty, N: min(h.SignIns, nearLast)})
	}
	if there, known := h.LastPoint(a.At); known && policy.Speed(here.Kilometres(there), a.At.Sub(h.LastAt)) > velocity {
		dst = append(dst, policy.Signal{Code: Velocity, Bits: novelty, N: 1})
	}
	return dst, nil
}
