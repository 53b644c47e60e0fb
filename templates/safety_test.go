package templates

import (
	"html"
	"regexp"
	"strings"
	"testing"
)

var (
	tag  = regexp.MustCompile(`<([a-z][a-z0-9]*)((?:\s+[^\s"'>/=]+(?:="[^"]*")?)*)\s*/?>`)
	attr = regexp.MustCompile(`([^\s"'>/=]+)(?:="([^"]*)")?`)
)

// Every attribute is double-quoted or bare, so these simple patterns read every tag; TestEveryTagCanBeRead holds them to it.
type element struct {
	name  string
	attrs map[string]string
}

func elements(page string) []element {
	var all []element
	for _, m := range tag.FindAllStringSubmatch(page, -1) {
		e := element{m[1], map[string]string{}}
		for _, a := range attr.FindAllStringSubmatch(m[2], -1) {
			e.attrs[a[1]] = html.UnescapeString(a[2])
		}
		all = append(all, e)
	}
	return all
}

func TestEveryTagCanBeRead(t *testing.T) {
	p := newPages(t)
	opening := regexp.MustCompile(`<[a-z]`)
	for name, page := range everyPage("en") {
		got := render(t, p, page)
		if read, all := len(elements(got)), len(opening.FindAllString(got, -1)); read != all {
			t.Errorf("%s: %d of %d tags were read", name, read, all)
		}
	}
}

// The pages are served with a strict Content-Security-Policy; what it would refuse must not be there.
func TestPagesHaveNoInlineStyleScriptOrHandler(t *testing.T) {
	p := newPages(t)
	for name, page := range everyPage("sv") {
		got, scripts := render(t, p, page), 0
		for _, e := range elements(got) {
			for a := range e.attrs {
				if a == "style" || strings.HasPrefix(a, "on") {
					t.Errorf("%s: <%s> has %s", name, e.name, a)
				}
			}
			switch e.name {
			case "style", "iframe", "object", "base":
				t.Errorf("%s has <%s>", name, e.name)
			case "script":
				scripts++
				if e.attrs["nonce"] != "bm9uY2U" {
					t.Errorf("%s: a script has the nonce %q", name, e.attrs["nonce"])
				}
				if name != "formpost" && (e.attrs["type"] != "module" || !strings.HasPrefix(e.attrs["src"], "/assets/doorstep.")) {
					t.Errorf("%s: script %v", name, e.attrs)
				}
			}
			for _, a := range []string{"src", "href"} {
				if u := e.attrs[a]; e.name != "a" && u != "" && !strings.HasPrefix(u, "/assets/") {
					t.Errorf("%s: <%s> loads %s", name, e.name, u)
				}
			}
		}
		if scripts != 1 {
			t.Errorf("%s has %d scripts", name, scripts)
		}
	}
}

func TestPagesHaveLanguageLandmarkAndOneHeading(t *testing.T) {
	p := newPages(t)
	for name, page := range everyPage("es") {
		count := map[string]int{}
		ids, labelled := map[string]int{}, map[string]bool{}
		all := elements(render(t, p, page))
		for _, e := range all {
			count[e.name]++
			if id := e.attrs["id"]; id != "" {
				ids[id]++
			}
			labelled[e.attrs["for"]] = true
			if e.name == "html" && e.attrs["lang"] != "es" {
				t.Errorf("%s is in %q", name, e.attrs["lang"])
			}
		}
		if count["main"] != 1 || count["h1"] != 1 || count["title"] != 1 {
			t.Errorf("%s: %v", name, count)
		}
		for _, e := range all {
			_, hidden := e.attrs["hidden"]
			if e.name == "input" && e.attrs["type"] != "hidden" && !hidden && !labelled[e.attrs["id"]] {
				t.Errorf("%s: field %s has no label", name, e.attrs["name"])
			}
			for _, a := range []string{"aria-labelledby", "aria-describedby", "aria-controls", "for"} {
				for _, id := range strings.Fields(e.attrs[a]) {
					if ids[id] != 1 {
						t.Errorf("%s: %s=%s points to %d elements", name, a, id, ids[id])
					}
				}
			}
			if id, ok := strings.CutPrefix(e.attrs["href"], "#"); ok && ids[id] != 1 {
				t.Errorf("%s: a link to #%s points to %d elements", name, id, ids[id])
			}
		}
	}
}

