package templates

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func newTestMails(t *testing.T) *Mails {
	t.Helper()
	m, err := NewMails(nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func renderMail(t *testing.T, m *Mails, view any) Mail {
	t.Helper()
	mail, err := m.Render(view)
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

// Every mail in English, and in the other languages the two that are sent most.
func TestMailsMatchGoldenFiles(t *testing.T) {
	m := newTestMails(t)
	want := map[string]bool{}
	for _, lang := range languages {
		for name, view := range mailSamples(lang) {
			if lang != "en" && name != "code" && name != "factor_added" {
				continue
			}
			mail := renderMail(t, m, view)
			for ext, got := range map[string]string{"txt": "Subject: " + mail.Subject + "\n\n" + mail.Text, "html": mail.HTML} {
				file := filepath.Join("testdata", "mails", name+"."+lang+"."+ext)
				want[file] = true
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				b, err := os.ReadFile(file)
				if err != nil {
					t.Error(err)
					continue
				}
				if diff := cmp.Diff(string(b), got); diff != "" {
					t.Errorf("%s (-golden +rendered, rewrite with -update):\n%s", file, diff)
				}
			}
		}
	}
	files, err := filepath.Glob("testdata/mails/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !want[file] {
			t.Errorf("%s belongs to no mail", file)
		}
	}
}

var (
	markup = regexp.MustCompile(`(?s)<style>.*?</style>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// What a mail says, it says in both of its parts, in the reader's language, with every value.
func TestBothPartsOfAMailSayTheSame(t *testing.T) {
	m := newTestMails(t)
	for _, lang := range languages {
		for name, view := range mailSamples(lang) {
			mail := renderMail(t, m, view)
			if mail.Lang != lang || mail.Subject == "" || !strings.Contains(mail.HTML, `<html lang="`+lang+`">`) {
				t.Errorf("%s in %s: %q in %s", name, lang, mail.Subject, mail.Lang)
			}
			if strings.Contains(mail.Text+mail.HTML+mail.Subject, "no value") || strings.Contains(mail.Text+mail.HTML, "{{") {
				t.Errorf("%s in %s lacks a value:\n%s", name, lang, mail.Text)
			}
			shown := spaces.ReplaceAllString(html.UnescapeString(markup.ReplaceAllString(mail.HTML, " ")+" "+strings.Join(links(mail.HTML), " ")), " ")
			for word := range strings.FieldsSeq(mail.Text) {
				if word = strings.TrimRight(word, ":"); word != "--" && !strings.Contains(shown, word) {
					t.Errorf("%s in %s: %q is in the text alone", name, lang, word)
				}
			}
		}
	}
}

func links(page string) (hrefs []string) {
	for _, e := range elements(page) {
		if e.name == "a" {
			hrefs = append(hrefs, e.attrs["href"])
		}
	}
	return hrefs
}

// Programs that show mails load nothing, run nothing, and drop what is large.
func TestMailsStandAlone(t *testing.T) {
	m := newTestMails(t)
	for name, view := range mailSamples("sv") {
		mail := renderMail(t, m, view)
		for _, e := range elements(mail.HTML) {
			switch e.name {
			case "img", "script", "link", "iframe", "object", "form", "base", "svg", "video":
				t.Errorf("%s has <%s>", name, e.name)
			}
			for a, v := range e.attrs {
				if a == "src" || a == "background" || strings.HasPrefix(a, "on") || strings.Contains(v, "url(") {
					t.Errorf("%s: <%s> has %s=%q", name, e.name, a, v)
				}
			}
		}
		if len(links(mail.HTML)) > 1 {
			t.Errorf("%s has more than one action: %q", name, links(mail.HTML))
		}
		for _, href := range links(mail.HTML) {
			if !strings.HasPrefix(href, view.mailBase().Issuer+"/") || !strings.Contains(mail.Text, "\n"+href+"\n") {
				t.Errorf("%s leads to %s", name, href)
			}
		}
		if !strings.Contains(mail.HTML, "prefers-color-scheme: dark") || len(mail.HTML) > 10_000 {
			t.Errorf("%s has no dark scheme, or %d bytes", name, len(mail.HTML))
		}
		for line := range strings.SplitSeq(mail.Text, "\n") {
			if utf8.RuneCountInString(line) > lineLength && !strings.HasPrefix(line, "https://") {
				t.Errorf("%s has a long line: %q", name, line)
			}
		}
	}
}

// Names are text: they end no header, add no line to a subject and no markup to a mail.
func TestHostileNamesInMailsStayText(t *testing.T) {
	m := newTestMails(t)
	notice := mailSamples("en")["factor_added"].(MailFactorAdded)
	notice.Brand.Name = "Evil\r\nBcc: eve@evil.example\u2028" + hostile
	notice.Name, notice.Device.Browser = hostile, hostile
	mail := renderMail(t, m, notice)
	if strings.ContainsAny(mail.Subject, "\r\n") || !strings.Contains(mail.Subject, "Evil Bcc: eve@evil.example") {
		t.Errorf("subject %q", mail.Subject)
	}
	for _, e := range elements(mail.HTML) {
		if e.name == "img" || e.name == "script" {
			t.Errorf("<%s> came from a name", e.name)
		}
	}
	notice.NotMe = "javascript:alert(1)"
	if mail = renderMail(t, m, notice); strings.Contains(mail.HTML, `href="javascript:`) {
		t.Error("a link that a program would run")
	}
}

func TestRenderRefusesWhatIsNoMail(t *testing.T) {
	m := newTestMails(t)
	for _, view := range []any{nil, "code", MailBase{}, MailLink{}, SignIn{}, &Base{}} {
		if mail, err := m.Render(view); err == nil {
			t.Errorf("%#v: %v", view, mail)
		}
	}
}

func TestWrapKeepsWordsAndLinksWhole(t *testing.T) {
	link := "https://login.example/" + strings.Repeat("x", 100)
	got := wrap("\n\na " + strings.Repeat("wörd ", 20) + "\n\n" + link + "\n    123456\n\n")
	want := "a wörd wörd wörd wörd wörd wörd wörd wörd wörd wörd wörd wörd wörd wörd\nwörd wörd wörd wörd wörd wörd\n\n" + link + "\n    123456\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
