package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
)

func (a *app) grantCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a grant, revoked or not",
		Example: "  doorstep grant show 01a202a9-03b5-7130-aa5f-c18ae97db609",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			g, err := s.Grants.Show(ctx, args[0])
			if err != nil {
				return notFound(err, "grant", args[0])
			}
			return a.printGrant(g)
		}),
	}
	revoke := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a grant with its tokens",
		Long: `End a grant: its refresh token and its code at once, its access tokens for everybody
who asks about them. Who verifies access tokens without asking takes those that are out
until they end. The person stays signed in, and the client may ask again without their
consent ('doorstep consent revoke' takes that too).`,
		Example: "  doorstep grant revoke 01a202a9-03b5-7130-aa5f-c18ae97db609",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return notFound(s.Grants.RevokeByID(ctx, args[0], events.ActorOperator, whyOperator), "grant that was not revoked", args[0])
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
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			p, err := page.page()
			if err != nil {
				return err
			}
			who, err := s.Directory.Show(ctx, person)
			if err != nil {
				return notFound(err, "person", person)
			}
			list, err := s.Grants.List(ctx, who.ID, client, p)
			if err != nil {
				return page.explain(err)
			}
			out := []printedGrant{}
			for i := range list.Items {
				out = append(out, newPrintedGrant(&list.Items[i]))
			}
			return a.printPage(out, list.Next, func(w io.Writer) {
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

func newPrintedGrant(l *grants.Listed) printedGrant {
	g := &l.Grant
	return printedGrant{
		ID: string(g.ID), Client: g.ClientID, Person: string(g.PersonID), Session: string(g.SessionID),
		Scopes: append([]string{}, g.Scopes...), Resources: append([]string{}, g.Resources...), ACR: g.ACR, Offline: g.Offline, Living: l.Living,
		Refreshed: moment(g.RotatedAt), Created: moment(g.CreatedAt), Expires: moment(g.ExpiresAt), Revoked: moment(g.RevokedAt), RevokedWhy: g.RevokedWhy,
	}
}

func (a *app) printGrant(l *grants.Listed) error {
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
