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
	return published(w, map[string][]string{"origins": origins})
}

// appleApps serves Apple's associated domains: which apps are given the passwords and
// passkeys of this one. It has no applinks: our pages open in the browser.
func (h *Handler) appleApps(w http.ResponseWriter, r *http.Request) error {
	apps, err := h.Clients.Apps(r.Context())
	if err != nil {
		return err
	}
	if len(apps.Apple) == 0 {
		return fault.NotFound("apps of Apple's")
	}
	return published(w, map[string]any{"webcredentials": map[string]any{"apps": apps.Apple}})
}

// assetLink is one statement of Digital Asset Links.
type assetLink struct {
	Relation []string    `json:"relation"`
	Target   assetTarget `json:"target"`
}

type assetTarget struct {
	Namespace    string   `json:"namespace"`
	Package      string   `json:"package_name"`
	Fingerprints []string `json:"sha256_cert_fingerprints"`
}

// androidApps serves Digital Asset Links: which apps are given the passwords
// (get_login_creds) and passkeys (Android asks for handle_all_urls too) of this domain.
func (h *Handler) androidApps(w http.ResponseWriter, r *http.Request) error {
	apps, err := h.Clients.Apps(r.Context())
	if err != nil {
		return err
	}
	if len(apps.Android) == 0 {
		return fault.NotFound("apps of Android's")
	}
	links := make([]assetLink, 0, len(apps.Android))
	for _, app := range apps.Android {
		links = append(links, assetLink{
			[]string{"delegate_permission/common.get_login_creds", "delegate_permission/common.handle_all_urls"},
			assetTarget{"android_app", app.Package, app.Fingerprints},
		})
	}
	return published(w, links)
}

// published writes a document for browsers and phones, which may keep it for a while.
func published(w http.ResponseWriter, doc any) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=900")
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(body)
	return err
}
