package keys

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

var raw = base64.RawURLEncoding

// forge signs header and payload as they are with the service's own key.
func forge(t *testing.T, s *Service, alg, header, payload string) string {
	t.Helper()
	k, err := s.set.Load().signer(alg, s.now())
	if err != nil {
		t.Fatal(err)
	}
	input := raw.EncodeToString([]byte(header)) + "." + raw.EncodeToString([]byte(payload))
	signature, err := sign(k.private, alg, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + raw.EncodeToString(signature)
}

// Attack case 32, signed with the right key: what the header says must not matter.
func TestForgedHeadersAreRefused(t *testing.T) {
	s := start(t, openStore(t), newClock())
	jwk, _, err := s.JWKS(t.Context()) // has the RSA key made
	if err != nil {
		t.Fatal(err)
	}
	kid := func(alg string) string {
		k, err := s.set.Load().signer(alg, s.now())
		if err != nil {
			t.Fatal(err)
		}
		return k.kid
	}
	es, rs := kid(ES256), kid(RS256)
	const claims = `{"sub":"ada"}`
	good := `{"alg":"ES256","kid":"` + es + `","typ":"at+jwt"}`
	if _, _, err := s.Verify(t.Context(), forge(t, s, ES256, good, claims), "at+jwt", ES256, RS256); err != nil {
		t.Fatalf("the forger does not even write what is right: %v", err)
	}
	for what, tok := range map[string]string{
		"unknown kid":       forge(t, s, ES256, `{"alg":"ES256","kid":"x","typ":"at+jwt"}`, claims),
		"no kid":            forge(t, s, ES256, `{"alg":"ES256","typ":"at+jwt"}`, claims),
		"kid as a path":     forge(t, s, ES256, `{"alg":"ES256","kid":"../`+es+`","typ":"at+jwt"}`, claims),
		"kid as SQL":        forge(t, s, ES256, `{"alg":"ES256","kid":"' OR 1=1 --","typ":"at+jwt"}`, claims),
		"another's kid":     forge(t, s, ES256, `{"alg":"ES256","kid":"`+rs+`","typ":"at+jwt"}`, claims),
		"unknown crit":      forge(t, s, ES256, `{"alg":"ES256","kid":"`+es+`","typ":"at+jwt","crit":["exp"]}`, claims),
		"b64 crit":          forge(t, s, ES256, `{"alg":"ES256","kid":"`+es+`","typ":"at+jwt","b64":false,"crit":["b64"]}`, claims),
		"embedded jwk":      forge(t, s, ES256, `{"alg":"ES256","kid":"`+es+`","typ":"at+jwt","jwk":`+string(jwk[9:len(jwk)-2])+`}`, claims),
		"jku":               forge(t, s, ES256, `{"alg":"ES256","kid":"`+es+`","typ":"at+jwt","jku":"https://evil.example/jwks"}`, claims),
		"x5u":               forge(t, s, ES256, `{"alg":"ES256","kid":"`+es+`","typ":"at+jwt","x5u":"https://evil.example/x"}`, claims),
		"two of one name":   forge(t, s, ES256, `{"alg":"none","alg":"ES256","kid":"`+es+`","typ":"at+jwt"}`, claims),
		"no type":           forge(t, s, ES256, `{"alg":"ES256","kid":"`+es+`"}`, claims),
		"alg in lower case": forge(t, s, ES256, `{"alg":"es256","kid":"`+es+`","typ":"at+jwt"}`, claims),
		"not asked for":     forge(t, s, EdDSA, `{"alg":"EdDSA","kid":"`+kid(EdDSA)+`","typ":"at+jwt"}`, claims),
		"two claims":        forge(t, s, ES256, good, `{"sub":"ada","sub":"eve"}`),
		"two inner claims":  forge(t, s, ES256, good, `{"act":{"sub":"ada","sub":"eve"}}`),
		"no object":         forge(t, s, ES256, good, `["sub"]`),
		"no JSON":           forge(t, s, ES256, good, `sub=ada`),
	} {
		if payload, _, err := s.Verify(t.Context(), tok, "at+jwt", ES256, RS256); !errors.Is(err, ErrToken) || payload != nil {
			t.Errorf("%s: %s, %v, want ErrToken", what, payload, err)
		}
	}
}

// Attack case 32, without the key.
func TestForgedSignaturesAreRefused(t *testing.T) {
	s := start(t, openStore(t), newClock())
	compact, err := s.Sign(t.Context(), ES256, "at+jwt", []byte(`{"sub":"ada"}`))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(compact, ".")
	set, err := s.complete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rsa, err := set.signer(RS256, s.now())
	if err != nil {
		t.Fatal(err)
	}
	hmacHeader := raw.EncodeToString([]byte(`{"alg":"HS256","kid":"` + rsa.kid + `","typ":"at+jwt"}`))
	public, err := x509.MarshalPKIXPublicKey(rsa.public)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(hmacHeader + "." + parts[1]))
	none := func(alg string) string {
		return raw.EncodeToString([]byte(`{"alg":"`+alg+`","typ":"at+jwt"}`)) + "." + parts[1]
	}
	for what, tok := range map[string]string{
		"none":               none("none") + ".",
		"nOnE":               none("nOnE") + ".",
		"none, with a dot":   none("none") + "..",
		"no signature":       parts[0] + "." + parts[1] + ".",
		"two segments":       parts[0] + "." + parts[1],
		"four segments":      compact + "." + parts[2],
		"zero signature":     parts[0] + "." + parts[1] + "." + raw.EncodeToString(make([]byte, 64)),
		"short signature":    parts[0] + "." + parts[1] + "." + parts[2][:84],
		"another payload":    parts[0] + "." + raw.EncodeToString([]byte(`{"sub":"eve"}`)) + "." + parts[2],
		"HMAC by public key": hmacHeader + "." + parts[1] + "." + raw.EncodeToString(mac.Sum(nil)),
		"JSON serialization": `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"empty":              "",
		"dots":               "..",
		"too long":           parts[0] + "." + strings.Repeat("A", 17<<10) + "." + parts[2],
		"a JWE":              "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJwMmMiOjIxNDc0ODM2NDd9.AA.AA.AA.AA",
	} {
		if _, _, err := s.Verify(t.Context(), tok, "at+jwt", ES256, RS256, EdDSA, PS256, "HS256", "none"); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v, want ErrToken", what, err)
		}
	}
}

// Attack case 33: there is one spelling of a token, and no other is accepted.
func TestEveryOtherSpellingIsRefused(t *testing.T) {
	s := start(t, openStore(t), newClock(), ES256)
	compact, err := s.Sign(t.Context(), ES256, "at+jwt", []byte(`{"sub":"ada","n":1}`)) // 19 bytes: two bits left over
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, tok string) {
		t.Helper()
		if _, _, err := s.Verify(t.Context(), tok, "at+jwt", ES256); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v, want ErrToken: %s", what, err, tok)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range compact {
		refused("cut", compact[:i])
		refused("line break", compact[:i]+"\n"+compact[i:])
		if at := strings.IndexByte(alphabet, compact[i]); at >= 0 {
			refused("lowest bit flipped", compact[:i]+string(alphabet[at^1])+compact[i+1:])
		}
	}
	refused("padded", compact+"==")
	refused("line break at the end", compact+"\n")
	refused("space in front", " "+compact)
}

func FuzzVerify(f *testing.F) {
	s := start(f, openStore(f), newClock(), ES256)
	good, err := s.Sign(f.Context(), ES256, "at+jwt", []byte(`{"sub":"ada"}`))
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	others := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve"}`))
	unsigned := base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	for _, seed := range []string{good, parts[0] + "." + others + "." + parts[2], parts[0] + "." + parts[1] + "." + unsigned, good[:len(good)-1], good + "\n", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", `{"payload":""}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tok string) {
		_, _, err := s.Verify(t.Context(), tok, "at+jwt", ES256)
		if err == nil != (tok == good) {
			t.Errorf("%q: %v", tok, err)
		}
	})
}

