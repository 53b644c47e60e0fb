package proof

import (
	"errors"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// TestChallenges: one counts as we made it, for the ceremony and the interaction that we
// made it for, once, and for half an hour.
func TestChallenges(t *testing.T) {
	at := noon
	c := &challenges{store: newStore(t), key: [32]byte{1}, now: func() time.Time { return at }}
	here, there := storage.NewID(), storage.NewID()
	good := c.make(authentication, here)
	if again := c.make(authentication, here); string(again[:randomSize]) == string(good[:randomSize]) {
		t.Error("two challenges have the same random bytes")
	}
	refused := func(what string, of storage.ID, challenge []byte) {
		t.Helper()
		if err := c.spend(t.Context(), authentication, of, challenge); !errors.Is(err, errChallenge) {
			t.Errorf("%s: %v, want it refused", what, err)
		}
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x80
		refused("changed", here, bad)
	}
	for n := range good {
		refused("cut off", here, good[:n])
	}
	refused("lengthened", here, append(append([]byte(nil), good...), 0))
	refused("of another interaction", there, good)
	refused("of none", "", good)
	refused("of another ceremony", here, c.make(registration, here))
	other := &challenges{store: c.store, key: [32]byte{2}, now: c.now}
	refused("of another house", here, other.make(authentication, here))

	at = noon.Add(challengeLives)
	refused("lapsed", here, good)
	at = noon.Add(challengeLives - time.Second)
	if err := c.spend(t.Context(), authentication, here, good); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	refused("a second time", here, good)
	at = noon
	refused("a second time, by a clock that went back", here, good)
}

// A challenge is used up also where what comes of the answer is not written.
func TestChallengeIsSpentWhateverComesOfIt(t *testing.T) {
	c := &challenges{store: newStore(t), now: func() time.Time { return noon }}
	id := storage.NewID()
	one := c.make(authentication, id)
	if err := c.spend(storage.WithUnit(t.Context()), authentication, id, one); err != nil { // a unit that nobody flushes
		t.Fatal(err)
	}
	if err := c.spend(t.Context(), authentication, id, one); !errors.Is(err, errChallenge) {
		t.Errorf("%v, want it refused", err)
	}
}
