package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) groupCommand() *cobra.Command {
	remove := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a group that owns nothing",
		Long: `Delete a group, and with it who is in it. One that owns clients or resources stays
until they have another owner, and operators stays always.`,
		Example: "  doorstep group delete shop-team",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return notFound(s.Directory.DeleteGroup(ctx, args[0], events.ActorOperator), "group", args[0])
		}),
	}
	add := &cobra.Command{
		Use:   "add NAME PERSON",
		Short: "Put a person into a group",
		Long: `Put a person, named by their address, public subject or id, into a group. Clients with
the scope groups are told of it with the next token.`,
		Example: "  doorstep group add operators ada@example.com",
		Args:    cobra.ExactArgs(2),
		RunE:    a.inHouse(a.changeMembers(func(s *provider.Services) changeMember { return s.Directory.AddMember })),
	}
	take := &cobra.Command{
		Use:     "remove NAME PERSON",
		Short:   "Take a person out of a group",
		Long:    `Take a person, named by their address, public subject or id, out of a group.`,
		Example: "  doorstep group remove operators ada@example.com",
		Args:    cobra.ExactArgs(2),
		RunE:    a.inHouse(a.changeMembers(func(s *provider.Services) changeMember { return s.Directory.RemoveMember })),
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
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			g, err := s.Directory.CreateGroup(ctx, args[0], description, events.ActorOperator)
			if err != nil {
				return err
			}
			return a.printGroup(g)
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
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			g, err := s.Directory.UpdateGroup(ctx, args[0], description, events.ActorOperator)
			if err != nil {
				return notFound(err, "group", args[0])
			}
			return a.printGroup(g)
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
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			p, err := page.page()
			if err != nil {
				return err
			}
			var list storage.List[storage.Group]
			if person == "" {
				list, err = s.Directory.Groups(ctx, p)
			} else {
				list, err = s.Directory.GroupsOf(ctx, person, p)
			}
			if err != nil {
				return notFound(page.explain(err), "person", person)
			}
			out := []printedGroup{}
			for i := range list.Items {
				out = append(out, newPrintedGroup(&list.Items[i]))
			}
			return a.printPage(out, list.Next, func(w io.Writer) {
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

func newPrintedGroup(g *storage.Group) printedGroup {
	return printedGroup{g.Name, g.Description, moment(g.CreatedAt), moment(g.UpdatedAt)}
}

func (a *app) printGroup(g *storage.Group) error {
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
		Use:     "show NAME",
		Short:   "Show a group and who is in it",
		Example: "  doorstep group show operators",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			p, err := page.page()
			if err != nil {
				return err
			}
			g, err := s.Directory.Group(ctx, args[0])
			if err != nil {
				return notFound(err, "group", args[0])
			}
			list, err := s.Directory.Members(ctx, g.Name, p)
			if err != nil {
				return notFound(page.explain(err), "group", args[0])
			}
			out := struct {
				printedGroup
				Members []printedMember `json:"members"`
			}{newPrintedGroup(g), []printedMember{}}
			for _, m := range list.Items {
				out.Members = append(out.Members, printedMember{string(m.Person.ID), m.Email, m.Person.Name, moment(m.Member.CreatedAt)})
			}
			return a.printPage(out, list.Next, func(w io.Writer) {
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

type changeMember func(ctx context.Context, group, person string, by events.Actor) error

// changeMembers adds a person, or removes one, and says which of the two is not
// there.
func (a *app) changeMembers(of func(*provider.Services) changeMember) func(context.Context, *provider.Services, []string) error {
	return func(ctx context.Context, s *provider.Services, args []string) error {
		if _, err := s.Directory.Group(ctx, args[0]); err != nil {
			return notFound(err, "group", args[0])
		}
		return notFound(of(s)(ctx, args[0], args[1], events.ActorOperator), "person", args[1])
	}
}
