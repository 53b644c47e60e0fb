package proof

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is how dear one hash is (RFC 9106 section 3.1).
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// The most that a stored hash may ask for, which may come from another system, and
// so the most that new ones may be set to cost.
const (
	MaxMemory = 128 << 10 // KiB a hash
	MaxTime   = 16        // passes
)

const (
	maxThreads = 16
	saltBytes  = 16
	keyBytes   = 32
	maxBytes   = 64 // of a foreign salt or hash
)

// within reports whether c can be computed here; argon2 needs 8 KiB a thread.
func (c cost) within() bool {
	return c.time >= 1 && c.time <= MaxTime && c.threads >= 1 && c.threads <= maxThreads &&
		c.memory >= 8*uint32(c.threads) && c.memory <= MaxMemory
}

// phc is a hash in the PHC string format: $argon2id$v=19$m=..,t=..,p=..$salt$hash
type phc struct {
	cost
	salt, key []byte
}

var errHash = errors.New("proof: not an argon2id hash that can be checked here")

var b64 = base64.RawStdEncoding.Strict()

func parsePHC(s string) (phc, error) {
	var h phc
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errHash
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return phc{}, errHash
	}
	var errSalt, errKey error
	h.salt, errSalt = b64.DecodeString(part[4])
	h.key, errKey = b64.DecodeString(part[5])
	if errSalt != nil || errKey != nil || !h.within() ||
		len(h.salt) < 8 || len(h.salt) > maxBytes || len(h.key) < 16 || len(h.key) > maxBytes {
		return phc{}, errHash
	}
	if h.String() != s { // one hash, one spelling: what Sscanf overlooked ends here
		return phc{}, errHash
	}
	return h, nil
}

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// hash returns a fresh hash of password.
func (c cost) hash(password string) phc {
	h := c.unmatched()
	h.key = h.derive(password)
	return h
}

// unmatched returns a hash that no password is known for, without computing
// one: to compare with it costs what any other comparison costs.
func (c cost) unmatched() phc {
	h := phc{cost: c, salt: make([]byte, saltBytes), key: make([]byte, keyBytes)}
	_, _ = rand.Read(h.salt) // never fails
	_, _ = rand.Read(h.key)
	return h
}

func (h phc) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key))) //nolint:gosec // at most 64
}

func (h phc) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}

// current reports whether h is as dear as hashes are made now.
func (h phc) current(c cost) bool {
	return h.cost == c && len(h.salt) == saltBytes && len(h.key) == keyBytes
}
