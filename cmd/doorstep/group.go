package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
)

// groupAt is a group's path in the API.
func groupAt(name string) string { return "/groups/" + url.PathEscape(name) }

func (a *app) groupCommand() *cobra.Command {
	remove := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a group that owns nothing",
		Long: `Delete a group, and with it who is in it. One that owns clients or resources stays
until they have another owner, and operators stays always.`,
		Example: "  doorstep group delete shop-team",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return notFound(o.remove(ctx, groupAt(args[0])), "group", args[0])
		}),
	}
	add := &cobra.Command{
		Use:   "add NAME PERSON",
		Short: "Put a person into a group",
		Long: `Put a person, named by their address, public subject or id, into a group. Clients with
the scope groups are told of it with the next token. Who is in it already stays so.`,
		Example: "  doorstep group add operators ada@example.com",
		Args:    cobra.ExactArgs(2),
		RunE:    a.onAPI(changeMembers(http.MethodPut)),
	}
	take := &cobra.Command{
		Use:     "remove NAME PERSON",
		Short:   "Take a person out of a group",
		Long:    `Take a person, named by their address, public subject or id, out of a group.`,
		Example: "  doorstep group remove operators ada@example.com",
		Args:    cobra.ExactArgs(2),
		RunE:    a.onAPI(changeMembers(http.MethodDelete)),
	}
	show, update := a.showGroupCommand(), a.updateGroupCommand()
	for _, cmd := range []*cobra.Command{show, update, remove, add, take} {
		a.completes(cmd, groupNames)
	}
	all := []*cobra.Command{a.createGroupCommand(), a.listGroupsCommand(), show, update, remove, add, take}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("group", "Put people into groups, which own clients and are told to them", all...)
}

func (a *app) createGroupCommand() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Add a group",
		Long: `Add a group. Its name has letters a to z, digits or . _ - and never changes: clients
are told it, and what belongs to a group has it for its owner.`,
		Example: `  doorstep group create shop-team --description "Who looks after the shop"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			var g api.Group
			if err := o.post(ctx, "/groups", api.NewGroup{Name: args[0], Description: description}, &g); err != nil {
				return err
			}
			return a.printGroup(&g)
		}),
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	return cmd
}

func (a *app) updateGroupCommand() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use:     "update NAME",
		Short:   "Change what a group is said to be for",
		Example: `  doorstep group update shop-team --description "Who looks after both shops"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			patch, err := json.Marshal(map[string]string{"description": description})
			if err != nil {
				return err
			}
			var g api.Group
			if err := o.patch(ctx, groupAt(args[0]), patch, &g); err != nil {
				return notFound(err, "group", args[0])
			}
			return a.printGroup(&g)
		}),
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	must(cmd.MarkFlagRequired("description"))
	return cmd
}

func (a *app) listGroupsCommand() *cobra.Command {
	var (
		person string
		page   pageFlags
	)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List groups, or those of one person",
		Example: "  doorstep group list\n  doorstep group list --person ada@example.com -o json",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			of := ""
			if person != "" {
				var err error
				if of, err = o.userAt(ctx, person); err != nil {
					return err
				}
			}
			some, next, err := readPage[api.Group](ctx, o, of+"/groups", nil, &page)
			if err != nil {
				return notFound(err, "person", person)
			}
			out := []printedGroup{}
			for i := range some {
				out = append(out, newPrintedGroup(&some[i]))
			}
			return a.printPage(out, next, func(w io.Writer) {
				row(w, "NAME", "DESCRIPTION", "CREATED")
				for _, g := range out {
					row(w, g.Name, g.Description, show(g.Created))
				}
			})
		}),
	}
	cmd.Flags().StringVar(&person, "person", "", "whose: their address, public subject or id")
	page.add(cmd)
	return cmd
}

type printedGroup struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Created     *string `json:"created_at"`
	Updated     *string `json:"updated_at"`
}

func newPrintedGroup(g *api.Group) printedGroup {
	return printedGroup{g.Name, g.Description, momentOf(&g.CreatedAt), momentOf(&g.UpdatedAt)}
}

func (a *app) printGroup(g *api.Group) error {
	out := newPrintedGroup(g)
	return a.print(out, func(w io.Writer) { printGroupRows(w, out) })
}

func printGroupRows(w io.Writer, g printedGroup) {
	row(w, "name", g.Name)
	row(w, "description", g.Description)
	row(w, "created_at", show(g.Created))
	row(w, "updated_at", show(g.Updated))
}

type printedMember struct {
	ID    string  `json:"id"`
	Email string  `json:"email,omitempty"`
	Name  string  `json:"name,omitempty"`
	Since *string `json:"since"`
}

func (a *app) showGroupCommand() *cobra.Command {
	var page pageFlags
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a group and who is in it",
		Long: `Show a group and who is in it. With --server addresses and names are told to a token
that has the scope users:read beside groups:read.`,
		Example: "  doorstep group show operators",
		Args:    cobra.ExactArgs(1),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			var g api.Group
			if err := o.get(ctx, groupAt(args[0]), &g); err != nil {
				return notFound(err, "group", args[0])
			}
			some, next, err := readPage[api.GroupMember](ctx, o, groupAt(g.Name)+"/members", nil, &page)
			if err != nil {
				return notFound(err, "group", args[0])
			}
			out := struct {
				printedGroup
				Members []printedMember `json:"members"`
			}{newPrintedGroup(&g), []printedMember{}}
			for _, m := range some {
				out.Members = append(out.Members, printedMember{m.UserID, m.Email, m.Name, momentOf(&m.Since)})
			}
			return a.printPage(out, next, func(w io.Writer) {
				printGroupRows(w, out.printedGroup)
				for _, m := range out.Members {
					row(w, "member", m.ID, m.Email, m.Name, show(m.Since))
				}
			})
		}),
	}
	page.add(cmd)
	return cmd
}

// changeMembers puts a person into a group (PUT) or takes them out (DELETE), and says
// which of the two is not there.
func changeMembers(method string) func(context.Context, *operators, []string) error {
	return func(ctx context.Context, o *operators, args []string) error {
		who, err := o.user(ctx, args[1])
		if err != nil {
			return err
		}
		err = o.send(ctx, method, groupAt(args[0])+"/members/"+url.PathEscape(who), nil, nil)
		err = notFoundOf(err, map[string]thing{"group": {"group", args[0]}, "user_id": {"person", args[1]}})
		return notFound(err, "member", args[1])
	}
}
