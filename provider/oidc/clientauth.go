package oidc

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/storage"
)

// The ways in which a client proves who it is (OIDC Core section 9).
const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authNone  = "none"
)

// AuthMethods lists them, for the metadata.
func authMethods() []string { return []string{authBasic, authPost, authNone} }

// tokenForm returns the parameters of the body. Parameters of the query are
// refused, not ignored: secrets would be in every log on the way (RFC 6749
// section 2.3.1).
func (h *Handler) tokenForm(r *http.Request) (url.Values, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, engine.Refuse("invalid_request", "The body must be application/x-www-form-urlencoded.")
	}
	if r.URL.RawQuery != "" {
		return nil, engine.Refuse("invalid_request", "Parameters belong in the body, not in the URL.")
	}
	return single(r.PostForm)
}

// authenticate returns the client behind a request. It must use the method it
// registered, and no other at the same time (RFC 6749 section 2.3). An unknown
// client and a wrong secret get the same answer.
func (h *Handler) authenticate(r *http.Request, form url.Values) (*storage.Client, error) {
	id, secret, method, err := credentials(r, form)
	if err != nil {
		return nil, err
	}
	refused := engine.Refuse("invalid_client", "The client is not known, or did not prove who it is in the way it registered.")
	c, err := h.Clients.Get(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, diagnosed(refused, unknownClient(id))
	}
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if registered := c.Metadata.V.TokenEndpointAuthMethod; method != registered {
		return nil, diagnosed(refused, authMethodMismatch(c, method))
	}
	if method != authNone && !h.Clients.Authenticate(c, secret) {
		return nil, diagnosed(refused, wrongSecret(c))
	}
	return c, nil
}

// credentials reads what the client says about itself.
func credentials(r *http.Request, form url.Values) (id, secret, method string, err error) {
	header := r.Header.Get("Authorization")
	switch {
	case len(r.Header.Values("Authorization")) > 1:
		return "", "", "", engine.Refuse("invalid_request", "The Authorization header is there more than once.")
	case header != "":
		name, pass, ok := r.BasicAuth()
		if ok {
			id, err = url.QueryUnescape(name)
		}
		if ok && err == nil {
			secret, err = url.QueryUnescape(pass)
		}
		if !ok || err != nil {
			return "", "", "", engine.Refuse("invalid_client", "The Authorization header is not Basic with a form-encoded id and secret (RFC 6749 section 2.3.1).")
		}
		if form.Get("client_secret") != "" || form.Has("client_assertion") {
			return "", "", "", engine.Refuse("invalid_request", "A client proves who it is in one way at a time.")
		}
		if sent := form.Get("client_id"); sent != "" && sent != id {
			return "", "", "", engine.Refuse("invalid_request", "The client_id of the body is not the one of the Authorization header.")
		}
		return id, secret, authBasic, nil
	case form.Has("client_assertion"):
		return "", "", "", engine.Refuse("invalid_client", "Client assertions are not supported.")
	case form.Get("client_id") == "":
		return "", "", "", engine.Refuse("invalid_client", "The request does not say which client it is from.")
	case form.Get("client_secret") != "": // without a value it was not sent (RFC 6749 section 3.1)
		return form.Get("client_id"), form.Get("client_secret"), authPost, nil
	}
	return form.Get("client_id"), "", authNone, nil
}
