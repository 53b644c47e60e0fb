package risk

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mileusna/useragent"
)

// Hints are the headers that Chromium sends beside its user agent (User-Agent Client
// Hints), which says less and less by itself. Each is "" where it was not sent.
type Hints struct {
	Brands   string // Sec-CH-UA
	Mobile   string // Sec-CH-UA-Mobile
	Platform string // Sec-CH-UA-Platform
}

// Agent is what an attempt is made with, as far as its headers tell: each is "" or 0 where
// they do not. Nothing of it is proven.
type Agent struct {
	Kind    string // one of the kinds
	System  string // with the major version that is told, such as "Android 15"
	Browser string // its family, or the name of a program
	Release int    // its major version
}

// The kinds of devices.
const (
	kindDesktop = "desktop"
	kindPhone   = "phone"
	kindTablet  = "tablet"
	kindProgram = "program" // one that is no browser: curl, or an app
)

// What is read of anybody's headers; what is longer is nobody's.
const (
	mostAgent   = 512
	mostHint    = 256
	mostBrands  = 8
	mostName    = 40
	mostRelease = 9999
)

// AgentOf reads the headers of a request. Anything may stand there. Of hints, each that is
// malformed counts as one that was not sent; others go before the user agent.
func AgentOf(header string, hints Hints) Agent {
	if len(header) > mostAgent {
		header = header[:mostAgent]
	}
	read := useragent.Parse(header)
	a := Agent{Kind: kindOf(header, read), System: systemOf(read.OS, read.OSVersion), Browser: nameOf(read.Name), Release: major(read.Version)}
	if name, release := brandOf(hints.Brands); name != "" {
		a.Browser, a.Release = name, release
	}
	platform, _, ok := quoted(cut(hints.Platform))
	if ok && platform != "" && platforms[platform] != read.OS {
		a.System = nameOf(platforms[platform]) // the user agent's version is of another system
	}
	switch android := strings.HasPrefix(a.System, useragent.Android); {
	case hints.Mobile == "?1":
		a.Kind = kindPhone
	case hints.Mobile == "?0" && android:
		a.Kind = kindTablet
	case hints.Mobile == "?0":
		a.Kind = kindDesktop
	}
	return a
}

// kindOf goes by what browsers agree upon: on Android all but tablets say "Mobile".
func kindOf(header string, read useragent.UserAgent) string {
	switch {
	case read.Tablet, read.OS == useragent.Android && strings.HasPrefix(header, "Mozilla/") && !strings.Contains(header, "Mobile"):
		return kindTablet
	case read.Mobile:
		return kindPhone
	case read.Desktop:
		return kindDesktop
	case nameOf(read.Name) != "" && !strings.HasPrefix(header, "Mozilla/"):
		return kindProgram
	}
	return ""
}

// systemOf names a system with its major version; Linux tells of a machine in its place.
func systemOf(name, version string) string {
	name = nameOf(name)
	if v := major(version); v > 0 && name != "" && name != useragent.Linux && name != useragent.ChromeOS {
		return name + " " + strconv.Itoa(v)
	}
	return name
}

// nameOf is a name, if it can be one.
func nameOf(name string) string {
	name = strings.ToValidUTF8(strings.TrimSpace(name), "")
	if len(name) > mostName || strings.ContainsRune(name, '/') || strings.Trim(name, "-.") == "" {
		return ""
	}
	return name
}

// major is the first number of a version, 0 if that is none.
func major(version string) int {
	digits := len(version) - len(strings.TrimLeft(version, "0123456789"))
	n, err := strconv.Atoi(version[:digits])
	if err != nil || n > mostRelease {
		return 0
	}
	return n
}

// brands are the names in Sec-CH-UA of browsers, as the user agents of the same have them.
// Beside one of them stand Chromium and a made-up one, which are nobody's.
var brands = map[string]string{
	"Google Chrome": useragent.Chrome, "HeadlessChrome": useragent.HeadlessChrome, "Microsoft Edge": useragent.Edge,
	"Opera": useragent.Opera, "Samsung Internet": useragent.SamsungBrowser, "Vivaldi": useragent.Vivaldi, "Brave": "Brave",
	"DuckDuckGo": "DuckDuckGo", "YaBrowser": "Yandex", "Yandex": "Yandex", "Android WebView": "WebView", "Microsoft Edge WebView2": "WebView",
}

// platforms are the names in Sec-CH-UA-Platform, likewise.
var platforms = map[string]string{
	"Windows": useragent.Windows, "macOS": useragent.MacOS, "Linux": useragent.Linux, "Android": useragent.Android,
	"iOS": useragent.IOS, "Chrome OS": useragent.ChromeOS, "Chromium OS": useragent.ChromeOS,
}

// brandOf reads Sec-CH-UA, a list of strings with a parameter v (RFC 9651), for the first
// browser that is known.
func brandOf(list string) (name string, release int) {
	rest := cut(list)
	for range mostBrands {
		brand, after, ok := quoted(rest)
		if !ok {
			return "", 0
		}
		version, after, ok := parameter(after)
		if !ok {
			return "", 0
		}
		if known := brands[brand]; known != "" && name == "" {
			name, release = known, major(version)
		}
		if after = strings.TrimLeft(after, " \t"); after == "" {
			return name, release
		}
		if after[0] != ',' {
			return "", 0
		}
		rest = strings.TrimLeft(after[1:], " \t")
	}
	return "", 0
}

// parameter reads ;v="124", if there is one.
func parameter(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, ";") {
		return "", text, true
	}
	text = strings.TrimLeft(text[1:], " ")
	if !strings.HasPrefix(text, "v=") {
		return "", "", false
	}
	return quoted(text[len("v="):])
}

// quoted reads a String (RFC 9651 section 3.3.3).
func quoted(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", false
	}
	var out []byte
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return string(out), text[i+1:], true
		case c == '\\':
			if i++; i == len(text) || !slices.Contains([]byte(`"\`), text[i]) {
				return "", "", false
			}
			out = append(out, text[i])
		case c < 0x20 || c > 0x7e:
			return "", "", false
		default:
			out = append(out, c)
		}
	}
	return "", "", false
}

// cut is a header that is not longer than one can be; else none.
func cut(header string) string {
	if len(header) > mostHint {
		return ""
	}
	return strings.TrimSpace(header)
}
