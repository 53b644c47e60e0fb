package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) healthCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is alive",
		Long: `Ask the server on this machine whether it is alive: exit 0 if it is, 1 if not.

It asks /healthz of ops_listen, or of listen if ops_listen is off.`,
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
	addSettingFlags(cmd, "issuer", "listen", "ops_listen")
	return cmd
}

// checkHealth asks /healthz and returns its address.
func checkHealth(ctx context.Context, cfg *config) (string, error) {
	scheme := "http"
	if cfg.OpsListen == "" && cfg.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(cmp.Or(cfg.OpsListen, cfg.Listen))
	if err != nil {
		return "", err
	}
	// Whoever listens on all addresses listens on loopback.
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	target := scheme + "://" + net.JoinHostPort(host, port) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
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
	return target, nil
}
