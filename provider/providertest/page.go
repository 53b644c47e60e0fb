package providertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Page is a tab of a real browser that has no cookies yet. Every step waits
// until it can be done and fails the test when it cannot.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu        sync.Mutex
	problems  []problem
	documents []string // what was shown, whatever its status
}

// problem is what the browser complained about: a script's error, a violated
// policy (CSP), a file that could not be loaded.
type problem struct {
	text    string
	network string // the URL of what could not be loaded
}

// Chromium opens a page. When the test ends and the browser complained about
// anything that [Page.Problems] did not take, the test fails.
func Chromium(t testing.TB) *Page {
	t.Helper()
	browser, err := chromium()
	need(t, needChromium, err)
	p := &Page{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.note))
	p.ctx = ctx
	t.Cleanup(cancel)
	t.Cleanup(func() {
		for _, problem := range p.Problems() {
			t.Errorf("the browser complained: %s", problem)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // not with a deadline: the tab lives as long as this call's ctx
		t.Fatalf("open a tab: %v", err)
	}
	return p
}

// note is called with every event of the tab, in order.
func (p *Page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			p.documents = append(p.documents, e.Response.URL)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.problems = append(p.problems, problem{text: text})
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			p.problems = append(p.problems, problem{text: fmt.Sprintf("console.%s: %s", e.Type, arguments(e.Args))})
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			found := problem{text: fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)}
			if e.Entry.Source == log.EntrySourceNetwork {
				found.network = e.Entry.URL
			}
			p.problems = append(p.problems, found)
		}
	}
}

func arguments(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		words = append(words, strings.TrimSpace(string(a.Value)+" "+a.Description))
	}
	return strings.Join(words, " ")
}

// Problems returns what the browser complained about since the last call. A
// page that was shown with an error status is no problem; a missing style is.
func (p *Page) Problems() []string {
	p.t.Helper()
	// One more question: what the browser told before its answer has been noted.
	if _, err := chromedp.Call(p.ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: "0"}); err != nil {
		p.t.Errorf("the browser is gone: %v", err)
	}
	return p.take()
}

func (p *Page) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, problem := range p.problems {
		if !slices.Contains(p.documents, problem.network) {
			found = append(found, problem.text)
		}
	}
	p.problems = nil
	return found
}

// Open goes to url and returns the status of the page that came of it.
func (p *Page) Open(url string) int {
	p.t.Helper()
	return int(get(p, "open "+url, chromedp.NavigateResponse(url)).Status)
}

// Follow clicks on what leads to another page, a link or a form's button,
// waits for that page and returns its status.
func (p *Page) Follow(selector string) int {
	p.t.Helper()
	return p.arrive("follow "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Back goes back by one page, which is fetched again, and returns its status.
func (p *Page) Back() int {
	p.t.Helper()
	return p.arrive("go back", chromedp.NavigateBack())
}

// arrive does what leads to another page and returns that page's status.
func (p *Page) arrive(what string, step chromedp.Action[chromedp.Void]) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, step)
	if err == nil && response == nil {
		err = errors.New("no response")
	}
	if err != nil {
		p.fail(what, err)
	}
	return int(response.Status)
}

// Click clicks on what stays on this page.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Fill puts text into a field, in place of what is there, as a password manager
// or a paste does.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	field := chromedp.CSS(selector)
	p.do("fill "+selector, chromedp.WaitVisible(field), chromedp.Focus(field))
	evaluate[bool](p, "document.querySelector("+literal(selector)+").select(), true")
	if text == "" {
		p.do("empty "+selector, chromedp.SendKeys(field, kb.Backspace))
		return
	}
	p.tell(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// Text returns the visible text of the first element that fits.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return strings.TrimSpace(get(p, "text of "+selector, chromedp.Text(chromedp.CSS(selector))))
}

// Has reports whether an element fits, now.
func (p *Page) Has(selector string) bool {
	p.t.Helper()
	return evaluate[bool](p, "document.querySelector("+literal(selector)+") !== null")
}

// Eval returns what an expression of JavaScript, or its promise, yields in the
// page.
func (p *Page) Eval(expression string) string {
	p.t.Helper()
	return evaluate[string](p, "Promise.resolve("+expression+").then(String)")
}

