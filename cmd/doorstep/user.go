package main

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) userCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "show EMAIL",
		Short:   "Show a person",
		Example: "  doorstep user show ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return a.printUser(ctx, s, args[0])
		}),
	}
	disable := &cobra.Command{
		Use:     "disable EMAIL",
		Short:   "Close a person's account: end their sessions and revoke their grants",
		Example: "  doorstep user disable ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			if _, err := s.Directory.Disable(ctx, args[0], events.ActorOperator); err != nil {
				return notFound(err, "person with an open account", args[0])
			}
			return a.printUser(ctx, s, args[0])
		}),
	}
	enable := &cobra.Command{
		Use:     "enable EMAIL",
		Short:   "Open a person's account again; they sign in anew",
		Example: "  doorstep user enable ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			if _, err := s.Directory.Enable(ctx, args[0], events.ActorOperator); err != nil {
				return notFound(err, "person with a closed account", args[0])
			}
			return a.printUser(ctx, s, args[0])
		}),
	}
	create := a.createUserCommand()
	update := a.updateUserCommand()
	setPassword := a.setPasswordCommand()
	all := []*cobra.Command{create, a.listUsersCommand(), show, update, disable, enable, setPassword, a.deleteUserCommand()}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("user", "Look after the people who sign in", all...)
}

func (a *app) createUserCommand() *cobra.Command {
	var (
		person        directory.NewPerson
		file          string
		passwordStdin bool
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Add a person; their address is taken as verified",
		Long: `Add a person. Their address is taken as verified: the operator answers for it.
Without a password they cannot sign in until 'doorstep user set-password'.

--file takes all that may be told about them as JSON with the names of OpenID Connect:
email, name, given_name, family_name, middle_name, nickname, preferred_username, profile,
picture, website, gender, birthdate, zoneinfo, locale, phone_number,
phone_number_verified, and address, which is an object. The other flags are a short way
to write the commonest of it.`,
		Example: `  doorstep user create --email ada@example.com --name "Ada Lovelace" --password-stdin < password.txt
  doorstep user create --file ada.json --password-stdin < password.txt`,
		Args: cobra.NoArgs,
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			if file == "-" && passwordStdin {
				return &usageError{"--file - and --password-stdin both read stdin: put one of them into a file"}
			}
			if file != "" {
				text, err := a.readInput(file)
				if err != nil {
					return err
				}
				if person, err = directory.Decode(text); err != nil {
					return err
				}
			}
			var password string
			if passwordStdin {
				var err error
				if password, err = a.readPassword(); err != nil {
					return err
				}
			}
			person.Verified = true
			if _, err := s.CreatePerson(ctx, person, password, events.ActorOperator); err != nil {
				return err
			}
			return a.printUser(ctx, s, person.Email)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&person.Email, "email", "", "address that they sign in with")
	flags.StringVar(&person.Name, "name", "", "what they are called")
	flags.StringVar(&person.Locale, "locale", "", "language that they read (BCP 47: sv, es-MX)")
	flags.StringVarP(&file, "file", "f", "", "JSON file with the person; - is stdin")
	flags.BoolVar(&passwordStdin, "password-stdin", false, "read their password from stdin")
	cmd.MarkFlagsOneRequired("email", "file")
	for _, short := range []string{"email", "name", "locale"} {
		cmd.MarkFlagsMutuallyExclusive("file", short)
	}
	return cmd
}

func (a *app) updateUserCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "update EMAIL",
		Short: "Change what may be told about a person, by a JSON merge patch",
		Long: `Change what may be told about a person by a JSON merge patch (RFC 7396): members that
are given replace, null removes, the rest stays. The names are those of 'doorstep user
create --file'; their address cannot be changed.`,
		Example: `  echo '{"phone_number": "+4670123456", "address": {"locality": "Uppsala"}}' | doorstep user update ada@example.com --file -`,
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			patch, err := a.readInput(file)
			if err != nil {
				return err
			}
			if _, err := s.Directory.Update(ctx, args[0], patch, events.ActorOperator); err != nil {
				return notFound(err, "person", args[0])
			}
			return a.printUser(ctx, s, args[0])
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON file with the patch; - is stdin")
	must(cmd.MarkFlagRequired("file"))
	return cmd
}

