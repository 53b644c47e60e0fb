package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/web"
)

func (a *app) healthCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is alive",
		Long: `Ask the server on this machine whether it is alive: exit 0 if it is, 1 if not.

It asks /healthz of ops_listen or, if that is off, listen for the issuer's
configuration, with whatever certificate that has.`,
		Example: "  doorstep healthcheck\n  doorstep healthcheck --ops-listen 127.0.0.1:9081 --timeout 1s",
		Args:    cobra.NoArgs,
		RunE: a.configured(func(ctx context.Context, cfg *config, _ []string) error {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			target, err := checkHealth(ctx, cfg)
			if err != nil {
				return err
			}
			return a.print(map[string]string{"status": "ok", "url": target}, func(w io.Writer) { fmt.Fprintln(w, "ok") })
		}),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	addSettingFlags(cmd, "issuer", "listen", "ops_listen", "tls.cert_file", "tls.key_file")
	return cmd
}

// checkHealth asks the server and returns what it asked.
func checkHealth(ctx context.Context, cfg *config) (string, error) {
	target, err := healthURL(cfg)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate is the issuer's, not this address's; nothing secret is said or believed.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, //nolint:gosec // see above
	}}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %s", target, res.Status)
	}
	return target.String(), nil
}

// healthURL is what answers 200 as long as the server is alive: what only the ops
// listener has, else a document that everybody may read and no database is asked for.
func healthURL(cfg *config) (*url.URL, error) {
	target, listen := &url.URL{Scheme: "http", Path: "/healthz"}, cfg.OpsListen
	if listen == "" {
		issuer, err := url.Parse(cfg.Issuer)
		if err != nil {
			return nil, err
		}
		target, listen = issuer.JoinPath(web.PathOpenIDConfiguration), cfg.Listen
		if target.Scheme = "http"; cfg.TLSCert != "" {
			target.Scheme = "https"
		}
	}
	target.Host = here(listen)
	return target, nil
}

// here is where a listener of this machine is reached: whoever listens on all
// addresses listens on loopback. It is an address: an image of one binary need not know
// what localhost is.
func here(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // the configuration has none of that
	}
	switch ip, _ := netip.ParseAddr(host); {
	case host == "", ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
