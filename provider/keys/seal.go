package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
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

// What is sealed is format || KEK id || wrapped data key || ciphertext, where
// both boxes are AES-256-GCM with a random nonce in front.
const (
	sealFormat  = 1
	kekIDSize   = 8
	gcmOverhead = 12 + 16 // nonce and tag
	wrappedSize = kekSize + gcmOverhead
	sealHeader  = 1 + kekIDSize
)

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
	out = s.keks().current.wrap(out, dataKey, aad)
	return data.Seal(out, nil, plain, aad), nil //nolint:gosec // the AEAD draws its nonces itself
}

// Open returns what Seal was given for the same purpose and id; ErrWrongKEK if
// it was sealed under a KEK that is not given here, else ErrSealed.
func (s *Service) Open(purpose, id string, sealed []byte) ([]byte, error) {
	aad := label(purpose, id)
	dataKey, err := s.unwrap(sealed, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, purpose)
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

// unwrap returns the data key of what is sealed.
func (s *Service) unwrap(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < sealHeader+wrappedSize+gcmOverhead || sealed[0] != sealFormat {
		return nil, fmt.Errorf("%w: it is not in the format that this version writes", ErrSealed)
	}
	kek, err := s.kekOf([kekIDSize]byte(sealed[1:sealHeader]))
	if err != nil {
		return nil, err
	}
	dataKey, err := kek.aead.Open(nil, nil, sealed[sealHeader:sealHeader+wrappedSize], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return dataKey, nil
}

// SealUnder encrypts plain with a key that the caller derived (see [Service.Derive]),
// for one purpose and id. Whoever seals much of the same kind derives a key for each
// id: a key is not for more than 2^32 boxes.
func SealUnder(key [32]byte, purpose, id string, plain []byte) ([]byte, error) {
	aead, err := newAEAD(key[:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, label(purpose, id)), nil //nolint:gosec // the AEAD draws its nonces itself
}

// OpenUnder returns what SealUnder was given for the same key, purpose and id, else
// ErrSealed.
func OpenUnder(key [32]byte, purpose, id string, sealed []byte) ([]byte, error) {
	aead, err := newAEAD(key[:])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, label(purpose, id))
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
