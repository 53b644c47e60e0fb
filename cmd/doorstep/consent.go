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

func (a *app) consentCommand() *cobra.Command {
	var (
		user, client string
		page         pageFlags
	)
	list := &cobra.Command{
		Use:   "list",
		Short: "List which clients may do what for a person",
		Long: `List which clients may do what for a person: by what they agreed to, and by the grants
that live, which a client of first_party has without a consent.`,
		Example: `  doorstep consent list --user ada@example.com
  doorstep consent list --user p_dG9vLWxvbmctdG8tcXVvdGU -o json`,
		Args: cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			return a.listConsents(ctx, o, user, &page)
		}),
	}
	page.add(list)
	revoke := &cobra.Command{
		Use:   "revoke",
		Short: "Take a client's access to a person away, with its tokens",
		Long: `Forget what a person agreed to for a client and revoke every grant of the two, those with
offline_access too. The person stays signed in, and is asked when the client comes
again. Who verifies access tokens without asking takes those that are out until they end.`,
		Example: "  doorstep consent revoke --user ada@example.com --client shop",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			who, err := o.userAt(ctx, user)
			if err != nil {
				return err
			}
			return notFound(o.remove(ctx, who+"/consents/"+url.PathEscape(client)), "access of the client", client)
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

func (a *app) listConsents(ctx context.Context, o *operators, user string, page *pageFlags) error {
	who, err := o.userAt(ctx, user)
	if err != nil {
		return err
	}
	some, next, err := readPage[api.Consent](ctx, o, who+"/consents", nil, page)
	if err != nil {
		return notFound(err, "person", user)
	}
	out := []printedConsent{}
	for _, c := range some {
		out = append(out, printedConsent{c.ClientID, c.Scopes, c.Resources, c.Claims, c.Agreed, momentOf(&c.Since)})
	}
	return a.printPage(out, next, func(w io.Writer) {
		row(w, "CLIENT", "SCOPES", "RESOURCES", "CLAIMS", "AGREED", "SINCE")
		for _, c := range out {
			row(w, c.Client, strings.Join(c.Scopes, " "), strings.Join(c.Resources, " "), strings.Join(c.Claims, " "), strconv.FormatBool(c.Agreed), show(c.Since))
		}
	})
}
