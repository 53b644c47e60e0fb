package clients

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"github.com/doorstep-id/doorstep/storage"
)

// secretPrefix lets scanners find a secret that was published by mistake.
const secretPrefix = "dsk_"

// newSecret returns a client secret and what is kept of it. Of 256 random bits
// SHA-256 is enough: there is nothing to guess, so nothing to slow down.
func newSecret(now storage.Time) (secret string, kept storage.ClientSecret) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, crypto/rand
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(secret))
	return secret, storage.ClientSecret{SHA256: sum[:], CreatedAt: now.Unix()}
}

// Authenticate reports whether secret is one of the client's living ones, in
// time that depends on their number only. A public client has none, nor has one
// that signs, and no secret at all is never right.
func (s *Service) Authenticate(c *storage.Client, secret string) bool {
	var buf [64]byte // a secret of ours fits, and so costs no allocation
	sum := sha256.Sum256(append(buf[:0], secret...))
	now := s.now().Unix()
	right := 0
	for i := range c.Secrets.V {
		if kept := &c.Secrets.V[i]; kept.ExpiresAt == 0 || kept.ExpiresAt > now {
			right |= subtle.ConstantTimeCompare(sum[:], kept.SHA256)
		}
	}
	return right == 1 && secret != "" && hasSecret(c.Metadata.V.TokenEndpointAuthMethod)
}
