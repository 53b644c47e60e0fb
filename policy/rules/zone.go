package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

const (
	mostZones = 100
	// mostInZone is how many networks, countries and systems one zone has: all of them are
	// looked through at each attempt.
	mostInZone = 1000
)

// Zone is a part of the network that rules speak of by its name. An address is in it that
// is in one of its networks, or in one of its countries or autonomous systems as far as
// that is known.
type Zone struct {
	Name      string
	Networks  []netip.Prefix
	Countries []string // ISO 3166-1 alpha-2
	ASNs      []uint32
}

// has reports whether an address is in the zone; country is "" and asn is 0 where they are
// not known.
func (z *Zone) has(addr netip.Addr, country string, asn uint32) bool {
	return country != "" && slices.Contains(z.Countries, country) || asn != 0 && slices.Contains(z.ASNs, asn) ||
		slices.ContainsFunc(z.Networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// ZonesOf returns the names of the zones that an address is in, in their order.
func (s *Set) ZonesOf(addr netip.Addr, country string, asn uint32) []string {
	if len(s.Zones) == 0 {
		return nil
	}
	var names []string
	addr = addr.Unmap().WithZone("")
	for i := range s.Zones {
		if z := &s.Zones[i]; z.has(addr, country, asn) {
			names = append(names, z.Name)
		}
	}
	return names
}

// zone is one as it is written.
type zone struct {
	Networks  []string `yaml:"networks"`
	Countries []string `yaml:"countries"`
	ASNs      []uint32 `yaml:"asns"`
}

var isCountry = regexp.MustCompile(`^[A-Z]{2}$`)

func (z *zone) named(name string) (Zone, error) {
	out := Zone{Name: name, Countries: z.Countries, ASNs: z.ASNs}
	switch n := len(z.Networks) + len(z.Countries) + len(z.ASNs); {
	case name == "" || len(name) > mostName:
		return out, fmt.Errorf("a name must have 1 to %d bytes", mostName)
	case n == 0:
		return out, errors.New("nothing is in it: it needs networks, countries or asns")
	case n > mostInZone:
		return out, fmt.Errorf("must have at most %d networks, countries and asns", mostInZone)
	}
	for _, text := range z.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil || network != network.Masked() || network.Addr().Is4In6() {
			return out, fmt.Errorf("networks: %q is not a network, such as 192.0.2.0/24", text)
		}
		out.Networks = append(out.Networks, network)
	}
	for _, country := range z.Countries {
		if !isCountry.MatchString(country) {
			return out, fmt.Errorf("countries: %q is not a code of ISO 3166-1, such as SE", country)
		}
	}
	if slices.Contains(z.ASNs, 0) {
		return out, errors.New("asns: 0 is the number of no autonomous system")
	}
	return out, nil
}
