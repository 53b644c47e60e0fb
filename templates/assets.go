package templates

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing/fstest"
)

//go:embed pages mails locales icons assets
var files embed.FS

// The font comes before the stylesheet, which names it.
var hashed = []string{"figtree-latin.woff2", "doorstep.css", "doorstep.js", "favicon.svg"}

// The licence of the font travels with it.
const fontLicence = "figtree-LICENSE.txt"

type assetSet struct {
	fs    fstest.MapFS
	names map[string]string // "doorstep.css" -> "doorstep.1a2b3c4d5e6f.css"
}

// The set is made from embedded files alone, so a fault in it is a fault of the build.
var assets = sync.OnceValue(func() assetSet {
	set := assetSet{fs: fstest.MapFS{}, names: map[string]string{}}
	read := func(name string) []byte {
		b, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic("templates: " + err.Error())
		}
		return b
	}
	for _, name := range hashed {
		b := read(name)
		if ext := path.Ext(name); ext == ".css" {
			b = []byte(strings.ReplaceAll(string(b), hashed[0], set.names[hashed[0]]))
		}
		sum := sha256.Sum256(b)
		ext := path.Ext(name)
		unique := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		set.names[name] = unique
		set.fs[unique] = &fstest.MapFile{Data: b, Mode: 0o444}
	}
	set.fs[fontLicence] = &fstest.MapFile{Data: read(fontLicence), Mode: 0o444}
	return set
})

// Assets are the files that pages load, to be served below Paths.Assets. The names carry a hash of the content (the font's licence
// aside), so an answer may be cached for as long as anyone likes.
func Assets() fs.FS { return assets().fs }
