package ident

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

// Attack case 75 of numbers: however it is typed it is one.
func TestPhoneHasOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"+46701740605":             "+46701740605",
		" +46 70-174 06 05 ":       "+46701740605",
		"+46 (0)70 174 06 05":      "+46701740605",
		"+46 070 174 06 05":        "+46701740605",
		"＋４６７０１７４０６０５":             "+46701740605",
		"+1 202-555-0143":          "+12025550143",
		"+1.202.555.0143":          "+12025550143",
		"+34\u00a0612\u2011345678": "+34612345678",
	} {
		got, err := Phone(in)
		if err != nil || got != want {
			t.Errorf("Phone(%+q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for number, country := range map[string]string{"+46701740605": "SE", "+12025550143": "US", "+16135550143": "CA", "+447400123456": "GB", "+441534123456": "JE", "": "", "+999": ""} {
		if got := PhoneCountry(number); got != country {
			t.Errorf("%s is of %q, want %q", number, got, country)
		}
	}
	for country, want := range map[string]bool{"SE": true, "US": true, "se": false, "ZZ": false, "001": false, "": false} {
		if HasPhones(country) != want {
			t.Errorf("%q has phones: %v", country, !want)
		}
	}
}

// Nothing is sent to what is no mobile's number, or costs more than one.
func TestPhoneRefusesWhatIsNoMobiles(t *testing.T) {
	for what, in := range map[string]string{
		"nothing":            "",
		"no country":         "0701740605",
		"a dialled prefix":   "0046701740605",
		"letters":            "+1-800-FLOWERS",
		"an extension":       "+46701740605;ext=5",
		"an extension by x":  "+46701740605x5",
		"a URI":              "tel:+46701740605",
		"two numbers":        "+46701740605,+46701740606",
		"a second +":         "+46+701740605",
		"too short":          "+4670174",
		"too long":           "+467017406050",
		"far too long":       "+" + strings.Repeat("4", 1<<20),
		"a line break":       "+46701740605\n+46701740606",
		"NUL":                "+46701740605\x00",
		"not UTF-8":          "+46701740605\xff",
		"a home":             "+4684401234",
		"premium rate, US":   "+19005550143",
		"premium rate, SE":   "+469391234567",
		"premium rate, GB":   "+449098790000",
		"free of charge":     "+18005550143",
		"shared cost":        "+448431234567",
		"a personal number":  "+447012345678",
		"a pager":            "+447640123456",
		"by satellite":       "+881612345678",
		"international toll": "+97912345678",
		"no country's":       "+999123456789",
	} {
		if got, err := Phone(in); !errors.Is(err, ErrPhone) || got != "" {
			t.Errorf("%s: Phone(%+.60q) = %q, %v", what, in, got, err)
		}
	}
}

var e164 = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

func FuzzPhone(f *testing.F) {
	for _, seed := range []string{"+46701740605", "+1 202-555-0143", "+52 1 55 1234 5678", "＋４６", "+46 (0)70", "+1-800-FLOWERS", "+\u0664\u0666"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Phone(in)
		if err != nil {
			if got != "" || !errors.Is(err, ErrPhone) {
				t.Fatalf("Phone(%+q) = %q, %v", in, got, err)
			}
			return
		}
		again, err := Phone(got)
		if !e164.MatchString(got) || err != nil || again != got {
			t.Fatalf("the form of %+q is %q, and of that %q, %v", in, got, again, err)
		}
	})
}
