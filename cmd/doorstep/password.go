package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/proof"
)

func (a *app) passwordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "password",
		Short:   "Make what new passwords are checked by",
		Example: "  doorstep password filter build breached.txt breached.passwords",
		Args:    cobra.NoArgs,
		RunE:    a.help,
	}
	filter := &cobra.Command{
		Use:     "filter",
		Short:   "Make a list of breached passwords",
		Example: "  doorstep password filter build --sha1 pwned-passwords.txt breached.passwords",
		Args:    cobra.NoArgs,
		RunE:    a.help,
	}
	filter.AddCommand(a.passwordFilterBuildCommand())
	cmd.AddCommand(filter)
	return cmd
}

func (a *app) passwordFilterBuildCommand() *cobra.Command {
	var hashes bool
	cmd := &cobra.Command{
		Use:   "build IN OUT",
		Short: "Make a list of breached passwords for password.breached_file",
		Long: `Make a list of breached passwords for the setting password.breached_file. IN (- is stdin)
has a password on each line, or with --sha1 the SHA-1 hash of one in hex, with a colon
and a count behind it or not, as Have I Been Pwned gives them. It takes 8 bytes of memory
for each line. A password that is not in the list is taken for one that is at most once in
a million.`,
		Example: `  doorstep password filter build breached.txt breached.passwords
  head -n 10000000 pwned-by-count.txt | doorstep password filter build --sha1 - breached.passwords`,
		Args: cobra.ExactArgs(2),
		RunE: a.does(func(_ context.Context, _ *cobra.Command, args []string) error {
			return a.buildFilter(args[0], args[1], hashes)
		}),
	}
	cmd.Flags().BoolVar(&hashes, "sha1", false, "IN has SHA-1 hashes in hex in place of passwords")
	return cmd
}

func (a *app) buildFilter(from, to string, hashes bool) (err error) {
	in := a.stdin
	if from != "-" {
		f, err := os.Open(from) //nolint:gosec // the operator names the file
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s is there already: name a file that is not", to)
	}
	var n int
	err = writeOnce(to, func(w io.Writer) error {
		n, err = proof.WriteBreached(w, in, hashes)
		if err == nil && n == 0 {
			err = errors.New("there is nothing in it")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	// The servers that read it may be somebody else's, and what everybody knows is no secret.
	if err := os.Chmod(to, 0o644); err != nil { //nolint:gosec // see above
		return err
	}
	return a.print(map[string]any{"file": to, "passwords": n}, func(w io.Writer) {
		fmt.Fprintf(w, "%d passwords in %s: name it in password.breached_file, and start the servers anew.\n", n, to)
	})
}