// A problem takes the focus, is announced, and leads to the field that it is about.
func TestProblemTakesTheFocusAndLeadsToItsField(t *testing.T) {
	p := newPages(t)
	for page, field := range map[string]string{
		"signin-wrong": "#password", "signin-empty": "#identifier", "signin-again-wrong": "#password", "signin-again-empty": "#password",
		"signin-throttled": "", "signin-busy": "",
	} {
		got := render(t, p, everyPage("en")[page])
		_, alert, ok := strings.Cut(got, `<div class="notice bad" id="problem" role="alert" tabindex="-1" autofocus>`)
		if !ok || strings.Count(got, " autofocus") != 1 || !strings.Contains(got, "<title>Problem: ") {
			t.Errorf("%s does not tell of its problem:\n%s", page, got)
		}
		alert, _, _ = strings.Cut(alert, "<form")
		if strings.Contains(alert, "<a ") != (field != "") || !strings.Contains(alert, `href="`+field) && field != "" {
			t.Errorf("%s does not lead to %q:\n%s", page, field, alert)
		}
		if strings.Contains(got, `aria-describedby="problem-text"`) != (field != "") {
			t.Errorf("%s: the field and its problem are not tied", page)
		}
	}
}

// The words for an unknown person and for a wrong password are the same, because the page does not know the difference.
func TestWrongAnswersSayNothingAboutThePerson(t *testing.T) {
	p := newPages(t)
	page := func(identifier string) string {
		s := everyPage("en")["signin-wrong"].(SignIn)
		s.Identifier = identifier
		return strings.ReplaceAll(render(t, p, s), html.EscapeString(identifier), "WHO")
	}
	if page("ada@example.com") != page("nobody@example.com") {
		t.Error("two people get different pages")
	}
}

// What a program that submits the first form of a page sends: the first of each name wins.
func firstForm(t *testing.T, page string) map[string]string {
	t.Helper()
	_, form, _ := strings.Cut(page, "<form ")
	form, _, _ = strings.Cut("<form "+form, "</form>")
	if all := elements(form); len(all) == 0 || all[0].attrs["method"] != "post" {
		t.Fatalf("no POST form:\n%s", page)
	}
	sent := map[string]string{}
	for _, e := range elements(form) {
		name := e.attrs["name"]
		if _, ok := sent[name]; ok || name == "" {
			continue
		}
		sent[name] = e.attrs["value"]
	}
	return sent
}

func TestFormsSendWhatTheirPageSays(t *testing.T) {
	p := newPages(t)
	for page, want := range map[string]map[string]string{
		"signin":             {"form_token": "form-token", "identifier": "", "password": ""},
		"signin-wrong":       {"form_token": "form-token", "identifier": "ada@example.com", "password": ""},
		"signin-again-wrong": {"form_token": "form-token", "identifier": "ada@example.com", "password": ""},
		"choose":             {"form_token": "form-token", "account": "a1"},
		"consent":            {"form_token": "form-token", "session": "a1", "decision": "allow"},
		"signout":            {"form_token": "form-token", "session": "a1", "decision": "signout"},
		"signout-alone":      {"form_token": "form-token", "session": "a1", "decision": "signout"},
		"formpost":           {"code": "c0de", "state": `a"b`},
	} {
		html := render(t, p, everyPage("en")[page])
		got := firstForm(t, html)
		if len(got) != len(want) {
			t.Errorf("%s sends %v, want %v", page, got, want)
		}
		// The only other form is the one that goes back, and it sends nothing of the first.
		_, after, _ := strings.Cut(html, "</form>")
		if strings.Contains(after, "<form ") {
			if back := firstForm(t, after); len(back) != 1 || back["form_token"] != "form-token" || !strings.Contains(after, `action="/signin/cancel?i=1"`) {
				t.Errorf("%s goes back with %v", page, back)
			}
		}
		if forms, back := strings.Count(html, "<form "), strings.Count(html, "/signin/cancel"); forms != 1+back {
			t.Errorf("%s has %d forms", page, forms)
		}
		for name, value := range want {
			if v, ok := got[name]; !ok || v != value {
				t.Errorf("%s sends %s=%q, want %q", page, name, v, value)
			}
		}
	}
}

const hostile = `"><script>alert(1)</script>'<img src=x onerror=alert(1)>{{.Form.Token}}&amp;` + "`"

