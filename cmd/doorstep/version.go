package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  doorstep version\n  doorstep version -o json",
		Args:    cobra.NoArgs,
		RunE: a.does(func(context.Context, *cobra.Command, []string) error {
			b := provider.ReadBuild()
			return a.print(b, func(w io.Writer) {
				fmt.Fprintf(w, "doorstep %s %s %s\n", b.Version, b.Go, b.Platform)
				if b.Commit == "" {
					return
				}
				changed := ""
				if b.Modified {
					changed = ", with uncommitted changes"
				}
				fmt.Fprintf(w, "commit %s of %s%s\n", b.Commit, b.Time, changed)
			})
		}),
	}
}
