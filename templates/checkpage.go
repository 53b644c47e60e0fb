package templates

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// tryPages renders the operator's pages in every state and language, and holds them against ours.
func (o *Overrides) tryPages() error {
	own, err := openPages(files, o)
	if err != nil {
		return err
	}
	ours, err := openPages(files, nil)
	if err != nil {
		return err
	}
	for _, lang := range languages {
		samples := everyPage(lang)
		for _, name := range slices.Sorted(maps.Keys(samples)) {
			v := samples[name].(view) //nolint:forcetypeassert // they are what pages are rendered from
			file := "pages/" + v.file() + ".html"
			if o.files[file] == nil && o.files[layoutFile] == nil {
				continue
			}
			shown, err := own.render(v)
			if err != nil {
				return err
			}
			original, err := ours.render(v)
			if err != nil {
				return err
			}
			if fault, near := checkPage(shown, original); fault != "" {
				return fmt.Errorf("%s: %s (seen on the page %s in %s)", o.place(near, file, layoutFile), fault, name, lang)
			}
		}
	}
	return nil
}

// place is the first of these files of the operator's that has a text, with its line; or, of what is nowhere, the first
// file.
func (o *Overrides) place(text string, names ...string) string {
	first := ""
	for _, name := range names {
		if o.files[name] == nil {
			continue
		}
		if first == "" {
			first = name
		}
		if i := bytes.Index(bytes.ToLower(o.files[name].Data), []byte(strings.ToLower(text))); text != "" && i >= 0 {
			return fmt.Sprintf("%s:%d", name, lineAt(o.files[name].Data, i))
		}
	}
	return first
}

// checkPage says what is wrong with a page that is shown in the place of ours, if anything is, and which text to look for
// in its file. What the policy of pages (CSP) would refuse in silence must not be there; the scripts are ours; and each of
// our forms goes where it went, with the fields and buttons that it had (the token against forgery among them), and no other does.
func checkPage(own, ours []byte) (fault, near string) {
	shown, fault, near := shapeOf(own)
	if fault != "" {
		return fault, near
	}
	original, _, _ := shapeOf(ours)
	if shown.lang != original.lang {
		return fmt.Sprintf("must begin with <html lang=%q>: write {{lang}}", original.lang), "<html"
	}
	for _, script := range shown.scripts {
		if !slices.Contains(original.scripts, script) {
			return "has a script that is not ours, which the policy of pages refuses", "<script"
		}
	}
	if len(shown.scripts) != len(original.scripts) {
		return `must have the script of ours once: keep {{template "open" .}}, or what it stands for`, ""
	}
	for _, form := range original.forms {
		if !slices.ContainsFunc(shown.forms, form.equal) {
			return fmt.Sprintf(`must have a form by %s to %q with %s as ours: keep {{template "token" .Form}}, and every field and button by its name and type`, form.method, form.action, form.named()), ""
		}
	}
	for _, form := range shown.forms {
		if !slices.ContainsFunc(original.forms, form.equal) {
			return fmt.Sprintf("has a form by %s to %q with %s, which ours has not", form.method, form.action, form.named()), "<form"
		}
	}
	for _, name := range []string{"title", "main", "h1"} {
		if shown.count[name] != 1 {
			return fmt.Sprintf("must have one <%s>, and has %d", name, shown.count[name]), "<" + name
		}
	}
	return "", ""
}

// pageShape is what of a page its safety stands on.
type pageShape struct {
	lang    string
	scripts []string
	forms   []formShape
	count   map[string]int // of each element
}

// A formShape is where a form goes, and what it tells the server and the script.
type formShape struct {
	method, action string
	data           []string // NAME=VALUE, in order
	fields         []field  // in order
}

// A field is what a form sends by a name. What people type or choose is theirs, and no value of it.
type field struct{ name, kind, value string }

func (f formShape) equal(g formShape) bool {
	return f.method == g.method && f.action == g.action && slices.Equal(f.data, g.data) && slices.Equal(f.fields, g.fields)
}

// named are the names of its fields.
func (f formShape) named() string {
	if len(f.fields) == 0 {
		return "no fields"
	}
	var names []string
	for _, field := range f.fields {
		names = append(names, strings.TrimSpace(field.name+" ("+field.kind+")"))
	}
	return "the fields " + strings.Join(names, ", ")
}

func shapeOf(page []byte) (s pageShape, fault, near string) {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return s, err.Error(), ""
	}
	s.count = map[string]int{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if fault, near = refused(n); fault != "" {
			return s, fault, near
		}
		s.count[n.Data]++
		switch n.Data {
		case "html":
			s.lang = attribute(n, "lang")
		case "script":
			var text strings.Builder
			if err := html.Render(&text, n); err != nil {
				return s, err.Error(), ""
			}
			s.scripts = append(s.scripts, text.String())
		case "form":
			s.forms = append(s.forms, formOf(n))
		}
	}
	return s, "", ""
}

// refused says what the policy of pages does not let be, or what would lead a form elsewhere than to where ours goes.
func refused(n *html.Node) (fault, near string) {
	switch n.Data {
	case "style", "iframe", "frame", "object", "embed", "base":
		return "has <" + n.Data + ">, which the policy of pages refuses", "<" + n.Data
	case "template", "noscript": // what is in them is there for some, and not for others
		return "has <" + n.Data + ">, which no page may have", "<" + n.Data
	}
	for _, a := range n.Attr {
		switch {
		case a.Key == "style", strings.HasPrefix(a.Key, "on"):
			return "has the attribute " + a.Key + ", which the policy of pages refuses", a.Key + "="
		case n.Data == "form" && (a.Key == "enctype" || a.Key == "target"), a.Key == "http-equiv", a.Key == "form", strings.HasPrefix(a.Key, "form"):
			return "has the attribute " + a.Key + ", which no page may have", a.Key + "="
		case a.Key == "href" && n.Data == "a":
		case a.Key == "src", a.Key == "srcset", a.Key == "href", a.Key == "poster", a.Key == "background":
			if !strings.HasPrefix(a.Val, "/assets/") && !strings.HasPrefix(a.Val, "#") && (n.Data != "img" || !strings.HasPrefix(a.Val, "data:")) {
				return fmt.Sprintf("loads %q: pages load what is at {{.Paths.Assets}}, and nothing else", a.Val), a.Val
			}
		}
	}
	return "", ""
}

func formOf(n *html.Node) formShape {
	f := formShape{method: cmp.Or(strings.ToUpper(attribute(n, "method")), "GET"), action: attribute(n, "action")}
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "data-") {
			f.data = append(f.data, a.Key+"="+a.Val)
		}
	}
	for sent := range n.Descendants() {
		if one, ok := fieldOf(sent); ok {
			f.fields = append(f.fields, one)
		}
	}
	slices.Sort(f.data)
	slices.SortFunc(f.fields, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind), cmp.Compare(a.value, b.value))
	})
	return f
}

// fieldOf is what an element sends, if it sends anything.
func fieldOf(n *html.Node) (field, bool) {
	f := field{name: attribute(n, "name"), kind: n.Data}
	switch n.Data {
	case "input":
		f.kind = cmp.Or(strings.ToLower(attribute(n, "type")), "text")
	case "button":
		f.kind = cmp.Or(strings.ToLower(attribute(n, "type")), "submit")
	case "select", "textarea":
	default:
		return field{}, false
	}
	switch f.kind {
	case "hidden", "submit", "checkbox", "radio":
		f.value = attribute(n, "value")
	}
	return f, f.name != "" || f.kind == "submit"
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
