package main

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

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
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			text, err := a.readInput(file)
			if err != nil {
				return err
			}
			in, err := clients.DecodeResource(bytes.NewReader(text))
			if err != nil {
				return err
			}
			r, err := s.Clients.CreateResource(ctx, in, events.ActorOperator)
			if err != nil {
				return err
			}
			return a.printResource(r)
		}),
	}
	create.Flags().StringVarP(&file, "file", "f", "", "JSON file with the resource; - is stdin")
	must(create.MarkFlagRequired("file"))
	list := &cobra.Command{
		Use:     "list",
		Short:   "List resources",
		Example: "  doorstep resource list -o json",
		Args:    cobra.NoArgs,
		RunE:    a.inHouse(a.listResources),
	}
	show := &cobra.Command{
		Use:     "show AUDIENCE",
		Short:   "Show a resource",
		Example: "  doorstep resource show https://api.example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			r, err := s.Clients.ShowResource(ctx, args[0])
			if err != nil {
				return notFound(err, "resource", args[0])
			}
			return a.printResource(r)
		}),
	}
	remove := &cobra.Command{
		Use:     "delete AUDIENCE",
		Short:   "Delete a resource that no client has a scope of: no more tokens are made for it",
		Example: "  doorstep resource delete https://api.example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return notFound(s.Clients.DeleteResource(ctx, args[0], events.ActorOperator), "resource", args[0])
		}),
	}
	all := []*cobra.Command{create, list, show, remove}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("resource", "Register the APIs that access tokens are made for", all...)
}

func (a *app) listResources(ctx context.Context, s *provider.Services, _ []string) error {
	all, err := s.Clients.ListResources(ctx)
	if err != nil {
		return err
	}
	out := make([]clients.ResourceView, 0, len(all))
	for i := range all {
		out = append(out, clients.NewResourceView(&all[i]))
	}
	return a.print(out, func(w io.Writer) {
		row(w, "AUDIENCE", "NAME", "OWNER", "SCOPES")
		for _, r := range out {
			row(w, r.Audience, r.Name, r.Owner, strings.Join(r.Scopes, " "))
		}
	})
}

func (a *app) printResource(r *storage.Resource) error {
	out := clients.NewResourceView(r)
	return a.print(out, func(w io.Writer) {
		row(w, "audience", out.Audience)
		row(w, "name", out.Name)
		row(w, "owner", out.Owner)
		row(w, "scopes", strings.Join(out.Scopes, " "))
		row(w, "introspects", strings.Join(out.Introspects, " "))
		row(w, "format", out.Format)
		row(w, "algorithm", out.Algorithm)
		row(w, "lifetime", strconv.FormatInt(out.Lifetime, 10))
	})
}
