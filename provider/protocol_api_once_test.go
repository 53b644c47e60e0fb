package provider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/storage"
)

const idempotencyKey = "Idempotency-Key"

func onceBy(key string) func(*http.Request) { return providertest.WithHeader(idempotencyKey, key) }

var someService = map[string]any{"client_name": "Job", "grant_types": []string{"client_credentials"}}

// What is sent again with its key is done once and gets the first answer, its secret
// included, which is nowhere in the clear (draft-ietf-httpapi-idempotency-key-header).
func TestAPIRequestsAreDoneOnce(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		op := p.API("ops", clients.ScopeClientsWrite, clients.ScopeClientsRead)
		first := op.Do(http.MethodPost, "/clients", someService, onceBy("k-1")).WantStatus(http.StatusCreated)
		again := op.Do(http.MethodPost, "/clients", someService, onceBy("k-1")).WantStatus(http.StatusCreated)
		if string(first.Body) != string(again.Body) || first.Header.Get("ETag") != again.Header.Get("ETag") || first.Header.Get("Location") != again.Header.Get("Location") {
			t.Errorf("%s\nagain %s", first, again)
		}
		secret := first.JSON()["client_secret"].(string)
		for table, text := range providertest.ReadRows(t, database) {
			if strings.Contains(text, secret) {
				t.Errorf("the secret is in the table %s", table)
			}
		}
		// Another request needs another key, as do another client's, which are apart.
		op.Do(http.MethodPost, "/clients", map[string]any{"client_name": "Other", "grant_types": []string{"client_credentials"}}, onceBy("k-1")).WantProblem(http.StatusUnprocessableEntity, idempotencyKey)
		op.Do(http.MethodPost, "/clients/ops/disable", nil, onceBy("k-1")).WantProblem(http.StatusUnprocessableEntity, idempotencyKey)
		other := p.API("other", clients.ScopeClientsWrite)
		if a := other.Do(http.MethodPost, "/clients", someService, onceBy("k-1")).WantStatus(http.StatusCreated); string(a.Body) == string(first.Body) {
			t.Error("a client got another's answer")
		}
		// So does another token of the client with fewer scopes: the answer may be more than it may have.
		fewer := &providertest.API{RP: op.RP, Token: op.ClientCredentials(providertest.And("scope", clients.ScopeClientsWrite)).OK().Access}
		fewer.Do(http.MethodPost, "/clients", someService, onceBy("k-1")).WantProblem(http.StatusUnprocessableEntity, idempotencyKey)
		for _, key := range []string{"", " ", "a b", "ä", strings.Repeat("k", 256)} {
			op.Do(http.MethodPost, "/clients", someService, func(r *http.Request) { r.Header[idempotencyKey] = []string{key} }).WantProblem(http.StatusBadRequest, idempotencyKey)
		}
		// A request that was refused may be mended, and then has its key.
		op.Do(http.MethodPost, "/clients", map[string]any{"colour": "red"}, onceBy("k-2")).WantProblem(http.StatusBadRequest, "colour")
		op.Do(http.MethodPost, "/clients", someService, onceBy("k-2")).WantStatus(http.StatusCreated)
		// After a day the key is anybody's.
		p.Clock.Advance(24 * time.Hour)
		op.Token = op.ClientCredentials().OK().Access
		if a := op.Do(http.MethodPost, "/clients", someService, onceBy("k-1")).WantStatus(http.StatusCreated); string(a.Body) == string(first.Body) {
			t.Error("an answer is kept beyond its day")
		}
	})
}

// Every operator's token is issued to one client, and yet nobody gets the answer, with
// its secret, to what another operator asked, nor is kept from a key that another took.
// A client's tokens share its keys: it asks again with a new one.
func TestAttack83OperatorsDoNotShareKeys(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeClientsWrite)
		create := func(token, name string) *providertest.Answer {
			t.Helper()
			op.Token = token
			return op.Do(http.MethodPost, "/clients", map[string]any{"client_name": name, "grant_types": []string{"client_credentials"}}, onceBy("1")).WantStatus(http.StatusCreated)
		}
		mine, yours := operatorToken(t, p, clients.ScopeClientsWrite), operatorToken(t, p, clients.ScopeClientsWrite)
		first := create(mine, "Job")
		if again := create(mine, "Job"); string(again.Body) != string(first.Body) {
			t.Errorf("%s\nagain %s", first, again)
		}
		if other := create(yours, "Job"); other.JSON()["client_id"] == first.JSON()["client_id"] {
			t.Errorf("an operator got another's answer: %s", other)
		}
		create(operatorToken(t, p, clients.ScopeClientsWrite), "Another job")
		service := create(op.ClientCredentials().OK().Access, "Job")
		if again := create(op.ClientCredentials().OK().Access, "Job"); string(again.Body) != string(service.Body) {
			t.Errorf("%s\nwith another token %s", service, again)
		}
	})
}

