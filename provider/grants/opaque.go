package grants

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// An opaque access token is opaquePrefix, by which secret scanners find one that
// got away, and 256 random bits in base64url.
const (
	opaquePrefix = "dsa_"
	opaqueSize   = 32
)

var opaqueLen = len(opaquePrefix) + base64.RawURLEncoding.EncodedLen(opaqueSize)

// NewOpaque returns an opaque access token and what its row keeps of it.
func NewOpaque() (text string, hash []byte) {
	var b [opaqueSize]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	text = opaquePrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return text, hashOf(text)
}

// OpaqueHash returns what the row of an opaque access token keeps of it: SHA-256
// of its text, which has 256 bits that nobody can guess. False: a text of another
// form, of which no row is.
func OpaqueHash(text string) ([]byte, bool) {
	if len(text) != opaqueLen || !strings.HasPrefix(text, opaquePrefix) {
		return nil, false
	}
	return hashOf(text), true
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
