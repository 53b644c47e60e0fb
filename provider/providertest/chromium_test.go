package providertest

import (
	"bytes"
	"flag"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const elsewhere = "http://elsewhere.example"

// site is a small web site that does wrong what tests must notice.
func site(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path string, status int, policy, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", policy)
			w.WriteHeader(status)
			fmt.Fprintf(w, "<!doctype html><html lang=en><title>t</title><link rel=icon href=data:,><main><h1>%s</h1>%s</main></html>", r.Header.Get("Accept-Language"), body)
		})
	}
	const open = ""
	page("/good", 200, "default-src 'self'; img-src data:", `<form action=/done><label>Name <input name=n value=old></label><button>Go</button></form>
		<noscript><p id=no>no script</p></noscript>`)
	page("/done", 200, open, `<p id=done>done</p>`)
	page("/error", 418, open, "")
	page("/script", 200, open, `<script>console.error("bad", 7); undefinedFunction()</script>`)
	page("/policy", 200, "default-src 'none'; img-src data:", `<script>1</script>`)
	page("/missing", 200, open, `<img alt="" src=/nowhere.png>`)
	page("/unlabelled", 200, open, `<input>`)
	page("/wide", 200, open, `<style>div{width:400px}p{width:50px}button{height:20px}</style><div>wide</div><p>unbreakable</p><button>low</button>`)
	page("/unseen", 200, open, `<style>#b:focus{outline:none}#c{position:absolute;top:0;left:0}#d{position:absolute;top:0;left:0;width:200px;height:50px}</style>
		<button id=a>a</button><button id=b>b</button><button id=c>c</button><div id=d></div><a id=e href=/ tabindex=3>e</a>
		<button id=f onkeydown="if (event.key === 'Tab') event.preventDefault()">f</button><button id=g>g</button>`)
	page("/heavy", 200, open, `<img alt="" src=`+elsewhere+`/x>`+strings.Repeat("heavy ", 200))
	page("/lopsided", 200, open, `<style>div{margin-left:9px}p{margin-inline-start:9px}</style><div><p id=p>text</p></div>`)
	page("/pale", 200, open, `<style>[dir=rtl] #r{color:#ccc}@media (prefers-color-scheme: dark){#d{color:#ddd}}</style><p id=r>by right</p><p id=d>at night</p>`)
	page("/scheme", 200, open, `<style>p{display:none}@media (prefers-color-scheme: dark){p{display:block}}</style><p id=dark>dark</p>`)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestBrowserWalks(t *testing.T) {
	home, p := site(t), Chromium(t)
	if status := p.Open(home + "/good"); status != 200 {
		t.Errorf("status %d", status)
	}
	p.Fill("input", "åb")
	p.Screenshot("good")
	_, err := os.Stat(filepath.Join(t.ArtifactDir(), "good.png"))
	if kept := flag.Lookup("test.artifacts").Value.String() == "true"; kept != (err == nil) {
		t.Errorf("artifacts are kept is %v, and the picture: %v", kept, err)
	}
	if picture, err := png.Decode(bytes.NewReader(p.picture())); err != nil || picture.Bounds().Dx() != 1280 {
		t.Errorf("%v, %v", picture, err)
	}
	if p.Has("#no") {
		t.Error("scripts are on, and the page says that they are off")
	}
	if status := p.Follow("button"); status != 200 || p.URL() != home+"/done?n=%C3%A5b" || p.Text("#done") != "done" {
		t.Errorf("status %d at %s", status, p.URL())
	}
	if status := p.Open(home + "/error"); status != 418 {
		t.Errorf("status %d, want that of the page", status)
	}
	if status := p.Back(); status != 200 || p.Text("#done") != "done" {
		t.Errorf("back: status %d at %s", status, p.URL())
	}
	p.Open(home + "/good")
	p.Axe()
}

