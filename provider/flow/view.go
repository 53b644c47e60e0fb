package flow

import (
	"net/url"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/grants"
)

// view is the input with what follows from it.
type view struct {
	Input
	held []policy.Assurance
	best policy.Assurance // for the acr asked
}

func newView(in Input) *view {
	v := &view{Input: in, held: policy.Assess(in.Evidence, in.Now)}
	v.best = policy.Best(v.held, in.Request.acr())
	return v
}

// with is v after one more proof, given now in this interaction. Who just proved a key
// without being verified by it has one that does not verify; a stolen password is the
// same one when it is given again.
func (v *view) with(w Way) *view {
	in := v.Input
	given := w.Gives
	given.At, given.Interaction = v.Now.Add(time.Nanosecond), string(v.Interaction)
	given.UserVerified = given.UserVerified && !slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool {
		return v.isHere(e) && e.Method == given.Method && !e.UserVerified
	})
	given.Breached = slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return e.Method == given.Method && e.Breached })
	in.Evidence = policy.AddEvidence(in.Evidence, given)
	return newView(in)
}

// ways returns those after each of which what is lacking would be there, and behind
// them those after which one more would bring it that is not enough by itself, at a step
// that no other leads further from; where none does, those after which two more would; none: it
// cannot be reached. Of several a code by SMS is the last: it costs, and comes to whoever is
// asked for in vain.
func (v *view) ways(lacks func(*view) bool) []Way { return v.waysAmong(v.Ways, lacks) }

func (v *view) waysAmong(all []Way, lacks func(*view) bool) []Way {
	var ways, not []Way
	for _, w := range all {
		if lacks(v.with(w)) {
			not = append(not, w)
		} else {
			ways = append(ways, w)
		}
	}
	alone := ways
	for more := 1; more <= 2 && len(ways) == len(alone); more++ {
		for i, w := range not {
			if w.Step == StepSMS || slices.ContainsFunc(alone, func(one Way) bool { return one.Step == w.Step }) {
				continue
			}
			if v.with(w).reaches(slices.Delete(slices.Clone(not), i, i+1), lacks, more) {
				ways = append(ways, w)
			}
		}
		if len(alone) > 0 {
			break
		}
	}
	return ways
}

// reaches reports whether what lacks is there after so many of these ways.
func (v *view) reaches(all []Way, lacks func(*view) bool, n int) bool {
	if n == 0 {
		return !lacks(v)
	}
	for i, w := range all {
		if v.with(w).reaches(slices.Delete(slices.Clone(all), i, i+1), lacks, n-1) {
			return true
		}
	}
	return false
}

func isPasskey(e policy.Evidence) bool {
	return e.Method == policy.Hardware || e.Method == policy.Software
}

func (v *view) prompts(value string) bool { return slices.Contains(v.Request.Prompt, value) }

func (v *view) isSomebodyElse() bool { return !v.Request.fits(v.Person, v.Subject) }

// lacksACR: of the values asked for one must still be reached.
func (v *view) lacksACR() bool { return v.Request.acr().Unmet(v.held) != nil }

func (v *view) lacksDecision() bool {
	return !v.Decision.MetBy(v.Evidence, v.Now) && !v.begins() && !v.restores()
}

// restores: who lost what the rules require, or whose codes were stopped, gave a recovery code in
// its place, for a page where that is put right.
func (v *view) restores() bool {
	page := pageRules[v.Request.Page]
	return (page.changes || page.adds) && !v.Decision.Risky() && v.recovers()
}

// begins: the request is for a page that adds a factor, nothing says that it is somebody
// else, and what the rules require can be reached with none that the person has: else they
// could never have one that does. The page itself asks for the best of what they have.
func (v *view) begins() bool {
	unmet := func(w *view) bool { return !w.Decision.MetBy(w.Evidence, w.Now) }
	return pageRules[v.Request.Page].adds && !v.Decision.Risky() && len(v.ways(unmet)) == 0
}

