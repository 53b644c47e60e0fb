package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// Client is a client as it is answered with: RFC 7591 section 3.2.1.
type Client clients.View

// LogValue keeps the secret out of every log.
func (c Client) LogValue() slog.Value { return clients.View(c).LogValue() }

// ClientRegistration is what is said of a client: RFC 7591 section 2.
type ClientRegistration clients.Registration

// SecretRotation says how a client's secret is rotated.
type SecretRotation struct {
	Overlap *int64 `json:"overlap,omitempty" minimum:"0" maximum:"7776000" doc:"Seconds for which the secret before is taken beside the new one; a day if it is left out, and 0 where it has leaked."`
}

const defaultOverlap = 24 * time.Hour

// ClientPath names a client.
type ClientPath struct {
	ID string `path:"client_id" maxLength:"64" doc:"The client's client_id."`
}

type (
	clientChange struct {
		ClientPath
		MergePatch
		NewSubjects bool `query:"new_subjects" doc:"The change may give everybody another subject: the client will take those who come back for strangers."`
	}
	newClient struct {
		Body ClientRegistration `required:"true"`
	}
	secretRotation struct {
		ClientPath
		Body *SecretRotation
	}
)

func (h *Handler) registerClients() {
	const one = "/clients/{client_id}"
	example := exampleClient()
	register(h, operation{
		id: "listClients", method: http.MethodGet, path: "/clients", scope: clients.ScopeClientsRead, status: http.StatusOK,
		summary: "List clients, by client_id", answers: Page[Client]{Items: []Client{example}},
	}, h.listClients)
	secret := example
	secret.Secret, secret.ExpiresAt = "dsk_3q2-7wAbCdEfGhIjKlMnOpQrStUvWxYz0123456789A", new(int64)
	register(h, operation{
		id: "createClient", method: http.MethodPost, path: "/clients", scope: clients.ScopeClientsWrite, status: http.StatusCreated, once: true,
		summary: "Register a client", body: jsonType, sends: exampleRegistration(), answers: secret,
		text: "The answer has its secret, this once. Scopes of this API are given only by who has them.",
	}, h.createClient)
	register(h, operation{
		id: "getClient", method: http.MethodGet, path: one, scope: clients.ScopeClientsRead, status: http.StatusOK,
		summary: "Read a client", answers: example,
	}, h.getClient)
	register(h, operation{
		id: "updateClient", method: http.MethodPatch, path: one, scope: clients.ScopeClientsWrite, status: http.StatusOK, match: mustMatch,
		summary: "Change a client's registration", body: mergePatchType, sends: map[string]any{"client_name": "Car shop", "logo_uri": nil}, answers: example,
		text: "By a merge patch (RFC 7396): members that are given replace, null gives the default again, the rest stays. A list is replaced as a whole.",
	}, h.updateClient)
	register(h, operation{
		id: "deleteClient", method: http.MethodDelete, path: one, scope: clients.ScopeClientsWrite, status: http.StatusNoContent, match: mustMatch,
		summary: "Delete a client", text: "What people agreed to for it and its grants go with it, and its tokens are revoked.",
	}, h.deleteClient)
	register(h, operation{
		id: "rotateClientSecret", method: http.MethodPost, path: one + "/rotate-secret", scope: clients.ScopeClientsWrite, status: http.StatusOK,
		once: true, match: mayMatch, summary: "Give a client another secret", body: jsonType, sends: SecretRotation{Overlap: seconds(72 * time.Hour)}, answers: secret,
		text: "The answer has it, this once. The one before is taken until the overlap ends; any older one ends now.",
	}, h.rotateSecret)
	register(h, operation{
		id: "disableClient", method: http.MethodPost, path: one + "/disable", scope: clients.ScopeClientsWrite, status: http.StatusOK, once: true, match: mayMatch,
		summary: "Disable a client", answers: example,
		text: "Within 5 s it is unknown to every endpoint. Its access tokens are revoked for good; its grants wait until it is enabled again.",
	}, h.setDisabled(true))
	register(h, operation{
		id: "enableClient", method: http.MethodPost, path: one + "/enable", scope: clients.ScopeClientsWrite, status: http.StatusOK, once: true, match: mayMatch,
		summary: "Enable a client again", answers: example,
	}, h.setDisabled(false))
	h.documentClients()
}

