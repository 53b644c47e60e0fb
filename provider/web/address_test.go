package web

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

// TestForwardedIsTold: a proxy that is not trusted, or that tells nothing, is what
// makes all visitors share one limit.
func TestForwardedIsTold(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tc := range []struct {
		what, peer, header string
		trusted            []netip.Prefix
		want               string
	}{
		{"a visitor", "203.0.113.9:1", "", trusted, ""},
		{"a trusted proxy", "10.1.2.3:1", "203.0.113.9", trusted, forwardedBelieved},
		{"a trusted proxy that tells nothing", "10.1.2.3:1", "", trusted, forwardedMissing},
		{"somebody else's header", "192.0.2.1:1", "203.0.113.9", trusted, forwardedIgnored},
		{"a header where nobody is trusted", "10.1.2.3:1", "203.0.113.9", nil, forwardedIgnored},
		{"nobody is trusted", "10.1.2.3:1", "", nil, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.RemoteAddr = tc.peer
		if tc.header != "" {
			r.Header.Set("X-Forwarded-For", tc.header)
		}
		if got := forwarded(r, tc.trusted); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.what, got, tc.want)
		}
	}
}
