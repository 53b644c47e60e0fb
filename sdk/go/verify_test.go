package doorstep_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	doorstep "github.com/doorstep-id/doorstep/sdk/go"
)

// RFC 9068 section 2.2.
func TestVerifyReadsEveryClaim(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key := newKey("k1")
	i.publish(key)
	got, err := i.verifier().Verify(t.Context(), i.token(key, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != i.URL || got.Subject != "p-4711" || got.ClientID != "forecourt" || got.ID != "t-1" ||
		got.GrantID != "g-1" || got.ACR != "aal2" || !slices.Equal(got.AMR, []string{"pwd", "otp"}) ||
		!slices.Equal(got.Audience, []string{audience}) || !slices.Equal(got.Scope, []string{"cars:read", "cars:reserve"}) ||
		!got.Expiry.Equal(i.now.Add(10*time.Minute)) || !got.AuthTime.Equal(i.now.Add(-time.Minute)) ||
		got.Raw["client_id"] != "forecourt" {
		t.Errorf("claims: %+v", got)
	}
}

func TestEveryListedAlgorithmIsAccepted(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := []jose.JSONWebKey{
		newKey("ES256"),
		{Key: edKey, KeyID: "EdDSA", Algorithm: "EdDSA"},
		{Key: rsaKey, KeyID: "PS256", Algorithm: "PS256"},
		{Key: rsaKey, KeyID: "RS256", Algorithm: "RS256"},
	}
	for _, key := range keys {
		i.publish(key)
	}
	v := i.verifier()
	for _, key := range keys {
		if _, err := v.Verify(t.Context(), i.token(key, nil)); err != nil {
			t.Errorf("%s: %v", key.Algorithm, err)
		}
	}
}

// RFC 8725 section 3, RFC 9068 section 4, RFC 7515 section 4.1.11.
func TestVerifyRefuses(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key, thief := newKey("k1"), newKey("k1")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	asRS, asPS := jose.JSONWebKey{Key: rsaKey, KeyID: "rsa", Algorithm: "RS256"}, jose.JSONWebKey{Key: rsaKey, KeyID: "rsa", Algorithm: "PS256"}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	twice1, twice2 := newKey("twice"), newKey("twice")
	forEncryption := newKey("enc")
	published := forEncryption
	published.Use = "enc"
	short := jose.JSONWebKey{Key: weak, KeyID: "weak", Algorithm: "RS256"}
	curve := jose.JSONWebKey{Key: p384, KeyID: "p384", Algorithm: "ES384"}
	for _, k := range []jose.JSONWebKey{key, asRS, twice1, twice2, published, short, curve} {
		i.publish(k)
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	// The public key as an HMAC secret: what an algorithm confusion would try.
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	confused := jose.JSONWebKey{Key: secret, KeyID: "rsa", Algorithm: "HS256"}
	header := func(more map[string]any) map[string]any {
		h := map[string]any{"typ": "at+jwt"}
		for k, v := range more {
			h[k] = v
		}
		return h
	}
	good := i.token(key, nil)
	at := func(d time.Duration) int64 { return i.now.Add(d).Unix() }

	for name, c := range map[string]struct{ token, want string }{
		"empty":                        {"", "not a JWT"},
		"opaque":                       {"2YotnFZFEjr1zCsicMWpAA", "not a JWT"},
		"none":                         {unsigned(t, "none", i.claims(nil)), "accepted algorithm"},
		"None":                         {unsigned(t, "None", i.claims(nil)), "accepted algorithm"},
		"no signature":                 {good[:strings.LastIndexByte(good, '.')+1], "malformed"},
		"HS256 with the public key":    {i.token(confused, nil), "accepted algorithm"},
		"ES384":                        {i.token(curve, nil), "accepted algorithm"},
		"PS256 by an RS256 key":        {i.token(asPS, nil), "algorithm is not its key's"},
		"a stranger's key, same kid":   {i.token(thief, nil), "signature"},
		"unknown kid":                  {i.token(newKey("k9"), nil), "not one of the provider's"},
		"no kid":                       {i.token(newKey(""), nil), "names no key"},
		"a kid of two keys, first":     {i.token(twice1, nil), "not one of the provider's"},
		"a kid of two keys, second":    {i.token(twice2, nil), "not one of the provider's"},
		"a key for encryption":         {i.token(forEncryption, nil), "not one of the provider's"},
		"a weak key":                   {i.token(short, nil), "not one of the provider's"},
		"embedded jwk of a stranger":   {sign(thief, header(map[string]any{"jwk": thief.Public()}), i.claims(nil)), "signature"},
		"jku of a stranger":            {sign(thief, header(map[string]any{"jku": "https://evil.example/jwks"}), i.claims(nil)), "signature"},
		"typ JWT, as an ID token":      {sign(key, map[string]any{"typ": "JWT"}, i.claims(nil)), "not an access token"},
		"no typ":                       {sign(key, nil, i.claims(nil)), "not an access token"},
		"typ logout+jwt":               {sign(key, map[string]any{"typ": "logout+jwt"}, i.claims(nil)), "not an access token"},
		"unknown crit":                 {sign(key, header(map[string]any{"crit": []string{"exp"}, "exp": 1}), i.claims(nil)), "critical"},
		"crit b64":                     {sign(key, header(map[string]any{"crit": []string{"b64"}, "b64": true}), i.claims(nil)), "critical"},
		"empty crit":                   {sign(key, header(map[string]any{"crit": []string{}}), i.claims(nil)), "critical"},
		"another issuer":               {i.token(key, map[string]any{"iss": "https://evil.example"}), "another issuer"},
		"issuer with a slash":          {i.token(key, map[string]any{"iss": i.URL + "/"}), "another issuer"},
		"no issuer":                    {i.token(key, map[string]any{"iss": nil}), "another issuer"},
		"another audience":             {i.token(key, map[string]any{"aud": i.URL}), "another audience"},
		"audience with a slash":        {i.token(key, map[string]any{"aud": audience + "/"}), "another audience"},
		"audience as a prefix":         {i.token(key, map[string]any{"aud": audience[:len(audience)-1]}), "another audience"},
		"no audience":                  {i.token(key, map[string]any{"aud": nil}), "another audience"},
		"expired":                      {i.token(key, map[string]any{"exp": at(-31 * time.Second)}), "expired"},
		"nbf ahead":                    {i.token(key, map[string]any{"nbf": at(31 * time.Second)}), "not valid yet"},
		"iat ahead":                    {i.token(key, map[string]any{"iat": at(31 * time.Second)}), "not valid yet"},
		"no exp":                       {i.token(key, map[string]any{"exp": nil}), "lacks"},
		"no iat":                       {i.token(key, map[string]any{"iat": nil}), "lacks"},
		"no sub":                       {i.token(key, map[string]any{"sub": nil}), "lacks"},
		"no jti":                       {i.token(key, map[string]any{"jti": nil}), "lacks"},
		"no client_id":                 {i.token(key, map[string]any{"client_id": nil}), "lacks"},
		"exp as text":                  {i.token(key, map[string]any{"exp": "tomorrow"}), "malformed"},
		"scope as a list":              {i.token(key, map[string]any{"scope": []string{"cars:read"}}), "malformed"},
		"bound to a key":               {i.token(key, map[string]any{"cnf": map[string]string{"jkt": "x"}}), "bound to a key"},
		"iss twice":                    {sign(key, header(nil), json.RawMessage(twiceIssuer(t, i))), "malformed"},
		"longer than anybody's":        {strings.Repeat("a", 17<<10), "too long"},
		"JSON serialization of a good": {jsonSerialization(t, good), "not a JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := i.verifier().Verify(t.Context(), c.token)
			if claims != nil || !errors.Is(err, doorstep.ErrInvalidToken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an invalid token: %s", claims, err, c.want)
			}
		})
	}
	if _, err := i.verifier().Verify(t.Context(), good); err != nil {
		t.Errorf("the good token is refused too: %v", err)
	}
}

func TestVerifyAcceptsWhatTheSpecsLeaveFree(t *testing.T) {
	i := newIssuer()
	defer i.Close()
	key, stranger := newKey("k1"), newKey("k1")
	i.publish(key)
	at := func(d time.Duration) int64 { return i.now.Add(d).Unix() }
	for name, token := range map[string]string{
		"typ with its prefix":              sign(key, map[string]any{"typ": "application/at+jwt"}, i.claims(nil)),
		"typ in capitals":                  sign(key, map[string]any{"typ": "AT+JWT"}, i.claims(nil)),
		"another's jwk beside our key":     sign(key, map[string]any{"typ": "at+jwt", "jwk": stranger.Public()}, i.claims(nil)),
		"one of several audiences":         i.token(key, map[string]any{"aud": []string{"https://other.example", audience}}),
		"ended within the leeway":          i.token(key, map[string]any{"exp": at(-29 * time.Second)}),
		"begins within the leeway":         i.token(key, map[string]any{"nbf": at(29 * time.Second), "iat": at(29 * time.Second)}),
		"neither scope nor acr nor a gid":  i.token(key, map[string]any{"scope": nil, "acr": nil, "amr": nil, "auth_time": nil, "gid": nil}),
		"a list of grants, by an exchange": i.token(key, map[string]any{"gid": []string{"g-1", "g-2"}}),
	} {
		if _, err := i.verifier().Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unsigned makes a token without a signature, which no signer would.
func unsigned(t *testing.T, alg string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": alg, "typ": "at+jwt", "kid": "k1"}) + "." + part(claims) + "."
}

// twiceIssuer is a payload that names its issuer twice, the good one last.
func twiceIssuer(t *testing.T, i *issuer) []byte {
	t.Helper()
	b, err := json.Marshal(i.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(`{"iss":"https://evil.example",`), b[1:]...)
}

func jsonSerialization(t *testing.T, token string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return jws.FullSerialize()
}