// operatorToken is a token of the command line with these scopes.
func operatorToken(t *testing.T, p *providertest.P, scopes ...string) string {
	t.Helper()
	made, err := p.OperatorToken(t.Context(), scopes, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return made.Text
}

// Of many at once one is carried out; the others hear that it goes on, or its answer.
func TestAPIRequestsAtOnceAreDoneOnce(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeClientsWrite)
		var requests []*http.Request
		for range 8 {
			requests = append(requests, op.Request(http.MethodPost, "/clients", someService, onceBy("k")))
		}
		ids := map[any]bool{}
		for _, a := range p.AtOnce(requests...) {
			switch a.Status {
			case http.StatusCreated:
				ids[a.JSON()["client_id"]] = true
			case http.StatusConflict:
				if a.Header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", a)
				}
			case http.StatusServiceUnavailable: // a slow disk: whether it was done, the next one is told
			default:
				t.Errorf("%s", a)
			}
		}
		p.Clock.Advance(time.Minute) // whoever was not done by then is not at it any more
		ids[op.Do(http.MethodPost, "/clients", someService, onceBy("k")).WantStatus(http.StatusCreated).JSON()["client_id"]] = true
		all, err := p.Clients.Page(t.Context(), storage.Page{Limit: storage.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) != 1 || len(all.Items) != 2 {
			t.Errorf("%d different answers, %d clients; want 1 and 2", len(ids), len(all.Items))
		}
	})
}

// A server that dies, or a store that fails, in the middle: what was not done is done
// when it is sent again, and what was done is never done twice.
func TestAPIRequestsThatBrokeOffAreNeverDoneTwice(t *testing.T) {
	t.Parallel()
	providertest.Databases(t, func(t *testing.T, database string) {
		p := providertest.Start(t, providertest.On(database))
		op := p.API("ops", clients.ScopeClientsWrite)
		count := func() int {
			all, err := p.Clients.Page(t.Context(), storage.Page{Limit: storage.MaxPage})
			if err != nil {
				t.Fatal(err)
			}
			return len(all.Items)
		}
		rename := func(from, to string) {
			providertest.Meddle(t, database, "ALTER TABLE "+from+" RENAME TO "+to)
		}
		// The change fails: nothing is marked, and the key goes again when nobody can be at it any more.
		rename("events", "hidden")
		op.Do(http.MethodPost, "/clients", someService, onceBy("k")).WantProblem(http.StatusInternalServerError, "")
		rename("hidden", "events")
		op.Do(http.MethodPost, "/clients", someService, onceBy("k")).WantProblem(http.StatusConflict, idempotencyKey)
		p.Clock.Advance(15 * time.Second)
		op.Do(http.MethodPost, "/clients", someService, onceBy("k")).WantStatus(http.StatusCreated)
		// The change is made and its answer is lost, as when the server dies then.
		op.Do(http.MethodPost, "/clients", someService, onceBy("lost")).WantStatus(http.StatusCreated)
		providertest.Meddle(t, database, "UPDATE idempotency_keys SET answer = NULL")
		before := count()
		for range 2 {
			a := op.Do(http.MethodPost, "/clients", someService, onceBy("lost")).WantProblem(http.StatusConflict, idempotencyKey)
			if code := a.JSON()["code"]; code != "idempotency_in_progress" && code != "idempotency_answer_lost" {
				t.Errorf("%s", a)
			}
			p.Clock.Advance(time.Minute)
		}
		if a := op.Do(http.MethodPost, "/clients", someService, onceBy("lost")); a.JSON()["code"] != "idempotency_answer_lost" || count() != before {
			t.Errorf("%s; %d clients, before %d", a, count(), before)
		}
	})
}

