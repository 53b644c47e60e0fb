package keys

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
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

// wrap appends the header of what is sealed: the key's id and the wrapped data key.
func (k kek) wrap(out, dataKey, aad []byte) []byte {
	out = append(out, sealFormat)
	out = append(out, k.id[:]...)
	return k.aead.Seal(out, nil, dataKey, aad) //nolint:gosec // the AEAD draws its nonces itself
}

// KEKID returns the id of a key-encryption key as it is printed: it says which key
// something was sealed with, and nothing of the key.
func KEKID(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:kekIDSize])
}

// ring is the key-encryption keys at one moment; it is never changed.
type ring struct {
	current kek
	all     map[[kekIDSize]byte]kek // those that open, the current one too
	at      time.Time               // when they were read
}

func newRing(current []byte, accepted [][]byte, at time.Time) (*ring, error) {
	r := &ring{all: map[[kekIDSize]byte]kek{}, at: at}
	for _, secret := range append([][]byte{current}, accepted...) {
		k, err := newKEK(secret)
		if err != nil {
			return nil, err
		}
		if len(r.all) == 0 {
			r.current = k
		}
		r.all[k.id] = k
	}
	return r, nil
}

// keks returns the key-encryption keys, read anew if those in memory are older than
// maxAge: what is sealed with one that was replaced would outlive it.
func (s *Service) keks() *ring {
	r := s.ring.Load()
	if s.cfg.RereadKEKs == nil || s.now().Sub(r.at).Abs() < maxAge {
		return r
	}
	s.RereadKEKs()
	return s.ring.Load()
}

// RereadKEKs reads the key-encryption keys anew, if [Config.RereadKEKs] can; if it
// fails, those that are known serve on.
func (s *Service) RereadKEKs() {
	if s.cfg.RereadKEKs == nil {
		return
	}
	s.rereading.Lock()
	defer s.rereading.Unlock()
	later := *s.ring.Load()
	later.at = s.now()
	if current, accepted, err := s.cfg.RereadKEKs(); err == nil {
		if fresh, err := newRing(current, accepted, later.at); err == nil {
			later = *fresh
		}
	}
	s.ring.Store(&later)
}

// kekOf returns the key-encryption key of that id, or ErrWrongKEK.
func (s *Service) kekOf(id [kekIDSize]byte) (kek, error) {
	k, ok := s.keks().all[id]
	if !ok {
		s.RereadKEKs() // it may have come this moment
		k, ok = s.ring.Load().all[id]
	}
	if !ok {
		return kek{}, fmt.Errorf("%w: the one given has the id %x, this was sealed with %x. Give the key that it was made with"+
			" (keys.kek, keys.kek_accepted, or a file that keys.kek_file or keys.kek_accepted_file names); without it, what is sealed is lost",
			ErrWrongKEK, s.ring.Load().current.id, id)
	}
	return k, nil
}
