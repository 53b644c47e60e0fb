package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// TestPagesAreTheOperatorsOwn, and have the policy of all pages.
func TestPagesAreTheOperatorsOwn(t *testing.T) {
	t.Parallel()
	own, err := templates.ReadOverrides(fstest.MapFS{"locales/en.json": {Data: []byte(`{"welcome.title": "Come in"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) { c.Templates = own }))
	page := p.Browser().Get(p.URL(web.PathHome)).WantStatus(http.StatusOK)
	if !strings.Contains(string(page.Body), "<h1 id=\"title\">Come in</h1>") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'nonce-") {
		t.Errorf("%s", page)
	}
}
