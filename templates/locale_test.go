package templates

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
)

// A message has one form, or one for each plural category of its language (CLDR).
type message map[string]string

var pluralForms = map[string][]string{"en": {"one", "other"}, "sv": {"one", "other"}, "es": {"many", "one", "other"}}

// messages reads a locale with encoding/json alone, so that the test does not trust the library that it tests the files for.
func messages(t *testing.T, lang string) map[string]message {
	t.Helper()
	b, err := files.ReadFile("locales/" + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	all := map[string]message{}
	for key, v := range raw {
		var one string
		if json.Unmarshal(v, &one) == nil {
			all[key] = message{"": one}
			continue
		}
		m := message{}
		if err := json.Unmarshal(v, &m); err != nil {
			t.Fatalf("%s: %s: %v", lang, key, err)
		}
		all[key] = m
	}
	return all
}

var placeholder = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)

// placeholders of one form, sorted.
func placeholders(s string) []string {
	set := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		set[m[1]] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func TestEveryLocaleHasEveryMessage(t *testing.T) {
	en := messages(t, "en")
	entries, err := fs.ReadDir(files, "locales")
	if err != nil || len(entries) != len(languages) {
		t.Fatalf("%d locale files for %d languages, err %v", len(entries), len(languages), err)
	}
	for _, lang := range languages {
		other := messages(t, lang)
		for key := range en {
			if other[key] == nil {
				t.Errorf("%s: %s is missing", lang, key)
			}
		}
		for key, m := range other {
			if en[key] == nil {
				t.Errorf("%s: %s is not in English", lang, key)
			}
			forms := slices.Sorted(maps.Keys(m))
			if want := pluralForms[lang]; len(forms) != 1 && !slices.Equal(forms, want) {
				t.Errorf("%s: %s has the forms %q, want %q", lang, key, forms, want)
			}
			if (len(m) == 1) != (len(en[key]) == 1) {
				t.Errorf("%s: %s counts in one language and not in the other", lang, key)
			}
			for form, s := range m {
				if strings.TrimSpace(s) == "" || s != strings.TrimSpace(s) {
					t.Errorf("%s: %s %s is %q", lang, key, form, s)
				}
			}
		}
	}
}

func TestPlaceholdersAgree(t *testing.T) {
	en := messages(t, "en")
	for _, lang := range languages {
		for key, m := range messages(t, lang) {
			for form, s := range m {
				want := placeholders(en[key][""] + en[key]["other"])
				if got := placeholders(s); !slices.Equal(got, want) {
					t.Errorf("%s: %s %s has %q, English has %q", lang, key, form, got, want)
				}
				if rest := placeholder.ReplaceAllString(s, ""); strings.ContainsAny(rest, "{}") {
					t.Errorf("%s: %s %s has a broken placeholder: %q", lang, key, form, s)
				}
			}
		}
	}
}

// A call is one {{t ...}} in a page or l.text in Go: the key, with * for a part that is computed, and the placeholders given.
type call struct {
	where, key string
	given      []string
}

func TestEveryMessageIsUsedAndGivenItsPlaceholders(t *testing.T) {
	calls := append(pageCalls(t),
		call{"locale.go", "wait.moment", nil},
		call{"locale.go", "wait.seconds", []string{"Count"}},
		call{"locale.go", "wait.minutes", []string{"Count"}},
		call{"locale.go", "wait.hours", []string{"Count"}},
		call{"locale.go", "month.*", nil},
		call{"locale.go", "date", []string{"Day", "Month", "Year"}},
		call{"LanguageLink", "language.name", nil},
		call{"a new authenticator", "addtotp.name", nil},
		call{"mails.go", "mail.device.both", []string{"Browser", "System"}},
		call{"mails.go", "mail.device.unknown", nil},
		call{"texts.go", "mail.sms.*", []string{"Brand", "Code"}},
		call{"mails.go", "mail.moment", []string{"Date", "Time"}},
	)
	en, used := messages(t, "en"), map[string]bool{}
	for _, c := range calls {
		matches := 0
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(c.key), `\*`, `\w+`) + "$")
		for key, m := range en {
			if !pattern.MatchString(key) {
				continue
			}
			matches++
			used[key] = true
			// A computed key may be given more than one of its messages needs.
			computed := strings.Contains(c.key, "*")
			want := placeholders(m[""] + m["other"])
			for _, name := range want {
				if !slices.Contains(c.given, name) && !(computed && anyGives(calls, pattern, name)) {
					t.Errorf("%s: %s is not given %s", c.where, key, name)
				}
			}
			for _, name := range c.given {
				if !computed && !slices.Contains(want, name) {
					t.Errorf("%s: %s has no %s", c.where, key, name)
				}
			}
		}
		if matches == 0 {
			t.Errorf("%s: there is no message %s", c.where, c.key)
		}
	}
	for key := range en {
		if !used[key] {
			t.Errorf("%s is used nowhere", key)
		}
	}
}

// anyGives tells whether another call with the same pattern gives the placeholder: the page has a branch for it.
func anyGives(calls []call, pattern *regexp.Regexp, name string) bool {
	return slices.ContainsFunc(calls, func(c call) bool {
		return "^"+strings.ReplaceAll(regexp.QuoteMeta(c.key), `\*`, `\w+`)+"$" == pattern.String() && slices.Contains(c.given, name)
	})
}

