package risk

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// chromium are the hints of a browser of that brand and version.
func chromium(brand, version, mobile, platform string) Hints {
	return Hints{
		Brands: `"Chromium";v="142", "` + brand + `";v="` + version + `", "Not_A Brand";v="99"`,
		Mobile: mobile, Platform: `"` + platform + `"`,
	}
}

const (
	chromeWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	chromeMac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	chromePhone   = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
	chromeTablet  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	firefoxLinux  = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	safariPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
)

// TestAgentsOfBrowsers: what browsers send, whose user agents say as little as they may, and
// what programs do.
func TestAgentsOfBrowsers(t *testing.T) {
	for header, want := range map[string]Agent{
		chromeWindows: {kindDesktop, "Windows 10", "Chrome", 142},
		chromeMac:     {kindDesktop, "macOS 10", "Chrome", 142},
		chromePhone:   {kindPhone, "Android 10", "Chrome", 142},
		chromeTablet:  {kindTablet, "Android 10", "Chrome", 142},
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                 {kindDesktop, "ChromeOS", "Chrome", 142},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1": {kindPhone, "iOS 18", "Chrome", 142},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                               {kindDesktop, "Windows 10", "Firefox", 145},
		firefoxLinux: {kindDesktop, "Linux", "Firefox", 145},
		"Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                      {kindPhone, "Android 15", "Firefox", 145},
		"Mozilla/5.0 (Android 15; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                      {kindTablet, "Android 15", "Firefox", 145},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15": {kindPhone, "iOS 18", "Firefox", 145},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                     {kindDesktop, "macOS 10", "Safari", 26},
		safariPhone: {kindPhone, "iOS 18", "Safari", 26},
		"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1":                               {kindTablet, "iOS 17", "Safari", 17},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":                                {kindDesktop, "Windows 10", "Edge", 142},
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0":                               {kindPhone, "Android 10", "Edge", 142},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/142.0.3595.66 Mobile/15E148 Safari/604.1": {kindPhone, "iOS 18", "Edge", 142},
		"Shop/3.2 CFNetwork/1568.200.51 Darwin/24.1.0": {kindProgram, "", "Shop", 3},
		"okhttp/4.12.0":    {kindProgram, "", "okhttp", 4},
		"doorstep/v1.4.0":  {kindProgram, "", "doorstep", 0}, // whose version is no number
		"curl/8.14.1":      {kindProgram, "", "curl", 8},
		"":                 {},
		"-":                {},
		"Mozilla/5.0":      {},
		"\xff\xfe(Windows": {},
	} {
		if got := AgentOf(header, Hints{}); got != want {
			t.Errorf("%q:\n%+v, want\n%+v", header, got, want)
		}
	}
}

// TestHintsSayWhatUserAgentsDoNot (User-Agent Client Hints section 3; RFC 9651).
func TestHintsSayWhatUserAgentsDoNot(t *testing.T) {
	windows := Agent{kindDesktop, "Windows 10", "Chrome", 142}
	for name, tc := range map[string]struct {
		header string
		hints  Hints
		want   Agent
	}{
		"the same":                       {chromeWindows, chromium("Google Chrome", "142", "?0", "Windows"), windows},
		"a browser like another":         {chromeWindows, chromium("Brave", "141", "?0", "Windows"), Agent{kindDesktop, "Windows 10", "Brave", 141}},
		"on a phone":                     {chromePhone, chromium("Samsung Internet", "28", "?1", "Android"), Agent{kindPhone, "Android 10", "Samsung Browser", 28}},
		"on a tablet":                    {chromePhone, chromium("Google Chrome", "142", "?0", "Android"), Agent{kindTablet, "Android 10", "Chrome", 142}},
		"a system that it hides":         {chromeWindows, chromium("Google Chrome", "142", "?0", "Linux"), Agent{kindDesktop, "Linux", "Chrome", 142}},
		"a system that nobody knows":     {chromeWindows, chromium("Google Chrome", "142", "?0", "Fuchsia"), Agent{kindDesktop, "", "Chrome", 142}},
		"no user agent":                  {"", chromium("Google Chrome", "142", "?1", "Android"), Agent{kindPhone, "Android", "Chrome", 142}},
		"brands that nobody knows":       {chromeWindows, Hints{Brands: `"Chromium";v="142", "Not:A-Brand";v="24"`}, windows},
		"a brand without a version":      {chromeWindows, Hints{Brands: `"Microsoft Edge"`}, Agent{kindDesktop, "Windows 10", "Edge", 0}},
		"escapes":                        {chromeWindows, Hints{Brands: `"Not\"A\\Brand";v="8","Microsoft Edge";v="140"`}, Agent{kindDesktop, "Windows 10", "Edge", 140}},
		"no list":                        {chromeWindows, Hints{Brands: `Microsoft Edge`}, windows},
		"a list that does not end":       {chromeWindows, Hints{Brands: `"Microsoft Edge";v="1", `}, windows},
		"a string that does not end":     {chromeWindows, Hints{Brands: `"Microsoft Edge`}, windows},
		"an escape of nothing":           {chromeWindows, Hints{Brands: `"Microsoft Edge\`}, windows},
		"another parameter":              {chromeWindows, Hints{Brands: `"Microsoft Edge";w="1"`}, windows},
		"no comma":                       {chromeWindows, Hints{Brands: `"Microsoft Edge";v="1" "Brave";v="2"`}, windows},
		"more brands than anybody sends": {chromeWindows, Hints{Brands: strings.Repeat(`"A";v="1",`, mostBrands) + `"Brave";v="1"`}, windows},
		"longer than anybody sends":      {chromeWindows, Hints{Brands: `"Brave";v="1","` + strings.Repeat("a", mostHint) + `"`}, windows},
		"not ASCII":                      {chromeWindows, Hints{Brands: "\"Brave\xc3\xa9\";v=\"1\"", Platform: "\"\x00\"", Mobile: "?2"}, windows},
	} {
		if got := AgentOf(tc.header, tc.hints); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// FuzzAgentOf: whatever is sent, what comes out is short, in UTF-8, and of a kind that there is.
func FuzzAgentOf(f *testing.F) {
	for _, header := range []string{chromeWindows, chromePhone, chromeTablet, firefoxLinux, safariPhone, "curl/8.14.1", "(((;;/ /1", "\xff(Android/\x00;Mobile", ""} {
		for _, brands := range []string{`"Chromium";v="142", "Google Chrome";v="142"`, `"\\\"";v="1",,`, `"";v=`, ""} {
			f.Add(header, brands, "?1", `"Android"`)
			f.Add(header, brands, "?0", `"`)
		}
	}
	f.Fuzz(func(t *testing.T, header, brands, mobile, platform string) {
		a := AgentOf(header, Hints{Brands: brands, Mobile: mobile, Platform: platform})
		for _, s := range []string{a.Kind, a.System, a.Browser} {
			if len(s) > mostName+len(" 9999") || !utf8.ValidString(s) {
				t.Errorf("%q", s)
			}
		}
		switch a.Kind {
		case "", kindDesktop, kindPhone, kindTablet, kindProgram:
		default:
			t.Errorf("kind %q", a.Kind)
		}
		if a.Release < 0 || a.Release > mostRelease {
			t.Errorf("release %d", a.Release)
		}
		if again := AgentOf(header, Hints{Brands: brands, Mobile: mobile, Platform: platform}); again != a {
			t.Errorf("%+v, then %+v", a, again)
		}
	})
}
