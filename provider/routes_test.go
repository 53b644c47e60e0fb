package provider_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

var update = flag.Bool("update", false, "write testdata/routes.golden and testdata/openid-configuration.golden.json anew")

// golden fails the test unless the file says the same; with -update it is written.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is another one now; if that is meant: go test ./provider -run %s -update\ngot:\n%s\nwant:\n%s", file, t.Name(), got, want)
	}
}

// The whole house on one page: what can be asked of it, who may ask from another
// site, and which forms need a token.
func TestRoutesAreThoseOfTheGolden(t *testing.T) {
	var lines []string
	for _, route := range providertest.Start(t).Routes {
		form := "-"
		if route.CSRF {
			form = "form token"
		}
		cors := string(route.CORS)
		if route.CORS == web.None {
			cors = "-"
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%-52s %-18s %-6s %-8s %s", route.Path, strings.Join(route.Methods(), ","), route.Dialect, cors, form)))
	}
	slices.Sort(lines)
	golden(t, "testdata/routes.golden", "path, methods, dialect, CORS, CSRF\n\n"+strings.Join(lines, "\n")+"\n")
}

// A change of what a page's form does must come from a form of ours: every POST
// needs the token, but for those that clients send (token-style endpoints, and the
// operators' API, which reads no cookie) and the two that only become a GET.
func TestEveryFormNeedsItsToken(t *testing.T) {
	without := []string{web.PathToken, web.PathIntrospect, web.PathRevoke, web.PathUserinfo, web.PathAuthorize, web.PathEndSession}
	for _, route := range providertest.Start(t).Routes {
		if route.Method == http.MethodGet || route.Method == http.MethodHead || strings.HasPrefix(route.Path, web.PathAPI) {
			continue
		}
		if route.CSRF == slices.Contains(without, route.Path) {
			t.Errorf("%s %s: form token %v", route.Method, route.Path, route.CSRF)
		}
	}
}

// Clients are configured by this document: no member of it changes by accident.
func TestMetadataIsThatOfTheGolden(t *testing.T) {
	p := providertest.Start(t)
	body := string(p.Get(web.PathOpenIDConfiguration).WantStatus(http.StatusOK).Body)
	golden(t, "testdata/openid-configuration.golden.json", strings.ReplaceAll(body, p.Issuer, "https://issuer.example")+"\n")
}
