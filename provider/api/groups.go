package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Group is a set of people with a name, as it is answered with.
type Group struct {
	Name        string    `json:"name" required:"true" doc:"Letters a to z, digits and . _ -: it is told to clients and never changes."`
	Description string    `json:"description,omitempty" doc:"What it is for."`
	CreatedAt   time.Time `json:"created_at" required:"true"`
	UpdatedAt   time.Time `json:"updated_at" required:"true" doc:"Of its description."`
}

// NewGroup is a group that is to be added.
type NewGroup struct {
	Name        string `json:"name" required:"true" doc:"1 to 64 letters a to z, digits and . _ -, beginning with a letter or digit."`
	Description string `json:"description,omitempty" doc:"What it is for."`
}

// GroupMember is somebody in a group. Who that is, is told to who may read people.
type GroupMember struct {
	UserID string    `json:"user_id" required:"true" doc:"The person's id."`
	Sub    string    `json:"sub" required:"true" doc:"As clients know them."`
	Email  string    `json:"email,omitempty" doc:"The address that they sign in with, for a token that has users:read besides."`
	Name   string    `json:"name,omitempty" doc:"What they are called, for a token that has users:read besides."`
	Since  time.Time `json:"since" required:"true"`
}

// GroupPath names a group.
type GroupPath struct {
	Group string `path:"group" maxLength:"64" doc:"The group's name."`
}

type (
	newGroup struct {
		Body NewGroup `required:"true"`
	}
	groupChange struct {
		GroupPath
		MergePatch
	}
	groupPage struct {
		GroupPath
		PageInput
	}
	memberPath struct {
		GroupPath
		UserPath
	}
	userPage struct {
		UserPath
		PageInput
	}
)

func (h *Handler) registerGroups() {
	const one, members = "/groups/{group}", "/groups/{group}/members"
	began := time.Date(2026, time.November, 2, 0, 0, 0, 0, time.UTC)
	example := Group{Name: "shop-team", Description: "Who looks after the shop", CreatedAt: began, UpdatedAt: began}
	register(h, operation{
		id: "listGroups", method: http.MethodGet, path: "/groups", scope: clients.ScopeGroupsRead, status: http.StatusOK,
		summary: "List groups, by name", answers: Page[Group]{Items: []Group{example}},
	}, h.listGroups)
	register(h, operation{
		id: "createGroup", method: http.MethodPost, path: "/groups", scope: clients.ScopeGroupsWrite, status: http.StatusCreated, once: true, conflicts: true,
		summary: "Add a group", body: jsonType, sends: NewGroup{example.Name, example.Description}, answers: example,
	}, h.createGroup)
	register(h, operation{
		id: "getGroup", method: http.MethodGet, path: one, scope: clients.ScopeGroupsRead, status: http.StatusOK,
		summary: "Read a group", answers: example,
	}, h.getGroup)
	register(h, operation{
		id: "updateGroup", method: http.MethodPatch, path: one, scope: clients.ScopeGroupsWrite, status: http.StatusOK, match: mustMatch,
		summary: "Change what a group is said to be for", body: mergePatchType, sends: map[string]any{"description": "Who looks after both shops"}, answers: example,
		text: "By a merge patch (RFC 7396).",
	}, h.updateGroup)
	register(h, operation{
		id: "deleteGroup", method: http.MethodDelete, path: one, scope: clients.ScopeGroupsWrite, status: http.StatusNoContent, match: mustMatch,
		summary: "Delete a group that owns nothing", text: "Nobody is in it any more. The group operators stays.",
	}, h.deleteGroup)
	register(h, operation{
		id: "listMembers", method: http.MethodGet, path: members, scope: clients.ScopeGroupsRead, status: http.StatusOK,
		summary: "List who is in a group, the oldest account first",
		answers: Page[GroupMember]{Items: []GroupMember{{exampleUserID, exampleUser().Sub, exampleUser().Email, exampleUser().Name, began}}},
		text:    "Addresses and names are told to a token that has the scope `" + clients.ScopeUsersRead + "` besides.",
	}, h.listMembers)
	const operators = "For the group operators it needs the scope `" + clients.ScopeOperatorsWrite + "` besides."
	register(h, operation{
		id: "addMember", method: http.MethodPut, path: members + "/{user_id}", scope: clients.ScopeGroupsWrite, status: http.StatusNoContent, conflicts: true,
		summary: "Put a person into a group", text: "Of who is in it already nothing is done. Clients with the scope groups are told with the next token. " + operators,
	}, h.addMember)
	register(h, operation{
		id: "removeMember", method: http.MethodDelete, path: members + "/{user_id}", scope: clients.ScopeGroupsWrite, status: http.StatusNoContent, conflicts: true,
		summary: "Take a person out of a group", text: operators + lastText,
	}, h.removeMember)
	register(h, operation{
		id: "listGroupsOfUser", method: http.MethodGet, path: "/users/{user_id}/groups", scope: clients.ScopeGroupsRead, status: http.StatusOK,
		summary: "List the groups that a person is in, by name", answers: Page[Group]{Items: []Group{example}},
	}, h.listGroupsOfUser)
	h.documentGroups()
}

func showGroup(g *storage.Group) Group {
	return Group{g.Name, g.Description, g.CreatedAt.UTC(), g.UpdatedAt.UTC()}
}

