package templates

import (
	"io/fs"
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
		"a page that replaces nothing":   {"pages/signing.html", "x", "pages/signing.html: there is no such file"},
		"a page that does not parse":     {"pages/signin.html", "<p>\n\n{{if}}</p>", "pages/signin.html:3"},
		"a page with no such value":      {"pages/signin.html", "<p>\n{{.Secret}}</p>", "pages/signin.html:2"},
		"a layout that does not parse":   {"pages/layout.html", "\n{{define}}", "pages/layout.html:2"},
		"a layout that lacks a part":     {"pages/layout.html", `{{define "head"}}{{end}}`, `no such template "close"`},
		"an asset":                       {"assets/doorstep.css", "x", "assets/doorstep.css: is neither"},
		"a file too large":               {"mails/code.html", strings.Repeat("x", maxOverrideSize+1), "mails/code.html: is larger than 64 KiB"},
		"a locale that is no JSON":       {"locales/sv.json", "{\n\"mail.code.subject\": \"x\",\n}", "locales/sv.json:3"},
		"a locale that is not there":     {"locales/de.json", "{}", "locales/de.json"},
		"a message that is not ours":     {"locales/sv.json", "{\n\"signin.tilte\": \"x\"}", `locales/sv.json:2: "signin.tilte" is no message`},
		"a form too few":                 {"locales/sv.json", "{\n\"wait.minutes\": {\"other\": \"{{.Count}} min\"}}", "locales/sv.json:2"},
		"no form where there are two":    {"locales/sv.json", `{"wait.minutes": "{{.Count}} min"}`, "must have the forms one, other"},
		"forms where there is one":       {"locales/sv.json", `{"signin.title": {"one": "x", "other": "y"}}`, "is no text"},
		"a number":                       {"locales/sv.json", `{"signin.title": 7}`, "is no text"},
		"a placeholder in a form":        {"locales/sv.json", `{"wait.minutes": {"one": "{{.Name}}", "other": "{{.Count}} min"}}`, "has no {{.Name}}"},
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

// edited is one of our files with some text in the place of another that it has.
func edited(t *testing.T, file, old, text string) fstest.MapFS {
	t.Helper()
	ours, err := files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(ours), old) {
		t.Fatalf("%s has no %s", file, old)
	}
	return fstest.MapFS{file: {Data: []byte(strings.Replace(string(ours), old, text, 1))}}
}

