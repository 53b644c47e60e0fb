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
}

// Visitor reads the visitor from the request's cookies and connection.
func (w *Web) Visitor(r *http.Request) Visitor {
	return Visitor{
		Secret: w.KnownBrowser(r), Sessions: w.Sessions(r), Device: w.Device(r),
		Address: Address(r.Context()), UserAgent: userAgent(r),
	}
}

// maxUserAgent is longer than any browser's; what follows is not kept.
const maxUserAgent = 512

func userAgent(r *http.Request) string {
	agent := r.UserAgent()
	return strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "")
}
