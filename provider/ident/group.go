package ident

import (
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// ErrGroup is the error of [Group].
var ErrGroup = errors.New("not a group's name")

// MaxGroup is the longest name of a group, in bytes.
const MaxGroup = 64

// Group returns the canonical form of a group's name: compatibility forms folded
// (NFKC), letters in lower case. A name has 1 to [MaxGroup] letters a to z, digits
// or . _ - and begins with a letter or digit, so that it stands in a token, a URL
// and a list with spaces as it is.
func Group(s string) (canonical string, err error) {
	s = strings.TrimSpace(s)
	if len(s) > maxTyped {
		return "", ErrGroup
	}
	s = strings.ToLower(norm.NFKC.String(s))
	if s == "" || len(s) > MaxGroup {
		return "", ErrGroup
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return "", ErrGroup
		}
	}
	return s, nil
}
