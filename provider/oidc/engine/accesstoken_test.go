package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func key(n int) (k [sha256.Size]byte) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// Whoever sends many tokens must not make the process grow, and must not push
// out the ones that are in use.
func TestVerifiedTokensAreBoundedAndKeepWhatIsUsed(t *testing.T) {
	var v verified
	busy := &Access{AccessClaims: AccessClaims{ID: "busy"}}
	v.put(key(0), busy)
	for n := 1; n <= 3*verifiedMax; n++ {
		v.put(key(n), &Access{})
		if n%1000 == 0 && v.get(key(0)) != busy {
			t.Fatalf("the token in use was forgotten after %d others", n)
		}
	}
	if n := len(v.recent) + len(v.past); n > 2*verifiedMax {
		t.Errorf("%d tokens are kept, at most %d", n, 2*verifiedMax)
	}
	if v.get(key(1)) != nil {
		t.Error("a token that nobody asked for is still kept")
	}
}
