package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/ident"
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

// endSession serves RP-initiated logout. With a hint that was made for a living
// session of this browser it ends that one and goes back to the client; in every
// other case it asks first, or anyone could sign people out by a link. What is
// wrong with the request is told here and leads nowhere (section 4).
func (h *Handler) endSession(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	asked, err := h.askedToLeave(r)
	if err != nil {
		return h.onPageOf("end_session", err)
	}
	visitor := h.Web.Visitor(r)
	accounts, err := h.Flow.Accounts(ctx, flow.Browser(visitor))
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		return h.leave(w, asked.Request) // nobody is signed in: nothing to ask
	}
	about, surely := h.leaving(accounts, asked)
	if surely {
		left, err := h.Flow.SignOut(ctx, about, flow.Browser(visitor))
		if err != nil {
			return err
		}
		h.Web.SetSessions(w, left)
		h.Logouts.Tell(ctx, about)
		return h.leave(w, asked.Request)
	}
	if visitor.Secret == "" {
		visitor.Secret = h.Web.Browser(w, r)
	}
	ctx = storage.WithUnit(ctx)
	path, err := h.Flow.BeginSignOut(ctx, asked.Request, about, flow.Browser(visitor))
	if err != nil {
		return err
	}
	if err := h.Store.Flush(ctx); err != nil {
		return err
	}
	return web.SeeOther(w, path)
}

// askedToLeave is a request to sign out: its parameters of RP-Initiated Logout
// section 2, checked.
type askedToLeave struct {
	flow.Request
	client *storage.Client // nil: none asks
	given  *hint           // what a valid id_token_hint says, of client if that one is still here; nil for none
	who    string          // logout_hint
}

func (h *Handler) askedToLeave(r *http.Request) (*askedToLeave, error) {
	params, err := single(r.URL.Query())
	if err != nil {
		return nil, err
	}
	raw := params.Get("id_token_hint")
	given, err := h.hint(r, raw)
	if err != nil {
		return nil, err
	}
	client, err := h.clientOfLogout(r, params, given)
	if err != nil {
		return nil, err
	}
	asked := &askedToLeave{client: client, given: given, who: params.Get("logout_hint")}
	asked.UILocales, asked.State, asked.StateSent = params.Get(web.ParamUILocales), params.Get("state"), params.Has("state")
	if client != nil {
		asked.ClientID = client.ID
		web.Log(r.Context()).Set("client_id", client.ID)
	}
	uri := params.Get("post_logout_redirect_uri")
	switch {
	case uri == "":
	case client == nil && raw != "":
		return nil, engine.Refuse("invalid_request", "The id_token_hint is not an ID token of this issuer.")
	case client == nil || !slices.Contains(client.Metadata.V.PostLogoutRedirectURIs, uri):
		return nil, diagnosed(engine.Refuse("invalid_request", "The post_logout_redirect_uri is not registered for this client."),
			logoutMismatch(client, uri))
	case raw != "" && given == nil:
		// Who is signed in may sign out all the same, and ends here: what comes with
		// a hint that is not ours is nobody's word for the client (section 4).
	default:
		asked.RedirectURI = afterLogout(uri, asked.Request)
	}
	return asked, nil
}

// leaving is whose session a request is about: surely that of a hint which was
// made for it, for nobody else has that one's sid, unless its client is gone and
// none asks; else, to be asked first, that
// of whom id_token_hint or logout_hint names, and "" for whoever is the current one.
func (h *Handler) leaving(accounts []storage.SignIn, asked *askedToLeave) (about storage.ID, surely bool) {
	for _, a := range accounts {
		if asked.given != nil && asked.given.Session == h.sid(a.Session.ID, asked.given.Audience) {
			return a.Session.ID, asked.client != nil
		}
	}
	for _, a := range accounts {
		sub := a.Person.Sub
		if asked.client != nil {
			sub = h.Clients.Subject(asked.client, &a.Person)
		}
		if asked.given != nil && asked.given.Subject == sub || asked.names(a, sub, h.sid(a.Session.ID, asked.ClientID)) {
			return a.Session.ID, false
		}
	}
	return "", false
}

// names reports whether logout_hint names an account: by its address, its sub, or
// the sid of its session, as the client that asks knows them.
func (asked *askedToLeave) names(a storage.SignIn, sub, sid string) bool {
	if asked.who == sub || asked.who == sid {
		return true
	}
	hinted, err := ident.Email(asked.who)
	if err != nil {
		return false
	}
	address, err := ident.Email(a.Identifier)
	return err == nil && hinted == address
}

// leave goes to the proven address, else to our own page.
func (h *Handler) leave(w http.ResponseWriter, req flow.Request) error {
	to := req.RedirectURI
	if to == "" {
		to = h.Web.SignedOut(req.UILocales)
	}
	return web.SeeOther(w, to)
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
// beside it must equal. A client that is gone cannot ask for anything, but its
// hint alone keeps nobody from signing out: then none asks.
func (h *Handler) clientOfLogout(r *http.Request, params url.Values, given *hint) (*storage.Client, error) {
	id := params.Get("client_id")
	asks := id != "" || params.Get("post_logout_redirect_uri") != ""
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
		if !asks {
			return nil, nil //nolint:nilnil // logout without a client is allowed
		}
		return nil, diagnosed(engine.Refuse("invalid_client", "No client of this id is registered here."), unknownClient(id))
	}
	return c, err
}
