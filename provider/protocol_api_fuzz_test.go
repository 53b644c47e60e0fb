package provider_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Resources live by the API as clients do, and keys are told of, rotated and revoked.
func TestAPIResourcesLive(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.APIScopes()...)
		const audience = "https://cars.example/api?v=1"
		made := op.Do(http.MethodPost, "/resources", map[string]any{"audience": audience, "scopes": []string{"cars:read", "cars:write"}}).WantStatus(http.StatusCreated)
		at := "/resources/" + url.PathEscape(audience)
		if to := made.Header.Get("Location"); op.Do(http.MethodGet, strings.TrimPrefix(to, p.URL(web.PathAPI)), nil).WantStatus(http.StatusOK).JSON()["audience"] != audience {
			t.Errorf("Location %s is another resource", to)
		}
		op.Do(http.MethodPost, "/clients", map[string]any{"client_id": "cars", "grant_types": []string{"client_credentials"}, "scope": "cars:write"}).WantStatus(http.StatusCreated)
		op.Do(http.MethodPatch, at, map[string]any{"scopes": []string{"cars:read"}}, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusConflict, "scopes")
		op.Do(http.MethodDelete, at, nil, ifMatch(made.Header.Get("ETag"))).WantProblem(http.StatusConflict, "audience")
		op.Do(http.MethodPatch, at, map[string]any{"audience": "https://other.example"}, ifMatch("*")).WantProblem(http.StatusBadRequest, "audience")
		op.Do(http.MethodPatch, at, map[string]any{"lifetime": 1}, ifMatch("*")).WantProblem(http.StatusBadRequest, "lifetime")
		changed := op.Do(http.MethodPatch, at, map[string]any{"name": "Cars", "lifetime": 300, "scopes": []string{"cars:write"}}, ifMatch(made.Header.Get("ETag"))).WantStatus(http.StatusOK)
		if m := changed.JSON(); m["name"] != "Cars" || m["lifetime"] != 300.0 || !strings.HasPrefix(changed.Header.Get("ETag"), `"2-`) {
			t.Errorf("%s: %v", changed, changed.Header)
		}
		back := op.Do(http.MethodPatch, at, map[string]any{"name": nil, "lifetime": nil}, ifMatch(changed.Header.Get("ETag"))).WantStatus(http.StatusOK)
		if m := back.JSON(); m["name"] != audience || m["lifetime"] != 600.0 {
			t.Errorf("%s: want the defaults again", back)
		}
		op.Do(http.MethodDelete, "/clients/cars", nil, ifMatch("*")).WantStatus(http.StatusNoContent)
		op.Do(http.MethodDelete, at, nil, ifMatch(changed.Header.Get("ETag"))).WantProblem(http.StatusPreconditionFailed, "If-Match")
		op.Do(http.MethodDelete, at, nil, ifMatch(back.Header.Get("ETag"))).WantStatus(http.StatusNoContent)
		op.Do(http.MethodGet, at, nil).WantProblem(http.StatusNotFound, "")

		next := op.Do(http.MethodPost, "/keys/rotate", map[string]any{"algorithm": "EdDSA"}).WantStatus(http.StatusCreated).JSON()
		if next["state"] != "next" || next["alg"] != "EdDSA" {
			t.Errorf("rotated: %v", next)
		}
		op.Do(http.MethodPost, "/keys/rotate", map[string]any{"algorithm": "HS256"}).WantProblem(http.StatusBadRequest, "algorithm")
		ended := op.Do(http.MethodPost, "/keys/"+next["kid"].(string)+"/revoke", nil).WantStatus(http.StatusOK).JSON()
		if key := ended["key"].(map[string]any); key["kid"] != next["kid"] || ended["successor"] == nil {
			t.Errorf("revoked: %v", ended)
		}
		op.Do(http.MethodPost, "/keys/nobody/revoke", nil).WantProblem(http.StatusNotFound, "")
	})
}

// apiFuzz makes requests of what the document allows and of what it forbids.
type apiFuzz struct {
	*rand.Rand
	schemas map[string]any
}

// fuzzTexts are what a text of a request may be.
var fuzzTexts = []string{"", "a", "shop", "victim", "ops", "-1", "' OR 1=1 --", "\u202e", "é", "https://a.example/cb", "javascript:x", "openid", "clients:write",
	"client_credentials", "private_key_jwt", "none", "code id_token", "pairwise", "https://victim.example/api", "ES256", "\x00", "%00", "..", "/", strings.Repeat("x", 5000)}

func (f *apiFuzz) text() string { return fuzzTexts[f.IntN(len(fuzzTexts))] }

