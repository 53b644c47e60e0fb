package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
)

func (a *app) consentCommand() *cobra.Command {
	var user, client string
	list := &cobra.Command{
		Use:   "list",
		Short: "List which clients may do what for a person",
		Long: `List which clients may do what for a person: by what they agreed to, and by the grants
that live, which a client of first_party has without a consent.`,
		Example: `  doorstep consent list --user ada@example.com
  doorstep consent list --user p_dG9vLWxvbmctdG8tcXVvdGU -o json`,
		Args: cobra.NoArgs,
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			return a.listConsents(ctx, s, user)
		}),
	}
	revoke := &cobra.Command{
		Use:   "revoke",
		Short: "Take a client's access to a person away, with its tokens",
		Long: `Forget what a person agreed to for a client and revoke every grant of the two, those with
offline_access too. The person stays signed in, and is asked when the client comes
again. Who verifies access tokens without asking takes those that are out until they end.`,
		Example: "  doorstep consent revoke --user ada@example.com --client shop",
		Args:    cobra.NoArgs,
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			person, err := s.Directory.Show(ctx, user)
			if err != nil {
				return notFound(err, "person", user)
			}
			return notFound(s.Grants.Withdraw(ctx, person.ID, client, events.ActorOperator), "access of the client", client)
		}),
	}
	revoke.Flags().StringVar(&client, "client", "", "client_id")
	a.completesFlag(revoke, "client", clientIDs)
	must(revoke.MarkFlagRequired("client"))
	all := []*cobra.Command{list, revoke}
	for _, cmd := range all {
		cmd.Flags().StringVar(&user, "user", "", "whose: their address, public subject or id")
		must(cmd.MarkFlagRequired("user"))
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("consent", "See what clients may do for people, and take it away", all...)
}

type printedConsent struct {
	Client    string   `json:"client_id"`
	Scopes    []string `json:"scopes"`
	Resources []string `json:"resources"`
	Claims    []string `json:"claims"` // names, beside those that the scopes stand for
	Agreed    bool     `json:"agreed"` // false: by living grants alone
	Since     *string  `json:"since"`
}

func (a *app) listConsents(ctx context.Context, s *provider.Services, user string) error {
	person, err := s.Directory.Show(ctx, user)
	if err != nil {
		return notFound(err, "person", user)
	}
	access, err := s.Grants.AccessTo(ctx, person.ID)
	if err != nil {
		return err
	}
	out := []printedConsent{}
	for _, c := range access {
		out = append(out, printedConsent{c.ClientID, append([]string{}, c.Scopes...), append([]string{}, c.Resources...), append([]string{}, c.Claims...), c.Agreed, moment(c.Since)})
	}
	return a.print(out, func(w io.Writer) {
		row(w, "CLIENT", "SCOPES", "RESOURCES", "CLAIMS", "AGREED", "SINCE")
		for _, c := range out {
			row(w, c.Client, strings.Join(c.Scopes, " "), strings.Join(c.Resources, " "), strings.Join(c.Claims, " "), strconv.FormatBool(c.Agreed), show(c.Since))
		}
	})
}
