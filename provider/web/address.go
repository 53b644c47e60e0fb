package web

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// Address returns where the request came from; the zero Addr when that is no
// IP address (a Unix socket). It is the one place that knows.
func Address(ctx context.Context) netip.Addr { return stateOf(ctx).address }

// How X-Forwarded-For was met, for the metric doorstep_forwarded_requests_total: what
// `doorstep doctor` goes by.
const (
	forwardedBelieved = "believed" // a trusted proxy sent it
	forwardedIgnored  = "ignored"  // somebody sent it who is not trusted
	forwardedMissing  = "missing"  // a trusted proxy sent none
)

// forwarded says how a request's X-Forwarded-For is met; "" if it has none and needs
// none.
func forwarded(r *http.Request, trusted []netip.Prefix) string {
	sent, believed := r.Header["X-Forwarded-For"] != nil, len(trusted) > 0 && isTrusted(parseAddress(r.RemoteAddr), trusted)
	switch {
	case sent && believed:
		return forwardedBelieved
	case sent:
		return forwardedIgnored
	case believed:
		return forwardedMissing
	}
	return ""
}

// clientAddress believes X-Forwarded-For as far as it was written by trusted
// proxies: the right-most entry that is none of them is the client. Forwarded,
// X-Real-IP and their spellings with underscores are never looked at.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := parseAddress(r.RemoteAddr)
	if !isTrusted(addr, trusted) {
		return addr
	}
	hops := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for hops != "" {
		var last string
		if i := strings.LastIndexByte(hops, ','); i >= 0 {
			hops, last = hops[:i], hops[i+1:]
		} else {
			hops, last = "", hops
		}
		hop := parseAddress(strings.TrimSpace(last))
		if !hop.IsValid() {
			return addr // nobody vouches for what is left of nonsense
		}
		addr = hop
		if !isTrusted(addr, trusted) {
			return addr
		}
	}
	return addr
}

// parseAddress reads "192.0.2.1", "192.0.2.1:80", "2001:db8::1" and
// "[2001:db8::1]:80", in one form: no zone, no IPv4 inside IPv6.
func parseAddress(s string) netip.Addr {
	ap, err := netip.ParseAddrPort(s) // first: the server's own spelling
	addr := ap.Addr()
	if err != nil {
		if addr, err = netip.ParseAddr(s); err != nil {
			return netip.Addr{}
		}
	}
	return addr.Unmap().WithZone("")
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
