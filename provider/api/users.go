package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// User is a person as they are answered with.
type User struct {
	ID            string `json:"id" required:"true"`
	Sub           string `json:"sub" required:"true"`
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified" required:"true"`
	UserProfile
	HasPassword bool       `json:"has_password" required:"true"`
	CreatedAt   time.Time  `json:"created_at" required:"true"`
	UpdatedAt   time.Time  `json:"updated_at" required:"true"`
	DisabledAt  *time.Time `json:"disabled_at,omitempty"`
}

// UserProfile is what may be told about a person, and changed.
type UserProfile struct {
	Name   string `json:"name,omitempty"`
	Locale string `json:"locale,omitempty"`
	directory.Claims
}

// NewUser is a person who is to be added.
type NewUser struct {
	Email         string `json:"email" required:"true"`
	EmailVerified *bool  `json:"email_verified,omitempty"`
	Password      string `json:"password,omitempty" writeOnly:"true"`
	UserProfile
}

// NewPassword is a password that a person is to have.
type NewPassword struct {
	Password string `json:"password" required:"true" writeOnly:"true" doc:"15 characters or more. Only to be sent."`
}

// UserPath names a person.
type UserPath struct {
	UserID string `path:"user_id" maxLength:"64" doc:"The person's id, or sub. An address names nobody here: search for it."`
}

type (
	userList struct {
		PageInput
		Search string `query:"search" maxLength:"254" doc:"An address, or how it begins: only those who have such a one, by address."`
	}
	newUser struct {
		Body NewUser `required:"true"`
	}
	userChange struct {
		UserPath
		MergePatch
	}
	passwordChange struct {
		UserPath
		Body NewPassword `required:"true"`
	}
)

func (h *Handler) registerUsers() {
	const one = "/users/{user_id}"
	example := exampleUser()
	register(h, operation{
		id: "listUsers", method: http.MethodGet, path: "/users", scope: clients.ScopeUsersRead, status: http.StatusOK,
		summary: "List people, the oldest account first, or find them by an address", answers: Page[User]{Items: []User{example}},
	}, h.listUsers)
	register(h, operation{
		id: "createUser", method: http.MethodPost, path: "/users", scope: clients.ScopeUsersWrite, status: http.StatusCreated, once: true,
		summary: "Add a person", body: jsonType, answers: example,
		sends: map[string]any{"email": example.Email, "name": example.Name, "given_name": example.GivenName, "password": examplePassword},
		text:  "Without a password they cannot sign in until they have one. It is never answered with.",
	}, h.createUser)
	register(h, operation{
		id: "getUser", method: http.MethodGet, path: one, scope: clients.ScopeUsersRead, status: http.StatusOK,
		summary: "Read a person", answers: example,
	}, h.getUser)
	register(h, operation{
		id: "updateUser", method: http.MethodPatch, path: one, scope: clients.ScopeUsersWrite, status: http.StatusOK, match: mustMatch,
		summary: "Change what may be told about a person", body: mergePatchType, sends: map[string]any{"locale": "sv", "picture": nil}, answers: example,
		text: "By a merge patch (RFC 7396): members that are given replace, null takes away, the rest stays. " + operatorsText,
	}, h.updateUser)
	register(h, operation{
		id: "deleteUser", method: http.MethodDelete, path: one, scope: clients.ScopeUsersWrite, status: http.StatusNoContent, match: mustMatch,
		summary: "Erase a person, for good",
		text:    "All that is theirs goes, and what is personal in events; clients that they are signed in to are told. Who has their address next is somebody else. " + operatorsText + lastText,
	}, h.deleteUser)
	register(h, operation{
		id: "disableUser", method: http.MethodPost, path: one + "/disable", scope: clients.ScopeUsersWrite, status: http.StatusOK, once: true, match: mayMatch,
		summary: "Close a person's account", answers: example,
		text: "Their sessions end and their grants are revoked, for good. " + operatorsText + lastText,
	}, h.setUserDisabled(true))
	register(h, operation{
		id: "enableUser", method: http.MethodPost, path: one + "/enable", scope: clients.ScopeUsersWrite, status: http.StatusOK, once: true, match: mayMatch,
		summary: "Open a person's account again", answers: example,
		text: "They sign in anew. " + operatorsText,
	}, h.setUserDisabled(false))
	register(h, operation{
		id: "setUserPassword", method: http.MethodPost, path: one + "/set-password", scope: clients.ScopeUsersWrite, status: http.StatusOK, once: true, match: mayMatch,
		summary: "Give a person a password", body: jsonType, sends: NewPassword{examplePassword}, answers: example,
		text: "It is never answered with. Where it replaces another their sessions end and their grants are revoked, for good: whoever knew that one is out. " + operatorsText,
	}, h.setPassword)
	h.documentUsers()
}

// lastText is said of what makes somebody no operator any more.
const lastText = " The last one in that group whose account is open stays as they are (409)."

