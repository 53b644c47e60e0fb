package signin

import (
	"encoding/json"
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
)

// relatedOrigins serves WebAuthn Level 3 section 5.11: browsers ask here whether a page
// of another domain may ask for our passkeys.
func (h *Handler) relatedOrigins(w http.ResponseWriter, _ *http.Request) error {
	origins := h.Passkeys.RelatedOrigins()
	if len(origins) == 0 {
		return fault.NotFound("related origins")
	}
	body, err := json.Marshal(map[string][]string{"origins": origins})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=900")
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(body)
	return err
}
