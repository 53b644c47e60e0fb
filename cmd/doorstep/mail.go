package main

import (
	"context"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
)

func (a *app) mailCommand() *cobra.Command {
	all := []*cobra.Command{a.listMailsCommand(), a.retryMailCommand(), a.discardMailCommand()}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("mail", "See what became of mails, and send again what was given up", all...)
}

type printedMail struct {
	ID        string  `json:"id"`
	Kind      string  `json:"kind"`
	Recipient string  `json:"recipient"`
	State     string  `json:"state"`
	Attempts  int64   `json:"attempts"`
	Created   *string `json:"created_at"`
	Due       *string `json:"due_at"`
	Lapses    *string `json:"lapses_at"`
	Reason    string  `json:"reason,omitempty"`
}

func printMail(m *api.Mail) printedMail {
	return printedMail{m.ID, m.Kind, m.Recipient, m.State, m.Attempts, momentOf(&m.CreatedAt), momentOf(m.DueAt), momentOf(&m.LapsesAt), m.Reason}
}

func (a *app) listMailsCommand() *cobra.Command {
	var (
		dead bool
		page pageFlags
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List mails that wait, were just sent, or were given up",
		Long: `List mails: those that wait to be sent, those that were sent within a day, and those
that were given up within a month, with why the last attempt failed. What a mail says
is sealed, and shown to nobody.`,
		Example: "  doorstep mail list\n  doorstep mail list --dead",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			filters := url.Values{}
			if dead {
				filters.Set("dead", strconv.FormatBool(dead))
			}
			some, next, err := readPage[api.Mail](ctx, o, "/mails", filters, &page)
			if err != nil {
				return err
			}
			out := []printedMail{}
			for i := range some {
				out = append(out, printMail(&some[i]))
			}
			return a.printPage(out, next, func(w io.Writer) {
				row(w, "ID", "KIND", "TO", "STATE", "ATTEMPTS", "CREATED", "DUE", "LAPSES", "REASON")
				for _, m := range out {
					row(w, m.ID, m.Kind, m.Recipient, m.State, strconv.FormatInt(m.Attempts, 10), show(m.Created), show(m.Due), show(m.Lapses), m.Reason)
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "only those that were given up")
	page.add(cmd)
	return cmd
}

func (a *app) retryMailCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Send a mail that was given up",
		Long: `Have a running server send a mail that was given up, within a second. One that has
lapsed is of no use to anybody, and not sent any more.`,
		Example: "  doorstep mail retry 01a202a9-03b5-7130-aa5f-c18ae97db90c",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return notFound(o.post(ctx, "/mails/"+url.PathEscape(args[0])+"/retry", nil, nil), "mail", args[0])
		}),
	}
}

func (a *app) discardMailCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "discard ID",
		Short:   "Throw a mail away, whatever its state",
		Long:    "Throw a mail away, with its address. One that is just being sent arrives all the same.",
		Example: "  doorstep mail discard 01a202a9-03b5-7130-aa5f-c18ae97db90c",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return notFound(o.remove(ctx, "/mails/"+url.PathEscape(args[0])), "mail", args[0])
		}),
	}
}
