package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

const (
	mostZones = 100
	// mostInZone is how many networks, countries and systems one zone has: all of them are
	// looked through at each attempt.
	mostInZone  = 1000
	mostListAge = 365 * 24 * time.Hour
)

// Zone is a part of the network that rules speak of by its name. An address is in it that
// is in one of its networks, or in one of its countries or autonomous systems as far as
// that is known, or that its list has.
type Zone struct {
	Name      string
	Networks  []netip.Prefix
	Countries []string // ISO 3166-1 alpha-2
	ASNs      []uint32
	List      List
}

// List is a file of networks and autonomous systems that somebody else keeps up; the zero List
// is none. Whoever runs the rules reads it: see [Listed].
type List struct {
	File   string
	MaxAge time.Duration // an older one has nobody in it
}

// Listed reports whether the list of a zone has an address, or the autonomous system that it is
// of; asn is 0 where that is not known.
type Listed func(zone string, addr netip.Addr, asn uint32) bool

// has reports whether an address is in the zone by what is written there; country is "" and
// asn is 0 where they are not known.
func (z *Zone) has(addr netip.Addr, country string, asn uint32) bool {
	return country != "" && slices.Contains(z.Countries, country) || asn != 0 && slices.Contains(z.ASNs, asn) ||
		slices.ContainsFunc(z.Networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// ZonesOf returns the names of the zones that an address is in, in their order. Without listed
// the lists have nobody.
func (s *Set) ZonesOf(addr netip.Addr, country string, asn uint32, listed Listed) []string {
	if len(s.Zones) == 0 {
		return nil
	}
	var names []string
	addr = addr.Unmap().WithZone("")
	for i := range s.Zones {
		if z := &s.Zones[i]; z.has(addr, country, asn) || z.List.File != "" && listed != nil && listed(z.Name, addr, asn) {
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
	List      *list    `yaml:"list"`
}

type list struct {
	File   string        `yaml:"file"`
	MaxAge time.Duration `yaml:"max_age"`
}

func (l *list) checked() (List, error) {
	switch {
	case !filepath.IsAbs(l.File):
		return List{}, errors.New("list: file: must be an absolute path")
	case l.MaxAge < time.Hour || l.MaxAge > mostListAge:
		return List{}, errors.New("list: max_age: must be 1h to 8760h: an older list has nobody in it")
	}
	return List(*l), nil
}

var isCountry = regexp.MustCompile(`^[A-Z]{2}$`)

func (z *zone) named(name string) (Zone, error) {
	out := Zone{Name: name, Countries: z.Countries, ASNs: z.ASNs}
	switch n := len(z.Networks) + len(z.Countries) + len(z.ASNs); {
	case name == "" || len(name) > mostName:
		return out, fmt.Errorf("a name must have 1 to %d bytes", mostName)
	case n == 0 && z.List == nil:
		return out, errors.New("nothing is in it: it needs networks, countries, asns or a list")
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
	if z.List != nil {
		var err error
		if out.List, err = z.List.checked(); err != nil {
			return out, err
		}
	}
	return out, nil
}
