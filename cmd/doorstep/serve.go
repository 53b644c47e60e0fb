package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
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
./doorstep-data, and makes its keys there. While there is no operator it prints a link
by which the first one comes in: 'doorstep setup-link' prints another one.`,
		Example: `  doorstep serve
  doorstep serve --config /etc/doorstep.yaml
  doorstep serve --issuer https://login.example.com --database-url sqlite:///var/lib/doorstep/doorstep.db`,
		Args: cobra.NoArgs,
		RunE: a.configured(a.serve),
	}
	addSettingFlags(cmd)
	return cmd
}

func (a *app) serve(ctx context.Context, cfg *config, _ []string) error {
	log, flush := a.logger(cfg.LogLevel, cfg.LogFormat)
	defer flush()
	certificate, err := cfg.tls(a.now, log)
	if err != nil {
		return err
	}
	cfg.warn(log)
	leaveRoom()
	traces, flushTraces, err := a.traces(ctx, provider.ReadBuild().Version, log)
	if err != nil {
		return err
	}
	defer flushTraces()
	return a.withStore(ctx, cfg, func(store *storage.Store, pc provider.Config) error {
		pc.Traces = traces
		pc.Server.Listen, pc.Server.TLS = addresses(ctx, cfg.Listen), certificate
		p, err := provider.New(ctx, pc, store, log, a.now)
		if err != nil {
			return cfg.explain(err)
		}
		if !p.Mail.Enabled() {
			log.Info("mails are off: there is no mail.smtp.url")
			if p.Risk.Strict() {
				log.Warn(noFirstFactors)
			}
		}
		if err := cfg.keepsPasskeys(ctx, p.Services); err != nil {
			return err
		}
		err = newServiceManager(cfg, log).run(ctx, func(ready func()) error {
			return p.Run(ctx, func() {
				if err := a.inviteOperator(ctx, cfg, p.Services); err != nil {
					log.Warn(err.Error())
				}
				log.Info("ready", slog.String("issuer", cfg.Issuer), slog.String("listen", strings.Join(pc.Server.Listen, " ")),
					slog.String("ops_listen", pc.Server.OpsListen), slog.String("version", provider.ReadBuild().Version))
				ready()
			})
		})
		return ours(err, pc.Server)
	})
}

// leaveRoom has a thread beside the one that hashes passwords where there is a single core: else
// whoever asks for a token waits for a turn of 10 ms with each of its steps, the scheduler's. By
// threads the kernel lets them in at once. GOMAXPROCS of the environment stands.
func leaveRoom() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}

// ours names the flag of a listener that could not be opened.
func ours(err error, cfg provider.ServerConfig) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" || op.Addr == nil {
		return err
	}
	flag := "--" + flagName("listen")
	// Both may have one port on two addresses, so the resolved address decides.
	if ops, failed := net.ResolveTCPAddr("tcp", cfg.OpsListen); failed == nil && ops.String() == op.Addr.String() {
		flag = "--" + flagName("ops_listen")
	}
	return taken(op.Addr.String(), flag, op)
}

// warn says what can be meant, but is a mistake nearly always.
func (c *config) warn(log *slog.Logger) {
	if c.behindProxy() && !c.listensHere() && len(c.TrustedProxies) == 0 {
		log.Warn("the issuer is https and this listener is not, so a proxy is in front, and it is not trusted: all visitors "+
			"seem to come from it and share one limit; set trusted_proxies to its network, such as 10.0.0.0/8, or tls.cert_file "+
			"and tls.key_file if there is no proxy", slog.String("listen", c.Listen))
	}
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
