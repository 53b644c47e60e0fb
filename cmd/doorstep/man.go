package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/doorstep-id/doorstep/provider"
)

// manSection is that of commands for everybody.
const manSection = "1"

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write a man page for each command into a directory",
		Long: `Write a man page for each command into a directory, which is made if it is missing.
Pages of commands that this binary does not have stay as they are.`,
		Example: "  doorstep man ~/.local/share/man/man1\n  doorstep man man1 && man ./man1/doorstep-client-create.1",
		Args:    cobra.ExactArgs(1),
		RunE: a.does(func(_ context.Context, cmd *cobra.Command, args []string) error {
			dir := args[0]
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manuals are for everybody to read
				return err
			}
			date := a.builtAt()
			header := &doc.GenManHeader{Section: manSection, Date: &date, Source: "Doorstep " + provider.ReadBuild().Version, Manual: "Doorstep"}
			cmd.Root().DisableAutoGenTag = true // the date of the build is in the header
			if err := doc.GenManTree(cmd.Root(), header, dir); err != nil {
				return err
			}
			pages, err := fs.Glob(os.DirFS(dir), "doorstep*."+manSection)
			if err == nil && len(pages) == 0 {
				err = errors.New("no page was written")
			}
			if err != nil {
				return err
			}
			return a.print(map[string]any{"dir": dir, "pages": pages}, func(w io.Writer) {
				fmt.Fprintf(w, "%d pages, see: man %s\n", len(pages), filepath.Join(dir, pages[0]))
			})
		}),
	}
}

// builtAt is when what this binary was built from was committed, or now, where that is
// not known.
func (a *app) builtAt() time.Time {
	at, err := time.Parse(time.RFC3339, provider.ReadBuild().Time)
	if err != nil {
		return a.now()
	}
	return at
}
