package providertest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/web"
)

// RP is a relying party: a client and what it remembers of its requests.
type RP struct {
	ID, Secret  string // Secret is "" for a public client, and for one that signs
	RedirectURI string
	Key         *SigningKey // of a client that signs
	Alg         string      // that it signs with

	p    *P
	t    testing.TB
	mu   *sync.Mutex
	kept map[string]string // the verifier of each state that was sent and each code that came back
}

// Client registers a client: a confidential one with client_secret_basic, code,
// refresh and client credentials, all OpenID scopes and an https redirect,
// unless its registration is changed.
func (p *P) Client(id string, change ...func(*clients.Registration)) *RP {
	p.t.Helper()
	return p.ClientBy(events.ActorOperator, id, change...)
}

// ClientBy is Client, registered by somebody else than an operator: what a client
// says of itself is believed less.
func (p *P) ClientBy(by events.Actor, id string, change ...func(*clients.Registration)) *RP {
	p.t.Helper()
	in := clients.Registration{ClientID: id, Name: strings.ToUpper(id[:1]) + id[1:]}
	in.RedirectURIs = []string{"https://" + id + ".example/callback"}
	in.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials"}
	in.Scope = strings.Join(clients.OIDCScopes(), " ")
	for _, c := range change {
		c(&in)
	}
	client, secret, err := p.Clients.Create(p.t.Context(), in, by)
	if err != nil {
		p.t.Fatal(err)
	}
	rp := &RP{ID: client.ID, Secret: secret, p: p, t: p.t, mu: &sync.Mutex{}, kept: map[string]string{}}
	if uris := client.Metadata.V.RedirectURIs; len(uris) > 0 {
		rp.RedirectURI = uris[0]
	}
	p.clients.add(rp)
	return rp
}

// Public makes a client one without a secret.
func Public(r *clients.Registration) {
	r.TokenEndpointAuthMethod = "none"
	r.GrantTypes = []string{"authorization_code", "refresh_token"}
}

// FirstParty makes a client one of the operator's own: it needs no consent.
func FirstParty(r *clients.Registration) { r.FirstParty = true }

// Scope gives a client these scopes beside those of OpenID Connect.
func Scope(scopes ...string) func(*clients.Registration) {
	return func(r *clients.Registration) { r.Scope += " " + strings.Join(scopes, " ") }
}

// In returns the relying party for a subtest.
func (rp *RP) In(t testing.TB) *RP {
	other := *rp
	other.t, other.p = t, rp.p.In(t)
	return &other
}

// began notes the verifier of a request; got, which code came of it.
func (rp *RP) began(state, verifier string) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	rp.kept["state "+state] = verifier
}

func (rp *RP) got(state, code string) {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	rp.kept["code "+code] = rp.kept["state "+state]
}

// Arrived notes an answer to an authorization request that a real browser brought, so
// that its code can be exchanged.
func (rp *RP) Arrived(answer url.Values) { rp.got(answer.Get("state"), answer.Get("code")) }

func (rp *RP) knows(state string) bool {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	_, ok := rp.kept["state "+state]
	return ok
}

func (rp *RP) verifier(code string) string {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	return rp.kept["code "+code]
}

// Exchange sends a code to the token endpoint with the verifier of its request.
func (rp *RP) Exchange(code string, params ...Param) *TokenAnswer {
	rp.t.Helper()
	return rp.token(rp.ExchangeRequest(code, params...))
}

// ExchangeRequest is the request that Exchange sends.
func (rp *RP) ExchangeRequest(code string, params ...Param) *http.Request {
	rp.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rp.RedirectURI}}
	if verifier := rp.verifier(code); verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return rp.TokenRequest(form, params...)
}

// Refresh sends a refresh token to the token endpoint.
func (rp *RP) Refresh(token string, params ...Param) *TokenAnswer {
	rp.t.Helper()
	return rp.token(rp.RefreshRequest(token, params...))
}

// RefreshRequest is the request that Refresh sends.
func (rp *RP) RefreshRequest(token string, params ...Param) *http.Request {
	rp.t.Helper()
	return rp.TokenRequest(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, params...)
}

// ClientCredentials asks for a token of the client's own.
func (rp *RP) ClientCredentials(params ...Param) *TokenAnswer {
	rp.t.Helper()
	return rp.token(rp.TokenRequest(url.Values{"grant_type": {"client_credentials"}}, params...))
}

