package engine

import (
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Authorization is a request that was checked, and answered by a person.
type Authorization struct {
	Client       *storage.Client
	Person       storage.ID
	Session      storage.ID
	Decision     storage.ID // what risk decided about it
	Sub          string     // the subject as this client knows it
	Sid          string     // the session as this client knows it
	RedirectURI  string     // where the answer goes: registered, proven
	RedirectSent bool       // the client sent it, and must send it again
	Scopes       []string
	Resources    []string
	Nonce        string
	Challenge    string // S256 code challenge, "" for none
	ACR          string
	AMR          []string
	AuthTime     time.Time
}

// Authorize makes the grant and returns its code. The grant joins the unit in
// ctx; the caller flushes it and gives the code away only then.
func (e *Engine) Authorize(ctx context.Context, a *Authorization) (code string, err error) {
	now := e.now()
	g := &storage.Grant{
		ID: storage.NewID(), ClientID: a.Client.ID, PersonID: a.Person, SessionID: a.Session,
		Sub: a.Sub, Sid: a.Sid, Scopes: a.Scopes, Resources: a.Resources, Nonce: a.Nonce,
		ACR: a.ACR, AMR: a.AMR, AuthTime: storage.At(a.AuthTime),
		CodeExpiresAt: storage.At(now.Add(e.cfg.Code)), CodeChallenge: a.Challenge,
		Offline:   storage.Strings(a.Scopes).Has("offline_access"),
		CreatedAt: storage.At(now),
		// The row outlives the code by a day, so that its reuse is seen.
		ExpiresAt: storage.At(now.Add(24 * time.Hour)),
	}
	if a.RedirectSent {
		g.RedirectURI = a.RedirectURI
	}
	form := url.Values{
		"client_id":     {a.Client.ID},
		"response_type": {"code"},
		"redirect_uri":  {a.RedirectURI},
		"scope":         {strings.Join(a.Scopes, " ")},
		"state":         {"synthetic"}, // ours is written by the edge; fosite insists on one
	}
	if a.Challenge != "" {
		form.Set("code_challenge", a.Challenge)
		form.Set("code_challenge_method", "S256")
	}
	c := &call{engine: e, client: a.Client, form: form, now: now, grant: &storage.GrantState{Grant: *g}}
	cctx := withCall(ctx, c)
	ar, err := e.fosite.NewAuthorizeRequest(cctx, synthetic(http.MethodGet, form))
	if err != nil {
		return "", fromFosite(err)
	}
	for _, scope := range a.Scopes {
		ar.GrantScope(scope)
	}
	resp, err := e.fosite.NewAuthorizeResponse(cctx, ar, newSession(a.Sub))
	if err != nil {
		return "", fromFosite(err)
	}
	g.CodeHash = c.grant.Grant.CodeHash
	if err := e.store.CreateGrant(ctx, g); err != nil {
		return "", fmt.Errorf("create grant: %w", err)
	}
	err = e.events.Record(ctx, events.Event{
		Kind: events.GrantMade, Actor: events.ActorPerson, Person: a.Person, Client: a.Client.ID,
		Data: map[string]any{"grant": g.ID, "scopes": a.Scopes, "resources": a.Resources, "acr": a.ACR, "decision": a.Decision},
	})
	return resp.GetCode(), err
}

// synthetic is the request that fosite sees: the canonical parameters, parsed.
func synthetic(method string, form url.Values) *http.Request {
	return &http.Request{Method: method, Form: form, PostForm: form, MultipartForm: &multipart.Form{}} //nolint:forbidigo // a field: nothing is sent
}
