package provider_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Programs are written by this document: it does not change by accident.
func TestAPIDocumentIsTheCommittedOne(t *testing.T) {
	p := providertest.Start(t)
	body := string(p.Get(web.PathAPI + "/openapi.json").WantStatus(http.StatusOK).Body)
	golden(t, "../docs/openapi.json", strings.ReplaceAll(body, p.Issuer, "https://issuer.example"))
}
