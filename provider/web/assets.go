package web

import (
	"io/fs"
	"net/http"
	"path"
	"regexp"

	"github.com/doorstep-id/doorstep/templates"
)

// hashedName matches the names that change with their content.
var hashedName = regexp.MustCompile(`\.[0-9a-f]{12}\.[a-z0-9]+$`)

// Assets is the route of the files that pages load.
func (w *Web) Assets() Route {
	files := templates.Assets()
	return Route{Method: http.MethodGet, Path: PathAssets + "{name}", Dialect: HTML, Document: true, Handler: func(rw http.ResponseWriter, r *http.Request) error {
		name := path.Base(r.URL.Path)
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			return errNoFile
		}
		age := "public, max-age=3600"
		if hashedName.MatchString(name) {
			age = "public, max-age=31536000, immutable"
		}
		rw.Header().Set("Cache-Control", age)
		http.ServeFileFS(rw, r, files, name)
		return nil
	}}
}
