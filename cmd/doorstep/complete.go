package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/storage"
)

// What completion may cost: a shell waits for it with every press of the key.
const (
	completionTime = 2 * time.Second
	completionMost = 1000 // of each, in their own order
)

// A lister returns ids of what is in a database, at most completionMost.
type lister func(ctx context.Context, store *storage.Store) ([]string, error)

// completes has the first argument of a command completed with what is there.
func (a *app) completes(cmd *cobra.Command, list lister) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(cmd, list, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// completesFlag has a flag of a command completed with what is there.
func (a *app) completesFlag(cmd *cobra.Command, flag string, list lister) {
	must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.complete(cmd, list, begun), cobra.ShellCompDirectiveNoFileComp
	}))
}

// complete returns what is in the configured database and begins so: nothing if that
// cannot be had, since nobody reads errors between two words. It makes no database, and
// changes none.
func (a *app) complete(cmd *cobra.Command, list lister, begun string) (out []string) {
	if a.remote != (remote{}) {
		return nil
	}
	cfg, err := a.load(cmd.Flags())
	if err != nil {
		return nil
	}
	if path := cfg.sqlitePath(); path != "" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	store, err := cfg.open(ctx)
	if err != nil {
		return nil
	}
	all, err := list(ctx, store)
	if errors.Join(err, store.Close()) != nil { // a schema that we do not know is among the reasons
		return nil
	}
	return slices.DeleteFunc(all, func(id string) bool { return !strings.HasPrefix(id, begun) })
}

func clientIDs(ctx context.Context, store *storage.Store) ([]string, error) {
	return paged(ctx, store.Clients, func(c *storage.Client) string { return c.ID })
}

func audiences(ctx context.Context, store *storage.Store) ([]string, error) {
	all, err := store.Resources(ctx)
	return each(all, func(r *storage.Resource) string { return r.Audience }), err
}

func groupNames(ctx context.Context, store *storage.Store) ([]string, error) {
	return paged(ctx, store.Groups, func(g *storage.Group) string { return g.Name })
}

func keyIDs(ctx context.Context, store *storage.Store) ([]string, error) {
	all, err := store.Keys(ctx)
	return each(all, func(k *storage.Key) string { return k.KID }), err
}

// paged returns the ids of a list that comes in pages.
func paged[T any](ctx context.Context, read func(context.Context, storage.Page) (storage.List[T], error), id func(*T) string) ([]string, error) {
	var out []string
	page := storage.Page{Limit: storage.MaxPage}
	for len(out) < completionMost {
		list, err := read(ctx, page)
		if err != nil {
			return nil, err
		}
		out = append(out, each(list.Items, id)...)
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	return out, nil
}

// each returns the ids of the first completionMost.
func each[T any](rows []T, id func(*T) string) []string {
	var out []string
	for i := range rows[:min(len(rows), completionMost)] {
		out = append(out, id(&rows[i]))
	}
	return out
}