func (a *app) deleteUserCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete EMAIL",
		Short: "Erase a person, for good",
		Long: `Erase a person with all that is theirs: addresses, password, sessions, grants, consents,
memberships and history. Clients that they are signed in to are told. Nothing undoes it:
whoever gets an account with their address is somebody else, with another subject.`,
		Example: "  doorstep user delete ada@example.com --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			if !yes {
				return &usageError{"nothing undoes it: say --yes"}
			}
			return notFound(s.Directory.Delete(ctx, args[0], events.ActorOperator), "person", args[0])
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func (a *app) setPasswordCommand() *cobra.Command {
	var passwordStdin bool
	cmd := &cobra.Command{
		Use:   "set-password EMAIL",
		Short: "Give a person a new password, and sign them out everywhere",
		Long: `Give a person a new password. If they had one, their sessions end and their grants are
revoked: whoever got in with the old one is out.`,
		Example: "  doorstep user set-password ada@example.com --password-stdin < password.txt",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			password, err := a.readPassword()
			if err != nil {
				return err
			}
			entry, err := s.Directory.Show(ctx, args[0])
			if err != nil {
				return notFound(err, "person", args[0])
			}
			return s.Passwords.Set(ctx, &entry.Person, password, events.ActorOperator)
		}),
	}
	cmd.Flags().BoolVar(&passwordStdin, "password-stdin", false, "read the password from stdin, the one way there is")
	must(cmd.MarkFlagRequired("password-stdin"))
	return cmd
}

func (a *app) listUsersCommand() *cobra.Command {
	var (
		search string
		page   pageFlags
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List people, or find them by an address",
		Long: `List people, the oldest account first, or with --search those whose address begins so,
by address.`,
		Example: "  doorstep user list -o json\n  doorstep user list --search ada@",
		Args:    cobra.NoArgs,
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
			p, err := page.page()
			if err != nil {
				return err
			}
			list, err := s.Directory.List(ctx, search, p)
			if err != nil {
				return page.explain(err)
			}
			out, err := newPrintedUsers(ctx, s, list.Items)
			if err != nil {
				return err
			}
			return a.printPage(out, list.Next, func(w io.Writer) {
				row(w, "ID", "EMAIL", "NAME", "CREATED", "DISABLED")
				for _, u := range out {
					row(w, u.ID, strings.Join(u.Emails, ","), u.Name, show(u.Created), show(u.Disabled))
				}
			})
		}),
	}
	cmd.Flags().StringVar(&search, "search", "", "an address, or how it begins")
	page.add(cmd)
	return cmd
}

type printedUser struct {
	ID       string      `json:"id"`  // as events and 'doorstep user' know them
	Sub      string      `json:"sub"` // as clients know them
	Emails   []string    `json:"emails"`
	Name     string      `json:"name,omitempty"`
	Locale   string      `json:"locale,omitempty"`
	Claims   storage.Raw `json:"claims,omitempty"` // OpenID Connect's, beside name and locale
	Password bool        `json:"has_password"`
	Created  *string     `json:"created_at"`
	Disabled *string     `json:"disabled_at"`
}

// newPrintedUsers asks once which of them have a password.
func newPrintedUsers(ctx context.Context, s *provider.Services, entries []directory.Entry) ([]printedUser, error) {
	ids := make([]storage.ID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	have, err := s.Store.HavePasswords(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]printedUser, 0, len(entries))
	for _, e := range entries {
		u := printedUser{
			ID: string(e.ID), Sub: e.Sub, Emails: []string{}, Name: e.Name, Locale: e.Locale, Claims: e.Claims.V, Password: have[e.ID],
			Created: moment(e.CreatedAt), Disabled: moment(e.DisabledAt),
		}
		for _, i := range e.Identifiers {
			u.Emails = append(u.Emails, i.Display)
		}
		out = append(out, u)
	}
	return out, nil
}

// printUser prints the person whom key names: an address or an id.
func (a *app) printUser(ctx context.Context, s *provider.Services, key string) error {
	entry, err := s.Directory.Show(ctx, key)
	if err != nil {
		return notFound(err, "person", key)
	}
	one, err := newPrintedUsers(ctx, s, []directory.Entry{*entry})
	if err != nil {
		return err
	}
	u := one[0]
	return a.print(u, func(w io.Writer) {
		row(w, "id", u.ID)
		row(w, "sub", u.Sub)
		row(w, "emails", strings.Join(u.Emails, " "))
		row(w, "name", u.Name)
		row(w, "locale", u.Locale)
		row(w, "claims", string(u.Claims))
		row(w, "has_password", strconv.FormatBool(u.Password))
		row(w, "created_at", show(u.Created))
		row(w, "disabled_at", show(u.Disabled))
	})
}
