package main

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/clients"
)

func (a *app) userCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "show PERSON",
		Short:   "Show a person",
		Long:    `Show a person, named by their address, public subject or id.`,
		Example: "  doorstep user show ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.onPerson(func(ctx context.Context, o *operators, at string) error {
			return a.showUser(func(u *api.User) error { return o.get(ctx, at, u) })
		}),
	}
	disable := &cobra.Command{
		Use:     "disable PERSON",
		Short:   "Close a person's account: end their sessions and revoke their grants",
		Long:    `Close a person's account: end their sessions and revoke their grants, for good. One that is closed stays so.`,
		Example: "  doorstep user disable ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE:    a.onPerson(a.changeUser("/disable")),
	}
	enable := &cobra.Command{
		Use:     "enable PERSON",
		Short:   "Open a person's account again; they sign in anew",
		Example: "  doorstep user enable ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE:    a.onPerson(a.changeUser("/enable")),
	}
	create := a.createUserCommand()
	update := a.updateUserCommand()
	setPassword := a.setPasswordCommand()
	all := []*cobra.Command{create, a.listUsersCommand(), show, update, disable, enable, setPassword, a.listFactorsCommand(), a.removeFactorCommand(), a.liftFactorCommand(), a.listDevicesCommand(), a.forgetDeviceCommand(), a.deleteUserCommand()}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("user", "Look after the people who sign in", all...)
}

// onPerson is onAPI for a command on the person whom its one argument names: their
// address, public subject or id.
func (a *app) onPerson(f func(ctx context.Context, o *operators, at string) error) func(*cobra.Command, []string) error {
	return a.onAPI(func(ctx context.Context, o *operators, args []string) error {
		at, err := o.userAt(ctx, args[0])
		if err != nil {
			return err
		}
		return notFound(f(ctx, o, at), "person", args[0])
	})
}

// changeUser does what the API has at this path below a person.
func (a *app) changeUser(below string) func(context.Context, *operators, string) error {
	return func(ctx context.Context, o *operators, at string) error {
		return a.showUser(func(u *api.User) error { return o.post(ctx, at+below, nil, u) })
	}
}

// showUser prints the person whom the API answers with.
func (a *app) showUser(ask func(*api.User) error) error {
	var u api.User
	if err := ask(&u); err != nil {
		return err
	}
	return a.printUser(&u)
}

// newUser is what flags say of somebody who is to be added.
type newUser struct {
	email, name, locale, file string
	passwordStdin             bool
}

