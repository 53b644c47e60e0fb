package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// ErrNoToken says that a text is no access token of ours that may be used now;
// what it wraps is for the log.
var ErrNoToken = errors.New("engine: not a valid access token")

// leeway is how far the clocks of two machines may be apart.
const leeway = 10 * time.Second

// Access is a verified access token. It is never changed.
type Access struct {
	AccessClaims
	ids storage.TokenIDs
}

// Verify returns what an access token (a JWT) says: signature, type, issuer and
// lifetime are checked (RFC 9068 section 4), whom it is for is not. Whether it
// was revoked is asked with [Engine.Person] or [Engine.Introspect], each time.
// Any other token is ErrNoToken.
func (e *Engine) Verify(ctx context.Context, token string) (*Access, error) {
	key := sha256.Sum256([]byte(token))
	if a := e.verified.get(key); a != nil {
		// Its signature was good; its key may have been retired or revoked since.
		published, err := e.keys.Published(ctx, a.ids.KeyID)
		if err != nil {
			return nil, err
		}
		if !published {
			return nil, noToken(errors.New("its key is gone"))
		}
		return a, e.inTime(a)
	}
	a, err := e.read(ctx, token)
	if err != nil {
		return nil, err
	}
	e.verified.put(key, a)
	return a, e.inTime(a)
}

// read checks what stays as it is: the signature, and what is under it.
func (e *Engine) read(ctx context.Context, token string) (*Access, error) {
	payload, kid, err := e.keys.Verify(ctx, token, TypAccessToken, e.algs...)
	if errors.Is(err, keys.ErrToken) {
		return nil, noToken(err)
	}
	if err != nil {
		return nil, err
	}
	a := &Access{}
	if err := json.Unmarshal(payload, &a.AccessClaims); err != nil {
		return nil, noToken(err)
	}
	if _, err := storage.ParseID(a.GrantID); err != nil && a.GrantID != "" {
		return nil, noToken(err)
	}
	a.ids = storage.TokenIDs{JTI: a.ID, GrantID: storage.ID(a.GrantID), ClientID: a.ClientID, KeyID: kid}
	if a.Issuer != e.cfg.Issuer {
		return nil, noToken(errors.New("another issuer"))
	}
	return a, nil
}

// inTime checks what changes with the time.
func (e *Engine) inTime(a *Access) error {
	now := e.now()
	switch {
	case !now.Before(time.Unix(a.Expiry, 0)):
		return noToken(errors.New("expired"))
	case time.Unix(a.IssuedAt, 0).After(now.Add(leeway)):
		return noToken(errors.New("issued in the future"))
	}
	return nil
}

// opaque returns the living opaque access token of this hash, and whose grant it
// came of: "" for nobody's. It is one statement; grants.ErrDead, ErrNoToken.
func (e *Engine) opaque(ctx context.Context, hash []byte) (*Access, storage.ID, error) {
	row, err := e.grants.LivingOpaque(ctx, hash)
	if err != nil {
		return nil, "", err
	}
	a := &Access{ids: storage.TokenIDs{GrantID: row.GrantID, ClientID: row.ClientID}}
	if err := json.Unmarshal(row.Claims.V, &a.AccessClaims); err != nil {
		return nil, "", fmt.Errorf("claims of an opaque token: %w", err)
	}
	a.ids.JTI = a.ID
	return a, row.Grant.PersonID, e.inTime(a)
}

// Admit returns what a living access token for audience says, a JWT; else ErrNoToken,
// or grants.ErrDead for one that is over. It is one statement at most, and asked each
// time. Whether a client got it for itself or by a person is for the caller to see.
func (e *Engine) Admit(ctx context.Context, token, audience string) (*Access, error) {
	a, err := e.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if a.Audience != audience {
		return nil, noToken(errors.New("another audience"))
	}
	if _, err := e.grants.Living(ctx, a.ids, time.Unix(a.IssuedAt, 0)); err != nil {
		return nil, err
	}
	return a, nil
}

func noToken(cause error) error { return fmt.Errorf("%w: %w", ErrNoToken, cause) }

// Person returns the living grant that a verified token came of, with its
// person; grants.ErrDead: there is none, or no longer. It is one statement.
func (e *Engine) Person(ctx context.Context, a *Access) (*storage.GrantState, error) {
	state, err := e.grants.LivingPerson(ctx, a.ids, time.Unix(a.IssuedAt, 0))
	if err != nil {
		return nil, err
	}
	return &state.GrantState, nil
}

// verified remembers tokens whose signature was checked, by SHA-256 of the
// token, so that one that is used often costs one check. It holds two
// generations of at most verifiedMax: what was not asked for during a whole one
// is forgotten.
type verified struct {
	mu           sync.Mutex
	recent, past map[[sha256.Size]byte]*Access
}

const verifiedMax = 4096

func (v *verified) get(key [sha256.Size]byte) *Access {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a := v.recent[key]; a != nil {
		return a
	}
	a := v.past[key]
	if a != nil {
		v.add(key, a)
	}
	return a
}

func (v *verified) put(key [sha256.Size]byte, a *Access) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(key, a)
}

func (v *verified) add(key [sha256.Size]byte, a *Access) {
	if v.recent == nil || len(v.recent) >= verifiedMax {
		v.recent, v.past = map[[sha256.Size]byte]*Access{}, v.recent
	}
	v.recent[key] = a
}
