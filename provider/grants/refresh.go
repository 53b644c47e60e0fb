package grants

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/google/uuid"

	"github.com/doorstep-id/doorstep/storage"
)

// ErrRefresh says that a text is no refresh token that was made here.
var ErrRefresh = errors.New("grants: not a refresh token of ours")

// Refresh is what a refresh token says.
type Refresh struct {
	Grant      storage.ID
	Generation int64    // 1 for the first, one more with each refresh
	Secret     [16]byte // the grant's own 128 random bits, the same in every generation
}

// The text of a refresh token is refreshPrefix and 57 bytes in base64url: key
// id, grant (16), generation (8, big-endian), secret (16), MAC (16). 57 is a
// multiple of three, so that no bit of the last character is left over.
const (
	refreshPrefix = "dsr_"
	refreshKeyID  = 1 // the only key so far; another one gets another number
	macAt         = 1 + 16 + 8 + 16
	macSize       = 16 // HMAC-SHA256 cut to 128 bits (RFC 2104 section 5)
	refreshSize   = macAt + macSize
)

var refreshLen = len(refreshPrefix) + base64.RawURLEncoding.EncodedLen(refreshSize)

// NewRefresh returns the first refresh token of a grant.
func NewRefresh(grant storage.ID) Refresh {
	r := Refresh{Grant: grant, Generation: 1}
	_, _ = rand.Read(r.Secret[:]) // never fails, crypto/rand
	return r
}

// SuccessorOf returns the refresh token that takes the place of r: always the
// same one, so that a response that was lost can be given again.
func SuccessorOf(r Refresh) Refresh {
	r.Generation++
	return r
}

// Hash returns what the grant's row keeps of the secret: its SHA-256.
func (r Refresh) Hash() []byte {
	sum := sha256.Sum256(r.Secret[:])
	return sum[:]
}

// Matches reports, in constant time, whether hash is of this token's secret.
func (r Refresh) Matches(hash []byte) bool { return subtle.ConstantTimeCompare(r.Hash(), hash) == 1 }

// Encode returns the token's text. It panics if r.Grant is no UUID, which every
// id of the store is.
func (s *Service) Encode(r Refresh) string {
	grant := uuid.MustParse(string(r.Grant))
	b := make([]byte, 0, refreshSize)
	b = append(b, refreshKeyID)
	b = append(b, grant[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Generation)) //nolint:gosec // generations count from 1
	b = append(b, r.Secret[:]...)
	b = append(b, s.refreshMAC(b)...)
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// Decode returns what a token's text says, or ErrRefresh. It asks no store: that
// the grant lives, that the secret is its own and that the generation is the
// newest is for the caller to find out. A token has one text; no other is read.
func (s *Service) Decode(text string) (Refresh, error) {
	body, found := strings.CutPrefix(text, refreshPrefix)
	if !found || len(text) != refreshLen {
		return Refresh{}, ErrRefresh
	}
	var buf [refreshSize]byte
	n, err := base64.RawURLEncoding.Decode(buf[:], []byte(body))
	if err != nil || n != refreshSize || buf[0] != refreshKeyID {
		return Refresh{}, ErrRefresh // a line break inside makes n too small
	}
	if !hmac.Equal(s.refreshMAC(buf[:macAt]), buf[macAt:]) {
		return Refresh{}, ErrRefresh
	}
	generation := binary.BigEndian.Uint64(buf[17:25])
	if generation == 0 || generation > math.MaxInt64 {
		return Refresh{}, ErrRefresh
	}
	return Refresh{
		Grant:      storage.ID(uuid.UUID(buf[1:17]).String()),
		Generation: int64(generation),
		Secret:     [16]byte(buf[25:macAt]),
	}, nil
}

func (s *Service) refreshMAC(b []byte) []byte {
	mac := hmac.New(sha256.New, s.refreshKey[:])
	mac.Write(b)
	return mac.Sum(nil)[:macSize]
}
