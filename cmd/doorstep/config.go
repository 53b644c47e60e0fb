package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/provider/sms"
)

// settings is the whole configuration, parsed.
type settings struct {
	Issuer         string
	Listen         string
	OpsListen      string // "": none
	Database       string
	MaxConnections int    // to Postgres
	KEK            []byte // 32 bytes; nil: the file beside the SQLite database
	KEKAccepted    [][]byte
	TLSCert        string
	TLSKey         string
	TrustedProxies []netip.Prefix
	OutboundAllow  []netip.Prefix
	Pprof          bool
	LogLevel       slog.Level
	LogFormat      string
	Brand          string
	Templates      string // directory; "": none

	RPID            string   // of passkeys; "": the issuer's host
	PasskeyOrigins  []string // beside the issuer's
	PasskeyModels   []string // their AAGUIDs; none: all
	AbandonPasskeys bool

	AccessToken, IDToken, Code   time.Duration
	RefreshIdle, RefreshAbsolute time.Duration
	Session, SessionIdle         time.Duration
	Remember                     time.Duration
	JWKSMaxAge, RotateEvery      time.Duration
	Drain, Notice, Sweep         time.Duration
	KeepEvents                   time.Duration // 0: for ever

	PasswordMemory, PasswordTime, PasswordWorkers int
	PasswordBreached                              string

	SMTP                       *mail.SMTP // nil: no mails
	SMTPTLS                    string     // "": as the server's place demands
	SMTPUsername, SMTPPassword string
	MailFrom, MailReplyTo      *netmail.Address

	SMSURL, SMSGateway, SMSUsername, SMSSecret, SMSFrom string
	SMSCountries                                        []string
	SMSCaps                                             sms.Caps
	SMSTimeout                                          time.Duration
	SMSAAL2                                             bool

	Rules        string // file; "": everybody who proved who they are comes in
	Scorers      []string
	Places       []string
	PlacesMaxAge time.Duration
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

// signIn is how long a proof is good for anything.
var signIn = policy.LimitsOf(policy.AAL1)

// minMemory is, with 5 passes, the weakest that OWASP's password storage cheat sheet
// accepts of argon2id; in KiB.
const minMemory = 7168

// proxiesHere is whoever can be in front of a listener on loopback.
var proxiesHere = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

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
	{key: "ops.pprof", preset: "off", help: "profiles at /debug/pprof/ of ops_listen: on or off",
		set: func(s *settings, text string) error { return onOff(&s.Pprof, text) }},
	{key: "database.url", preset: "sqlite:///./doorstep-data/doorstep.db", help: "sqlite:///path or postgres://...",
		secret: true, set: func(s *settings, text string) (err error) { s.Database, err = databaseURL(text); return err }},
	{key: "database.max_connections", preset: "8", help: "connections to Postgres at once; SQLite has its own number",
		set: integer(func(s *settings) *int { return &s.MaxConnections }, 1, 1000)},
	{key: "keys.kek", help: "key-encryption key: 32 random bytes in base64 (default with SQLite: the file kek beside the database, made when missing)",
		secret: true, flagless: true, set: func(s *settings, text string) (err error) { s.KEK, err = parseKEK(text); return err }},
	{key: "keys.kek_accepted", help: "key-encryption keys that may have sealed something too, such as the last one and the next, with commas or lines between",
		secret: true, flagless: true, set: func(s *settings, text string) (err error) { s.KEKAccepted, err = parseKEKs(text); return err }},
	{key: "keys.jwks_max_age", preset: "15m", help: "how long clients may keep the published keys",
		set: duration(func(s *settings) *time.Duration { return &s.JWKSMaxAge }, time.Second, 7*day)},
	{key: "keys.rotate_every", preset: "90d", help: "how long a signing key signs before a server publishes its successor; 0 for never",
		set: duration(func(s *settings) *time.Duration { return &s.RotateEvery }, 0, 3650*day)},
	{key: "tls.cert_file", help: "path of the certificate chain in PEM, read again when it changes",
		set: anyText(func(s *settings) *string { return &s.TLSCert })},
	{key: "tls.key_file", help: "path of the certificate's private key in PEM",
		set: anyText(func(s *settings) *string { return &s.TLSKey })},
	{key: "trusted_proxies", help: "CIDRs of proxies whose X-Forwarded-For is believed (default: this machine, if the issuer is https without tls.cert_file and listen is on loopback)",
		set: func(s *settings, text string) (err error) { s.TrustedProxies, err = proxies(text); return err }},
	{key: "outbound.allow", help: "CIDRs of inside addresses that URLs which operators registered may reach, by http too (default: none)",
		set: func(s *settings, text string) (err error) { s.OutboundAllow, err = prefixes(text); return err }},
	{key: "server.drain", preset: "20s", help: "how long requests under way may take to end when the server stops",
		set: duration(func(s *settings) *time.Duration { return &s.Drain }, time.Second, 10*time.Minute)},
	{key: "server.notice", preset: "0s", help: "how long /readyz fails before the server that stops takes no more requests",
		set: duration(func(s *settings) *time.Duration { return &s.Notice }, 0, 10*time.Minute)},
	{key: "server.sweep", preset: "1m", help: "how often lapsed rows are deleted",
		set: duration(func(s *settings) *time.Duration { return &s.Sweep }, time.Second, time.Hour)},
	{key: "events.keep", preset: "400d", help: "how long events are kept, before the oldest are deleted; 0 for ever",
		set: duration(func(s *settings) *time.Duration { return &s.KeepEvents }, 0, longestKeep)},
	{key: "log.level", preset: "info", help: "debug, info, warn or error",
		set: func(s *settings, text string) error { return oneOfLevels(&s.LogLevel, text) }},
	{key: "log.format", preset: "json", help: "json or text",
		set: oneOf(func(s *settings) *string { return &s.LogFormat }, "json", "text")},
	{key: "brand.name", preset: "Doorstep", help: "what pages call this place",
		set: anyText(func(s *settings) *string { return &s.Brand })},
	{key: "templates", help: "directory with pages, mails and words of your own, in the place of the built-in ones (default: none)",
		set: anyText(func(s *settings) *string { return &s.Templates })},

	{key: "mail.smtp.url", help: "SMTP server that takes mails, smtp://host:587 (STARTTLS) or smtps://host:465 (default: none, and no mails are sent)",
		set: func(s *settings, text string) (err error) { s.SMTP, err = mail.ParseSMTP(text); return err }},
	{key: "mail.smtp.tls", help: "mandatory, or opportunistic for an smtp:// server that may have no STARTTLS (default: mandatory, but for a server on loopback)",
		set: oneOf(func(s *settings) *string { return &s.SMTPTLS }, "mandatory", "opportunistic")},
	{key: "mail.smtp.username", help: "name of the user at the SMTP server (default: none, and no password)",
		set: anyText(func(s *settings) *string { return &s.SMTPUsername })},
	{key: "mail.smtp.password", help: "password at the SMTP server",
		secret: true, flagless: true, set: anyText(func(s *settings) *string { return &s.SMTPPassword })},
	{key: "mail.from", help: "sender of mails, such as no-reply@example.com; a name may stand before it: Example <no-reply@example.com>",
		set: mailAddress(func(s *settings) **netmail.Address { return &s.MailFrom })},
	{key: "mail.reply_to", help: "where answers to mails go (default: to the sender)",
		set: mailAddress(func(s *settings) **netmail.Address { return &s.MailReplyTo })},

	{key: "sms.url", help: "where text messages are given to a gateway, such as https://sms.example/send (default: none, and no text messages are sent)",
		set: func(s *settings, text string) (err error) { s.SMSURL, err = gatewayURL(text); return err }},
	{key: "sms.gateway", preset: "webhook", help: "how the gateway is spoken to: webhook (JSON, signed) or twilio (a form, with a password)",
		set: oneOf(func(s *settings) *string { return &s.SMSGateway }, "webhook", "twilio")},
	{key: "sms.username", help: "name of the user at a gateway like Twilio: the account's SID, or an API key's",
		set: anyText(func(s *settings) *string { return &s.SMSUsername })},
	{key: "sms.secret", help: "what webhooks are signed with, 24 to 64 bytes in base64, or the password at a gateway like Twilio",
		secret: true, flagless: true, set: anyText(func(s *settings) *string { return &s.SMSSecret })},
	{key: "sms.from", help: "sender of text messages, as the gateway wants it: a number, a name, or a service's SID",
		set: sender(func(s *settings) *string { return &s.SMSFrom })},
	{key: "sms.countries", help: "countries that text messages are sent to, with commas between, such as SE,NO (default: none)",
		set: countries(func(s *settings) *[]string { return &s.SMSCountries })},
	{key: "sms.per_number", preset: "10", help: "text messages to one number in a day",
		set: integer(func(s *settings) *int { return &s.SMSCaps.Number }, 1, 1000)},
	{key: "sms.per_person", preset: "20", help: "text messages for one person in a day",
		set: integer(func(s *settings) *int { return &s.SMSCaps.Person }, 1, 1000)},
	{key: "sms.per_network", preset: "50", help: "text messages in a day that are asked for from one block of addresses, /24 or /48",
		set: integer(func(s *settings) *int { return &s.SMSCaps.Network }, 1, 1_000_000)},
	{key: "sms.per_country", preset: "1000", help: "text messages to one country in a day",
		set: integer(func(s *settings) *int { return &s.SMSCaps.Country }, 1, 100_000_000)},
	{key: "sms.aal2", preset: "off", help: "a code by text message counts beside a password, as a second factor: on or off",
		set: func(s *settings, text string) error { return onOff(&s.SMSAAL2, text) }},
	{key: "sms.timeout", preset: "10s", help: "how long the gateway has to take a message",
		set: duration(func(s *settings) *time.Duration { return &s.SMSTimeout }, time.Second, time.Minute)},

	{key: "risk.rules", help: "YAML file of rules: what has to be proven, by whom and for what (default: none, and every proof will do)",
		set: anyText(func(s *settings) *string { return &s.Rules })},
	{key: "risk.scorers", preset: risk.BuiltIn()[0], help: "who says how unusual an attempt is, with commas between: " + strings.Join(risk.BuiltIn(), ", ") + "; or none, and rules alone decide",
		set: scorers(func(s *settings) *[]string { return &s.Scorers })},
	{key: "risk.places", help: "files that say where addresses are, in the MaxMind DB format, with commas between (default: none)",
		set: texts(func(s *settings) *[]string { return &s.Places })},
	{key: "risk.places_max_age", preset: "90d", help: "how old such a file may be before it is told of",
		set: duration(func(s *settings) *time.Duration { return &s.PlacesMaxAge }, time.Hour, 3650*day)},

	{key: "webauthn.rp_id", help: "domain that passkeys are made for: the issuer's host or a domain above it (default: the issuer's host)",
		set: anyText(func(s *settings) *string { return &s.RPID })},
	{key: "webauthn.origins", help: "further origins whose pages may ask for passkeys, with commas between, such as https://shop.example (default: none)",
		set: texts(func(s *settings) *[]string { return &s.PasskeyOrigins })},
	{key: "webauthn.aaguids", help: "AAGUIDs of the models of authenticators that may be added, with commas between (default: all)",
		set: texts(func(s *settings) *[]string { return &s.PasskeyModels })},
	{key: "webauthn.abandon_passkeys", preset: "off", help: "start although there are passkeys of another webauthn.rp_id, which no browser offers any more: on or off",
		set: func(s *settings, text string) error { return onOff(&s.AbandonPasskeys, text) }},

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
	{key: "lifetimes.session", preset: short(signIn.Lives), help: "lifetime of a browser's sign-in",
		set: duration(func(s *settings) *time.Duration { return &s.Session }, time.Minute, signIn.Lives)},
	{key: "lifetimes.session_idle", preset: short(signIn.Idle), help: "lifetime of a browser's sign-in that is not used",
		set: duration(func(s *settings) *time.Duration { return &s.SessionIdle }, time.Minute, signIn.Idle)},
	{key: "lifetimes.remember", preset: "90d", help: "how long a browser spares somebody from a second factor who does not want to be asked again",
		set: duration(func(s *settings) *time.Duration { return &s.Remember }, time.Minute, 400*day)},

	{key: "password.memory", preset: "19456", help: "KiB of memory for each password hash (argon2id)",
		set: integer(func(s *settings) *int { return &s.PasswordMemory }, minMemory, proof.MaxMemory)},
	{key: "password.time", preset: "2", help: "passes of each password hash",
		set: integer(func(s *settings) *int { return &s.PasswordTime }, 1, proof.MaxTime)},
	{key: "password.breached_file", help: "path of a list of breached passwords, beside the common ones that are always refused; see 'doorstep password filter build'",
		set: anyText(func(s *settings) *string { return &s.PasswordBreached })},
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
	migrates bool // brings an older schema up by itself: a demo has no operator
	values   map[string]value
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
	c.derive()
	c.check(l)
	if needsKEK {
		c.checkKEK(l)
	}
	if len(l.faults) > 0 {
		return c, &configError{l.faults}
	}
	return c, nil
}

