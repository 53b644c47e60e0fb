package main

import (
	"os"
	"strings"
	"testing"
)

// TestEverySettingTakesItsDefault: the table's presets pass the table's own checks.
func TestEverySettingTakesItsDefault(t *testing.T) {
	cfg, err := (&app{}).load((&app{}).serveCommand().Flags())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range table {
		if got := cfg.values[s.key].from; got != "default" {
			t.Errorf("%s comes from %q", s.key, got)
		}
	}
	if cfg.Listen != "localhost:8080" {
		t.Errorf("listen is %q: it follows the issuer", cfg.Listen)
	}
}

// TestEverySettingIsDocumented: each has its row, with its variable and its default.
func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.HasPrefix(line, "| `") {
			rows[strings.Trim(cells[1], " `")] = cells
		}
	}
	for _, s := range table {
		row := rows[s.key]
		if row == nil || !strings.Contains(row[2], "`"+envName(s.key)+"`") || s.preset != "" && !strings.Contains(row[3], "`"+s.preset+"`") {
			t.Errorf("%s has no row with `%s` and `%s`, but %q", s.key, envName(s.key), s.preset, row)
		}
		delete(rows, s.key)
	}
	for key := range rows {
		t.Errorf("%s is documented, and there is no such setting", key)
	}
}

func TestIssuer(t *testing.T) {
	for text, want := range map[string]string{ // a part of the complaint; "" for none
		"https://login.example.com":     "",
		"https://example.com:8443/id":   "",
		"http://localhost:8080":         "",
		"http://127.0.0.1:8080":         "",
		"http://[::1]:8080":             "",
		"http://shop.localhost":         "",
		"http://login.example.com":      "use https",
		"http://127.0.0.1.example.com":  "use https",
		"http://localhost.example.com":  "use https",
		"https://login.example.com/":    "slash",
		"https://login.example.com?a=b": "no user, query or fragment",
		"https://login.example.com#":    "no user, query or fragment",
		"https://ada@login.example.com": "no user, query or fragment",
		"https://Login.example.com":     "lower case",
		"login.example.com":             "not a URL",
		"ftp://login.example.com":       "not a URL",
		"https://":                      "not a URL",
		"https://login.example.com/%zz": "not a URL",
		"https:login.example.com":       "not a URL",
	} {
		_, err := issuer(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestRedactHidesPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"sqlite:///./doorstep-data/doorstep.db": "sqlite:///./doorstep-data/doorstep.db",
		"postgres://db/doorstep":                "postgres://db/doorstep",
		"postgres://me:hunter2@db/doorstep":     "postgres://me:redacted@db/doorstep",
		"postgres://db/d?password=hunter2":      "postgres://db/d?redacted",
		"postgres://me:%zz@db":                  "[redacted]",
		"aHVudGVyMg==":                          "[redacted]",
	} {
		if got := redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestDurationsKnowDays(t *testing.T) {
	for text, want := range map[string]string{"90d": "2160h0m0s", "10m": "10m0s", "1h30m": "1h30m0s"} {
		var s settings
		if err := settingOf("lifetimes.session").set(&s, text); err != nil || s.Session.String() != want {
			t.Errorf("%s is %v, %v", text, s.Session, err)
		}
	}
	for _, text := range []string{"", "d", "90", "-1d", "1.5d", "99999999999999d", "1y", "0s"} {
		if err := settingOf("lifetimes.session").set(&settings{}, text); err == nil {
			t.Errorf("%q is taken for a duration", text)
		}
	}
}
