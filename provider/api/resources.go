package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Resource is an API that access tokens are made for (RFC 8707), in and out.
type Resource clients.ResourceView

// ResourcePath names a resource.
type ResourcePath struct {
	Audience string `path:"audience" maxLength:"2000" doc:"The resource's audience, percent-encoded: https%3A%2F%2Fapi.example.com."`
}

type (
	resourceChange struct {
		ResourcePath
		MergePatch
	}
	newResource struct {
		Body Resource `required:"true"`
	}
)

func (h *Handler) registerResources() {
	const one = "/resources/{audience}"
	example := Resource{Audience: "https://api.example.com", Name: "Orders", Scopes: []string{"orders:read", "orders:write"}, Format: "jwt", Algorithm: "ES256", Lifetime: 600}
	sends := map[string]any{"audience": example.Audience, "name": example.Name, "scopes": example.Scopes}
	register(h, operation{
		id: "listResources", method: http.MethodGet, path: "/resources", scope: clients.ScopeResourcesRead, status: http.StatusOK,
		summary: "List resources, by audience", answers: Page[Resource]{Items: []Resource{example}},
	}, h.listResources)
	register(h, operation{
		id: "createResource", method: http.MethodPost, path: "/resources", scope: clients.ScopeResourcesWrite, status: http.StatusCreated, once: true,
		summary: "Register a resource", body: jsonType, sends: sends, answers: example,
		text: "A client whose registered scope has one of its scopes gets tokens for it, so no two resources have the same scope.",
	}, h.createResource)
	register(h, operation{
		id: "getResource", method: http.MethodGet, path: one, scope: clients.ScopeResourcesRead, status: http.StatusOK,
		summary: "Read a resource", answers: example,
	}, h.getResource)
	register(h, operation{
		id: "updateResource", method: http.MethodPatch, path: one, scope: clients.ScopeResourcesWrite, status: http.StatusOK, match: mustMatch,
		summary: "Change a resource", body: mergePatchType, sends: map[string]any{"name": "Orders", "lifetime": 300}, answers: example,
		text: "By a merge patch (RFC 7396). A scope that clients have can only go when none has it any more. Tokens that were made before are as they are until they end.",
	}, h.updateResource)
	register(h, operation{
		id: "deleteResource", method: http.MethodDelete, path: one, scope: clients.ScopeResourcesWrite, status: http.StatusNoContent, match: mustMatch,
		summary: "Delete a resource that no client has a scope of", text: "No more tokens are made for it, and those that live do so until they end.",
	}, h.deleteResource)
	h.documentResources()
}

func (h *Handler) listResources(ctx context.Context, in *PageInput) (*pageOf[Resource], error) {
	return paged(h, "/resources", nil, in, func(p storage.Page) (storage.List[Resource], error) {
		list, err := h.Clients.PageResources(ctx, p)
		return shown(list, func(r *storage.Resource) Resource { return Resource(clients.NewResourceView(r)) }), err
	})
}

func (h *Handler) createResource(ctx context.Context, in *newResource) (*created[Resource], error) {
	r, err := h.Clients.CreateResource(ctx, clients.ResourceView(in.Body).Resource(), events.ActorOperator)
	if err != nil {
		return nil, err
	}
	at := h.Web.URL(web.PathAPI + "/resources/" + url.QueryEscape(r.Audience)) // of a URI that is PathEscape and more
	return &created[Resource]{Location: at, ETag: etag(r.Version, r.CreatedAt), Body: Resource(clients.NewResourceView(r))}, nil
}

func (h *Handler) getResource(ctx context.Context, in *ResourcePath) (*found[Resource], error) {
	r, err := h.Clients.ShowResource(ctx, in.Audience)
	if err != nil {
		return nil, err
	}
	return foundResource(r), nil
}

func foundResource(r *storage.Resource) *found[Resource] {
	return &found[Resource]{ETag: etag(r.Version, r.CreatedAt), Body: Resource(clients.NewResourceView(r))}
}

// resourceToChange returns the resource in the version that the request means.
func (h *Handler) resourceToChange(ctx context.Context, audience string) (*storage.Resource, error) {
	r, err := h.Clients.ShowResource(ctx, audience)
	if err != nil {
		return nil, err
	}
	return r, checkVersion(ctx, etag(r.Version, r.CreatedAt))
}

func (h *Handler) updateResource(ctx context.Context, in *resourceChange) (*found[Resource], error) {
	r, err := h.resourceToChange(ctx, in.Audience)
	if err == nil {
		err = h.Clients.UpdateResource(ctx, r, in.RawBody, events.ActorOperator)
	}
	if err != nil {
		return nil, err
	}
	return foundResource(r), nil
}

func (h *Handler) deleteResource(ctx context.Context, in *ResourcePath) (*nothing, error) {
	r, err := h.resourceToChange(ctx, in.Audience)
	if err == nil {
		err = h.Clients.RemoveResource(ctx, r, events.ActorOperator)
	}
	return nil, err
}

var resourceTexts = map[string]string{
	"audience":    "An absolute URI without fragment: the aud of its tokens. It cannot be changed.",
	"name":        "What people read it called, where they agree to something; the audience if it is left out.",
	"owner":       "The name of the group that it belongs to.",
	"scopes":      "Names of what may be done there, at least one, that no other resource has.",
	"introspects": "client_ids of those that introspect its tokens.",
	"format":      "jwt (the default), or opaque: only who introspects learns what such a token is worth.",
	"algorithm":   "What its JWTs are signed with: ES256 (the default), RS256, EdDSA, PS256.",
	"lifetime":    "Seconds that its access tokens live, 30 to 3600; 600 if it is left out.",
}

func (h *Handler) documentResources() {
	for member, s := range h.huma.OpenAPI().Components.Schemas.Map()["Resource"].Properties {
		s.Description = resourceTexts[member]
	}
	op := operationAt(h.huma.OpenAPI(), http.MethodPatch, "/resources/{audience}")
	op.RequestBody.Content[mergePatchType].Schema = &huma.Schema{Ref: "#/components/schemas/Resource"}
}
