package templates

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// The languages in the order of the footer; the first is the fallback.
var languages = []string{"en", "sv", "es"}

// Longer headers than this are no person's preference and are not parsed.
const maxPreference = 1024

// A locale holds the words of one language.
type locale struct {
	lang string
	l    *i18n.Localizer
}

func loadLocales(files fs.FS, own *Overrides) (map[string]locale, error) {
	bundle := i18n.NewBundle(language.Make(languages[0]))
	locales := make(map[string]locale, len(languages))
	for _, lang := range languages {
		name := "locales/" + lang + ".json"
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if _, err := bundle.ParseMessageFileBytes(b, lang+".json"); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if own != nil && own.words[lang] != nil { // after ours, in whose place it is
			if _, err := bundle.ParseMessageFileBytes(own.words[lang], lang+".json"); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		locales[lang] = locale{lang, i18n.NewLocalizer(bundle, lang)}
	}
	return locales, nil
}

// text returns one message; pairs are placeholder names and their values.
func (l locale) text(key string, pairs ...any) (string, error) {
	data := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return "", fmt.Errorf("message %s: placeholder name %v is no string", key, pairs[i])
		}
		data[name] = pairs[i+1]
	}
	return l.l.Localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: data, PluralCount: data["Count"]})
}

// wait says how long to wait, rounded up to what a person would say: "30 seconds", "5 minutes".
func (l locale) wait(seconds int) (string, error) {
	switch {
	case seconds <= 0:
		return l.text("wait.moment")
	case seconds < 60:
		return l.text("wait.seconds", "Count", seconds)
	case seconds <= 60*60:
		return l.text("wait.minutes", "Count", (seconds+59)/60)
	default:
		return l.text("wait.hours", "Count", (seconds+3599)/3600)
	}
}

// date says which day it was, in UTC.
func (l locale) date(t time.Time) (string, error) {
	t = t.UTC()
	month, err := l.text(fmt.Sprintf("month.%d", int(t.Month())))
	if err != nil {
		return "", err
	}
	return l.text("date", "Day", t.Day(), "Month", month, "Year", strconv.Itoa(t.Year()))
}

// Languages returns the tags of the languages that pages are written in.
func (p *Pages) Languages() []string { return append([]string(nil), languages...) }

// Match picks the language for a person: ui_locales of the request (OpenID Connect Core section 3.1.2.1), then the person's
// own setting, then Accept-Language, then English. Each may be "" and none is trusted to be well formed.
func (p *Pages) Match(uiLocales, stored, acceptLanguage string) string {
	return match(p.matcher, uiLocales, stored, acceptLanguage)
}

func match(matcher language.Matcher, uiLocales, stored, acceptLanguage string) string {
	for _, tags := range [][]language.Tag{parseTags(uiLocales), parseTags(stored), parseAccept(acceptLanguage)} {
		if len(tags) == 0 {
			continue
		}
		if _, i, confidence := matcher.Match(tags...); confidence > language.No {
			return languages[i]
		}
	}
	return languages[0]
}

// parseTags skips what is no language tag: one bad entry must not hide the person's second choice.
func parseTags(list string) []language.Tag {
	if len(list) > maxPreference {
		return nil
	}
	var tags []language.Tag
	for s := range strings.FieldsSeq(list) {
		if tag, err := language.Parse(s); err == nil {
			tags = append(tags, tag)
		}
	}
	return tags
}

func parseAccept(header string) []language.Tag {
	if len(header) > maxPreference {
		return nil
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return nil
	}
	return tags
}

func newMatcher() language.Matcher {
	tags := make([]language.Tag, len(languages))
	for i, lang := range languages {
		tags[i] = language.Make(lang)
	}
	return language.NewMatcher(tags)
}