func (a *app) createUserCommand() *cobra.Command {
	var in newUser
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Add a person; their address is taken as verified",
		Long: `Add a person. Their address is taken as verified: the operator answers for it.
Without a password they cannot sign in until 'doorstep user set-password'.

--file takes all that may be told about them as JSON with the names of OpenID Connect:
email, name, given_name, family_name, middle_name, nickname, preferred_username, profile,
picture, website, gender, birthdate, zoneinfo, locale, phone_number,
phone_number_verified, and address, which is an object; email_verified, if it is false.
The other flags are a short way to write the commonest of it.`,
		Example: `  doorstep user create --email ada@example.com --name "Ada Lovelace" --password-stdin < password.txt
  doorstep user create --file ada.json --password-stdin < password.txt`,
		Args: cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			person, err := a.newUser(&in)
			if err != nil {
				return err
			}
			return a.showUser(func(u *api.User) error { return o.post(ctx, "/users", person, u) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&in.email, "email", "", "address that they sign in with")
	flags.StringVar(&in.name, "name", "", "what they are called")
	flags.StringVar(&in.locale, "locale", "", "language that they read (BCP 47: sv, es-MX)")
	flags.StringVarP(&in.file, "file", "f", "", "JSON file with the person; - is stdin")
	flags.BoolVar(&in.passwordStdin, "password-stdin", false, "read their password from stdin")
	cmd.MarkFlagsOneRequired("email", "file")
	for _, short := range []string{"email", "name", "locale"} {
		cmd.MarkFlagsMutuallyExclusive("file", short)
	}
	return cmd
}

// newUser is what the flags say, as JSON.
func (a *app) newUser(in *newUser) ([]byte, error) {
	if in.file == "-" && in.passwordStdin {
		return nil, &usageError{"--file - and --password-stdin both read stdin: put one of them into a file"}
	}
	person := map[string]any{}
	if in.file != "" {
		text, err := a.readInput(in.file)
		if err != nil || !in.passwordStdin {
			return text, err
		}
		if err := clients.CheckObject(text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &person); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{"email": in.email, "name": in.name, "locale": in.locale} {
		if text != "" {
			person[name] = text
		}
	}
	if in.passwordStdin {
		password, err := a.readPassword()
		if err != nil {
			return nil, err
		}
		person["password"] = password
	}
	return json.Marshal(person)
}

func (a *app) updateUserCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "update PERSON",
		Short: "Change what may be told about a person, by a JSON merge patch",
		Long: `Change what may be told about a person by a JSON merge patch (RFC 7396): members that
are given replace, null removes, the rest stays. The names are those of 'doorstep user
create --file'; their address cannot be changed.`,
		Example: `  echo '{"phone_number": "+4670123456", "address": {"locality": "Uppsala"}}' | doorstep user update ada@example.com --file -`,
		Args:    cobra.ExactArgs(1),
		RunE: a.onPerson(func(ctx context.Context, o *operators, at string) error {
			patch, err := a.readInput(file)
			if err != nil {
				return err
			}
			return a.showUser(func(u *api.User) error { return o.patch(ctx, at, patch, u) })
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON file with the patch; - is stdin")
	must(cmd.MarkFlagRequired("file"))
	return cmd
}

func (a *app) deleteUserCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete PERSON",
		Short: "Erase a person, for good",
		Long: `Erase a person with all that is theirs: addresses, password, sessions, grants, consents,
memberships and history. Clients that they are signed in to are told. Nothing undoes it:
whoever gets an account with their address is somebody else, with another subject.`,
		Example: "  doorstep user delete ada@example.com --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.onPerson(func(ctx context.Context, o *operators, at string) error {
			if !yes {
				return &usageError{"nothing undoes it: say --yes"}
			}
			return o.remove(ctx, at)
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func (a *app) setPasswordCommand() *cobra.Command {
	var passwordStdin bool
	cmd := &cobra.Command{
		Use:   "set-password PERSON",
		Short: "Give a person a new password, and sign them out everywhere",
		Long: `Give a person a new password. If they had one, their sessions end and their grants are
revoked: whoever got in with the old one is out.`,
		Example: "  doorstep user set-password ada@example.com --password-stdin < password.txt",
		Args:    cobra.ExactArgs(1),
		RunE: a.onPerson(func(ctx context.Context, o *operators, at string) error {
			password, err := a.readPassword()
			if err != nil {
				return err
			}
			return o.post(ctx, at+"/set-password", api.NewPassword{Password: password}, nil)
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
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			filters := url.Values{}
			if search != "" {
				filters.Set("search", search)
			}
			some, next, err := readPage[api.User](ctx, o, "/users", filters, &page)
			if err != nil {
				return err
			}
			out := []printedUser{}
			for i := range some {
				u, err := newPrintedUser(&some[i])
				if err != nil {
					return err
				}
				out = append(out, u)
			}
			return a.printPage(out, next, func(w io.Writer) {
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
	ID       string          `json:"id"`  // as events and 'doorstep user' know them
	Sub      string          `json:"sub"` // as clients know them
	Emails   []string        `json:"emails"`
	Name     string          `json:"name,omitempty"`
	Locale   string          `json:"locale,omitempty"`
	Claims   json.RawMessage `json:"claims,omitempty"` // OpenID Connect's, beside name and locale
	Password bool            `json:"has_password"`
	Created  *string         `json:"created_at"`
	Disabled *string         `json:"disabled_at"`
}

func newPrintedUser(u *api.User) (printedUser, error) {
	out := printedUser{
		ID: u.ID, Sub: u.Sub, Emails: []string{}, Name: u.Name, Locale: u.Locale, Password: u.HasPassword,
		Created: momentOf(&u.CreatedAt), Disabled: momentOf(u.DisabledAt),
	}
	if u.Email != "" {
		out.Emails = append(out.Emails, u.Email)
	}
	var err error
	out.Claims, err = json.Marshal(u.Claims)
	return out, err
}

func (a *app) printUser(one *api.User) error {
	u, err := newPrintedUser(one)
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
