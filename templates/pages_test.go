package templates

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.golden.html anew")

func newPages(t *testing.T) *Pages {
	t.Helper()
	p, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, p *Pages, page any) string {
	t.Helper()
	var b strings.Builder
	if err := p.Render(&b, page); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The golden files are in one language for most states; in all three for the pages that people meet most.
func TestPagesMatchGoldenFiles(t *testing.T) {
	p := newPages(t)
	want := map[string]bool{}
	for _, lang := range languages {
		for name, page := range everyPage(lang) {
			if lang != "en" && name != "signin-wrong" && name != "consent" && name != "apps" && name != "security" && name != "sessions" && name != "signout" && name != "error-too_many" {
				continue
			}
			file := filepath.Join("testdata", name+"."+lang+".golden.html")
			want[file] = true
			got := render(t, p, page)
			for plain, unique := range assets().names {
				got = strings.ReplaceAll(got, unique, plain)
			}
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
	files, err := filepath.Glob("testdata/*.golden.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !want[file] {
			t.Errorf("%s belongs to no page", file)
		}
	}
}

func TestRenderTakesValueAndPointer(t *testing.T) {
	p := newPages(t)
	v := SignedOut{Base: baseIn("sv")}
	if render(t, p, v) != render(t, p, &v) {
		t.Error("a pointer renders another page than its value")
	}
}

func TestRenderRefusesWhatIsNoPage(t *testing.T) {
	p := newPages(t)
	for _, page := range []any{nil, "signin", 7, Base{}, &Base{}, Account{}, (*SignIn)(nil), struct{ Base }{}} {
		var b bytes.Buffer
		if err := p.Render(&b, page); err == nil || b.Len() != 0 {
			t.Errorf("%#v: err %v, %d bytes written", page, err, b.Len())
		}
	}
}

// A page that fails half-way must leave nothing behind: the caller still has to write its error page.
func TestRenderWritesAllOrNothing(t *testing.T) {
	var b bytes.Buffer
	err := newPages(t).Render(&b, SignIn{Base: baseIn("en"), Problem: "no-such-problem"})
	if err == nil || b.Len() != 0 {
		t.Errorf("err %v, %d bytes written", err, b.Len())
	}
}

func TestErrorPageFallsBackOnItsStatus(t *testing.T) {
	for status, kind := range map[int]string{400: "bad_request", 403: "forbidden", 404: "not_found", 429: "too_many", 500: "internal", 502: "internal", 503: "unavailable", 0: "internal"} {
		if got := errorKind(Error{Status: status, Kind: "no-such-kind"}); got != kind {
			t.Errorf("%d: %s, want %s", status, got, kind)
		}
	}
}

// The longest page together with everything that it loads, uncompressed, is below the budget of 60 kB over the wire.
func TestPagesStayWithinTheSizeBudget(t *testing.T) {
	p := newPages(t)
	loaded := 0
	for _, name := range assets().names {
		b, err := fs.ReadFile(Assets(), name)
		if err != nil {
			t.Fatal(err)
		}
		loaded += len(b)
	}
	for _, lang := range languages {
		for name, page := range everyPage(lang) {
			if n := len(render(t, p, page)) + loaded; n >= 60_000 {
				t.Errorf("%s in %s: %d bytes", name, lang, n)
			}
		}
	}
	script, err := fs.ReadFile(Assets(), assets().names["doorstep.js"])
	if err != nil {
		t.Fatal(err)
	}
	if len(script) >= 6500 {
		t.Errorf("the script has %d bytes", len(script))
	}
}
