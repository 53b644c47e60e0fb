package risk

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/doorstep-id/doorstep/policy"
)

// database writes one with these records into a file, by renaming it.
func database(t testing.TB, path string, built time.Time, records map[string]mmdbtype.Map) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", BuildEpoch: built.Unix(), RecordSize: 24, IncludeReservedNetworks: true, Description: map[string]string{"en": "a test"}})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(n, record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestPlacesOfBothKinds: MaxMind's names and those of ip-location-db, several files, and
// what no file knows.
func TestPlacesOfBothKinds(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	theirs, others, networks := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "dbip.mmdb"), filepath.Join(dir, "asn.mmdb")
	database(t, theirs, now, map[string]mmdbtype.Map{"192.0.2.0/24": {
		"country": mmdbtype.Map{"iso_code": mmdbtype.String("SE")}, "city": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Gothenburg")}},
		"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String("O")}},
		"location":     mmdbtype.Map{"latitude": mmdbtype.Float64(57.7089), "longitude": mmdbtype.Float64(11.9746)},
	}})
	database(t, others, now, map[string]mmdbtype.Map{
		"192.0.2.0/24":  {"country_code": mmdbtype.String("NO")},
		"2001:db8::/32": {"country_code": mmdbtype.String("EC"), "city": mmdbtype.String("Quito"), "state1": mmdbtype.String("P"), "latitude": mmdbtype.Float32(0), "longitude": mmdbtype.Float32(-78.5)},
	})
	database(t, networks, now, map[string]mmdbtype.Map{"192.0.2.0/25": {"autonomous_system_number": mmdbtype.Uint32(64500)}})
	p, err := OpenPlaces(PlacesConfig{Files: []string{theirs, others, networks}}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	gothenburg := Place{Country: "SE", ASN: 64500, Region: "O", City: "Gothenburg", Point: policy.Point{Lat: 5771, Lon: 1197}, Located: true}
	elsewhere := gothenburg
	elsewhere.ASN = 0
	for addr, want := range map[string]Place{
		"192.0.2.1":        gothenburg,
		"::ffff:192.0.2.1": gothenburg,
		"192.0.2.200":      elsewhere,
		"2001:db8::1":      {Country: "EC", Region: "P", City: "Quito", Point: policy.Point{Lon: -7850}, Located: true},
		"198.51.100.1":     {},
	} {
		if diff := cmp.Diff(want, p.Of(netip.MustParseAddr(addr))); diff != "" {
			t.Errorf("%s: %s", addr, diff)
		}
	}
	if got := p.Of(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address is in %+v", got)
	}
	none, err := OpenPlaces(PlacesConfig{}, func() time.Time { return now })
	if err != nil || none.Of(netip.MustParseAddr("192.0.2.1")) != (Place{}) || len(none.Ages()) != 0 {
		t.Errorf("without a database something is known: %v", err)
	}
}

