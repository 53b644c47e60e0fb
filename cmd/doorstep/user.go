package main

import (
	"context"
	"errors"
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
	list := &cobra.Command{
		Use:     "list",
		Short:   "List people",
		Example: "  doorstep user list -o json",
		Args:    cobra.NoArgs,
		RunE:    a.inHouse(a.listUsers),
	}
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
	create := a.createUserCommand()
	update := a.updateUserCommand()
	setPassword := a.setPasswordCommand()
	all := []*cobra.Command{create, list, show, update, disable, setPassword}
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
			if err := createPerson(ctx, s, person, password); err != nil {
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

// createPerson adds a person with a password, or without one if it is "": both or
// neither.
func createPerson(ctx context.Context, s *provider.Services, in directory.NewPerson, password string) error {
	if password != "" {
		// Before there is a person: Set finds their address only once it is written.
		if err := s.Passwords.Check(password, in.Email); err != nil {
			return err
		}
	}
	return s.Store.Together(ctx, func(ctx context.Context) error {
		person, err := s.Directory.Create(ctx, in, events.ActorOperator)
		if err != nil || password == "" {
			return err
		}
		return s.Passwords.Set(ctx, person, password, events.ActorOperator)
	})
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

func (a *app) listUsers(ctx context.Context, s *provider.Services, _ []string) error {
	const page = 200
	out := []printedUser{}
	for last := storage.ID(""); ; {
		entries, err := s.Directory.List(ctx, last, page)
		if err != nil {
			return err
		}
		for i := range entries {
			u, err := newPrintedUser(ctx, s, &entries[i])
			if err != nil {
				return err
			}
			out = append(out, u)
		}
		if len(entries) < page {
			break
		}
		last = entries[page-1].ID
	}
	return a.print(out, func(w io.Writer) {
		row(w, "ID", "EMAIL", "NAME", "CREATED", "DISABLED")
		for _, u := range out {
			row(w, u.ID, strings.Join(u.Emails, ","), u.Name, show(u.Created), show(u.Disabled))
		}
	})
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

func newPrintedUser(ctx context.Context, s *provider.Services, e *directory.Entry) (printedUser, error) {
	u := printedUser{
		ID: string(e.ID), Sub: e.Sub, Emails: []string{}, Name: e.Name, Locale: e.Locale, Claims: e.Claims.V,
		Created: moment(e.CreatedAt), Disabled: moment(e.DisabledAt),
	}
	for _, i := range e.Identifiers {
		u.Emails = append(u.Emails, i.Display)
	}
	_, err := s.Store.PasswordOf(ctx, e.ID)
	u.Password = err == nil
	if errors.Is(err, storage.ErrNotFound) {
		err = nil
	}
	return u, err
}

// printUser prints the person whom key names: an address or an id.
func (a *app) printUser(ctx context.Context, s *provider.Services, key string) error {
	entry, err := s.Directory.Show(ctx, key)
	if err != nil {
		return notFound(err, "person", key)
	}
	u, err := newPrintedUser(ctx, s, entry)
	if err != nil {
		return err
	}
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
