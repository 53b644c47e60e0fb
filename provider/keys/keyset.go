package keys

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// kidSize is the length of a key's id in bytes, before base64url.
const kidSize = 15

// hintLife is how long after its retirement a key verifies ID tokens that are
// given back as hints, and those only.
const hintLife = 400 * 24 * time.Hour

// key is a signing key, opened.
type key struct {
	kid     string
	alg     string // as it is kept: PS256 is signed with the key of RS256
	private crypto.Signer
	public  crypto.PublicKey
	jwk     []byte
	headers atomic.Pointer[map[header]string] // the first segments of its tokens
}

// header is what may differ between the headers of one key's tokens.
type header struct{ alg, typ string }

// segment returns the first segment of a compact JWS (RFC 7515 section 7.1). Of
// alg and typ there are as many as our own code names.
func (k *key) segment(alg, typ string) (string, error) {
	known := k.headers.Load()
	if known != nil {
		if seg, ok := (*known)[header{alg, typ}]; ok {
			return seg, nil
		}
	}
	text, err := json.Marshal(struct {
		Alg string `json:"alg"`
		KID string `json:"kid"`
		Typ string `json:"typ,omitempty"`
	}{alg, k.kid, typ})
	if err != nil {
		return "", fmt.Errorf("keys: encode header: %w", err)
	}
	seg := base64.RawURLEncoding.EncodeToString(text)
	grown := map[header]string{{alg, typ}: seg}
	if known != nil {
		maps.Copy(grown, *known)
	}
	k.headers.Store(&grown) // what another goroutine added meanwhile is added again when it is needed
	return seg, nil
}

// stored is a key with its times, which rotation changes.
type stored struct {
	*key
	created, active, retired, expires time.Time
	revoked                           bool // for good, whatever its times say
}

// signs reports whether the key is the one, or one of those, that sign at now.
func (k *stored) signs(now time.Time) bool {
	return !k.revoked && !k.active.After(now) && (k.retired.IsZero() || k.retired.After(now))
}

// published reports whether the key is in the published set at now.
func (k *stored) published(now time.Time) bool {
	return !k.revoked && (k.expires.IsZero() || k.expires.After(now))
}

// knowsHints reports whether the key verifies hints at now.
func (k *stored) knowsHints(now time.Time) bool {
	return !k.revoked && (k.retired.IsZero() || k.retired.Add(hintLife).After(now))
}

// keyset is every key of the database at one moment; it is never changed.
type keyset struct {
	at      time.Time // when it was last asked for
	readAt  time.Time // when it was last read
	era     uint64    // in which it was read
	keys    []stored  // oldest first
	missing []string  // the configured algorithms that have no key yet
	jwks    []byte
	etag    string
}

// newKeyset opens the keys of rows, those that are known aside.
func (s *Service) newKeyset(rows []storage.Key, revoked []string, known *keyset, now time.Time) (*keyset, error) {
	set := &keyset{at: now, readAt: now}
	for i := range rows {
		row := &rows[i]
		opened := known.byID(row.KID)
		if opened == nil {
			var err error
			if opened, err = s.openKey(row); err != nil {
				return nil, err
			}
		}
		set.keys = append(set.keys, stored{
			key: opened, created: row.CreatedAt.Time, active: row.ActiveAt.Time, retired: row.RetiredAt.Time, expires: row.ExpiresAt.Time,
			revoked: slices.Contains(revoked, row.KID),
		})
	}
	for _, alg := range s.kept() {
		if !slices.ContainsFunc(set.keys, func(k stored) bool { return k.alg == alg }) {
			set.missing = append(set.missing, alg)
		}
	}
	set.encode(now)
	return set, nil
}

// misses reports whether the key of one of algs is yet to be made.
func (set *keyset) misses(algs ...string) bool {
	return len(set.missing) > 0 && slices.ContainsFunc(algs, func(alg string) bool { return slices.Contains(set.missing, keyAlg(alg)) })
}

func (set *keyset) byID(kid string) *key {
	if set == nil {
		return nil
	}
	for i := range set.keys {
		if set.keys[i].kid == kid {
			return set.keys[i].key
		}
	}
	return nil
}

// signer returns the key that signs with alg at now: the newest that does. If none
// does yet, it is the one that is to be the first: the clock of the replica that
// made it may be a moment ahead of ours.
func (set *keyset) signer(alg string, now time.Time) (*key, error) {
	alg = keyAlg(alg)
	var newest, first *stored
	for i := range set.keys {
		k := &set.keys[i]
		switch {
		case k.alg != alg:
		case k.signs(now):
			if newest == nil || !k.active.Before(newest.active) {
				newest = k
			}
		case k.active.After(now) && !k.revoked:
			if first == nil || k.active.Before(first.active) {
				first = k
			}
		}
	}
	if newest == nil {
		newest = first
	}
	if newest == nil {
		return nil, fmt.Errorf("keys: no key signs with the algorithm %q", alg)
	}
	return newest.key, nil
}

// encode writes the JWK Set of RFC 7517 section 5 and its entity tag.
func (set *keyset) encode(now time.Time) {
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for i := range set.keys {
		if k := &set.keys[i]; k.published(now) {
			if b.Len() > len(`{"keys":[`) {
				b.WriteByte(',')
			}
			b.Write(k.jwk)
		}
	}
	b.WriteString(`]}`)
	set.jwks = b.Bytes()
	sum := sha256.Sum256(set.jwks)
	set.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:kidSize]) + `"`
}
