package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
)

func (a *app) tokenCommand() *cobra.Command {
	var (
		scope string
		ttl   = time.Hour
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token of your own for the operators' API",
		Long: `Print an access token for the operators' API of this provider, and a curl line that
uses it. It is for you at the shell; a program registers as a client (--type service)
with the scopes that it needs.

The token is issued to the client ` + clients.CommandLine + `, which is made when it is first needed and has
no secret. It is told of as an event, cannot be prolonged, and is ended before its time
by 'doorstep token revoke ID'; deleting or disabling that client ends all of them.

Scopes: ` + wrapped(clients.APIScopes()) + `
One that writes does not read as well.`,
		Example: "  doorstep token --scope clients:write\n  doorstep token --scope \"clients:read clients:write\" --ttl 15m -o json",
		Args:    cobra.NoArgs,
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			scopes := strings.Fields(scope)
			for _, name := range scopes {
				if !slices.Contains(clients.APIScopes(), name) {
					return &usageError{fmt.Sprintf("--scope: %q is not one of the operators' API: %s", name, strings.Join(clients.APIScopes(), ", "))}
				}
			}
			t, err := s.OperatorToken(ctx, scopes, ttl)
			if err != nil {
				return err
			}
			return a.printToken(t)
		}),
	}
	cmd.Flags().StringVar(&scope, "scope", "", "what it may do, separated by spaces")
	cmd.Flags().DurationVar(&ttl, "ttl", ttl, "how long it lives, at most 24h")
	must(cmd.MarkFlagRequired("scope"))
	must(cmd.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions(clients.APIScopes(), cobra.ShellCompDirectiveNoFileComp)))
	addSettingFlags(cmd, databaseSettings...)
	revoke := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a token of the command line by its id",
		Example: "  doorstep token revoke IQJ4PVBC2UYZRNH6KX3M7TDWEA",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return s.RevokeOperatorToken(ctx, args[0])
		}),
	}
	addSettingFlags(revoke, databaseSettings...)
	cmd.AddCommand(revoke)
	return cmd
}

// wrapped lists words in lines of a terminal's width.
func wrapped(words []string) string {
	const width = 80
	var b strings.Builder
	column := len("Scopes: ")
	for i, w := range words {
		if i > 0 {
			b.WriteString(",")
			if column += len(w) + 2; column > width {
				b.WriteString("\n")
				column = len(w)
			} else {
				b.WriteString(" ")
			}
		}
		b.WriteString(w)
	}
	return b.String() + "."
}

type printedToken struct {
	Token     string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"` // seconds
	Scope     string `json:"scope"`
	ID        string `json:"id"`
	API       string `json:"api"`
}

func (a *app) printToken(t *provider.OperatorToken) error {
	out := printedToken{t.Text, "Bearer", t.Expiry - t.IssuedAt, t.Scope, t.ID, t.Audience}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "export DOORSTEP_TOKEN=%s\n\n", out.Token)
		row(w, "id", out.ID)
		row(w, "scope", out.Scope)
		row(w, "expires", time.Unix(t.Expiry, 0).UTC().Format(time.RFC3339))
		// Not in an argument of curl's: those are there for everybody on the machine to see.
		fmt.Fprintf(w, "\nSet it as above, then:\n  printf 'Authorization: Bearer %%s' \"$DOORSTEP_TOKEN\" | curl -H @- %s\n", trial(out.API, strings.Fields(out.Scope)))
	})
}

// trial is the rest of a curl line that these scopes are enough for.
func trial(api string, scopes []string) string {
	const sends = "-H 'Content-Type: application/json' -d '"
	for _, do := range []struct{ scope, before, path string }{
		{clients.ScopeClientsRead, "", "/clients"}, {clients.ScopeResourcesRead, "", "/resources"}, {clients.ScopeKeysRead, "", "/keys"},
		{clients.ScopeClientsWrite, sends + `{"client_name": "My app", "redirect_uris": ["https://app.example.com/callback"]}' `, "/clients"},
		{clients.ScopeResourcesWrite, sends + `{"audience": "https://api.example.com", "scopes": ["orders:read"]}' `, "/resources"},
	} {
		if slices.Contains(scopes, do.scope) {
			return do.before + api + do.path
		}
	}
	return api + "/openapi.json"
}
