package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorstep-id/doorstep/storage"
)

// The algorithms that tokens are signed with (RFC 7518 section 3.1, RFC 8037
// section 3.1). There is no other, and none of them is symmetric.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA" // Ed25519
	RS256 = "RS256"
	PS256 = "PS256" // signed with the key of RS256
)

// rsaBits is the length of RSA keys: the least that RFC 7518 section 3.3 allows,
// as each bit more is paid for at every ID token.
const rsaBits = 2048

// keyAlg returns the algorithm under which the key for alg is kept, "" if alg is
// not one of ours.
func keyAlg(alg string) string {
	switch alg {
	case ES256, EdDSA, RS256:
		return alg
	case PS256:
		return RS256
	}
	return ""
}

// generate returns a fresh private key; RSA takes a fraction of a second.
func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("keys: no key can be made for the algorithm %q", alg)
}

// sign returns the signature of RFC 7515 section 5.1 in the form of its algorithm.
func sign(key crypto.Signer, alg string, input []byte) ([]byte, error) {
	switch private := key.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, fmt.Errorf("keys: sign: %w", err)
		}
		signature := make([]byte, 64) // R || S (RFC 7518 section 3.4)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	case *rsa.PrivateKey:
		digest := sha256.Sum256(input)
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == PS256 {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256} // RFC 7518 section 3.5
		}
		signature, err := private.Sign(rand.Reader, digest[:], opts)
		if err != nil {
			return nil, fmt.Errorf("keys: sign: %w", err)
		}
		return signature, nil
	}
	return nil, errors.New("keys: sign: a key of a kind that we do not make")
}

// newKey returns a fresh key as the store will keep it, without its times.
func (s *Service) newKey(alg, kid string) (*storage.Key, error) {
	private, err := generate(alg)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("keys: encode: %w", err)
	}
	sealed, err := s.Seal(purposeKey, kid, der)
	if err != nil {
		return nil, err
	}
	public, err := encodePublic(private.Public(), alg, kid)
	if err != nil {
		return nil, err
	}
	return &storage.Key{KID: kid, Alg: alg, Public: storage.Document(storage.Raw(public)), Sealed: sealed}, nil
}

// encodePublic returns the public JWK (RFC 7517 section 4).
func encodePublic(public crypto.PublicKey, alg, kid string) ([]byte, error) {
	jwk := jose.JSONWebKey{Key: public, KeyID: kid, Use: "sig"}
	if alg != RS256 {
		jwk.Algorithm = alg
	}
	out, err := json.Marshal(jwk)
	if err != nil {
		return nil, fmt.Errorf("keys: encode: %w", err)
	}
	return out, nil
}

// openKey parses a stored key. That the published half is the sealed one's is
// checked, so that nobody who can only write to the database can plant a key.
func (s *Service) openKey(row *storage.Key) (*key, error) {
	der, err := s.Open(purposeKey, row.KID, row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", row.KID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("keys: key %s: %w", row.KID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys: key %s cannot sign", row.KID)
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(row.Public.V, &jwk); err != nil {
		return nil, fmt.Errorf("keys: key %s: public half: %w", row.KID, err)
	}
	public, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(jwk.Key) || jwk.KeyID != row.KID {
		return nil, fmt.Errorf("keys: key %s: its public half in the database is not its own", row.KID)
	}
	encoded, err := encodePublic(jwk.Key, row.Alg, row.KID)
	if err != nil {
		return nil, err
	}
	return &key{kid: row.KID, alg: row.Alg, private: private, public: jwk.Key, jwk: encoded}, nil
}