func TestBrowserNoticesProblems(t *testing.T) {
	home, p := site(t), Chromium(t)
	for path, want := range map[string][]string{
		"/good": nil, "/error": nil, "/script": {"bad", "undefinedFunction"}, "/policy": {"Content Security Policy"}, "/missing": {"nowhere.png"},
	} {
		p.Open(home + path)
		got := p.Problems()
		if len(got) != len(want) {
			t.Errorf("%s: problems %q, want %d", path, got, len(want))
			continue
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: problem %q, want %q", path, got[i], want[i])
			}
		}
	}
	p.Open(home + "/unlabelled")
	if violations := p.axe(); len(violations) != 1 || !strings.Contains(violations[0], "label") {
		t.Errorf("axe found %q, want the missing label", violations)
	}
	p.Open(home + "/pale")
	var found []string
	for _, violation := range p.axeEveryWay() {
		found = append(found, strings.Join(regexp.MustCompile(`^\w+, \w+|<p id="\w">`).FindAllString(violation, -1), " "))
	}
	if want := []string{`dark, rtl <p id="r"> <p id="d">`, `dark, ltr <p id="d">`, `light, rtl <p id="r">`}; !slices.Equal(found, want) {
		t.Errorf("axe found %q, want %q", found, want)
	}
	p.Narrow(320).Open(home + "/wide")
	if misfits := strings.Join(p.misfits(), "\n"); !strings.Contains(misfits, "sideways") || !strings.Contains(misfits, "window: <div>") ||
		!strings.Contains(misfits, "long words: <p>") || !strings.Contains(misfits, "20 pixels high: <button>") {
		t.Errorf("misfits:\n%s", misfits)
	}
}

// A keyboard must reach what a finger does, and show where it is; a page is light, whole
// and at home, and can be turned round.
func TestBrowserNoticesWhatIsWrongWithAPage(t *testing.T) {
	home, p := site(t), Chromium(t)
	p.Open(home + "/unseen")
	want := "#a is reached out of order\n#b shows no focus\n#c is covered as it has the focus\n#f is reached out of order\n#g is not reached by the keyboard"
	if faults := strings.Join(p.tabFaults(), "\n"); faults != want {
		t.Errorf("faults of the keyboard:\n%s\nwant:\n%s", faults, want)
	}
	p.Open(home + "/good")
	if faults := p.tabFaults(); len(faults) > 0 {
		t.Errorf("faults of the keyboard on a good page: %q", faults)
	}
	p.Open(home + "/lopsided")
	if faults := p.unmirrored(); len(faults) != 2 || !strings.HasPrefix(faults[0], "<div>") || !strings.HasPrefix(faults[1], "<p id") {
		t.Errorf("not mirrored: %q", faults)
	}
	p.Open(home + "/heavy")
	if got := p.weight(); got.Bytes < 1200 || got.Bytes > 3000 || len(got.Elsewhere) != 1 || !strings.HasPrefix(got.Elsewhere[0], elsewhere) {
		t.Errorf("the weight is %+v", got)
	}
	p.Problems()
}

func TestBrowserIsWhoItIsToldToBe(t *testing.T) {
	home := site(t)
	p := Chromium(t).WithoutScript().Dark().Narrow(320).Language("sv")
	p.Open(home + "/good")
	if p.Text("h1") != "sv" || p.Text("#no") != "no script" || p.Eval("innerWidth") != "320" {
		t.Errorf("language %q, width %s", p.Text("h1"), p.Eval("innerWidth"))
	}
	p.Fill("input", "x")
	if status := p.Follow("button"); status != 200 {
		t.Errorf("status %d without script", status)
	}
	p.Open(home + "/scheme")
	if p.Text("#dark") != "dark" {
		t.Error("the page is light")
	}
	other := Chromium(t)
	other.Open(home + "/good")
	if other.Text("h1") == "sv" || other.Has("#no") {
		t.Error("one page's manners are another's")
	}
}

// Pages share no cookies; what a browser asks for elsewhere is not found.
func TestBrowserPagesAreStrangers(t *testing.T) {
	home, p := site(t), Chromium(t)
	p.Open(home + "/good")
	p.Eval("document.cookie = 'a=1'")
	p.Open(home + "/done")
	if p.Eval("document.cookie") != "a=1" {
		t.Error("a page forgets its own cookie")
	}
	other := Chromium(t)
	other.Open(home + "/good")
	if cookie := other.Eval("document.cookie"); cookie != "" {
		t.Errorf("another page has cookie %q", cookie)
	}
	if got := other.Eval("fetch('https://example.com/').then(() => 'reached', () => 'blocked')"); got != "blocked" {
		t.Errorf("the network outside was %s", got)
	}
	other.Problems()
}
