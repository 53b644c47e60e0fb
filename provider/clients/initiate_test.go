package clients

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

func initiating(id, uri string) Registration {
	return changed(web(id), func(r *Registration) { r.InitiateLoginURI = uri })
}

// OIDC Core section 4, Registration section 2: what is registered is told again,
// and is https.
func TestInitiateLoginURIs(t *testing.T) {
	h := start(t)
	for uri, ok := range map[string]bool{
		"https://shop.example/login": true, "https://shop.example/login?tenant=a": true, "http://localhost:8081/login": true, "http://127.0.0.1/login": true,
		"http://shop.example/login": false, "com.example.shop:/login": false, "javascript:alert(1)": false, "/login": false, "https://u@shop.example/": false,
		"https://shop.example/login#f": false, "https://shop.example/login?iss=x": false, "https://shop.example/login?target_link_uri=x": false,
		"https://shop.example/login?login_hint=x": false,
	} {
		c, _, err := h.Create(t.Context(), initiating("", uri), events.ActorOperator)
		if !ok {
			wantFaults(t, uri, err, "initiate_login_uri")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		for what, c := range map[string]*storage.Client{"the answer": c, "what is read later": must(h.Show(t.Context(), c.ID))} {
			if text, err := json.Marshal(NewView(c, "")); err != nil || !strings.Contains(string(text), `"initiate_login_uri":"`+uri+`"`) {
				t.Errorf("%s: %s, %v", what, text, err)
			}
		}
	}
	_, _, err := h.Create(t.Context(), changed(initiating("", "https://shop.example/login"), func(r *Registration) {
		r.GrantTypes, r.RedirectURIs = []string{"client_credentials"}, nil
	}), events.ActorOperator)
	wantFaults(t, "nobody signs in", err, "initiate_login_uri")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// OIDC Core section 4: iss, and target_link_uri where the client has a page.
func TestLoginURL(t *testing.T) {
	h := start(t)
	const issuer = "iss=https%3A%2F%2Fid.example"
	for _, c := range []struct{ initiate, page, want string }{
		{"", "https://shop.example/", ""},
		{"https://shop.example/login", "", "https://shop.example/login?" + issuer},
		{"https://shop.example/login", "https://shop.example/?a=b&c", "https://shop.example/login?" + issuer + "&target_link_uri=https%3A%2F%2Fshop.example%2F%3Fa%3Db%26c"},
		{"https://shop.example/login?z=%20&a", "", "https://shop.example/login?z=%20&a&" + issuer},
	} {
		m := storage.ClientMetadata{InitiateLoginURI: c.initiate, ClientURI: c.page}
		if got := h.LoginURL(&storage.Client{Metadata: storage.Document(m)}); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.initiate, c.page, got, c.want)
		}
	}
}

// Anybody may open the operator's own that say where; what another process changes
// is noticed within 3 s.
func TestOpenableClients(t *testing.T) {
	h := start(t)
	ours := func(id, uri string) Registration {
		return changed(initiating(id, uri), func(r *Registration) { r.FirstParty = true })
	}
	h.create(t, ours("ours", "https://shop.example/login"))
	h.create(t, ours("mute", ""))
	h.create(t, initiating("theirs", "https://shop.example/login"))
	want := func(when string, ids ...string) {
		t.Helper()
		all, err := h.Openable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range all {
			got = append(got, all[i].ID)
		}
		if strings.Join(got, " ") != strings.Join(ids, " ") {
			t.Errorf("%s: %q, want %q", when, got, ids)
		}
	}
	want("at first", "ours")
	h.create(t, ours("also", "https://shop.example/login"))
	want("after one was registered here", "also", "ours")
	other := New(Config{Issuer: "https://id.example"}, h.store, h.events, h.now)
	if err := other.Delete(t.Context(), "also", events.ActorOperator); err != nil {
		t.Fatal(err)
	}
	h.pass(3 * time.Second)
	want("after another process deleted it", "ours")
}
