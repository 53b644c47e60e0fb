package main

import (
	"context"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the provider",
		Long: `Run the provider until SIGTERM or SIGINT, which let requests under way end; a
second one ends it at once.

Without any configuration it serves http://localhost:8080 from an SQLite database in
./doorstep-data, and makes its keys there.`,
		Example: `  doorstep serve
  doorstep serve --config /etc/doorstep.yaml
  doorstep serve --issuer https://login.example.com --database-url sqlite:////var/lib/doorstep/doorstep.db`,
		Args: cobra.NoArgs,
		RunE: a.configured(a.serve),
	}
	addSettingFlags(cmd)
	return cmd
}

func (a *app) serve(ctx context.Context, cfg *config, _ []string) error {
	log := a.logger(cfg.LogLevel, cfg.LogFormat)
	certificate, err := cfg.tls(a.now, log)
	if err != nil {
		return err
	}
	return a.withStore(ctx, cfg, func(store *storage.Store, pc provider.Config) error {
		pc.Server = provider.ServerConfig{Listen: addresses(ctx, cfg.Listen), OpsListen: cfg.OpsListen, TLS: certificate}
		p, err := provider.New(ctx, pc, store, log, a.now)
		if err != nil {
			return cfg.explain(err)
		}
		return p.Run(ctx, func() {
			log.Info("ready", slog.String("issuer", cfg.Issuer), slog.String("listen", strings.Join(pc.Server.Listen, " ")),
				slog.String("ops_listen", cfg.OpsListen), slog.String("version", readBuild().Version))
		})
	})
}

// addresses is where to listen for a host:port. A listener has one address, but
// localhost has two, and a browser may try either first.
func addresses(ctx context.Context, listen string) []string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "localhost" {
		return []string{listen}
	}
	both := []string{net.JoinHostPort("127.0.0.1", port)}
	if probe, err := new(net.ListenConfig).Listen(ctx, "tcp", "[::1]:0"); err == nil {
		_ = probe.Close() // it was never used
		both = append(both, net.JoinHostPort("::1", port))
	}
	return both
}
