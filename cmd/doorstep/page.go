package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/storage"
)

// pageFlags say which part of a list is wanted.
type pageFlags struct {
	after string
	limit int
}

func (p *pageFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.limit, "limit", storage.PageSize, fmt.Sprintf("how many at most, 1 to %d", storage.MaxPage))
	cmd.Flags().StringVar(&p.after, "after", "", "go on after this one, which the page before names on stderr")
}

func (p *pageFlags) page() (storage.Page, error) {
	if p.limit < 1 || p.limit > storage.MaxPage {
		return storage.Page{}, &usageError{fmt.Sprintf("--limit: must be between 1 and %d", storage.MaxPage)}
	}
	return storage.Page{After: p.after, Limit: p.limit}, nil
}

// explain tells a page that cannot begin there from a thing that is not there.
func (p *pageFlags) explain(err error) error {
	if errors.Is(err, storage.ErrCursor) {
		return &usageError{fmt.Sprintf("--after: %q is not where a page of this list begins", p.after)}
	}
	return err
}

// printPage prints a page of a list as print does, and says on stderr how to see
// the next one: stdout has the data alone.
func (a *app) printPage(v any, next string, text func(w io.Writer)) error {
	if err := a.print(v, text); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(a.stderr, "There are more: --after %s\n", next)
	}
	return nil
}
