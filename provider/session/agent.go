package session

import "github.com/mileusna/useragent"

// Agent is with what somebody signed in, in words that they understand: "Firefox" and
// "Linux", each "" if it is not told. Versions are not kept: they change every month.
type Agent struct{ Browser, System string }

// AgentOf reads a User-Agent header. Anything may stand there: only names that are
// known come out of it.
func AgentOf(header string) Agent {
	read := useragent.Parse(header)
	if read.Bot || !known[read.Name] {
		read.Name = ""
	}
	if !known[read.OS] {
		read.OS = ""
	}
	return Agent{Browser: read.Name, System: read.OS}
}

var known = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range []string{
		useragent.Opera, useragent.OperaMini, useragent.OperaTouch, useragent.Chrome, useragent.HeadlessChrome, useragent.Firefox,
		useragent.InternetExplorer, useragent.Safari, useragent.MobileSafari, useragent.Edge, useragent.Vivaldi, useragent.SamsungBrowser,
		useragent.Windows, useragent.Android, useragent.MacOS, useragent.IOS, useragent.Linux, useragent.FreeBSD, useragent.ChromeOS, useragent.Harmony,
	} {
		names[name] = true
	}
	return names
}()
