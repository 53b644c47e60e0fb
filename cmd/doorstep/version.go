package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says which binary this is, as the linker recorded it.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified"`       // built from a tree with uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, b.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  doorstep version\n  doorstep version -o json",
		Args:    cobra.NoArgs,
		RunE: a.does(func(context.Context, *cobra.Command, []string) error {
			b := readBuild()
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
