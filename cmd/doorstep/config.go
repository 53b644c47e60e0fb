package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/keys"
)

// settings is the whole configuration, parsed.
type settings struct {
	Issuer         string
	Listen         string
	OpsListen      string // "": none
	Database       string
	KEK            []byte // 32 bytes; nil: the file beside the SQLite database
	TLSCert        string
	TLSKey         string
	TrustedProxies []netip.Prefix
	LogLevel       slog.Level
	LogFormat      string
	Brand          string

	AccessToken, IDToken, Code   time.Duration
	RefreshIdle, RefreshAbsolute time.Duration
	Session, SessionIdle         time.Duration
	JWKSMaxAge                   time.Duration

	PasswordMemory, PasswordTime, PasswordWorkers int
}

// setting is one row of the table.
type setting struct {
	key      string
	preset   string
	help     string
	set      func(s *settings, text string) error
	secret   bool // never printed in full, and may come from KEY_file
	flagless bool // its flag names a file: arguments are seen by everybody on the machine
}

const day = 24 * time.Hour

// table is every setting there is, in the order in which they are printed.
var table = []setting{
	{key: "issuer", preset: "http://localhost:8080", help: "the provider's own URL, as clients know it",
		set: func(s *settings, text string) (err error) { s.Issuer, err = issuer(text); return err }},
	{key: "listen", help: "address of the provider (default: of the issuer if that is http, else 127.0.0.1:8080)",
		set: address(func(s *settings) *string { return &s.Listen })},
	{key: "ops_listen", preset: "127.0.0.1:9080", help: "address of /healthz, /readyz and /metrics; off for none",
		set: func(s *settings, text string) error {
			if text == "off" {
				return nil
			}
			return address(func(s *settings) *string { return &s.OpsListen })(s, text)
		}},
	{key: "database.url", preset: "sqlite:///./doorstep-data/doorstep.db", help: "sqlite:///path or postgres://...",
		secret: true, set: func(s *settings, text string) (err error) { s.Database, err = databaseURL(text); return err }},
	{key: "keys.kek", help: "key-encryption key: 32 random bytes in base64 (default with SQLite: the file kek beside the database, made when missing)",
		secret: true, flagless: true, set: func(s *settings, text string) (err error) { s.KEK, err = parseKEK(text); return err }},
	{key: "keys.jwks_max_age", preset: "15m", help: "how long clients may keep the published keys",
		set: duration(func(s *settings) *time.Duration { return &s.JWKSMaxAge }, time.Second, 7*day)},
	{key: "tls.cert_file", help: "path of the certificate chain in PEM, read again when it changes",
		set: anyText(func(s *settings) *string { return &s.TLSCert })},
	{key: "tls.key_file", help: "path of the certificate's private key in PEM",
		set: anyText(func(s *settings) *string { return &s.TLSKey })},
	{key: "trusted_proxies", help: "CIDRs of proxies whose X-Forwarded-For is believed",
		set: func(s *settings, text string) (err error) { s.TrustedProxies, err = prefixes(text); return err }},
	{key: "log.level", preset: "info", help: "debug, info, warn or error",
		set: func(s *settings, text string) error { return oneOfLevels(&s.LogLevel, text) }},
	{key: "log.format", preset: "json", help: "json or text",
		set: oneOf(func(s *settings) *string { return &s.LogFormat }, "json", "text")},
	{key: "brand.name", preset: "Doorstep", help: "what pages call this place",
		set: anyText(func(s *settings) *string { return &s.Brand })},

	{key: "lifetimes.access_token", preset: "10m", help: "lifetime of an access token, unless its resource says otherwise",
		set: duration(func(s *settings) *time.Duration { return &s.AccessToken }, 10*time.Second, clients.MaxLifetime)},
	{key: "lifetimes.id_token", preset: "10m", help: "lifetime of an ID token",
		set: duration(func(s *settings) *time.Duration { return &s.IDToken }, 10*time.Second, clients.MaxLifetime)},
	{key: "lifetimes.code", preset: "60s", help: "lifetime of an authorization code",
		set: duration(func(s *settings) *time.Duration { return &s.Code }, time.Second, 10*time.Minute)},
	{key: "lifetimes.refresh_idle", preset: "14d", help: "lifetime of a grant whose refresh token is not used",
		set: duration(func(s *settings) *time.Duration { return &s.RefreshIdle }, time.Minute, 3650*day)},
	{key: "lifetimes.refresh_absolute", preset: "180d", help: "lifetime of a grant, used or not",
		set: duration(func(s *settings) *time.Duration { return &s.RefreshAbsolute }, time.Minute, 3650*day)},
	{key: "lifetimes.session", preset: "90d", help: "lifetime of a browser's sign-in",
		set: duration(func(s *settings) *time.Duration { return &s.Session }, time.Minute, 3650*day)},
	{key: "lifetimes.session_idle", preset: "30d", help: "lifetime of a browser's sign-in that is not used",
		set: duration(func(s *settings) *time.Duration { return &s.SessionIdle }, time.Minute, 3650*day)},

	{key: "password.memory", preset: "19456", help: "KiB of memory for each password hash (argon2id)",
		set: integer(func(s *settings) *int { return &s.PasswordMemory }, 7168, 1<<20)},
	{key: "password.time", preset: "2", help: "passes of each password hash",
		set: integer(func(s *settings) *int { return &s.PasswordTime }, 1, 100)},
	{key: "password.workers", preset: "0", help: "passwords hashed at once; 0 is one less than there are cores",
		set: integer(func(s *settings) *int { return &s.PasswordWorkers }, 0, 1024)},
}