func evaluate[T any](p *Page, expression string) T {
	p.t.Helper()
	return get(p, expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// literal writes s as a literal of JavaScript.
func literal(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// URL returns where the page is.
func (p *Page) URL() string {
	p.t.Helper()
	return get(p, "location", chromedp.Location())
}

// Screenshot writes the whole page to name.png among the test's artifacts, where they
// are kept (go test -artifacts); else nobody would see it, and none is taken.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	if kept := flag.Lookup("test.artifacts"); kept == nil || kept.Value.String() != "true" {
		return
	}
	if err := os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), p.picture(), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Page) picture() []byte {
	p.t.Helper()
	return get(p, "screenshot", chromedp.FullScreenshot(100))
}

// WithoutScript turns JavaScript off, from the next page on.
func (p *Page) WithoutScript() *Page {
	p.t.Helper()
	return p.tell(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// Narrow gives the page this width in CSS pixels.
func (p *Page) Narrow(width int) *Page {
	p.t.Helper()
	return p.tell(func(ctx context.Context) error {
		return chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), 800))
	})
}

// Language makes the browser ask for pages in these languages: the value of its
// Accept-Language header.
func (p *Page) Language(accept string) *Page {
	p.t.Helper()
	return p.tell(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": accept}})
		return err
	})
}

func (p *Page) tell(set func(ctx context.Context) error) *Page {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	if err := set(ctx); err != nil {
		p.fail("tell the browser", err)
	}
	return p
}

// axe-core 4.14.1 (MPL-2.0, see testdata/axe-LICENSE.txt), for tests only.
//
//go:embed testdata/axe.min.js
var axeScript string

// Axe fails the test for every rule of WCAG 2.2 A and AA that the page breaks.
// It is a script: a page without script cannot be asked.
func (p *Page) Axe() {
	p.t.Helper()
	for _, violation := range p.axe() {
		p.t.Errorf("axe: %s\n\tat %s", violation, p.URL())
	}
}

// AxeEveryWay is Axe by day and at night, in both directions of writing. It leaves the
// page light and written from left to right.
func (p *Page) AxeEveryWay() {
	p.t.Helper()
	for _, violation := range p.axeEveryWay() {
		p.t.Errorf("axe: %s\n\tat %s", violation, p.URL())
	}
}

func (p *Page) axeEveryWay() (violations []string) {
	p.t.Helper()
	for _, scheme := range []string{"dark", "light"} {
		p.prefers(scheme)
		for _, dir := range []string{"rtl", "ltr"} {
			evaluate[bool](p, "document.documentElement.dir = "+literal(dir)+", true")
			for _, violation := range p.axe() {
				violations = append(violations, scheme+", "+dir+": "+violation)
			}
		}
	}
	return violations
}

func (p *Page) axe() []string {
	p.t.Helper()
	if !evaluate[bool](p, "typeof axe === 'object'") { // it stays as long as the page
		evaluate[bool](p, axeScript+"; true")
	}
	return evaluate[[]string](p, `axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations']}).then(
		found => found.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('; ')))`)
}

// Fits fails the test for everything that is wider than the window, for words
// that are longer than their place (unless it scrolls by itself), and for controls
// less than 44 pixels high.
func (p *Page) Fits() {
	p.t.Helper()
	for _, misfit := range p.misfits() {
		p.t.Errorf("%s\n\tin a window of %s pixels at %s", misfit, p.Eval("innerWidth"), p.URL())
	}
}

func (p *Page) misfits() []string {
	p.t.Helper()
	return evaluate[[]string](p, `(() => {
		const found = [], say = (e, what) => found.push(what + ': ' + e.outerHTML.slice(0, 120));
		if (document.documentElement.scrollWidth > innerWidth) say(document.documentElement, 'scrolls sideways');
		for (const e of document.querySelectorAll('body *:not(svg *)')) {
			const r = e.getBoundingClientRect();
			if (r.width && (r.left < -.5 || r.right > innerWidth + .5)) say(e, 'leaves the window');
			const text = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
			if (text && e.clientWidth && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'auto') say(e, 'has too long words');
			if (r.height && r.height < 43.5 && e.matches('button, .btn, .choice, .input, footer a')) say(e, 'is ' + r.height + ' pixels high');
		}
		return found;
	})()`)
}
