package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/storage"
)

// clientAt is a client's path in the API.
func clientAt(id string) string { return "/clients/" + url.PathEscape(id) }

func (a *app) clientCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a client, without its secret",
		Example: "  doorstep client show shop",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			var c api.Client
			if err := o.get(ctx, clientAt(args[0]), &c); err != nil {
				return notFound(err, "client", args[0])
			}
			return a.printClient(&c)
		}),
	}
	disable := &cobra.Command{
		Use:   "disable ID",
		Short: "Disable a client, with its tokens, until it is enabled again",
		Long: `Disable a client: within 5 s it is unknown to every endpoint. Its access tokens are
revoked for good; its grants wait until it is enabled again.`,
		Example: "  doorstep client disable shop",
		Args:    cobra.ExactArgs(1),
		RunE:    a.onAPI(a.changeClient("/disable")),
	}
	enable := &cobra.Command{
		Use:     "enable ID",
		Short:   "Enable a client that was disabled",
		Example: "  doorstep client enable shop",
		Args:    cobra.ExactArgs(1),
		RunE:    a.onAPI(a.changeClient("/enable")),
	}
	remove := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete a client, its consents and its grants",
		Example: "  doorstep client delete shop",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return notFound(o.remove(ctx, clientAt(args[0])), "client", args[0])
		}),
	}
	update, rotate := a.updateClientCommand(), a.rotateSecretCommand()
	try := a.tryClientCommand()
	for _, cmd := range []*cobra.Command{show, try, update, rotate, disable, enable, remove} {
		a.completes(cmd, clientIDs)
	}
	all := []*cobra.Command{a.createClientCommand(), a.listClientsCommand(), show, try, update, rotate, disable, enable, remove}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("client", "Register the applications that people sign in to", all...)
}

// changeClient does what the API has at this path below a client.
func (a *app) changeClient(below string) func(context.Context, *operators, []string) error {
	return func(ctx context.Context, o *operators, args []string) error {
		var c api.Client
		if err := o.post(ctx, clientAt(args[0])+below, nil, &c); err != nil {
			return notFound(err, "client", args[0])
		}
		return a.printClient(&c)
	}
}

// clientFlags are the short way to write a client's metadata.
type clientFlags struct {
	file, id, name, owner, kind, scope string
	snippet                            string
	redirects, signedOut               []string
	apple, android                     []string
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
browser), native (on a phone or a desktop), service (nobody signs in).

