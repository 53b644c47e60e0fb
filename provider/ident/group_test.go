package ident

import (
	"strings"
	"testing"
)

// TestGroupIsCanonical: one name has one form, and the form of a form is itself.
func TestGroupIsCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"operators": "operators", "\tShop-Team ": "shop-team", "ｓhop": "shop", "a.b_c-9": "a.b_c-9", "9": "9", //nolint:gocritic // the spaces are what is taken off
		strings.Repeat("a", 64): strings.Repeat("a", 64), "\u212Aiosk": "kiosk", // the Kelvin sign
	} {
		got, err := Group(in)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
		if again, err := Group(got); err != nil || again != got {
			t.Errorf("%q again: %q, %v", got, again, err)
		}
	}
	for _, in := range []string{
		"", " ", "-a", ".a", "a b", "a,b", "a/b", "a\x00", "a\nb", "grüppe", "\xff", "аdmins" /* a Cyrillic а */, strings.Repeat("a", 65), strings.Repeat("a", 5000),
	} {
		if got, err := Group(in); err == nil {
			t.Errorf("%q is taken as %q", in, got)
		}
	}
}
