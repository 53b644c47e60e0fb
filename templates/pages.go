package templates

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/url"
	"path"
	"reflect"
	"strings"

	"golang.org/x/text/language"
)

// Pages renders views. It is safe for concurrent use.
type Pages struct {
	locales map[string]locale
	matcher language.Matcher
	pages   map[string]map[string]*template.Template // by language, by file
}

// New parses every page and every locale, with an operator's own in the place of ours (nil: none), once.
func New(own *Overrides) (*Pages, error) {
	p, err := openPages(files, own)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return p, nil
}

func openPages(files fs.FS, own *Overrides) (*Pages, error) {
	locales, err := loadLocales(files, own)
	if err != nil {
		return nil, err
	}
	icons, err := loadIcons(files)
	if err != nil {
		return nil, err
	}
	parsed, err := parsePages(files, own, icons)
	if err != nil {
		return nil, err
	}
	p := &Pages{locales: locales, matcher: newMatcher(), pages: map[string]map[string]*template.Template{}}
	for lang, l := range locales {
		p.pages[lang] = make(map[string]*template.Template, len(parsed))
		for name, t := range parsed {
			if t, err = t.Clone(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			p.pages[lang][name] = t.Funcs(words(l))
		}
	}
	return p, nil
}

// Render writes one page. page is a view of views.go or its neighbours, by value or by pointer; anything else is an error. Nothing is
// written unless the whole page could be rendered.
func (p *Pages) Render(w io.Writer, page any) error {
	if v := reflect.ValueOf(page); v.Kind() == reflect.Pointer && !v.IsNil() {
		page = v.Elem().Interface()
	}
	v, ok := page.(view)
	if !ok || reflect.ValueOf(page).Kind() != reflect.Struct {
		return fmt.Errorf("templates: no page for %T", page)
	}
	out, err := p.render(v)
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	_, err = w.Write(out)
	return err
}

func (p *Pages) render(v view) ([]byte, error) {
	var buf bytes.Buffer
	err := p.pages[p.Match("", v.base().Lang, "")][v.file()].Execute(&buf, v)
	return buf.Bytes(), err
}

// Text returns one message in the nearest of our languages, for surfaces that need a word of their own, and the key itself
// where there is no such message.
func (p *Pages) Text(lang, key string) string {
	s, err := p.locales[p.Match("", lang, "")].text(key)
	if err != nil {
		return key
	}
	return s
}

// layoutFile has what is around every page, and its parts.
const layoutFile = "pages/layout.html"

func parsePages(files fs.FS, own *Overrides, icons map[string]template.HTML) (map[string]*template.Template, error) {
	text, err := own.placed(files, layoutFile)
	if err != nil {
		return nil, err
	}
	layout, err := template.New(layoutFile).Funcs(words(locale{})).Funcs(template.FuncMap{
		"asset":   func(name string) string { return assets().names[name] },
		"icon":    iconFunc(icons),
		"href":    safeHref,
		"target":  formTarget,
		"otpauth": otpauthHref,
		"scope":   scopeWords,
		"kind":    errorKind,
		"cancel":  newCancelForm,
		"later":   newLaterForm,
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		if name == layoutFile {
			continue
		}
		if text, err = own.placed(files, name); err != nil {
			return nil, err
		}
		t, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		// Under the whole name, by which faults are told.
		if pages[strings.TrimSuffix(path.Base(name), ".html")], err = t.New(name).Parse(text); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// words are the functions that differ by language.
func words(l locale) template.FuncMap {
	return template.FuncMap{
		"date":   l.date,
		"device": l.device,
		"lang":   func() string { return l.lang },
		"moment": l.moment,
		"t":      l.text,
		"wait":   l.wait,
	}
}

func loadIcons(files fs.FS) (map[string]template.HTML, error) {
	names, err := fs.Glob(files, "icons/*.svg")
	if err != nil {
		return nil, err
	}
	icons := make(map[string]template.HTML, len(names))
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		icons[strings.TrimSuffix(path.Base(name), ".svg")] = template.HTML(bytes.TrimSpace(b)) //nolint:gosec // our own embedded file
	}
	return icons, nil
}

// iconFunc draws the icon of that name, or a key: an operator names a scope's icon and may mistype it.
func iconFunc(icons map[string]template.HTML) func(string) template.HTML {
	return func(name string) template.HTML {
		if svg, ok := icons[name]; ok {
			return svg
		}
		return icons["key"]
	}
}

// safeHref passes relative, http and https addresses and those of an app's private-use scheme, which has a dot (RFC 8252
// section 7.1) and which html/template alone would blank. It is "" for all others: nothing that a browser would run.
func safeHref(s string) template.URL {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	switch {
	case u.Scheme == "", u.Scheme == "http", u.Scheme == "https", strings.Contains(u.Scheme, "."):
		return template.URL(s) //nolint:gosec // the scheme was just checked; attributes are escaped all the same
	}
	return ""
}

// otpauthHref passes the address of an authenticator's seed, which an app on this device opens.
func otpauthHref(s string) (template.URL, error) {
	if !strings.HasPrefix(s, "otpauth://totp/") {
		return "", errors.New("an authenticator's address of another kind")
	}
	return template.URL(s), nil //nolint:gosec // the scheme was just checked; attributes are escaped all the same
}

// formTarget refuses where safeHref would leave a link out: a response must not be posted to anywhere else instead.
func formTarget(s string) (template.URL, error) {
	href := safeHref(s)
	if href == "" {
		return "", errors.New("form_post to an address that is no http, https or private-use scheme")
	}
	return href, nil
}

// The icon of each scope that the locales have words for.
var scopeIcons = map[string]string{
	"openid": "user", "profile": "profile", "email": "mail", "address": "home", "phone": "phone", "groups": "group", "offline_access": "stay",
}

// A scopeLine is a completed line: Standard says that the locale has its words.
type scopeLine struct {
	ScopeLine
	Standard bool
}

func scopeWords(s ScopeLine) scopeLine {
	line := scopeLine{ScopeLine: s}
	icon, known := scopeIcons[s.Name]
	line.Standard = known && s.Title == "" && s.Detail == ""
	if line.Icon == "" {
		line.Icon = icon
	}
	if line.Title == "" {
		line.Title = s.Name
	}
	return line
}

// A cancelForm is the quiet button that gives a step up.
type cancelForm struct {
	Form
	ClientName string
	Later      bool // it is put off, no more
}

// newCancelForm sends the token of the page's form to action; "" shows no button.
func newCancelForm(action string, of Form, client string) cancelForm {
	return cancelForm{Form: Form{action, of.Token}, ClientName: client}
}

// newLaterForm is newCancelForm for what is put off.
func newLaterForm(action string, of Form) cancelForm {
	return cancelForm{Form: Form{action, of.Token}, Later: true}
}

var errorKinds = []string{
	"bad_request", "expired", "other_browser", "not_found", "forbidden", "too_many", "unavailable", "internal", "client_error",
}

// errorKind falls back on the status: an error page must not fail over a word.
func errorKind(e Error) string {
	for _, kind := range errorKinds {
		if e.Kind == kind {
			return kind
		}
	}
	switch {
	case e.Status == 403:
		return "forbidden"
	case e.Status == 404:
		return "not_found"
	case e.Status == 429:
		return "too_many"
	case e.Status == 503:
		return "unavailable"
	case e.Status >= 500 || e.Status == 0:
		return "internal"
	}
	return "bad_request"
}