At a terminal it asks for the name and the redirect that no flag gave. --snippet prints
a whole program in the place of the client: it runs as it is, with the secret in it.`,
		Example: `  doorstep client create --type web
  doorstep client create --type web --snippet node > app.mjs
  doorstep client create --id shop --name "Car shop" --redirect-uri https://shop.example.com/callback --scope "openid email"
  doorstep client create --name "Night job" --type service --scope reports:write
  doorstep client create --file - < client.json`,
		Args: cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error { return a.createClient(ctx, o, &in) }),
	}
	flags := cmd.Flags()
	flags.StringVarP(&in.file, "file", "f", "", "JSON file with the client's metadata; - is stdin")
	flags.StringVar(&in.id, "id", "", "client_id (default: random)")
	flags.StringVar(&in.name, "name", "", "what people see it called")
	flags.StringVar(&in.owner, "owner", "", "group that it belongs to")
	flags.StringVar(&in.kind, "type", "web", "web, spa, native or service")
	flags.StringArrayVar(&in.redirects, "redirect-uri", nil, "where people come back to (repeatable)")
	flags.StringArrayVar(&in.signedOut, "post-logout-redirect-uri", nil, "where people come back to after signing out (repeatable)")
	flags.StringArrayVar(&in.apple, "apple-app-id", nil, "team and bundle of an app of its own, as ABCDE12345.com.example.cars (repeatable)")
	flags.StringArrayVar(&in.android, "android-app", nil, "package of an app of its own, = and SHA-256 of its certificate (repeatable)")
	flags.StringVar(&in.backchannel, "backchannel-logout-uri", "", "where its server is told that somebody signed out")
	flags.StringVar(&in.scope, "scope", "", "scopes that it may ask for, separated by spaces")
	flags.BoolVar(&in.firstParty, "first-party", false, "it is ours: do not ask people for consent")
	flags.StringVar(&in.snippet, "snippet", "", "print a whole program in the place of the client: "+strings.Join(languages, ", "))
	for _, short := range []string{"snippet", "id", "name", "owner", "type", "redirect-uri", "post-logout-redirect-uri", "apple-app-id", "android-app", "backchannel-logout-uri", "scope", "first-party"} {
		cmd.MarkFlagsMutuallyExclusive("file", short)
	}
	a.completesFlag(cmd, "owner", groupNames)
	must(cmd.RegisterFlagCompletionFunc("snippet", cobra.FixedCompletions(languages, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"web", "spa", "native", "service"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (a *app) createClient(ctx context.Context, o *operators, in *clientFlags) error {
	if err := in.checkSnippet(a.output); err != nil {
		return err
	}
	if err := a.askFor(in); err != nil {
		return err
	}
	registration, err := a.registration(in)
	if err != nil {
		return err
	}
	var c api.Client
	if in.snippet == "" {
		if err := o.post(ctx, "/clients", registration, &c); err != nil {
			return err
		}
		return a.printClient(&c)
	}
	// A program that could not be written would leave a client behind.
	var planned api.Client
	if err := json.Unmarshal(registration, &planned); err != nil {
		return err
	}
	if _, err := newSnippet(o.issuer(), &planned); err != nil {
		return err
	}
	if err := o.post(ctx, "/clients", registration, &c); err != nil {
		return err
	}
	program, err := newSnippet(o.issuer(), &c)
	if err != nil {
		return err
	}
	return program.write(a.stdout, in.snippet)
}

// registration is what the flags say, as JSON.
func (a *app) registration(in *clientFlags) ([]byte, error) {
	if in.file != "" {
		return a.readInput(in.file)
	}
	r := map[string]any{"first_party": in.firstParty, "grant_types": []string{"authorization_code", "refresh_token"}}
	switch in.kind {
	case "web":
	case "spa":
		r["token_endpoint_auth_method"] = "none"
	case "native":
		r["token_endpoint_auth_method"], r["application_type"] = "none", "native"
	case "service":
		r["grant_types"] = []string{"client_credentials"}
	default:
		return nil, &usageError{fmt.Sprintf("--type: %q is not one of web, spa, native, service", in.kind)}
	}
	for name, text := range map[string]string{
		"client_id": in.id, "client_name": in.name, "owner": in.owner, "scope": in.scope, "backchannel_logout_uri": in.backchannel,
	} {
		if text != "" {
			r[name] = text
		}
	}
	for name, list := range map[string][]string{
		"redirect_uris": in.redirects, "post_logout_redirect_uris": in.signedOut, "apple_app_ids": in.apple,
	} {
		if len(list) > 0 {
			r[name] = list
		}
	}
	if len(in.android) > 0 {
		apps, err := androidApps(in.android)
		if err != nil {
			return nil, err
		}
		r["android_apps"] = apps
	}
	return json.Marshal(r)
}

// androidApps is what --android-app says: a package that is there twice has two
// certificates.
func androidApps(flags []string) ([]storage.AndroidApp, error) {
	var apps []storage.AndroidApp
	for _, flag := range flags {
		name, sum, ok := strings.Cut(flag, "=")
		if !ok {
			return nil, &usageError{fmt.Sprintf("--android-app: %q has no =: write com.example.cars=AB:CD:...", flag)}
		}
		i := slices.IndexFunc(apps, func(app storage.AndroidApp) bool { return app.Package == name })
		if i < 0 {
			i, apps = len(apps), append(apps, storage.AndroidApp{Package: name})
		}
		apps[i].Fingerprints = append(apps[i].Fingerprints, sum)
	}
	return apps, nil
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
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			patch, err := a.readInput(file)
			if err != nil {
				return err
			}
			path := clientAt(args[0])
			if newSubjects {
				path += "?new_subjects=true"
			}
			var c api.Client
			if err := o.patch(ctx, path, patch, &c); err != nil {
				return notFound(err, "client", args[0])
			}
			return a.printClient(&c)
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
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			seconds := int64(wholeSeconds(overlap) / time.Second)
			var c api.Client
			if err := o.post(ctx, clientAt(args[0])+"/rotate-secret", api.SecretRotation{Overlap: &seconds}, &c); err != nil {
				return notFound(err, "client", args[0])
			}
			return a.printClient(&c)
		}),
	}
	cmd.Flags().DurationVar(&overlap, "overlap", overlap, "how long the old one is taken beside the new one, at most 2160h")
	return cmd
}

func (a *app) listClientsCommand() *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List clients, by their ids",
		Example: "  doorstep client list -o json\n  doorstep client list --limit 200",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			some, next, err := readPage[api.Client](ctx, o, "/clients", nil, &page)
			if err != nil {
				return err
			}
			return a.printPage(some, next, func(w io.Writer) {
				row(w, "ID", "NAME", "OWNER", "GRANTS", "SCOPE", "DISABLED")
				for _, c := range some {
					row(w, c.ClientID, c.Name, c.Owner, strings.Join(c.GrantTypes, ","), c.Scope, showSeconds(c.DisabledAt))
				}
			})
		}),
	}
	page.add(cmd)
	return cmd
}

func (a *app) printClient(c *api.Client) error {
	return a.print(c, func(w io.Writer) {
		row(w, "client_id", c.ClientID)
		if c.Secret != "" {
			row(w, "client_secret", c.Secret+"  (shown this once)")
		}
		for _, kept := range c.Secrets {
			row(w, "secret_created_at", lifeOf(kept))
		}
		row(w, "client_name", c.Name)
		row(w, "owner", c.Owner)
		row(w, "application_type", c.ApplicationType)
		row(w, "token_endpoint_auth_method", c.TokenEndpointAuthMethod)
		for _, key := range clients.KeysOf(&c.ClientMetadata) {
			row(w, "jwks", key)
		}
		row(w, "grant_types", strings.Join(c.GrantTypes, " "))
		row(w, "scope", c.Scope)
		row(w, "subject_type", c.SubjectType)
		row(w, "redirect_uris", strings.Join(c.RedirectURIs, " "))
		row(w, "post_logout_redirect_uris", strings.Join(c.PostLogoutRedirectURIs, " "))
		for _, id := range c.AppleAppIDs {
			row(w, "apple_app_ids", id)
		}
		for _, app := range c.AndroidApps {
			row(w, "android_apps", app.Package+" "+strings.Join(app.Fingerprints, " "))
		}
		row(w, "first_party", strconv.FormatBool(c.FirstParty))
		row(w, "require_pkce", strconv.FormatBool(c.RequirePKCE))
		row(w, "created_at", showSeconds(c.IssuedAt))
		row(w, "disabled_at", showSeconds(c.DisabledAt))
	})
}

// showSeconds is a moment in Unix seconds as text, "" for 0: it never was.
func showSeconds(unix int64) string {
	if unix == 0 {
		return ""
	}
	return show(moment(storage.At(time.Unix(unix, 0))))
}

// lifeOf says when a secret was made, and when it ends.
func lifeOf(kept clients.SecretView) string {
	if kept.ExpiresAt == 0 {
		return showSeconds(kept.CreatedAt)
	}
	return showSeconds(kept.CreatedAt) + ", ends " + showSeconds(kept.ExpiresAt)
}
