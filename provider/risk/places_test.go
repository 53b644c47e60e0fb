package risk

import (
	"bytes"
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
func database(t *testing.T, path string, built time.Time, records map[string]mmdbtype.Map) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", BuildEpoch: built.Unix(), RecordSize: 24, IncludeReservedNetworks: true})
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
	var broken []string
	p.Broken = func(path string, _ error) { broken = append(broken, filepath.Base(path)) }
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
	now = now.Add(placesEvery)
	want("after a minute", "NO", false)
	if err := os.WriteFile(path, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(placesEvery)
	want("of a broken one", "NO", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(placesEvery)
	want("of none", "NO", false)
	if diff := cmp.Diff([]string{"country.mmdb", "country.mmdb"}, broken); diff != "" {
		t.Error(diff)
	}
	if _, err := OpenPlaces(PlacesConfig{Files: []string{path}}, func() time.Time { return now }); err == nil || !strings.Contains(err.Error(), "country.mmdb") {
		t.Errorf("a database that is not there: %v", err)
	}
}

// TestAgents: what browsers say, with and without hints.
func TestAgents(t *testing.T) {
	const chromium = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	for name, tc := range map[string]struct {
		text  string
		hints Hints
		want  Agent
	}{
		"nothing": {"", Hints{}, Agent{}},
		"Chrome":  {chromium, Hints{}, Agent{Kind: "desktop", System: "Windows", Browser: "Chrome", Release: 126}},
		"Edge":    {chromium + " Edg/126.0.0.0", Hints{}, Agent{Kind: "desktop", System: "Windows", Browser: "Edge", Release: 126}},
		"Brave": {chromium, Hints{Brands: `"Not/A)Brand";v="8", "Chromium";v="126", "Brave";v="126"`, Mobile: "?0", Platform: `"Linux"`},
			Agent{Kind: "desktop", System: "Linux", Browser: "Brave", Release: 126}},
		"Firefox on Android": {"Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", Hints{}, Agent{Kind: "phone", System: "Android 14", Browser: "Firefox", Release: 127}},
		"Safari on a phone":  {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", Hints{}, Agent{Kind: "phone", System: "iOS 17", Browser: "Safari", Release: 17}},
		"hints of nothing":   {chromium, Hints{Brands: `"Not/A)Brand";v="8"`, Platform: "Linux"}, Agent{Kind: "desktop", System: "Windows", Browser: "Chrome", Release: 126}},
		"hints gone wrong":   {chromium, Hints{Brands: `Brave;v=x,,"a";v="-1",;`}, Agent{Kind: "desktop", System: "Windows", Browser: "Chrome", Release: 126}},
	} {
		if diff := cmp.Diff(tc.want, readAgent(tc.text, tc.hints)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// FuzzAgent: nothing that anybody sends panics, or is looked at without end.
func FuzzAgent(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", `"Chromium";v="126"`, `"Linux"`)
	f.Add("(((((", `";v=",`, `"`)
	f.Fuzz(func(t *testing.T, text, brands, platform string) {
		if a := readAgent(text, Hints{Brands: brands, Platform: platform}); a.Release < 0 {
			t.Errorf("%+v", a)
		}
	})
}