// A client hears of its limit with each answer, and when to come back; another's
// limit is its own (draft-ietf-httpapi-ratelimit-headers).
func TestAPITellsOfItsLimits(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op, other := p.API("ops", clients.ScopeClientsRead), p.API("other", clients.ScopeClientsRead)
		for i := range 3 {
			a := op.Do(http.MethodGet, "/clients/ops", nil).WantStatus(http.StatusOK)
			want := fmt.Sprintf(`"client";r=%d;t=%d`, 2-i, 10*(i+1))
			if a.Header.Get("RateLimit") != want || a.Header.Get("RateLimit-Policy") != `"client";q=3;w=30` {
				t.Errorf("request %d: %s, %s; want %s", i, a.Header.Get("RateLimit-Policy"), a.Header.Get("RateLimit"), want)
			}
		}
		a := op.Do(http.MethodGet, "/clients/ops", nil).WantProblem(http.StatusTooManyRequests, "")
		if a.Header.Get("Retry-After") != "10" || a.Header.Get("RateLimit") != `"client";r=0;t=10` {
			t.Errorf("%s: %v", a, a.Header)
		}
		other.Do(http.MethodGet, "/clients/ops", nil).WantStatus(http.StatusOK)
		p.Clock.Advance(10 * time.Second)
		op.Do(http.MethodGet, "/clients/ops", nil).WantStatus(http.StatusOK)
	}, providertest.Configure(func(c *provider.Config) { c.API.Rate = throttle.Limit{Name: "api", Every: 10 * time.Second, Burst: 3} }))
}

// Every operator's token is issued to one client, and yet one operator's script takes
// nothing from another; a client's tokens share its limit.
func TestAPIOperatorsAreCountedApart(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.ScopeClientsRead)
		read := func(with string, status int) {
			t.Helper()
			op.Token = with
			op.Do(http.MethodGet, "/clients/ops", nil).WantStatus(status)
		}
		mine, yours, shared := operatorToken(t, p, clients.ScopeClientsRead), operatorToken(t, p, clients.ScopeClientsRead), op.Token
		another := op.ClientCredentials().OK().Access
		for range 3 {
			read(mine, http.StatusOK)
			read(shared, http.StatusOK)
		}
		read(mine, http.StatusTooManyRequests)
		read(yours, http.StatusOK)
		read(another, http.StatusTooManyRequests)
	}, providertest.Configure(func(c *provider.Config) { c.API.Rate = throttle.Limit{Name: "api", Every: 10 * time.Second, Burst: 3} }))
}

// Who did it is told: the client whose token it was, and which of its tokens.
func TestAPIChangesAreTheirClients(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		op := p.API("ops", clients.APIScopes()...)
		names := apiHouse(t, p)
		names["user_id"] = string(p.Person("bob").ID) // who is in no group yet
		for _, o := range apiOperations(t, p) {
			if o.Method == http.MethodGet || o.Method == http.MethodDelete {
				continue
			}
			if o.ID == "liftFactor" {
				names["factor_id"] = stoppedApp(t, p, "bob")
			}
			p.Clock.Advance(5 * time.Second)
			op.Token = op.ClientCredentials().OK().Access // the key of the one before may be revoked
			token := must(p.Engine.Verify(t.Context(), op.Token)).ID
			before := len(eventRows(t, p))
			if a := p.Send(o.request(t, p, names, op.Token)); a.Status >= 300 && !strings.Contains(o.ID, "Client") {
				t.Errorf("%s: %s", o.ID, a)
			} else if a.Status >= 300 {
				continue // the example names a resource that is not there
			}
			rows := eventRows(t, p)
			if len(rows) == before && o.ID != "enableClient" {
				t.Errorf("%s is told by no event", o.ID)
			}
			for _, e := range rows[:len(rows)-before] {
				if e.Actor != string(events.ActorClient) || e.ActorID != "ops" || e.RequestID == "" || !strings.Contains(string(e.Document.V), token) {
					t.Errorf("%s: %s by %s %q, %s", o.ID, e.Kind, e.Actor, e.ActorID, e.Document.V)
				}
			}
		}
	})
}

// eventRows are all events, newest first.
func eventRows(t *testing.T, p *providertest.P) []storage.Event {
	t.Helper()
	rows, err := p.Store.Events(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
