package provider_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// The codes that may leave, by where they were registered (IANA OAuth Extensions Error
// Registry, RFC 6749 sections 4.1.2.1 and 5.2).
var (
	authorizeCodes = []string{
		"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error", "temporarily_unavailable",
		"interaction_required", "login_required", "account_selection_required", "consent_required", "invalid_request_uri", "invalid_request_object", // OIDC Core section 3.1.2.6
		"request_not_supported", "request_uri_not_supported", "registration_not_supported",
		"invalid_target", "unmet_authentication_requirements", // RFC 8707, and the error code of that name
	}
	tokenCodes    = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target"}
	resourceCodes = []string{"invalid_request", "invalid_token", "insufficient_scope"} // RFC 6750 section 3.1
	otherCodes    = []string{"unsupported_token_type"}                                 // RFC 7009 section 2.2.1
)

// RFC 6749 sections 4.1.2.1 and 5.2: only codes that are registered leave. These are
// all that the source has.
func TestErrorCodesAreRegistered(t *testing.T) {
	t.Parallel()
	registered := slices.Concat(authorizeCodes, tokenCodes, resourceCodes, otherCodes)
	found := map[string]bool{}
	for _, dir := range []string{"oidc", "oidc/engine", "flow"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, code := range codesIn(n) {
					found[code] = true
					if !slices.Contains(registered, code) {
						t.Errorf("%s: %s is not registered", name, code)
					}
				}
				return true
			})
		}
	}
	for _, code := range []string{"invalid_request", "login_required", "invalid_grant", "invalid_token", "invalid_target"} {
		if !found[code] {
			t.Errorf("the walk did not find %s", code)
		}
	}
}

// codesIn returns the error codes that a node of the source has: refusals, errors, and
// the table of fosite's errors.
func codesIn(n ast.Node) (codes []string) {
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if code, err := strconv.Unquote(lit.Value); err == nil && code != "" {
				codes = append(codes, code)
			}
		}
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if (name == "Refuse" || name == "Refusef" || name == "refuse") && len(n.Args) > 0 {
			add(n.Args[0])
		}
	case *ast.CompositeLit:
		selector, _ := n.Type.(*ast.SelectorExpr)
		ident, _ := n.Type.(*ast.Ident)
		if selector != nil && selector.Sel.Name == "Error" || ident != nil && ident.Name == "Error" {
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Code" {
						add(kv.Value)
					}
				}
			}
		}
	case *ast.ValueSpec:
		switch {
		case n.Names[0].Name == "wireCodes":
			for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
				add(e.(*ast.KeyValueExpr).Value)
			}
		case slices.Contains([]string{"AccessDenied", "LoginRequired", "ConsentRequired", "InteractionRequired", "AccountSelectionRequired", "UnmetRequirements"}, n.Names[0].Name):
			add(n.Values[0])
		}
	}
	return codes
}

// OIDC Core sections 3.1.2.6 and 3.1.3.4, RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750
// section 3: each endpoint has its own codes, with its own status, and says in words
// what is wrong.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp, asked := p.Client("web", providertest.FirstParty), p.Client("asked")
		ada := p.Browser().SignIn("ada")
		tokens := rp.Exchange(ada.Authorize(rp, "openid offline_access")).OK()
		silent := providertest.With("prompt", "none")
		seen := map[string]bool{}
		for _, c := range []struct {
			code    string
			browser *providertest.Browser
			rp      *providertest.RP
			params  []providertest.Param
		}{
			{"invalid_request", ada, rp, []providertest.Param{providertest.Without("response_type")}},
			{"unsupported_response_type", ada, rp, []providertest.Param{responseType("token")}},
			{"unauthorized_client", ada, rp, []providertest.Param{responseType("id_token")}},
			{"invalid_scope", ada, rp, []providertest.Param{providertest.With("scope", "openid nonsense")}},
			{"invalid_target", ada, rp, []providertest.Param{resource("https://api.example")}},
			{"access_denied", p.Browser().SignIn("bob").Deny(), asked, nil},
			{"login_required", p.Browser(), rp, []providertest.Param{silent}},
			{"consent_required", ada, asked, []providertest.Param{silent}},
			{"unmet_authentication_requirements", ada, rp, []providertest.Param{providertest.With("acr_values", "aal3")}},
			{"request_not_supported", ada, rp, []providertest.Param{providertest.With("request", "x")}},
			{"request_uri_not_supported", ada, rp, []providertest.Param{providertest.With("request_uri", "https://x.example")}},
			{"registration_not_supported", ada, rp, []providertest.Param{providertest.With("registration", "{}")}},
		} {
			arrival := c.browser.Ask(c.rp, "openid", c.params...)
			arrival.WantError(c.code)
			wantSentence(t, c.code, arrival.Params.Get("error_description"))
			if !slices.Contains(authorizeCodes, c.code) || arrival.Status != http.StatusSeeOther {
				t.Errorf("%s: status %d", c.code, arrival.Status)
			}
			seen[c.code] = true
		}
		for code, a := range map[string]*providertest.TokenAnswer{
			"invalid_request":        rp.Exchange("", providertest.Without("grant_type")),
			"invalid_grant":          rp.Exchange("nonsense"),
			"unsupported_grant_type": rp.Exchange("x", providertest.With("grant_type", "password")),
			"invalid_scope":          rp.Refresh(tokens.Refresh, providertest.With("scope", "openid email")),
			"invalid_target":         rp.Refresh(tokens.Refresh, resource("https://api.example")),
			"unauthorized_client":    p.Client("spa", providertest.Public).ClientCredentials(),
		} {
			a.WantStatus(http.StatusBadRequest).WantError(code)
			wantSentence(t, code, a.JSON()["error_description"])
			if !slices.Contains(tokenCodes, code) || a.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s: headers %v", code, a.Header)
			}
		}
		rp.Secret = "wrong"
		a := rp.Refresh(tokens.Refresh).WantStatus(http.StatusUnauthorized)
		if a.JSON()["error"] != "invalid_client" || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s %v", a, a.Header)
		}
		wantSentence(t, "invalid_client", a.JSON()["error_description"])
		for code, c := range map[string]struct {
			status int
			token  string
		}{
			"invalid_token":      {http.StatusUnauthorized, "nonsense"},
			"insufficient_scope": {http.StatusForbidden, p.Client("job").ClientCredentials().OK().Access},
		} {
			a := p.Userinfo(c.token).WantStatus(c.status)
			wantChallenge(t, p, code, a, code)
			wantSentence(t, code, a.JSON()["error_description"])
		}
		// What no request can bring about: who may ask silently may not choose, nobody can
		// prove more yet, requests are not signed, and the store answers here.
		unreachable := []string{"account_selection_required", "interaction_required", "invalid_request_uri", "invalid_request_object", "server_error", "temporarily_unavailable"}
		for _, code := range authorizeCodes {
			if seen[code] == slices.Contains(unreachable, code) {
				t.Errorf("the authorization endpoint's %s: seen %v", code, seen[code])
			}
		}
	})
}

// wantSentence asks for words that help: a sentence of plain text.
func wantSentence(t *testing.T, code string, description any) {
	t.Helper()
	text, _ := description.(string)
	wantPlainText(t, text)
	if len(text) < 20 || !strings.HasSuffix(text, ".") || strings.Contains(text, "storage") || strings.Contains(text, "fosite") {
		t.Errorf("%s: error_description %q", code, text)
	}
}