// TokenRequest is a request to the token endpoint, authenticated by
// client_secret_basic (RFC 6749 section 2.3.1: form-encoded first), by an assertion
// for a client that signs, or by client_id alone for a public client.
func (rp *RP) TokenRequest(form url.Values, params ...Param) *http.Request {
	rp.t.Helper()
	return rp.formRequest(web.PathToken, form, params...)
}

// formRequest is a request to any endpoint at which clients prove who they are.
func (rp *RP) formRequest(path string, form url.Values, params ...Param) *http.Request {
	rp.t.Helper()
	if rp.Secret == "" {
		form.Set("client_id", rp.ID)
	}
	if rp.Key != nil {
		Asserting(rp.Assertion())(form)
	}
	for _, change := range params {
		change(form)
	}
	r, err := http.NewRequestWithContext(rp.t.Context(), http.MethodPost, rp.p.URL(path), strings.NewReader(form.Encode()))
	if err != nil {
		rp.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if rp.Secret != "" {
		r.SetBasicAuth(url.QueryEscape(rp.ID), url.QueryEscape(rp.Secret))
	}
	return r
}

func (rp *RP) token(r *http.Request) *TokenAnswer {
	rp.t.Helper()
	return &TokenAnswer{Answer: rp.p.In(rp.t).do(r)}
}

// TokenAnswer is an answer of the token endpoint.
type TokenAnswer struct{ *Answer }

// Tokens is what a successful answer carries (RFC 6749 section 5.1, OpenID
// Connect Core section 3.1.3.3).
type Tokens struct {
	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"` // seconds
	Refresh   string `json:"refresh_token"`
	ID        string `json:"id_token"`
	Scope     string `json:"scope"`
}

// OK returns the tokens, or fails the test if there are none.
func (a *TokenAnswer) OK() *Tokens {
	a.t.Helper()
	a.WantStatus(http.StatusOK)
	var tokens Tokens
	if err := json.Unmarshal(a.Body, &tokens); err != nil {
		a.t.Fatal(err)
	}
	if tokens.Access == "" || !strings.EqualFold(tokens.Type, "Bearer") {
		a.t.Fatalf("%s, want an access token of type Bearer", a)
	}
	if got := a.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		a.t.Errorf("%s: Cache-Control %q, want no-store", a, got)
	}
	return &tokens
}

// Userinfo asks who an access token is about.
func (p *P) Userinfo(access string) *Answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.URL(web.PathUserinfo), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+access)
	return p.do(r)
}

// Get asks for a path as nobody in particular.
func (p *P) Get(path string) *Answer {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.URL(path), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(r)
}

// AtOnce sends all requests at the same moment and returns their answers in
// that order.
func (p *P) AtOnce(requests ...*http.Request) []*Answer {
	p.t.Helper()
	answers, errs := make([]*Answer, len(requests)), make([]error, len(requests))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() {
			<-start
			answers[i], errs[i] = sent(p.t, p.http, r)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return answers
}

// JWT is a token whose signature is good.
type JWT struct {
	Header map[string]any
	Claims map[string]any
}

// Verify returns what a token says, or fails the test unless a published key
// signed it. It looks at no claim.
func (p *P) Verify(token string) JWT {
	p.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(p.Get(web.PathJWKS).WantStatus(http.StatusOK).Body, &set); err != nil {
		p.t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA, jose.PS256})
	if err != nil {
		p.t.Fatalf("%v in %s", err, token)
	}
	kid := parsed.Signatures[0].Header.KeyID
	i := slices.IndexFunc(set.Keys, func(k jose.JSONWebKey) bool { return k.KeyID == kid })
	if i < 0 {
		p.t.Fatalf("key %q is not published", kid)
	}
	payload, err := parsed.Verify(set.Keys[i])
	if err != nil {
		p.t.Fatal(err)
	}
	var j JWT
	if err := json.Unmarshal(payload, &j.Claims); err != nil {
		p.t.Fatal(err)
	}
	j.Header = headerOf(p.t, token)
	return j
}

// headerOf returns the protected header of a compact token.
func headerOf(t testing.TB, token string) map[string]any {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	decoded, err := rawURL.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(decoded, &header); err != nil {
		t.Fatal(err)
	}
	return header
}
