// Package ident has the canonical form of what people are found by: one function
// a kind, used wherever an identifier is stored, looked up or throttled. Two
// spellings that a person would take for the same one have the same form, and
// the form of a form is itself.
//
// It must never guess: an identifier that could be read in two ways is refused.
package ident

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// KindEmail is the kind of identifier that [Email] makes canonical.
const KindEmail = "email"

// Settles is how long after it was verified an address stands in for older ones of its
// person; so long, too, who reads an older one may say that what happened was not them.
const Settles = 7 * 24 * time.Hour

// ErrEmail is what every error of [Email] wraps.
var ErrEmail = errors.New("not an e-mail address")

// maxEmail is the longest address that fits into an SMTP path (RFC 5321 section
// 4.5.3.1.3, less its angle brackets), in bytes; maxTyped bounds the work on
// what was typed.
const (
	maxEmail = 254
	maxLocal = 64 // RFC 5321 section 4.5.3.1.1
	maxTyped = 1024
)

// domains maps a domain to the form that is looked up (UTS #46, RFC 5891), in
// ASCII: letters that look like others stay told apart.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// Email returns the canonical form of an e-mail address: compatibility forms
// folded (NFKC), the local part in lower case (RFC 8265 UsernameCaseMapped), the
// domain in ASCII. The local part is folded although RFC 5321 section 2.4 lets
// its owner tell cases apart: no mail system in use does, and people do not.
func Email(s string) (canonical string, err error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it is empty", ErrEmail)
	case len(s) > maxTyped:
		return "", fmt.Errorf("%w: it is too long", ErrEmail)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%w: it is not valid UTF-8", ErrEmail)
	}
	s = norm.NFKC.String(s)
	if strings.ContainsFunc(s, unseen) {
		return "", fmt.Errorf("%w: it has spaces or characters that cannot be seen", ErrEmail)
	}
	local, domain, found := strings.Cut(s, "@")
	if !found || strings.Contains(domain, "@") {
		return "", fmt.Errorf("%w: it must have one @", ErrEmail)
	}
	if local, err = localPart(local); err != nil {
		return "", err
	}
	if domain, err = domains.ToASCII(domain); err != nil || domain == "" || strings.HasSuffix(domain, ".") {
		return "", fmt.Errorf("%w: what follows the @ is not a domain", ErrEmail)
	}
	canonical = local + "@" + domain
	if len(canonical) > maxEmail {
		return "", fmt.Errorf("%w: it is too long", ErrEmail)
	}
	return canonical, nil
}

// localPart refuses quoted local parts too: their quotes would make two
// spellings of one address (RFC 5321 section 4.1.2).
func localPart(s string) (string, error) {
	s, err := precis.UsernameCaseMapped.String(s)
	if err != nil || s == "" || len(s) > maxLocal {
		return "", fmt.Errorf("%w: what stands before the @ is not a name", ErrEmail)
	}
	if strings.ContainsAny(s, `()<>[]:;@\,"`) || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return "", fmt.Errorf("%w: what stands before the @ has a sign in a place where it cannot be", ErrEmail)
	}
	return s, nil
}

// unseen matches what a reader cannot see, and so cannot compare: controls,
// spaces, zero-width and other ignorable characters.
func unseen(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) ||
		unicode.In(r, unicode.Cf, unicode.Z, unicode.Co, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// EmailPrefix returns what the canonical form of an address that begins with s
// begins with: all of it for a whole address, else s with compatibility forms folded
// and in lower case.
func EmailPrefix(s string) (string, error) {
	if canonical, err := Email(s); err == nil {
		return canonical, nil
	}
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxTyped || !utf8.ValidString(s) || strings.ContainsFunc(s, unseen) {
		return "", ErrEmail
	}
	return strings.ToLower(norm.NFKC.String(s)), nil
}
