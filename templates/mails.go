package templates

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	texts "text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// Mails renders mails. It is safe for concurrent use.
type Mails struct {
	locales map[string]locale
	matcher language.Matcher
	mails   map[string]map[string]mailTemplates // by language, by mail
}

type mailTemplates struct {
	html *template.Template
	text *texts.Template
}

// Mail is a mail in words: a subject of one line, and the same twice.
type Mail struct{ Lang, Subject, Text, HTML string }

// NewMails parses every mail and every locale, with an operator's own in the place of ours (nil: none), and tries each mail in
// each language, once.
func NewMails(own *Overrides) (*Mails, error) {
	m, err := newMails(files, own)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return m, nil
}

func newMails(files fs.FS, own *Overrides) (*Mails, error) {
	locales, err := loadLocales(files, own)
	if err != nil {
		return nil, err
	}
	m := &Mails{locales: locales, matcher: newMatcher(), mails: map[string]map[string]mailTemplates{}}
	for lang, l := range locales {
		if m.mails[lang], err = parseMails(files, own, l); err != nil {
			return nil, err
		}
		for _, sample := range mailSamples(lang) {
			if _, err := m.render(sample); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// Render returns one mail. mail is a view of mailviews.go; anything else is an error.
func (m *Mails) Render(mail any) (Mail, error) {
	v, ok := mail.(mailView)
	if !ok {
		return Mail{}, fmt.Errorf("templates: no mail for %T", mail)
	}
	out, err := m.render(v)
	if err != nil {
		return Mail{}, fmt.Errorf("templates: %w", err)
	}
	return out, nil
}

func (m *Mails) render(v mailView) (Mail, error) {
	lang := match(m.matcher, "", v.mailBase().Lang, "")
	t := m.mails[lang][v.mail()]
	var subject, text, html bytes.Buffer
	err := t.text.ExecuteTemplate(&subject, "subject", v)
	if err == nil {
		err = t.text.Execute(&text, v)
	}
	if err == nil {
		err = t.html.Execute(&html, v)
	}
	if err != nil {
		return Mail{}, err
	}
	return Mail{Lang: lang, Subject: oneLine(subject.String()), Text: wrap(text.String()), HTML: html.String()}, nil
}

func parseMails(files fs.FS, own *Overrides, l locale) (map[string]mailTemplates, error) {
	functions := template.FuncMap{
		"action": func(href, label string) any { return struct{ Href, Label string }{href, label} },
		"device": l.device,
		"lang":   func() string { return l.lang },
		"moment": l.moment,
		"t":      l.text,
		"wait":   l.wait,
	}
	names, err := fs.Glob(files, "mails/*.txt")
	if err != nil {
		return nil, err
	}
	mails := map[string]mailTemplates{}
	for _, name := range names {
		mail := strings.TrimSuffix(path.Base(name), ".txt")
		if mail == "layout" {
			continue
		}
		t := mailTemplates{template.New(mail).Funcs(functions), texts.New(mail).Funcs(functions)}
		for _, file := range []string{"layout", mail} {
			html, err := own.placed(files, "mails/"+file+".html")
			if err != nil {
				return nil, err
			}
			// Under the whole name, by which faults are told.
			if t.html, err = t.html.New("mails/" + file + ".html").Parse(html); err != nil {
				return nil, err
			}
			text, err := own.placed(files, "mails/"+file+".txt")
			if err != nil {
				return nil, err
			}
			if t.text, err = t.text.New("mails/" + file + ".txt").Parse(text); err != nil {
				return nil, err
			}
		}
		mails[mail] = t
	}
	return mails, nil
}

// device says with what something was done: "Firefox on Windows".
func (l locale) device(d MailDevice) (string, error) {
	switch {
	case d.Browser != "" && d.System != "":
		return l.text("mail.device.both", "Browser", d.Browser, "System", d.System)
	case d.Browser != "" || d.System != "":
		return d.Browser + d.System, nil
	}
	return l.text("mail.device.unknown")
}

// moment says when it was, to the minute, in UTC.
func (l locale) moment(t time.Time) (string, error) {
	date, err := l.date(t)
	if err != nil {
		return "", err
	}
	return l.text("mail.moment", "Date", date, "Time", t.UTC().Format("15:04"))
}

// oneLine is s without what would end a line or hide in it.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// lineLength is where lines of text are broken (RFC 5322 section 2.1.1: at most 78).
const lineLength = 72

// wrap breaks the lines of a text between words. A word that is longer, such as a link, stays whole.
func wrap(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if utf8.RuneCountInString(line) <= lineLength {
			b.WriteString(line + "\n")
			continue
		}
		length := 0
		for word := range strings.FieldsSeq(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case length == 0:
			case length+1+n > lineLength:
				b.WriteString("\n")
				length = 0
			default:
				b.WriteString(" ")
				length++
			}
			b.WriteString(word)
			length += n
		}
		b.WriteString("\n")
	}
	return b.String()
}
