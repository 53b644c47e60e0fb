package providertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/provider/clients"
)

// SigningKey is a key that a client signs with, whatever it is told to sign.
type SigningKey struct {
	KID     string
	private crypto.Signer
}

// NewSigningKey makes a key for ES256, EdDSA (also named Ed25519), RS256 or PS256.
func NewSigningKey(t testing.TB, alg, kid string) *SigningKey {
	t.Helper()
	k := &SigningKey{KID: kid}
	var err error
	switch alg {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	case "RS256", "PS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no key signs with %s", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// NewSigningKeyOf makes a key of the caller's own kind.
func NewSigningKeyOf(private crypto.Signer, kid string) *SigningKey {
	return &SigningKey{KID: kid, private: private}
}

// JWK is the public key (RFC 7517 section 4).
func (k *SigningKey) JWK(t testing.TB) map[string]any {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: k.private.Public(), KeyID: k.KID})
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	if err := json.Unmarshal(text, &jwk); err != nil {
		t.Fatal(err)
	}
	return jwk
}

// JWKS is a set of public keys (RFC 7517 section 5).
func JWKS(t testing.TB, keys ...*SigningKey) []byte {
	t.Helper()
	set := []map[string]any{}
	for _, k := range keys {
		set = append(set, k.JWK(t))
	}
	text, err := json.Marshal(map[string]any{"keys": set})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Sign makes a compact JWS (RFC 7515 section 7.1) of whatever header and payload,
// by the algorithm that the header names: one of the key's own; "none"; or HS256
// with the public key for its secret, the oldest trick there is (RFC 8725 section 2.1).
func (k *SigningKey) Sign(t testing.TB, header map[string]any, payload []byte) string {
	t.Helper()
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	input := rawURL.EncodeToString(head) + "." + rawURL.EncodeToString(payload)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	switch alg, _ := header["alg"].(string); alg {
	case "none":
	case "HS256":
		public, err := json.Marshal(k.JWK(t))
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	default:
		signature, err = k.signature(alg, []byte(input), digest[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + rawURL.EncodeToString(signature)
}

func (k *SigningKey) signature(alg string, input, digest []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			return nil, err
		}
		size := (private.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size) // R || S (RFC 7518 section 3.4)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out, nil
	case *rsa.PrivateKey:
		if alg == "PS256" {
			return private.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
		}
		return private.Sign(rand.Reader, digest, crypto.SHA256)
	}
	return k.private.Sign(rand.Reader, input, crypto.Hash(0))
}

// Draft is a client assertion before it is signed.
type Draft struct {
	Key    *SigningKey
	Header map[string]any
	Claims map[string]any
}

// Header changes a member of an assertion's header; nil leaves it out.
func Header(name string, value any) func(*Draft) {
	return func(d *Draft) { put(d.Header, name, value) }
}

// Claim changes a claim of an assertion; nil leaves it out.
func Claim(name string, value any) func(*Draft) {
	return func(d *Draft) { put(d.Claims, name, value) }
}

func put(members map[string]any, name string, value any) {
	if value == nil {
		delete(members, name)
		return
	}
	members[name] = value
}

// SigningClient registers a client that proves itself by private_key_jwt with an
// ES256 key, unless its registration is changed.
func (p *P) SigningClient(id string, change ...func(*clients.Registration)) *RP {
	p.t.Helper()
	key := NewSigningKey(p.t, "ES256", "key-of-"+id)
	rp := p.Client(id, append([]func(*clients.Registration){SignedBy(p.t, key)}, change...)...)
	rp.Key, rp.Alg = key, "ES256"
	return rp
}

// SignedBy registers a client for private_key_jwt with these keys.
func SignedBy(t testing.TB, keys ...*SigningKey) func(*clients.Registration) {
	set := JWKS(t, keys...)
	return func(r *clients.Registration) { r.TokenEndpointAuthMethod, r.JWKS = "private_key_jwt", set }
}

// Assertion is a fresh client assertion (RFC 7523 section 3), good unless it is
// changed.
func (rp *RP) Assertion(change ...func(*Draft)) string {
	rp.t.Helper()
	now := rp.p.now().Unix()
	d := &Draft{
		Key:    rp.Key,
		Header: map[string]any{"alg": rp.Alg, "kid": rp.Key.KID},
		Claims: map[string]any{
			"iss": rp.ID, "sub": rp.ID, "aud": rp.p.Issuer, "exp": now + 60, "iat": now, "nbf": now, "jti": rand.Text(),
		},
	}
	maps.DeleteFunc(d.Header, func(_ string, v any) bool { return v == "" })
	for _, c := range change {
		c(d)
	}
	payload, err := json.Marshal(d.Claims)
	if err != nil {
		rp.t.Fatal(err)
	}
	return d.Key.Sign(rp.t, d.Header, payload)
}

// Asserting sends this client assertion.
func Asserting(assertion string) Param {
	return func(form url.Values) {
		form.Set("client_assertion_type", clients.AssertionType)
		form.Set("client_assertion", assertion)
	}
}

// now is the time of the provider.
func (p *P) now() time.Time {
	if p.Clock == nil {
		return time.Now()
	}
	return p.Clock.Now()
}
