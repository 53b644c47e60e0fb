package outbound

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"testing"
)

// IANA IPv4 and IPv6 Special-Purpose Address Registries.
func TestAddressesThatMayBeReached(t *testing.T) {
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for _, ip := range []string{"9.9.9.9", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1", "223.255.255.255",
		"2620:fe::fe", "2a00:1450::1", "2001:4860:4860::8888", "64:ff9b::909:909", "::ffff:9.9.9.9"} {
		for r, want := range map[reach]bool{reachPublic: true, reachOperator: true, reachPlain: false} {
			if got := r.check(net.JoinHostPort(ip, "443"), nil) == nil; got != want {
				t.Errorf("%s, public, by reach %d: %t", ip, r, got)
			}
		}
	}
	for _, ip := range []string{"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::c0a8:1", "64:ff9b:1::a00:1",
		"100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:c0a8:1::", "3fff::1", "5f00::1",
		"fc00::1", "fd12:3456::1", "fec0::1", "ff02::1"} {
		for r, want := range map[reach]bool{reachPublic: false, reachOperator: true, reachPlain: true} {
			address := net.JoinHostPort(ip, "443")
			if err := r.check(address, nil); !errors.Is(err, ErrAddress) {
				t.Errorf("%s, inside, by reach %d: %v", ip, r, err)
			}
			if got := r.check(address, everything) == nil; got != want {
				t.Errorf("%s, inside and allowed, by reach %d: %t", ip, r, got)
			}
		}
	}
	for _, ip := range []string{"169.254.169.254", "169.254.170.2", "169.254.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16",
		"::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::1", "fe80::a9fe:a9fe%eth0"} {
		for _, r := range []reach{reachPublic, reachOperator, reachPlain} {
			if err := r.check(net.JoinHostPort(ip, "80"), everything); !errors.Is(err, ErrAddress) {
				t.Errorf("%s, of a cloud, by reach %d: %v", ip, r, err)
			}
		}
	}
	ten := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for ip, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "10.2.0.1": false} {
		if got := reachOperator.check(net.JoinHostPort(ip, "443"), ten) == nil; got != want {
			t.Errorf("%s with 10.1.0.0/16 allowed: %t", ip, got)
		}
	}
	if err := reachPublic.check("shop.example.com:443", nil); !errors.Is(err, ErrAddress) {
		t.Errorf("a name in the place of an address: %v", err)
	}
}

func TestURLsThatMayBeFetched(t *testing.T) {
	for text, want := range map[string]struct{ operators, anybodys bool }{
		"https://shop.example.com/logout?a=b": {true, true},
		"https://shop.example.com:8443/":      {true, true},
		"http://shop.example.com/":            {true, false},
		"https://ada:secret@shop.example.com": {false, false},
		"https:shop.example.com":              {false, false},
		"https:///logout":                     {false, false},
		"https://:443/":                       {false, false},
		"//shop.example.com/":                 {false, false},
		"ftp://shop.example.com/":             {false, false},
		"file:///etc/passwd":                  {false, false},
		"gopher://shop.example.com/":          {false, false},
		"data:text/plain,x":                   {false, false},
		"":                                    {false, false},
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		_, operators := reachOf(u, true)
		_, anybodys := reachOf(u, false)
		if (operators == nil) != want.operators || (anybodys == nil) != want.anybodys {
			t.Errorf("%s: of an operator %v, of anybody %v", text, operators, anybodys)
		}
		if err := anybodys; err != nil && !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v does not wrap ErrURL", text, err)
		}
	}
}
