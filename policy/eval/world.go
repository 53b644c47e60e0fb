package eval

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
)

// Epoch is when worlds begin.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// day is how times in a world are counted.
const day = 24 * time.Hour

// Visit is one sign-in of a world: who, when, and what is seen of it.
type Visit struct {
	Person  int
	At      time.Time
	Values  [policy.Features]policy.Hash
	Release int
	Tier    policy.Tier
	Hosting bool

	from spot
}

// World is people who sign in.
type World struct {
	Name   string
	People int
	Visits []Visit // in time order

	net *networks // that people and attackers come from
}

// Size says how big a world is.
type Size struct {
	People, Days int
	Seed         uint64
}

// Generator makes a world. The three differ in what they assume: see each.
type Generator func(Size) *World

// Generators are the worlds by name.
func Generators() map[string]Generator {
	return map[string]Generator{"shop": Shop, "commuters": Commuters, "marginals": Marginals}
}

// draws is randomness with the distributions that worlds need.
type draws struct{ *rand.Rand }

func newDraws(seed uint64, name string) draws {
	h := fnv.New64a()
	h.Write([]byte(name))
	return draws{rand.New(rand.NewPCG(seed, h.Sum64()))} //nolint:gosec // a world is the same again from the same seed
}

// chance reports true with probability p.
func (d draws) chance(p float64) bool { return d.Float64() < p }

// days is a length of time, drawn from an exponential distribution of that mean.
func (d draws) days(mean float64) time.Duration {
	return time.Duration(d.ExpFloat64() * mean * float64(day))
}

// zipf draws from 0..n-1, the k-th with weight (k+1)^-s.
func (d draws) zipf(n int, s float64) func() int {
	sums, sum := make([]float64, n), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	return func() int {
		i, _ := slices.BinarySearch(sums, d.Float64()*sum)
		return min(i, n-1)
	}
}

// hash makes a value of its parts; never 0.
func hash(parts ...int) policy.Hash {
	h := fnv.New64a()
	var b [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(b[:], uint64(p)) //nolint:gosec // any bits will do
		h.Write(b[:])
	}
	return policy.Hash(h.Sum64() | 1)
}

// A network is one that people or machines come from: so many blocks of 250 addresses in
// a country, which move about so far from its capital.
type network struct {
	country, number, blocks int
	hosting                 bool
}

// networks are those of a world.
type networks struct {
	d       draws
	country func() int
	of      func() int // a country's networks, the largest first
	// drawn are a country's networks of people, and of machines, as often as they are
	// found in data; a country that has none there has made-up ones.
	drawnHomes, drawnMachines map[int][]network
}

const (
	homes     = 25 // networks of people in each country
	machines  = 5  // and of machines
	countries = 100
)

func (n *networks) homeIn(country int) network {
	if drawn := n.drawnHomes[country]; len(drawn) > 0 {
		return drawn[n.d.IntN(len(drawn))]
	}
	number := n.of()
	return network{country: country, number: number, blocks: max(4, 4000/(number+1))}
}

func (n *networks) machineIn(country int) network {
	if drawn := n.drawnMachines[country]; len(drawn) > 0 {
		return drawn[n.d.IntN(len(drawn))]
	}
	return network{country: country, number: homes + n.d.IntN(machines), blocks: 64, hosting: true}
}

// A spot is an address of a network.
type spot struct {
	network
	block, host int
}

func (n *networks) spotIn(w network) spot { return spot{w, n.d.IntN(w.blocks), 1 + n.d.IntN(250)} }

// put notes a spot in what is seen of a visit.
func (s spot) put(v *Visit) {
	v.Values[policy.Country] = hash(1, s.country)
	v.Values[policy.ASN] = hash(2, s.country, s.number)
	v.Values[policy.Block] = hash(3, s.country, s.number, s.block)
	v.Values[policy.Address] = hash(4, s.country, s.number, s.block, s.host)
	city := s.block % 7 // a network's blocks are spread over so many cities
	v.Values[policy.Region] = hash(5, s.country, city/3)
	v.Values[policy.City] = hash(6, s.country, city)
	v.Values[policy.Place] = place(s.country, city).Hash()
	v.Hosting, v.from = s.hosting, s
}

// place is where a city is: countries lie about 900 km from each other, their cities
// about 100.
func place(country, city int) policy.Point {
	lat := -5500 + 800*(country%14) + 90*(city%3)
	lon := -17000 + 1200*(country%28) + 90*(city/3)
	return policy.Point{Lat: int16(lat), Lon: int16(lon)} //nolint:gosec // within a world
}

// A device is what somebody signs in with.
type device struct {
	kind, system, browser int
	lag                   int // days after which it has a new version
	stuck                 int // the day since which it is not renewed; 0 for never
	since                 int // the day that its system's version is from
	id                    int // of its cookie
	cookie                bool
	passkey               bool
	model                 int
}

const (
	releaseEvery = 28  // days between a browser's versions
	systemEvery  = 330 // and a system's
	firstRelease = 100
)

// put notes a device in what is seen of a visit.
func (dev device) put(v *Visit) {
	now := int(v.At.Sub(Epoch) / day)
	if dev.stuck > 0 {
		now = min(now, dev.stuck)
	}
	v.Release = firstRelease + max(0, now-dev.lag)/releaseEvery
	system := dev.system*100 + (dev.since+max(0, now-3*dev.lag))/systemEvery
	v.Values[policy.DeviceType] = hash(11, dev.kind)
	v.Values[policy.System] = hash(12, dev.kind, system)
	v.Values[policy.Browser] = hash(13, dev.kind, system, dev.browser)
	v.Values[policy.Version] = hash(14, dev.kind, system, dev.browser, v.Release)
	v.Values[policy.Agent] = hash(15, dev.kind, system, dev.browser, v.Release, dev.model)
}

// fashions are what devices people have.
type fashions struct {
	d               draws
	kind            func() int
	system, browser func() int
	drawn           []device // as often as they are found in data; nil for made-up ones
	ids             int
}

func newFashions(d draws) *fashions {
	return &fashions{d: d, kind: d.zipf(3, 1.3), system: d.zipf(5, 1.0), browser: d.zipf(7, 1.2)}
}

// device is a new one on that day.
func (f *fashions) device(today int) device {
	f.ids++
	dev := device{
		kind: f.kind(), system: f.system(), browser: f.browser(), lag: f.d.IntN(21), since: f.d.IntN(systemEvery), id: f.ids,
		model: f.d.IntN(300), passkey: f.d.chance(0.05),
	}
	if len(f.drawn) > 0 {
		drawn := f.drawn[f.d.IntN(len(f.drawn))]
		dev.kind, dev.system, dev.browser, dev.model = drawn.kind, drawn.system, drawn.browser, drawn.model
	}
	if dev.kind > 0 {
		dev.model = 0 // only phones say what they are
	}
	if f.d.chance(0.03) {
		dev.stuck = today
	}
	return dev
}

// sorted puts visits in time order, and numbers them so that equal times stay in order.
func sorted(visits []Visit) []Visit {
	slices.SortStableFunc(visits, func(a, b Visit) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Person, b.Person)) })
	return visits
}
