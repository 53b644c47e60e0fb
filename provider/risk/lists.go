package risk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go4.org/netipx"

	"github.com/doorstep-id/doorstep/policy/rules"
)

const (
	mostList     = 64 << 20 // bytes of the biggest file
	mostListLine = 1 << 10  // bytes; lists that are published have remarks behind what they name
	mostSum      = 4 << 10  // bytes of the file with the checksum
)

// Lists knows which addresses are on the lists that zones name, by files of which it takes up
// newer versions: see [Lists.Renew].
type Lists struct {
	now   func() time.Time
	zones map[string]*list
}

type list struct {
	file   file[listed]
	maxAge time.Duration
}

// listed is what a list names.
type listed struct {
	networks *netipx.IPSet
	asns     map[uint32]bool
	written  time.Time
}

// ListError says that the list of a zone cannot be read.
type ListError struct {
	Zone string
	Err  error
}

func (e *ListError) Error() string {
	return fmt.Sprintf("risk: the list of zone %q: %v", e.Zone, e.Err)
}

func (e *ListError) Unwrap() error { return e.Err }

// OpenLists reads the lists of a set; one that cannot be read is a [ListError].
func OpenLists(set rules.Set, now func() time.Time) (*Lists, error) {
	l := &Lists{now: now, zones: map[string]*list{}}
	for _, zone := range set.Zones {
		if zone.List.File == "" {
			continue
		}
		of := &list{file: file[listed]{path: zone.List.File, beside: []string{sumOf(zone.List.File)}, most: mostList, parse: parseList}, maxAge: zone.List.MaxAge}
		if err := of.file.open(); err != nil {
			return nil, &ListError{zone.Name, err}
		}
		l.zones[zone.Name] = of
	}
	return l, nil
}

// Has reports whether the list of a zone has an address, or the autonomous system that it is of.
// A stale list has nobody: who an address was given to since must not be taken for somebody else.
func (l *Lists) Has(zone string, addr netip.Addr, asn uint32) bool {
	of := l.zones[zone]
	if of == nil {
		return false
	}
	names := of.file.value.Load()
	return !of.stale(names, l.now()) && (names.networks.Contains(addr) || names.asns[asn])
}

// Renew takes up what is newer. Of a list that cannot be read, or is not what its checksum says,
// the one that was read stays, until it is stale; the error names it. It must not run twice at once.
func (l *Lists) Renew() error {
	var errs []error
	for zone, of := range l.zones {
		if err := of.file.renew(); err != nil {
			errs = append(errs, &ListError{zone, err})
		}
	}
	return errors.Join(errs...)
}

// Ages tells of all lists, in no order: when each was written, as its file says.
func (l *Lists) Ages() []Age {
	var ages []Age
	for _, of := range l.zones {
		names := of.file.value.Load()
		ages = append(ages, Age{Path: of.file.path, Built: names.written, Stale: of.stale(names, l.now())})
	}
	return ages
}

// stale reports whether a list is too old, or of a time to come, which says nothing of its age.
func (of *list) stale(names *listed, now time.Time) bool {
	age := now.Sub(names.written)
	return age > of.maxAge || age < -time.Hour
}

// parseList reads a list that is what the checksum beside it says.
func parseList(path string, written time.Time, content []byte) (*listed, error) {
	if err := checkSum(path, content); err != nil {
		return nil, err
	}
	names, err := readList(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	names.written = written
	return names, nil
}

// sumOf is where the checksum of a list is.
func sumOf(path string) string { return path + ".sha256" }

// checkSum holds a list against the SHA-256 that is in the file of its name and ".sha256", as
// sha256sum writes it: half a list would let in whom the other half names.
func checkSum(path string, content []byte) error {
	path = sumOf(path)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > mostSum {
		return fmt.Errorf("%s: must have at most %d bytes", path, mostSum)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator named it
	if err != nil {
		return err
	}
	fields := strings.Fields(string(text))
	if sum := sha256.Sum256(content); len(fields) == 0 || strings.TrimPrefix(strings.ToLower(fields[0]), `\`) != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s is not the checksum of the list: write it by sha256sum", path)
	}
	return nil
}

// readList reads a line for each network, address or autonomous system; what stands behind # or
// ; is a remark.
func readList(content []byte) (*listed, error) {
	var networks netipx.IPSetBuilder
	names := &listed{asns: map[uint32]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, mostListLine)
	n := 0
	for lines.Scan() {
		n++
		text := lines.Text()
		if at := strings.IndexAny(text, "#;"); at >= 0 {
			text = text[:at]
		}
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if number, ok := strings.CutPrefix(strings.ToUpper(text), "AS"); ok {
			asn, err := strconv.ParseUint(number, 10, 32)
			if err != nil || asn == 0 {
				return nil, fmt.Errorf("line %d: %q is not an autonomous system, such as AS64496", n, text)
			}
			names.asns[uint32(asn)] = true
			continue
		}
		network, err := parseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		networks.AddPrefix(network)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	var err error
	if names.networks, err = networks.IPSet(); err != nil {
		return nil, err
	}
	if len(names.asns) == 0 && len(names.networks.Ranges()) == 0 {
		return nil, errors.New("nothing is in it: a list that shall be empty has its zone taken out of the rules")
	}
	return names, nil
}

// parseNetwork reads a network, or an address, which is a network of one.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not a network, an address or an autonomous system", text)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q: write it as an IPv4 network", text)
	}
	return network.Masked(), nil
}