// lacksMailbox: the rules guard something by more than a password, of somebody who makes the
// first of their proofs beside it, and who did not show lately that they read what is sent to them.
// A password alone may be somebody else's by now: what it would open then is no less than all that
// the rules guard, whatever app they are about. Nor do recovery codes say who they are: what they
// stand in for is gone, or the password alone made them while the rules allowed that.
func (v *view) lacksMailbox() bool { return v.lacksMailboxFor(pageRules[v.Request.Page]) }

func (v *view) lacksMailboxFor(page pageRule) bool {
	held := func(w Way) bool { return w.Gives.Held() }
	return page.first && !v.done() && (v.Strict || !v.Decision.MetBy(v.Evidence, v.Now)) && !slices.ContainsFunc(v.Ways, held) && !v.provedMailbox()
}

// provedMailbox: what is sent to an address that vouches for the person was read lately. However
// that came about, by another address it shows nothing.
func (v *view) provedMailbox() bool {
	return slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool {
		return e.Method == policy.Mail && slices.Contains(v.Mailboxes, e.Credential) && v.isRecent(e)
	})
}

// isRecent reports whether a proof counts for what is changed now.
func (v *view) isRecent(e policy.Evidence) bool { return v.Now.Sub(e.At) <= freshProof }

// lacksSecond: the person signed in with one factor, has another, and did not give it
// since, nor a recovery code in its place. How old it grows then is no matter of theirs:
// the question belongs to the sign-in. Pages for which any proof will do are open without:
// it may be somebody else's, who added it.
func (v *view) lacksSecond() bool {
	return !v.page().any && !v.AsksSince.IsZero() && slices.ContainsFunc(v.Ways, func(w Way) bool { return w.Gives.Held() }) &&
		!slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return answers(e) && !e.At.Before(v.AsksSince) })
}

// answers reports whether a proof is one that the person who wants to be asked is asked
// for.
func answers(e policy.Evidence) bool { return e.Held() || e.Method == policy.Recovery }

// lacksFresh: the page wants a fresh proof, at the strength that the person can reach,
// as far as aal2; or a recovery code beside one of aal1, for who lost all else (NIST SP
// 800-63B-4 section 4.2.2).
func (v *view) lacksFresh() bool { return v.lacksFreshFor(v.page()) }

func (v *view) lacksFreshFor(page pageRule) bool {
	if !page.fresh || v.done() {
		return false
	}
	reach := []string{policy.AAL2, policy.AAL1}
	best := v
	for _, w := range v.Ways {
		best = best.with(w)
	}
	if page.any {
		reach = reach[1:]
	}
	for _, acr := range reach {
		is := func(a policy.Assurance) bool { return a.ACR == acr }
		if !slices.ContainsFunc(best.held, is) {
			continue
		}
		if i := slices.IndexFunc(v.held, is); i >= 0 && v.isFresh(v.held[i], int64(freshProof/time.Second)) {
			return false
		}
		return !v.recovers()
	}
	return true
}

// gaveBreached: a password that is in lists of stolen ones was given in this interaction,
// which is not about another one already, nor about what the person had before a moment:
// another one would count for nothing there.
func (v *view) gaveBreached() bool {
	return v.Interaction != "" && v.Request.Page != PagePassword && v.Request.Before.IsZero() &&
		slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return e.Breached && e.Interaction == string(v.Interaction) })
}

// replaces: who gave such a password chose to replace it here. It is as if they had gone
// to the page for that, in the midst of what they came for. Where somebody else may be
// at work no proof is changed.
func (v *view) replaces() bool {
	return v.gaveBreached() && v.Progress.Breached == BreachedReplace && !v.Decision.Risky()
}

// page is the rule of the page of ours that this is about.
func (v *view) page() pageRule {
	if v.replaces() {
		return pageRules[PagePassword]
	}
	return pageRules[v.Request.Page]
}

