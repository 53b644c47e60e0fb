package web

import (
	"net/http"
	"net/netip"

	"github.com/doorstep-id/doorstep/storage"
)

// Visitor is who sent a request, as far as the request tells: flow.Browser has
// the same shape. Nothing in it is proven.
type Visitor struct {
	Secret    string   // the browser's, "" if it has none yet
	Sessions  []string // secrets of its sessions, current first
	Device    storage.ID
	Address   netip.Addr
	UserAgent string
}

// Visitor reads the visitor from the request's cookies and connection.
func (w *Web) Visitor(r *http.Request) Visitor {
	return Visitor{
		Secret: w.KnownBrowser(r), Sessions: w.Sessions(r), Device: w.Device(r),
		Address: Address(r.Context()), UserAgent: r.UserAgent(),
	}
}
