package api

import (
	"context"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// Key is what may be told of a signing key.
type Key struct {
	KID       string     `json:"kid" required:"true" doc:"Its id, in the header of what it signs and in the JWKS."`
	Algorithm string     `json:"alg" required:"true" doc:"ES256, RS256 (which PS256 shares) or EdDSA."`
	State     string     `json:"state" required:"true" enum:"next,signing,retired,hint,forgotten,revoked" doc:"next: published, and signs from active_at. signing. retired: published while its last tokens live. hint: verifies id_token_hint only. forgotten and revoked: verifies nothing."`
	CreatedAt time.Time  `json:"created_at" required:"true" doc:"Published from here."`
	ActiveAt  time.Time  `json:"active_at" required:"true" doc:"Signs from here."`
	RetiredAt *time.Time `json:"retired_at,omitempty" doc:"To here."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Leaves the JWKS here."`
	RotatesAt *time.Time `json:"rotates_at,omitempty" doc:"Its successor is due here."`
}

// KeyRotation says which key is to have a successor.
type KeyRotation struct {
	Algorithm string `json:"algorithm" required:"true" enum:"ES256,RS256,PS256,EdDSA" doc:"Of the key; PS256 has that of RS256."`
}

// RevokedKey is what became of a key that was revoked.
type RevokedKey struct {
	Key       Key   `json:"key" required:"true" doc:"As it was before."`
	Successor *Key  `json:"successor,omitempty" doc:"Who signs in its place."`
	Unknown   int64 `json:"unknown,omitempty" doc:"Seconds for which who has cached the JWKS may not know the successor, which signs at once."`
}

func newKey(k *keys.Key) Key {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return Key{
		KID: k.KID, Algorithm: k.Alg, State: string(k.State), CreatedAt: k.CreatedAt.UTC(), ActiveAt: k.ActiveAt.UTC(),
		RetiredAt: at(k.RetiredAt), ExpiresAt: at(k.ExpiresAt), RotatesAt: at(k.RotatesAt),
	}
}

type (
	// KeyPath names a key.
	KeyPath struct {
		KID string `path:"kid" maxLength:"64" doc:"The key's id."`
	}
	keyRevocation struct {
		KeyPath
		DryRun bool `query:"dry_run" doc:"Nothing is done: the answer says what would be."`
	}
	keyRotation struct {
		Body KeyRotation `required:"true"`
	}
)

func (h *Handler) registerKeys() {
	began := time.Date(2026, time.November, 2, 0, 0, 0, 0, time.UTC)
	example := Key{KID: "kJ3mV0yQ1rY", Algorithm: keys.ES256, State: string(keys.StateSigning), CreatedAt: began, ActiveAt: began}
	next := example
	next.KID, next.State, next.ActiveAt = "b7Qe2uLx9sM", string(keys.StateNext), began.Add(15*time.Minute)
	register(h, operation{
		id: "listKeys", method: http.MethodGet, path: "/keys", scope: clients.ScopeKeysRead, status: http.StatusOK,
		summary: "List signing keys, oldest first", answers: Page[Key]{Items: []Key{example}}, text: "There are few: they are on one page.",
	}, h.listKeys)
	register(h, operation{
		id: "rotateKey", method: http.MethodPost, path: "/keys/rotate", scope: clients.ScopeKeysWrite, status: http.StatusCreated, once: true,
		summary: "Publish the successor of a signing key", body: jsonType, sends: KeyRotation{keys.ES256}, answers: next,
		text: "It signs once every client's copy of the JWKS has lapsed; its predecessor retires then. Nothing breaks.",
	}, h.rotateKey)
	register(h, operation{
		id: "revokeKey", method: http.MethodPost, path: "/keys/{kid}/revoke", scope: clients.ScopeKeysWrite, status: http.StatusOK, once: true,
		summary: "End a signing key everywhere", answers: RevokedKey{Key: example, Successor: &next, Unknown: 905},
		text: "For a key that somebody else may have: within 5 s it verifies nothing any more, whatever breaks by it. Of one that is revoked already nothing is done.",
	}, h.revokeKey)
}

func (h *Handler) listKeys(ctx context.Context, _ *struct{}) (*plain[Page[Key]], error) {
	all, err := h.Keys.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &plain[Page[Key]]{Page[Key]{Items: make([]Key, 0, len(all))}}
	for i := range all {
		out.Body.Items = append(out.Body.Items, newKey(&all[i]))
	}
	return out, nil
}

func (h *Handler) rotateKey(ctx context.Context, in *keyRotation) (*plain[Key], error) {
	key, err := h.RotateKey(ctx, in.Body.Algorithm, events.ActorOperator)
	if err != nil {
		return nil, meanwhile(err)
	}
	return &plain[Key]{newKey(&key)}, nil
}

func (h *Handler) revokeKey(ctx context.Context, in *keyRevocation) (*plain[RevokedKey], error) {
	revoked, err := h.revoke(ctx, in)
	if err != nil {
		return nil, meanwhile(err)
	}
	out := &plain[RevokedKey]{RevokedKey{Key: newKey(&revoked.Key), Unknown: int64((revoked.Unknown + time.Second - 1) / time.Second)}}
	if revoked.Successor.KID != "" {
		successor := newKey(&revoked.Successor)
		out.Body.Successor = &successor
	}
	return out, nil
}

func (h *Handler) revoke(ctx context.Context, in *keyRevocation) (keys.Revoked, error) {
	if in.DryRun {
		return h.Keys.Revoke(storage.WithUnit(ctx), in.KID) // nobody flushes that unit
	}
	return h.RevokeKey(ctx, in.KID, events.ActorOperator)
}

// meanwhile says in words that the keys changed at the same moment.
func meanwhile(err error) error {
	if !isStale(err) {
		return err
	}
	return &fault.Error{Kind: fault.KindConflict, Code: "conflict", Message: "somebody else changes a key of this algorithm at this moment: ask again", Err: err}
}
