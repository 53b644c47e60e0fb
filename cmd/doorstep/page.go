package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/fault"
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

// cursor is the parameter of the API that says where a page begins.
const cursor = "cursor"

// query is the page as the API is asked for it, of what filters choose.
func (p *pageFlags) query(filters url.Values) (url.Values, error) {
	page, err := p.page()
	if err != nil {
		return nil, err
	}
	out := url.Values{"limit": {strconv.Itoa(page.Limit)}}
	if page.After != "" {
		out.Set(cursor, page.After)
	}
	for name, values := range filters {
		out[name] = values
	}
	return out, nil
}

// explain tells a page that cannot begin there from a thing that is not there.
func (p *pageFlags) explain(err error) error {
	var f *fault.Error
	if errors.Is(err, storage.ErrCursor) || errors.As(err, &f) && f.Field == cursor {
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
