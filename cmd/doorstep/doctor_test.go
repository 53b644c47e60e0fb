package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/risk"
	"github.com/doorstep-id/doorstep/storage"
)

// TestDoctorJudges what a script cannot bring about.
func TestDoctorJudges(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	expiring := func(left time.Duration) func(*doctor) {
		return func(d *doctor) {
			s := settings{TLSCert: t.TempDir() + "/cert.pem", TLSKey: t.TempDir() + "/key.pem"}
			if err := makePair(&s, 1, now.Add(left)); err != nil {
				t.Fatal(err)
			}
			pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
			if err != nil {
				t.Fatal(err)
			}
			pair.Leaf.NotAfter = now.Add(left)
			d.cfg.Issuer = "https://" + pair.Leaf.DNSNames[0]
			d.expiry("certificate", pair.Leaf, "it")
		}
	}
	due := func(rotates time.Time, more ...keys.Key) func(*doctor) {
		return func(d *doctor) {
			d.signingKeys(append(more, keys.Key{KID: "k", Alg: keys.ES256, State: keys.StateSigning, ActiveAt: now.Add(-day), RotatesAt: rotates}))
		}
	}
	strict := rules.Set{Rules: []rules.Rule{{Then: rules.Demand{Outcome: policy.Require, ACR: policy.AAL2}}}}
	type counts = map[string]int
	for what, tc := range map[string]struct {
		look func(*doctor)
		want string // status
		says string
	}{
		"a certificate that lasts":     {expiring(90 * day), statusOK, "lasts until 2027-02-25"},
		"a certificate that ends soon": {expiring(13 * day), statusWarning, "ends on 2026-12-10"},
		"a certificate that ended":     {expiring(-time.Hour), statusFault, "ended on 2026-11-27"},
		"rules that no mail leads to":  {func(d *doctor) { d.own.rules = strict; d.firstFactors() }, statusWarning, "nobody who has no factor yet can add a first one"},
		"rules that a mail leads to": {func(d *doctor) {
			d.own.rules = strict
			d.cfg.SMTP = &mail.SMTP{Host: "localhost", Port: 25}
			d.firstFactors()
		}, statusOK, "proves an address"},
		"no places":                       {func(d *doctor) { d.ages(nil) }, statusOK, "nothing is known of where addresses are"},
		"places of late":                  {func(d *doctor) { d.ages([]risk.Age{{Path: "/p", Built: now.Add(-day)}}) }, statusOK, "/p is of 2026-11-26"},
		"places of long ago":              {func(d *doctor) { d.ages([]risk.Age{{Path: "/p", Built: now.Add(-100 * day), Stale: true}}) }, statusWarning, "/p is of 2026-08-19"},
		"a disk with room":                {func(d *doctor) { d.space("/d", 5<<30) }, statusOK, "5.0 GB free in /d"},
		"a disk that fills":               {func(d *doctor) { d.space("/d", 500<<20) }, statusWarning, "500.0 MB free"},
		"a disk that is full":             {func(d *doctor) { d.space("/d", 12) }, statusFault, "only 12 bytes free"},
		"settings that lose what is said": {func(d *doctor) { d.durability(&storage.Facts{Unsafe: []string{"fsync is off"}}) }, statusFault, "fsync is off"},
		"a key that is due today":         {due(now.Add(-time.Hour)), statusOK, "ES256 since 2026-11-26 (next 2026-11-27)"},
		"a key that nobody rotates":       {due(now.Add(-2 * day)), statusWarning, "was due for a successor on 2026-11-25"},
		"a key with a successor":          {due(now.Add(-2*day), keys.Key{Alg: keys.ES256, State: keys.StateNext}), statusOK, "ES256"},
		"a key that is never rotated":     {due(time.Time{}), statusOK, "next never"},
		"a proxy that is believed":        {func(d *doctor) { d.proxy(counts{"believed": 1}, counts{"believed": 2}) }, statusOK, "passes X-Forwarded-For"},
		"a proxy that is not trusted":     {func(d *doctor) { d.proxy(counts{}, counts{"ignored": 1}) }, statusFault, "not trusted"},
		"a proxy that tells nothing":      {func(d *doctor) { d.proxy(counts{"missing": 1}, counts{"missing": 2}) }, statusFault, "passes no X-Forwarded-For"},
		"a proxy that nobody trusts":      {func(d *doctor) { d.proxy(counts{"ignored": 1}, counts{"ignored": 1}) }, statusFault, "it is not trusted"},

		"a key file of its owner's":        {func(d *doctor) { d.kekFile("/k", 0o600, false) }, statusOK, "its owner's alone"},
		"a secret of Docker compose":       {func(d *doctor) { d.kekFile("/run/secrets/kek", 0o444, true) }, statusOK, "mode 444) is mounted read-only"},
		"a secret of Kubernetes":           {func(d *doctor) { d.kekFile("/run/secrets/doorstep/kek", 0o440, true) }, statusOK, "mounted read-only"},
		"a key file that everybody reads":  {func(d *doctor) { d.kekFile("/run/secrets/kek", 0o444, false) }, statusFault, "others on this machine may read /run/secrets/kek (mode 444)"},
		"a key file that its group reads":  {func(d *doctor) { d.kekFile("/k", 0o640, false) }, statusWarning, "the group of /k may read it"},
		"a key file that its group writes": {func(d *doctor) { d.kekFile("/k", 0o660, false) }, statusFault, "may change /k"},

		"events that are chained":   {func(d *doctor) { d.eventHealth(events.Health{Number: 7, Waiting: now.Add(-time.Second)}) }, statusOK, "7 are chained"},
		"events that nobody chains": {func(d *doctor) { d.eventHealth(events.Health{Number: 7, Waiting: now.Add(-time.Hour)}) }, statusWarning, "since 2026-11-27T11:00:00Z"},
		"a head that is not ours":   {func(d *doctor) { d.eventHealth(events.Health{Fault: &events.Fault{Number: 3, Says: "is bad"}}) }, statusFault, "event 3 is bad"},
	} {
		d := &doctor{cfg: &config{settings: settings{Issuer: "https://login.example.com"}}, now: func() time.Time { return now }}
		tc.look(d)
		if len(d.findings) == 0 || d.findings[0].Status != tc.want || !strings.Contains(d.findings[0].Says, tc.says) {
			t.Errorf("%s: %+v, want %s: %s", what, d.findings, tc.want, tc.says)
			continue
		}
		if f := d.findings[0]; f.Status != statusOK && f.Do == "" {
			t.Errorf("%s: %q does not say what to do", what, f.Says)
		}
	}
}

// TestDoctorAsksTheServer: what the server here counted while the issuer was asked
// tells of the proxy; an issuer that answers with something else is a fault.
func TestDoctorAsksTheServer(t *testing.T) {
	seen := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			seen++
			_, _ = w.Write([]byte("# HELP x\ndoorstep_forwarded_requests_total{header=\"believed\"} " + strings.Repeat("1", seen) + "\n"))
			return
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := &doctor{cfg: &config{settings: settings{Issuer: "https://" + at.Host, OpsListen: at.Host}}, now: time.Now}
	before, ok := d.forwarded(t.Context())
	after, still := d.forwarded(t.Context())
	if !ok || !still || before["believed"] != 1 || after["believed"] != 11 {
		t.Errorf("%v %v, %v %v", before, ok, after, still)
	}
	d.cfg.Issuer = server.URL
	d.issuer(t.Context())
	if len(d.findings) != 1 || d.findings[0].Status != statusFault || !strings.Contains(d.findings[0].Says, "something else than metadata") {
		t.Errorf("%+v", d.findings)
	}
}
