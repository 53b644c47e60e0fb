package eval

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"strings"
)

// rows are the head of a data set of sign-ins, itself made up after a real service's
// log: Wiefling, Jørgensen, Thunem, Lo Iacono, "Pump Up Password Security!" (ACM TOPS
// 2022), https://github.com/das-group/rba-dataset, CC BY 4.0. Who signed in and when is
// cut off in it: it can say how common values are, and no more.
//
//go:embed testdata/rba_head_2000.csv
var rows []byte

// Marginals is a world whose countries, networks, systems and browsers are as common as
// in a data set's head. Nothing is assumed of how they belong together: a person has one
// to three of its networks, whatever country these are in, and one or two of its devices.
// One visit in twelve is from anywhere at all, with anything.
func Marginals(size Size) *World {
	d := newDraws(size.Seed, "marginals")
	n := &networks{d: d, country: d.zipf(countries, 1.0), of: d.zipf(homes, 1.0), drawnHomes: map[int][]network{}, drawnMachines: map[int][]network{}}
	f := newFashions(d)
	all := readRows(n, f)
	w := &World{Name: "marginals", People: size.People, net: n}
	for person := range size.People {
		visits := customer(d, n, f, person, size.Days)
		places := make([]spot, 1+d.IntN(3))
		for i := range places {
			places[i] = n.spotIn(all[d.IntN(len(all))])
		}
		for i := range visits {
			at := places[min(d.IntN(len(places)), d.IntN(len(places)))]
			if d.chance(1.0 / 12) {
				at = n.spotIn(all[d.IntN(len(all))])
				stranger := f.device(int(visits[i].At.Sub(Epoch) / day))
				stranger.put(&visits[i])
				carry(&visits[i], &stranger, true)
			}
			at.put(&visits[i])
		}
		w.Visits = append(w.Visits, visits...)
	}
	w.Visits = sorted(w.Visits)
	return w
}

// readRows notes what the successful sign-ins of the data have, and returns their networks.
func readRows(n *networks, f *fashions) []network {
	table, err := csv.NewReader(bytes.NewReader(rows)).ReadAll()
	if err != nil {
		panic("eval: testdata: " + err.Error()) // it is part of the program
	}
	column := map[string]int{}
	for i, name := range table[0] {
		column[name] = i
	}
	number := func() func(string) int {
		known := map[string]int{}
		return func(v string) int {
			if _, ok := known[v]; !ok {
				known[v] = len(known)
			}
			return known[v]
		}
	}
	country, asn, kind, system, browser, agent := number(), number(), number(), number(), number(), number()
	var all []network
	for _, row := range table[1:] {
		of := func(name string) string { return row[column[name]] }
		w := network{country: country(of("Country")), number: asn(of("ASN")), blocks: 64, hosting: of("Is Attack IP") == "TRUE"}
		if w.hosting {
			n.drawnMachines[w.country] = append(n.drawnMachines[w.country], w)
			continue
		}
		if of("Login Successful") != "TRUE" {
			continue
		}
		n.drawnHomes[w.country] = append(n.drawnHomes[w.country], w)
		all = append(all, w)
		f.drawn = append(f.drawn, device{
			kind: kind(of("Device Type")), system: system(withoutVersion(of("OS Name and Version"))),
			browser: browser(withoutVersion(of("Browser Name and Version"))), model: agent(of("User Agent String")),
		})
	}
	return all
}

// withoutVersion is a name without the number at its end: a world's versions grow by
// themselves.
func withoutVersion(name string) string {
	if i := strings.LastIndexByte(name, ' '); i > 0 {
		return name[:i]
	}
	return name
}
