package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// everyMember is a registration with each member that docs/specs.md names (RFC 7591 section 2,
// OpenID Connect Registration section 2, Back-Channel Logout section 2.2, and our own).
func everyMember(t *testing.T) string {
	t.Helper()
	all := map[string]any{"client_id": "shop", "jwks": map[string]any{"keys": []any{}}, "default_max_age": 60}
	for _, name := range strings.Fields("token_endpoint_auth_method client_name client_uri logo_uri scope tos_uri policy_uri jwks_uri application_type token_endpoint_auth_signing_alg " +
		"id_token_signed_response_alg backchannel_logout_uri subject_type sector_identifier_uri initiate_login_uri owner") {
		all[name] = "its " + name
	}
	for _, name := range strings.Fields("redirect_uris grant_types response_types contacts default_acr_values post_logout_redirect_uris response_modes") {
		all[name] = []string{"one of " + name, "another"}
	}
	for _, name := range strings.Fields("require_auth_time backchannel_logout_session_required first_party require_pkce legacy") {
		all[name] = true
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDecodeRegistration(t *testing.T) {
	r, err := DecodeRegistration(strings.NewReader(` {"client_id":"shop","client_name":"Shop","owner":"cars","redirect_uris":["https://shop.example/cb"],
		"default_max_age":60,"require_pkce":false,"first_party":true,"logo_uri":null} `))
	if err != nil || r.ClientID != "shop" || r.Name != "Shop" || r.Owner != "cars" || len(r.RedirectURIs) != 1 || *r.DefaultMaxAge != 60 ||
		r.RequirePKCE == nil || *r.RequirePKCE || !r.FirstParty {
		t.Errorf("%+v, %v", r, err)
	}
	var whole, back map[string]any
	text := everyMember(t)
	r, err = DecodeRegistration(strings.NewReader(text))
	again, _ := json.Marshal(r)
	if err = errors.Join(err, json.Unmarshal([]byte(text), &whole), json.Unmarshal(again, &back)); err != nil || !reflect.DeepEqual(back, whole) {
		t.Errorf("every member: got %s, want %s (%v)", again, text, err)
	}
	for text, fields := range map[string][]string{
		`{"redirect_uri":"x","client_nam":"y"}`:        {"redirect_uri", "client_nam"},
		`{"Client_Name":"x"}`:                          {"Client_Name"},
		`{"scope":"a","scope":"b"}`:                    {"scope"},
		`{"scope":"a","\u0073cope":"b"}`:               {"scope"},
		`{"scope":["a"]}`:                              {"scope"},
		`{"redirect_uris":"x"}`:                        {"redirect_uris"},
		`{"redirect_uris":[1]}`:                        {"redirect_uris"},
		`{"first_party":"yes"}`:                        {"first_party"},
		`{"default_max_age":1.5}`:                      {"default_max_age"},
		`{"default_max_age":1e99}`:                     {"default_max_age"},
		`{"jwks":{"keys":[{"kty":"EC","kty":"RSA"}]}}`: {"kty"},
		`{"client_secret":"mine"}`:                     {"client_secret"},
		`{"":1}`:                                       {""},
		``:                                             {""},
		`null`:                                         {""},
		`"x"`:                                          {""},
		`[]`:                                           {""},
		`{`:                                            {""},
		`{"scope"}`:                                    {""},
		`{"scope":}`:                                   {""},
		`{"scope":"a",}`:                               {""},
		`{'scope':'a'}`:                                {""},
		`{} {}`:                                        {""},
		`{}x`:                                          {""},
		"{\"scope\":\"\xff\"}":                         {""},
		"\ufeff{}":                                     {""},
		`{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`:     {""},
		`{"x":` + strings.Repeat(`{"x":`, 1000) + `1` + strings.Repeat("}", 1001): {""},
	} {
		_, err := DecodeRegistration(strings.NewReader(text))
		wantFaults(t, fmt.Sprintf("%.60q", text), err, fields...)
	}
	_, err = DecodeRegistration(strings.NewReader(`{"scope":"` + strings.Repeat("a", maxDocument) + `"}`))
	if f := (*fault.Error)(nil); !errors.As(err, &f) || f.Kind != fault.KindTooLarge {
		t.Errorf("too long: %v", err)
	}
}

func TestDecodeResource(t *testing.T) {
	r, err := DecodeResource(strings.NewReader(`{"audience":"https://api.example","name":"API","scopes":["a"],"introspects":["x"],"format":"jwt","algorithm":"EdDSA","lifetime":60}`))
	if err != nil || r.Audience != "https://api.example" || r.Name != "API" || !r.Scopes.Has("a") || !r.Introspects.Has("x") || r.Alg != "EdDSA" || r.Lifetime != 60 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = DecodeResource(strings.NewReader(`{"audience":"x","alg":"ES256"}`))
	wantFaults(t, "unknown", err, "alg")
	again, err := json.Marshal(NewResourceView(r))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeResource(strings.NewReader(string(again))); err != nil || fmt.Sprint(back) != fmt.Sprint(r) {
		t.Errorf("what is shown reads back as %+v, %v", back, err)
	}
}

// RFC 7591 section 3.2.1: a secret is shown once, with its expiry.
func TestViewShowsASecretOnce(t *testing.T) {
	h := start(t)
	c, secret := h.create(t, web("shop"))
	first, _ := json.Marshal(NewView(c, secret))
	later, _ := json.Marshal(NewView(c, ""))
	if !strings.Contains(string(first), `"client_secret":"`+secret+`"`) || !strings.Contains(string(first), `"client_secret_expires_at":0`) {
		t.Errorf("at once: %s", first)
	}
	if strings.Contains(string(later), "client_secret\"") || strings.Contains(string(later), "expires_at") || strings.Contains(string(later), "sha256") {
		t.Errorf("later: %s", later)
	}
	for _, member := range []string{`"client_id":"shop"`, `"client_id_issued_at":1795348800`, `"client_name":"shop"`, `"require_pkce":true`, `"grant_types":["authorization_code"]`} {
		if !strings.Contains(string(later), member) {
			t.Errorf("%s is missing: %s", member, later)
		}
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "client", NewView(c, secret))
	if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "client shop") {
		t.Errorf("logged: %s", log.String())
	}
}

// Whatever is decoded and registered can be shown and registered again.
func FuzzDecodeRegistration(f *testing.F) {
	for _, seed := range []string{
		`{"redirect_uris":["https://shop.example/cb"]}`, `{"scope":"a","scope":"b"}`, `{"default_max_age":1}`, `[[[[[[[[[[`, `{"a":{"b":[1,null]}}`, `{"scope":null}`,
	} {
		f.Add(seed)
	}
	h := start(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := DecodeRegistration(strings.NewReader(text))
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Errorf("%q: %v is no fault", text, err)
			}
			return
		}
		r.ClientID = "x"
		metadata, _, err := h.accept(t.Context(), &r, nil, events.ActorOperator)
		if err != nil {
			return
		}
		c := &storage.Client{ID: r.ClientID, Name: r.Name, Owner: r.Owner, Metadata: storage.Document(metadata)}
		back, err := Patched(c, []byte(`{}`))
		if err != nil {
			t.Fatalf("%q: what was accepted does not decode: %v", text, err)
		}
		again, _, err := h.accept(t.Context(), back, nil, events.ActorOperator)
		one, _ := json.Marshal(metadata)
		two, _ := json.Marshal(again)
		if err != nil || string(one) != string(two) {
			t.Errorf("%q: accepted as %s, and again as %s (%v)", text, one, two, err)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	h := start(b)
	h.create(b, web("shop"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Get(b.Context(), "shop"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntries(b *testing.B) {
	h := start(b)
	h.resource(b, "https://api.example", "a", "b")
	r := web("shop")
	r.Scope = "openid email a b"
	c, _, err := h.Create(b.Context(), r, events.ActorOperator)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Entries(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