// value is one of the schema, or one time in six of anything else.
func (f *apiFuzz) value(schema map[string]any, depth int) any {
	if depth > 6 || f.IntN(6) == 0 {
		return []any{nil, true, -1, 1.5, 1e300, f.text(), []any{}, map[string]any{}, []any{f.text(), nil}, map[string]any{f.text(): f.text()}}[f.IntN(10)]
	}
	if ref, ok := schema["$ref"].(string); ok {
		named, _ := f.schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
		return f.value(named, depth)
	}
	if words, ok := schema["enum"].([]any); ok {
		return words[f.IntN(len(words))]
	}
	switch schema["type"] {
	case "boolean":
		return f.IntN(2) == 0
	case "integer":
		return []int64{0, 1, -1, 60, 1 << 40, 1<<63 - 1}[f.IntN(6)]
	case "array":
		items, _ := schema["items"].(map[string]any)
		list := make([]any, f.IntN(3))
		for i := range list {
			list[i] = f.value(items, depth+1)
		}
		return list
	case "object":
		object := map[string]any{}
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if member, ok := properties[name].(map[string]any); ok && f.IntN(4) == 0 {
				object[name] = f.value(member, depth+1)
			}
		}
		return object
	}
	return f.text()
}

// request is one of an operation's, with some of it left out, added or broken.
func (f *apiFuzz) request(t *testing.T, op *apiOperation, api *providertest.API, names map[string]string) *http.Request {
	t.Helper()
	values := map[string]string{}
	for name, value := range names {
		values[name] = value
		if f.IntN(3) == 0 {
			values[name] = f.text()
		}
	}
	path, query := op.at(t, values), url.Values{}
	for _, param := range op.Parameters {
		if param.In == "query" && f.IntN(2) == 0 {
			query.Add(param.Name, fmt.Sprint(f.value(param.Schema, 0)))
		}
	}
	if f.IntN(10) == 0 {
		query.Add(f.text(), f.text())
	}
	var body any
	kind := ""
	if op.RequestBody != nil {
		for k, media := range op.RequestBody.Content {
			kind = k
			schema, _ := media.Schema.(map[string]any)
			body = f.value(schema, 0)
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if f.IntN(10) == 0 {
			text = text[:f.IntN(len(text)+1)]
		}
		body = string(text)
	}
	r := api.Request(op.Method, path+"?"+query.Encode(), body)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for name, choices := range map[string][]string{
		"If-Match": {"*", `"1"`, `"2"`, "1", `W/"1"`, `"`, ",", ""}, idempotencyKey: {"k", "", "a b", strings.Repeat("k", 300)},
	} {
		if f.IntN(2) == 0 {
			r.Header.Set(name, choices[f.IntN(len(choices))])
		}
	}
	return r
}

// Whatever the document allows, and much that it forbids: nothing is a 5xx, and every
// error is a problem.
func TestAPISurvivesWhateverItsDocumentAllows(t *testing.T) {
	t.Parallel()
	fuzzAPI(t, 1, 25)
}

// fuzzAPI makes so many requests to each operation for each seed, from 1 on.
func fuzzAPI(t *testing.T, seeds uint64, rounds int) {
	t.Helper()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		var document struct {
			Components struct{ Schemas map[string]any }
		}
		if err := json.Unmarshal(p.Get(web.PathAPI+"/openapi.json").Body, &document); err != nil {
			t.Fatal(err)
		}
		names := apiHouse(t, p)
		api := p.API("ops", clients.APIScopes()...)
		seen := map[int]int{}
		for seed := range seeds {
			f := &apiFuzz{rand.New(rand.NewPCG(seed+1, 2)), document.Components.Schemas}
			for _, op := range apiOperations(t, p) {
				if op.ID == "revokeKey" { // it would end the token, and then everything is a 401
					continue
				}
				for range rounds {
					r := f.request(t, &op, api, names)
					a := p.Send(r)
					seen[a.Status]++
					switch {
					case a.Status >= http.StatusInternalServerError:
						t.Fatalf("%s %s: %s", r.Method, r.URL, a)
					case a.Status == http.StatusUnauthorized: // it disabled itself, or deleted
						api = p.API(fmt.Sprintf("ops-%d", f.IntN(1<<30)), clients.APIScopes()...)
					case a.Status >= http.StatusBadRequest:
						a.WantProblem(a.Status, "")
					}
				}
			}
		}
		t.Logf("statuses %v", seen)
		if seen[http.StatusOK] == 0 || seen[http.StatusBadRequest] == 0 || seen[http.StatusNotFound] == 0 {
			t.Errorf("statuses %v: the requests are all alike", seen)
		}
	}, generous)
}
