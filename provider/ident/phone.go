package ident

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// KindPhone is the kind of identifier that [Phone] makes canonical.
const KindPhone = "phone"

// ErrPhone is what every error of [Phone] wraps.
var ErrPhone = errors.New("not a mobile number")

// maxPhone bounds the work on what was typed: a number has 15 digits at most (ITU-T E.164
// section 6.2.1), and people put signs between them.
const maxPhone = 40

// Phone returns the canonical form of a mobile number that was typed with its country code:
// + and digits (ITU-T E.164). It is a number that the plan of its country gives to mobiles, or
// to mobiles and homes alike where nobody can tell: none for which the one who sends to it
// or calls it pays more, no extension, and no letters in the place of digits.
func Phone(s string) (canonical string, err error) {
	s = strings.TrimSpace(norm.NFKC.String(strings.TrimSpace(s)))
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it is empty", ErrPhone)
	case len(s) > maxPhone:
		return "", fmt.Errorf("%w: it is too long", ErrPhone)
	case !strings.HasPrefix(s, "+"):
		return "", fmt.Errorf("%w: it must begin with + and the country code", ErrPhone)
	case strings.ContainsFunc(s[1:], notDialled):
		return "", fmt.Errorf("%w: it has other signs than digits and what stands between them", ErrPhone)
	}
	n, err := phonenumbers.Parse(s, "")
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", fmt.Errorf("%w: there is no such number", ErrPhone)
	}
	if phonenumbers.GetRegionCodeForNumber(n) == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY {
		return "", fmt.Errorf("%w: it is of no country", ErrPhone)
	}
	if kind := phonenumbers.GetNumberType(n); kind != phonenumbers.MOBILE && kind != phonenumbers.FIXED_LINE_OR_MOBILE {
		return "", fmt.Errorf("%w: it is of another kind", ErrPhone)
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// notDialled matches what is neither a digit nor a sign that people put between digits.
func notDialled(r rune) bool {
	return (r < '0' || r > '9') && !unicode.Is(unicode.Zs, r) && !strings.ContainsRune("-./()\u2010\u2011\u2012\u2013", r)
}

// MaskPhone is a canonical number as pages and mails name it: by its last digits, by which
// its owner knows it.
func MaskPhone(canonical string) string {
	return "\u2022\u2022\u2022\u2022 " + canonical[max(0, len(canonical)-2):]
}

// PhoneCountry returns the country or territory of a canonical number (ISO 3166-1 alpha-2);
// "" for what is none.
func PhoneCountry(canonical string) string {
	n, err := phonenumbers.Parse(canonical, "")
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(n)
}

// HasPhones reports whether a country, as [PhoneCountry] names it, has numbers.
func HasPhones(country string) bool {
	return len(country) == 2 && phonenumbers.GetCountryCodeForRegion(country) != 0
}