func (h *Handler) listClients(ctx context.Context, in *PageInput) (*pageOf[Client], error) {
	return paged(h, "/clients", nil, in, func(p storage.Page) (storage.List[Client], error) {
		list, err := h.Clients.Page(ctx, p)
		return shown(list, func(c *storage.Client) Client { return Client(clients.NewView(c, "")) }), err
	})
}

func (h *Handler) createClient(ctx context.Context, in *newClient) (*created[Client], error) {
	if err := mayManage(ctx, in.Body.Scope); err != nil {
		return nil, err
	}
	c, secret, err := h.Clients.Create(ctx, clients.Registration(in.Body), events.ActorOperator)
	if err != nil {
		return nil, err
	}
	at := h.Web.URL(web.PathAPI + "/clients/" + url.PathEscape(c.ID))
	return &created[Client]{Location: at, ETag: etag(c.Version, c.CreatedAt), Body: Client(clients.NewView(c, secret))}, nil
}

func (h *Handler) getClient(ctx context.Context, in *ClientPath) (*found[Client], error) {
	c, err := h.Clients.Show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return foundClient(c, ""), nil
}

func foundClient(c *storage.Client, secret string) *found[Client] {
	return &found[Client]{ETag: etag(c.Version, c.CreatedAt), Body: Client(clients.NewView(c, secret))}
}

// toChange returns the client, in the version that the request means, if the caller
// may change it.
func (h *Handler) toChange(ctx context.Context, id string) (*storage.Client, error) {
	c, err := h.Clients.Show(ctx, id)
	if err == nil {
		err = mayManage(ctx, scopesOf(c))
	}
	if err == nil {
		err = checkVersion(ctx, etag(c.Version, c.CreatedAt))
	}
	return c, err
}

// scopesOf is what a client reaches with its scopes. The command line's is registered
// with none, and is given whichever an operator asks for.
func scopesOf(c *storage.Client) string {
	if c.ID == clients.CommandLine {
		return strings.Join(clients.APIScopes(), " ")
	}
	return c.Metadata.V.Scope
}

func (h *Handler) updateClient(ctx context.Context, in *clientChange) (*found[Client], error) {
	c, err := h.toChange(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := clients.Patched(c, in.RawBody)
	if err != nil {
		return nil, err
	}
	if err := mayManage(ctx, r.Scope); err != nil {
		return nil, err
	}
	var meant []clients.Knowingly
	if in.NewSubjects {
		meant = append(meant, clients.NewSubjects)
	}
	if err := h.Clients.Replace(ctx, c, r, events.ActorOperator, meant...); err != nil {
		return nil, err
	}
	return foundClient(c, ""), nil
}

func (h *Handler) deleteClient(ctx context.Context, in *ClientPath) (*nothing, error) {
	c, err := h.toChange(ctx, in.ID)
	if err == nil {
		err = h.Clients.Remove(ctx, c, events.ActorOperator)
	}
	return nil, err
}

func (h *Handler) rotateSecret(ctx context.Context, in *secretRotation) (*found[Client], error) {
	c, err := h.toChange(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	overlap := defaultOverlap
	if in.Body != nil && in.Body.Overlap != nil {
		overlap = time.Duration(*in.Body.Overlap) * time.Second
	}
	secret, err := h.Clients.NewSecret(ctx, c, overlap, events.ActorOperator)
	if err != nil {
		return nil, err
	}
	return foundClient(c, secret), nil
}

func (h *Handler) setDisabled(disabled bool) func(context.Context, *ClientPath) (*found[Client], error) {
	return func(ctx context.Context, in *ClientPath) (*found[Client], error) {
		c, err := h.toChange(ctx, in.ID)
		if err == nil {
			err = h.Clients.SetDisabled(ctx, c, disabled, events.ActorOperator)
		}
		if err != nil {
			return nil, err
		}
		return foundClient(c, ""), nil
	}
}

func seconds(d time.Duration) *int64 { n := int64(d.Seconds()); return &n }

// documentClients describes the members of a client, which are the same in what is
// sent and in what is answered.
func (h *Handler) documentClients() {
	schemas := h.huma.OpenAPI().Components.Schemas.Map()
	for _, name := range []string{"Client", "ClientRegistration"} {
		for member, s := range schemas[name].Properties {
			s.Description = clientTexts[member]
		}
		schemas[name].Properties["jwks"] = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: clientTexts["jwks"]}
	}
	op := operationAt(h.huma.OpenAPI(), http.MethodPatch, "/clients/{client_id}")
	op.RequestBody.Content[mergePatchType].Schema = &huma.Schema{Ref: "#/components/schemas/ClientRegistration"}
}
