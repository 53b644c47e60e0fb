package eval

import (
	"math"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// Shop is a world of customers: how often they sign in is lognormal (the median is two in
// the whole time), at any time of it. Each has one to three networks, which are fixed, an
// office's, or a telephone company's that gives another address each time; one to three
// devices, replaced now and then; one visit in forty is made from anywhere; one time in
// ten the cookie is gone, whoever it is.
func Shop(size Size) *World {
	d := newDraws(size.Seed, "shop")
	n := &networks{d: d, country: d.zipf(countries, 1.0), of: d.zipf(homes, 1.0)}
	f := newFashions(d)
	w := &World{Name: "shop", People: size.People, net: n}
	for person := range size.People {
		w.Visits = append(w.Visits, customer(d, n, f, person, size.Days)...)
	}
	w.Visits = sorted(w.Visits)
	return w
}

// somewhere is a country: nine of ten people are from the shop's.
func (n *networks) somewhere() int {
	if n.d.chance(0.9) {
		return 0
	}
	return 1 + n.country()%(countries-1)
}

func customer(d draws, n *networks, f *fashions, person, days int) []Visit {
	count := min(400, 1+int(math.Exp(math.Log(1.6)+1.2*d.NormFloat64())))
	times := make([]time.Time, count)
	for i := range times {
		times[i] = Epoch.Add(time.Duration(d.Float64() * float64(days) * float64(day)))
	}
	slices.SortFunc(times, time.Time.Compare)
	country := n.somewhere()
	const fixed, carrier, office = 0, 1, 2
	type place struct {
		spot
		kind int
	}
	var places []place
	for len(places) == 0 || len(places) < 3 && d.chance(0.55) {
		kind := fixed
		switch x := d.Float64(); {
		case x < 0.35:
			kind = carrier
		case x < 0.5:
			kind = office
		}
		places = append(places, place{n.spotIn(n.homeIn(country)), kind})
	}
	var devices []device
	for _, p := range []float64{1, 0.45, 0.1} {
		if d.chance(p) {
			devices = append(devices, f.device(0))
		}
	}
	second := 0.3 * d.Float64()
	visits := make([]Visit, 0, count)
	for _, at := range times {
		v := Visit{Person: person, At: at}
		i := 0
		for i < len(places)-1 && d.chance(0.35) {
			i++
		}
		at := &places[i]
		if at.kind == carrier || at.kind == fixed && d.chance(0.06) {
			at.spot = n.spotIn(at.network)
		}
		here := at.spot
		if d.chance(0.025) {
			here = n.spotIn(n.homeIn(n.somewhere()))
		}
		here.put(&v)
		i = 0
		for i < len(devices)-1 && d.chance(second) {
			i++
		}
		dev := &devices[i]
		if d.chance(0.008) {
			*dev = f.device(int(v.At.Sub(Epoch) / day))
		}
		dev.put(&v)
		carry(&v, dev, d.chance(0.1))
		visits = append(visits, v)
	}
	return visits
}

// carry has a visit bring its device's cookie along, unless that was lost, and leaves the
// device with one.
func carry(v *Visit, dev *device, lost bool) {
	v.Tier = policy.TierNone
	if dev.cookie && !lost {
		v.Tier, v.Values[policy.Device] = policy.TierCookie, hash(21, dev.id)
		if dev.passkey {
			v.Tier = policy.TierPasskey
		}
	}
	dev.cookie = true
}
