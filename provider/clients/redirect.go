package clients

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
)

// maxURI is the longest URI that can be registered, in bytes.
const maxURI = 2000

// redirectProblem says what is wrong with a redirect, "" if nothing is. It has
// to be a place that one party holds and that every parser reads alike (RFC 9700
// sections 2.1 and 4.1, RFC 8252 section 7).
func redirectProblem(uri string, native bool) string {
	u, problem := parseURI(uri)
	if problem != "" {
		return problem
	}
	switch {
	case u.Scheme == "https":
		return hostProblem(u)
	case u.Scheme == "http":
		if !isLoopback(u.Hostname()) {
			return "must be https: http is for localhost and loopback addresses only"
		}
		return hostProblem(u)
	case !strings.Contains(u.Scheme, "."):
		return "has a scheme that no client can claim: use https, or for a native client a reversed domain name such as com.example.app:/callback"
	case !native:
		return "has a private-use scheme, which is for application_type native"
	case u.Opaque != "" || u.Host == "" && u.Path == "":
		return "must have a path after its scheme, as in com.example.app:/callback"
	}
	return ""
}

// pageProblem says what is wrong with the address of a page or picture that
// people are shown, "" if nothing is.
func pageProblem(uri string) string {
	u, problem := parseURI(uri)
	switch {
	case problem != "":
		return problem
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return hostProblem(u)
	}
	return "must be https: http is for localhost and loopback addresses only"
}

// parseURI parses an absolute URI and refuses what browsers, servers and Go read
// in different ways.
func parseURI(uri string) (*url.URL, string) {
	switch {
	case len(uri) > maxURI:
		return nil, "is longer than " + strconv.Itoa(maxURI) + " characters"
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, "has spaces, controls or letters beyond ASCII: write them percent-encoded, a domain in its xn-- form"
	case strings.ContainsAny(uri, "\\\"<>^`{|}"):
		return nil, "has a character that a URI cannot have (RFC 3986 section 2)"
	case strings.Contains(uri, "*"):
		return nil, "has a wildcard: every address is registered in full"
	case strings.Contains(uri, "#"):
		return nil, "has a fragment"
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return nil, "is not an absolute URI"
	case !strings.HasPrefix(uri, u.Scheme):
		return nil, "must have its scheme in lower case"
	case u.User != nil || strings.Contains(u.Host, "@"):
		return nil, "has a user name or password in it"
	}
	for segment := range strings.SplitSeq(u.Path, "/") { // Path is decoded: %2e counts
		if segment == ".." || segment == "." {
			return nil, "has . or .. in its path"
		}
	}
	if strings.Contains(u.Path, "\\") || strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return nil, "has an encoded slash or backslash in its path"
	}
	return u, ""
}

// fetchProblem says what is wrong with an address that we ask or tell something,
// "" if nothing is. http is for what outbound.allow names, which is known when the
// address is.
func fetchProblem(uri string) string {
	u, problem := parseURI(uri)
	switch {
	case problem != "":
		return problem
	case u.Scheme == "https", u.Scheme == "http":
		return hostProblem(u)
	}
	return "must be https: http is for inside addresses only, which outbound.allow names"
}

// hostProblem says what is wrong with the host and port of an http(s) URI.
func hostProblem(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	switch {
	case u.Opaque != "" || host == "" || strings.ContainsAny(host, "%") || strings.HasSuffix(host, "."):
		return "has no proper host"
	case strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port):
		return "has no proper port"
	}
	return ""
}

// isLoopback reports whether host is localhost or a loopback address in its one
// form: 127.1, 0x7f000001 and ::ffff:127.0.0.1 are not.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && !addr.Is4In6() && addr.String() == host
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] < '1' || s[0] > '9' {
		return false
	}
	n, err := strconv.Atoi(s)
	return err == nil && n <= 65535
}

// MatchRedirect reports whether uri is one of the client's redirects, character
// by character. Only the port of a native client's http loopback literal may be
// another one (RFC 8252 section 7.3): the system gives it one when it listens.
func (s *Service) MatchRedirect(c *storage.Client, uri string) (ok bool) {
	return matches(c.Metadata.V.RedirectURIs, c.Metadata.V.ApplicationType, uri)
}

func matches(registered []string, applicationType, uri string) bool {
	for _, r := range registered {
		if r == uri {
			return true
		}
	}
	if applicationType != typeNative {
		return false
	}
	host, rest, ok := cutLoopbackPort(uri)
	if !ok {
		return false
	}
	for _, r := range registered {
		if h, p, ok := cutLoopbackPort(r); ok && h == host && p == rest {
			return true
		}
	}
	return false
}

// cutLoopbackPort returns what stands before and after the port of an http URI
// whose host is a loopback literal. Anything else after the host but a port and
// a path or query is another host, or a user name.
func cutLoopbackPort(uri string) (before, after string, ok bool) {
	for _, before := range [...]string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, before)
		if !ok {
			continue
		}
		if digits, found := strings.CutPrefix(rest, ":"); found {
			end := strings.IndexAny(digits, "/?")
			if end < 0 {
				end = len(digits)
			}
			if !isPort(digits[:end]) {
				return "", "", false
			}
			rest = digits[end:]
		}
		return before, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}
