package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/storage"
)

// Grant is one authorization of a client by a person, and all that comes of it.
type Grant struct {
	ID          string     `json:"id" required:"true" doc:"gid in its access tokens."`
	ClientID    string     `json:"client_id" required:"true"`
	UserID      string     `json:"user_id" required:"true" doc:"The person's id."`
	SessionID   string     `json:"session_id,omitempty" doc:"The session that it was made in."`
	Scopes      []string   `json:"scopes" required:"true"`
	Resources   []string   `json:"resources" required:"true" doc:"Audiences that it makes tokens for."`
	ACR         string     `json:"acr,omitempty" doc:"How sure we were of the person."`
	Offline     bool       `json:"offline" required:"true" doc:"It outlives its session."`
	Living      bool       `json:"living" required:"true" doc:"It may yield tokens now. One that is not has lapsed, or its session has, or was revoked."`
	CreatedAt   time.Time  `json:"created_at" required:"true"`
	RefreshedAt *time.Time `json:"refreshed_at,omitempty" doc:"When its refresh token was used last."`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
	RevokedWhy  string     `json:"revoked_why,omitempty"`
}

type (
	grantPath struct {
		GrantID string `path:"grant_id" maxLength:"64" doc:"The grant's id."`
	}
	grantsOfUser struct {
		UserPath
		PageInput
		ClientID string `query:"client_id" maxLength:"64" doc:"Only those of this client."`
	}
	grantsOfClient struct {
		ClientPath
		PageInput
	}
)

func (h *Handler) registerGrants() {
	began := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	ends := began.Add(30 * 24 * time.Hour)
	example := Grant{
		ID: "01a202a9-03b5-7130-aa5f-c18ae97db80b", ClientID: "shop", UserID: exampleUserID, SessionID: "01a202a9-03b5-7130-aa5f-c18ae97db70a",
		Scopes: []string{"openid", "email"}, Resources: []string{}, ACR: "aal1", Living: true, CreatedAt: began, ExpiresAt: &ends,
	}
	ended := example
	ended.Living, ended.RevokedAt, ended.RevokedWhy = false, &ends, whyAPI
	register(h, operation{
		id: "listGrantsOfUser", method: http.MethodGet, path: "/users/{user_id}/grants", scope: clients.ScopeGrantsRead, status: http.StatusOK,
		summary: "List a person's grants that were not revoked, the oldest first", answers: Page[Grant]{Items: []Grant{example}},
	}, h.listGrantsOfUser)
	register(h, operation{
		id: "listGrantsOfClient", method: http.MethodGet, path: "/clients/{client_id}/grants", scope: clients.ScopeGrantsRead, status: http.StatusOK,
		summary: "List a client's grants that were not revoked, the oldest first", answers: Page[Grant]{Items: []Grant{example}},
	}, h.listGrantsOfClient)
	register(h, operation{
		id: "getGrant", method: http.MethodGet, path: "/grants/{grant_id}", scope: clients.ScopeGrantsRead, status: http.StatusOK,
		summary: "Read a grant, revoked or not", answers: example,
	}, h.getGrant)
	register(h, operation{
		id: "revokeGrant", method: http.MethodPost, path: "/grants/{grant_id}/revoke", scope: clients.ScopeGrantsWrite, status: http.StatusOK, once: true,
		summary: "End a grant with its tokens", answers: ended,
		text: "Its refresh token and its code end at once, its access tokens for everybody who asks about them. The client may ask again without the person's consent. Of one that is revoked already nothing is done.",
	}, h.revokeGrant)
}

func showGrant(l *grants.Listed) Grant {
	g := &l.Grant
	return Grant{
		ID: string(g.ID), ClientID: g.ClientID, UserID: string(g.PersonID), SessionID: string(g.SessionID),
		Scopes: append([]string{}, g.Scopes...), Resources: append([]string{}, g.Resources...), ACR: g.ACR, Offline: g.Offline, Living: l.Living,
		CreatedAt: g.CreatedAt.UTC(), RefreshedAt: moment(g.RotatedAt), ExpiresAt: moment(g.ExpiresAt), RevokedAt: moment(g.RevokedAt), RevokedWhy: g.RevokedWhy,
	}
}

func (h *Handler) listGrantsOfUser(ctx context.Context, in *grantsOfUser) (*pageOf[Grant], error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	at := "/users/" + string(person.ID) + "/grants"
	return paged(h, at, filters("client_id", in.ClientID), &in.PageInput, func(p storage.Page) (storage.List[Grant], error) {
		list, err := h.Grants.List(ctx, person.ID, in.ClientID, p)
		return shown(list, showGrant), err
	})
}

func (h *Handler) listGrantsOfClient(ctx context.Context, in *grantsOfClient) (*pageOf[Grant], error) {
	c, err := h.Clients.Show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return paged(h, "/clients/"+url.PathEscape(c.ID)+"/grants", nil, &in.PageInput, func(p storage.Page) (storage.List[Grant], error) {
		list, err := h.Grants.ListFor(ctx, c.ID, p)
		return shown(list, showGrant), err
	})
}

func (h *Handler) getGrant(ctx context.Context, in *grantPath) (*plain[Grant], error) {
	g, err := h.Grants.Show(ctx, in.GrantID)
	if err != nil {
		return nil, err
	}
	return &plain[Grant]{showGrant(g)}, nil
}

func (h *Handler) revokeGrant(ctx context.Context, in *grantPath) (*plain[Grant], error) {
	// Not found: it was revoked before, or is not there, which the reading tells.
	if err := h.Grants.RevokeByID(ctx, in.GrantID, events.ActorOperator, whyAPI); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	return h.getGrant(ctx, in)
}
