package provider_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// apiOperation is one of the operators' API as its document has it.
type apiOperation struct {
	Method, Path string
	ID           string `json:"operationId"`
	Summary      string
	Security     []map[string][]string
	Parameters   []struct {
		Name, In string
		Ref      string `json:"$ref"`
		Schema   map[string]any
	}
	RequestBody *struct {
		Content map[string]struct {
			Schema, Example any
		}
	}
	Responses map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]struct{ Schema, Example any }
	}
}

// apiOperations reads them from the document that is served.
func apiOperations(t *testing.T, p *providertest.P) []apiOperation {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(p.Get(web.PathAPI+"/openapi.json").WantStatus(http.StatusOK).Body, &document); err != nil {
		t.Fatal(err)
	}
	var all []apiOperation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			op := apiOperation{Method: strings.ToUpper(method), Path: path}
			if err := json.Unmarshal(document.Paths[path][method], &op); err != nil {
				t.Fatal(err)
			}
			all = append(all, op)
		}
	}
	return all
}

// scope is the one that the operation needs, or the test fails.
func (op *apiOperation) scope(t *testing.T) string {
	t.Helper()
	if len(op.Security) != 1 || len(op.Security[0]["token"]) != 1 || !slices.Contains(clients.APIScopes(), op.Security[0]["token"][0]) {
		t.Fatalf("%s %s: no scope of the API is declared: %v", op.Method, op.Path, op.Security)
	}
	return op.Security[0]["token"][0]
}

