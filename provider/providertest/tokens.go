package providertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/provider/web"
)

// Introspection is what a client is told about a token (RFC 7662 section 2.2).
type Introspection struct{ *Answer }

// Introspect asks what a token is worth, as this client.
func (rp *RP) Introspect(token string, params ...Param) *Introspection {
	rp.t.Helper()
	return &Introspection{rp.p.In(rp.t).do(rp.IntrospectRequest(token, params...))}
}

// IntrospectRequest is the request that Introspect sends.
func (rp *RP) IntrospectRequest(token string, params ...Param) *http.Request {
	rp.t.Helper()
	return rp.formRequest(web.PathIntrospect, url.Values{"token": {token}}, params...)
}

// Revoke ends a token, as this client (RFC 7009 section 2.1).
func (rp *RP) Revoke(token string, params ...Param) *Answer {
	rp.t.Helper()
	return rp.p.In(rp.t).do(rp.RevokeRequest(token, params...))
}

// RevokeRequest is the request that Revoke sends.
func (rp *RP) RevokeRequest(token string, params ...Param) *http.Request {
	rp.t.Helper()
	return rp.formRequest(web.PathRevoke, url.Values{"token": {token}}, params...)
}

// Introspect asks what a token is worth, as the client that it was issued to,
// which the test must have made, and not a public one: that is told nothing.
func (p *P) Introspect(token string) *Introspection {
	p.t.Helper()
	return p.owner(token).In(p.t).Introspect(token)
}

// Revoke ends a token, as the client that it was issued to.
func (p *P) Revoke(token string) *Answer {
	p.t.Helper()
	return p.owner(token).In(p.t).Revoke(token)
}

// owner is the client of this test that a token was issued to.
func (p *P) owner(token string) *RP {
	p.t.Helper()
	id := ""
	if refresh, err := p.Grants.Decode(token); err == nil {
		state, err := p.Store.GrantByID(p.t.Context(), refresh.Grant)
		if err != nil {
			p.t.Fatal(err)
		}
		id = state.Grant.ClientID
	} else if hash, ok := grants.OpaqueHash(token); ok {
		row, err := p.Store.AccessToken(p.t.Context(), hash)
		if err != nil {
			p.t.Fatal(err)
		}
		id = row.ClientID
	} else if parts := strings.Split(token, "."); len(parts) == 3 {
		var claims struct {
			ClientID string `json:"client_id"`
		}
		if payload, err := rawURL.DecodeString(parts[1]); err != nil || json.Unmarshal(payload, &claims) != nil {
			p.t.Fatalf("no access token: %s", token)
		}
		id = claims.ClientID
	}
	rp := p.clients.named(id)
	if rp == nil {
		p.t.Fatalf("no client of this test is known to have got the token %s: ask with RP.Introspect or RP.Revoke", token)
	}
	return rp
}

// WantActive returns what the answer says of a token that is good.
func (i *Introspection) WantActive() map[string]any {
	i.t.Helper()
	members := i.members()
	if members["active"] != true {
		i.t.Fatalf("%s, want an active token", i)
	}
	return members
}

// WantInactive fails the test unless the answer says that the token is not active,
// and nothing else (RFC 7662 section 2.2).
func (i *Introspection) WantInactive() {
	i.t.Helper()
	if members := i.members(); !maps.Equal(members, map[string]any{"active": false}) {
		i.t.Fatalf("%s, want that it is not active and nothing else", i)
	}
}

func (i *Introspection) members() map[string]any {
	i.t.Helper()
	i.WantStatus(http.StatusOK)
	if got := i.Header.Get("Cache-Control"); got != "no-store" {
		i.t.Errorf("%s: Cache-Control %q, want no-store", i, got)
	}
	if got := i.Header.Get("Content-Type"); got != "application/json" {
		i.t.Errorf("%s: Content-Type %q", i, got)
	}
	return i.JSON()
}

// registered are the clients that a test made.
type registered struct {
	mu  sync.Mutex
	all []*RP
}

func (r *registered) add(rp *RP) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, rp)
}

func (r *registered) named(id string) *RP {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.all, func(rp *RP) bool { return rp.ID == id })
	if i < 0 {
		return nil
	}
	return r.all[i]
}
