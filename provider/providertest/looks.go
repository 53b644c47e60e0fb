package providertest

import (
	"context"
	"slices"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Light makes the person one who prefers light pages, as everybody is at first.
func (p *Page) Light() *Page {
	p.t.Helper()
	return p.prefers("light")
}

// Dark makes the person one who prefers dark pages.
func (p *Page) Dark() *Page {
	p.t.Helper()
	return p.prefers("dark")
}

// prefers is a preference of colours, and of a page that stands still: what changes its
// colour has the new one at once, whoever looks.
func (p *Page) prefers(scheme string) *Page {
	p.t.Helper()
	return p.tell(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	})
}

// Press presses a key, as [kb] names them, with or without shift, and stays on the page.
func (p *Page) Press(key string, shift ...bool) {
	p.t.Helper()
	p.do("press "+key, keyed(key, shift...))
}

// Type types a text into what has the focus, key by key.
func (p *Page) Type(text string) {
	p.t.Helper()
	p.do("type", chromedp.KeyEvent(text))
}

// Send presses a key that leads to another page, and returns that page's status.
func (p *Page) Send(key string) int {
	p.t.Helper()
	return p.arrive("press "+key, keyed(key))
}

// keyed is a key that goes down and up. What it writes comes with its way down, as from a
// real keyboard: a link that it follows leaves nothing to write for the place it leads to.
func keyed(key string, shift ...bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, r := range key {
			events := kb.Encode(r)
			down, up := events[0], events[len(events)-1]
			if len(events) == 3 {
				down.Type, down.Text, down.UnmodifiedText = kb.KeyDown, events[1].Text, events[1].UnmodifiedText
			}
			for _, event := range []*input.DispatchKeyEventParams{down, up} {
				if slices.Contains(shift, true) {
					chromedp.KeyModifiers(chromedp.ModifierShift)(event)
				}
				if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, *event); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// stops are the places that the keyboard must reach, in the order of the page; name
// tells what one is, and seen what is wrong with it as it has the focus.
const stops = `
	const reachable = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(e =>
		!e.disabled && e.type !== 'hidden' && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true}) &&
		(e.type !== 'radio' || e.checked || !document.querySelector('input[type=radio][name="' + e.name + '"]:checked')));
	const name = e => e === document.body || !e ? '' : e.id ? '#' + e.id : e.localName + (e.value ? '=' + e.value : '') + ' ' + e.textContent.trim();
	const seen = e => {
		const style = getComputedStyle(e), at = e.getBoundingClientRect(), x = at.left + at.width / 2, y = at.top + at.height / 2;
		if (style.outlineStyle === 'none' || style.outlineStyle !== 'auto' && parseFloat(style.outlineWidth) < 2) return 'shows no focus';
		if (at.bottom < 1 || at.top > innerHeight - 1) return 'has the focus out of sight';
		const top = document.elementFromPoint(x, Math.min(Math.max(y, 0), innerHeight - 1));
		return top && (e.contains(top) || top.contains(e)) || e.getClientRects().length > 1 ? '' : 'is covered as it has the focus';
	};
`

// Focus tells what has the focus: its id, or what it says; and fails the test when that
// is not to be seen.
func (p *Page) Focus() string {
	p.t.Helper()
	told := evaluate[[]string](p, "(() => {"+stops+"const e = document.activeElement; return [name(e), name(e) && seen(e)] })()")
	if told[1] != "" {
		p.t.Errorf("%s %s\n\tat %s", told[0], told[1], p.URL())
	}
	return told[0]
}

// TabsThrough goes through the page by the tabulator key alone and fails the test for
// everything that cannot be reached, that is reached in another order than it is read in,
// and that does not show that it has the focus.
func (p *Page) TabsThrough() {
	p.t.Helper()
	for _, fault := range p.tabFaults() {
		p.t.Errorf("%s\n\tat %s", fault, p.URL())
	}
}

func (p *Page) tabFaults() (faults []string) {
	p.t.Helper()
	all := evaluate[int](p, "(() => {"+stops+"return reachable.length })()")
	before, reached := -1, map[int]bool{}
	for range 2*all + 2 { // the page's own place is between the last and the first
		p.Press(kb.Tab)
		type stop struct {
			Index       int
			Name, Fault string
		}
		at := evaluate[stop](p, "(() => {"+stops+"const e = document.activeElement; return {Index: reachable.indexOf(e), Name: name(e), Fault: name(e) && seen(e)} })()")
		if at.Name == "" || at.Index < 0 {
			continue
		}
		if at.Fault != "" && !reached[at.Index] {
			faults = append(faults, at.Name+" "+at.Fault)
		}
		if before >= 0 && at.Index != (before+1)%all && at.Index != before {
			faults = append(faults, at.Name+" is reached out of order")
		}
		before, reached[at.Index] = at.Index, true
		if len(reached) == all {
			return faults
		}
	}
	names := evaluate[[]string](p, "(() => {"+stops+"return reachable.map(name) })()")
	for i, name := range names {
		if !reached[i] {
			faults = append(faults, name+" is not reached by the keyboard")
		}
	}
	return faults
}

// Weighs fails the test when the page, with all that it loads, is this many bytes or
// more for a browser that has none of it, or when any of it comes from elsewhere.
func (p *Page) Weighs(limit int) {
	p.t.Helper()
	got := p.weight()
	if got.Bytes >= limit {
		p.t.Errorf("the page weighs %d bytes, want less than %d\n\tat %s", got.Bytes, limit, p.URL())
	}
	if len(got.Elsewhere) > 0 {
		p.t.Errorf("the page loads %q\n\tat %s", got.Elsewhere, p.URL())
	}
}

// weight is what a page makes its browser load.
type weight struct {
	Bytes     int
	Elsewhere []string // from other origins
}

func (p *Page) weight() weight {
	p.t.Helper()
	// What is in the browser's cache counts with its headers, as if it had come now.
	return evaluate[weight](p, `(() => {
		const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
		return {Bytes: all.reduce((sum, e) => sum + (e.transferSize || e.encodedBodySize + 300), 0),
			Elsewhere: all.map(e => e.name).filter(url => new URL(url).protocol !== 'data:' && new URL(url).origin !== location.origin)};
	})()`)
}

// Mirrors fails the test for every box that is not where its mirror image would be once
// the page is written from right to left.
func (p *Page) Mirrors() {
	p.t.Helper()
	for _, fault := range p.unmirrored() {
		p.t.Errorf("%s is not mirrored when the page is written from right to left\n\tat %s", fault, p.URL())
	}
}

func (p *Page) unmirrored() []string {
	p.t.Helper()
	return evaluate[[]string](p, `(() => {
		const all = [...document.querySelectorAll('body *:not(svg *)')].filter(e => e.checkVisibility() && !getComputedStyle(e).display.startsWith('inline') || e.matches('.btn'));
		const at = () => all.map(e => e.getBoundingClientRect());
		const had = document.documentElement.dir;
		document.documentElement.dir = 'ltr';
		const before = at();
		document.documentElement.dir = 'rtl';
		const width = document.documentElement.clientWidth, after = at();
		document.documentElement.dir = had;
		return all.filter((e, i) => Math.abs(width - before[i].right - after[i].left) > 1 || Math.abs(before[i].top - after[i].top) > 1).map(e => e.outerHTML.slice(0, 120));
	})()`)
}
