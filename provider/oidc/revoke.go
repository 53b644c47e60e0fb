package oidc

import (
	"errors"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
)

// revokeRetry is how soon to ask again for a revocation that was not taken.
const revokeRetry = 2 * time.Second

// revoke serves the revocation endpoint (RFC 7009 section 2): a client ends a
// token of its own; a public one is known by its client_id, as at the token
// endpoint. The answer is 200 when the token is over, whether it was good before
// or not (section 2.2), and never while the store has not taken it: then it is
// 503, and the client has to ask again (section 2.2.1).
//
// The token says by itself what kind it is: token_type_hint is not needed, and an
// unknown one does not matter.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.fromClient(r)
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return errNoTokenSent
	}
	if err := h.Engine.Revoke(r.Context(), client, token); err != nil {
		var refused *engine.Error
		if errors.As(err, &refused) {
			return err
		}
		return fault.Unavailable(revokeRetry, err) // whatever it was: the token may still be good
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}