// Of the parsed library's point of view: the published set has no private part.
func TestPublishedSetIsPublic(t *testing.T) {
	s := start(t, openStore(t), newClock())
	body, _, err := s.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if _, ok := k[secret]; ok {
				t.Errorf("the set has the member %q: %s", secret, body)
			}
		}
		if k["kty"] == nil || k["use"] != "sig" || k["kid"] == nil {
			t.Errorf("kty %v, use %v, kid %v", k["kty"], k["use"], k["kid"])
		}
		thumb := jose.JSONWebKey{}
		one, _ := json.Marshal(k)
		if err := thumb.UnmarshalJSON(one); err != nil {
			t.Errorf("%s: %v", one, err)
		} else if _, err := thumb.Thumbprint(crypto.SHA256); err != nil {
			t.Errorf("%s: %v", one, err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := start(b, openStore(b), newClock())
	payload := []byte(`{"iss":"https://id.example","sub":"p_0123456789","aud":"https://api.example","exp":1,"iat":1,"jti":"0123456789","client_id":"shop","scope":"cars:read"}`)
	for _, alg := range []string{ES256, EdDSA, RS256} {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(b.Context(), alg, "at+jwt", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	s := start(b, openStore(b), newClock(), ES256)
	tok, err := s.Sign(b.Context(), ES256, "at+jwt", []byte(`{"iss":"https://id.example","sub":"p_0123456789","aud":"https://api.example","exp":1}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Verify(b.Context(), tok, "at+jwt", ES256); err != nil {
			b.Fatal(err)
		}
	}
}
