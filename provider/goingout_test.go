package provider_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// goesOut is what makes a connection, by the package's path.
var goesOut = map[string][]string{
	"net/http":          {"Client", "Transport", "RoundTripper", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm"},
	"net/http/httputil": {"ReverseProxy", "NewSingleHostReverseProxy", "NewClientConn"},
	"net":               {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer"},
	"crypto/tls":        {"Dial", "DialWithDialer", "Dialer"},
	"net/smtp":          {"Dial", "SendMail"},
}

// TestOutboundIsTheOneClient looks at every file of the product in provider: an
// address that somebody gave us is judged in one place (attack case 47).
func TestOutboundIsTheOneClient(t *testing.T) {
	found := false
	for _, src := range goFiles(t) {
		if src.kind != inProduct || src.layer == layerHarness || !isWithin(src.room, "provider") {
			continue
		}
		for _, name := range connectionsOf(t, filepath.Join("..", filepath.FromSlash(src.file))) {
			if src.room == "provider/outbound" {
				found = true
				continue
			}
			t.Errorf("%s uses %s: outbound is the one client for going out", src.file, name)
		}
	}
	if !found {
		t.Error("outbound itself was not found out, so this test finds nobody")
	}
}

// connectionsOf lists what of goesOut a file names.
func connectionsOf(t *testing.T, name string) (out []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]string{}
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		local := path.Base(imp)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		packages[local] = imp
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok {
			for _, what := range goesOut[packages[x.Name]] {
				if sel.Sel.Name == what {
					out = append(out, strings.Join([]string{packages[x.Name], what}, "."))
				}
			}
		}
		return true
	})
	return out
}
