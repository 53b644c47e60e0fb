package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The keys of RFC 7515 appendix A.3.1 and RFC 8037 appendix A.2, and the RSA one of
// RFC 7515 appendix A.2.1.
const (
	foreignEC  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	foreignEd  = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	foreignRSA = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`
)

func with(jwk, member string) string { return strings.Replace(jwk, "{", "{"+member+",", 1) }

// RFC 7517 section 4, RFC 7518 section 6: which keys of others count.
func TestForeignKeysThatCount(t *testing.T) {
	for _, tc := range []struct {
		jwk  string
		fits string // every algorithm that it does
	}{
		{foreignEC, "ES256"},
		{with(foreignEC, `"use":"sig"`), "ES256"},
		{with(foreignEC, `"key_ops":["verify"]`), "ES256"},
		{with(foreignEC, `"alg":"ES256","x5u":"::","x5c":["!"],"more":{}`), "ES256"}, // what has no say cannot harm
		{foreignEd, "EdDSA Ed25519"},
		{with(foreignEd, `"alg":"EdDSA"`), "EdDSA Ed25519"}, // RFC 9864 section 2.2: two names of one
		{with(foreignEd, `"alg":"Ed25519"`), "EdDSA Ed25519"},
		{foreignRSA, "PS256 RS256"},
		{with(foreignRSA, `"alg":"PS256"`), "PS256"},
	} {
		k, err := ParseForeignKey([]byte(tc.jwk))
		if err != nil {
			t.Errorf("%s: %v", tc.jwk, err)
			continue
		}
		var fits []string
		for _, alg := range append(ForeignAlgorithms(), "none", "HS256", "ES384", "RS512", "") {
			if k.Fits(alg) {
				fits = append(fits, alg)
			}
		}
		if got := strings.Join(fits, " "); got != tc.fits {
			t.Errorf("%s fits %s, want %s", tc.jwk, got, tc.fits)
		}
	}
	for _, jwk := range []string{with(foreignEC, `"use":"enc"`), with(foreignEC, `"use":"tls"`), with(foreignEC, `"key_ops":["sign"]`), with(foreignEC, `"key_ops":[]`)} {
		if _, err := ParseForeignKey([]byte(jwk)); !errors.Is(err, ErrNotForSignatures) {
			t.Errorf("%s: %v, want ErrNotForSignatures", jwk, err)
		}
	}
}

func TestForeignKeysThatDoNotCount(t *testing.T) {
	jwk := func(key any) string {
		text, err := json.Marshal(jose.JSONWebKey{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long := new(big.Int).Lsh(big.NewInt(1), 9000)
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		_, err := ParseForeignKey([]byte(with(foreignRSA, `"`+member+`":"AQAB"`)))
		if err == nil || !strings.Contains(err.Error(), `"`+member+`"`) {
			t.Errorf("%s: %v, which does not name it", member, err)
		}
	}
	for what, text := range map[string]string{
		"symmetric":           `{"kty":"oct","k":"c2VjcmV0"}`,
		"P-384":               jwk(&p384.PublicKey),
		"secp256k1":           strings.Replace(foreignEC, "P-256", "secp256k1", 1),
		"off the curve":       strings.Replace(foreignEC, "f83", "g83", 1),
		"X25519":              strings.Replace(foreignEd, "Ed25519", "X25519", 1),
		"short RSA":           jwk(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}),
		"one bit less":        jwk(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2046), E: 65537}),
		"endless RSA":         jwk(&rsa.PublicKey{N: long, E: 65537}),
		"exponent 1":          strings.Replace(foreignRSA, "AQAB", "AQ", 1),
		"exponent 2":          strings.Replace(foreignRSA, "AQAB", "Ag", 1),
		"an alg of its own":   with(foreignEC, `"alg":"ES512"`),
		"another kty's alg":   with(foreignEC, `"alg":"RS256"`),
		"HMAC with an EC key": with(foreignEC, `"alg":"HS256"`),
		"none":                with(foreignEC, `"alg":"none"`),
		"no kty":              `{"crv":"P-256"}`,
		"nothing":             `{}`,
		"null":                `null`,
		"a list":              `[]`,
		"use as a list":       with(foreignEC, `"use":["sig"]`),
	} {
		if k, err := ParseForeignKey([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", what, k)
		}
	}
}

// RFC 7515 appendix A: the examples verify, with a bit changed they do not.
func TestForeignExamplesVerify(t *testing.T) {
	const (
		claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
		rs256  = "eyJhbGciOiJSUzI1NiJ9." + claims + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
		es256  = "eyJhbGciOiJFUzI1NiJ9." + claims + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	)
	for _, tc := range []struct{ compact, jwk string }{{rs256, foreignRSA}, {es256, foreignEC}} {
		k, err := ParseForeignKey([]byte(tc.jwk))
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseForeign(tc.compact)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Iss string `json:"iss"`
		}
		if err := errors.Join(f.Verify(k), f.Claims(&claims)); err != nil || claims.Iss != "joe" {
			t.Errorf("%s: %v, %+v", f.Alg, err, claims)
		}
		i := strings.LastIndex(tc.compact, ".") + 3
		changed, err := ParseForeign(tc.compact[:i] + "x" + tc.compact[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		if err := changed.Verify(k); !errors.Is(err, ErrForeign) {
			t.Errorf("%s with another signature: %v", f.Alg, err)
		}
	}
}

// Whatever outsiders send is read in one way or not at all.
func FuzzParseForeign(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	k, err := ParseForeignKey([]byte(foreignEC))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseForeign(text)
		if err != nil {
			if !errors.Is(err, ErrForeign) {
				t.Errorf("%q: %v is not ErrForeign", text, err)
			}
			return
		}
		if token.Verify(k) == nil {
			t.Errorf("%q: nobody signed it", text)
		}
		var claims map[string]any
		if err := token.Claims(&claims); err != nil && !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v is not ErrForeign", text, err)
		}
	})
}