// Names come from registrations and from people: they are text wherever they stand.
func TestHostileNamesStayText(t *testing.T) {
	p := newPages(t)
	base := Base{Lang: hostile, Brand: Brand{hostile}, Nonce: hostile, Paths: Paths{hostile}, Languages: []LanguageLink{{hostile, hostile, hostile}}}
	form := Form{hostile, hostile}
	who := Account{ID: hostile, Name: hostile, Identifier: hostile, Initials: hostile}
	plain := func(page string) int { return len(elements(page)) }
	for name, pages := range map[string][2]any{
		"signin": {
			SignIn{Base: base, Form: form, ClientName: hostile, Identifier: hostile, Demo: &DemoAccount{hostile, hostile}, CancelAction: "/" + hostile},
			SignIn{Base: baseIn("en"), Form: Form{"/", "t"}, ClientName: "x", Identifier: "x", Demo: &DemoAccount{"x", "x"}, CancelAction: "/"},
		},
		"choose": {
			ChooseAccount{Base: base, Form: form, ClientName: hostile, Accounts: []Account{who}},
			ChooseAccount{Base: baseIn("en"), Form: form, ClientName: "x", Accounts: []Account{{"1", "x", "x", "x", false}}},
		},
		"consent": {
			Consent{Base: base, Form: form, Who: who, ClientName: hostile, ClientHost: hostile, Scopes: []ScopeLine{{hostile, hostile, hostile, "key"}}},
			Consent{Base: baseIn("en"), Form: form, Who: Account{Initials: "x", Identifier: "x"}, ClientName: "x", ClientHost: "x", Scopes: []ScopeLine{{"x", "x", "x", "key"}}},
		},
		"error": {
			Error{Base: base, RequestID: hostile, Diagnosis: &Diagnosis{hostile, []string{hostile}, []string{hostile}, hostile}},
			Error{Base: baseIn("en"), RequestID: "x", Diagnosis: &Diagnosis{"x", []string{"x"}, []string{"x"}, "x"}},
		},
		"formpost": {
			FormPost{Action: "https://x.example/?" + hostile, Fields: []Field{{hostile, hostile}}, Nonce: hostile},
			FormPost{Action: "https://x.example/", Fields: []Field{{"x", "x"}}},
		},
	} {
		got, want := render(t, p, pages[0]), render(t, p, pages[1])
		if plain(got) != plain(want) || strings.Count(got, "<script") != strings.Count(want, "<script") || strings.Contains(got, "<img") {
			t.Errorf("%s: a name became markup:\n%s", name, got)
		}
	}
}

// An address that a browser would run, whoever passed it, is left out; a form_post to one is refused.
func TestDangerousAddressesAreLeftOut(t *testing.T) {
	p := newPages(t)
	base := baseIn("en")
	for _, href := range []string{
		"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "javascript:alert(1).x", "data:text/html,x", "vbscript:x", "blob:x", "file:///etc/passwd", "%zz",
	} {
		base.Languages = []LanguageLink{{"sv", "Svenska", href}}
		for _, page := range []any{
			SignIn{Base: base, CancelAction: href},
			ChooseAccount{Base: base, CancelAction: href},
			SignOut{Base: base, CancelHref: href},
			SignedOut{Base: base, ReturnHref: href},
			Welcome{Base: base, SignInHref: href, Clients: []App{{"x", href}}},
			Welcome{Base: base, Who: &Account{}, SignOutHref: href},
			SignIn{Base: base, Form: Form{Action: href}},
		} {
			for _, e := range elements(render(t, p, page)) {
				u := e.attrs["href"] + e.attrs["action"]
				if scheme, _, ok := strings.Cut(u, ":"); ok && !strings.Contains(scheme, "/") && scheme != "http" && scheme != "https" {
					t.Errorf("%T: <%s> leads to %q", page, e.name, u)
				}
			}
		}
		if err := p.Render(&strings.Builder{}, FormPost{Action: href}); err == nil {
			t.Errorf("form_post to %q", href)
		}
	}
	if err := p.Render(&strings.Builder{}, FormPost{}); err == nil {
		t.Error("form_post to nowhere")
	}
}

// RFC 8252 section 7.1: an app's own scheme has a dot, and people must be able to get back to it.
func TestPrivateUseSchemesAreLinks(t *testing.T) {
	got := render(t, newPages(t), SignedOut{Base: baseIn("en"), ReturnHref: "com.example.shop:/bye?state=1&a=2"})
	if !strings.Contains(got, `href="com.example.shop:/bye?state=1&amp;a=2"`) {
		t.Errorf("no way back to the app:\n%s", got)
	}
}
