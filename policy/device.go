package policy

import (
	"slices"
	"time"
)

// Tier is how well a browser is known to be a person's own.
type Tier string

// The tiers, the least first.
const (
	TierNone    Tier = "none"    // they never signed in with it, or it was forgotten
	TierCookie  Tier = "cookie"  // they did
	TierSecond  Tier = "second"  // and gave a second factor in it
	TierPasskey Tier = "passkey" // which was a passkey that stays in the very machine
)

// tiers are in their order; what is none of them is TierNone.
var tiers = []Tier{TierNone, TierCookie, TierSecond, TierPasskey}

// Tiers are all of them, the least first.
func Tiers() []Tier { return slices.Clone(tiers) }

// AtLeast reports whether t is as good as other.
func (t Tier) AtLeast(other Tier) bool { return t.rank() >= other.rank() }

func (t Tier) rank() int { return max(slices.Index(tiers, t), 0) }

// BestTier returns the better of two.
func BestTier(a, b Tier) Tier {
	if b.AtLeast(a) {
		return b
	}
	return a
}

// TierBy is what a browser reaches by a proof that was just given in it, in a session
// whose evidence is evs by now. A key that is carried about, or was copied to other
// machines, says nothing about this one.
func TierBy(ev Evidence, evs []Evidence, now time.Time) Tier {
	switch {
	case !ev.Held() || !anyHeld(Assess(evs, now), []string{AAL2}):
		return TierCookie
	case isBound(ev) && ev.Platform:
		return TierPasskey
	}
	return TierSecond
}

// Asking is how often somebody who has a second factor wants to be asked for it when they
// sign in. It adds to what the rules and the apps demand, and takes nothing away.
type Asking string

// The ways to be asked, the least first. The zero Asking is AskUnusual.
const (
	AskSensitive Asking = "sensitive" // where rules or apps demand it, no more
	AskUnusual   Asking = "unusual"   // and in a browser that does not remember a second factor
	AskAlways    Asking = "always"    // and in every other
)

// Askings are all of them, the most first.
func Askings() []Asking { return []Asking{AskAlways, AskUnusual, AskSensitive} }

// Asks reports whether a sign-in in a browser that remembers a second factor, or does
// not, leaves one to be given.
func (a Asking) Asks(remembered bool) bool {
	switch a {
	case AskAlways:
		return true
	case AskSensitive:
		return false
	default:
		return !remembered
	}
}