// pageCalls finds every call of t in the parse trees of the pages and mails.
func pageCalls(t *testing.T) []call {
	t.Helper()
	var calls []call
	for _, name := range pageFiles(t) {
		b, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tree := parse.New(name)
		tree.Mode = parse.SkipFuncCheck
		set := map[string]*parse.Tree{}
		if _, err := tree.Parse(string(b), "", "", set); err != nil {
			t.Fatal(err)
		}
		for _, tree := range set {
			walk(tree.Root, func(c *parse.CommandNode) {
				if id, ok := c.Args[0].(*parse.IdentifierNode); ok && id.Ident == "t" {
					calls = append(calls, readCall(t, name, c.Args[1:]))
				}
			})
		}
	}
	return calls
}

func pageFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"pages/*.html", "mails/*.html", "mails/*.txt"} {
		names, err := fs.Glob(files, pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		all = append(all, names...)
	}
	return all
}

func readCall(t *testing.T, where string, args []parse.Node) call {
	t.Helper()
	c := call{where: where}
	switch key := args[0].(type) {
	case *parse.StringNode:
		c.key = key.Text
	case *parse.PipeNode: // (printf "error.%s.title" $kind)
		format, ok := key.Cmds[0].Args[1].(*parse.StringNode)
		if !ok {
			t.Fatalf("%s: the key of {{t %s}} cannot be read", where, key)
		}
		c.key = strings.ReplaceAll(format.Text, "%s", "*")
	default:
		t.Fatalf("%s: the key of {{t %s}} cannot be read", where, key)
	}
	for i := 1; i < len(args); i += 2 {
		name, ok := args[i].(*parse.StringNode)
		if !ok || i+1 == len(args) {
			t.Fatalf("%s: %s is not given names and values in pairs", where, c.key)
		}
		c.given = append(c.given, name.Text)
	}
	return c
}

// walk calls f for every command below n, those in parentheses and assignments included.
func walk(n parse.Node, f func(*parse.CommandNode)) {
	branch := func(b *parse.BranchNode) {
		walk(b.Pipe, f)
		walk(b.List, f)
		if b.ElseList != nil {
			walk(b.ElseList, f)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, n := range n.Nodes {
			walk(n, f)
		}
	case *parse.ActionNode:
		walk(n.Pipe, f)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, f)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			f(c)
			for _, arg := range c.Args {
				walk(arg, f)
			}
		}
	}
}

// What a computed key may be, and no page shows a placeholder that it was not given.
func TestEveryPageHasItsWordsInEveryLanguage(t *testing.T) {
	p := newPages(t)
	for _, lang := range languages {
		for name, page := range everyPage(lang) {
			if html := render(t, p, page); strings.Contains(html, "no value") || strings.Contains(html, "{{") {
				t.Errorf("%s in %s lacks a value:\n%s", name, lang, html)
			}
		}
	}
	for _, kind := range errorKinds {
		if everyPage("en")["error-"+kind] == nil {
			t.Errorf("no page shows error kind %s", kind)
		}
	}
}

func TestWaitRoundsUp(t *testing.T) {
	p := newPages(t)
	for _, c := range []struct {
		lang    string
		seconds int
		want    string
	}{
		{"en", -1, "a moment"},
		{"en", 0, "a moment"},
		{"en", 1, "1 second"},
		{"en", 59, "59 seconds"},
		{"en", 60, "1 minute"},
		{"en", 61, "2 minutes"},
		{"en", 3600, "60 minutes"},
		{"en", 3601, "2 hours"},
		{"sv", 1, "1 sekund"},
		{"sv", 121, "3 minuter"},
		{"es", 60, "1 minuto"},
		{"es", 7200, "2 horas"},
		{"es", 3600 * 1_000_000, "1000000 de horas"},
	} {
		if got, err := p.locales[c.lang].wait(c.seconds); err != nil || got != c.want {
			t.Errorf("%s, %d s: %q, %v, want %q", c.lang, c.seconds, got, err, c.want)
		}
	}
}

// OpenID Connect Core section 3.1.2.1: ui_locales is a space-separated list, in order of preference.
func TestLanguageIsUILocalesThenOwnThenAcceptLanguage(t *testing.T) {
	p := newPages(t)
	for _, c := range []struct{ ui, own, accept, want string }{
		{"", "", "", "en"},
		{"es sv", "sv", "en", "es"},
		{"zz-broken-------- sv", "es", "en", "sv"},
		{"ja sv-FI", "", "", "sv"},
		{"ja", "es-MX", "sv", "es"},
		{"", "", "de, sv;q=0.8, en;q=0.5", "sv"},
		{"", "", "es;q=0", "en"},
		{"", "", "*", "en"},
		{"", "nonsense", "sv", "sv"},
		{"ja", "ja", "ja", "en"},
		{strings.Repeat("sv ", maxPreference), "", "es", "es"},
		{"", "", strings.Repeat("es,", maxPreference), "en"},
	} {
		if got := p.Match(c.ui, c.own, c.accept); got != c.want {
			t.Errorf("Match(%.20q, %q, %.20q) = %s, want %s", c.ui, c.own, c.accept, got, c.want)
		}
	}
}

func TestTextFallsBackOnEnglishAndOnItsKey(t *testing.T) {
	p := newPages(t)
	got := fmt.Sprint(p.Text("sv", "language.name"), p.Text("es-MX", "language.name"), p.Text("ja", "language.name"), p.Text("", "no.such"))
	if want := fmt.Sprint("Svenska", "Español", "English", "no.such"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := p.Languages(); !slices.Equal(got, []string{"en", "sv", "es"}) {
		t.Errorf("Languages() = %q", got)
	}
}
