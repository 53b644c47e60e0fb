package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// format is how data is printed; the zero format is text.
type format string

const asJSON format = "json"

// String implements pflag.Value.
func (f *format) String() string {
	if *f == "" {
		return "text"
	}
	return string(*f)
}

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	switch s {
	case "text":
		*f = ""
	case "json":
		*f = asJSON
	default:
		return errors.New("must be text or json")
	}
	return nil
}

// Type implements pflag.Value.
func (*format) Type() string { return "format" }

// print writes data to stdout: v as JSON, or what text writes, whose tabs become
// aligned columns.
func (a *app) print(v any, text func(w io.Writer)) error {
	if a.output == asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	columns := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	text(columns)
	return columns.Flush()
}

// row writes one line of aligned columns; an empty cell is a dash, so that
// columns can be counted.
func row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// moment is a time in text and JSON, nil if it never was.
func moment(t storage.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339)
	return &s
}

// momentOf is moment of a time that may not be there.
func momentOf(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return moment(storage.At(*t))
}

func show(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// message is what an operator reads about err: every fault on a line of its own,
// without the names of the rooms that it came through.
func message(err error) string {
	var lines []string
	for _, f := range fault.All(err) {
		lines = append(lines, f.Error())
	}
	switch len(lines) {
	case 0:
		return err.Error()
	case 1:
		return lines[0]
	}
	return fmt.Sprintf("%d faults:\n  %s", len(lines), strings.Join(lines, "\n  "))
}
