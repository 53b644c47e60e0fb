// Command doorstep is the whole of Doorstep in one binary: the provider, a demo
// of it, migrations, and the operator's commands on the configured database.
//
// Everything that comes from outside is read here: flags, DOORSTEP_* variables,
// the YAML file, the clock and the terminal (config.go has every setting, layers.go
// what overrides what). The rest of the house gets Config structs.
//
// Data goes to stdout, as text or with -o json as JSON; logs and errors go to
// stderr. The exit code is 0 for success, 1 for failure, 2 for wrong usage and 78
// for a configuration that cannot work, so that a supervisor knows when to give up.
//
// It must never print a secret that it did not make in the same breath, and must
// never hold a rule of its own: a command parses, makes one service call, prints.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 78 // EX_CONFIG of sysexits.h
)

func main() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), now: time.Now}
	os.Exit(a.run(os.Args[1:]))
}

// app is one run of the binary.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	now            func() time.Time

	output     format
	configFile string
	remote     remote
	started    bool // a command was found and its arguments fit: no error from here on is wrong usage
}

// run carries out one command line and returns the exit code.
func (a *app) run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// The first signal asks; the second one ends the process. The handler is gone before anybody
	// hears of the first: who sees that something ends may send the second.
	signalled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(signalled, func() {
		stop()
		cancel()
	})

	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(a.stderr, "doorstep:", message(err))
	var (
		wrong  *usageError
		config *configError
	)
	switch {
	case errors.As(err, &config):
		return exitConfig
	case errors.As(err, &wrong), !a.started:
		fmt.Fprintf(a.stderr, "See '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailure
}

// usageError is a command line that cannot be meant.
type usageError struct{ says string }

func (e *usageError) Error() string { return e.says }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "doorstep",
		Short: "A self-hosted OAuth 2.0 and OpenID Connect provider",
		Long: `A self-hosted OAuth 2.0 and OpenID Connect provider.

Settings come from flags, else DOORSTEP_* variables (two underscores nest:
DOORSTEP_DATABASE__URL is database.url), else the YAML file, else their defaults.
A secret may come from a file: DOORSTEP_KEYS__KEK_FILE names one that holds
keys.kek. 'doorstep config print' shows every setting and where it came from.

Exit codes: 0 success, 1 failure, 2 wrong usage, 78 wrong configuration.`,
		Example: `  doorstep demo
  doorstep serve
  doorstep client create --name "My app" --redirect-uri https://app.example.com/callback`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// Ours is one command with an example, like every other.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              a.help,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.VarP(&a.output, "output", "o", "how to print data: text or json")
	flags.StringVar(&a.configFile, "config", "", "YAML file with settings ($DOORSTEP_CONFIG)")
	// A flag that is registered twice or not at all is a defect of this file.
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	must(root.MarkPersistentFlagFilename("config", "yaml", "yml"))

	root.AddCommand(a.lookedAfter()...)
	root.AddCommand(
		a.serveCommand(), a.setupLinkCommand(), a.demoCommand(), a.migrateCommand(), a.backupCommand(), a.restoreCommand(), a.tokenCommand(),
		a.passwordCommand(), a.policyCommand(), a.configCommand(), a.doctorCommand(), a.healthCommand(), a.versionCommand(), a.completionCommand(), a.manCommand(),
	)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Example = "  doorstep help client create"
	}
	return root
}

// lookedAfter are the commands on what an operator looks after, at the database or
// at a server.
func (a *app) lookedAfter() []*cobra.Command {
	all := []*cobra.Command{
		a.clientCommand(), a.resourceCommand(), a.userCommand(), a.groupCommand(), a.sessionCommand(), a.grantCommand(), a.consentCommand(),
		a.eventsCommand(), a.keyCommand(), a.mailCommand(),
	}
	for _, cmd := range all {
		a.remote.add(cmd)
	}
	return all
}

// group is a command that only has subcommands.
func (a *app) group(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: subcommands[0].Example, Args: cobra.NoArgs, RunE: a.help}
	cmd.AddCommand(subcommands...)
	return cmd
}

func (a *app) help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// does makes a command's RunE.
func (a *app) does(f func(ctx context.Context, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return f(cmd.Context(), cmd, args)
	}
}

// configured is does for a command that needs the settings.
func (a *app) configured(f func(ctx context.Context, cfg *config, args []string) error) func(*cobra.Command, []string) error {
	return a.does(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if a.remote != (remote{}) {
			return &usageError{fmt.Sprintf("--server: '%s' works on the database only: run it where that is, without --server and --token-file", cmd.CommandPath())}
		}
		cfg, err := a.load(cmd.Flags())
		if err != nil {
			return err
		}
		return f(ctx, cfg, args)
	})
}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "completion bash|zsh|fish|powershell",
		Short:                 "Print a completion script for your shell",
		Example:               "  source <(doorstep completion bash)\n  doorstep completion fish > ~/.config/fish/completions/doorstep.fish",
		Args:                  cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs:             []string{"bash", "zsh", "fish", "powershell"},
		DisableFlagsInUseLine: true,
		RunE: a.does(func(_ context.Context, cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			default:
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
		}),
	}
}

// must stops a binary whose command table contradicts itself.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