// A page and its words are the operator's, in each language; others stay as they are.
func TestOverridesOfPagesTakeThePlaceOfOurs(t *testing.T) {
	dir := edited(t, "pages/signin.html", `<h1 id="title">{{$title}}</h1>`, `<h1 id="title">{{$title}} to {{.Brand.Name}}</h1><p><a href="https://help.example/">Help</a></p>`)
	dir["locales/sv.json"] = &fstest.MapFile{Data: []byte(`{"signin.title": "Kom in <nu>", "wait.minutes": {"one": "en minut till", "other": "{{.Count}} minuter till"}}`)}
	o, err := ReadOverrides(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for lang, heading := range map[string]string{"sv": "Kom in &lt;nu&gt; to Forecourt Motors", "en": "Sign in to Forecourt Motors"} {
		if got := render(t, p, everyPage(lang)["signin-alone"]); !strings.Contains(got, `<h1 id="title">`+heading+"</h1>") || !strings.Contains(got, "https://help.example/") {
			t.Errorf("%s: %s", lang, got)
		}
	}
	if got := render(t, p, everyPage("sv")["signin-throttled"]); !strings.Contains(got, "2 minuter till") {
		t.Error(got)
	}
	if got := p.Text("sv", "signin.title"); got != "Kom in <nu>" {
		t.Error(got)
	}
	if got := everyPage("en")["error-expired"]; render(t, p, got) != render(t, newPages(t), got) {
		t.Error("another page changed")
	}
	layout, err := ReadOverrides(edited(t, "pages/layout.html", "<footer>", "<footer>\n<p>Ring us</p>"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = New(layout); err != nil {
		t.Fatal(err)
	}
	if got := render(t, p, everyPage("en")["sessions"]); !strings.Contains(got, "<p>Ring us</p>") {
		t.Error(got)
	}
}

// A page that would fail, or be unsafe, in silence is refused before anybody sees it.
func TestOverridesOfPagesKeepWhatIsSafe(t *testing.T) {
	const form = `<form class="stack" method="post" action="{{.Form.Action}}" novalidate>`
	for name, tc := range map[string]struct {
		file, old, text string
		says            string
	}{
		"no token":                     {"pages/signin.html", `{{template "token" .Form}}`, "", `pages/signin.html: must have a form by POST to "/signin/password?i=1" with the fields (submit), form_token (hidden)`},
		"a token of its own":           {"pages/signin.html", `{{template "token" .Form}}`, `<input type="hidden" name="form_token" value="1">`, "pages/signin.html: must have a form"},
		"a token that layout spoils":   {"pages/layout.html", `value="{{.Token}}"`, `value="x"`, "pages/layout.html: must have a form"},
		"a hidden field less":          {"pages/changepassword.html", `<input type="hidden" name="session" value="{{.Who.ID}}">`, "", "session (hidden)"},
		"no field for the password":    {"pages/signin.html", ` name="password"`, "", "password (password)"},
		"a password that is shown":     {"pages/signin.html", `type="password"`, `type="text"`, "pages/signin.html: must have a form"},
		"a button that says nothing":   {"pages/sentcode.html", ` name="do"`, "", "do (submit)"},
		"a form of another kind":       {"pages/signin.html", form, strings.Replace(form, " novalidate", ` enctype="multipart/form-data"`, 1), "has the attribute enctype"},
		"a form that nobody sees":      {"pages/signin.html", "<form class=\"stack\"", "<template></template><form class=\"stack\"", "has <template>"},
		"a form by GET":                {"pages/signin.html", form, strings.Replace(form, "post", "get", 1), "pages/signin.html: must have a form"},
		"a form elsewhere":             {"pages/signin.html", form, strings.Replace(form, "{{.Form.Action}}", "https://thief.example/", 1), "pages/signin.html: must have a form"},
		"one form more":                {"pages/signedout.html", "<h1", "\n<form action=\"https://thief.example/\"></form><h1", "pages/signedout.html:11: has a form by GET to"},
		"a button that leads away":     {"pages/signin.html", `<button class="btn primary wide"`, `<button formaction="https://thief.example/" class="btn primary wide"`, "has the attribute formaction"},
		"a passkey form without its":   {"pages/signin.html", ` data-passkey="{{.Options}}"`, "", "pages/signin.html: must have a form"},
		"a style in the page":          {"pages/signedout.html", "<h1", "\n<style>h1{}</style><h1", "pages/signedout.html:11: has <style>"},
		"a style of an element":        {"pages/signedout.html", "<h1", `<h1 style="color:red"`, "pages/signedout.html:10: has the attribute style"},
		"a handler":                    {"pages/signedout.html", "<h1", `<h1 onclick="f()"`, "pages/signedout.html:10: has the attribute onclick"},
		"a handler in the layout":      {"pages/layout.html", "<body>", `<body onload="f()">`, "pages/layout.html:18: has the attribute onload"},
		"a script":                     {"pages/signedout.html", "<h1", `<script>f()</script><h1`, "pages/signedout.html:10: has a script that is not ours"},
		"a script with the nonce":      {"pages/signedout.html", "<h1", `<script nonce="{{.Nonce}}">f()</script><h1`, "pages/signedout.html:10: has a script that is not ours"},
		"no script":                    {"pages/layout.html", `<script type="module" src="{{.Paths.Assets}}/{{asset "doorstep.js"}}" nonce="{{.Nonce}}"></script>`, "", "must have the script of ours once"},
		"a picture from elsewhere":     {"pages/signedout.html", "<h1", `<img alt="" src="https://cdn.example/x.png"><h1`, `pages/signedout.html:10: loads "https://cdn.example/x.png"`},
		"a style sheet from elsewhere": {"pages/layout.html", `<link rel="icon"`, `<link rel="stylesheet" href="//cdn.example/x.css"><link rel="icon"`, "pages/layout.html:11: loads"},
		"a base":                       {"pages/layout.html", `<meta charset="utf-8">`, `<meta charset="utf-8"><base href="https://thief.example/">`, "pages/layout.html:2: has <base>"},
		"a page that leads away":       {"pages/layout.html", `<meta charset="utf-8">`, `<meta charset="utf-8"><meta http-equiv="refresh" content="0;url=https://thief.example/">`, "pages/layout.html:2: has the attribute http-equiv"},
		"another language":             {"pages/signedout.html", `lang="{{lang}}"`, `lang="en"`, "pages/signedout.html:2: must begin with <html lang=\"sv\">"},
		"two headings":                 {"pages/signedout.html", "<h1", "<h1>x</h1><h1", "pages/signedout.html:10: must have one <h1>, and has 2"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadOverrides(edited(t, tc.file, tc.old, tc.text)); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
}

// Ours are as an operator's must be.
func TestOurOwnPagesCanBeOverrides(t *testing.T) {
	dir := fstest.MapFS{}
	for _, pattern := range []string{"pages/*.html", "mails/*", "locales/*.json"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			dir[name] = edited(t, name, "", "")[name]
		}
	}
	if _, err := ReadOverrides(dir); err != nil {
		t.Error(err)
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

// A volume of Kubernetes keeps its files in a hidden directory that changes as a whole, and has links to them.
func TestOverridesMayBeAVolume(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..2026_03_01", "locales")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "sv.json"), []byte(`{"signin.title": "Kom in"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"..data": "..2026_03_01", "locales": filepath.Join("..data", "locales")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // it was only read
	o, err := ReadOverrides(root.FS())
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Text("sv", "signin.title"); got != "Kom in" {
		t.Error(got)
	}
	if _, err := ReadOverrides(fstest.MapFS{"mails/old/code.html": {Data: []byte("x")}}); err == nil || !strings.Contains(err.Error(), "mails/old: is a directory") {
		t.Errorf("a directory too deep: %v", err)
	}
}
