package proof

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// challenges makes what an authenticator signs. A challenge proves itself that we
// made it, when and for which interaction, so that nothing is written for one that is
// never answered; once one is answered, its hash is kept until it lapses.
type challenges struct {
	store *storage.Store
	key   [32]byte
	now   func() time.Time
}

// A challenge is randomSize random bytes, SHA-256 of the interaction that it was made
// for, the second in which it was made, and a MAC of all before and of its ceremony.
const (
	randomSize    = 32
	challengeSize = randomSize + sha256.Size + 8 + sha256.Size
	// challengeLives is as long as a page waits for its person.
	challengeLives = 30 * time.Minute
)

// errChallenge says that a challenge is none of ours, or not for this interaction, or
// lapsed, or was answered before.
var errChallenge = errors.New("the challenge is not one that waits for an answer")

// A ceremony is what a challenge is made for: the answer to one is none to another.
type ceremony string

const (
	registration   ceremony = "create" // WebAuthn Level 3 section 7.1
	authentication ceremony = "get"    // section 7.2
)

// make returns a challenge for an interaction.
func (c *challenges) make(of ceremony, interaction storage.ID) []byte {
	out := make([]byte, randomSize, challengeSize)
	_, _ = rand.Read(out) // never fails
	asker := sha256.Sum256([]byte(interaction))
	out = append(out, asker[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(c.now().Unix())) //nolint:gosec // after 1970
	return append(out, c.mac(of, out)...)
}

// spend uses up a challenge: of any number of calls, on any number of replicas, one
// returns nil. It is carried out at once, also within a unit: whatever comes of the
// answer, there is no second one.
func (c *challenges) spend(ctx context.Context, of ceremony, interaction storage.ID, challenge []byte) error {
	if len(challenge) != challengeSize {
		return errChallenge
	}
	said, mac := challenge[:challengeSize-sha256.Size], challenge[challengeSize-sha256.Size:]
	asker := sha256.Sum256([]byte(interaction))
	if !hmac.Equal(mac, c.mac(of, said)) || !hmac.Equal(said[randomSize:randomSize+sha256.Size], asker[:]) {
		return errChallenge
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(said[randomSize+sha256.Size:])), 0) //nolint:gosec // we wrote it
	lapses := made.Add(challengeLives)
	if !lapses.After(c.now()) {
		return errChallenge
	}
	hash := sha256.Sum256(append([]byte("webauthn challenge\x00"), challenge...))
	err := c.store.SpendID(storage.WithoutUnit(ctx), &storage.SpentID{Hash: hash[:], ExpiresAt: storage.At(lapses)})
	if errors.Is(err, storage.ErrSpent) {
		return errChallenge
	}
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	return nil
}

func (c *challenges) mac(of ceremony, said []byte) []byte {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write(said) // of one length: what follows cannot be taken for a part of it
	mac.Write([]byte(of))
	return mac.Sum(nil)
}
