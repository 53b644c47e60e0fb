package proof

import (
	"fmt"
	"strings"
	"testing"
)

// TestRPID: WebAuthn Level 3 section 5.1.3, steps 7 to 9, on a relying party's side.
func TestRPID(t *testing.T) {
	for _, c := range []struct{ rpID, host, says string }{
		{"login.shop.example", "login.shop.example", ""},
		{"shop.example", "login.shop.example", ""},
		{"localhost", "localhost", ""},
		{"shop.co.uk", "login.shop.co.uk", ""},
		{"co.uk", "shop.co.uk", "public suffix"},
		{"github.io", "shop.github.io", "public suffix"},
		{"example", "login.example", "not a domain"},
		{"evil.example", "login.shop.example", "neither"},
		{"op.example", "login.shop.example", "neither"},
		{"www.login.shop.example", "login.shop.example", "neither"},
		{"Shop.example", "login.shop.example", "lower case"},
		{"https://shop.example", "login.shop.example", "not a domain"},
		{"shop.example:443", "shop.example", "not a domain"},
		{"", "shop.example", "not a domain"},
		{"127.0.0.1", "127.0.0.1", "not a domain"},
	} {
		wantSays(t, c.rpID+" of "+c.host, CheckRPID(c.rpID, c.host), c.says)
	}
}

// TestOrigins: WebAuthn Level 3 section 5.11.
func TestOrigins(t *testing.T) {
	six := []string{"https://a.example", "https://b.example", "https://c.example", "https://d.example", "https://e.example"}
	same := []string{"https://login.example", "https://shop.example.org", "https://shop.co.uk", "https://www.shop.de", "https://shop.fr", "https://shop.com.au"}
	many := make([]string, 51)
	for i := range many {
		many[i] = fmt.Sprintf("https://a%d.login.example", i)
	}
	for _, c := range []struct {
		origins []string
		says    string
	}{
		{nil, ""},
		{[]string{"https://shop.test", "https://shop.test:8443"}, ""},
		{[]string{"http://localhost:3000", "http://shop.localhost"}, ""},
		{same, ""},
		{six[:4], ""},
		{six, "more than 5 names"},
		{many, "are 51"},
		{[]string{"http://shop.test"}, "must be https"},
		{[]string{"ftp://shop.test"}, "must be https"},
		{[]string{"https://shop.test/"}, "not an origin"},
		{[]string{"https://shop.test?x"}, "not an origin"},
		{[]string{"https://ada@shop.test"}, "not an origin"},
		{[]string{"https://Shop.test"}, "not an origin"},
		{[]string{"shop.test"}, "not an origin"},
		{[]string{"https://"}, "not an origin"},
		{[]string{""}, "not an origin"},
		{[]string{"android:apk-key-hash:x"}, "not an origin"},
		{[]string{"null"}, "not an origin"},
	} {
		wantSays(t, fmt.Sprint(c.origins), CheckOrigins("https://login.example", c.origins), c.says)
	}
}

func TestAAGUID(t *testing.T) {
	for text, says := range map[string]string{
		"cb69481e-8ff7-4039-93ec-0a2729a154a8":   "",
		"CB69481E-8FF7-4039-93EC-0A2729A154A8":   "",
		"00000000-0000-0000-0000-000000000000":   "not the AAGUID",
		"{cb69481e-8ff7-4039-93ec-0a2729a154a8}": "not the AAGUID",
		"cb69481e8ff7403993ec0a2729a154a8":       "not the AAGUID",
		"a key":                                  "not the AAGUID",
		"":                                       "not the AAGUID",
	} {
		wantSays(t, text, CheckAAGUID(text), says)
	}
}

func wantSays(t *testing.T, what string, err error, says string) {
	t.Helper()
	if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
		t.Errorf("%s: %v, want %q", what, err, says)
	}
}