// TestANewerDatabaseIsTakenUp within a minute; one that cannot be read is told of, and the
// one before it stays.
func TestANewerDatabaseIsTakenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	database(t, path, now.Add(-100*24*time.Hour), map[string]mmdbtype.Map{"192.0.2.0/24": {"country_code": mmdbtype.String("SE")}})
	p, err := OpenPlaces(PlacesConfig{Files: []string{path}}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	renew := func(broken bool) {
		t.Helper()
		if err := p.Renew(); (err != nil) != broken || broken && !strings.Contains(err.Error(), "country.mmdb") {
			t.Errorf("renewed: %v", err)
		}
	}
	want := func(when, country string, stale bool) {
		t.Helper()
		if got := p.Of(netip.MustParseAddr("192.0.2.1")).Country; got != country {
			t.Errorf("%s: %q, want %q", when, got, country)
		}
		if got := p.Ages()[0]; got.Stale != stale || got.Path != path {
			t.Errorf("%s: %+v, want stale: %v", when, got, stale)
		}
	}
	want("at first", "SE", true)
	database(t, path, now, map[string]mmdbtype.Map{"192.0.2.0/24": {"country_code": mmdbtype.String("NO")}})
	want("at once", "SE", true)
	renew(false)
	want("renewed", "NO", false)
	if err := os.WriteFile(path, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	renew(true)
	want("of a broken one", "NO", false)
	database(t, path, now, map[string]mmdbtype.Map{"192.0.2.0/24": {"country_code": mmdbtype.String("DK")}})
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 { // of its tree
		damaged[i] = 0xff
	}
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	renew(true)
	want("of a damaged one", "NO", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	renew(true)
	want("of none", "NO", false)
	if _, err := OpenPlaces(PlacesConfig{Files: []string{path}}, func() time.Time { return now }); err == nil || !strings.Contains(err.Error(), "country.mmdb") {
		t.Errorf("a database that is not there: %v", err)
	}
}

// TestADamagedFileIsTriedOnce: half a gigabyte is not read each minute until somebody mends it,
// and told of each time all the same.
func TestADamagedFileIsTriedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	tries := 0
	f := file[string]{path: path, most: 100, parse: func(_ string, _ time.Time, content []byte) (*string, error) {
		tries++
		text := string(content)
		if text == "damaged" {
			return nil, errors.New("it is damaged")
		}
		return &text, nil
	}}
	write := func(text string, at int64) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(at, 0), time.Unix(at, 0)); err != nil {
			t.Fatal(err)
		}
	}
	write("whole", 1)
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	write("damaged", 2)
	for range 3 {
		if err := f.renew(); err == nil {
			t.Error("nothing was told of")
		}
	}
	if tries != 2 || *f.value.Load() != "whole" {
		t.Errorf("it was tried %d times, and is %q", tries, *f.value.Load())
	}
	write("another", 3)
	if err := f.renew(); err != nil || *f.value.Load() != "another" {
		t.Errorf("%q, %v", *f.value.Load(), err)
	}
}

// TestPlacesAreRenewedWhileTheyAreRead: for the race detector.
func TestPlacesAreRenewedWhileTheyAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	write := func(country string) {
		database(t, path, time.Now(), map[string]mmdbtype.Map{"192.0.2.0/24": {"country_code": mmdbtype.String(country)}})
	}
	write("SE")
	p, err := OpenPlaces(PlacesConfig{Files: []string{path}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			if got := p.Of(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})).Country; got != "SE" && got != "NO" {
				t.Errorf("read %q", got)
			}
		}
	}()
	for i := range 10 {
		write([]string{"NO", "SE"}[i%2])
		if err := p.Renew(); err != nil {
			t.Error(err)
		}
	}
	<-done
}

// FuzzPlaces: a file that is no database, or a damaged one, is refused or knows little; it never
// ends the process, nor keeps it.
func FuzzPlaces(f *testing.F) {
	path := filepath.Join(f.TempDir(), "city.mmdb")
	database(f, path, time.Unix(1_800_000_000, 0), map[string]mmdbtype.Map{"192.0.2.0/24": {
		"country": mmdbtype.Map{"iso_code": mmdbtype.String("SE")}, "autonomous_system_number": mmdbtype.Uint32(64500),
		"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String("O")}},
		"location":     mmdbtype.Map{"latitude": mmdbtype.Float64(57.7089), "longitude": mmdbtype.Float64(11.9746)},
	}})
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("\xab\xcd\xefMaxMind.com"))
	f.Fuzz(func(t *testing.T, content []byte) {
		reader, err := parsePlaces("fuzzed", time.Time{}, content)
		if err != nil {
			return
		}
		for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
			var place Place
			fill(&place, reader, netip.MustParseAddr(addr))
			if place.Located && (place.Point.Lat < -9000 || place.Point.Lat > 9000 || place.Point.Lon < -18000 || place.Point.Lon > 18000) {
				t.Errorf("%s is at %+v", addr, place.Point)
			}
		}
	})
}
