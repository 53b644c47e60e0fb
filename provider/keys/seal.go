package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// What can be wrong with what is sealed.
var (
	// ErrWrongKEK: the key-encryption key is not the one that the database was
	// sealed with.
	ErrWrongKEK = errors.New("keys: wrong key-encryption key")
	// ErrSealed: what was to be opened was not sealed for this purpose and id, or
	// was changed.
	ErrSealed = errors.New("keys: cannot open what was sealed")
)

// kekSize is the length of a KEK and of every data key, in bytes: AES-256.
const kekSize = 32

// NewKEK returns a fresh key-encryption key: 32 random bytes.
func NewKEK() []byte { return random(kekSize) }

// ParseKEK returns the key-encryption key that text holds: 32 bytes in base64,
// standard or URL-safe, with white space around it.
func ParseKEK(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	secret, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != kekSize || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("keys: the key-encryption key must be 32 bytes in base64, such as `openssl rand -base64 32` prints")
	}
	return secret, nil
}

// What is sealed is format || KEK id || wrapped data key || ciphertext, where
// both boxes are AES-256-GCM with a random nonce in front.
const (
	sealFormat  = 1
	kekIDSize   = 8
	gcmOverhead = 12 + 16 // nonce and tag
	wrappedSize = kekSize + gcmOverhead
	sealHeader  = 1 + kekIDSize
)

// kek is a key-encryption key, ready for use.
type kek struct {
	aead cipher.AEAD
	id   [kekIDSize]byte // first bytes of SHA-256 of the key
}

func newKEK(secret []byte) (kek, error) {
	if len(secret) != kekSize {
		return kek{}, fmt.Errorf("keys: the key-encryption key has %d bytes, it must have %d", len(secret), kekSize)
	}
	aead, err := newAEAD(secret)
	if err != nil {
		return kek{}, err
	}
	sum := sha256.Sum256(secret)
	return kek{aead: aead, id: [kekIDSize]byte(sum[:])}, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keys: AES: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("keys: GCM: %w", err)
	}
	return aead, nil
}

// label is the additional data of both boxes: what is sealed for one purpose and
// id opens for no other. The purpose is a word of ours and holds no NUL.
func label(purpose, id string) []byte { return []byte(purpose + "\x00" + id) }

// Seal encrypts plain for one purpose ("signing-key", ...) and id (a row's key)
// with a data key of its own, wrapped by the KEK.
func (s *Service) Seal(purpose, id string, plain []byte) ([]byte, error) {
	dataKey := random(kekSize)
	data, err := newAEAD(dataKey)
	if err != nil {
		return nil, err
	}
	aad := label(purpose, id)
	out := make([]byte, 0, sealHeader+wrappedSize+len(plain)+gcmOverhead)
	out = append(out, sealFormat)
	out = append(out, s.kek.id[:]...)
	out = s.kek.aead.Seal(out, nil, dataKey, aad) //nolint:gosec // the AEAD draws its nonces itself
	return data.Seal(out, nil, plain, aad), nil   //nolint:gosec // as above
}

// Open returns what Seal was given for the same purpose and id; ErrWrongKEK if
// it was sealed under another KEK, else ErrSealed.
func (s *Service) Open(purpose, id string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeader+wrappedSize+gcmOverhead || sealed[0] != sealFormat {
		return nil, fmt.Errorf("%w: it is not in the format that this version writes", ErrSealed)
	}
	if [kekIDSize]byte(sealed[1:sealHeader]) != s.kek.id {
		return nil, fmt.Errorf("%w: this one has the id %x, the database was sealed with %x. Give the key that it was made with"+
			" (keys.kek, or the file that keys.kek_file names); without it, what is sealed is lost", ErrWrongKEK, s.kek.id, sealed[1:sealHeader])
	}
	aad, wrapped := label(purpose, id), sealed[sealHeader:sealHeader+wrappedSize]
	dataKey, err := s.kek.aead.Open(nil, nil, wrapped, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrSealed, purpose)
	}
	data, err := newAEAD(dataKey)
	if err != nil {
		return nil, err
	}
	plain, err := data.Open(nil, nil, sealed[sealHeader+wrappedSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrSealed, purpose)
	}
	return plain, nil
}

// derive returns the 32-byte key of one purpose: HKDF-SHA256 (RFC 5869) of the
// root secret.
func derive(root []byte, purpose string) (key [32]byte) {
	out, err := hkdf.Key(sha256.New, root, nil, "doorstep "+purpose, len(key))
	if err != nil {
		panic("keys: HKDF: " + err.Error()) // only for lengths beyond 255 hashes
	}
	return [32]byte(out)
}

// random returns n random bytes; crypto/rand never fails.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
