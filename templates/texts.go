package templates

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/language"
)

// Texts renders text messages to phones. It is safe for concurrent use.
type Texts struct {
	locales map[string]locale
	matcher language.Matcher
}

// NewTexts parses every locale, with an operator's own words in the place of ours (nil: none).
func NewTexts(own *Overrides) (*Texts, error) {
	locales, err := loadLocales(files, own)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return &Texts{locales, newMatcher()}, nil
}

// TextCode has a code in a text message.
type TextCode struct {
	Lang   string // as Base's
	For    string // "signin" | "prove" | "verify"
	Brand  string
	Code   string
	Domain string // of the page that it is to be typed into, and of no other
}

// Code returns a text message that goes out as one: without words where these would make
// it two. Its last line binds the code to the domain (WICG, origin-bound one-time codes): phones
// offer it on pages of that alone.
func (t *Texts) Code(c TextCode) (lang, text string, err error) {
	lang = match(t.matcher, "", c.Lang, "")
	words, err := t.locales[lang].text("mail.sms."+c.For, "Code", c.Code, "Brand", c.Brand)
	if err != nil {
		return "", "", fmt.Errorf("templates: %w", err)
	}
	bound := "\n\n@" + c.Domain + " #" + c.Code
	if text = words + bound; segments(text) > 1 {
		text = c.Code + bound
	}
	return lang, text, nil
}

// The letters of 3GPP TS 23.038 section 6.2.1, and those that take two places.
const (
	gsmLetters = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmDouble = "^{}\\[~]|€"
)

// segments returns as how many messages a text goes out: one holds 160 letters of GSM's own
// alphabet, or 70 of UTF-16 where the text has any other; of several each holds a bit less.
func segments(text string) int {
	places := 0
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsmLetters, r):
			places++
		case strings.ContainsRune(gsmDouble, r):
			places += 2
		default:
			return parts(len(utf16.Encode([]rune(text))), 70, 67)
		}
	}
	return parts(places, 160, 153)
}

func parts(places, alone, each int) int {
	if places <= alone {
		return 1
	}
	return (places + each - 1) / each
}
