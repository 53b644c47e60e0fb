package main

import (
	"context"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
)

func (a *app) sessionCommand() *cobra.Command {
	all := []*cobra.Command{a.listSessionsCommand(), a.endSessionCommand()}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("session", "See where people are signed in, and sign them out", all...)
}

type printedSession struct {
	ID      string   `json:"id"`
	Since   *string  `json:"since"`
	Seen    *string  `json:"last_seen"` // to the minute
	Expires *string  `json:"expires_at"`
	ACR     string   `json:"acr,omitempty"`
	Clients []string `json:"clients"`
}

func (a *app) listSessionsCommand() *cobra.Command {
	var (
		person string
		page   pageFlags
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List where a person is signed in",
		Long: `List the sessions in which a person is signed in: since when, when last seen, when they
end by themselves, what was proven in them (acr), and which clients were given something
in them, and are told of their end.`,
		Example: "  doorstep session list --person ada@example.com",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			who, err := o.userAt(ctx, person)
			if err != nil {
				return err
			}
			some, next, err := readPage[api.Session](ctx, o, who+"/sessions", nil, &page)
			if err != nil {
				return notFound(err, "person", person)
			}
			out := []printedSession{}
			for _, se := range some {
				out = append(out, printedSession{se.ID, momentOf(&se.CreatedAt), momentOf(&se.SeenAt), momentOf(&se.ExpiresAt), se.ACR, se.ClientIDs})
			}
			return a.printPage(out, next, func(w io.Writer) {
				row(w, "ID", "SINCE", "SEEN", "EXPIRES", "ACR", "CLIENTS")
				for _, se := range out {
					row(w, se.ID, show(se.Since), show(se.Seen), show(se.Expires), se.ACR, strings.Join(se.Clients, " "))
				}
			})
		}),
	}
	cmd.Flags().StringVar(&person, "person", "", "whose: their address, public subject or id")
	must(cmd.MarkFlagRequired("person"))
	page.add(cmd)
	return cmd
}

func (a *app) endSessionCommand() *cobra.Command {
	var (
		person string
		every  bool
	)
	cmd := &cobra.Command{
		Use:   "end [ID]",
		Short: "End a session, or all of a person's",
		Long: `End a session, or with --person and --all every one of a person's. Its grants without
offline_access end with it; those with it live on ('doorstep grant revoke'). Its clients
are told by the running servers within two seconds. The person may sign in again
('doorstep user disable' keeps them out). Who is signed in nowhere stays so.`,
		Example: "  doorstep session end 01a202a9-03b5-7130-aa5f-c18ae97db609\n  doorstep session end --person ada@example.com --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			if len(args) == 1 {
				if person != "" || every {
					return &usageError{"give the id of a session, or --person and --all"}
				}
				return notFound(o.remove(ctx, "/sessions/"+url.PathEscape(args[0])), "living session", args[0])
			}
			if person == "" || !every {
				return &usageError{"give the id of a session, or --person and --all"}
			}
			who, err := o.userAt(ctx, person)
			if err != nil {
				return err
			}
			return notFound(o.remove(ctx, who+"/sessions"), "person", person)
		}),
	}
	cmd.Flags().StringVar(&person, "person", "", "whose: their address, public subject or id")
	cmd.Flags().BoolVar(&every, "all", false, "every session of the person")
	return cmd
}
