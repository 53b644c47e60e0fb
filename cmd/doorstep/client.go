package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) clientCommand() *cobra.Command {
	list := &cobra.Command{
		Use:     "list",
		Short:   "List clients",
		Example: "  doorstep client list -o json",
		Args:    cobra.NoArgs,
		RunE:    a.inHouse(a.listClients),
	}
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a client, without its secret",
		Example: "  doorstep client show shop",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			c, err := s.Clients.Show(ctx, args[0])
			if err != nil {
				return notFound(err, "client", args[0])
			}
			return a.printClient(c, "")
		}),
	}
	remove := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete a client, its consents and its grants",
		Example: "  doorstep client delete shop",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return notFound(s.Clients.Delete(ctx, args[0], events.ActorOperator), "client", args[0])
		}),
	}
	create := a.createClientCommand()
	update := a.updateClientCommand()
	all := []*cobra.Command{create, list, show, update, a.rotateSecretCommand(), remove}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("client", "Register the applications that people sign in to", all...)
}

// clientFlags are the short way to write a client's metadata.
type clientFlags struct {
	file, id, name, owner, kind, scope string
	redirects, signedOut               []string
	backchannel                        string
	firstParty                         bool
}

func (a *app) createClientCommand() *cobra.Command {
	var in clientFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Register a client and print it with its secret, once",
		Long: `Register a client and print it with its secret. The secret is shown this once.

--file takes client metadata as JSON with the names of RFC 7591 and OpenID Connect
Registration, and first_party, require_pkce, owner and client_id. The other flags
are a short way to write the commonest of it.

Types: web (an application with a server of its own), spa (one that runs in the
browser), native (on a phone or a desktop), service (nobody signs in).`,
		Example: `  doorstep client create --id shop --name "Car shop" --redirect-uri https://shop.example.com/callback --scope "openid email"
  doorstep client create --name "Night job" --type service --scope reports:write
  doorstep client create --file - < client.json`,
		Args: cobra.NoArgs,
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			registration, err := a.registration(&in)
			if err != nil {
				return err
			}
			c, secret, err := s.Clients.Create(ctx, registration, events.ActorOperator)
			if err != nil {
				return err
			}
			return a.printClient(c, secret)
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&in.file, "file", "f", "", "JSON file with the client's metadata; - is stdin")
	flags.StringVar(&in.id, "id", "", "client_id (default: random)")
	flags.StringVar(&in.name, "name", "", "what people see it called")
	flags.StringVar(&in.owner, "owner", "", "group that it belongs to")
	flags.StringVar(&in.kind, "type", "web", "web, spa, native or service")
	flags.StringArrayVar(&in.redirects, "redirect-uri", nil, "where people come back to (repeatable)")
	flags.StringArrayVar(&in.signedOut, "post-logout-redirect-uri", nil, "where people come back to after signing out (repeatable)")
	flags.StringVar(&in.backchannel, "backchannel-logout-uri", "", "where its server is told that somebody signed out")
	flags.StringVar(&in.scope, "scope", "", "scopes that it may ask for, separated by spaces")
	flags.BoolVar(&in.firstParty, "first-party", false, "it is ours: do not ask people for consent")
	for _, short := range []string{"id", "name", "owner", "type", "redirect-uri", "post-logout-redirect-uri", "backchannel-logout-uri", "scope", "first-party"} {
		cmd.MarkFlagsMutuallyExclusive("file", short)
	}
	must(cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"web", "spa", "native", "service"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// registration is what the flags say.
func (a *app) registration(in *clientFlags) (clients.Registration, error) {
	if in.file != "" {
		text, err := a.readInput(in.file)
		if err != nil {
			return clients.Registration{}, err
		}
		return clients.DecodeRegistration(bytes.NewReader(text))
	}
	r := clients.Registration{ClientID: in.id, Name: in.name, Owner: in.owner}
	r.RedirectURIs, r.PostLogoutRedirectURIs, r.BackchannelLogoutURI = in.redirects, in.signedOut, in.backchannel
	r.Scope, r.FirstParty = in.scope, in.firstParty
	r.GrantTypes = []string{"authorization_code", "refresh_token"}
	switch in.kind {
	case "web":
	case "spa":
		r.TokenEndpointAuthMethod = "none"
	case "native":
		r.TokenEndpointAuthMethod, r.ApplicationType = "none", "native"
	case "service":
		r.GrantTypes = []string{"client_credentials"}
	default:
		return r, &usageError{fmt.Sprintf("--type: %q is not one of web, spa, native, service", in.kind)}
	}
	return r, nil
}

func (a *app) updateClientCommand() *cobra.Command {
	var (
		file        string
		newSubjects bool
	)
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a client's metadata by a JSON merge patch",
		Long: `Change a client's metadata by a JSON merge patch (RFC 7396): members that are
given replace, null removes, the rest stays. A list is replaced as a whole.

A client with a secret moves to keys by token_endpoint_auth_method private_key_jwt
and its jwks; its secrets are gone then.

What would give everybody another subject (another subject_type, or for a pairwise
client another host to make its subjects of) is refused without --new-subjects: the
client will take those who come back for strangers. Nothing is lost here by it, and
undoing the change brings the old subjects back.`,
		Example: `  echo '{"redirect_uris": ["https://shop.example.com/callback"]}' | doorstep client update shop --file -
  echo '{"subject_type": "pairwise"}' | doorstep client update shop --file - --new-subjects`,
		Args: cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			patch, err := a.readInput(file)
			if err != nil {
				return err
			}
			var meant []clients.Knowingly
			if newSubjects {
				meant = append(meant, clients.NewSubjects)
			}
			c, err := s.Clients.Update(ctx, args[0], patch, events.ActorOperator, meant...)
			if err != nil {
				return notFound(err, "client", args[0])
			}
			return a.printClient(c, "")
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON file with the patch; - is stdin")
	cmd.Flags().BoolVar(&newSubjects, "new-subjects", false, "the client is to know everybody by another subject")
	must(cmd.MarkFlagRequired("file"))
	return cmd
}

func (a *app) rotateSecretCommand() *cobra.Command {
	overlap := 24 * time.Hour
	cmd := &cobra.Command{
		Use:   "rotate-secret ID",
		Short: "Give a client another secret, which the old one outlives for a while",
		Long: `Give a client another secret and print it. The new one is shown this once, and is
taken by every server within 5 s. The old one is taken until the overlap ends, so that
the client can be told in its time; with --overlap 0 it ends now. At most two live:
rotated again within the overlap, the oldest ends now.`,
		Example: "  doorstep client rotate-secret shop\n  doorstep client rotate-secret shop --overlap 72h\n  doorstep client rotate-secret shop --overlap 0   # the old one has leaked",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			c, secret, err := s.Clients.RotateSecret(ctx, args[0], overlap, events.ActorOperator)
			if err != nil {
				return notFound(err, "client", args[0])
			}
			return a.printClient(c, secret)
		}),
	}
	cmd.Flags().DurationVar(&overlap, "overlap", overlap, "how long the old one is taken beside the new one, at most 2160h")
	return cmd
}