// at is the operation's path for things that exist.
func (op *apiOperation) at(t *testing.T, names map[string]string) string {
	t.Helper()
	path := op.Path
	for name, value := range names {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	if strings.Contains(path, "{") {
		t.Fatalf("%s: the matrix knows no value of this parameter: add one to apiHouse", path)
	}
	return path
}

// body is the example of the document, "" for none.
func (op *apiOperation) body(t *testing.T) (kind, text string) {
	t.Helper()
	if op.RequestBody == nil {
		return "", ""
	}
	for kind, media := range op.RequestBody.Content {
		out, err := json.Marshal(media.Example)
		if err != nil {
			t.Fatal(err)
		}
		return kind, string(out)
	}
	return "", ""
}

// request is the operation as whoever holds token would ask for it.
func (op *apiOperation) request(t *testing.T, p *providertest.P, names map[string]string, token string) *http.Request {
	t.Helper()
	kind, body := op.body(t)
	r, err := http.NewRequestWithContext(t.Context(), op.Method, p.URL(web.PathAPI)+op.at(t, names), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("If-Match", "*")
	return r
}

// generous lets a test send as many requests as it likes.
var generous = providertest.Configure(func(c *provider.Config) {
	c.API.Rate = throttle.Limit{Name: "api", Every: time.Microsecond, Burst: 1_000_000}
})

// apiHouse makes one of each thing that a path of the API names.
func apiHouse(t *testing.T, p *providertest.P) map[string]string {
	t.Helper()
	rp, ctx := p.Client("victim"), t.Context()
	registerResource(t, p, "https://victim.example/api", "victim:read")
	all, err := p.Keys.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	join(t, p, "victim", "wronged")
	rp.Exchange(p.Browser().SignIn("victim").Authorize(rp, "openid")).OK()
	who := p.Person("victim").ID
	living, err := p.Sessions.List(ctx, who, storage.Page{})
	if err != nil || len(living.Items) != 1 {
		t.Fatalf("sessions %v, error %v", living, err)
	}
	granted, err := p.Grants.List(ctx, who, "", storage.Page{})
	if err != nil || len(granted.Items) != 1 {
		t.Fatalf("grants %v, error %v", granted, err)
	}
	now := p.Clock.Now()
	dead := &storage.Mail{
		ID: storage.NewID(), Recipient: "victim@example.com", PersonID: who, Kind: "code", Lang: "en", Sealed: []byte("sealed"), Attempts: 1, Reason: "550",
		DeadAt: storage.At(now), LapsesAt: storage.At(now.Add(time.Hour)), CreatedAt: storage.At(now), ExpiresAt: storage.At(now.Add(time.Hour)),
	}
	if err := p.Store.CreateMail(ctx, dead); err != nil {
		t.Fatal(err)
	}
	key := &storage.Passkey{
		ID: storage.NewID(), PersonID: who, Name: "Phone", CredentialID: []byte("victim's"), PublicKey: []byte("key"), RPID: "localhost", CreatedAt: storage.At(now),
	}
	if err := p.Store.CreatePasskey(ctx, key, 1); err != nil {
		t.Fatal(err)
	}
	browsers, err := p.Sessions.Devices(ctx, who, 10)
	if err != nil || len(browsers) != 1 {
		t.Fatalf("browsers %v, error %v", browsers, err)
	}
	return map[string]string{
		"device_id": string(browsers[0].ID), "factor_id": string(key.ID), "client_id": "victim", "mail_id": string(dead.ID), "audience": "https://victim.example/api", "kid": all[0].KID, "user_id": string(who), "group": "wronged",
		"session_id": string(living.Items[0].ID), "grant_id": string(granted.Items[0].Grant.ID),
	}
}

// whole is what there is to lose by the API.
func whole(t *testing.T, p *providertest.P) string {
	t.Helper()
	c, err := p.Clients.Page(t.Context(), storage.Page{Limit: storage.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Clients.ListResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, err := p.Keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Store.Mails(t.Context(), false, storage.Page{Limit: storage.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal([]any{c, r, k, m, wholePeople(t, p)})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// wholePeople is everybody with all that is theirs.
func wholePeople(t *testing.T, p *providertest.P) (all []any) {
	t.Helper()
	page, ctx := storage.Page{Limit: storage.MaxPage}, t.Context()
	keep := func(rows any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rows)
	}
	people, err := p.Directory.List(ctx, "", page)
	keep(people, err)
	for _, who := range people.Items {
		sessions, err := p.Sessions.List(ctx, who.ID, page)
		keep(sessions, err)
		granted, err := p.Grants.List(ctx, who.ID, "", page)
		keep(granted, err)
		agreed, err := p.Grants.AccessTo(ctx, who.ID)
		keep(agreed, err)
		in, err := p.Directory.GroupsOf(ctx, string(who.ID), page)
		keep(in, err)
		password, err := p.Store.PasswordOf(ctx, who.ID)
		if errors.Is(err, storage.ErrNotFound) {
			err = nil
		}
		keep(password, err)
		passkeys, err := p.Store.PasskeysOf(ctx, who.ID)
		keep(passkeys, err)
		browsers, err := p.Sessions.Devices(ctx, who.ID, 100)
		keep(browsers, err)
	}
	groups, err := p.Directory.Groups(ctx, page)
	keep(groups, err)
	return all
}

// What an operation is of, and whether it changes anything, its scope says too: the
// one that ends sessions needs sessions:write, below whatever path.
func TestAttack83ScopesFitTheirOperations(t *testing.T) {
	t.Parallel()
	nouns := map[string]bool{}
	for _, scope := range clients.APIScopes() {
		noun, _, _ := strings.Cut(scope, ":")
		nouns[noun] = true
	}
	p, seen := providertest.Start(t), map[string]bool{}
	for _, o := range apiOperations(t, p) {
		var want string
		for _, element := range strings.Split(o.Path, "/") {
			if nouns[element] {
				want = element
			}
		}
		want += ":write"
		if o.Method == http.MethodGet {
			want = strings.TrimSuffix(want, "write") + "read"
		}
		if got := o.scope(t); got != want {
			t.Errorf("%s %s needs %s, want %s", o.Method, o.Path, got, want)
		}
		seen[want] = true
	}
	for _, scope := range clients.APIScopes() {
		if !seen[scope] && scope != clients.ScopeOperatorsWrite { // which goes with others
			t.Errorf("%s opens nothing", scope)
		}
	}
}

// OWASP ASVS 5.0 8.2.1; ZITADEL CVE-2025-27507, CVE-2025-64431: every operation of the
// document, by everybody who may not. An operation without a declared scope fails here.
func TestAttack83EveryOperationNeedsItsScope(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		names := apiHouse(t, p)
		registerResource(t, p, "https://other.example", "other:read")
		other := p.API("other", "other:read").Token // for another audience
		person := p.Client("person", providertest.FirstParty, providertest.Scope(clients.APIScopes()...))
		p.Person("ada")
		api := resource(clients.APIAudience(p.Issuer))
		tokens := person.Exchange(p.Browser().SignIn("ada").Authorize(person, "openid "+strings.Join(clients.APIScopes(), " "), api), api).OK()
		revoked := p.API("revoked", clients.APIScopes()...)
		revoked.Revoke(revoked.Token).WantStatus(http.StatusOK)
		disabled := p.API("disabled", clients.APIScopes()...)
		row, err := p.Clients.Show(t.Context(), "disabled")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Clients.SetDisabled(t.Context(), row, true, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		callers := []struct {
			who, token, code string
			status           int
		}{
			{"anonymous", "", "unauthorized", http.StatusUnauthorized},
			{"a token for another API", other, "invalid_token", http.StatusUnauthorized},
			{"a token for the issuer", p.Client("plain").ClientCredentials().OK().Access, "invalid_token", http.StatusUnauthorized},
			{"an ID token", tokens.ID, "invalid_token", http.StatusUnauthorized},
			{"a revoked token", revoked.Token, "invalid_token", http.StatusUnauthorized},
			{"a disabled client's token", disabled.Token, "invalid_token", http.StatusUnauthorized},
			{"an opaque text", "dsa_" + strings.Repeat("A", 43), "invalid_token", http.StatusUnauthorized},
			{"nonsense", "nonsense", "invalid_token", http.StatusUnauthorized},
			{"a person's token", tokens.Access, "insufficient_scope", http.StatusForbidden},
		}
		before := whole(t, p)
		operations := apiOperations(t, p)
		for _, op := range operations {
			scope := op.scope(t)
			lacks := slices.DeleteFunc(clients.APIScopes(), func(s string) bool { return s == scope })
			callers := append(slices.Clone(callers), struct {
				who, token, code string
				status           int
			}{"a client without " + scope, p.API("lacks-"+op.ID, lacks...).Token, "insufficient_scope", http.StatusForbidden})
			for _, caller := range callers {
				a := p.Send(op.request(t, p, names, caller.token))
				a.WantProblem(caller.status, "")
				if got := a.JSON()["code"]; got != caller.code {
					t.Errorf("%s as %s: code %v, want %s", op.ID, caller.who, got, caller.code)
				}
				if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="`+p.Issuer+`"`) {
					t.Errorf("%s as %s: challenge %q", op.ID, caller.who, a.Header.Get("WWW-Authenticate"))
				}
			}
			if err := p.Clients.Delete(t.Context(), "lacks-"+op.ID, events.ActorOperator); err != nil {
				t.Fatal(err)
			}
		}
		if whole(t, p) != before {
			t.Error("something was changed by who may not")
		}
	}, generous)
}

// Keycloak CVE-2026-0976: a path that is spelled otherwise, or a method that a header
// names, is no way past the token; nor is a token in the URL, or twice.
func TestAttack83NoSpellingGetsPastTheToken(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t, generous)
	names := apiHouse(t, p)
	before := whole(t, p)
	op := p.API("ops", clients.APIScopes()...)
	refused := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest}
	for _, o := range apiOperations(t, p) {
		at := o.at(t, names)
		cut := strings.LastIndex(at, "/")
		for _, path := range []string{
			at + ";x", at + ";x=/..", "/" + at, strings.ReplaceAll(at, "/", "//"), at[:cut] + "%2f" + at[cut+1:], at[:cut] + "%2F" + at[cut+1:],
			at + "/", at + "/.", at + "/..", "/./" + at[1:], "/x/.." + at, at + "%00", at + "%20", at + ".json", strings.ToUpper(at),
			at + "?access_token=" + op.Token, "/openapi.json/.." + at, at + "#x", at + "%3fx",
		} {
			r := o.request(t, p, names, "")
			r.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Opaque: "//" + r.URL.Host + web.PathAPI + path}
			if a := p.Send(r); !slices.Contains(refused, a.Status) {
				t.Errorf("%s %s: %s", o.Method, path, a)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"} {
				r := o.request(t, p, names, "")
				r.Method = method
				r.Header.Set(header, o.Method)
				if a := p.Send(r); !slices.Contains(refused, a.Status) {
					t.Errorf("%s as %s by %s: %s", o.ID, method, header, a)
				}
			}
		}
		for _, header := range []string{"Basic " + op.Token, "Bearer", "Bearer ", "DPoP " + op.Token, "Token " + op.Token, op.Token} {
			r := o.request(t, p, names, "")
			r.Header.Set("Authorization", header)
			p.Send(r).WantProblem(http.StatusUnauthorized, "")
		}
		twice := o.request(t, p, names, op.Token)
		twice.Header.Add("Authorization", "Bearer "+op.Token)
		p.Send(twice).WantProblem(http.StatusBadRequest, "")
		inURL := o.request(t, p, names, op.Token)
		inURL.URL.RawQuery = url.Values{"access_token": {op.Token}}.Encode()
		if a := p.Send(inURL).WantProblem(http.StatusBadRequest, ""); a.JSON()["code"] != "invalid_request" {
			t.Errorf("%s: a token in the URL is looked at", a)
		}
	}
	if whole(t, p) == before { // it has the client ops more
		t.Error("the house is not looked at")
	}
}

// Who may write clients reaches no further than its own token: it gives nobody a
// scope of the API that it lacks, and takes over no client that has one.
func TestAttack83WritingClientsWidensNothing(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.API("boss", clients.ScopeUsersWrite, clients.ScopeClientsWrite)
		op := p.API("ops", clients.ScopeClientsWrite, clients.ScopeClientsRead)
		if _, err := p.Clients.EnsureCommandLine(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := whole(t, p)
		touched := 0
		for _, o := range apiOperations(t, p) {
			if o.scope(t) != clients.ScopeClientsWrite || !strings.Contains(o.Path, "{client_id}") {
				continue
			}
			for _, id := range []string{"boss", clients.CommandLine} { // its end would be that of every operator's token
				touched++
				a := p.Send(o.request(t, p, map[string]string{"client_id": id}, op.Token)).WantProblem(http.StatusForbidden, "scope")
				if got := a.JSON()["code"]; got != "scope_not_held" {
					t.Errorf("%s of %s: code %v", o.ID, id, got)
				}
			}
		}
		if touched < 10 {
			t.Errorf("%d operations on a client were tried", touched)
		}
		service := map[string]any{"grant_types": []string{"client_credentials"}, "scope": "clients:write users:write"}
		op.Do(http.MethodPost, "/clients", service).WantProblem(http.StatusForbidden, "scope")
		op.Do(http.MethodPatch, "/clients/ops", map[string]any{"scope": "clients:write clients:read users:write"}, ifMatch("*")).WantProblem(http.StatusForbidden, "scope")
		if whole(t, p) != before {
			t.Error("something was changed")
		}
		service["scope"] = "clients:write"
		op.Do(http.MethodPost, "/clients", service).WantStatus(http.StatusCreated)
		// A token with less than its client's scope gives less.
		less := &providertest.API{RP: op.RP, Token: op.ClientCredentials(providertest.And("scope", clients.ScopeClientsWrite)).OK().Access}
		service["scope"] = "clients:read"
		less.Do(http.MethodPost, "/clients", service).WantProblem(http.StatusForbidden, "scope")
		// No resource may take a scope of the API for its own, or the API's name.
		rs := p.API("rs", clients.ScopeResourcesWrite)
		rs.Do(http.MethodPost, "/resources", map[string]any{"audience": "https://a.example", "scopes": []string{"users:write"}}).WantProblem(http.StatusConflict, "scopes")
		rs.Do(http.MethodPost, "/resources", map[string]any{"audience": clients.APIAudience(p.Issuer), "scopes": []string{"a"}}).WantProblem(http.StatusBadRequest, "audience")
	})
}

// OWASP ASVS 5.0 3.3, 7.x: the API knows no cookie, so that a stolen one of whoever
// it is does nothing there, and no page of another origin reads or sends anything.
func TestAttack56NoCookieIsAKeyToTheAPI(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	names := apiHouse(t, p)
	rp := p.Client("web", providertest.FirstParty)
	p.Person("ada")
	b := p.Browser().SignIn("ada")
	b.Authorize(rp, "openid")
	op := p.API("ops", clients.APIScopes()...)
	for _, o := range apiOperations(t, p) {
		r := o.request(t, p, names, "")
		b.Carry(r).AddCookie(&http.Cookie{Name: "access_token", Value: op.Token})
		r.Header.Set("Origin", p.Issuer)
		a := p.Send(r).WantProblem(http.StatusUnauthorized, "")
		if a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", o.ID)
		}
		r = o.request(t, p, names, "")
		r.Method = http.MethodOptions
		r.Header.Set("Origin", "https://web.example")
		r.Header.Set("Access-Control-Request-Method", o.Method)
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		a = p.Send(r).WantStatus(http.StatusMethodNotAllowed)
		if a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may be asked by pages of others", o.ID)
		}
	}
}

// A token that was revoked, by itself or by the end of its client, is refused at the
// next request: the API asks each time.
func TestAttack83RevokedTokensAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		one, two := p.API("one", clients.ScopeClientsRead), p.API("two", clients.ScopeClientsRead)
		for _, a := range []*providertest.API{one, two} {
			a.Do(http.MethodGet, "/clients", nil).WantStatus(http.StatusOK)
		}
		one.Revoke(one.Token).WantStatus(http.StatusOK)
		one.Do(http.MethodGet, "/clients", nil).WantProblem(http.StatusUnauthorized, "")
		if err := p.Clients.Delete(t.Context(), "two", events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		two.Do(http.MethodGet, "/clients", nil).WantProblem(http.StatusUnauthorized, "")

		operator, err := p.OperatorToken(t.Context(), []string{clients.ScopeClientsRead}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		shell := &providertest.API{RP: one.RP, Token: operator.Text}
		shell.Do(http.MethodGet, "/clients", nil).WantStatus(http.StatusOK)
		if err := p.RevokeOperatorToken(t.Context(), operator.ID); err != nil {
			t.Fatal(err)
		}
		shell.Do(http.MethodGet, "/clients", nil).WantProblem(http.StatusUnauthorized, "")
		// Deleting its client ends all of them, also when it is made anew.
		operator, err = p.OperatorToken(t.Context(), []string{clients.ScopeClientsRead}, clients.MaxOperatorToken)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Clients.Delete(t.Context(), clients.CommandLine, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		p.Clock.Advance(23 * time.Hour)
		again, err := p.OperatorToken(t.Context(), []string{clients.ScopeClientsRead}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		shell.Token = operator.Text
		shell.Do(http.MethodGet, "/clients", nil).WantProblem(http.StatusUnauthorized, "")
		shell.Token = again.Text
		shell.Do(http.MethodGet, "/clients", nil).WantStatus(http.StatusOK)
		p.Clock.Advance(time.Hour)
		shell.Do(http.MethodGet, "/clients", nil).WantProblem(http.StatusUnauthorized, "")
	})
}

// A token of the command line lives for as long as it says, whatever becomes of the
// key that signed it.
func TestOperatorTokensOutliveARotation(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	token, err := p.OperatorToken(t.Context(), []string{clients.ScopeClientsRead}, clients.MaxOperatorToken)
	if err != nil {
		t.Fatal(err)
	}
	all, err := p.Keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range all {
		if _, err := p.RotateKey(t.Context(), key.Alg, events.ActorOperator); err != nil {
			t.Fatal(err)
		}
	}
	op := &providertest.API{RP: p.Client("any"), Token: token.Text}
	p.Clock.Advance(clients.MaxOperatorToken - time.Minute)
	op.Do(http.MethodGet, "/clients", nil).WantStatus(http.StatusOK)
}

// What cannot be registered at the shell cannot be by the API.
func TestAttack05HostileURLsCannotBeRegisteredByTheAPI(t *testing.T) {
	t.Parallel()
	p := providertest.Start(t)
	op := p.API("ops", clients.ScopeClientsWrite)
	p.Client("shop")
	for _, uri := range []string{
		"javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "vbscript:x", "http://shop.example/cb", "file:///etc/passwd", "blob:x", "about:blank",
		"https://user@shop.example/cb", "https://shop.example/cb#x", "//shop.example/cb", "https://", "", "ftp://shop.example",
	} {
		for _, member := range []string{"redirect_uris", "post_logout_redirect_uris"} {
			registration := map[string]any{"redirect_uris": []string{"https://shop.example/cb"}}
			registration[member] = []string{uri}
			op.Do(http.MethodPost, "/clients", registration).WantProblem(http.StatusBadRequest, member)
			op.Do(http.MethodPatch, "/clients/shop", map[string]any{member: []string{uri}}, ifMatch("*")).WantProblem(http.StatusBadRequest, member)
		}
		if uri == "http://shop.example/cb" || uri == "" || strings.HasPrefix(uri, "https://shop.example/cb#") {
			continue // others have those; a page may be http, and "" is none
		}
		for _, member := range []string{"logo_uri", "policy_uri", "tos_uri", "client_uri", "jwks_uri", "sector_identifier_uri", "initiate_login_uri", "backchannel_logout_uri"} {
			op.Do(http.MethodPatch, "/clients/shop", map[string]any{member: uri}, ifMatch("*")).WantProblem(http.StatusBadRequest, member)
		}
	}
}

// Hydra CVE-2026-33504, Casdoor CVE-2022-24124: a list takes no order and no column
// from outside, and its place is one that we gave out.
func TestAttack85ListsOfTheAPITakeNoOrders(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		names := apiHouse(t, p)
		op := p.API("ops", clients.APIScopes()...)
		tried := 0
		for _, o := range apiOperations(t, p) {
			if o.Method != http.MethodGet || !strings.HasPrefix(o.ID, "list") {
				continue
			}
			tried++
			at := o.at(t, names)
			for _, q := range []string{
				"sort=(CASE%20WHEN%201=1%20THEN%20name%20END)", "order=name", "order_by=id;--", "fields=secrets", "select=secrets", "filter=1=1", "offset=1", "page=2",
				"limit=1;DROP%20TABLE%20clients", "limit=-1", "limit=1e3", "limit=99999999999999999999",
				"cursor=' OR 1=1 --", "cursor=eyJhZnRlciI6IiJ9", "cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "cursor=%00",
			} {
				q = strings.ReplaceAll(q, " ", "%20")
				if a := op.Do(http.MethodGet, at+"?"+q, nil); a.Status != http.StatusBadRequest {
					t.Errorf("%s?%s: %s", o.Path, q, a)
				}
			}
		}
		if tried < 12 {
			t.Errorf("%d lists were tried", tried)
		}
	})
}

// An id that comes from outside names a thing or nothing: it is no condition.
func TestAttack86IdsOfTheAPIAreNoConditions(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		names := apiHouse(t, p)
		op := p.API("ops", clients.APIScopes()...)
		before := whole(t, p)
		for _, o := range apiOperations(t, p) {
			if !strings.Contains(o.Path, "{") {
				continue
			}
			for _, id := range append(hostileIDs("0198c0de-0000-7000-8000-000000000000"), "victim' --", "victim ", " victim", "VICTIM", "victim%00", "%2e%2e", "*", "victim,ops") {
				for name := range names {
					if !strings.Contains(o.Path, "{"+name+"}") {
						continue
					}
					hostile := maps.Clone(names) // what else the path names is there
					hostile[name] = id
					a := p.Send(o.request(t, p, hostile, op.Token))
					if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
						t.Errorf("%s of %s %q: %s", o.ID, name, id, a)
					}
				}
			}
		}
		if whole(t, p) != before {
			t.Error("a hostile id changed something")
		}
	}, generous)
}

// A principal that is given in the same process is no way in from the network.
func TestTheOperatorsOwnAPINeedsNoToken(t *testing.T) {
	t.Parallel()
	var cfg provider.Config
	p := providertest.Start(t, providertest.Configure(func(c *provider.Config) { cfg = *c }))
	h, err := p.OperatorsAPI(cfg, nil, p.Clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/clients", strings.NewReader(`{"client_id": "svc", "grant_types": ["client_credentials"], "scope": "users:write"}`)))
	if w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/clients", strings.NewReader(`{"client_id": "svc", "grant_types": ["client_credentials"], "scope": "users:write"}`))
	r.Header.Set("Content-Type", "application/json")
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	made, err := p.Store.Events(t.Context(), 1)
	if err != nil || len(made) != 1 || made[0].Kind != string(events.ClientCreated) || made[0].Actor != string(events.ActorOperator) || made[0].ActorID != "" {
		t.Errorf("events %+v, error %v", made, err)
	}
	p.Get("/api/v1/clients").WantProblem(http.StatusUnauthorized, "")
}

// OWASP ASVS 5.0 14.1.1, 16.2.5: what passes through the API is told to nobody else:
// not to the log, the events, the metrics, nor by an error to whoever sent it.
func TestAttack90TheAPITellsNoSecret(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database), generous)
		names := apiHouse(t, p)
		op := p.API("ops", clients.APIScopes()...)
		const canary = "canary-6b1f"
		secrets := []string{op.Token, op.Secret, canary}
		made := op.Do(http.MethodPost, "/clients", someService, onceBy(canary+"-key")).WantStatus(http.StatusCreated)
		secrets = append(secrets, made.JSON()["client_secret"].(string))
		rotated := op.Do(http.MethodPost, "/clients/victim/rotate-secret", nil).WantStatus(http.StatusOK)
		secrets = append(secrets, rotated.JSON()["client_secret"].(string))
		var answers strings.Builder
		for _, password := range []any{canary, canary + strings.Repeat(" so long", 200), canary + " has doorstep in it", []string{canary}, canary + " that is good"} {
			answers.Write(op.Do(http.MethodPost, "/users/"+names["user_id"]+"/set-password", map[string]any{"password": password}, onceBy("k"+fmt.Sprint(len(secrets)))).Body)
		}
		for _, o := range apiOperations(t, p) {
			for _, token := range []string{op.Token, canary} {
				r := o.request(t, p, names, token)
				r.Header.Set("User-Agent", canary)
				r.Header.Set("Cookie", "a="+canary)
				a := p.Send(r)
				if a.Status >= http.StatusInternalServerError {
					t.Errorf("%s: %s", o.ID, a)
				}
				if a.Status >= http.StatusBadRequest {
					answers.Write(a.Body)
				}
			}
		}
		w := httptest.NewRecorder()
		p.Ops.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		places := map[string]string{"the log": p.Logs(), "the metrics": w.Body.String(), "the answers": answers.String()}
		for table, text := range providertest.ReadRows(t, database) {
			places["the table "+table] = text
		}
		for place, text := range places {
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s has %q", place, secret)
				}
			}
		}
	})
}
