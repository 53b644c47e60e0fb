package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/keys"
)

// How the text of a setting becomes its value: each function of this file makes a
// setting's set, or does its work.

func anyText(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, text string) error { *field(s) = text; return nil }
}

// onOff reads a switch.
func onOff(field *bool, text string) error {
	switch text {
	case "on", "true":
		*field = true
	case "off", "false":
		*field = false
	default:
		return fmt.Errorf("%q is neither on nor off", text)
	}
	return nil
}

// texts reads what stands between commas.
func texts(field func(*settings) *[]string) func(*settings, string) error {
	return func(s *settings, text string) error {
		for part := range strings.SplitSeq(text, ",") {
			*field(s) = append(*field(s), strings.TrimSpace(part))
		}
		return nil
	}
}

func oneOf(field func(*settings) *string, choices ...string) func(*settings, string) error {
	return func(s *settings, text string) error {
		for _, choice := range choices {
			if text == choice {
				*field(s) = text
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", text, strings.Join(choices, ", "))
	}
}

func oneOfLevels(level *slog.Level, text string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[text]
	if !ok {
		return fmt.Errorf("%q is not one of debug, info, warn, error", text)
	}
	*level = l
	return nil
}

func integer(field func(*settings) *int, least, most int) func(*settings, string) error {
	return func(s *settings, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a whole number from %d to %d", text, least, most)
		}
		*field(s) = n
		return nil
	}
}

// duration is one of Go's, and may be given in days, which Go does not have: 90d.
func duration(field func(*settings) *time.Duration, least, most time.Duration) func(*settings, string) error {
	return func(s *settings, text string) error {
		d, err := time.ParseDuration(text)
		if days, ok := strings.CutSuffix(text, "d"); ok {
			var n int
			if n, err = strconv.Atoi(days); n > int(most/day) {
				err = errors.New("too long")
			}
			d = time.Duration(n) * day
		}
		if err != nil || d < least || d > most {
			return fmt.Errorf("%q is not a duration from %s to %s, such as 90s, 10m, 2h or 30d", text, short(least), short(most))
		}
		*field(s) = d
		return nil
	}
}

// short writes a duration as an operator would.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func address(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, text string) error {
		_, port, err := net.SplitHostPort(text)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return fmt.Errorf("%q is not host:port", text)
		}
		*field(s) = text
		return nil
	}
}

func prefixes(text string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q is not a CIDR such as 10.0.0.0/8", strings.TrimSpace(part))
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 { // as IPv4, which is how addresses are compared
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// proxies are prefixes of which none is everybody: whoever connects would say by
// X-Forwarded-For which limit is theirs.
func proxies(text string) ([]netip.Prefix, error) {
	all, err := prefixes(text)
	for _, p := range all {
		if p.Bits() == 0 {
			return nil, fmt.Errorf("%s is everybody, so that visitors could choose their address: name the network of the proxies", p)
		}
	}
	return all, err
}

// issuer checks the URL that every token names (OpenID Connect Discovery 1.0
// section 3, RFC 8414 section 2), of which http is allowed on loopback alone.
func issuer(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return "", fmt.Errorf("%q is not a URL such as https://login.example.com", text)
	case u.User != nil, u.RawQuery != "", u.ForceQuery, strings.Contains(text, "#"):
		return "", fmt.Errorf("%q must have no user, query or fragment", text)
	case strings.HasSuffix(text, "/"):
		return "", fmt.Errorf("%q must not end in a slash: every token and every client repeats it exactly", text)
	case u.Host != strings.ToLower(u.Host):
		return "", fmt.Errorf("%q must be in lower case: every token and every client repeats it exactly", text)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%q is http, which is for this machine alone: use https (a reverse proxy may end TLS, or set tls.cert_file and tls.key_file)", text)
	}
	return text, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

func databaseURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "sqlite" && !isPostgres(text) {
		return "", errors.New("is neither sqlite:///path nor postgres://user:password@host/name") // the text may hold a password
	}
	if u.Scheme == "sqlite" && (u.Host != "" || u.Path == "" || strings.HasSuffix(u.Path, "/")) {
		return "", errors.New("must be sqlite:///absolute/path or sqlite:///./relative/path of a file")
	}
	return text, nil
}

func isPostgres(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// mailAddress reads an address as mails have it (RFC 5322 section 3.4), whose own part is as
// people's are.
func mailAddress(field func(*settings) **netmail.Address) func(*settings, string) error {
	return func(s *settings, text string) error {
		a, err := netmail.ParseAddress(text)
		if err != nil || strings.ContainsFunc(a.Name, unicode.IsControl) {
			return fmt.Errorf("%q is not an address such as no-reply@example.com or Example <no-reply@example.com>", text)
		}
		if a.Address, err = ident.Email(a.Address); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		*field(s) = a
		return nil
	}
}

func parseKEK(text string) ([]byte, error) {
	kek, err := keys.ParseKEK(text)
	if err != nil { // in words of ours: where it came from is said already
		return nil, errors.New("is not 32 bytes in base64: make them with `head -c 32 /dev/urandom | base64`")
	}
	return kek, nil
}

// maxKEKs is more keys than any rotation needs.
const maxKEKs = 16

func parseKEKs(text string) ([][]byte, error) {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(parts) > maxKEKs {
		return nil, fmt.Errorf("has %d keys, more than %d", len(parts), maxKEKs)
	}
	all := make([][]byte, 0, len(parts))
	for i, part := range parts {
		kek, err := parseKEK(part)
		if err != nil {
			return nil, fmt.Errorf("number %d %w", i+1, err)
		}
		all = append(all, kek)
	}
	return all, nil
}
