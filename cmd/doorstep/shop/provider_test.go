package shop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	clientID     = "forecourt"
	clientSecret = "s3cret +/ with signs"
	apiScope     = "cars:reserve"
	subject      = "p-4711"
)

// fakeProvider is a small OpenID Connect provider that asks nobody anything: it signs
// everyone in at once, and checks what a client must send.
type fakeProvider struct {
	*httptest.Server
	t   *testing.T
	key jose.JSONWebKey

	mu        sync.Mutex
	now       time.Time
	down      bool
	authorize url.Values // the last authorization request
	ended     url.Values // the last logout request
	code      string
	refresh   string            // the one refresh token that is good
	refreshes int               // grants of it so far
	answer    map[string]string // overrides of the authorization response; "" removes
	claims    map[string]any    // overrides of the ID token
	spoiled   int               // so many API tokens to come are for another audience
	anonymous bool              // userinfo fails
	noLogout  bool              // there is no end_session_endpoint
	silentIss bool              // metadata does not promise iss
}

func newFakeProvider(t *testing.T) *fakeProvider {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &fakeProvider{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		key: jose.JSONWebKey{Key: private, KeyID: "k1", Algorithm: "ES256", Use: "sig"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.metadata)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		p.json(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}})
	})
	mux.HandleFunc("GET /authorize", p.serveAuthorize)
	mux.HandleFunc("POST /token", p.serveToken)
	mux.HandleFunc("GET /userinfo", p.serveUserInfo)
	mux.HandleFunc("GET /end_session", func(w http.ResponseWriter, r *http.Request) {
		p.ended = r.URL.Query()
		back := p.ended.Get("post_logout_redirect_uri") + "?" + url.Values{"state": {p.ended.Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusSeeOther)
	})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *fakeProvider) set(change func()) { p.mu.Lock(); defer p.mu.Unlock(); change() }

func (p *fakeProvider) clock() time.Time { p.mu.Lock(); defer p.mu.Unlock(); return p.now }

func (p *fakeProvider) json(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		p.t.Error(err)
	}
}

func (p *fakeProvider) metadata(w http.ResponseWriter, _ *http.Request) {
	body := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"userinfo_endpoint": p.URL + "/userinfo", "jwks_uri": p.URL + "/jwks",
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"authorization_response_iss_parameter_supported": !p.silentIss,
	}
	if !p.noLogout {
		body["end_session_endpoint"] = p.URL + "/end_session"
	}
	p.json(w, 200, body)
}

func (p *fakeProvider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	p.authorize = r.URL.Query()
	p.code = rand.Text()
	answer := url.Values{"code": {p.code}, "state": {p.authorize.Get("state")}, "iss": {p.URL}}
	for name, value := range p.answer {
		if answer.Set(name, value); value == "" {
			answer.Del(name)
		}
	}
	http.Redirect(w, r, p.authorize.Get("redirect_uri")+"?"+answer.Encode(), http.StatusSeeOther)
}

func (p *fakeProvider) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth() // RFC 6749 section 2.3.1: form-encoded first
	if id != url.QueryEscape(clientID) || secret != url.QueryEscape(clientSecret) {
		p.json(w, 401, map[string]string{"error": "invalid_client"})
		return
	}
	if err := r.ParseForm(); err != nil {
		p.t.Error(err)
	}
	resource := r.PostForm["resource"]
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if r.PostFormValue("code") != p.code || p.code == "" ||
			base64.RawURLEncoding.EncodeToString(challenge[:]) != p.authorize.Get("code_challenge") ||
			r.PostFormValue("redirect_uri") != p.authorize.Get("redirect_uri") || !slices.Equal(resource, []string{p.URL}) {
			p.json(w, 400, map[string]string{"error": "invalid_grant"})
			return
		}
		p.code = ""
	case "refresh_token":
		if r.PostFormValue("refresh_token") != p.refresh || p.refresh == "" {
			p.json(w, 400, map[string]string{"error": "invalid_grant"})
			return
		}
		p.refreshes++
	default:
		p.json(w, 400, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	p.refresh = rand.Text()
	audience, scope := resource[0], apiScope
	if audience == p.URL {
		scope = "openid profile email"
	} else if p.spoiled > 0 {
		p.spoiled--
		audience = "https://elsewhere.example"
	}
	body := map[string]any{
		"token_type": "Bearer", "expires_in": 600, "refresh_token": p.refresh, "access_token": p.accessToken(audience, scope),
	}
	if r.PostFormValue("grant_type") == "authorization_code" {
		body["id_token"] = p.idToken()
	}
	p.json(w, 200, body)
}

func (p *fakeProvider) idToken() string {
	claims := map[string]any{
		"iss": p.URL, "aud": clientID, "sub": subject, "nonce": p.authorize.Get("nonce"),
		"iat": p.now.Unix(), "exp": p.now.Add(10 * time.Minute).Unix(),
		"acr": "aal2", "amr": []string{"pwd", "otp"}, "auth_time": p.now.Add(-3 * time.Minute).Unix(),
	}
	maps.Copy(claims, p.claims)
	return p.sign("JWT", claims)
}

func (p *fakeProvider) accessToken(audience, scope string) string {
	return p.sign("at+jwt", map[string]any{
		"iss": p.URL, "aud": audience, "sub": subject, "client_id": clientID, "scope": scope, "jti": rand.Text(),
		"iat": p.now.Unix(), "exp": p.now.Add(10 * time.Minute).Unix(), "acr": "aal2", "amr": []string{"pwd", "otp"},
	})
}

func (p *fakeProvider) sign(typ jose.ContentType, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		p.t.Error(err)
		return ""
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		p.t.Error(err)
	}
	return token
}

func (p *fakeProvider) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	var claims jwt.Claims
	parsed, err := jwt.ParseSigned(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.ES256})
	if err == nil {
		err = parsed.Claims(p.key.Public(), &claims)
	}
	if err != nil || !claims.Audience.Contains(p.URL) || p.anonymous {
		p.json(w, 401, map[string]string{"error": "invalid_token"})
		return
	}
	p.json(w, 200, map[string]any{"sub": subject, "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": true})
}