func foundGroup(g *storage.Group) *found[Group] {
	return &found[Group]{ETag: etag(g.Version, g.CreatedAt), Body: showGroup(g)}
}

func (h *Handler) listGroups(ctx context.Context, in *PageInput) (*pageOf[Group], error) {
	return paged(h, "/groups", nil, in, func(p storage.Page) (storage.List[Group], error) {
		list, err := h.Directory.Groups(ctx, p)
		return shown(list, showGroup), err
	})
}

func (h *Handler) listGroupsOfUser(ctx context.Context, in *userPage) (*pageOf[Group], error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	return paged(h, "/users/"+string(person.ID)+"/groups", nil, &in.PageInput, func(p storage.Page) (storage.List[Group], error) {
		list, err := h.Directory.GroupsOf(ctx, string(person.ID), p)
		return shown(list, showGroup), err
	})
}

func (h *Handler) createGroup(ctx context.Context, in *newGroup) (*created[Group], error) {
	g, err := h.Directory.CreateGroup(ctx, in.Body.Name, in.Body.Description, events.ActorOperator)
	if err != nil {
		return nil, err
	}
	return &created[Group]{Location: h.Web.URL(web.PathAPI + "/groups/" + url.PathEscape(g.Name)), ETag: etag(g.Version, g.CreatedAt), Body: showGroup(g)}, nil
}

func (h *Handler) getGroup(ctx context.Context, in *GroupPath) (*found[Group], error) {
	g, err := h.Directory.Group(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	return foundGroup(g), nil
}

// groupToChange returns the group in the version that the request means.
func (h *Handler) groupToChange(ctx context.Context, name string) (*storage.Group, error) {
	g, err := h.Directory.Group(ctx, name)
	if err != nil {
		return nil, err
	}
	return g, checkVersion(ctx, etag(g.Version, g.CreatedAt))
}

func (h *Handler) updateGroup(ctx context.Context, in *groupChange) (*found[Group], error) {
	g, err := h.groupToChange(ctx, in.Group)
	if err == nil {
		err = h.Directory.PatchGroup(ctx, g, in.RawBody, events.ActorOperator)
	}
	if err != nil {
		return nil, err
	}
	return foundGroup(g), nil
}

func (h *Handler) deleteGroup(ctx context.Context, in *GroupPath) (*nothing, error) {
	g, err := h.groupToChange(ctx, in.Group)
	if err == nil {
		err = h.Directory.RemoveGroup(ctx, g, events.ActorOperator)
	}
	return nil, err
}

func (h *Handler) listMembers(ctx context.Context, in *groupPage) (*pageOf[GroupMember], error) {
	g, err := h.Directory.Group(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	tells := slices.Contains(callerOf(ctx).Scopes, clients.ScopeUsersRead)
	return paged(h, "/groups/"+url.PathEscape(g.Name)+"/members", nil, &in.PageInput, func(p storage.Page) (storage.List[GroupMember], error) {
		list, err := h.Directory.Members(ctx, g.Name, p)
		return shown(list, func(m *storage.MemberEntry) GroupMember {
			out := GroupMember{UserID: string(m.Person.ID), Sub: m.Person.Sub, Since: m.Member.CreatedAt.UTC()}
			if tells {
				out.Email, out.Name = m.Email, m.Person.Name
			}
			return out
		}), err
	})
}

func (h *Handler) addMember(ctx context.Context, in *memberPath) (*nothing, error) {
	g, person, err := h.membership(ctx, in)
	if err != nil {
		return nil, err
	}
	err = h.Directory.AddMember(ctx, g.Name, string(person.ID), events.ActorOperator)
	if errors.Is(err, storage.ErrConflict) { // they are in it
		return nil, nil
	}
	return nil, err
}

func (h *Handler) removeMember(ctx context.Context, in *memberPath) (*nothing, error) {
	g, person, err := h.membership(ctx, in)
	if err != nil {
		return nil, err
	}
	err = h.Directory.RemoveMember(ctx, g.Name, string(person.ID), events.ActorOperator)
	if errors.Is(err, directory.ErrNotMember) { // the path names nothing, and each part of it something
		return nil, storage.ErrNotFound
	}
	return nil, err
}

// membership returns the group and the person that a path names, if the caller may
// say who is in that group: who makes operators reaches as far as they do. A fault
// says which of the two is not there.
func (h *Handler) membership(ctx context.Context, in *memberPath) (*storage.Group, *storage.Person, error) {
	g, err := h.Directory.Group(ctx, in.Group)
	if err != nil {
		return nil, nil, noSuch("group", "group", err)
	}
	if g.Name == directory.Operators && !slices.Contains(callerOf(ctx).Scopes, clients.ScopeOperatorsWrite) {
		return nil, nil, notHeld(clients.ScopeOperatorsWrite, "group", "who says who is in the group "+directory.Operators+" must hold it")
	}
	person, err := h.personOf(ctx, in.UserID)
	return g, person, noSuch("user_id", "person", err)
}

// noSuch says of a path that names several things which one is not there.
func noSuch(field, what string, err error) error {
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	f := fault.NotFound(what)
	f.Field, f.Err = field, err
	return f
}

func (h *Handler) documentGroups() {
	op := operationAt(h.huma.OpenAPI(), http.MethodPatch, "/groups/{group}")
	op.RequestBody.Content[mergePatchType].Schema = &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"description": text(&huma.Schema{Description: "What it is for."})},
	}
}