func (a *app) listClients(ctx context.Context, s *provider.Services, _ []string) error {
	all, err := s.Clients.List(ctx)
	if err != nil {
		return err
	}
	views := make([]clients.View, 0, len(all))
	for i := range all {
		views = append(views, clients.NewView(&all[i], ""))
	}
	return a.print(views, func(w io.Writer) {
		row(w, "ID", "NAME", "OWNER", "GRANTS", "SCOPE")
		for _, v := range views {
			row(w, v.ClientID, v.Name, v.Owner, strings.Join(v.GrantTypes, ","), v.Scope)
		}
	})
}

func (a *app) printClient(c *storage.Client, secret string) error {
	view := clients.NewView(c, secret)
	return a.print(view, func(w io.Writer) {
		row(w, "client_id", view.ClientID)
		if secret != "" {
			row(w, "client_secret", secret+"  (shown this once)")
		}
		for _, kept := range view.Secrets {
			row(w, "secret_created_at", lifeOf(kept))
		}
		row(w, "client_name", view.Name)
		row(w, "owner", view.Owner)
		row(w, "application_type", view.ApplicationType)
		row(w, "token_endpoint_auth_method", view.TokenEndpointAuthMethod)
		for _, key := range clients.KeysOf(c) {
			row(w, "jwks", key)
		}
		row(w, "grant_types", strings.Join(view.GrantTypes, " "))
		row(w, "scope", view.Scope)
		row(w, "subject_type", view.SubjectType)
		row(w, "redirect_uris", strings.Join(view.RedirectURIs, " "))
		row(w, "post_logout_redirect_uris", strings.Join(view.PostLogoutRedirectURIs, " "))
		row(w, "first_party", strconv.FormatBool(view.FirstParty))
		row(w, "require_pkce", strconv.FormatBool(view.RequirePKCE))
		row(w, "created_at", show(moment(c.CreatedAt)))
		row(w, "disabled_at", show(moment(c.DisabledAt)))
	})
}

// lifeOf says when a secret was made, and when it ends.
func lifeOf(kept clients.SecretView) string {
	at := func(seconds int64) string { return show(moment(storage.At(time.Unix(seconds, 0)))) }
	if kept.ExpiresAt == 0 {
		return at(kept.CreatedAt)
	}
	return at(kept.CreatedAt) + ", ends " + at(kept.ExpiresAt)
}
