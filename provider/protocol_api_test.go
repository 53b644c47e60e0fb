package provider_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// A client's life, by the API alone.
func TestAPIClientsLive(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeClientsRead, clients.ScopeClientsWrite)
		made := op.Do(http.MethodPost, "/clients", map[string]any{
			"client_id": "shop", "client_name": "Shop", "redirect_uris": []string{"https://shop.example/cb"},
		}).WantStatus(http.StatusCreated)
		secret, _ := made.JSON()["client_secret"].(string)
		if !strings.HasPrefix(secret, "dsk_") || !strings.HasPrefix(made.Header.Get("ETag"), `"1-`) || made.Header.Get("Location") != p.URL("/api/v1/clients/shop") {
			t.Errorf("%s: headers %v", made, made.Header)
		}
		read := op.Do(http.MethodGet, "/clients/shop", nil).WantStatus(http.StatusOK)
		if read.JSON()["client_name"] != "Shop" || strings.Contains(string(read.Body), "client_secret\"") {
			t.Errorf("%s", read)
		}

		op.Do(http.MethodPatch, "/clients/shop", map[string]any{"client_name": "New"}).WantProblem(http.StatusPreconditionRequired, "If-Match")
		op.Do(http.MethodPatch, "/clients/shop", map[string]any{"client_name": "New"}, ifMatch(`"9"`)).WantProblem(http.StatusPreconditionFailed, "If-Match")
		op.Do(http.MethodPatch, "/clients/shop", map[string]any{"client_name": "New"}, ifMatch("3")).WantProblem(http.StatusBadRequest, "If-Match")
		op.Do(http.MethodPatch, "/clients/shop", map[string]any{"colour": "red"}, ifMatch("*")).WantProblem(http.StatusBadRequest, "colour")
		changed := op.Do(http.MethodPatch, "/clients/shop", map[string]any{"client_name": "New", "contacts": []string{"ops@shop.example"}}, ifMatch(read.Header.Get("ETag"))).WantStatus(http.StatusOK)
		if changed.JSON()["client_name"] != "New" || !strings.HasPrefix(changed.Header.Get("ETag"), `"2-`) {
			t.Errorf("%s: %v", changed, changed.Header)
		}
		op.Do(http.MethodPost, "/clients/shop/rotate-secret", nil, ifMatch(`"1"`)).WantProblem(http.StatusPreconditionFailed, "If-Match")
		rotated := op.Do(http.MethodPost, "/clients/shop/rotate-secret", map[string]any{"overlap": 0}).WantStatus(http.StatusOK)
		if next, _ := rotated.JSON()["client_secret"].(string); next == secret || next == "" {
			t.Errorf("%s: no other secret", rotated)
		}
		op.Do(http.MethodPost, "/clients/shop/rotate-secret", map[string]any{"overlap": -1}).WantProblem(http.StatusBadRequest, "overlap")

		off := op.Do(http.MethodPost, "/clients/shop/disable", nil).WantStatus(http.StatusOK)
		if off.JSON()["disabled_at"] == nil {
			t.Errorf("%s: is not disabled", off)
		}
		on := op.Do(http.MethodPost, "/clients/shop/enable", nil).WantStatus(http.StatusOK)
		if on.JSON()["disabled_at"] != nil {
			t.Errorf("%s: is disabled", on)
		}
		op.Do(http.MethodDelete, "/clients/shop", nil).WantProblem(http.StatusPreconditionRequired, "If-Match")
		op.Do(http.MethodDelete, "/clients/shop", nil, ifMatch(`"1"`)).WantProblem(http.StatusPreconditionFailed, "If-Match")
		op.Do(http.MethodDelete, "/clients/shop", nil, ifMatch(on.Header.Get("ETag"))).WantStatus(http.StatusNoContent)
		op.Do(http.MethodGet, "/clients/shop", nil).WantProblem(http.StatusNotFound, "")
		// Another client of the name is another thing, whose versions begin anew.
		p.Clock.Advance(time.Second)
		op.Do(http.MethodPost, "/clients", map[string]any{"client_id": "shop", "redirect_uris": []string{"https://shop.example/cb"}}).WantStatus(http.StatusCreated)
		op.Do(http.MethodDelete, "/clients/shop", nil, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
	})
}

