package web

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/doorstep-id/doorstep/storage"
)

// Visitor is who sent a request, as far as the request tells: flow.Browser has
// the same shape. Nothing in it is proven.
type Visitor struct {
	Secret    string   // the browser's, "" if it has none yet
	Sessions  []string // secrets of its sessions, current first
	Device    storage.ID
	Address   netip.Addr
	UserAgent string // valid UTF-8, cut to a sane length

	// Brands, Mobile and Platform are what Chromium tells beside it: Sec-CH-UA, -Mobile and
	// -Platform (User-Agent Client Hints section 3), as they were sent; "" if not, or too long.
	Brands, Mobile, Platform string
}

// Visitor reads the visitor from the request's cookies and connection.
func (w *Web) Visitor(r *http.Request) Visitor {
	return Visitor{
		Secret: w.KnownBrowser(r), Sessions: w.Sessions(r), Device: w.Device(r),
		Address: Address(r.Context()), UserAgent: userAgent(r),
		Brands: hint(r, "Sec-CH-UA"), Mobile: hint(r, "Sec-CH-UA-Mobile"), Platform: hint(r, "Sec-CH-UA-Platform"),
	}
}

// maxUserAgent is longer than any browser's; what follows is not kept.
const maxUserAgent = 512

func userAgent(r *http.Request) string {
	agent := r.UserAgent()
	return strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "")
}

// maxHint is likewise longer than any browser's.
const maxHint = 256

func hint(r *http.Request, name string) string {
	if value := r.Header.Get(name); len(value) <= maxHint {
		return value
	}
	return ""
}
