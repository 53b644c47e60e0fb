package risk

import (
	"strconv"
	"strings"

	"github.com/mileusna/useragent"
)

// mostAgent is how much of a user agent is looked at, in bytes: no browser says more.
const mostAgent = 512

// Agent is what somebody signs in with, as far as it says.
type Agent struct {
	Kind    string // phone, tablet, desktop or bot; "" if not known
	System  string // with its major version, where it tells the truth about that
	Browser string // its family
	Release int    // its major version; 0 if not known
}

// Hints are what a browser says of itself beside its user agent (W3C User-Agent Client
// Hints), of which it sends those of low entropy without being asked.
type Hints struct {
	Brands   string // Sec-CH-UA
	Mobile   string // Sec-CH-UA-Mobile
	Platform string // Sec-CH-UA-Platform
}

// readAgent reads a user agent, and hints where there are any: those do not pretend to be
// another browser.
func readAgent(text string, hints Hints) Agent {
	text = text[:min(len(text), mostAgent)]
	if strings.TrimSpace(text) == "" {
		return Agent{}
	}
	ua := useragent.Parse(text)
	a := Agent{Browser: ua.Name, Release: ua.VersionNo.Major, System: ua.OS}
	switch {
	case ua.Bot:
		a.Kind = "bot"
	case ua.Tablet:
		a.Kind = "tablet"
	case ua.Mobile:
		a.Kind = "phone"
	case ua.Desktop:
		a.Kind = "desktop"
	}
	// Versions of systems are frozen in the user agents of browsers but for phones.
	if a.Kind != "desktop" && ua.OSVersionNo.Major > 0 {
		a.System += " " + strconv.Itoa(ua.OSVersionNo.Major)
	}
	if brand, release := brandOf(hints.Brands); brand != "" {
		a.Browser, a.Release = brand, release
	}
	if platform := unquoted(hints.Platform); platform != "" && a.Kind == "desktop" {
		a.System = platform
	}
	return a
}

// brandOf is the brand of a list of them that says most: not the engine that many have,
// nor the one that means nothing and is there so that nobody counts on the others.
func brandOf(list string) (brand string, release int) {
	list = list[:min(len(list), mostAgent)]
	for one := range strings.SplitSeq(list, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(one), ";")
		name = unquoted(name)
		_, version, ok := strings.Cut(params, "v=")
		number, err := strconv.Atoi(unquoted(version))
		if !ok || err != nil || number <= 0 || strings.Contains(name, "Not") && strings.Contains(name, "Brand") {
			continue
		}
		if brand == "" || brand == "Chromium" {
			brand, release = name, number
		}
	}
	return brand, release
}

// unquoted is a string of a structured field (RFC 9651 section 3.3.3).
func unquoted(text string) string {
	text = strings.TrimSpace(text)
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return ""
	}
	return text[1 : len(text)-1]
}
