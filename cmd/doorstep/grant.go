package main

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
)

// grantAt is a grant's path in the API.
func grantAt(id string) string { return "/grants/" + url.PathEscape(id) }

func (a *app) grantCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a grant, revoked or not",
		Example: "  doorstep grant show 01a202a9-03b5-7130-aa5f-c18ae97db609",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			var g api.Grant
			if err := o.get(ctx, grantAt(args[0]), &g); err != nil {
				return notFound(err, "grant", args[0])
			}
			return a.printGrant(&g)
		}),
	}
	revoke := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a grant with its tokens",
		Long: `End a grant: its refresh token and its code at once, its access tokens for everybody
who asks about them. Who verifies access tokens without asking takes those that are out
until they end. The person stays signed in, and the client may ask again without their
consent ('doorstep consent revoke' takes that too). One that was revoked stays so.`,
		Example: "  doorstep grant revoke 01a202a9-03b5-7130-aa5f-c18ae97db609",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return notFound(o.post(ctx, grantAt(args[0])+"/revoke", nil, nil), "grant", args[0])
		}),
	}
	all := []*cobra.Command{a.listGrantsCommand(), show, revoke}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("grant", "See what was authorized, and end it", all...)
}

func (a *app) listGrantsCommand() *cobra.Command {
	var (
		person, client string
		page           pageFlags
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List a person's grants that were not revoked",
		Long: `List a person's grants that were not revoked: one for each time that a client was let in.
One that is not living has lapsed, or its session has, and goes by itself.`,
		Example: "  doorstep grant list --person ada@example.com\n  doorstep grant list --person ada@example.com --client shop -o json",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			who, err := o.userAt(ctx, person)
			if err != nil {
				return err
			}
			filters := url.Values{}
			if client != "" {
				filters.Set("client_id", client)
			}
			some, next, err := readPage[api.Grant](ctx, o, who+"/grants", filters, &page)
			if err != nil {
				return notFound(err, "person", person)
			}
			out := []printedGrant{}
			for i := range some {
				out = append(out, newPrintedGrant(&some[i]))
			}
			return a.printPage(out, next, func(w io.Writer) {
				row(w, "ID", "CLIENT", "SCOPES", "OFFLINE", "LIVING", "CREATED", "EXPIRES")
				for _, g := range out {
					row(w, g.ID, g.Client, strings.Join(g.Scopes, " "), strconv.FormatBool(g.Offline), strconv.FormatBool(g.Living), show(g.Created), show(g.Expires))
				}
			})
		}),
	}
	cmd.Flags().StringVar(&person, "person", "", "whose: their address, public subject or id")
	cmd.Flags().StringVar(&client, "client", "", "client_id: only what this client was let do")
	a.completesFlag(cmd, "client", clientIDs)
	must(cmd.MarkFlagRequired("person"))
	page.add(cmd)
	return cmd
}

type printedGrant struct {
	ID         string   `json:"id"` // gid in access tokens
	Client     string   `json:"client_id"`
	Person     string   `json:"person_id"`
	Session    string   `json:"session_id,omitempty"`
	Scopes     []string `json:"scopes"`
	Resources  []string `json:"resources"`
	ACR        string   `json:"acr,omitempty"`
	Offline    bool     `json:"offline"` // outlives its session
	Living     bool     `json:"living"`
	Refreshed  *string  `json:"refreshed_at"`
	Created    *string  `json:"created_at"`
	Expires    *string  `json:"expires_at"`
	Revoked    *string  `json:"revoked_at"`
	RevokedWhy string   `json:"revoked_why,omitempty"`
}

func newPrintedGrant(g *api.Grant) printedGrant {
	return printedGrant{
		ID: g.ID, Client: g.ClientID, Person: g.UserID, Session: g.SessionID, Scopes: g.Scopes, Resources: g.Resources,
		ACR: g.ACR, Offline: g.Offline, Living: g.Living, Refreshed: momentOf(g.RefreshedAt), Created: momentOf(&g.CreatedAt),
		Expires: momentOf(g.ExpiresAt), Revoked: momentOf(g.RevokedAt), RevokedWhy: g.RevokedWhy,
	}
}

func (a *app) printGrant(l *api.Grant) error {
	g := newPrintedGrant(l)
	return a.print(g, func(w io.Writer) {
		row(w, "id", g.ID)
		row(w, "client_id", g.Client)
		row(w, "person_id", g.Person)
		row(w, "session_id", g.Session)
		row(w, "scopes", strings.Join(g.Scopes, " "))
		row(w, "resources", strings.Join(g.Resources, " "))
		row(w, "acr", g.ACR)
		row(w, "offline", strconv.FormatBool(g.Offline))
		row(w, "living", strconv.FormatBool(g.Living))
		row(w, "refreshed_at", show(g.Refreshed))
		row(w, "created_at", show(g.Created))
		row(w, "expires_at", show(g.Expires))
		row(w, "revoked_at", show(g.Revoked))
		row(w, "revoked_why", g.RevokedWhy)
	})
}