const operatorsText = "Of who is in the group operators it needs the scope `" + clients.ScopeOperatorsWrite + "` besides."

// isAddress reports whether an id from a path would be taken for an address, which
// names nobody here: paths end in logs.
func isAddress(id string) bool { return strings.Contains(id, "@") }

// personOf returns the person whom a path names.
func (h *Handler) personOf(ctx context.Context, id string) (*storage.Person, error) {
	if isAddress(id) {
		return nil, storage.ErrNotFound
	}
	return h.Directory.Person(ctx, id)
}

func (h *Handler) listUsers(ctx context.Context, in *userList) (*pageOf[User], error) {
	return paged(h, "/users", filters("search", in.Search), &in.PageInput, func(p storage.Page) (storage.List[User], error) {
		list, err := h.Directory.List(ctx, in.Search, p)
		if err != nil {
			return storage.List[User]{}, err
		}
		users, err := h.users(ctx, list.Items)
		return storage.List[User]{Items: users, Next: list.Next}, err
	})
}

// users is one statement, however many there are.
func (h *Handler) users(ctx context.Context, entries []directory.Entry) ([]User, error) {
	ids := make([]storage.ID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	have, err := h.Store.HavePasswords(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]User, 0, len(entries))
	for _, e := range entries {
		claims, err := directory.ClaimsOf(&e.Person)
		if err != nil {
			return nil, err
		}
		u := User{
			ID: string(e.ID), Sub: e.Sub, UserProfile: UserProfile{e.Name, e.Locale, claims}, HasPassword: have[e.ID],
			CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), DisabledAt: moment(e.DisabledAt),
		}
		if len(e.Identifiers) > 0 {
			u.Email, u.EmailVerified = e.Identifiers[0].Display, !e.Identifiers[0].VerifiedAt.IsZero()
		}
		out = append(out, u)
	}
	return out, nil
}

func (h *Handler) createUser(ctx context.Context, in *newUser) (*created[User], error) {
	b := &in.Body
	person, err := h.CreatePerson(ctx, directory.NewPerson{
		Email: b.Email, Verified: b.EmailVerified == nil || *b.EmailVerified, Name: b.Name, Locale: b.Locale, Claims: b.Claims,
	}, b.Password, events.ActorOperator)
	if err != nil {
		return nil, err
	}
	made, err := h.foundUser(ctx, string(person.ID))
	if err != nil {
		return nil, err
	}
	return &created[User]{Location: h.Web.URL(web.PathAPI + "/users/" + string(person.ID)), ETag: made.ETag, Body: made.Body}, nil
}

func (h *Handler) getUser(ctx context.Context, in *UserPath) (*found[User], error) {
	return h.foundUser(ctx, in.UserID)
}

// foundUser is three statements.
func (h *Handler) foundUser(ctx context.Context, id string) (*found[User], error) {
	if isAddress(id) {
		return nil, storage.ErrNotFound
	}
	entry, err := h.Directory.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	one, err := h.users(ctx, []directory.Entry{*entry})
	if err != nil {
		return nil, err
	}
	return &found[User]{ETag: etag(versionOfPerson(&entry.Person), entry.CreatedAt), Body: one[0]}, nil
}

// versionOfPerson is when they were changed, in microseconds: each change is later
// than the one before.
func versionOfPerson(p *storage.Person) int64 { return p.UpdatedAt.UnixMicro() }

// managed returns the person, if the caller may change them.
func (h *Handler) managed(ctx context.Context, id string) (*storage.Person, error) {
	p, err := h.personOf(ctx, id)
	if err == nil {
		err = h.mayManagePerson(ctx, p)
	}
	return p, err
}

// userToChange returns the person in the version that the request means, if the caller
// may change them.
func (h *Handler) userToChange(ctx context.Context, id string) (*storage.Person, error) {
	p, err := h.managed(ctx, id)
	if err == nil {
		err = checkVersion(ctx, etag(versionOfPerson(p), p.CreatedAt))
	}
	return p, err
}

// mayManagePerson refuses to change who is in the group operators where the caller may
// not make operators.
func (h *Handler) mayManagePerson(ctx context.Context, p *storage.Person) error {
	if slices.Contains(callerOf(ctx).Scopes, clients.ScopeOperatorsWrite) {
		return nil
	}
	operator, err := h.Directory.IsMember(ctx, directory.Operators, p.ID)
	if err != nil || !operator {
		return err
	}
	return notHeld(clients.ScopeOperatorsWrite, "user_id", "who changes somebody in the group "+directory.Operators+" must hold it")
}

func (h *Handler) updateUser(ctx context.Context, in *userChange) (*found[User], error) {
	p, err := h.userToChange(ctx, in.UserID)
	if err == nil {
		err = h.Directory.Patch(ctx, p, in.RawBody, events.ActorOperator)
	}
	if err != nil {
		return nil, err
	}
	return h.foundUser(ctx, string(p.ID))
}

