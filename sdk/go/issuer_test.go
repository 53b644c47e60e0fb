package doorstep_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

const audience = "https://api.example.com"

// issuer is a provider as a service sees it: metadata, keys, and tokens that it signs.
type issuer struct {
	*httptest.Server

	mu           sync.Mutex
	now          time.Time
	keys         []any // as they stand in the key set
	cacheControl string
	down         bool
	metadata     map[string]any
	fetches      int // of the key set
	transports   []*http.Transport
}

func newIssuer() *issuer {
	i := &issuer{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), cacheControl: "public, max-age=3600"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, func() any { return i.metadata })
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, func() any { i.fetches++; return map[string]any{"keys": i.keys} })
	})
	i.Server = httptest.NewServer(mux)
	i.metadata = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"}
	return i
}

func (i *issuer) Close() {
	for _, t := range i.transports {
		t.CloseIdleConnections()
	}
	i.Server.Close()
}

func (i *issuer) answer(w http.ResponseWriter, body func() any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Cache-Control", i.cacheControl)
	_ = json.NewEncoder(w).Encode(body())
}

func (i *issuer) set(change func()) { i.mu.Lock(); defer i.mu.Unlock(); change() }

func (i *issuer) clock() time.Time { i.mu.Lock(); defer i.mu.Unlock(); return i.now }

func (i *issuer) advance(d time.Duration) { i.set(func() { i.now = i.now.Add(d) }) }

// publish adds the public half of a key to the key set.
func (i *issuer) publish(key jose.JSONWebKey) {
	i.set(func() { i.keys = append(i.keys, key.Public()) })
}

func (i *issuer) verifier() *doorstep.Verifier {
	// Every name leads to this server, so that nothing is refused for want of an answer.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, i.Listener.Addr().String())
	}}
	i.transports = append(i.transports, transport)
	v, err := doorstep.New(doorstep.Config{
		Issuer: i.URL, Audience: audience, Transport: transport, Now: i.clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return v
}

// claims are those of a good token, with changes; a nil value removes a claim.
func (i *issuer) claims(changes map[string]any) map[string]any {
	now := i.clock()
	claims := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "p-4711", "client_id": "forecourt", "jti": "t-1", "gid": "g-1",
		"scope": "cars:read cars:reserve", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"acr": "aal2", "amr": []string{"pwd", "otp"}, "auth_time": now.Add(-time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// token is a good token of the key given, with changes to its claims.
func (i *issuer) token(key jose.JSONWebKey, changes map[string]any) string {
	return sign(key, map[string]any{"typ": "at+jwt"}, i.claims(changes))
}

func sign(key jose.JSONWebKey, header map[string]any, claims any) string {
	opts := &jose.SignerOptions{}
	for name, value := range header {
		opts.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, opts)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

func newKey(kid string) jose.JSONWebKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}
