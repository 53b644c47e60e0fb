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

// resourceAt is a resource's path in the API.
func resourceAt(audience string) string { return "/resources/" + url.PathEscape(audience) }

func (a *app) resourceCommand() *cobra.Command {
	var file string
	create := &cobra.Command{
		Use:   "create",
		Short: "Register a resource: an API that access tokens are made for",
		Long: `Register a resource (RFC 8707): an API that access tokens are made for.

--file takes JSON: audience (an absolute URI), name, scopes (names), and optionally
owner, introspects (ids of the clients that introspect for it), format (jwt, or
opaque: only who introspects learns what such a token is worth), algorithm of JWTs
(ES256, RS256, EdDSA) and lifetime (seconds). A client whose registered
scope has one of these names gets tokens for the resource with that scope, so no two
resources have the same name.`,
		Example: `  echo '{"audience": "https://api.example.com", "name": "Orders", "scopes": ["orders:read"]}' | doorstep resource create --file -`,
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			text, err := a.readInput(file)
			if err != nil {
				return err
			}
			var r api.Resource
			if err := o.post(ctx, "/resources", text, &r); err != nil {
				return err
			}
			return a.printResource(&r)
		}),
	}
	create.Flags().StringVarP(&file, "file", "f", "", "JSON file with the resource; - is stdin")
	must(create.MarkFlagRequired("file"))
	show := &cobra.Command{
		Use:     "show AUDIENCE",
		Short:   "Show a resource",
		Example: "  doorstep resource show https://api.example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			var r api.Resource
			if err := o.get(ctx, resourceAt(args[0]), &r); err != nil {
				return notFound(err, "resource", args[0])
			}
			return a.printResource(&r)
		}),
	}
	remove := &cobra.Command{
		Use:     "delete AUDIENCE",
		Short:   "Delete a resource that no client has a scope of: no more tokens are made for it",
		Example: "  doorstep resource delete https://api.example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return notFound(o.remove(ctx, resourceAt(args[0])), "resource", args[0])
		}),
	}
	update := a.updateResourceCommand()
	for _, cmd := range []*cobra.Command{show, update, remove} {
		a.completes(cmd, audiences)
	}
	all := []*cobra.Command{create, a.listResourcesCommand(), show, update, remove}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("resource", "Register the APIs that access tokens are made for", all...)
}

func (a *app) updateResourceCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "update AUDIENCE",
		Short: "Change a resource by a JSON merge patch",
		Long: `Change a resource by a JSON merge patch (RFC 7396): members that are given replace, null
gives the default again, the rest stays. A list is replaced as a whole. The audience
cannot be changed, and a scope can only go when no client has it any more. Tokens that
were made before are as they are until they end.`,
		Example: `  echo '{"lifetime": 300}' | doorstep resource update https://api.example.com --file -`,
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			patch, err := a.readInput(file)
			if err != nil {
				return err
			}
			var r api.Resource
			if err := o.patch(ctx, resourceAt(args[0]), patch, &r); err != nil {
				return notFound(err, "resource", args[0])
			}
			return a.printResource(&r)
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON file with the patch; - is stdin")
	must(cmd.MarkFlagRequired("file"))
	return cmd
}

func (a *app) listResourcesCommand() *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List resources, by their audiences",
		Example: "  doorstep resource list -o json",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			some, next, err := readPage[api.Resource](ctx, o, "/resources", nil, &page)
			if err != nil {
				return err
			}
			return a.printPage(some, next, func(w io.Writer) {
				row(w, "AUDIENCE", "NAME", "OWNER", "SCOPES")
				for _, r := range some {
					row(w, r.Audience, r.Name, r.Owner, strings.Join(r.Scopes, " "))
				}
			})
		}),
	}
	page.add(cmd)
	return cmd
}

func (a *app) printResource(r *api.Resource) error {
	return a.print(r, func(w io.Writer) {
		row(w, "audience", r.Audience)
		row(w, "name", r.Name)
		row(w, "owner", r.Owner)
		row(w, "scopes", strings.Join(r.Scopes, " "))
		row(w, "introspects", strings.Join(r.Introspects, " "))
		row(w, "format", r.Format)
		row(w, "algorithm", r.Algorithm)
		row(w, "lifetime", strconv.FormatInt(r.Lifetime, 10))
	})
}
