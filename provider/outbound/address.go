package outbound

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
)

// reach is how far a request may go.
type reach int

const (
	reachPublic   reach = iota // anybody's URL: public addresses
	reachOperator              // an operator's https URL: and what is allowed
	reachPlain                 // an operator's http URL: what is allowed alone
)

// reachOf says how far u may go; the error wraps ErrURL. What cannot be sent in
// full, as it is written, is refused in place of being mended.
func reachOf(u *url.URL, operator bool) (reach, error) {
	switch {
	case u.User != nil, u.Opaque != "", u.Hostname() == "":
		return 0, ErrURL
	case u.Scheme == "https" && operator:
		return reachOperator, nil
	case u.Scheme == "https":
		return reachPublic, nil
	case u.Scheme == "http" && operator:
		return reachPlain, nil
	}
	return 0, fmt.Errorf("%w: https is needed", ErrURL)
}

// check says whether a connection may be made to address, an IP literal and a
// port; the error wraps ErrAddress.
func (r reach) check(address string, allow []netip.Prefix) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrAddress, address)
	}
	ip := plain(at.Addr())
	permitted := r != reachPublic && within(allow, ip) || r != reachPlain && isPublic(ip)
	if !permitted || within(never, ip) {
		return fmt.Errorf("%w: %s", ErrAddress, ip)
	}
	return nil
}

// plain is the IPv4 address in those IPv6 addresses that lead to it: IPv4-mapped
// (RFC 4291 section 2.5.5.2) and NAT64 by its well-known prefix (RFC 6052 section
// 2.1), by which a network without IPv4 reaches the public one. The zone is dropped.
func plain(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if nat64.Contains(ip) {
		b := ip.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}

func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// isPublic says that the whole internet means the same host by ip.
func isPublic(ip netip.Addr) bool {
	if ip.Is4() {
		return !within(special4, ip)
	}
	return globalUnicast.Contains(ip) && !within(special6, ip)
}

var (
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	globalUnicast = netip.MustParsePrefix("2000::/3") // the rest of IPv6 is special: loopback, ULA, link-local, multicast, ...

	// never is reached by nobody, whatever is allowed: where clouds keep the
	// credentials of the machine. Link-local addresses are theirs as a whole.
	never = parse(
		"169.254.0.0/16", "fe80::/10",
		"fd00:ec2::/32",      // Amazon
		"fd20:ce::254/128",   // Google
		"100.100.100.200/32", // Alibaba
		"192.0.0.192/32",     // Oracle
		"168.63.129.16/32",   // Azure; of the public kind
	)
	// special4 and special6 are not public (IANA IPv4 and IPv6 Special-Purpose
	// Address Registries, RFC 6890).
	special4 = parse(
		"0.0.0.0/8",       // this network
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // carriers' NAT
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays
		"192.168.0.0/16",  // private
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, and broadcast
	)
	special6 = parse(
		"2001::/23",     // protocol assignments: Teredo, ORCHID, benchmarks
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4, which hides an IPv4 address
		"3fff::/20",     // documentation
	)
)

func parse(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}