// done: the step was done that the page is for.
func (v *view) done() bool { return v.Progress.Done && !v.replaces() }

// recovers: a recovery code and another proof were given, both lately.
func (v *view) recovers() bool {
	return slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return e.Method == policy.Recovery && v.isRecent(e) }) &&
		slices.ContainsFunc(v.held, func(a policy.Assurance) bool {
			return a.ACR == policy.AAL1 && v.isFresh(a, int64(freshProof/time.Second))
		})
}

// resets: a password is being recovered, and there is no session yet.
func (v *view) resets() bool { return v.page().resets && !v.Progress.Done }

// lacksSecondToReset: whoever recovers a password has something else to prove who they are
// by, and did not; a recovery code stands in for it.
func (v *view) lacksSecondToReset() bool {
	return v.resets() && v.Second && !slices.ContainsFunc(v.Evidence, answers)
}

// isHere reports whether a proof was given in this interaction, or since it began.
func (v *view) isHere(e policy.Evidence) bool {
	return v.Interaction != "" && e.Interaction == string(v.Interaction) || e.At.After(v.Begun)
}

// provenHere reports whether the person proved who they are in this interaction.
func (v *view) provenHere() bool {
	here := slices.DeleteFunc(slices.Clone(v.Evidence), func(e policy.Evidence) bool { return !v.isHere(e) })
	return len(policy.Assess(here, v.Now)) > 0
}

// justNow is how long a proof that was given here is fresh, whatever is asked for: else
// what comes after it, such as a consent, would never be done with.
const justNow = 2 * time.Minute

// isFresh reports whether a's strongest kind of proof is at most so many seconds old,
// or was just given here: what max_age asks for. For 0 only the latter counts.
func (v *view) isFresh(a policy.Assurance, maxAge int64) bool {
	age := v.Now.Sub(a.FreshAt)
	// In whole seconds first: a huge max_age would overflow a duration.
	if whole := int64(age / time.Second); maxAge > 0 && (whole < maxAge || whole == maxAge && age%time.Second == 0) {
		return true
	}
	return age <= justNow && slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return e.At.Equal(a.FreshAt) && v.isHere(e) })
}

// offers: somebody just gave their password here, with all that they have beside it, in a
// browser that knows passkeys, and nothing but signing in is what the app asked for.
func (v *view) offers() bool {
	r := &v.Request
	switch {
	case !v.Offer || !v.Progress.Passkeys || v.Progress.Offered || r.Silent || r.Page != "":
		return false
	case len(r.Prompt) > 0 || r.MaxAge != nil || len(r.acr().All()) > 0:
		return false
	case v.Decision.Outcome != policy.Allow || v.Decision.Risky():
		return false
	}
	return !v.lacksFreshFor(pageRules[PageAddPasskey]) && !v.lacksMailboxFor(pageRules[PageAddPasskey]) &&
		slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return v.isHere(e) && e.Method == policy.Password })
}

// wantsConsent reports whether the person has to be asked. Their earlier answer
// and first_party spare it only where nobody else can pose as the client: a
// confidential client, or a claimed https redirect (RFC 8252 section 8.6).
func (v *view) wantsConsent() bool {
	switch {
	case v.Request.Page != "": // nobody agrees to a page of ours
		return false
	case v.Progress.Consent == ConsentAllow && v.Progress.Withdrawals == v.Consent.Withdrawals: // and did not take it back since
		return false
	case v.prompts("consent"), !v.isRecognised():
		return true
	case v.Client.FirstParty:
		return false
	}
	return !grants.Covers(&v.Consent, v.Request.asked())
}

func (v *view) isRecognised() bool {
	if v.Client.TokenEndpointAuthMethod != "none" {
		return true
	}
	u, err := url.Parse(v.Request.RedirectURI)
	return err == nil && u.Scheme == "https"
}
