package eval

import (
	"math"
	"time"
)

// Commuters is a world of people with habits: each has a rate of their own (exponential
// gaps of a gamma-distributed mean, from every second day to once a year), goes between a
// home and a work network by the hour, is on the road with a phone whose company changes
// its block each time, moves house, and goes abroad for days at a time, so that unusual
// visits come in rows. A sixth of the people browse privately and never bring a cookie;
// the others lose it all at once, when they clear their browser.
func Commuters(size Size) *World {
	d := newDraws(size.Seed, "commuters")
	n := &networks{d: d, country: d.zipf(countries, 0.8), of: d.zipf(homes, 0.7)}
	f := newFashions(d)
	w := &World{Name: "commuters", People: size.People, net: n}
	for person := range size.People {
		w.Visits = append(w.Visits, commuter(d, n, f, person, size.Days)...)
	}
	w.Visits = sorted(w.Visits)
	return w
}

func commuter(d draws, n *networks, f *fashions, person, days int) []Visit {
	mean := math.Exp(math.Log(60) + 1.3*d.NormFloat64()) // days between visits
	mean = min(max(mean, 2), 365)
	country := n.country()
	home, work, phone := n.spotIn(n.homeIn(country)), n.spotIn(n.homeIn(country)), n.homeIn(country)
	computer, mobile := f.device(0), f.device(0)
	computer.kind, mobile.kind = 1, 0
	private := d.chance(1.0 / 6)
	end := Epoch.Add(time.Duration(days) * day)
	var (
		visits   []Visit
		abroad   spot
		backHome time.Time
		leaves   = Epoch.Add(d.days(200))
		moves    = Epoch.Add(d.days(700))
		clears   = Epoch.Add(d.days(250))
		buys     = Epoch.Add(d.days(500))
	)
	for at := Epoch.Add(d.days(mean)); at.Before(end); at = at.Add(max(d.days(mean), time.Minute)) {
		v := Visit{Person: person, At: at}
		if at.After(moves) {
			home, moves = n.spotIn(n.homeIn(country)), at.Add(d.days(700))
		}
		if at.After(clears) {
			computer.cookie, mobile.cookie, clears = false, false, at.Add(d.days(250))
		}
		if at.After(buys) {
			mobile, buys = f.device(int(at.Sub(Epoch)/day)), at.Add(d.days(500))
			mobile.kind = 0
		}
		if at.After(leaves) {
			abroad = n.spotIn(n.homeIn(n.country()))
			backHome, leaves = at.Add(time.Duration(3+d.IntN(15))*day), at.Add(d.days(200))
		}
		dev, here := &mobile, home
		hour := at.Hour()
		switch {
		case at.Before(backHome):
			here = n.spotIn(abroad.network)
		case hour >= 8 && hour < 17 && at.Weekday() != time.Saturday && at.Weekday() != time.Sunday:
			here = work
			if d.chance(0.6) {
				dev = &computer
			}
		case d.chance(0.3):
			here = n.spotIn(phone)
		case d.chance(0.4):
			dev = &computer
		}
		here.put(&v)
		dev.put(&v)
		carry(&v, dev, private)
		visits = append(visits, v)
	}
	return visits
}
