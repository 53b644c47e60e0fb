package ident

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// Attack case 75: twins are one identifier or are told apart, never half of each.
func TestEmailHasOneForm(t *testing.T) {
	for _, tc := range []struct{ what, in, want string }{
		{"plain", "ada@example.org", "ada@example.org"},
		{"spaces around", " \tada@example.org\u00a0\n", "ada@example.org"},
		{"case, whole", "Ada.Lovelace@EXAMPLE.Org", "ada.lovelace@example.org"},
		{"tag kept", "ada+shop@example.org", "ada+shop@example.org"},
		{"full width", "ａｄａ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ada@example.org"},
		{"ligature", "o\ufb03ce@example.org", "office@example.org"},
		{"Kelvin sign", "\u212aim@example.org", "kim@example.org"},
		{"composed", "jose\u0301@example.org", "jos\u00e9@example.org"},
		{"accent in upper case", "JOSÉ@example.org", "jos\u00e9@example.org"},
		{"domain of many scripts", "ada@Bücher.example", "ada@xn--bcher-kva.example"},
		{"domain in ASCII form", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		{"single label", "ada@localhost", "ada@localhost"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			got, err := Email(tc.in)
			if err != nil || got != tc.want {
				t.Errorf("Email(%+q) = %+q, %v, want %+q", tc.in, got, err, tc.want)
			}
		})
	}
}

// Attack case 75: what looks alike and is not the same stays apart.
func TestEmailTellsLookAlikesApart(t *testing.T) {
	for _, pair := range [][2]string{
		{"mike@example.org", "m\u0131ke@example.org"},  // Turkish dotless i
		{"mike@example.org", "M\u0130KE@example.org"},  // Turkish dotted capital I
		{"ada@example.org", "\u0430da@example.org"},    // Cyrillic a before the @
		{"ada@example.org", "ada@ex\u0430mple.org"},    // Cyrillic a behind it
		{"strasse@example.org", "straße@example.org"},  // sharp s
		{"ada@strasse.example", "ada@straße.example"},  // and in a domain
		{"ada@example.org", "ada@example.org.example"}, // a longer domain
	} {
		a, errA := Email(pair[0])
		b, errB := Email(pair[1])
		if errA != nil {
			t.Fatalf("Email(%+q): %v", pair[0], errA)
		}
		if errB == nil && a == b {
			t.Errorf("%+q and %+q have the same form %+q", pair[0], pair[1], a)
		}
	}
}

func TestEmailRefuses(t *testing.T) {
	for what, in := range map[string]string{
		"nothing":                "",
		"spaces":                 "  \t ",
		"no @":                   "ada.example.org",
		"two @":                  "a@b@evil.example",
		"a full-width second @":  "a＠b@evil.example",
		"no local part":          "@example.org",
		"no domain":              "ada@",
		"NUL":                    "ada\x00@example.org",
		"NUL at the end":         "ada@example.org\x00",
		"a line break":           "ada@example.org\nBcc: eve@example.org",
		"a space inside":         "ada lovelace@example.org",
		"zero-width space":       "ada\u200b@example.org",
		"zero-width in domain":   "ada@exam\u200bple.org",
		"zero-width joiner":      "a\u200dda@example.org",
		"soft hyphen in domain":  "ada@exam\u00adple.org",
		"word joiner":            "ada\u2060@example.org",
		"byte order mark":        "\ufeffada@example.org",
		"direction override":     "\u202eada@example.org",
		"variation selector":     "ada\ufe0f@example.org",
		"combining joiner":       "ada\u034f@example.org",
		"Hangul filler":          "ada\u3164@example.org",
		"not UTF-8":              "ada\xff@example.org",
		"quoted":                 `"ada"@example.org`,
		"quoted @":               `"a@b"@example.org`,
		"comment":                "ada(x)@example.org",
		"a list":                 "ada@example.org,eve@example.org",
		"angle brackets":         "<ada@example.org>",
		"leading dot":            ".ada@example.org",
		"trailing dot":           "ada.@example.org",
		"two dots":               "ada..l@example.org",
		"trailing dot of domain": "ada@example.org.",
		"empty label":            "ada@example..org",
		"underscore in domain":   "ada@exa_mple.org",
		"address literal":        "ada@[127.0.0.1]",
		"label too long":         "ada@" + strings.Repeat("a", 64) + ".example",
		"local part too long":    strings.Repeat("a", 65) + "@example.org",
		"too long":               strings.Repeat("a", 60) + "@" + strings.Repeat("b2345678.", 22) + "org",
		"far too long":           strings.Repeat("a", 1<<20) + "@example.org",
	} {
		if got, err := Email(in); !errors.Is(err, ErrEmail) {
			t.Errorf("%s: Email(%+.80q) = %+q, %v, want ErrEmail", what, in, got, err)
		}
	}
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.org", "ＡＤＡ@bücher.example", "a@b@c", "İ@x", "x@\u200bY", "ﷺ@a.b", "ß@ß.de", "ς@ς.gr"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Email(in)
		if err != nil {
			if got != "" || !errors.Is(err, ErrEmail) {
				t.Fatalf("Email(%+q) = %+q, %v", in, got, err)
			}
			return
		}
		if len(got) > 254 || strings.Count(got, "@") != 1 || !utf8.ValidString(got) {
			t.Fatalf("Email(%+q) = %+q: not a form that may be stored", in, got)
		}
		again, err := Email(got)
		if err != nil || again != got {
			t.Fatalf("the form of the form of %+q: %+q, %v, want %+q", in, again, err, got)
		}
	})
}

// TestEmailPrefix: what an address begins with, in the spelling that is looked up.
func TestEmailPrefix(t *testing.T) {
	for in, want := range map[string]string{
		" ADA ": "ada", "Ada@Example.COM": "ada@example.com", "ａda@ex": "ada@ex", "ada@räksmörgås.example": "ada@xn--rksmrgs-5wao1o.example", "%": "%", "'": "'", //nolint:gocritic // the spaces are what is taken off
	} {
		if got, err := EmailPrefix(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "\xff", "a\x00", "a b", strings.Repeat("a", 2000)} {
		if got, err := EmailPrefix(in); err == nil {
			t.Errorf("%q is taken as %q", in, got)
		}
	}
}
