package oidc

import (
	"net/http"
	"slices"

	"github.com/doorstep-id/doorstep/provider/oidc/engine"
	"github.com/doorstep-id/doorstep/provider/web"
)

// introspect serves the introspection endpoint (RFC 7662 section 2): a client
// that proves who it is asks what a token is worth now. A token that is not its
// business gets the same answer as one that is over, and as nonsense.
//
// The token says by itself what kind it is: token_type_hint is not needed, and an
// unknown one does not matter (section 2.1).
func (h *Handler) introspect(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.fromClient(r)
	if err != nil {
		return err
	}
	if client.Metadata.V.TokenEndpointAuthMethod == authNone {
		// Who found a token could ask in the name of any public client (section 4).
		return engine.Refuse("invalid_client", "A public client cannot prove who it is, so it is told nothing about tokens.")
	}
	token := form.Get("token")
	if token == "" {
		return errNoTokenSent
	}
	out, err := h.Engine.Introspect(r.Context(), client, token)
	if err != nil {
		return err
	}
	web.Log(r.Context()).Set("active", out.Active)
	return writeOAuthJSON(w, http.StatusOK, out)
}

var errNoTokenSent = engine.Refuse("invalid_request", "The parameter token is missing.")

// introspectionAuthMethods lists how a client proves who it is where none is not
// enough, for the metadata.
func introspectionAuthMethods() []string {
	return slices.DeleteFunc(authMethods(), func(m string) bool { return m == authNone })
}