// derive gives what is not set the default that follows from the rest.
func (c *config) derive() {
	if c.values["listen"].text == "" && c.Issuer != "" {
		c.Listen = "127.0.0.1:8080"
		if u, err := url.Parse(c.Issuer); err == nil && u.Scheme == "http" {
			c.Listen = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80"))
		}
		c.values["listen"] = value{c.Listen, "default"}
	}
	if c.values["trusted_proxies"].from == "default" && c.behindProxy() && c.listensHere() {
		c.TrustedProxies = proxiesHere
		c.values["trusted_proxies"] = value{fmt.Sprintf("%s,%s", proxiesHere[0], proxiesHere[1]), "default"}
	}
}

// behindProxy says whether somebody else has to end TLS.
func (c *config) behindProxy() bool { return strings.HasPrefix(c.Issuer, "https:") && c.TLSCert == "" }

// listensHere says whether only this machine can reach the provider.
func (c *config) listensHere() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLoopback(host)
}

// check holds settings against each other.
func (c *config) check(l *layers) {
	fault := func(key, format string, args ...any) { l.fault(key, c.values[key].from, format, args...) }
	for _, key := range []string{"issuer", "database.url", "log.level", "log.format", "brand.name", "ops.pprof"} {
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
	if c.RotateEvery > 0 && c.RotateEvery < max(day, 2*c.JWKSMaxAge) {
		fault("keys.rotate_every", "must be 0, for never, or at least a day and twice keys.jwks_max_age: a key is known for that long before it signs")
	}
	if c.KeepEvents > 0 && c.KeepEvents < day {
		fault("events.keep", "must be 0, for ever, or at least a day")
	}
	c.checkMail(fault)
	c.checkSMS(fault)
	c.checkPasskeys(fault)
	const weakest = minMemory * 5
	if work := c.PasswordMemory * c.PasswordTime; work > 0 && work < weakest {
		fault("password.memory", "times password.time must be at least %d: passwords would be too cheap to guess", weakest)
	}
}

// checkMail holds the settings of mails against each other.
func (c *config) checkMail(fault func(key, format string, args ...any)) {
	if c.SMTP == nil {
		for _, key := range []string{"mail.smtp.tls", "mail.smtp.username", "mail.smtp.password", "mail.from", "mail.reply_to"} {
			if c.values[key].text != "" && c.values["mail.smtp.url"].text == "" {
				fault(key, "is of no use without mail.smtp.url")
			}
		}
		return
	}
	if c.values["mail.from"].text == "" {
		fault("mail.from", "is missing: somebody has to be the sender of mails")
	}
	if (c.SMTPUsername == "") != (c.SMTPPassword == "") {
		fault("mail.smtp.username", "and mail.smtp.password belong together: set both or neither")
	}
	if c.SMTP.Implicit && c.SMTPTLS != "" {
		fault("mail.smtp.tls", "is for smtp:// alone: smtps:// is TLS from the first byte")
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
