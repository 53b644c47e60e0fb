package oidc

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Whatever a query holds, what passes has each parameter once and within its bound.
func FuzzSingleHasEachParameterOnce(f *testing.F) {
	for _, seed := range []string{"", "a=1&a=2", "resource=x&resource=y", "=&=", "state=" + strings.Repeat("x", 5000), "scope=a&SCOPE=b", strings.Repeat("x&", 70), "%00=1&%ff=2", "a;b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		in, _ := url.ParseQuery(query) // what it could read before it gave up counts too
		out, err := single(in)
		if err != nil {
			if text := err.Error(); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
				t.Errorf("%q: the refusal is no description: %q", query, text)
			}
			return
		}
		if len(out) > limitCount {
			t.Errorf("%q: %d parameters", query, len(out))
		}
		for name, values := range out {
			limit := limits[name]
			if limit == 0 {
				limit = limitOther
			}
			if len(values) != 1 && name != "resource" || len(values) > 8 {
				t.Errorf("%q: %s is there %d times", query, name, len(values))
			}
			if slices.ContainsFunc(values, func(v string) bool { return len(v) > limit }) {
				t.Errorf("%q: %s is too long", query, name)
			}
		}
	})
}

// A list has each word once, in order, and reading it again changes nothing.
func FuzzWordsAreWords(f *testing.F) {
	for _, seed := range []string{"", " ", "openid", "openid  email openid", "a\tb", "\u00a0", "é é", "\x00 \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := words(s)
		for i, w := range got {
			if w == "" || strings.Contains(w, " ") || slices.Contains(got[:i], w) || !strings.Contains(s, w) {
				t.Errorf("%q: word %q of %q", s, w, got)
			}
		}
		if again := words(strings.Join(got, " ")); !slices.Equal(again, got) {
			t.Errorf("%q: %q, then %q", s, got, again)
		}
	})
}

// What is repeated from outside fits into an error_description (RFC 6749 section
// 5.2), and into a command's JSON without an escape.
func FuzzPrintableCanBePrinted(f *testing.F) {
	for _, seed := range []string{"", "scope", `"\`, "\x00\r\n\x1b[31m", strings.Repeat("x", 100), "é", "\xff\xfe", "\u202e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{printable(s), visible(s)} {
			if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
				t.Errorf("%q: %q", s, got)
			}
		}
		if got := printable(s); len(got) > 63 {
			t.Errorf("%q: %d bytes", s, len(got))
		}
	})
}