func (h *Handler) deleteUser(ctx context.Context, in *UserPath) (*nothing, error) {
	p, err := h.userToChange(ctx, in.UserID)
	if err == nil {
		err = h.Directory.Delete(ctx, string(p.ID), events.ActorOperator)
	}
	return nil, err
}

func (h *Handler) setUserDisabled(disabled bool) func(context.Context, *UserPath) (*found[User], error) {
	change := h.Directory.Enable
	if disabled {
		change = h.Directory.Disable
	}
	return func(ctx context.Context, in *UserPath) (*found[User], error) {
		p, err := h.userToChange(ctx, in.UserID)
		if err != nil {
			return nil, err
		}
		if p.DisabledAt.IsZero() == disabled {
			// Not found: somebody else did so at this moment, or they are gone.
			if _, err := change(ctx, string(p.ID), events.ActorOperator); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return nil, err
			}
		}
		return h.foundUser(ctx, string(p.ID))
	}
}

func (h *Handler) setPassword(ctx context.Context, in *passwordChange) (*found[User], error) {
	p, err := h.userToChange(ctx, in.UserID)
	if err == nil {
		err = h.SetPassword(ctx, p, in.Body.Password, events.ActorOperator)
	}
	if err != nil {
		return nil, err
	}
	return h.foundUser(ctx, string(p.ID))
}

// personFilter returns the id of the person whom a filter names; who is gone is
// named by their id.
func (h *Handler) personFilter(ctx context.Context, id string) (storage.ID, error) {
	if id == "" {
		return "", nil
	}
	if key, err := storage.ParseID(id); err == nil {
		return key, nil
	}
	p, err := h.personOf(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return "", fault.Invalid("user_id", "is neither an id nor the sub of anybody")
	}
	if err != nil {
		return "", err
	}
	return p.ID, nil
}

// documentUsers describes the members of a person, which are the same in what is sent
// and in what is answered.
func (h *Handler) documentUsers() {
	all := h.huma.OpenAPI().Components.Schemas
	profile := all.Schema(reflect.TypeFor[UserProfile](), true, "")
	schemas := all.Map()
	for _, name := range []string{"User", "NewUser", "UserProfile", "Address"} {
		for member, s := range schemas[name].Properties {
			s.Description = userTexts[member]
		}
	}
	operationAt(h.huma.OpenAPI(), http.MethodPatch, "/users/{user_id}").RequestBody.Content[mergePatchType].Schema = &huma.Schema{Ref: profile.Ref}
}

// userTexts says what each member of a person is: OpenID Connect Core section 5.1, and
// our own.
var userTexts = map[string]string{
	"id":                    "As this API and events know them.",
	"sub":                   "As clients know them, but those with pairwise subjects. Never used again.",
	"email":                 "The address that they sign in with. It cannot be changed here.",
	"email_verified":        "It is known to be theirs. Who adds a person answers for it, unless this is false.",
	"password":              "Their first one: 15 characters or more. Only to be sent.",
	"has_password":          "They have a password.",
	"created_at":            "When they were added.",
	"updated_at":            "When they were changed.",
	"disabled_at":           "When their account was closed; not there while it is open.",
	"name":                  "What they are called.",
	"locale":                "The language that they read (BCP 47).",
	"given_name":            "OpenID Connect's claim.",
	"family_name":           "OpenID Connect's claim.",
	"middle_name":           "OpenID Connect's claim.",
	"nickname":              "OpenID Connect's claim.",
	"preferred_username":    "OpenID Connect's claim; nobody signs in with it.",
	"profile":               "A page about them.",
	"picture":               "Where a picture of them is.",
	"website":               "Their own page.",
	"gender":                "OpenID Connect's claim.",
	"birthdate":             "YYYY-MM-DD, 0000-MM-DD or YYYY.",
	"zoneinfo":              "Their time zone, such as Europe/Stockholm.",
	"phone_number":          "E.164: + and the country code, digits only.",
	"phone_number_verified": "Only beside a number.",
	"address":               "Where they live or work.",
	"formatted":             "The whole address, in lines.",
	"street_address":        "Street and house, in lines.",
	"locality":              "City.",
	"region":                "State or province.",
	"postal_code":           "Postal code.",
	"country":               "Country.",
}

func exampleUser() User {
	at := time.Date(2026, time.November, 2, 0, 0, 0, 0, time.UTC)
	return User{
		ID: exampleUserID, Sub: "p_3q2-7wAbCdEfGhIjKlMnOp", Email: "ada@example.com", EmailVerified: true,
		UserProfile: UserProfile{Name: "Ada Lovelace", Claims: directory.Claims{GivenName: "Ada"}}, HasPassword: true, CreatedAt: at, UpdatedAt: at,
	}
}

const (
	exampleUserID   = "01a202a9-03b5-7130-aa5f-c18ae97db609"
	examplePassword = "a few words nobody else would choose" //nolint:gosec // an example
)

// moment is a time as it is answered with; nil for none.
func moment(t storage.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	at := t.UTC()
	return &at
}
