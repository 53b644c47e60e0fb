package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

func stylesheet(t *testing.T) string {
	t.Helper()
	b, err := fs.ReadFile(Assets(), assets().names["doorstep.css"])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Asset names may be cached for a year only if other content always has another name.
func TestAssetNamesCarryTheHashOfTheirContent(t *testing.T) {
	var names []string
	for _, name := range assets().names {
		names = append(names, name)
		b, err := fs.ReadFile(Assets(), name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if !strings.Contains(name, "."+hex.EncodeToString(sum[:])[:12]+".") {
			t.Errorf("%s does not carry the hash of its %d bytes", name, len(b))
		}
	}
	if err := fstest.TestFS(Assets(), append(names, fontLicence)...); err != nil {
		t.Error(err)
	}
}

func TestStylesheetLoadsTheHashedFontAndNothingElse(t *testing.T) {
	urls := regexp.MustCompile(`url\(([^)]*)\)`).FindAllStringSubmatch(stylesheet(t), -1)
	if len(urls) != 1 || urls[0][1] != assets().names["figtree-latin.woff2"] {
		t.Errorf("the stylesheet loads %q", urls)
	}
	if !strings.Contains(stylesheet(t), "font-display: swap") {
		t.Error("the first paint waits for the font")
	}
}

// WCAG 2.2 section 1.4.3: text has 4.5:1; section 1.4.11: the edge of a field and the focus have 3:1.
func TestTokensHaveEnoughContrast(t *testing.T) {
	pairs := []struct {
		front, back string
		least       float64
	}{
		{"ink", "card", 4.5}, {"ink", "paper", 4.5}, {"ink", "sunken", 4.5}, {"ink", "arch", 4.5},
		{"ink-2", "card", 4.5}, {"ink-2", "paper", 4.5}, {"ink-2", "sunken", 4.5}, {"ink-2", "accent-soft", 4.5},
		{"accent", "card", 4.5}, {"accent", "accent-soft", 4.5}, {"accent", "sunken", 4.5},
		{"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
		{"ink", "accent-soft", 4.5}, {"ink", "danger-soft", 4.5}, {"danger", "danger-soft", 4.5}, {"danger", "card", 4.5},
		{"line-strong", "card", 3}, {"accent", "paper", 3}, {"accent", "arch", 3},
	}
	light, dark, found := strings.Cut(stylesheet(t), "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("no dark scheme")
	}
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, p := range pairs {
			front, ok1 := colours[p.front]
			back, ok2 := colours[p.back]
			if !ok1 || !ok2 {
				t.Fatalf("%s: %s or %s is no token", scheme, p.front, p.back)
			}
			if got := (max(front, back) + .05) / (min(front, back) + .05); got < p.least {
				t.Errorf("%s: %s on %s is %.2f:1, want %.1f", scheme, p.front, p.back, got, p.least)
			}
		}
	}
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= .04045 {
			return c / 12.92
		}
		return math.Pow((c+.055)/1.055, 2.4)
	}
	return .2126*linear(16) + .7152*linear(8) + .0722*linear(0)
}

// A class that no rule knows, or a rule that no page needs, is a mistake in one of the two.
func TestEveryClassIsStyledAndUsed(t *testing.T) {
	styled := map[string]bool{}
	for _, m := range regexp.MustCompile(`\.([a-z][a-z0-9-]*)`).FindAllStringSubmatch(regexp.MustCompile(`(?s)/\*.*?\*/|url\([^)]*\)|\{[^{}]*\}`).ReplaceAllString(stylesheet(t), ""), -1) {
		styled[m[1]] = true
	}
	used := map[string]bool{}
	p := newPages(t)
	for _, page := range everyPage("en") {
		for _, m := range regexp.MustCompile(`class="([^"]*)"`).FindAllStringSubmatch(render(t, p, page), -1) {
			for class := range strings.FieldsSeq(m[1]) {
				used[class] = true
			}
		}
	}
	for class := range styled {
		if !used[class] {
			t.Errorf("no page has class %q", class)
		}
	}
	for class := range used {
		if !styled[class] {
			t.Errorf("no rule for class %q", class)
		}
	}
}
