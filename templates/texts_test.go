package templates

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A text message is one, and no more is paid for: in every language, for the longest names
// that leave room; and without words where they leave none. Its last line binds the code to the
// domain (WICG, origin-bound one-time codes).
func TestTextMessagesAreOne(t *testing.T) {
	texts, err := NewTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	const domain = "login.accounts.example.com"
	for _, tc := range []struct {
		brand string
		words bool
	}{
		{"Doorstep", true},
		{strings.Repeat("Å", 30), true},   // in GSM's alphabet
		{strings.Repeat("x", 100), false}, // too long
		{"Łódź", false},                   // 70 letters are not enough
		{"東京", false},                     //
		{strings.Repeat("€", 40), false},  // two places each
		{strings.Repeat("🏠", 10), false},  // two units each
	} {
		for _, lang := range languages {
			for _, what := range []string{"signin", "verify"} {
				in, text, err := texts.Code(TextCode{Lang: lang, For: what, Brand: tc.brand, Code: "48151623", Domain: domain})
				if err != nil {
					t.Fatal(err)
				}
				if in != lang || segments(text) != 1 || utf8.RuneCountInString(text) > 160 {
					t.Errorf("%s, %s, for %q: %d letters in %q", lang, what, tc.brand, utf8.RuneCountInString(text), text)
				}
				lines := strings.Split(text, "\n")
				if last := lines[len(lines)-1]; last != "@"+domain+" #48151623" || strings.Contains(text, tc.brand) != tc.words || !strings.HasPrefix(text, "48151623") {
					t.Errorf("%s, %s, for %q: %q", lang, what, tc.brand, text)
				}
			}
		}
	}
	if _, _, err := texts.Code(TextCode{Lang: "en", For: "nothing"}); err == nil {
		t.Error("there are words for nothing")
	}
}

// 3GPP TS 23.038: 160 places of the alphabet, or 70 units of UTF-16; a little less of each
// where there are several.
func TestSegments(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int
	}{
		{"", 1},
		{strings.Repeat("a", 160), 1},
		{strings.Repeat("a", 161), 2},
		{strings.Repeat("a", 306), 2},
		{strings.Repeat("a", 307), 3},
		{strings.Repeat("åäöñéà\n", 22), 1},
		{strings.Repeat("€", 80), 1},
		{strings.Repeat("€", 80) + "a", 2},
		{"ó" + strings.Repeat("a", 69), 1},
		{"ó" + strings.Repeat("a", 70), 2},
		{strings.Repeat("🏠", 35), 1},
		{strings.Repeat("🏠", 36), 2},
		{strings.Repeat("ó", 134), 2},
		{strings.Repeat("ó", 135), 3},
	} {
		if got := segments(tc.text); got != tc.want {
			t.Errorf("%.20q of %d is %d, want %d", tc.text, utf8.RuneCountInString(tc.text), got, tc.want)
		}
	}
}
