package oidc

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// The ways in which a client proves who it is (OIDC Core section 9).
const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authKey   = "private_key_jwt"
	authNone  = "none"
)

// AuthMethods lists them, for the metadata.
func authMethods() []string { return []string{authBasic, authPost, authKey, authNone} }

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

// fromClient returns the parameters of a request and the client that proved to be
// behind it: how each endpoint begins that clients speak to directly.
func (h *Handler) fromClient(r *http.Request) (url.Values, *storage.Client, error) {
	form, err := h.tokenForm(r)
	if err != nil {
		return nil, nil, err
	}
	client, err := h.authenticate(r, form)
	if err != nil {
		return nil, nil, err
	}
	web.Log(r.Context()).Set("client_id", client.ID)
	return form, client, nil
}

// proof is what a request says about the client that it is from.
type proof struct {
	id, method string
	secret     string             // of client_secret_basic and client_secret_post
	assertion  *clients.Assertion // of private_key_jwt
}

// authenticate returns the client behind a request. It must use the method it
// registered, and no other at the same time (RFC 6749 section 2.3). An unknown
// client, a wrong secret and a wrong assertion get the same answer.
func (h *Handler) authenticate(r *http.Request, form url.Values) (*storage.Client, error) {
	p, err := proofIn(r, form)
	if err != nil {
		return nil, err
	}
	refused := engine.Refuse("invalid_client", "The client is not known, or did not prove who it is in the way it registered.")
	c, err := h.Clients.Get(r.Context(), p.id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, diagnosed(refused, unknownClient(p.id))
	}
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if registered := c.Metadata.V.TokenEndpointAuthMethod; p.method != registered {
		return nil, diagnosed(refused, authMethodMismatch(c, p.method))
	}
	switch p.method {
	case authBasic, authPost:
		if !h.Clients.Authenticate(c, p.secret) {
			return nil, diagnosed(refused, h.wrongSecret(c))
		}
	case authKey:
		err := h.Clients.AuthenticateByAssertion(r.Context(), c, p.assertion)
		var wrong *clients.AssertionError
		if errors.As(err, &wrong) {
			return nil, diagnosed(refused, h.wrongAssertion(c, p.assertion, wrong))
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// proofIn reads what the client says about itself.
func proofIn(r *http.Request, form url.Values) (*proof, error) {
	header := r.Header.Get("Authorization")
	asserted := form.Get("client_assertion") != "" || form.Get("client_assertion_type") != ""
	switch {
	case len(r.Header.Values("Authorization")) > 1:
		return nil, engine.Refuse("invalid_request", "The Authorization header is there more than once.")
	case asserted && (header != "" || form.Get("client_secret") != ""), header != "" && form.Get("client_secret") != "":
		return nil, engine.Refuse("invalid_request", "A client proves who it is in one way at a time.")
	case header != "":
		return proofInHeader(r, form)
	case asserted:
		return proofByAssertion(form)
	case form.Get("client_id") == "":
		return nil, engine.Refuse("invalid_client", "The request does not say which client it is from.")
	case form.Get("client_secret") != "": // without a value it was not sent (RFC 6749 section 3.1)
		return &proof{id: form.Get("client_id"), secret: form.Get("client_secret"), method: authPost}, nil
	}
	return &proof{id: form.Get("client_id"), method: authNone}, nil
}

// proofInHeader reads an Authorization header (RFC 6749 section 2.3.1).
func proofInHeader(r *http.Request, form url.Values) (*proof, error) {
	p := &proof{method: authBasic}
	name, pass, ok := r.BasicAuth()
	var err error
	if ok {
		p.id, err = url.QueryUnescape(name)
	}
	if ok && err == nil {
		p.secret, err = url.QueryUnescape(pass)
	}
	if !ok || err != nil {
		return nil, engine.Refuse("invalid_client", "The Authorization header is not Basic with a form-encoded id and secret (RFC 6749 section 2.3.1).")
	}
	if sent := form.Get("client_id"); sent != "" && sent != p.id {
		return nil, engine.Refuse("invalid_request", "The client_id of the body is not the one of the Authorization header.")
	}
	return p, nil
}

// proofByAssertion reads a client assertion (RFC 7521 section 4.2). Its client_id
// is optional, and must be the subject of the assertion.
func proofByAssertion(form url.Values) (*proof, error) {
	if form.Get("client_assertion_type") != clients.AssertionType {
		return nil, engine.Refuse("invalid_client", "The client_assertion_type is missing or not supported: it must be "+clients.AssertionType+".")
	}
	assertion, err := clients.ParseAssertion(form.Get("client_assertion"))
	if err != nil {
		refused := engine.Refuse("invalid_client", "The client_assertion is missing, or not a signed JWT.")
		refused.Err = err
		return nil, refused
	}
	if sent := form.Get("client_id"); sent != "" && sent != assertion.Subject {
		return nil, engine.Refuse("invalid_client", "The client_id is not the subject of the client_assertion (RFC 7521 section 4.2).")
	}
	return &proof{id: assertion.Subject, assertion: assertion, method: authKey}, nil
}
