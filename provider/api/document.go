package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Version is that of the API, as the document has it: 1.x for as long as the path
// has v1; what is added raises x.
const Version = "1.0"

// document is the OpenAPI document, which does not change while we run.
type document struct {
	body []byte
	etag string
}

// Document returns the OpenAPI document (3.1), indented; it must not be changed.
func (h *Handler) Document() []byte { return h.document.body }

const about = `What operators do, for programs.

Every request has an access token of this provider in the header Authorization (RFC 6750): one whose audience is
the address of this API, which a client gets for itself (client_credentials) by the scopes that it is registered
with. An operator at the server gets one with "doorstep token". A scope that writes does not read as well.

Errors are problem details (RFC 9457) that name the field. Lists come in pages: follow "next". A change of
something that has a version needs its ETag in If-Match. A POST with an Idempotency-Key may be sent again
within 24 hours: it is carried out once. Members that are not known here are refused.`

// describe returns the configuration of huma: the document but for its operations.
func (h *Handler) describe() huma.Config {
	scopes := map[string]string{}
	for _, scope := range clients.APIScopes() {
		scopes[scope] = scopeTexts[scope]
	}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Doorstep operators' API", Version: Version, Description: about,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: h.Web.URL(web.PathAPI)}},
			Components: &huma.Components{
				Schemas:   huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				Responses: refusalResponses(), Headers: sharedHeaders(), Parameters: sharedParameters(),
				SecuritySchemes: map[string]*huma.SecurityScheme{securityScheme: {
					Type: "oauth2", Description: "Ask with the parameter resource, this API's address, where the client has other resources too.",
					Flows: &huma.OAuthFlows{ClientCredentials: &huma.OAuthFlow{TokenURL: h.Web.URL(web.PathToken), Scopes: scopes}},
				}},
			},
		},
		Formats: formats, DefaultFormat: jsonType, RejectUnknownQueryParameters: true,
	}
	config.FieldsOptionalByDefault = true
	return config
}

var scopeTexts = map[string]string{
	clients.ScopeClientsRead: "Read clients", clients.ScopeClientsWrite: "Register, change and delete clients",
	clients.ScopeResourcesRead: "Read resources", clients.ScopeResourcesWrite: "Register, change and delete resources",
	clients.ScopeUsersRead: "Read people", clients.ScopeUsersWrite: "Create, change and disable people",
	clients.ScopeGroupsRead: "Read groups and who is in them", clients.ScopeGroupsWrite: "Change groups and who is in them",
	clients.ScopeOperatorsWrite: "With groups:write or users:write: change who is in the group operators, and those who are",
	clients.ScopeSessionsRead:   "Read sessions", clients.ScopeSessionsWrite: "End sessions",
	clients.ScopeGrantsRead: "Read grants", clients.ScopeGrantsWrite: "Revoke grants",
	clients.ScopeConsentsRead: "Read what people agreed to", clients.ScopeConsentsWrite: "Withdraw what people agreed to",
	clients.ScopeKeysRead: "Read about signing keys", clients.ScopeKeysWrite: "Rotate and revoke signing keys",
	clients.ScopeEventsRead: "Read what happened",
	clients.ScopeMailsRead:  "Read which mails go to whom, not what they say", clients.ScopeMailsWrite: "Send mails again, or throw them away",
}

func text(s *huma.Schema) *huma.Schema { s.Type = huma.TypeString; return s }