// The log says whose a request was, and by which token, also where it was refused.
func TestAPILogsWhoAsked(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	token, err := p.OperatorToken(t.Context(), []string{clients.ScopeClientsRead}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	op := &providertest.API{RP: p.Client("any"), Token: token.Text}
	op.Do(http.MethodGet, "/clients", nil).WantStatus(http.StatusOK)
	op.Do(http.MethodGet, "/keys", nil).WantProblem(http.StatusForbidden, "")
	for _, operation := range []string{"listClients", "listKeys"} {
		found := slices.ContainsFunc(strings.Split(p.Logs(), "\n"), func(line string) bool {
			return strings.Contains(line, `"operation":"`+operation+`"`) && strings.Contains(line, `"client_id":"doorstep-cli"`) && strings.Contains(line, `"token_id":"`+token.ID+`"`)
		})
		if !found {
			t.Errorf("%s: not in the log with its caller:\n%s", operation, p.Logs())
		}
	}
}

// Every fault is named at once, with its field, in the words of the request.
func TestAPINamesEveryFault(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	op := p.API("ops", clients.ScopeClientsRead, clients.ScopeClientsWrite)
	a := op.Do(http.MethodPost, "/clients", map[string]any{"redirect_uris": []string{"ftp://a.example"}, "scope": "none:such", "logo_uri": "x"})
	for _, field := range []string{"redirect_uris", "scope", "logo_uri"} {
		a.WantProblem(http.StatusBadRequest, field)
	}
	for body, field := range map[string]string{
		`{"redirect_uris": "https://a.example"}`:   "redirect_uris",
		`{"redirect_uris": [1]}`:                   "redirect_uris[0]",
		`{"client_name": "a", "client_name": "b"}`: "client_name",
		`{"colour": "red"}`:                        "colour",
		`{"Client_Name": "a"}`:                     "Client_Name",
		`{"default_max_age": 1.5}`:                 "default_max_age",
		`{"default_max_age": "1"}`:                 "default_max_age",
		`[]`:                                       "", `nonsense`: "", `{"a":`: "", "": "", `{} {}`: "",
		`{"client_name": "a\u0000b"}`: "",
	} {
		op.Do(http.MethodPost, "/clients", body).WantProblem(http.StatusBadRequest, field)
	}
	for path, field := range map[string]string{
		"/clients?limit=0": "limit", "/clients?limit=201": "limit", "/clients?limit=x": "limit", "/clients?limit=1&limit=2": "limit",
		"/clients?cursor=x": "cursor", "/clients?sort=name": "sort", "/clients/shop?a=b": "a",
	} {
		op.Do(http.MethodGet, path, nil).WantProblem(http.StatusBadRequest, field)
	}
	op.Do(http.MethodPost, "/clients", `{}`, providertest.WithHeader("Content-Type", "text/plain")).WantProblem(http.StatusUnsupportedMediaType, "Content-Type")
	op.Do(http.MethodPost, "/clients", `{"client_name": "`+strings.Repeat("a", 70<<10)+`"}`).WantProblem(http.StatusRequestEntityTooLarge, "")
	op.Do(http.MethodPost, "/clients", map[string]any{"client_id": "ops", "redirect_uris": []string{"https://a.example"}}).WantProblem(http.StatusConflict, "client_id")
	op.Do(http.MethodPut, "/clients", `{}`).WantProblem(http.StatusMethodNotAllowed, "")
	op.Do(http.MethodGet, "/none", nil).WantProblem(http.StatusNotFound, "")
}

func ifMatch(tag string) func(*http.Request) { return providertest.WithHeader("If-Match", tag) }

// A star means whichever version there is, alone and without quotes; where there is
// nothing it means nothing (RFC 9110 sections 13.1.1 and 13.2.1).
func TestAPIAStarMatchesAnyVersion(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.APIScopes()...)
		p.Client("shop")
		p.Resource("https://cars.example", "cars")
		if _, err := p.Directory.CreateGroup(t.Context(), "team", "", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			of, one string
			change  map[string]any
		}{
			{"/clients/", "shop", map[string]any{"client_name": "New"}},
			{"/resources/", "https%3A%2F%2Fcars.example", map[string]any{"name": "New"}},
			{"/users/", p.Person("ada").Sub, map[string]any{"name": "New"}},
			{"/groups/", "team", map[string]any{"description": "New"}},
		} {
			at := tc.of + tc.one
			for _, method := range []string{http.MethodPatch, http.MethodDelete} {
				var change any
				if method == http.MethodPatch {
					change = tc.change
				}
				for _, tag := range []string{`"*"`, `W/"*"`} {
					op.Do(method, at, change, ifMatch(tag)).WantProblem(http.StatusPreconditionFailed, "If-Match")
				}
				for _, tag := range []string{`*, "1"`, `"1", *`, "**"} {
					op.Do(method, at, change, ifMatch(tag)).WantProblem(http.StatusBadRequest, "If-Match")
				}
				op.Do(method, tc.of+"nothing", change, ifMatch("*")).WantProblem(http.StatusNotFound, "")
			}
			first := op.Do(http.MethodPatch, at, tc.change, ifMatch("*")).WantStatus(http.StatusOK)
			p.Clock.Advance(time.Second)
			second := op.Do(http.MethodPatch, at, tc.change, ifMatch(" * ")).WantStatus(http.StatusOK)
			if first.Header.Get("ETag") == second.Header.Get("ETag") {
				t.Errorf("%s: two versions are %s", at, first.Header.Get("ETag"))
			}
			op.Do(http.MethodDelete, at, nil, ifMatch("*")).WantStatus(http.StatusNoContent)
			op.Do(http.MethodDelete, at, nil, ifMatch("*")).WantProblem(http.StatusNotFound, "")
		}
	})
}

