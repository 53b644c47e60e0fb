package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
)

// ErrForeign says that a text is not what somebody else signed with the key that
// it was held against, or not in the one form that we read.
var ErrForeign = errors.New("keys: not signed as it should be")

// ErrNotForSignatures says that a key is for something else than signatures.
var ErrNotForSignatures = errors.New("keys: not a key for signatures")

// Bits of the RSA keys of others: fewer can be broken (RFC 7518 section 3.3), more
// let them choose how long we compute.
const (
	foreignRSALeast = 2048
	foreignRSAMost  = 8192
)

// Ed25519 is the name that RFC 9864 section 2.2 gives to EdDSA with a key of that
// curve. Others sign under either; we sign under the older one, which all of them know.
const Ed25519 = "Ed25519"

// ForeignAlgorithms is what others may sign with. No secret of theirs is known
// here, so none of them is symmetric.
func ForeignAlgorithms() []string { return []string{ES256, EdDSA, Ed25519, PS256, RS256} }

// ForeignKey is a public key that somebody else signs with.
type ForeignKey struct {
	KID    string
	alg    string // the only one that it is for; "" if its owner did not say
	public crypto.PublicKey
}

// privateMembers of a JWK (RFC 7518 sections 6.2.2, 6.3.2, 6.4.1).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// ParseForeignKey reads one JWK (RFC 7517 section 4). Its errors say to its owner
// what is wrong with it; ErrNotForSignatures: nothing is, it is for another use.
func ParseForeignKey(jwk []byte) (*ForeignKey, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(jwk, &members); err != nil {
		return nil, errors.New("is not a JSON object")
	}
	for _, name := range privateMembers {
		if _, there := members[name]; there {
			return nil, fmt.Errorf("has the member %q, which is secret: publish the public key only, and take another one, as this one is known now", name)
		}
	}
	var use struct {
		Use string   `json:"use"`
		Ops []string `json:"key_ops"`
	}
	if err := json.Unmarshal(jwk, &use); err != nil {
		return nil, errors.New("has a member of the wrong type")
	}
	if use.Use != "" && use.Use != "sig" || use.Ops != nil && !slices.Contains(use.Ops, "verify") {
		return nil, ErrNotForSignatures
	}
	// What else is in it (x5c, x5u, ...) has no say.
	kept := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e", "kid", "alg"} {
		if value, there := members[name]; there {
			kept[name] = value
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(text); err != nil || !parsed.Valid() {
		return nil, errors.New("is not a key that is known here: use EC with P-256, OKP with Ed25519, or RSA")
	}
	k := &ForeignKey{KID: parsed.KeyID, alg: parsed.Algorithm, public: parsed.Key}
	return k, k.check()
}

// check says what is wrong with a key.
func (k *ForeignKey) check() error {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return errors.New("is on another curve than P-256")
		}
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < foreignRSALeast || bits > foreignRSAMost {
			return fmt.Errorf("has %d bits: RSA keys have %d to %d", bits, foreignRSALeast, foreignRSAMost)
		}
		if public.E < 3 || public.E%2 == 0 {
			return errors.New("has an exponent that no RSA key has")
		}
	case ed25519.PublicKey:
	default:
		return errors.New("is not a public key: use EC with P-256, OKP with Ed25519, or RSA")
	}
	if k.alg != "" && !slices.ContainsFunc(ForeignAlgorithms(), k.Fits) {
		return fmt.Errorf("has the alg %q, which does not go with its kty or is not supported: use %s", k.alg, strings.Join(ForeignAlgorithms(), ", "))
	}
	return nil
}

// Fits reports whether the key can verify what was signed with alg.
func (k *ForeignKey) Fits(alg string) bool {
	if k.alg != "" && olderName(k.alg) != olderName(alg) {
		return false
	}
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return alg == ES256
	case ed25519.PublicKey:
		return olderName(alg) == EdDSA
	case *rsa.PublicKey:
		return alg == RS256 || alg == PS256
	}
	return false
}

// olderName is the name under which RFC 8037 knows an algorithm.
func olderName(alg string) string {
	if alg == Ed25519 {
		return EdDSA
	}
	return alg
}

// Foreign is a compact JWS from somebody else (RFC 7515 section 7.1). Nothing of it
// is true before [Foreign.Verify] has said so.
type Foreign struct {
	Alg, KID, Type string
	compact        string
	payload        []byte
}

// ParseForeign reads a compact JWS in its one spelling: no line breaks, no stray
// bits, no member twice, nothing critical that we would have to understand.
func ParseForeign(compact string) (*Foreign, error) {
	head, rest, _ := strings.Cut(compact, ".")
	body, signature, found := strings.Cut(rest, ".")
	if !found || len(compact) > maxToken || !canonical(head) || !canonical(body) || !canonical(signature) {
		return nil, fmt.Errorf("%w: not a compact JWS", ErrForeign)
	}
	var header struct {
		Alg  string          `json:"alg"`
		KID  string          `json:"kid"`
		Type string          `json:"typ"`
		Crit json.RawMessage `json:"crit"`
		B64  json.RawMessage `json:"b64"`
	}
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = unmarshalOnce(text, &header)
	}
	if err != nil || header.Crit != nil || header.B64 != nil {
		return nil, fmt.Errorf("%w: header", ErrForeign)
	}
	payload, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: payload", ErrForeign)
	}
	return &Foreign{Alg: header.Alg, KID: header.KID, Type: header.Type, compact: compact, payload: payload}, nil
}

// unmarshalOnce decodes a JSON object, and refuses two members of one name.
func unmarshalOnce(text []byte, into any) error {
	var all map[string]any
	if err := josejson.Unmarshal(text, &all); err != nil {
		return err
	}
	return josejson.Unmarshal(text, into)
}

// Claims decodes the payload, a JSON object without two members of one name, into
// what into points to, whether or not it was verified.
func (f *Foreign) Claims(into any) error {
	if err := unmarshalOnce(f.payload, into); err != nil {
		return fmt.Errorf("%w: claims: %w", ErrForeign, err)
	}
	return nil
}

// Verify returns nil if k signed it, with an algorithm that we allow and k is for.
// Keys that it names itself (jwk, jku, x5c, x5u) have no say.
func (f *Foreign) Verify(k *ForeignKey) error {
	if !slices.Contains(ForeignAlgorithms(), f.Alg) || !k.Fits(f.Alg) {
		return fmt.Errorf("%w: algorithm", ErrForeign)
	}
	if public, ok := k.public.(ed25519.PublicKey); ok { // go-jose knows it by one name alone
		dot := strings.LastIndexByte(f.compact, '.')
		signature, err := base64.RawURLEncoding.DecodeString(f.compact[dot+1:])
		if err != nil || !ed25519.Verify(public, []byte(f.compact[:dot]), signature) {
			return fmt.Errorf("%w: wrong signature", ErrForeign)
		}
		return nil
	}
	parsed, err := jose.ParseSignedCompact(f.compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(f.Alg)})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	payload, err := parsed.Verify(k.public)
	if err != nil || !bytes.Equal(payload, f.payload) {
		return fmt.Errorf("%w: wrong signature", ErrForeign)
	}
	return nil
}
