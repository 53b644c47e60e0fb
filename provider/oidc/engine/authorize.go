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

// The response types that are served (OAuth 2.0 Multiple Response Type Encoding
// Practices): the latter two to clients that are marked legacy.
const (
	ResponseCode        = "code"
	ResponseIDToken     = "id_token"
	ResponseCodeIDToken = "code id_token"
)

// ResponseTypes lists them for the metadata.
func ResponseTypes() []string { return []string{ResponseCode, ResponseIDToken, ResponseCodeIDToken} }

// Authorization is a request that was checked, and answered by a person.
type Authorization struct {
	Client       *storage.Client
	ResponseType string          // one of the above
	About        *storage.SignIn // who answered, in which session
	Decision     storage.ID      // what risk decided about it
	Sub          string          // the subject as this client knows it
	Sid          string          // the session as this client knows it
	RedirectURI  string          // where the answer goes: registered, proven
	RedirectSent bool            // the client sent it, and must send it again
	Scopes       []string
	Resources    []string
	Claims       storage.ClaimsAsked
	Nonce        string
	Challenge    string // S256 code challenge, "" for none
	ACR          string
	AMR          []string
	AuthTime     time.Time
}

// AuthorizationResponse is what the response type asked for.
type AuthorizationResponse struct{ Code, IDToken string }

// Authorize makes the grant with its code, the ID token of the authorization
// endpoint, or both. What it writes joins the unit in ctx; the caller flushes it
// and gives the answer away only then. The session has this client from now on,
// who is told of its end. An ID token alone makes no grant: nothing
// can come of it later; an event tells of it.
func (e *Engine) Authorize(ctx context.Context, a *Authorization) (*AuthorizationResponse, error) {
	c := &call{engine: e, client: a.Client, now: e.now(), alone: a.ResponseType == ResponseIDToken}
	c.grant = a.grant(c.now, e.cfg.Code)
	g, out := &c.grant.Grant, &AuthorizationResponse{}
	told := events.Event{
		Kind: events.GrantMade, Actor: events.ActorPerson, Person: g.PersonID, Client: g.ClientID,
		Data: made{Grant: g.ID, Scopes: g.Scopes, Resources: g.Resources, Claims: g.Claims.V.Names(), ACR: g.ACR, Decision: a.Decision},
	}
	if c.alone {
		told.Kind = events.IDTokenGiven
		told.Data = given{Session: g.SessionID, Scopes: g.Scopes, Claims: g.Claims.V.Names(), ACR: g.ACR, Decision: a.Decision}
	} else {
		var err error
		if out.Code, err = e.code(ctx, c, a); err != nil {
			return nil, err
		}
		if err := e.store.CreateGrant(ctx, g); err != nil {
			return nil, fmt.Errorf("create grant: %w", err)
		}
	}
	if a.ResponseType != ResponseCode {
		var err error
		if out.IDToken, err = e.signIDToken(ctx, c, "", out.Code); err != nil {
			return nil, err
		}
	}
	if err := e.store.KeepSessionClient(ctx, &storage.SessionClient{
		SessionID: g.SessionID, ClientID: g.ClientID, Sub: g.Sub, Sid: g.Sid, CreatedAt: g.CreatedAt,
	}); err != nil {
		return nil, fmt.Errorf("client of the session: %w", err)
	}
	return out, e.events.Record(ctx, told)
}

type made struct {
	Grant     storage.ID `json:"grant"`
	Scopes    []string   `json:"scopes"`
	Resources []string   `json:"resources"`
	Claims    []string   `json:"claims,omitempty"`
	ACR       string     `json:"acr"`
	Decision  storage.ID `json:"decision"`
}

type given struct {
	Session  storage.ID `json:"session"`
	Scopes   []string   `json:"scopes"`
	Claims   []string   `json:"claims,omitempty"`
	ACR      string     `json:"acr"`
	Decision storage.ID `json:"decision"`
}

// grant is the row that the answer makes, together with the person.
func (a *Authorization) grant(now time.Time, code time.Duration) *storage.GrantState {
	person := &a.About.Person
	g := storage.Grant{
		ID: storage.NewID(), ClientID: a.Client.ID, PersonID: person.ID, SessionID: a.About.Session.ID,
		Sub: a.Sub, Sid: a.Sid, Scopes: a.Scopes, Resources: a.Resources, Claims: storage.Document(a.Claims), Nonce: a.Nonce,
		ACR: a.ACR, AMR: a.AMR, AuthTime: storage.At(a.AuthTime),
		CodeExpiresAt: storage.At(now.Add(code)), CodeChallenge: a.Challenge,
		Offline:     storage.Strings(a.Scopes).Has("offline_access"),
		Withdrawals: a.About.Consent.Withdrawals,
		CreatedAt:   storage.At(now),
		// The row outlives the code by a day, so that its reuse is seen.
		ExpiresAt: storage.At(now.Add(24 * time.Hour)),
	}
	if a.RedirectSent {
		g.RedirectURI = a.RedirectURI
	}
	return &storage.GrantState{
		Grant: g, PersonName: person.Name, PersonLocale: person.Locale, PersonClaims: person.Claims, PersonUpdatedAt: person.UpdatedAt,
		Email: a.About.Identifier, EmailVerifiedAt: a.About.Verified, PersonGroups: a.About.Groups,
	}
}

// code has fosite make the code, and notes its hash on the call's grant.
func (e *Engine) code(ctx context.Context, c *call, a *Authorization) (string, error) {
	c.form = url.Values{
		"client_id":     {a.Client.ID},
		"response_type": {ResponseCode},
		"redirect_uri":  {a.RedirectURI},
		"scope":         {strings.Join(a.Scopes, " ")},
		"state":         {"synthetic"}, // ours is written by the edge; fosite insists on one
	}
	if a.Challenge != "" {
		c.form.Set("code_challenge", a.Challenge)
		c.form.Set("code_challenge_method", "S256")
	}
	ctx = withCall(ctx, c)
	ar, err := e.fosite.NewAuthorizeRequest(ctx, synthetic(http.MethodGet, c.form))
	if err != nil {
		return "", fromFosite(err)
	}
	for _, scope := range a.Scopes {
		ar.GrantScope(scope)
	}
	resp, err := e.fosite.NewAuthorizeResponse(ctx, ar, newSession(a.Sub))
	if err != nil {
		return "", fromFosite(err)
	}
	return resp.GetCode(), nil
}

// synthetic is the request that fosite sees: the canonical parameters, parsed.
func synthetic(method string, form url.Values) *http.Request {
	return &http.Request{Method: method, Form: form, PostForm: form, MultipartForm: &multipart.Form{}} //nolint:forbidigo // a field: nothing is sent
}
