package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/web"
)

// Certificates that end within soon want somebody to see to it.
const soon = 14 * day

// certificate looks at the pair that this server shows.
func (d *doctor) certificate() {
	const check = "certificate file"
	if d.cfg.TLSCert == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(d.cfg.TLSCert, d.cfg.TLSKey)
	if err != nil {
		d.fault(check, "correct tls.cert_file and tls.key_file", "%v", err)
		return
	}
	d.expiry(check, pair.Leaf, d.cfg.TLSCert)
}

// expiry says how long a certificate lasts, and whether it is the issuer's.
func (d *doctor) expiry(check string, cert *x509.Certificate, what string) {
	host := ""
	if u, err := url.Parse(d.cfg.Issuer); err == nil {
		host = u.Hostname()
	}
	left, until := cert.NotAfter.Sub(d.now()), cert.NotAfter.UTC().Format(time.DateOnly)
	switch err := cert.VerifyHostname(host); {
	case err != nil:
		d.fault(check, "get one for "+host, "%s is not for the issuer: %v", what, err)
	case left <= 0:
		d.fault(check, "renew it", "%s ended on %s", what, until)
	case left < soon:
		d.warning(check, "renew it", "%s ends on %s", what, until)
	default:
		d.ok(check, "%s lasts until %s", what, until)
	}
}

// maxAnswer is more than any answer that is read here.
const maxAnswer = 4 << 20

// get asks for a document. Redirects are an answer like another.
func (d *doctor) get(ctx context.Context, target string) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res, body, err
}

// issuer asks for the issuer's own metadata, as every client does.
func (d *doctor) issuer(ctx context.Context) {
	const check = "issuer"
	before, counted := d.forwarded(ctx)
	target := d.cfg.Issuer + web.PathOpenIDConfiguration
	res, body, err := d.get(ctx, target) //nolint:bodyclose // get has read and closed it
	if err != nil {
		d.fault(check, "start the server, or see to the name, the proxy and the firewall in front of it", "%s cannot be read from here: %v", target, err)
		return
	}
	var told struct {
		Issuer string `json:"issuer"`
	}
	switch {
	case res.StatusCode != http.StatusOK:
		d.fault(check, "have the proxy pass it to the server as it is", "%s answers %s", target, res.Status)
	case json.Unmarshal(body, &told) != nil:
		d.fault(check, "have the proxy pass it to the server as it is", "%s answers with something else than metadata", target)
	case told.Issuer != d.cfg.Issuer:
		d.fault(check, "give the servers and this command one issuer", "%s says that it is %q", target, told.Issuer)
	default:
		d.ok(check, "%s is what it says", d.cfg.Issuer)
	}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		d.expiry("certificate", res.TLS.PeerCertificates[0], "the issuer's certificate")
	}
	if after, still := d.forwarded(ctx); counted && still {
		d.proxy(before, after)
	}
}

// forwardedLine is a line of the metric of X-Forwarded-For.
var forwardedLine = regexp.MustCompile(`(?m)^doorstep_forwarded_requests_total\{header="(\w+)"\} (\d+)$`)

// forwarded asks the server here what became of the X-Forwarded-For of its requests.
func (d *doctor) forwarded(ctx context.Context) (counts map[string]int, ok bool) {
	if !d.cfg.behindProxy() || d.cfg.OpsListen == "" {
		return nil, false
	}
	res, body, err := d.get(ctx, "http://"+here(d.cfg.OpsListen)+"/metrics") //nolint:bodyclose // get has read and closed it
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, false // that it does not answer is said elsewhere
	}
	counts = map[string]int{}
	for _, match := range forwardedLine.FindAllStringSubmatch(string(body), -1) {
		counts[match[1]], _ = strconv.Atoi(match[2]) // digits
	}
	return counts, true
}

// proxy says whether the proxy in front tells who its visitors are, by what became of
// the requests that came while the issuer was asked.
func (d *doctor) proxy(before, after map[string]int) {
	const check = "proxy"
	came := func(how string) bool { return after[how] > before[how] }
	switch {
	case came("ignored"):
		d.fault(check, "set trusted_proxies to the proxy's network, such as 10.0.0.0/8", "X-Forwarded-For comes from an address that is not trusted: all visitors seem to come from there, and share one limit")
	case came("believed"):
		d.ok(check, "it is trusted, and passes X-Forwarded-For")
	case came("missing"):
		d.fault(check, "have it set X-Forwarded-For to the visitor's address", "the trusted proxy passes no X-Forwarded-For: all visitors seem to come from it, and share one limit")
	case len(d.cfg.TrustedProxies) == 0:
		d.fault(check, "have it set X-Forwarded-For, and set trusted_proxies to its network", "the issuer is https and this server is not, so a proxy is in front, and it is not trusted")
	default:
		d.warning(check, "run doctor on each machine that serves", "the question did not come to the server on this machine, so its proxy cannot be judged")
	}
}

// server asks the server on this machine whether it is ready.
func (d *doctor) server(ctx context.Context) {
	const check = "server"
	if d.cfg.OpsListen == "" {
		d.warning(check, "set it, to a port that the public does not reach", "ops_listen is off: nobody can ask whether the server is ready")
		return
	}
	target := "http://" + here(d.cfg.OpsListen) + "/readyz"
	res, body, err := d.get(ctx, target) //nolint:bodyclose // get has read and closed it
	if err != nil {
		d.fault(check, "start it, or correct ops_listen", "no server answers on this machine: %v", err)
		return
	}
	if res.StatusCode == http.StatusOK {
		d.ok(check, "%s says that it is ready", target)
		return
	}
	var checks map[string]string
	failing := []string{fmt.Sprintf("it answers %s", res.Status)}
	if json.Unmarshal(body, &checks) == nil {
		for name, says := range checks {
			if says != "ok" && name != "clock_drift" {
				failing = append(failing, name+": "+says)
			}
		}
	}
	d.fault(check, "see to what it names", "the server here is not ready: %s", strings.Join(failing, "; "))
}
