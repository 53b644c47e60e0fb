package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// A redirect URI, registered or not, never adds a word to the policy.
func FuzzFormSourceIsOneWord(f *testing.F) {
	for _, seed := range []string{"https://app.example/cb", "com.example.app:/cb", "http://[::1]:9/", "https://a;b", "https://a b/", "x:y", "https://é.example/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		source := formSource(target)
		if strings.ContainsAny(source, " ;,'\t\r\n*") {
			t.Errorf("%q: %q", target, source)
		}
		if u, err := url.Parse(target); err == nil && source != "" && !strings.HasPrefix(source, u.Scheme+":") {
			t.Errorf("%q: %q has another scheme", target, source)
		}
	})
}

// Whatever a client writes in front, the entry that the trusted proxy added counts.
func FuzzWhatAClientForwardsDoesNotCount(f *testing.F) {
	for _, seed := range []string{"", "10.0.0.1", "1.2.3.4, ", ",,", "for=1.2.3.4", "[::1]:80", "::ffff:10.0.0.1%x"} {
		f.Add(seed)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, forged string) {
		r := &http.Request{RemoteAddr: "10.0.0.9:1", Header: http.Header{"X-Forwarded-For": {forged + ", 203.0.113.9"}}}
		if got := clientAddress(r, trusted).String(); got != "203.0.113.9" {
			t.Errorf("%q: %s", forged, got)
		}
	})
}