func refusalResponses() map[string]*huma.Response {
	out := map[string]*huma.Response{}
	retry := map[string]*huma.Header{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	challenge := map[string]*huma.Header{"WWW-Authenticate": {Description: "What is wrong with the token (RFC 6750 section 3).", Schema: text(&huma.Schema{})}}
	lacking := map[string]*huma.Header{"WWW-Authenticate": {
		Description: "What is wrong with the token, where code is insufficient_scope; not there otherwise (RFC 6750 section 3.1).", Schema: text(&huma.Schema{}),
	}}
	for status, r := range map[int]huma.Response{
		http.StatusBadRequest:            {Description: "The request cannot be carried out as it is: errors names every field."},
		http.StatusUnauthorized:          {Description: "The request has no token, or one that is not this API's, has expired or was revoked.", Headers: challenge},
		http.StatusForbidden:             {Description: "The token lacks the scope, or what was asked reaches further than it does.", Headers: lacking},
		http.StatusNotFound:              {Description: "There is no such thing."},
		http.StatusConflict:              {Description: "The request does not go with what is there, or one with the same Idempotency-Key goes on.", Headers: retry},
		http.StatusPreconditionFailed:    {Description: "It was changed since it was read: its ETag is another one."},
		http.StatusRequestEntityTooLarge: {Description: "The body is longer than 64 KiB."},
		http.StatusUnsupportedMediaType:  {Description: "The body is of another type than the operation takes."},
		http.StatusUnprocessableEntity:   {Description: "The Idempotency-Key was used for another request."},
		http.StatusPreconditionRequired:  {Description: "If-Match is missing."},
		http.StatusTooManyRequests:       {Description: "The client, or of doorstep-cli the token, sends too many requests.", Headers: retry},
		http.StatusInternalServerError:   {Description: "Something went wrong here. The log has it under request_id."},
		http.StatusServiceUnavailable:    {Description: "The database does not answer.", Headers: retry},
	} {
		r.Content = map[string]*huma.MediaType{web.ProblemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}}
		out[strconv.Itoa(status)] = &r
	}
	return out
}

func sharedHeaders() map[string]*huma.Header {
	return map[string]*huma.Header{
		"RateLimit":        {Description: `What is left of the client's requests (of the client doorstep-cli: the token's), and in how many seconds all are there again: "client";r=299;t=1.`, Schema: text(&huma.Schema{})},
		"RateLimit-Policy": {Description: `How many requests the client may send in how many seconds: "client";q=300;w=15.`, Schema: text(&huma.Schema{})},
		"X-Request-Id":     {Description: "By which the server's log knows the request.", Schema: text(&huma.Schema{})},
	}
}

func sharedParameters() map[string]*huma.Param {
	one, most := 1, maxIdempotencyKey
	const seen = `The ETag of what was read, or * for whichever version there is.`
	return map[string]*huma.Param{
		"IdempotencyKey": {
			Name: headerIdempotencyKey, In: "header", Example: "8e03978e-40d5-43dd-bc93-6894a57f9324",
			Description: "Any text that no other request has, such as a random UUID: the request may be sent again within 24 hours, with any token of the client (of the client doorstep-cli: with the same token), and is carried out once.",
			Schema:      text(&huma.Schema{MinLength: &one, MaxLength: &most, Pattern: "^[!-~]+$"}),
		},
		"MayMatch":  {Name: headerIfMatch, In: "header", Example: `"3"`, Description: seen, Schema: text(&huma.Schema{})},
		"MustMatch": {Name: headerIfMatch, In: "header", Required: true, Example: `"3"`, Description: seen, Schema: text(&huma.Schema{})},
	}
}

// publish writes the document and mounts it, with what answers where nothing is.
func (h *Handler) publish() error {
	body, err := json.Marshal(h.huma.OpenAPI())
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, body, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	sum := sha256.Sum256(out.Bytes())
	h.document = document{out.Bytes(), `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`}
	h.routes = append(h.routes,
		web.Route{Method: http.MethodGet, Path: web.PathAPI + "/openapi.json", Dialect: web.JSON, Error: writeProblem, Handler: h.serveDocument},
		web.Route{Path: web.PathAPI + "{nothing:(?:/.*)?}", Dialect: web.JSON, Error: writeProblem, Handler: func(http.ResponseWriter, *http.Request) error {
			return fault.NotFound("path")
		}},
	)
	return nil
}

// serveDocument serves the document to everybody: it stands in the source as well.
func (h *Handler) serveDocument(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=900")
	w.Header().Set("ETag", h.document.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.document.body))
	return nil
}
