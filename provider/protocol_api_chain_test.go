package provider_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// hashed are the members of a link that its hash covers, in their order.
var hashed = []string{"number", "id", "kind", "outcome", "actor", "actor_id", "person_id", "client_id", "request_id", "document", "personal", "created_at"}

// linkHash is the hash of a link as the API's document says that it is made.
func linkHash(t *testing.T, before []byte, link map[string]json.RawMessage) []byte {
	t.Helper()
	text := bytes.NewBufferString("{")
	for i, name := range hashed {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(text, "%q:", name)
		if err := json.Compact(text, link[name]); err != nil {
			t.Fatal(err)
		}
	}
	text.WriteByte('}')
	escaped := strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(text.String())
	sum := sha256.Sum256(append(slices.Clone(before), escaped...))
	return sum[:]
}

// A program of anybody's verifies the chain by what the API hands out: the links have what
// their hashes cover and no more, and a signed head says the same.
func TestAPIChainVerifiesWithoutUs(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeEventsRead, clients.ScopeClientsWrite, clients.ScopeUsersWrite)
		op.Do(http.MethodPost, "/clients", map[string]any{"client_id": "shop", "client_name": "Bed & <Breakfast>", "redirect_uris": []string{"https://shop.example/cb"}, "contacts": []string{"ada@example.com"}}).WantStatus(http.StatusCreated)
		gone := op.Do(http.MethodPost, "/users", map[string]any{"email": "bob@example.com"}).WantStatus(http.StatusCreated).JSON()["id"].(string)
		p.Browser().SignIn("ada")
		if _, err := p.Events.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Events.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		op.Do(http.MethodDelete, "/users/"+gone, nil, ifMatch("*")).WantStatus(http.StatusNoContent)
		if _, err := p.Events.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}

		var chain struct {
			First, Number, Last, Keep int64
			Hash                      []byte
			Anchor                    string
			Keys                      []struct {
				KID     string
				JWK     jose.JSONWebKey
				Revoked bool
			}
		}
		if err := json.Unmarshal(op.Do(http.MethodGet, "/events/chain", nil).WantStatus(http.StatusOK).Body, &chain); err != nil {
			t.Fatal(err)
		}
		if chain.First != 1 || chain.Last != chain.Number || chain.Anchor != "" || len(chain.Keys) == 0 {
			t.Errorf("%+v", chain)
		}
		hashes := map[int64][]byte{0: make([]byte, 32)}
		personal := 0
		for path, number := "/events/chain/links?limit=2", int64(1); path != ""; {
			var page struct {
				Items []map[string]json.RawMessage
				Next  string
			}
			if err := json.Unmarshal(op.Do(http.MethodGet, path, nil).WantStatus(http.StatusOK).Body, &page); err != nil {
				t.Fatal(err)
			}
			for _, link := range page.Items {
				if len(link) != len(hashed)+1 || string(link["number"]) != fmt.Sprint(number) {
					t.Fatalf("link %d: %v", number, link)
				}
				hashes[number] = linkHash(t, hashes[number-1], link)
				if want := base64.StdEncoding.EncodeToString(hashes[number]); string(link["hash"]) != `"`+want+`"` {
					t.Fatalf("link %d has the hash %s, want %s", number, link["hash"], want)
				}
				if string(link["personal"]) != "null" {
					personal++
				}
				number++
			}
			path = strings.TrimPrefix(page.Next, p.URL("/api/v1"))
		}
		if !bytes.Equal(hashes[chain.Number], chain.Hash) || int64(len(hashes)) != chain.Number+1 || personal < 2 {
			t.Errorf("%d links, %d with something personal; the chain ends with %d", len(hashes)-1, personal, chain.Number)
		}
		var kept struct{ Items []map[string]any }
		if err := json.Unmarshal(op.Do(http.MethodGet, "/events/chain/heads", nil).WantStatus(http.StatusOK).Body, &kept); err != nil || len(kept.Items) != 1 {
			t.Fatalf("%v, %v", kept, err)
		}
		now := op.Do(http.MethodGet, "/events/chain/head", nil).WantStatus(http.StatusOK).JSON()
		for number, text := range map[int64]string{
			chain.Number: now["jws"].(string), int64(kept.Items[0]["number"].(float64)): kept.Items[0]["jws"].(string),
		} {
			signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
			if err != nil {
				t.Fatal(err)
			}
			var says struct {
				Number int64
				Hash   []byte
			}
			for _, k := range chain.Keys {
				if payload, err := signed.Verify(k.JWK); err == nil {
					if err := json.Unmarshal(payload, &says); err != nil {
						t.Fatal(err)
					}
				}
			}
			if says.Number != number || number == 0 || !bytes.Equal(says.Hash, hashes[number]) {
				t.Errorf("the head of %d says %+v", number, says)
			}
		}
		for query, field := range map[string]string{"after=-1": "after", "after=x": "after", "limit=0": "limit", "limit=501": "limit", "cursor=x": "cursor"} {
			for _, path := range []string{"/events/chain/links?", "/events/chain/heads?"} {
				op.Do(http.MethodGet, path+query, nil).WantProblem(http.StatusBadRequest, field)
			}
		}
	})
}

// Who verifies the chain from far away is given what is personal as it is sealed, and the
// public halves of keys alone.
func TestAttack90TheChainIsHandedOutSealed(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.APIScopes()...)
		const name, contact = "Ada of the canaries", "canary@example.com"
		op.Do(http.MethodPost, "/users", map[string]any{"email": "ada@example.com", "name": name}).WantStatus(http.StatusCreated)
		op.Do(http.MethodPost, "/clients", map[string]any{"client_id": "shop", "redirect_uris": []string{"https://shop.example/cb"}, "contacts": []string{contact}}).WantStatus(http.StatusCreated)
		if _, err := p.Events.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		told, err := p.Events.List(t.Context(), events.Filter{}, 0, events.MaxPage)
		if err != nil || !strings.Contains(fmt.Sprint(told.Events), contact) || !strings.Contains(fmt.Sprint(told.Events), "127.0.0.1") {
			t.Fatalf("nothing personal was recorded: %+v, %v", told, err)
		}
		secrets := canaries{}
		secrets.add("something personal", name, contact, "127.0.0.1", "ada@example.com")
		for _, path := range []string{"", "/links", "/heads", "/head"} {
			body := string(op.Do(http.MethodGet, "/events/chain"+path, nil).WantStatus(http.StatusOK).Body)
			secrets.wantSilence(t, "/events/chain"+path, body)
			var page struct{ Items []struct{ Personal []byte } }
			if err := json.Unmarshal([]byte(body), &page); err != nil {
				t.Fatal(err)
			}
			for _, link := range page.Items { // what is personal is base64 in there
				secrets.wantSilence(t, "what is personal at /events/chain"+path, string(link.Personal))
			}
			for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "origin"} {
				if strings.Contains(body, `"`+member+`":`) {
					t.Errorf("/events/chain%s has the member %q", path, member)
				}
			}
		}
	})
}
