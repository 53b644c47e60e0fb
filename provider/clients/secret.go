package clients

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
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
		if kept := &c.Secrets.V[i]; lives(kept, now) {
			right |= subtle.ConstantTimeCompare(sum[:], kept.SHA256)
		}
	}
	return right == 1 && secret != "" && hasSecret(c.Metadata.V.TokenEndpointAuthMethod)
}

// lives reports whether a secret is taken at a moment in Unix seconds.
func lives(kept *storage.ClientSecret, now int64) bool {
	return kept.ExpiresAt == 0 || kept.ExpiresAt > now
}

// LivingSecrets returns how many secrets of a client are taken now.
func (s *Service) LivingSecrets(c *storage.Client) int {
	n, now := 0, s.now().Unix()
	for i := range c.Secrets.V {
		if lives(&c.Secrets.V[i], now) {
			n++
		}
	}
	return n
}

// MaxOverlap is how long a secret may live on beside its successor.
const MaxOverlap = 90 * 24 * time.Hour

// RotateSecret gives a client another secret by its id; see [Service.NewSecret].
// storage.ErrNotFound: there is none.
func (s *Service) RotateSecret(ctx context.Context, id string, overlap time.Duration, by events.Actor) (*storage.Client, string, error) {
	c, err := s.Show(ctx, id)
	if err != nil {
		return nil, "", err
	}
	secret, err := s.NewSecret(ctx, c, overlap, by)
	return c, secret, err
}

// NewSecret gives a client, as it was read, another secret, with its event, and
// returns it, which is not kept. The one before lives on for overlap, so that the
// client can be told in its time; any older one ends now: never more than two live.
// A client without secrets is a fault; so is, of kind Conflict and storage.ErrStale,
// a change by somebody else since it was read.
func (s *Service) NewSecret(ctx context.Context, c *storage.Client, overlap time.Duration, by events.Actor) (string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", fault.Invalid("overlap", fmt.Sprintf("must be between 0 and %.0f hours", MaxOverlap.Hours()))
	}
	if method := c.Metadata.V.TokenEndpointAuthMethod; !hasSecret(method) {
		return "", fault.Invalid("token_endpoint_auth_method", "is "+method+": the client proves itself without a secret")
	}
	now := s.now()
	secret, fresh := newSecret(storage.At(now))
	c.Secrets = storage.Document(append([]storage.ClientSecret{fresh}, outgoing(c.Secrets.V, now, overlap)...))
	e := events.Event{Kind: events.SecretRotated, Actor: by, Client: c.ID, Data: map[string]int64{"overlap": int64(overlap.Seconds())}}
	return secret, s.change(ctx, c, e)
}

// outgoing returns the secret that lives on beside a new one: the newest that still
// does, for overlap or as long as it would have lived anyway; none without overlap.
func outgoing(kept []storage.ClientSecret, now time.Time, overlap time.Duration) []storage.ClientSecret {
	living := slices.DeleteFunc(slices.Clone(kept), func(k storage.ClientSecret) bool { return !lives(&k, now.Unix()) })
	until := now.Add(overlap).Unix()
	if len(living) == 0 || until <= now.Unix() {
		return nil
	}
	newest := slices.MaxFunc(living, func(a, b storage.ClientSecret) int { return int(a.CreatedAt - b.CreatedAt) })
	if newest.ExpiresAt == 0 || newest.ExpiresAt > until {
		newest.ExpiresAt = until
	}
	return []storage.ClientSecret{newest}
}
