package oidc

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/doorstep-id/doorstep/provider/oidc/engine"
)

// limits bounds each parameter in bytes; one that is not named here may have
// limitOther. State and nonce are the client's own and may carry much.
var limits = map[string]int{
	"client_id": 64, "redirect_uri": 2048, "post_logout_redirect_uri": 2048, "scope": 2048, "state": 4096, "nonce": 1024,
	"code": 512, "refresh_token": 512, "code_verifier": 512, "code_challenge": 128, "id_token_hint": 8192,
	"access_token": 8192, "token": 8192, "client_secret": 512, "client_assertion": 8192, "claims": 4096,
}

const (
	limitOther = 2048
	limitCount = 64
)

// single returns the parameters, each one once and within its bound; resource
// alone may repeat (RFC 8707 section 2). Its error names the parameter: RFC 6749
// section 3.1 forbids to send one twice, and whoever reads the first or the last
// of two can be played against another reader.
func single(in url.Values) (url.Values, error) {
	if len(in) > limitCount {
		return nil, engine.Refusef("invalid_request", "A request has at most %d parameters.", limitCount)
	}
	for name, values := range in {
		if len(values) > 1 && name != "resource" || len(values) > 8 {
			return nil, engine.Refusef("invalid_request", "The parameter %s is there more than once.", printable(name))
		}
		limit := limits[name]
		if limit == 0 {
			limit = limitOther
		}
		for _, v := range values {
			if len(v) > limit {
				return nil, engine.Refusef("invalid_request", "The parameter %s is longer than %d bytes.", printable(name), limit)
			}
		}
	}
	return in, nil
}

// visible replaces what may not stand in an error description (RFC 6749 section
// 5.2: no quotes, no backslash, ASCII), which needs no escape in JSON either.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

// printable cuts a name from outside down to what an error description has room for.
func printable(s string) string {
	s = visible(s)
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return s
}

// words splits a space-delimited list and drops repetitions (RFC 6749 section 3.3).
func words(s string) []string {
	var out []string
	for _, w := range strings.Split(s, " ") {
		if w != "" && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// seconds reads a number of seconds in digits and nothing else, such as max_age.
func seconds(s string) (int64, bool) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n < 1<<40
}
