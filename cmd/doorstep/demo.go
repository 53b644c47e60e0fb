package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/doorstep-id/doorstep/cmd/doorstep/shop"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/sms"
	"github.com/doorstep-id/doorstep/storage"
	"github.com/doorstep-id/doorstep/templates"
)

// demo is a provider and a shop that signs people in with it, on this machine alone.
type demo struct {
	*app
	data           string
	port, shopPort int
	log            *slog.Logger
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a}
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the provider with a demo shop that signs people in",
		Long: `Run the provider with a demo shop that signs people in, on this machine alone, and
print what to open and with which account.

Error pages tell a client's developer what went wrong; a real server never does. What
happens is kept, so that a second start finds the same people, keys and client.`,
		Example: `  doorstep demo
  doorstep demo --data ./try --port 9000 --shop-port 9001`,
		Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("config") {
				return &usageError{"--config: a demo reads no configuration"}
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			log, flush := a.logger(level, "text")
			defer flush()
			d.log = log
			return d.run(ctx)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&d.data, "data", defaultDemoData(), "directory for the demo's database and keys")
	flags.IntVar(&d.port, "port", 8080, "port of the provider")
	flags.IntVar(&d.shopPort, "shop-port", 8081, "port of the shop")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log every request")
	must(cmd.MarkFlagDirname("data"))
	return cmd
}

// demoCountries are those of the languages that it speaks, more or less: nothing leaves this machine.
var demoCountries = []string{"ES", "GB", "MX", "SE", "US"}

// defaultDemoData is the same at every start from anywhere, where that can be had.
func defaultDemoData() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "doorstep-demo"
	}
	return filepath.Join(cache, "doorstep", "demo")
}

func (d *demo) run(ctx context.Context) error {
	cfg, err := d.config()
	if err != nil {
		return err
	}
	return d.withStore(ctx, cfg, func(store *storage.Store, pc provider.Config) error {
		pc.Server.Listen = addresses(ctx, cfg.Listen)
		pc.Web.Developer = true
		pc.Demo = &templates.DemoAccount{Identifier: demoEmail, Password: demoPassword}
		box := &mailbox{log: d.log}
		pc.Mail = mail.Config{Deliver: box.deliver, From: &netmail.Address{Address: "no-reply@localhost.localdomain"}}
		pc.SMS = sms.Config{Gateway: box, From: "Demo", Countries: demoCountries}
		p, err := provider.New(ctx, pc, store, d.log, d.now)
		if err != nil {
			return cfg.explain(err)
		}
		if err := cfg.keepsPasskeys(ctx, p.Services); err != nil {
			return err
		}
		shopConfig, err := d.furnish(ctx, p.Services, cfg.Issuer)
		if err != nil {
			return err
		}
		return d.serveBoth(ctx, p, shopConfig, box, func() error { return d.welcome(cfg, shopConfig) })
	})
}

// config is the demo's own: nothing of the environment reaches it.
func (d *demo) config() (*config, error) {
	for name, port := range map[string]int{"port": d.port, "shop-port": d.shopPort} {
		if port < 1 || port > 65535 {
			return nil, &usageError{fmt.Sprintf("--%s: %d is not a port", name, port)}
		}
	}
	if d.port == d.shopPort {
		return nil, &usageError{"--port and --shop-port must differ"}
	}
	data, err := filepath.Abs(d.data)
	if err != nil {
		return nil, err
	}
	d.data = data
	file := filepath.ToSlash(filepath.Join(data, "doorstep.db"))
	database := url.URL{Scheme: "sqlite", Path: "/" + strings.TrimPrefix(file, "/")}
	l := readLayers("", nil, new(pflag.FlagSet))
	l.values["issuer"] = value{fmt.Sprintf("http://localhost:%d", d.port), "--port"}
	l.values["database.url"] = value{database.String(), "--data"}
	l.values["ops_listen"] = value{"off", "demo"}
	l.values["outbound.allow"] = value{"127.0.0.0/8,::1/128", "demo"} // the shop lives here
	cfg, err := l.parse(true)
	cfg.migrates = true
	return cfg, err
}

// serveBoth runs the provider and the shop until ctx ends or one of them fails.
func (d *demo) serveBoth(ctx context.Context, p *provider.Provider, cfg shop.Config, box *mailbox, ready func() error) error {
	front, err := shop.New(cfg)
	if err != nil {
		return err
	}
	listeners, err := d.listen(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: box.in(front), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("shop: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		return server.Close() // a demo's visitor has nothing to lose
	})
	group.Go(func() error {
		var welcome error
		err := p.Run(ctx, func() { welcome = ready() })
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "listen" {
			err = taken(fmt.Sprintf("port %d", d.port), "--port", op)
		}
		return errors.Join(welcome, err)
	})
	return group.Wait()
}

// listen opens the shop's listeners; its server closes them.
func (d *demo) listen(ctx context.Context) (all []net.Listener, err error) {
	for _, addr := range addresses(ctx, fmt.Sprintf("localhost:%d", d.shopPort)) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			for _, l := range all {
				_ = l.Close() // nothing was served on it
			}
			return nil, taken(fmt.Sprintf("port %d", d.shopPort), "--shop-port", err)
		}
		all = append(all, l)
	}
	return all, nil
}

// taken says which flag moves a listener that cannot have its place.
func taken(place, flag string, err error) error {
	return fmt.Errorf("%s cannot be had: choose another with %s (%w)", place, flag, err)
}

// welcome says what to open and with which account.
func (d *demo) welcome(cfg *config, shopConfig shop.Config) error {
	out := struct {
		Shop     string `json:"shop"`
		Issuer   string `json:"issuer"`
		Email    string `json:"email"`
		Password string `json:"password"`
		Mailbox  string `json:"mailbox"`
		Data     string `json:"data"`
		Database string `json:"database_url"`
	}{shopConfig.BaseURL, cfg.Issuer, demoEmail, demoPassword, shopConfig.BaseURL + mailboxPath, d.data, cfg.Database}
	return d.print(out, func(w io.Writer) {
		fmt.Fprintf(w, `
  Open         %s
  Sign in as   %s
  Password     %s
  Mails        %s

The shop is a client of the provider at %s.
What happens is kept in %s; delete it to start afresh.
For operators' commands in another terminal: export %s=%s
Ctrl-C stops both.
`, out.Shop, out.Email, out.Password, out.Mailbox, out.Issuer, out.Data, envName("database.url"), out.Database)
	})
}