func settingOf(key string) *setting {
	for i := range table {
		if table[i].key == key {
			return &table[i]
		}
	}
	return nil
}

// config is the configuration of this run: settings, and where each came from.
type config struct {
	settings
	values map[string]value
}

// configFault is one thing that is wrong with the configuration.
type configFault struct {
	Key     string `json:"key"`
	From    string `json:"from,omitempty"`
	Message string `json:"message"`
}

func (f configFault) String() string {
	if f.From == "" || f.From == "default" {
		return f.Key + ": " + f.Message
	}
	return fmt.Sprintf("%s (from %s): %s", f.Key, f.From, f.Message)
}

// configError is everything that is wrong with the configuration. Trying again
// cannot help, so the exit code is 78.
type configError struct{ faults []configFault }

func (e *configError) Error() string {
	if len(e.faults) == 1 {
		return e.faults[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in the configuration:", len(e.faults))
	for _, f := range e.faults {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// faultsOf returns every fault in err.
func faultsOf(err error) []configFault {
	var all *configError
	if errors.As(err, &all) {
		return all.faults
	}
	return []configFault{}
}

// refuse is the configError of one setting that turned out not to work.
func (c *config) refuse(key, format string, args ...any) error {
	return &configError{[]configFault{{Key: key, From: c.values[key].from, Message: fmt.Sprintf(format, args...)}}}
}

// load reads and checks the configuration. The config is never nil: with a
// *configError, which has all faults, it has what could be read.
func (a *app) load(flags *pflag.FlagSet) (*config, error) {
	// A command that has no use for the key has no flag for it.
	needsKEK := flags.Lookup(flagName("keys.kek"+fileSuffix)) != nil
	return readLayers(a.configFile, a.environ, flags).parse(needsKEK)
}

// parse makes the configuration of the merged layers.
func (l *layers) parse(needsKEK bool) (*config, error) {
	c := &config{values: l.values}
	for _, s := range table {
		v := c.values[s.key]
		if v.text == "" {
			continue // nothing is a value that each setting has: its zero
		}
		if err := s.set(&c.settings, v.text); err != nil {
			l.fault(s.key, v.from, "%v", err)
		}
	}
	if c.values["listen"].text == "" && c.Issuer != "" {
		c.Listen = "127.0.0.1:8080"
		if u, err := url.Parse(c.Issuer); err == nil && u.Scheme == "http" {
			c.Listen = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80"))
		}
		c.values["listen"] = value{c.Listen, "default"}
	}
	c.check(l)
	if needsKEK {
		c.checkKEK(l)
	}
	if len(l.faults) > 0 {
		return c, &configError{l.faults}
	}
	return c, nil
}

// check holds settings against each other.
func (c *config) check(l *layers) {
	fault := func(key, format string, args ...any) { l.fault(key, c.values[key].from, format, args...) }
	for _, key := range []string{"issuer", "database.url", "log.level", "log.format", "brand.name"} {
		if c.values[key].text == "" {
			fault(key, "must not be empty")
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault("tls.cert_file", "and tls.key_file belong together: set both or neither")
	}
	if c.TLSCert != "" && strings.HasPrefix(c.Issuer, "http:") {
		fault("tls.cert_file", "is of no use to the http issuer %s: make the issuer https", c.Issuer)
	}
	if c.RefreshIdle > c.RefreshAbsolute && c.RefreshAbsolute > 0 {
		fault("lifetimes.refresh_idle", "must not be longer than lifetimes.refresh_absolute")
	}
	if c.SessionIdle > c.Session && c.Session > 0 {
		fault("lifetimes.session_idle", "must not be longer than lifetimes.session")
	}
	// The weakest pair that OWASP's password storage cheat sheet accepts is 7168 KiB and 5.
	const weakest = 7168 * 5
	if work := c.PasswordMemory * c.PasswordTime; work > 0 && work < weakest {
		fault("password.memory", "times password.time must be at least %d: passwords would be too cheap to guess", weakest)
	}
}

func (c *config) checkKEK(l *layers) {
	v := c.values["keys.kek"]
	if v.text == "" && isPostgres(c.Database) {
		l.fault("keys.kek", v.from, "is missing: with Postgres every replica needs the same key-encryption key; "+
			"make one with `head -c 32 /dev/urandom | base64` and name its file in %s_FILE", envName("keys.kek"))
	}
}

// addSettingFlags gives cmd a flag for each of these settings, all if there are none.
func addSettingFlags(cmd *cobra.Command, keys ...string) {
	for _, s := range table {
		wanted := len(keys) == 0
		for _, key := range keys {
			wanted = wanted || key == s.key
		}
		if !wanted {
			continue
		}
		if s.flagless {
			cmd.Flags().String(flagName(s.key+fileSuffix), "", "file that holds the "+s.help)
			continue
		}
		cmd.Flags().String(flagName(s.key), s.preset, s.help)
	}
}

func anyText(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, text string) error { *field(s) = text; return nil }
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
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
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
		all = append(all, p.Masked())
	}
	return all, nil
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

func parseKEK(text string) ([]byte, error) {
	kek, err := keys.ParseKEK(text)
	if err != nil { // in words of ours: where it came from is said already
		return nil, errors.New("is not 32 bytes in base64: make them with `head -c 32 /dev/urandom | base64`")
	}
	return kek, nil
}
