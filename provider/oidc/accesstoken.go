package oidc

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/oidc/engine"
)

// leeway is how far the clocks of two machines may be apart.
const leeway = 10 * time.Second

// accessToken verifies a token that was made for this issuer itself: signature,
// type, issuer, audience and lifetime (RFC 9068 section 4). Whether it was
// revoked is for the caller to ask, each time.
func (h *Handler) accessToken(r *http.Request, token string) (*engine.AccessClaims, error) {
	key := sha256.Sum256([]byte(token))
	c := h.verified.get(key)
	if c == nil {
		payload, _, err := h.Keys.Verify(r.Context(), token, engine.TypAccessToken, engine.AlgDefault)
		if errors.Is(err, keys.ErrToken) {
			return nil, invalidToken(err)
		}
		if err != nil {
			return nil, err
		}
		c = &engine.AccessClaims{}
		if err := json.Unmarshal(payload, c); err != nil {
			return nil, invalidToken(err)
		}
		h.verified.put(key, c)
	}
	now := h.Now()
	switch {
	case c.Issuer != h.issuer:
		return nil, invalidToken(errors.New("another issuer"))
	case c.Audience != h.issuer:
		return nil, invalidToken(errors.New("another audience"))
	case !now.Before(time.Unix(c.Expiry, 0)):
		return nil, invalidToken(errors.New("expired"))
	case time.Unix(c.IssuedAt, 0).After(now.Add(leeway)):
		return nil, invalidToken(errors.New("issued in the future"))
	}
	return c, nil
}

// verified remembers tokens whose signature was checked, by SHA-256 of the
// token, so that one that is used often costs one check. It holds two
// generations of at most verifiedMax: what was not asked for during a whole one
// is forgotten.
type verified struct {
	mu           sync.Mutex
	recent, past map[[sha256.Size]byte]*engine.AccessClaims
}

const verifiedMax = 4096

func (v *verified) get(key [sha256.Size]byte) *engine.AccessClaims {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.recent[key]; c != nil {
		return c
	}
	c := v.past[key]
	if c != nil {
		v.add(key, c)
	}
	return c
}

func (v *verified) put(key [sha256.Size]byte, c *engine.AccessClaims) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(key, c)
}

func (v *verified) add(key [sha256.Size]byte, c *engine.AccessClaims) {
	if v.recent == nil || len(v.recent) >= verifiedMax {
		v.recent, v.past = map[[sha256.Size]byte]*engine.AccessClaims{}, v.recent
	}
	v.recent[key] = c
}
