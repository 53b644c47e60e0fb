package templates

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestOverridesTakeThePlaceOfOurs(t *testing.T) {
	o, err := ReadOverrides(fstest.MapFS{
		"mails/code.txt":  {Data: []byte(`{{define "subject"}}Mine: {{t "mail.code.subject" "Brand" .Brand.Name}}{{end}}Only {{.Code}}`)},
		"mails/code.html": {Data: []byte(`<p title="{{.Brand.Name}}">{{.Code}}</p>`)},
		"locales/sv.json": {Data: []byte(`{"mail.code.subject": "Koden till {{.Brand}}"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMails(o)
	if err != nil {
		t.Fatal(err)
	}
	code := mailSamples("sv")["code"].(MailCode)
	code.Brand.Name = `"><script>`
	got := renderMail(t, m, code)
	if got.Subject != `Mine: Koden till "><script>` || got.Text != "Only 48151623\n" || strings.Contains(got.HTML, "<script>") || !strings.HasPrefix(got.HTML, `<p title="&#34;`) {
		t.Errorf("%+v", got)
	}
	code.Lang = "en"
	if got = renderMail(t, m, code); !strings.HasPrefix(got.Subject, "Mine: Your code for ") {
		t.Errorf("in another language: %q", got.Subject)
	}
	if other := renderMail(t, m, mailSamples("sv")["recover"]); other.HTML != renderMail(t, newTestMails(t), mailSamples("sv")["recover"]).HTML {
		t.Error("another mail changed")
	}
}

// What is wrong is named with its file and its line, before anything is sent.
func TestOverridesThatAreWrongAreNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		says       string
	}{
		"a template that does not parse": {"mails/code.html", "<p>\n{{if}}</p>", "mails/code.html:2"},
		"a value that there is not":      {"mails/code.txt", `{{define "subject"}}x{{end}}` + "\n\n{{.Password}}", "mails/code.txt:3"},
		"a message that there is not":    {"mails/recover.html", "\n\n\n{{t \"mail.nothing\"}}", "mails/recover.html:4"},
		"no subject":                     {"mails/code.txt", "just text", "mails/code.txt"},
		"HTML with an open end":          {"mails/code.html", "<p>\n<a href='{{.Code}}", "mails/code.html"},
		"a file that replaces nothing":   {"mails/kode.html", "x", "mails/kode.html"},
		"a page":                         {"pages/signin.html", "x", "pages/signin.html"},
		"a file too large":               {"mails/code.html", strings.Repeat("x", maxOverrideSize+1), "mails/code.html: is larger than 64 KiB"},
		"a locale that is no JSON":       {"locales/sv.json", "{\n\"mail.code.subject\": \"x\",\n}", "locales/sv.json:3"},
		"a locale that is not there":     {"locales/de.json", "{}", "locales/de.json"},
		"a message of a page":            {"locales/sv.json", "{\n\"signin.title\": \"x\"}", "locales/sv.json:2"},
		"a placeholder that is not ours": {"locales/sv.json", "{\n\n\"mail.code.subject\": \"{{.Code}}\"}", "locales/sv.json:3"},
		"a call in a message":            {"locales/sv.json", `{"mail.code.subject": "{{printf \"%d\" 1}}"}`, "locales/sv.json:1"},
		"an empty message":               {"locales/sv.json", `{"mail.code.subject": " "}`, "locales/sv.json:1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadOverrides(fstest.MapFS{tc.file: {Data: []byte(tc.text)}}); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
}

// No link leads out of the directory.
func TestOverridesStayInTheirDirectory(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "code.html"), []byte("<p>outside</p>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mails"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "code.html"), filepath.Join(dir, "mails", "code.html")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // it was only read
	if _, err := ReadOverrides(root.FS()); err == nil || !strings.Contains(err.Error(), "mails/code.html") {
		t.Errorf("%v", err)
	}
}
