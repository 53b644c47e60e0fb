package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// hint is what an id_token_hint says, once its signature is ours. It may have
// expired long ago (OIDC RP-Initiated Logout section 2).
type hint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// endSession serves RP-initiated logout. With a hint that was made for the
// living session of this browser it ends it and goes back to the client; in
// every other case it asks first, or anyone could sign people out by a link.
func (h *Handler) endSession(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	params, err := single(r.URL.Query())
	if err != nil {
		return h.onOwnPage(err)
	}
	given, err := h.hint(r, params.Get("id_token_hint"))
	if err != nil {
		return err
	}
	client, err := h.clientOfLogout(r, params.Get("client_id"), given)
	if err != nil {
		return h.onOwnPage(err)
	}
	req := flow.Request{UILocales: params.Get("ui_locales"), State: params.Get("state"), StateSent: params.Has("state")}
	if client != nil {
		req.ClientID = client.ID
		web.Log(ctx).Set("client_id", client.ID)
	}
	if uri := params.Get("post_logout_redirect_uri"); uri != "" {
		if client == nil || !slices.Contains(client.Metadata.V.PostLogoutRedirectURIs, uri) {
			return h.onOwnPage(diagnosed(engine.Refuse("invalid_request", "The post_logout_redirect_uri is not registered for this client."),
				logoutMismatch(client, uri)))
		}
		req.RedirectURI = afterLogout(uri, req)
	}
	visitor := h.Web.Visitor(r)
	accounts, err := h.Flow.Accounts(ctx, flow.Browser(visitor))
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		return h.leave(w, req) // nobody is signed in: nothing to ask
	}
	for _, a := range accounts {
		if given == nil || client == nil || given.Subject != h.Clients.Subject(client, &a.Person) || given.Session != h.sid(a.Session.ID, given.Audience) {
			continue
		}
		left, err := h.Flow.SignOut(ctx, a.Session.ID, flow.Browser(visitor))
		if err != nil {
			return err
		}
		h.Web.SetSessions(w, left)
		return h.leave(w, req)
	}
	if visitor.Secret == "" {
		visitor.Secret = h.Web.Browser(w, r)
	}
	ctx = storage.WithUnit(ctx)
	path, err := h.Flow.BeginSignOut(ctx, req, flow.Browser(visitor))
	if err != nil {
		return err
	}
	if err := h.Store.Flush(ctx); err != nil {
		return err
	}
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// leave goes to the proven address, else to our own page.
func (h *Handler) leave(w http.ResponseWriter, req flow.Request) error {
	to := req.RedirectURI
	if to == "" {
		to = h.Web.Path(web.PathSignedOut)
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// afterLogout is the post-logout redirect with the state that the client sent.
func afterLogout(uri string, req flow.Request) string {
	if !req.StateSent {
		return uri
	}
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
	}
	return uri + sep + "state=" + url.QueryEscape(req.State)
}

// hint returns what an id_token_hint says, nil for none or for one that is no ID
// token of ours: any other JWT, such as an access token, hints at nobody. Its
// error is a fault of the store.
func (h *Handler) hint(r *http.Request, raw string) (*hint, error) {
	if raw == "" {
		return nil, nil //nolint:nilnil // no hint is an answer
	}
	payload, _, err := h.Keys.VerifyHint(r.Context(), raw, "", h.Keys.Algorithms()...)
	if err != nil && !errors.Is(err, keys.ErrToken) {
		return nil, err
	}
	var out hint
	if err != nil || json.Unmarshal(payload, &out) != nil || out.Issuer != h.issuer {
		web.Log(r.Context()).Set("id_token_hint", "not valid")
		return nil, nil //nolint:nilnil // no hint is an answer
	}
	return &out, nil
}

// clientOfLogout is the client that asks: the hint's audience, which a client_id
// beside it must equal. A client that is gone cannot ask for a redirect.
func (h *Handler) clientOfLogout(r *http.Request, id string, given *hint) (*storage.Client, error) {
	if given != nil {
		if id != "" && id != given.Audience {
			return nil, engine.Refuse("invalid_request", "The id_token_hint was made for another client.")
		}
		id = given.Audience
	}
	if id == "" {
		return nil, nil //nolint:nilnil // logout without a client is allowed
	}
	c, err := h.Clients.Get(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, diagnosed(engine.Refuse("invalid_client", "No client of this id is registered here."), unknownClient(id))
	}
	return c, err
}
