package clients

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

type house struct {
	*Service
	store *storage.Store
	mu    sync.Mutex
	at    time.Time
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func start(t testing.TB) *house {
	t.Helper()
	store, err := storage.Open(t.Context(), "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "clients.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &house{store: store, at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.at
	}
	h.Service = New(Config{Issuer: "https://id.example"}, store, events.New(store, nil, now), now)
	return h
}

// web is the least that a client can be registered with.
func web(id string) Registration {
	return Registration{ClientID: id, ClientMetadata: storage.ClientMetadata{RedirectURIs: []string{"https://shop.example/cb"}}}
}

func (h *house) create(t testing.TB, r Registration) (*storage.Client, string) {
	t.Helper()
	c, secret, err := h.Create(t.Context(), r, events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	return c, secret
}

func (h *house) resource(t testing.TB, audience string, scopes ...string) {
	t.Helper()
	if _, err := h.CreateResource(t.Context(), &storage.Resource{Audience: audience, Scopes: scopes}, events.ActorOperator); err != nil {
		t.Fatal(err)
	}
}

// wantFaults checks that err is one fault about exactly these fields.
func wantFaults(t *testing.T, what string, err error, fields ...string) {
	t.Helper()
	var got []string
	for _, f := range fault.All(err) {
		got = append(got, f.Field)
	}
	if !slices.Equal(got, fields) {
		t.Errorf("%s: faults in %q (%v), want %q", what, got, err, fields)
	}
}

func TestDefaultsAreThoseOfTheSpecifications(t *testing.T) {
	h := start(t)
	c, secret := h.create(t, web(""))
	want := storage.ClientMetadata{
		RedirectURIs: []string{"https://shop.example/cb"}, TokenEndpointAuthMethod: "client_secret_basic",
		GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		ApplicationType: "web", Scope: "openid profile email", IDTokenSignedResponseAlg: "RS256", SubjectType: "public", RequirePKCE: true,
	}
	got, _ := json.Marshal(c.Metadata.V)
	if wanted, _ := json.Marshal(want); string(got) != string(wanted) {
		t.Errorf("registered\n%s, want\n%s", got, wanted)
	}
	if !isClientID(c.ID) || len(c.ID) < 20 || c.Name != c.ID || c.RegisteredBy != storage.RegisteredByOperator || c.Version != 1 {
		t.Errorf("registered as %+v", c)
	}
	if !strings.HasPrefix(secret, "dsk_") || len(secret) != 47 {
		t.Errorf("secret %q", secret)
	}
	kept, err := h.Show(t.Context(), c.ID)
	if err != nil || len(kept.Secrets.V) != 1 || strings.Contains(string(kept.Secrets.V[0].SHA256), secret) {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	if rows, _ := h.store.Events(t.Context(), 5); len(rows) != 1 || rows[0].Kind != "client.created" || rows[0].ClientID != c.ID ||
		strings.Contains(string(rows[0].Document.V), secret) {
		t.Errorf("events %+v", rows)
	}

	machine, _ := h.create(t, Registration{ClientMetadata: storage.ClientMetadata{GrantTypes: []string{"client_credentials"}}})
	if m := machine.Metadata.V; m.Scope != "" || m.ResponseTypes == nil || len(m.ResponseTypes) != 0 || len(m.ResponseModes) != 0 {
		t.Errorf("a client that signs nobody in: %+v", m)
	}
	open := web("open")
	no := false
	open.TokenEndpointAuthMethod, open.RequirePKCE = "none", &no
	public, secret := h.create(t, open)
	if secret != "" || len(public.Secrets.V) != 0 || !public.Metadata.V.RequirePKCE {
		t.Errorf("a public client has the secret %q and needs PKCE: %v", secret, public.Metadata.V.RequirePKCE)
	}
	excepted := web("excepted")
	excepted.RequirePKCE = &no
	if c, _ := h.create(t, excepted); c.Metadata.V.RequirePKCE {
		t.Error("an operator cannot except a confidential client from PKCE")
	}
}

// Attack case 92 (RFC 9700 section 4.15): no client has the id of a person.
func TestAClientIsNeverAPerson(t *testing.T) {
	h := start(t)
	for id, ok := range map[string]bool{
		"shop": true, "Shop-1.2_x": true, "0": true, strings.Repeat("a", 64): true, "pa_1": true,
		ident.SubPrefix + "J5yR0cV3bqZ0c1s": false, ident.SubPrefix: false,
		strings.Repeat("a", 65): false, "a b": false, "a/b": false, "..": false, "-a": false, "_a": false, "ü": false, "a\n": false, "a:b": false, "https://x": false,
	} {
		if isClientID(id) != ok {
			t.Errorf("client id %q: %v, want %v", id, !ok, ok)
		}
		if !ok {
			_, _, err := h.Create(t.Context(), web(id), events.ActorOperator)
			wantFaults(t, id, err, "client_id")
		}
	}
	for range 100 {
		if c, _ := h.create(t, web("")); strings.HasPrefix(c.ID, ident.SubPrefix) {
			t.Fatalf("random id %q", c.ID)
		}
	}
}

// p256 is the public key of RFC 7515 appendix A.3.1.
const p256 = `{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	h := start(t)
	h.resource(t, "https://api.example", "cars:read")
	for _, tc := range []struct {
		what   string
		change func(*Registration)
		fields []string
	}{
		{"nothing", func(*Registration) {}, nil},
		{"everything that is supported", func(r *Registration) {
			r.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials"}
			r.ResponseModes = []string{"form_post", "query"}
			r.TokenEndpointAuthMethod, r.ApplicationType = "client_secret_post", "native"
			r.RedirectURIs = []string{"com.example.app:/cb"}
			r.Scope = "openid offline_access cars:read"
			r.LogoURI, r.ClientURI = "http://localhost:8081/logo.svg", "https://shop.example"
			age := int64(0)
			r.DefaultMaxAge, r.IDTokenSignedResponseAlg = &age, "EdDSA"
			r.PostLogoutRedirectURIs = []string{"com.example.app:/bye"}
		}, nil},
		{"everything that is for old clients", func(r *Registration) {
			r.Legacy, r.GrantTypes = true, []string{"implicit", "authorization_code"}
			r.ResponseTypes, r.ResponseModes = []string{"id_token", "id_token code", "code"}, []string{"fragment", "form_post"}
			r.DefaultACRValues = []string{"phr", "aal1"}
		}, nil},
		{"an old client that has nothing old", func(r *Registration) { r.Legacy = true }, nil},
		{"id_token", func(r *Registration) { r.ResponseTypes = []string{"id_token"} }, []string{"response_types"}},
		{"code id_token", func(r *Registration) {
			r.GrantTypes, r.ResponseTypes = []string{"authorization_code", "implicit"}, []string{"code id_token"}
		}, []string{"grant_types", "response_types"}},
		{"id_token without its grant", func(r *Registration) { r.Legacy, r.ResponseTypes = true, []string{"id_token"} }, []string{"response_types"}},
		{"implicit without id_token", func(r *Registration) {
			r.Legacy, r.GrantTypes = true, []string{"authorization_code", "implicit"}
		}, []string{"grant_types"}},
		{"code id_token without code's grant", func(r *Registration) {
			r.Legacy, r.GrantTypes, r.ResponseTypes = true, []string{"implicit"}, []string{"code id_token"}
		}, []string{"response_types"}},
		{"token of an old client", func(r *Registration) {
			r.Legacy, r.GrantTypes, r.ResponseTypes = true, []string{"implicit"}, []string{"id_token token"}
		}, []string{"response_types"}},
		{"one response type in two orders", func(r *Registration) {
			r.Legacy, r.GrantTypes = true, []string{"implicit", "authorization_code"}
			r.ResponseTypes = []string{"code id_token", "id_token code"}
		}, []string{"response_types"}},
		{"implicit without redirect", func(r *Registration) {
			r.Legacy, r.GrantTypes, r.ResponseTypes, r.RedirectURIs = true, []string{"implicit"}, []string{"id_token"}, nil
		}, []string{"redirect_uris"}},
		{"acr", func(r *Registration) { r.DefaultACRValues = []string{"aal9"} }, []string{"default_acr_values"}},
		{"no redirect", func(r *Registration) { r.RedirectURIs = nil }, []string{"redirect_uris"}},
		{"javascript", func(r *Registration) { r.RedirectURIs = []string{"javascript:alert(1)"} }, []string{"redirect_uris"}},
		{"twice", func(r *Registration) { r.RedirectURIs = append(r.RedirectURIs, r.RedirectURIs[0]) }, []string{"redirect_uris"}},
		{"too many", func(r *Registration) { r.RedirectURIs = make([]string, 101) }, []string{"redirect_uris"}},
		{"post logout", func(r *Registration) { r.PostLogoutRedirectURIs = []string{"http://shop.example/"} }, []string{"post_logout_redirect_uris"}},
		{"method", func(r *Registration) { r.TokenEndpointAuthMethod = "client_secret_jwt" }, []string{"token_endpoint_auth_method"}},
		{"implicit", func(r *Registration) { r.GrantTypes = []string{"authorization_code", "implicit"} }, []string{"grant_types"}},
		{"password", func(r *Registration) { r.GrantTypes = []string{"password", "authorization_code"} }, []string{"grant_types"}},
		{"refresh alone", func(r *Registration) { r.GrantTypes = []string{"refresh_token"} }, []string{"grant_types"}},
		{"public machine", func(r *Registration) {
			r.GrantTypes, r.TokenEndpointAuthMethod = []string{"client_credentials"}, "none"
		}, []string{"grant_types"}},
		{"code without its grant", func(r *Registration) {
			r.GrantTypes, r.ResponseTypes = []string{"client_credentials"}, []string{"code"}
		}, []string{"response_types"}},
		{"token", func(r *Registration) { r.ResponseTypes = []string{"code token"} }, []string{"response_types"}},
		{"fragment", func(r *Registration) { r.ResponseModes = []string{"fragment"} }, []string{"response_modes"}},
		{"application", func(r *Registration) { r.ApplicationType = "desktop" }, []string{"application_type"}},
		{"unknown scope", func(r *Registration) { r.Scope = "openid cars:write" }, []string{"scope"}},
		{"scope twice", func(r *Registration) { r.Scope = "openid openid" }, []string{"scope"}},
		{"two spaces", func(r *Registration) { r.Scope = "openid  email" }, []string{"scope"}},
		{"a quote in a scope", func(r *Registration) { r.Scope = `openid "x"` }, []string{"scope"}},
		{"logo", func(r *Registration) { r.LogoURI = "http://shop.example/logo.svg" }, []string{"logo_uri"}},
		{"data logo", func(r *Registration) { r.LogoURI = "data:image/svg+xml,x" }, []string{"logo_uri"}},
		{"policy", func(r *Registration) { r.PolicyURI = "javascript:alert(1)" }, []string{"policy_uri"}},
		{"algorithm", func(r *Registration) { r.IDTokenSignedResponseAlg = "none" }, []string{"id_token_signed_response_alg"}},
		{"symmetric", func(r *Registration) { r.IDTokenSignedResponseAlg = "HS256" }, []string{"id_token_signed_response_alg"}},
		{"negative age", func(r *Registration) { age := int64(-1); r.DefaultMaxAge = &age }, []string{"default_max_age"}},
		{"name", func(r *Registration) { r.Name = "Shop\u202e" }, []string{"client_name"}},
		{"long owner", func(r *Registration) { r.Owner = strings.Repeat("é", 101) }, []string{"owner"}},
		{"an owner that is no group", func(r *Registration) { r.Owner = "cars" }, []string{"owner"}},
		{"an owner in another spelling", func(r *Registration) { r.Owner = " Operators" }, nil},
		{"contact", func(r *Registration) { r.Contacts = []string{"a\nb"} }, []string{"contacts"}},
		{"keys", func(r *Registration) {
			r.TokenEndpointAuthMethod, r.TokenEndpointAuthSigningAlg, r.JWKS = "private_key_jwt", "ES256", storage.Raw(`{"keys":[`+p256+`],"more":1}`)
		}, nil},
		{"keys beside a secret", func(r *Registration) { r.JWKS = storage.Raw(`{"keys":[` + p256 + `]}`) }, nil},
		{"no keys", func(r *Registration) { r.TokenEndpointAuthMethod = "private_key_jwt" }, []string{"jwks"}},
		{"keys null", func(r *Registration) {
			r.TokenEndpointAuthMethod, r.JWKS = "private_key_jwt", storage.Raw("null")
		}, []string{"jwks"}},
		{"keys of its own", func(r *Registration) {
			r.TokenEndpointAuthMethod, r.JWKSURI = "private_key_jwt", "https://shop.example/jwks.json"
		}, nil},
		{"keys inside", func(r *Registration) { r.JWKSURI = "http://10.1.2.3:8080/jwks.json" }, nil},
		{"keys in both ways", func(r *Registration) {
			r.JWKSURI, r.JWKS = "https://shop.example/jwks.json", storage.Raw(`{"keys":[`+p256+`]}`)
		}, []string{"jwks_uri"}},
		{"keys in a file", func(r *Registration) { r.JWKSURI = "file:///etc/passwd" }, []string{"jwks_uri"}},
		{"keys in a script", func(r *Registration) { r.JWKSURI = "javascript:alert(1)" }, []string{"jwks_uri"}},
		{"keys in the address", func(r *Registration) { r.JWKSURI = "data:application/json,{}" }, []string{"jwks_uri"}},
		{"keys behind a password", func(r *Registration) { r.JWKSURI = "https://a:b@shop.example/" }, []string{"jwks_uri"}},
		{"keys of no host", func(r *Registration) { r.JWKSURI = "https:///jwks.json" }, []string{"jwks_uri"}},
		{"a list of keys", func(r *Registration) { r.JWKS = storage.Raw(`[` + p256 + `]`) }, []string{"jwks"}},
		{"keys without keys", func(r *Registration) { r.JWKS = storage.Raw(`{}`) }, []string{"jwks"}},
		{"keys that are none", func(r *Registration) { r.JWKS = storage.Raw(`{"keys":[1,"x",{}]}`) }, []string{"jwks", "jwks", "jwks"}},
		{"too many keys", func(r *Registration) {
			r.JWKS = storage.Raw(`{"keys":[` + strings.Repeat(`{"kty":"EC","use":"enc"},`, 20) + p256 + `]}`)
		}, []string{"jwks"}},
		{"a private key", func(r *Registration) {
			r.JWKS = storage.Raw(`{"keys":[` + strings.Replace(p256, `{`, `{"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",`, 1) + `]}`)
		}, []string{"jwks"}},
		{"a secret for a key", func(r *Registration) { r.JWKS = storage.Raw(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`) }, []string{"jwks"}},
		{"one kid twice", func(r *Registration) { r.JWKS = storage.Raw(`{"keys":[` + p256 + `,` + p256 + `]}`) }, []string{"jwks"}},
		{"keys for encryption alone", func(r *Registration) {
			r.TokenEndpointAuthMethod, r.JWKS = "private_key_jwt", storage.Raw(`{"keys":[`+strings.Replace(p256, `{`, `{"use":"enc",`, 1)+`]}`)
		}, []string{"jwks"}},
		{"no key of the algorithm", func(r *Registration) {
			r.TokenEndpointAuthMethod, r.TokenEndpointAuthSigningAlg, r.JWKS = "private_key_jwt", "PS256", storage.Raw(`{"keys":[`+p256+`]}`)
		}, []string{"jwks"}},
		{"an assertion without signature", func(r *Registration) { r.TokenEndpointAuthSigningAlg = "none" }, []string{"token_endpoint_auth_signing_alg"}},
		{"an assertion with a MAC", func(r *Registration) { r.TokenEndpointAuthSigningAlg = "HS256" }, []string{"token_endpoint_auth_signing_alg"}},
		{"much", func(r *Registration) {
			r.Name, r.TokenEndpointAuthMethod, r.RedirectURIs, r.Scope, r.TosURI = "\x00", "x", []string{"x"}, "x", "x"
		}, []string{"client_name", "token_endpoint_auth_method", "redirect_uris", "scope", "tos_uri"}},
	} {
		r := web("")
		tc.change(&r)
		_, _, err := h.Create(t.Context(), r, events.ActorOperator)
		wantFaults(t, tc.what, err, tc.fields...)
		if len(tc.fields) == 0 && err != nil {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
	h.create(t, web("taken"))
	_, _, err := h.Create(t.Context(), web("taken"), events.ActorOperator)
	if f := (*fault.Error)(nil); !errors.As(err, &f) || f.Kind != fault.KindConflict || f.Field != "client_id" {
		t.Errorf("a taken id: %v", err)
	}
	_, _, err = h.Create(t.Context(), func() Registration { r := web(""); r.Scope = "cars:sell"; return r }(), events.ActorOperator)
	if err == nil || !strings.Contains(err.Error(), `"cars:sell"`) {
		t.Errorf("the fault does not name the scope: %v", err)
	}
}

// TestOnlyOperatorsMarkLegacyClients: nobody gets an ID token from the
// authorization endpoint by registering for it.
func TestOnlyOperatorsMarkLegacyClients(t *testing.T) {
	h := start(t)
	old := web("")
	old.Legacy, old.GrantTypes, old.ResponseTypes = true, []string{"implicit"}, []string{"id_token"}
	for _, by := range []events.Actor{events.ActorPerson, events.ActorClient, events.ActorSystem} {
		_, _, err := h.Create(t.Context(), old, by)
		wantFaults(t, string(by), err, "legacy")
	}
	c, _ := h.create(t, web("later"))
	patch := []byte(`{"legacy":true,"grant_types":["authorization_code","implicit"],"response_types":["code","id_token code"]}`)
	_, err := h.Update(t.Context(), c.ID, patch, events.ActorClient)
	wantFaults(t, "update by itself", err, "legacy")
	if c, err = h.Update(t.Context(), c.ID, patch, events.ActorOperator); err != nil || !slices.Equal(c.Metadata.V.ResponseTypes, []string{"code", "code id_token"}) {
		t.Errorf("by an operator: %v, %v", c, err)
	}
	_, err = h.Update(t.Context(), c.ID, []byte(`{"legacy":null}`), events.ActorOperator)
	wantFaults(t, "unmarked, with what is legacy", err, "grant_types", "response_types")
}

func TestAuthenticate(t *testing.T) {
	h := start(t)
	c, secret := h.create(t, web("shop"))
	for what, given := range map[string]string{
		"nothing": "", "another": "dsk_" + strings.Repeat("A", 43), "cut": secret[:46], "longer": secret + "A", "line break": secret + "\n",
		"case": strings.ToUpper(secret), "its hash": string(c.Secrets.V[0].SHA256), "much": strings.Repeat(secret, 2), // attack case 41
	} {
		if h.Authenticate(c, given) {
			t.Errorf("%s: right", what)
		}
	}
	if !h.Authenticate(c, secret) {
		t.Error("the secret: wrong")
	}
	two := *c
	sum := sha256.Sum256([]byte("imported"))
	two.Secrets = storage.Document([]storage.ClientSecret{
		{SHA256: sum[:], ExpiresAt: h.now().Add(time.Minute).Unix()}, c.Secrets.V[0],
	})
	if !h.Authenticate(&two, secret) || !h.Authenticate(&two, "imported") {
		t.Error("of two living secrets one is wrong")
	}
	h.pass(time.Minute)
	if h.Authenticate(&two, "imported") || !h.Authenticate(&two, secret) {
		t.Error("a secret that expired is right, or its neighbour wrong")
	}
	none := two
	none.Metadata.V.TokenEndpointAuthMethod = "none"
	if h.Authenticate(&none, secret) || h.Authenticate(&storage.Client{}, "") {
		t.Error("a client without a secret has proved who it is")
	}
	empty := sha256.Sum256(nil)
	two.Secrets = storage.Document([]storage.ClientSecret{{SHA256: empty[:]}, {}})
	if h.Authenticate(&two, "") {
		t.Error("the empty secret is right")
	}
}

// A change by another process counts within 5 s, and a new client at once.
func TestTheCacheIsYoung(t *testing.T) {
	h := start(t)
	other := New(Config{Issuer: "https://id.example"}, h.store, h.events, h.now)
	if _, err := h.Get(t.Context(), "shop"); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("before: %v", err)
	}
	if _, _, err := other.Create(t.Context(), web("shop"), events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	first, err := h.Get(t.Context(), "shop")
	if err != nil {
		t.Fatalf("an unknown client was remembered as unknown: %v", err)
	}
	if again, _ := h.Get(t.Context(), "shop"); again != first {
		t.Error("two reads at the same moment")
	}
	if _, err := other.Update(t.Context(), "shop", []byte(`{"client_name":"Shop"}`), events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	if c, err := h.Get(t.Context(), "shop"); err != nil || c.Name != "Shop" {
		t.Errorf("after 3 s: %+v, %v", c, err)
	}
	if err := other.Delete(t.Context(), "shop", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	if _, err := h.Get(t.Context(), "shop"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("3 s after it was deleted: %v", err)
	}
}

func TestADisabledClientIsNotFound(t *testing.T) {
	h := start(t)
	c, _ := h.create(t, web("shop"))
	c.DisabledAt = storage.At(h.now())
	if err := h.store.UpdateClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(t.Context(), "shop"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	if c, err := h.Show(t.Context(), "shop"); err != nil || c.DisabledAt.IsZero() {
		t.Errorf("an operator sees %+v, %v", c, err)
	}
	if ok, err := h.AllowsOrigin(t.Context(), "https://shop.example"); ok || err != nil {
		t.Errorf("its origin is allowed: %v, %v", ok, err)
	}
}

// A store that fails is neither a yes nor a no.
func TestAFailingStoreIsNotUnknown(t *testing.T) {
	h := start(t)
	h.create(t, web("shop"))
	if _, err := h.Get(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(t.Context(), "shop"); err != nil {
		t.Errorf("from memory: %v", err)
	}
	h.pass(3 * time.Second)
	if _, err := h.Get(t.Context(), "shop"); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v, want the store's error", err)
	}
	if _, err := h.Entries(t.Context(), &storage.Client{}); err == nil {
		t.Error("entries without a store")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	h := start(t)
	for i := range maxHeld {
		h.held[strings.Repeat("x", i)] = held{read: h.begin(&h.eras.clients)}
	}
	h.create(t, web("shop"))
	if _, err := h.Get(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if len(h.held) > maxHeld {
		t.Errorf("%d clients in memory", len(h.held))
	}
}

// An owner is a group that there is, under its one name.
func TestAnOwnerIsAGroup(t *testing.T) {
	h := start(t)
	r := web("shop")
	r.Owner = "Operators"
	if c, _ := h.create(t, r); c.Owner != "operators" {
		t.Errorf("owner %q, want the canonical name", c.Owner)
	}
	_, err := h.Update(t.Context(), "shop", []byte(`{"owner":"cars"}`), events.ActorOperator)
	faults := fault.All(err)
	if len(faults) != 1 || faults[0].Field != "owner" || !strings.Contains(faults[0].Message, "'doorstep group create cars'") {
		t.Errorf("an owner that is no group: %v", err)
	}
}

func TestUpdateIsAMergePatch(t *testing.T) { // RFC 7396
	h := start(t)
	r := web("shop")
	r.Name, r.Owner, r.Scope = "Shop", "operators", "openid email"
	_, secret := h.create(t, r)
	c, err := h.Update(t.Context(), "shop", []byte(`{"client_name":"New","owner":null,"redirect_uris":["https://new.example/cb"],"first_party":true}`), events.ActorOperator)
	if err != nil {
		t.Fatal(err)
	}
	kept, _ := h.Show(t.Context(), "shop")
	for _, c := range []*storage.Client{c, kept} {
		m := c.Metadata.V
		if c.Name != "New" || c.Owner != "" || !slices.Equal(m.RedirectURIs, []string{"https://new.example/cb"}) || !m.FirstParty ||
			m.Scope != "openid email" || c.Version != 2 || !h.Authenticate(c, secret) {
			t.Errorf("updated to %+v", c)
		}
	}
	if _, err := h.Update(t.Context(), "shop", []byte(`{"scope":null}`), events.ActorOperator); err != nil {
		t.Error(err)
	}
	if kept, _ = h.Show(t.Context(), "shop"); kept.Metadata.V.Scope != defaultScope {
		t.Errorf("null leaves the scope %q, want the default", kept.Metadata.V.Scope)
	}
	for patch, field := range map[string]string{
		`{"client_id":"other"}`:                            "client_id",
		`{"client_id":null}`:                               "client_id",
		`{"token_endpoint_auth_method":"none"}`:            "token_endpoint_auth_method",
		`{"redirect_uris":["http://x.example"]}`:           "redirect_uris",
		`{"redirect_uris":"https://x.example"}`:            "redirect_uris",
		`{"redirect_uri":"https://x.example"}`:             "redirect_uri",
		`{"owner":"a","owner":"b"}`:                        "owner",
		`{"jwks":{}}`:                                      "jwks",
		`{"jwks":"https://x.example"}`:                     "jwks",
		`{"token_endpoint_auth_method":"private_key_jwt"}`: "jwks",
		`[]`: "",
		`{`:  "",
	} {
		_, err := h.Update(t.Context(), "shop", []byte(patch), events.ActorOperator)
		wantFaults(t, patch, err, field)
	}
	if _, err := h.Update(t.Context(), "none", []byte(`{}`), events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unknown client: %v", err)
	}
}

func TestDeleteEndsEverything(t *testing.T) {
	h := start(t)
	h.create(t, web("shop"))
	if _, err := h.Get(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	now := storage.At(h.now())
	person := &storage.Person{ID: storage.NewID(), Sub: ident.SubPrefix + "ada", CreatedAt: now, UpdatedAt: now}
	grant := &storage.Grant{
		ID: storage.NewID(), ClientID: "shop", PersonID: person.ID, Sub: person.Sub, CodeHash: []byte("hash"), CreatedAt: now, ExpiresAt: storage.At(now.Add(time.Hour)),
	}
	agreed := &storage.Consent{PersonID: person.ID, ClientID: "shop", CreatedAt: now, UpdatedAt: now}
	if err := errors.Join(h.store.CreatePerson(t.Context(), person), h.store.CreateGrant(t.Context(), grant), h.store.SetConsent(t.Context(), agreed)); err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), "shop", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	if state, err := h.store.GrantByID(t.Context(), grant.ID); err != nil || state.Alive(now.Time) {
		t.Errorf("its grant lives on: %+v, %v", state, err)
	}
	if consent, err := h.store.ConsentOf(t.Context(), person.ID, "shop"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("its consent stands: %+v, %v", consent, err)
	}
	if _, err := h.Get(t.Context(), "shop"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("in this process at once: %v, want ErrNotFound", err)
	}
	rows, err := h.store.Revocations(t.Context(), map[string]string{storage.RevokedClient: "shop"})
	if err != nil || len(rows) != 1 || !rows[0].ExpiresAt.Equal(h.now().Add(MaxLifetime)) {
		t.Errorf("revocations %+v, %v", rows, err)
	}
	if rows, _ := h.store.Events(t.Context(), 5); len(rows) != 2 || !slices.ContainsFunc(rows, func(e storage.Event) bool { return e.Kind == "client.deleted" }) {
		t.Errorf("events %+v", rows)
	}
	if err := h.Delete(t.Context(), "shop", events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("again: %v, want ErrNotFound", err)
	}
	if rows, _ := h.store.Events(t.Context(), 5); len(rows) != 2 {
		t.Error("what was not deleted has an event")
	}
}

func TestPagesHaveEveryClient(t *testing.T) {
	h := start(t)
	for _, id := range []string{"b", "a", "c"} {
		h.create(t, web(id))
	}
	first, err := h.Page(t.Context(), storage.Page{Limit: 2})
	if err != nil || len(first.Items) != 2 || first.Items[0].ID != "a" {
		t.Errorf("%+v, %v", first, err)
	}
	last, err := h.Page(t.Context(), storage.Page{Limit: 2, After: first.Next})
	if err != nil || len(last.Items) != 1 || last.Items[0].ID != "c" {
		t.Errorf("%+v, %v", last, err)
	}
}

// The hot path allocates nothing: these run once in every request.
func TestHotReadsDoNotAllocate(t *testing.T) {
	h := start(t)
	c, secret := h.create(t, web("shop"))
	ctx := context.Background()
	for what, run := range map[string]func(){
		"Get": func() {
			if _, err := h.Get(ctx, "shop"); err != nil {
				t.Error(err)
			}
		},
		"Authenticate": func() {
			if !h.Authenticate(c, secret) {
				t.Error("wrong")
			}
		},
		"MatchRedirect": func() {
			if !h.MatchRedirect(c, "https://shop.example/cb") {
				t.Error("no match")
			}
		},
	} {
		run()
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
