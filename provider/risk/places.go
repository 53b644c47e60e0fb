package risk

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/doorstep-id/doorstep/policy"
)

// PlacesConfig says what is known of addresses.
type PlacesConfig struct {
	// Files are databases in the MaxMind DB format, the operator's own: of countries, of
	// networks (ASN), of cities. What an earlier one knows a later one does not change.
	Files []string
	// MaxAge is how old one may be; 90 days. An older one is used on, and told of: see
	// [Places.Ages].
	MaxAge time.Duration
}

// Place is what is known of an address. The zero Place is anywhere.
type Place struct {
	Country string // ISO 3166-1 alpha-2
	ASN     uint32 // 0 if not known
	Region  string
	City    string
	Point   policy.Point
	Located bool // Point is known
}

// Places knows where addresses are, by databases of which it takes up newer versions: see
// [Places.Renew]. Without any it knows nothing.
type Places struct {
	maxAge time.Duration
	now    func() time.Time
	files  []*file[maxminddb.Reader]
}

const mostPlaces = 512 << 20 // bytes of the biggest file

// PlacesError says that a file cannot be read.
type PlacesError struct{ Err error }

func (e *PlacesError) Error() string { return "risk: places: " + e.Err.Error() }

func (e *PlacesError) Unwrap() error { return e.Err }

// OpenPlaces opens the files; one that cannot be read is a [PlacesError] that names it.
func OpenPlaces(cfg PlacesConfig, now func() time.Time) (*Places, error) {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 90 * 24 * time.Hour
	}
	p := &Places{maxAge: cfg.MaxAge, now: now}
	for _, path := range cfg.Files {
		f := &file[maxminddb.Reader]{path: path, most: mostPlaces, parse: parsePlaces}
		if err := f.open(); err != nil {
			return nil, &PlacesError{err}
		}
		p.files = append(p.files, f)
	}
	return p, nil
}

// Of returns what is known of an address.
func (p *Places) Of(addr netip.Addr) (place Place) {
	if !addr.IsValid() {
		return Place{}
	}
	addr = addr.Unmap()
	for _, f := range p.files {
		fill(&place, f.value.Load(), addr)
	}
	return place
}

// Renew takes up what is newer. Of a file that cannot be read, or is damaged, the one that was
// read stays; the error names it. It must not run twice at once.
func (p *Places) Renew() error {
	var errs []error
	for _, f := range p.files {
		if err := f.renew(); err != nil {
			errs = append(errs, fmt.Errorf("risk: places: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Age is how old a file is.
type Age struct {
	Path  string
	Built time.Time
	Stale bool // it is older than it may be
}

// Ages tells of all databases.
func (p *Places) Ages() []Age {
	var ages []Age
	for _, f := range p.files {
		built := f.value.Load().Metadata.BuildTime().UTC()
		ages = append(ages, Age{Path: f.path, Built: built, Stale: p.now().Sub(built) > p.maxAge})
	}
	return ages
}

// parsePlaces reads a database, whole.
func parsePlaces(path string, _ time.Time, content []byte) (*maxminddb.Reader, error) {
	reader, err := maxminddb.OpenBytes(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := readAll(reader); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return reader, nil
}

// readAll reads every record once. The library's own check also wants words about the
// database, which some that are whole have none of.
func readAll(reader *maxminddb.Reader) error {
	seen := map[uintptr]bool{}
	for found := range reader.Networks() {
		if err := found.Err(); err != nil {
			return err
		}
		if seen[found.Offset()] {
			continue
		}
		seen[found.Offset()] = true
		var record any
		if err := found.Decode(&record); err != nil {
			return err
		}
	}
	return nil
}

// paths are where databases keep what we look for, MaxMind's and those of ip-location-db.
var (
	pathsCountry = [][]any{{"country", "iso_code"}, {"country_code"}}
	pathsASN     = [][]any{{"autonomous_system_number"}}
	pathsRegion  = [][]any{{"subdivisions", 0, "iso_code"}, {"state1"}}
	pathsCity    = [][]any{{"city", "names", "en"}, {"city"}}
	pathsLat     = [][]any{{"location", "latitude"}, {"latitude"}}
	pathsLon     = [][]any{{"location", "longitude"}, {"longitude"}}
)

// fill adds what place does not know yet.
func fill(place *Place, reader *maxminddb.Reader, addr netip.Addr) {
	found := reader.Lookup(addr)
	if !found.Found() {
		return
	}
	first(found, pathsCountry, &place.Country)
	first(found, pathsASN, &place.ASN)
	first(found, pathsRegion, &place.Region)
	first(found, pathsCity, &place.City)
	if place.Located {
		return
	}
	var lat, lon *float64 // a latitude of 0 is one
	first(found, pathsLat, &lat)
	first(found, pathsLon, &lon)
	if lat != nil && lon != nil && math.Abs(*lat) <= 90 && math.Abs(*lon) <= 180 {
		place.Located = true
		place.Point = policy.Point{Lat: int16(math.Round(*lat * 100)), Lon: int16(math.Round(*lon * 100))}
	}
}

// first reads the first of the paths that there is, unless value is known.
func first[T comparable](found maxminddb.Result, paths [][]any, value *T) {
	var none T
	if *value != none {
		return
	}
	for _, path := range paths {
		read := none
		if err := found.DecodePath(&read, path...); err == nil && read != none {
			*value = read
			return
		}
	}
}
