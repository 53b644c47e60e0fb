package grants

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/doorstep-id/doorstep/storage"
)

// Refresh is what a refresh token says: which grant, the how-manieth of it, and
// the grant's secret. The row keeps SHA-256 of the secret, so that forging one
// needs our key and the database.
type Refresh struct {
	Grant      storage.ID
	Generation int64
	Secret     [16]byte
}

// A refresh token is "dsr_" and base64url of: key id (1 byte), grant (16),
// generation (8, big-endian), secret (16), HMAC-SHA-256 of all that (32).
const (
	refreshPrefix = "dsr_"
	refreshKeyID  = 1
	bodySize      = 1 + 16 + 8 + 16
	refreshSize   = bodySize + sha256.Size
)

// ErrRefresh: the text is no refresh token that we made.
var ErrRefresh = errors.New("grants: not a refresh token of ours")

// Encode returns the refresh token that says r.
func (s *Service) Encode(r Refresh) string {
	id, err := uuid.Parse(string(r.Grant))
	if err != nil {
		panic("grants: a grant's id is always a UUID") // storage makes them
	}
	b := make([]byte, 0, refreshSize)
	b = append(b, refreshKeyID)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Generation)) //nolint:gosec // generations count up from 1
	b = append(b, r.Secret[:]...)
	b = append(b, s.mac(b)...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// Decode returns what a refresh token says, or ErrRefresh if its MAC is not ours
// or its text is not exactly what Encode would write. It asks no database.
func (s *Service) Decode(token string) (Refresh, error) {
	text, ok := strings.CutPrefix(token, refreshPrefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(refreshSize) {
		return Refresh{}, ErrRefresh
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != refreshSize || b[0] != refreshKeyID || !hmac.Equal(b[bodySize:], s.mac(b[:bodySize])) {
		return Refresh{}, ErrRefresh
	}
	r := Refresh{Generation: int64(binary.BigEndian.Uint64(b[17:25]))} //nolint:gosec // we wrote it
	var id uuid.UUID
	copy(id[:], b[1:17])
	copy(r.Secret[:], b[25:bodySize])
	r.Grant = storage.ID(id.String())
	return r, nil
}

func (s *Service) mac(body []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(body)
	return h.Sum(nil)
}

// Next returns the successor: the same grant and secret, one generation on.
func (r Refresh) Next() Refresh {
	r.Generation++
	return r
}

// Matches reports whether hash is SHA-256 of the token's secret.
func (r Refresh) Matches(hash []byte) bool {
	sum := sha256.Sum256(r.Secret[:])
	return subtle.ConstantTimeCompare(hash, sum[:]) == 1
}