// Pages are read one after the other; what is added meanwhile moves nothing.
func TestAPIListsComeInPages(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeClientsRead, clients.ScopeResourcesRead)
		for _, id := range []string{"a", "b", "c", "d"} {
			p.Client(id)
			registerResource(t, p, "https://"+id+".example", id)
		}
		var ids []string
		next := "/clients?limit=2"
		for pages := 0; next != ""; pages++ {
			if pages > 3 {
				t.Fatal("no last page")
			}
			page := op.Do(http.MethodGet, next, nil).WantStatus(http.StatusOK).JSON()
			for _, item := range page["items"].([]any) {
				ids = append(ids, item.(map[string]any)["client_id"].(string))
			}
			at, _ := page["next"].(string)
			next = strings.TrimPrefix(at, p.URL("/api/v1"))
			if pages == 0 {
				p.Client("aa") // before the place: it is on no later page
			}
		}
		if got := strings.Join(ids, " "); got != "a b c d ops" {
			t.Errorf("pages of clients: %s", got)
		}
		// The longest name of all is a place too.
		registerResource(t, p, "https://a.example/"+strings.Repeat("a", 2000-len("https://a.example/")), "long")
		second := op.Do(http.MethodGet, "/resources?limit=2", nil).WantStatus(http.StatusOK).JSON()["next"].(string)
		op.Do(http.MethodGet, strings.TrimPrefix(second, p.URL("/api/v1")), nil).WantStatus(http.StatusOK)
		first := op.Do(http.MethodGet, "/clients?limit=1", nil).JSON()["next"].(string)
		cursor, _ := url.Parse(first)
		at := cursor.Query().Get("cursor")
		op.Do(http.MethodGet, "/resources?cursor="+at, nil).WantProblem(http.StatusBadRequest, "cursor") // another list's
		op.Do(http.MethodGet, "/clients?cursor="+at[:len(at)-2]+"AA", nil).WantProblem(http.StatusBadRequest, "cursor")
		op.Do(http.MethodGet, "/clients?cursor="+strings.Repeat("A", 2700), nil).WantProblem(http.StatusBadRequest, "cursor")
	})
}

func registerResource(t *testing.T, p *providertest.P, audience string, scopes ...string) {
	t.Helper()
	if _, err := p.Clients.CreateResource(t.Context(), &storage.Resource{Audience: audience, Scopes: scopes}, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
}
