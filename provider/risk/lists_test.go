package risk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy/rules"
)

// writeList writes a list and, beside it, its checksum as sha256sum does.
func writeList(t *testing.T, path, content string, written time.Time) {
	t.Helper()
	sum := fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(content)), filepath.Base(path))
	for file, text := range map[string]string{path: content, path + ".sha256": sum} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
}

func lists(t *testing.T, path string, now func() time.Time) (*Lists, error) {
	t.Helper()
	return OpenLists(rules.Set{Zones: []rules.Zone{{Name: "tor", List: rules.List{File: path, MaxAge: 48 * time.Hour}}, {Name: "office"}}}, now)
}

// TestAListHasWhatItNames: networks, addresses and systems, of both families, among remarks.
func TestAListHasWhatItNames(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "tor.txt")
	writeList(t, path, "# exits\r\n192.0.2.0/25 ; of somebody\n\n198.51.100.7\n  2001:db8::/32\n192.0.2.0/24\nas64496 # a host of hosts\n203.0.113.9/24\n", now)
	l, err := lists(t, path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		zone, addr string
		asn        uint32
		want       bool
	}{
		{"tor", "192.0.2.200", 0, true},
		{"tor", "198.51.100.7", 0, true},
		{"tor", "198.51.100.8", 0, false},
		{"tor", "198.51.100.8", 64496, true},
		{"tor", "198.51.100.8", 64497, false},
		{"tor", "203.0.113.200", 0, true},
		{"tor", "2001:db8:1::1", 0, true},
		{"tor", "2001:db9::1", 0, false},
		{"office", "192.0.2.200", 64496, false},
		{"none", "192.0.2.200", 64496, false},
	} {
		if got := l.Has(tc.zone, netip.MustParseAddr(tc.addr), tc.asn); got != tc.want {
			t.Errorf("%s %s AS%d: %v, want %v", tc.zone, tc.addr, tc.asn, got, tc.want)
		}
	}
	if l.Has("tor", netip.Addr{}, 0) {
		t.Error("nowhere is on the list")
	}
}

// TestAListThatIsNoneIsRefused, with its line.
func TestAListThatIsNoneIsRefused(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "tor.txt")
	for name, tc := range map[string]struct{ content, want string }{
		"a word":               {"192.0.2.1\nlocalhost\n", "line 2:"},
		"a network of no bits": {"192.0.2.1/\n", "line 1:"},
		"a mapped network":     {"::ffff:192.0.2.0/120\n", "IPv4"},
		"an address of a link": {"fe80::1%eth0\n", "line 1:"},
		"a system of nobody":   {"AS0\n", "AS64496"},
		"a system too far":     {"AS4294967296\n", "AS64496"},
		"nothing":              {"# none\n", "nothing is in it"},
		"too long a line":      {"192.0.2.1\n#" + strings.Repeat("x", 5000) + "\n", "line 2:"},
	} {
		writeList(t, path, tc.content, now)
		_, err := lists(t, path, func() time.Time { return now })
		var list *ListError
		if !errors.As(err, &list) || list.Zone != "tor" || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want something with %q", name, err, tc.want)
		}
	}
	writeList(t, path, "192.0.2.1\n", now)
	if err := os.Remove(path + ".sha256"); err != nil {
		t.Fatal(err)
	}
	if _, err := lists(t, path, func() time.Time { return now }); err == nil || !strings.Contains(err.Error(), ".sha256") {
		t.Errorf("without a checksum: %v", err)
	}
}

// TestAListIsTakenUpWholeOrNot: half of one, or one that cannot be read, leaves the one before,
// until that is stale and has nobody.
func TestAListIsTakenUpWholeOrNot(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "tor.txt")
	writeList(t, path, "192.0.2.1\n", at)
	l, err := lists(t, path, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	first, second := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	want := func(when string, has1, has2, stale bool) {
		t.Helper()
		if got1, got2 := l.Has("tor", first, 0), l.Has("tor", second, 0); got1 != has1 || got2 != has2 {
			t.Errorf("%s: %v and %v are on it, want %v and %v", when, got1, got2, has1, has2)
		}
		if ages := l.Ages(); len(ages) != 1 || ages[0].Stale != stale || ages[0].Path != path {
			t.Errorf("%s: %+v", when, ages)
		}
	}
	want("at first", true, false, false)
	if err := os.WriteFile(path, []byte("192.0.2.2\n"), 0o600); err != nil { // its checksum is still to come
		t.Fatal(err)
	}
	if err := l.Renew(); err == nil || !strings.Contains(err.Error(), "tor") {
		t.Errorf("half a list was taken up: %v", err)
	}
	want("of half a list", true, false, false)
	writeList(t, path, "192.0.2.2\n", at.Add(time.Minute))
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	want("of a whole one", false, true, false)
	at = at.Add(48*time.Hour + 2*time.Minute)
	want("of a stale one", false, false, true)
	writeList(t, path, "192.0.2.2\n", at)
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	want("of the same, written again", false, true, false)
	writeList(t, path, "192.0.2.2\n", at.Add(2*time.Hour))
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	want("of one of a time to come", false, false, true)
	if err := os.Remove(path + ".sha256"); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(); err == nil {
		t.Error("a list without a checksum")
	}
	writeList(t, path, "192.0.2.1\n", at.Add(time.Minute))
	if err := l.Renew(); err != nil {
		t.Fatal(err)
	}
	want("mended", true, false, false)
}

// TestAListPutsAnAddressInItsZone, among the facts that rules look at.
func TestAListPutsAnAddressInItsZone(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "tor.txt")
	writeList(t, path, "192.0.2.1\n", now)
	set, err := rules.Parse([]byte(fmt.Sprintf("name: n\nversion: v\nzones: {tor: {networks: [198.51.100.0/24], list: {file: %q, max_age: 48h}}}\nrules: [{name: tor, when: '\"tor\" in zones', then: deny}]\ndefault: allow\n", path)), func(float64) float64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Rules: set}, nil, func() time.Time { return now })
	zones := func(addr string) string { return fmt.Sprint(s.zones(netip.MustParseAddr(addr), Place{})) }
	if got := zones("192.0.2.1"); got != "[]" {
		t.Errorf("before the list is read: %s", got)
	}
	if s.Lists, err = OpenLists(set, s.now); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{"192.0.2.1": "[tor]", "::ffff:192.0.2.1": "[tor]", "192.0.2.2": "[]", "198.51.100.1": "[tor]"} {
		if got := zones(addr); got != want {
			t.Errorf("%s is in %s, want %s", addr, got, want)
		}
	}
}

// FuzzList: what is accepted has each network that it names, and no line ends the process.
func FuzzList(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24\n", "2001:db8::1 # one\nAS64496", "::ffff:192.0.2.1\r\n", ";\n0.0.0.0/0\n::/0", "as1\nAS 2", "1.2.3.4/33"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		names, err := readList(content)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(content)) {
			line, _, _ = strings.Cut(strings.ReplaceAll(line, ";", "#"), "#")
			if network, err := parseNetwork(strings.TrimSpace(line)); err == nil && !names.networks.ContainsPrefix(network) {
				t.Errorf("%q is not on the list", line)
			}
		}
	})
}
