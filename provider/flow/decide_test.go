package flow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/storage"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	ada = storage.ID("ada")
	bob = storage.ID("bob")
	own = storage.ID("this interaction")
)

// proven is a password given so long ago; here is one given in this interaction
// at the very moment of its beginning, as under a clock that stands still.
func proven(ago time.Duration) []policy.Evidence {
	return []policy.Evidence{{Method: policy.Password, At: noon.Add(-ago), Interaction: "another interaction"}}
}

func here() []policy.Evidence {
	return []policy.Evidence{{Method: policy.Password, At: noon, Interaction: string(own)}}
}

func seconds(n int64) *int64 { return &n }

// plain is the request of a confidential client that Ada agreed to, with an hour
// old sign-in: nothing is to be asked. The cases say what differs.
func plain(changes ...func(*Input)) Input {
	in := Input{
		Request: Request{
			ClientID: "web", RedirectURI: "https://app.example/cb",
			Scopes: []string{"openid", "profile"}, Resources: []string{"https://api.example"},
		},
		Client:      storage.ClientMetadata{TokenEndpointAuthMethod: "client_secret_basic"},
		Interaction: own, Begun: noon, Now: noon,
		Person: ada, Evidence: proven(time.Hour),
		Decision: policy.Decision{Outcome: policy.Allow},
		Consent: storage.Consent{
			Scopes: []string{"email", "openid", "profile"}, Resources: []string{"https://api.example"}, CreatedAt: storage.At(noon),
		},
		Ways: []Way{byPassword},
	}
	for _, change := range changes {
		change(&in)
	}
	return in
}

func prompt(values ...string) func(*Input) {
	return func(in *Input) { in.Request.Prompt = values }
}
func maxAge(n int64) func(*Input)               { return func(in *Input) { in.Request.MaxAge = seconds(n) } }
func acr(values ...string) func(*Input)         { return func(in *Input) { in.Request.ACRValues = values } }
func evidence(e []policy.Evidence) func(*Input) { return func(in *Input) { in.Evidence = e } }
func decided(d policy.Decision) func(*Input)    { return func(in *Input) { in.Decision = d } }
func progress(p Progress) func(*Input)          { return func(in *Input) { in.Progress = p } }
func essential(values ...string) func(*Input) {
	return func(in *Input) { in.Request.ACREssential = values }
}
func among(ps ...storage.ID) func(*Input) { return func(in *Input) { in.Request.Among = ps } }
func wants(claims ...string) func(*Input) {
	return func(in *Input) {
		in.Request.Claims.Userinfo = map[string][]any{}
		for _, c := range claims {
			in.Request.Claims.Userinfo[c] = nil
		}
	}
}
func hinted(p storage.ID) func(*Input) { return func(in *Input) { in.Request.Person = p } }
func known(hint, as string) func(*Input) {
	return func(in *Input) { in.Request.Subject, in.Subject = hint, as }
}
func knownAmong(as string, subs ...string) func(*Input) {
	return func(in *Input) { in.Request.Subjects, in.Subject = subs, as }
}
func firstParty(in *Input)             { in.Client.FirstParty = true }
func public(in *Input)                 { in.Client.TokenEndpointAuthMethod = "none" }
func redirect(uri string) func(*Input) { return func(in *Input) { in.Request.RedirectURI = uri } }
func neverAgreed(in *Input)            { in.Consent = storage.Consent{} }
func withdrawn(in *Input)              { in.Consent.Withdrawals, in.Consent.WithdrawnAt = 1, storage.At(in.Now) }
func nobody(in *Input) {
	in.Person, in.Evidence, in.Decision, in.Consent = "", nil, policy.Decision{}, storage.Consent{}
}

func otp(in *Input) { in.Ways = append([]Way{byCode}, in.Ways...) }

// texted is somebody with a phone, a code to which counts as a second factor.
func texted(in *Input) {
	way := bySMS
	way.Gives.Accepted = true
	in.Ways = append([]Way{way}, in.Ways...)
}

// unheard is somebody with a phone where it does not.
func unheard(in *Input) { in.Ways = append([]Way{bySMS}, in.Ways...) }

func codes(in *Input) { in.Ways = append(slices.Clone(in.Ways), byRecovery) }

// halted: an authenticator that was stopped.
func halted(in *Input) {
	one := byCode
	one.Stopped = true
	in.Ways = append([]Way{one}, in.Ways...)
}

// theirs vouches for the person.
const theirs = "ada@example.com"

func mailbox(in *Input) { in.Mailboxes = []string{theirs} }

func strict(in *Input) { in.Strict = true }

func synced(in *Input) { in.Ways = append([]Way{bySynced}, in.Ways...) }
func bound(in *Input)  { in.Ways = append([]Way{byBound}, in.Ways...) }

// key is the evidence of a passkey so long ago.
func key(w Way, ago time.Duration, verified bool) policy.Evidence {
	ev := w.Gives
	ev.At, ev.UserVerified, ev.Interaction = noon.Add(-ago), verified, "another interaction"
	return ev
}

func recovered(ago time.Duration) policy.Evidence {
	return policy.Evidence{Method: policy.Recovery, At: noon.Add(-ago), Interaction: "another interaction"}
}

func sent(ago time.Duration) policy.Evidence {
	return policy.Evidence{Method: policy.Mail, At: noon.Add(-ago), Credential: theirs, Interaction: "another interaction"}
}

func byText(ago time.Duration, accepted bool) policy.Evidence {
	return policy.Evidence{Method: policy.SMS, At: noon.Add(-ago), Interaction: "another interaction", Accepted: accepted}
}

func code(ago time.Duration) policy.Evidence {
	return policy.Evidence{Method: policy.OneTime, At: noon.Add(-ago), Interaction: "another interaction"}
}

// asks is of a sign-in with one factor an hour or so long ago, after which the person is
// to be asked for another.
func asks(asking policy.Asking, ago ...time.Duration) func(*Input) {
	return func(in *Input) {
		in.Asking, in.AsksSince = asking, noon.Add(-append(ago, time.Hour)[0])
	}
}

func page(p Page) func(*Input) {
	return func(in *Input) { in.Request = Request{Page: p} }
}

// stolen: the password that was given here is in lists of stolen ones.
func stolen(in *Input) {
	in.Evidence = here()
	in.Evidence[0].Breached = true
}

func also(ev policy.Evidence) func(*Input) {
	return func(in *Input) { in.Evidence = append(in.Evidence, ev) }
}

func require(acr string, methods ...string) policy.Decision {
	return policy.Decision{Outcome: policy.Require, ACR: acr, Methods: methods}
}

func risky(outcome policy.Outcome, acr string) policy.Decision {
	return policy.Decision{Outcome: outcome, ACR: acr, Level: policy.High}
}

// calm is a person who just gave their password, in a browser that knows passkeys, and
// who may be offered one.
func calm(in *Input) { in.Evidence, in.Offer, in.Progress.Passkeys = here(), true, true }

// TestNext is the table of what next: the answer to a request that may ask, and
// to the same one with prompt=none.
func TestNext(t *testing.T) {
	mailed := []policy.Evidence{{Method: policy.Mail, At: noon}}
	const (
		password = "password"
		again    = "password again"
		account  = "account"
		passkey  = "passkey again"
		consent  = "consent"
		offer    = "offer-passkey"
		// Before the steps of which the browser can spare its person from now on.
		remembers = "remembering "
		done      = "done"
	)
	fired := map[string]bool{}
	for _, tc := range []struct {
		name         string
		in           Input
		asks, silent string
	}{
		{"signed in and agreed", plain(), done, done},
		{"nobody is signed in", plain(nobody), password, LoginRequired},
		{"nobody, select_account", plain(nobody, prompt("select_account")), password, LoginRequired},
		{"an account that is not signed in was chosen", plain(nobody, prompt("select_account"), progress(Progress{Chosen: true})), password, LoginRequired},

		{"cancelled", plain(progress(Progress{Cancelled: true})), AccessDenied, AccessDenied},
		{"cancelled before signing in", plain(nobody, progress(Progress{Cancelled: true})), AccessDenied, AccessDenied},
		{"did not agree", plain(progress(Progress{Consent: ConsentDeny})), AccessDenied, AccessDenied},

		{"select_account", plain(prompt("select_account")), account, AccountSelectionRequired},
		{"select_account, chosen", plain(prompt("select_account"), progress(Progress{Chosen: true, Session: "s"})), done, done},
		{"select_account before login", plain(prompt("login", "select_account")), account, AccountSelectionRequired},
		{"select_account chosen, then login", plain(prompt("login", "select_account"), progress(Progress{Chosen: true, Session: "s"})), again, LoginRequired},

		{"hinted person is signed in", plain(hinted(ada)), done, done},
		{"hinted person is not", plain(hinted(bob)), password, LoginRequired},
		{"hinted subject is signed in", plain(known("p_1", "p_1")), done, done},
		{"hinted subject is not", plain(known("p_1", "p_2")), password, LoginRequired},
		{"hinted subject is not, and somebody else signed in here", plain(known("p_1", "p_2"), progress(Progress{Chosen: true, Session: "s"})), LoginRequired, LoginRequired},
		{"hinted person is not, and somebody else signed in here", plain(hinted(bob), progress(Progress{Chosen: true, Session: "s"})), LoginRequired, LoginRequired},

		{"the person of sub is signed in", plain(among(bob, ada)), done, done},
		{"the person of sub is not", plain(among(bob)), password, LoginRequired},
		{"the person of sub is, and the hint names another", plain(among(ada), hinted(bob)), password, LoginRequired},
		{"the subject of sub is signed in", plain(knownAmong("p_1", "p_2", "p_1")), done, done},
		{"the subject of sub is not", plain(knownAmong("p_1", "p_2")), password, LoginRequired},
		{"the person of sub is not, and somebody else signed in here", plain(among(bob), progress(Progress{Chosen: true, Session: "s"})), LoginRequired, LoginRequired},

		{"every proof lapsed", plain(evidence(proven(91 * 24 * time.Hour))), again, LoginRequired},
		{"a session without proof", plain(evidence(nil)), again, LoginRequired},

		{"login", plain(prompt("login")), again, LoginRequired},
		{"login, proven here", plain(prompt("login"), evidence(here())), done, done},
		{"login, proven at the same moment elsewhere", plain(prompt("login"), evidence(proven(0))), again, LoginRequired},
		{"login, proven later elsewhere", plain(prompt("login"), evidence(proven(-time.Millisecond))), done, done},
		{"login, a mailed code is no sign-in", plain(prompt("login"), evidence(append(proven(time.Hour), policy.Evidence{Method: policy.Mail, At: noon, Interaction: string(own)}))), again, LoginRequired},

		{"max_age not reached", plain(maxAge(3601)), done, done},
		{"max_age just reached", plain(maxAge(3600)), done, done},
		{"max_age passed by a blink", plain(maxAge(3600), evidence(proven(time.Hour+1))), again, LoginRequired},
		{"max_age passed", plain(maxAge(3599)), again, LoginRequired},
		{"max_age of 0", plain(maxAge(0), evidence(proven(0))), again, LoginRequired},
		{"max_age of 0, proven here", plain(maxAge(0), evidence(here())), done, done},
		{"max_age passed since proven here", plain(maxAge(1), evidence(here()), func(in *Input) { in.Now = noon.Add(time.Minute) }), done, done},
		{"max_age passed long since proven here", plain(maxAge(1), evidence(here()), func(in *Input) { in.Now = noon.Add(3 * time.Minute) }), again, LoginRequired},
		{"max_age of 0, long since proven here", plain(maxAge(0), evidence(here()), func(in *Input) { in.Now = noon.Add(3 * time.Minute) }), again, LoginRequired},
		{"max_age beyond what a duration holds", plain(maxAge(1 << 62)), done, done},

		{"the rules deny", plain(decided(policy.Decision{Outcome: policy.Deny})), AccessDenied, AccessDenied},
		{"no decision", plain(decided(policy.Decision{})), AccessDenied, AccessDenied},
		{"denied whatever was proven", plain(decided(policy.Decision{Outcome: policy.Deny}), evidence(here())), AccessDenied, AccessDenied},

		{"acr held", plain(acr("aal1")), done, done},
		{"acr unknown", plain(acr("urn:example:gold")), done, done},
		{"acr a list of alternatives", plain(acr("aal2", "aal1")), done, done},
		{"acr out of reach", plain(acr("aal2")), UnmetRequirements, UnmetRequirements},
		{"acr out of reach beside an unknown one", plain(acr("urn:example:gold", "phr")), UnmetRequirements, UnmetRequirements},
		{"acr within reach", plain(acr("aal2"), otp), "totp again", InteractionRequired},
		{"acr out of reach, but nobody is signed in", plain(nobody, acr("aal2")), password, LoginRequired},

		{"essential acr held", plain(essential("aal1")), done, done},
		{"essential acr unknown", plain(essential("urn:example:gold")), UnmetRequirements, UnmetRequirements},
		{"essential acr out of reach", plain(essential("phr", "aal3")), UnmetRequirements, UnmetRequirements},
		{"essential acr within reach", plain(essential("urn:example:gold", "aal2"), otp), "totp again", InteractionRequired},
		{"essential acr held, another out of reach", plain(essential("aal1"), acr("aal2")), UnmetRequirements, UnmetRequirements},

		{"the rules require what is held", plain(decided(require("aal1"))), done, done},
		{"the rules require what nobody can reach", plain(decided(require("aal2"))), UnmetRequirements, InteractionRequired},
		{"the rules require what can be reached", plain(decided(require("aal2")), otp), "totp again", InteractionRequired},
		{"the rules require a method that there is not", plain(decided(require("aal2", policy.Hardware)), otp), UnmetRequirements, InteractionRequired},
		{"the rules require a newer proof", plain(decided(policy.Decision{Outcome: policy.Require, ACR: "aal1", MaxAge: time.Minute})), again, InteractionRequired},

		{"signed in with one factor of two", plain(asks(policy.AskUnusual), otp), remembers + "totp again", InteractionRequired},
		{"signed in with one factor, and there is none else", plain(asks(policy.AskUnusual)), done, done},
		{"signed in with one factor, and there is none else but codes for it", plain(asks(policy.AskUnusual), codes), done, done},
		{"signed in with one factor, a passkey or a code for it", plain(asks(policy.AskUnusual), otp, synced, codes), remembers + "passkey or totp or recovery again", InteractionRequired},
		{"signed in with one factor of two, who always wants to be asked", plain(asks(policy.AskAlways), otp), "totp again", InteractionRequired},
		{"signed in with one factor and the other", plain(asks(policy.AskUnusual), otp, evidence(append(proven(time.Hour), code(time.Hour)))), done, done},
		{"signed in with both factors, which lapsed as such since", plain(asks(policy.AskUnusual, 48*time.Hour), otp, evidence(append(proven(48*time.Hour), code(47*time.Hour)))), done, done},
		{"signed in again with one factor, after both", plain(asks(policy.AskUnusual), otp, evidence(append(proven(time.Hour), code(2*time.Hour)))), remembers + "totp again", InteractionRequired},
		{"signed in with one factor and a recovery code", plain(asks(policy.AskUnusual), otp, codes, evidence(append(proven(time.Hour), recovered(time.Hour)))), done, done},
		{"signed in with one factor, a recovery code of before", plain(asks(policy.AskUnusual), otp, codes, evidence(append(proven(time.Hour), recovered(2*time.Hour)))), remembers + "totp or recovery again", InteractionRequired},
		{"signed in with one factor of two, and the app wants both", plain(asks(policy.AskUnusual), otp, codes, acr("aal2")), "totp again", InteractionRequired},
		{"signed in with one factor of two, which may be another's, where any proof will do", plain(page(PageSessions), asks(policy.AskUnusual), otp, evidence(proven(time.Minute))), done, done},
		{"signed in with one factor of two, at a page", plain(page(PageSecurity), asks(policy.AskUnusual), otp, codes), remembers + "totp or recovery again", InteractionRequired},

		{"aal2 by a passkey", plain(acr("aal2"), synced), passkey, InteractionRequired},
		{"aal2 by a passkey that verified its user", plain(acr("aal2"), synced, evidence([]policy.Evidence{key(bySynced, time.Hour, true)})), done, done},
		{"aal2 by a passkey that did not, and the password", plain(acr("aal2"), synced, evidence(append(proven(time.Hour), key(bySynced, time.Hour, false)))), done, done},
		{"aal2 by a passkey that did not, alone", plain(acr("aal2"), synced, evidence([]policy.Evidence{key(bySynced, time.Hour, false)})), "passkey or password again", InteractionRequired},
		{"aal3 by a passkey that may be elsewhere", plain(acr("aal3"), synced), UnmetRequirements, UnmetRequirements},
		{"aal3 by one that stays in its device", plain(acr("aal3"), bound), passkey, InteractionRequired},
		{"aal3 by either", plain(acr("aal3"), synced, bound), passkey, InteractionRequired},
		{"phr", plain(acr("phr"), synced), passkey, InteractionRequired},
		{"aal2 by a passkey or a code", plain(acr("aal2"), otp, synced), "passkey or totp again", InteractionRequired},
		{"max_age at aal2: the password is not enough", plain(maxAge(60), synced, evidence(append(proven(0), key(bySynced, time.Hour, true)))), passkey, LoginRequired},
		{"max_age at aal1: any will do", plain(maxAge(60), synced), "passkey or password again", LoginRequired},
		{"nobody, with a passkey somewhere", plain(nobody, synced), password, LoginRequired},

		{"a page", plain(page(PageSecurity)), done, done},
		{"a page of proofs, an hour after the password", plain(page(PageFactor)), again, LoginRequired},
		{"a page of proofs, just after the password", plain(page(PageFactor), evidence(proven(time.Minute))), done, done},
		{"a page of proofs, just after the password, with a passkey", plain(page(PageFactor), evidence(proven(time.Minute)), synced), passkey, LoginRequired},
		{"a page of proofs, just after a passkey", plain(page(PageFactor), synced, evidence([]policy.Evidence{key(bySynced, time.Minute, true)})), done, done},
		{"a page of proofs, an hour after a passkey", plain(page(PageFactor), synced, evidence([]policy.Evidence{key(bySynced, time.Hour, true)})), passkey, LoginRequired},
		{"a page of proofs, all but a recovery code lost, an hour after the password", plain(page(PageFactor), synced, codes), "passkey or password or recovery again", LoginRequired},
		{"a page of proofs, all but a recovery code lost, just after the password", plain(page(PageFactor), synced, codes, evidence(proven(time.Minute))), "passkey or recovery again", LoginRequired},
		{"a page of proofs, with a recovery code", plain(page(PageFactor), synced, codes, evidence(append(proven(time.Minute), recovered(time.Minute)))), done, done},
		{"a page of proofs, with an old recovery code", plain(page(PageFactor), synced, codes, evidence(append(proven(time.Minute), recovered(11*time.Minute)))), "passkey or recovery again", LoginRequired},
		{"a page of proofs, with a recovery code alone", plain(page(PageFactor), synced, codes, evidence(append(proven(time.Hour), recovered(time.Minute)))), "passkey or password again", LoginRequired},
		{"where one is signed in, just after the password, with somebody's passkey", plain(page(PageSessions), evidence(proven(time.Minute)), synced), done, done},
		{"where one is signed in, an hour after the password", plain(page(PageSessions), synced), "passkey or password again", LoginRequired},
		{"a recovery code is no second factor", plain(acr("aal2"), codes, evidence(append(proven(time.Minute), recovered(time.Minute)))), UnmetRequirements, UnmetRequirements},
		{"a page of proofs in a risky session", plain(page(PageFactor), evidence(proven(0)), decided(risky(policy.Allow, ""))), AccessDenied, AccessDenied},
		{"a page of proofs in a risky session that proved more", plain(page(PageFactor), evidence(proven(0)), decided(risky(policy.Require, "aal1"))), AccessDenied, AccessDenied},
		{"a page of proofs where the rules always want more, and have it", plain(page(PageFactor), evidence(proven(0)), decided(require("aal1"))), done, done},
		{"a page of proofs where the rules want what nobody can reach", plain(page(PageFactor), evidence(proven(0)), decided(require("aal2"))), UnmetRequirements, InteractionRequired},
		{"a first factor where the rules want two, and no address was proven", plain(page(PageAddPasskey), mailbox, evidence(proven(0)), decided(require("aal2"))), "mail again", InteractionRequired},
		{"a first factor where the rules want two, and there is no address", plain(page(PageAddPasskey), evidence(proven(0)), decided(require("aal2"))), UnmetRequirements, InteractionRequired},
		{"a first factor where the rules want two, and an address was proven", plain(page(PageAddPasskey), mailbox, evidence(proven(0)), also(sent(time.Minute)), decided(require("aal2"))), "add-passkey", InteractionRequired},
		{"a first factor where the rules want two, and an address was proven long ago", plain(page(PageAddPasskey), mailbox, evidence(proven(0)), also(sent(11*time.Minute)), decided(require("aal2"))), "mail again", InteractionRequired},
		{"a first factor where the rules want two, an hour after the password", plain(page(PageAddTOTP), mailbox, also(sent(time.Minute)), decided(require("aal2"))), again, LoginRequired},
		{"a first factor where the rules want two, and they have recovery codes", plain(page(PageAddTOTP), codes, mailbox, evidence(proven(0)), decided(require("aal2"))), "mail again", InteractionRequired},
		{"a first factor where the rules want two, where people find out how", plain(page(PageSecurity), mailbox, evidence(proven(0)), decided(require("aal2"))), done, done},
		{"a first factor where the rules want two, added", plain(page(PageAddTOTP), mailbox, evidence(proven(0)), progress(Progress{Done: true}), decided(require("aal2"))), done, done},
		{"a first factor of somebody of whom an app will require it", plain(page(PageAddPasskey), strict, mailbox, evidence(proven(0))), "mail again", InteractionRequired},
		{"a first factor of somebody of whom an app will require it, and an address was proven", plain(page(PageAddPasskey), strict, mailbox, evidence(proven(0)), also(sent(time.Minute))), "add-passkey", InteractionRequired},
		{"another factor of whom an app requires one", plain(page(PageAddPasskey), strict, otp, evidence(append(proven(0), code(0)))), "add-passkey", InteractionRequired},
		{"a first factor where the rules want two, by a recovery code", plain(page(PageAddTOTP), codes, mailbox, evidence(append(proven(0), recovered(0))), decided(require("aal2"))), "mail again", InteractionRequired},
		{"a first factor where the rules want two, by another address", plain(page(PageAddTOTP), mailbox, evidence(proven(0)), also(policy.Evidence{Method: policy.Mail, At: noon, Credential: "thief@example.com"}), decided(require("aal2"))), "mail again", InteractionRequired},
		{"first recovery codes of somebody of whom an app will require a factor", plain(page(PageRecovery), strict, mailbox, evidence(proven(0))), "mail again", InteractionRequired},
		{"first recovery codes of somebody of whom an app will require a factor, and an address was proven", plain(page(PageRecovery), strict, mailbox, evidence(proven(0)), also(sent(0))), "recovery-codes", InteractionRequired},
		{"recovery codes of whom an app requires a factor", plain(page(PageRecovery), strict, otp, evidence(append(proven(0), code(0)))), "recovery-codes", InteractionRequired},
		{"a factor that is lost where the rules want two", plain(page(PageFactor), otp, codes, evidence(proven(0)), decided(require("aal2"))), "totp or recovery again", InteractionRequired},
		{"a factor that is lost where the rules want two, by a recovery code", plain(page(PageFactor), otp, codes, evidence(append(proven(0), recovered(0))), decided(require("aal2"))), done, done},
		{"what is lost is put right where the rules want two, by a recovery code", plain(page(PageSecurity), otp, codes, evidence(append(proven(0), recovered(0))), decided(require("aal2"))), done, done},
		{"a recovery code opens no app where the rules want two", plain(otp, codes, evidence(append(proven(0), recovered(0))), decided(require("aal2"))), "totp again", InteractionRequired},
		{"a recovery code in a risky session", plain(page(PageFactor), otp, codes, evidence(append(proven(0), recovered(0))), decided(risky(policy.Require, "aal2"))), "totp again", InteractionRequired},
		{"the rules require a new proof of a strong kind, and mail is none", plain(mailbox, synced, evidence(append(proven(time.Hour), key(bySynced, time.Hour, true))), also(sent(0)), decided(policy.Decision{Outcome: policy.Require, ACR: policy.PHR, MaxAge: 5 * time.Minute})), passkey, InteractionRequired},
		{"the rules require a new proof of a strong kind, and the password is none", plain(synced, evidence(append(proven(0), key(bySynced, time.Hour, true))), decided(policy.Decision{Outcome: policy.Require, ACR: policy.PHR, MaxAge: 5 * time.Minute})), passkey, InteractionRequired},
		{"a first factor that nobody requires", plain(page(PageAddPasskey), mailbox, evidence(proven(0))), "add-passkey", InteractionRequired},
		{"a mailed code is never what the rules require", plain(mailbox, also(sent(time.Minute)), decided(require("aal2"))), UnmetRequirements, InteractionRequired},
		{"a mailed code is never the second factor", plain(mailbox, acr("aal2"), also(sent(time.Minute))), UnmetRequirements, UnmetRequirements},
		{"a second factor where the rules want two", plain(page(PageAddPasskey), otp, evidence(proven(0)), decided(require("aal2"))), "totp again", InteractionRequired},
		{"a first factor in a risky session", plain(page(PageAddPasskey), evidence(proven(0)), decided(risky(policy.Allow, ""))), AccessDenied, AccessDenied},
		{"a first factor in a risky session that is to prove more", plain(page(PageAddPasskey), evidence(proven(0)), decided(risky(policy.Require, "aal2"))), UnmetRequirements, InteractionRequired},
		{"new recovery codes are no factor", plain(page(PageRecovery), evidence(proven(0)), decided(require("aal2"))), UnmetRequirements, InteractionRequired},
		{"a passkey where the rules want one, with an authenticator", plain(page(PageAddPasskey), otp, evidence(proven(0)), decided(require("phr"))), "totp again", LoginRequired},
		{"a passkey where the rules want one, after a code", plain(page(PageAddPasskey), otp, evidence(proven(0)), also(code(time.Minute)), decided(require("phr"))), "add-passkey", InteractionRequired},
		{"a passkey where the rules want one, an hour after a code", plain(page(PageAddPasskey), otp, evidence(proven(0)), also(code(time.Hour)), decided(require("phr"))), "totp again", LoginRequired},
		{"a passkey where the rules want one, where they are not added", plain(page(PageFactor), otp, evidence(proven(0)), also(code(time.Minute)), decided(require("phr"))), UnmetRequirements, InteractionRequired},
		{"a passkey where the rules want one, in a risky session", plain(page(PageAddPasskey), otp, evidence(proven(0)), also(code(time.Minute)), decided(risky(policy.Require, "phr"))), UnmetRequirements, InteractionRequired},
		{"a passkey that stays in its device, where the rules want one", plain(page(PageAddPasskey), synced, also(key(bySynced, time.Minute, true)), decided(require("phrh"))), "add-passkey", InteractionRequired},
		{"a stolen password where a first factor is added that the rules want", plain(stolen, mailbox, page(PageAddPasskey), decided(require("aal2"))), "mail again", InteractionRequired},
		{"a stolen password, and an address was proven", plain(stolen, mailbox, also(sent(0)), page(PageAddPasskey), decided(require("aal2"))), "breached", InteractionRequired},
		{"a stolen password that is replaced before, by whom is not known", plain(stolen, mailbox, page(PageAddPasskey), decided(require("aal2")), progress(Progress{Breached: BreachedReplace})), "mail again", InteractionRequired},
		{"a stolen password that is replaced before", plain(stolen, mailbox, also(sent(0)), page(PageAddPasskey), decided(require("aal2")), progress(Progress{Breached: BreachedReplace})), "new-password", InteractionRequired},
		{"a stolen password that stays, where a first factor is added that the rules want", plain(stolen, mailbox, also(sent(0)), page(PageAddPasskey), decided(require("aal2")), progress(Progress{Breached: BreachedLater})), "add-passkey", InteractionRequired},
		{"a stolen password that was", plain(evidence(here()), mailbox, also(sent(0)), page(PageAddPasskey), decided(require("aal2")), progress(Progress{Breached: BreachedLater})), "add-passkey", InteractionRequired},

		{"what was stopped is not asked for", plain(halted, acr("aal2")), "lost again", InteractionRequired},
		{"what was stopped is not asked for where there is another", plain(halted, synced, acr("aal2")), passkey, InteractionRequired},
		{"what was stopped is not asked for where the rules want two", plain(halted, codes, decided(require("aal2"))), "lost again", InteractionRequired},
		{"what was stopped is put right by a recovery code", plain(page(PageFactor), halted, codes, evidence(proven(0))), "recovery again", LoginRequired},
		{"what was stopped is put right by a recovery code where the rules want two", plain(page(PageSecurity), halted, codes, evidence(proven(0)), decided(require("aal2"))), "recovery again", InteractionRequired},
		{"what was stopped is put right by a recovery code, an hour after the password", plain(page(PageFactor), halted, codes), "password or recovery again", LoginRequired},
		{"what was stopped guards what it did", plain(page(PageAddPasskey), halted, evidence(proven(0))), "lost again", LoginRequired},
		{"what was stopped guards what it did, an hour after the password", plain(page(PageAddPasskey), halted), "lost again", LoginRequired},
		{"what was stopped is no reason to prove an address", plain(page(PageAddPasskey), halted, strict, mailbox, evidence(proven(0)), decided(require("aal2"))), "lost again", InteractionRequired},
		{"what was stopped is asked for by its person", plain(halted, asks(policy.AskAlways)), "lost again", InteractionRequired},
		{"what was stopped is asked for by its person, and they have recovery codes", plain(halted, codes, asks(policy.AskAlways)), "recovery again", InteractionRequired},
		{"a lost password of somebody whose authenticator was stopped", plain(page(PageRecover), evidence(mailed), func(in *Input) { in.Second, in.Ways = true, nil; halted(in) }), "lost again", InteractionRequired},

		{"a page for one step", plain(page(PageAddPasskey), evidence(proven(time.Minute))), "add-passkey", InteractionRequired},
		{"a page for one step, an hour after the password", plain(page(PageAddPasskey)), again, LoginRequired},
		{"a page for one step, done", plain(page(PageAddPasskey), evidence(proven(time.Minute)), progress(Progress{Done: true})), done, done},
		{"a page for one step, done, and there is a new way to prove", plain(page(PageAddPasskey), evidence(proven(time.Minute)), synced, progress(Progress{Done: true})), done, done},
		{"a page for one step, given up", plain(page(PageAddPasskey), progress(Progress{Cancelled: true})), AccessDenied, AccessDenied},
		{"a lost password, of nobody yet", plain(page(PageRecover), func(in *Input) { in.Person = "" }), "recover", LoginRequired},
		{"a lost password, the address proven", plain(page(PageRecover), evidence(mailed)), "reset", InteractionRequired},
		{"a lost password of somebody with an authenticator", plain(page(PageRecover), evidence(mailed), func(in *Input) { in.Second, in.Ways = true, []Way{byCode} }), "totp again", InteractionRequired},
		{"a lost password where somebody else may be at work", plain(page(PageRecover), evidence(mailed), decided(risky(policy.Allow, ""))), AccessDenied, AccessDenied},
		{"a lost password, and a recovery code", plain(page(PageRecover), evidence(append(mailed, recovered(time.Minute))), func(in *Input) { in.Second, in.Ways = true, []Way{byCode} }), "reset", InteractionRequired},
		{"a lost password of somebody whose factor cannot be used now", plain(page(PageRecover), evidence(mailed), func(in *Input) { in.Second, in.Ways = true, nil }), LoginRequired, InteractionRequired},
		{"a lost password where the rules want more than another one", plain(page(PageRecover), evidence(mailed), decided(require("aal2"))), UnmetRequirements, InteractionRequired},

		{"a stolen password was given here", plain(stolen), "breached", done},
		{"a stolen password was given elsewhere", plain(evidence(proven(time.Hour)), func(in *Input) { in.Evidence[0].Breached = true }), done, done},
		{"a stolen password, before anything was begun", plain(stolen, func(in *Input) { in.Interaction, in.Evidence[0].Interaction = "", "" }), done, done},
		{"a stolen password, to be replaced later", plain(stolen, progress(Progress{Breached: BreachedLater})), done, done},
		{"a stolen password, to be replaced now", plain(stolen, progress(Progress{Breached: BreachedReplace})), "new-password", InteractionRequired},
		{"a stolen password, to be replaced now, with a passkey", plain(stolen, synced, progress(Progress{Breached: BreachedReplace})), passkey, LoginRequired},
		{"a stolen password, to be replaced now, just after a passkey", plain(stolen, synced, progress(Progress{Breached: BreachedReplace}), also(key(bySynced, time.Minute, true))), "new-password", InteractionRequired},
		{"a stolen password, to be replaced now, after another step was done", plain(stolen, synced, page(PageAddPasskey), progress(Progress{Breached: BreachedReplace, Done: true})), passkey, LoginRequired},
		{"a stolen password, replaced", plain(evidence(here()), progress(Progress{Breached: BreachedLater})), done, done},
		{"a stolen password comes after what the rules require", plain(stolen, otp, decided(require("aal2"))), "totp again", InteractionRequired},
		{"a stolen password, with what the rules require", plain(stolen, otp, decided(require("aal1"))), "breached", done},
		{"a stolen password is not replaced where somebody else may be at work", plain(stolen, decided(risky(policy.Allow, "")), progress(Progress{Breached: BreachedReplace})), done, done},
		{"a stolen password comes before consent", plain(stolen, neverAgreed), "breached", ConsentRequired},
		{"a stolen password, where a page is for one step", plain(stolen, page(PageAddPasskey)), "breached", InteractionRequired},
		{"a stolen password, where only what is older than a moment counts", plain(stolen, page(PageDisown), func(in *Input) { in.Request.Before = noon }), "disown", InteractionRequired},
		{"a stolen password, where it is replaced in any case", plain(stolen, page(PagePassword)), "new-password", InteractionRequired},

		{"never agreed", plain(neverAgreed), consent, ConsentRequired},
		{"never agreed, no scope", plain(neverAgreed, func(in *Input) { in.Request.Scopes, in.Request.Resources = nil, nil }), consent, ConsentRequired},
		{"a wider scope", plain(func(in *Input) { in.Request.Scopes = []string{"openid", "phone"} }), consent, ConsentRequired},
		{"another resource", plain(func(in *Input) { in.Request.Resources = []string{"https://other.example"} }), consent, ConsentRequired},
		{"another claim", plain(wants("phone_number")), consent, ConsentRequired},
		{"a claim of a scope that was agreed to", plain(wants("email", "name")), done, done},
		{"a claim that was agreed to", plain(wants("phone_number"), func(in *Input) { in.Consent.Claims = []string{"phone_number"} }), done, done},
		{"another claim, first party", plain(wants("phone_number"), firstParty), done, done},
		{"agreed in this interaction", plain(neverAgreed, progress(Progress{Consent: ConsentAllow})), done, done},
		{"agreed in this interaction, and withdrawn since", plain(neverAgreed, withdrawn, progress(Progress{Consent: ConsentAllow})), consent, ConsentRequired},
		{"withdrawn, and agreed in this interaction", plain(neverAgreed, withdrawn, progress(Progress{Consent: ConsentAllow, Withdrawals: 1})), done, done},
		{"withdrawn", plain(withdrawn), consent, ConsentRequired},
		{"withdrawn, first party", plain(withdrawn, firstParty), done, done},
		{"prompt=consent", plain(prompt("consent")), consent, ConsentRequired},
		{"prompt=consent, first party", plain(prompt("consent"), firstParty), consent, ConsentRequired},
		{"prompt=consent, agreed here", plain(prompt("consent"), progress(Progress{Consent: ConsentAllow})), done, done},
		{"first party, never agreed", plain(neverAgreed, firstParty), done, done},
		{"public client on a claimed https redirect", plain(public), done, done},
		{"public client on a loopback redirect", plain(public, redirect("http://127.0.0.1:9876/cb")), consent, ConsentRequired},
		{"public client on a private-use scheme", plain(public, redirect("com.example.app:/cb")), consent, ConsentRequired},
		{"public first party on a loopback redirect", plain(public, firstParty, redirect("http://[::1]/cb")), consent, ConsentRequired},
		{"public client on a loopback redirect, agreed here", plain(public, redirect("http://127.0.0.1/cb"), progress(Progress{Consent: ConsentAllow})), done, done},
		{"calm, in a browser that knows passkeys", plain(calm), offer, done},
		{"calm, and the rules guard something by more than a password", plain(calm, strict), done, done},
		{"calm, and the rules guard something by more than a password, and an address was proven", plain(calm, strict, mailbox, also(sent(time.Minute))), offer, done},
		{"calm, after password and code", plain(calm, otp, func(in *Input) { in.Evidence = append(in.Evidence, key(byCode, time.Minute, false)) }), offer, done},
		{"calm, and they have an authenticator that they did not use", plain(calm, otp), done, done},
		{"calm, and consent comes first", plain(calm, neverAgreed), consent, ConsentRequired},
		{"calm, and it was answered", plain(calm, progress(Progress{Passkeys: true, Offered: true})), done, done},
		{"calm, without scripts", plain(calm, progress(Progress{})), done, done},
		{"calm, and they have one, or were asked lately", plain(calm, func(in *Input) { in.Offer = false }), done, done},
		{"calm, and signed in before", plain(calm, evidence(proven(time.Minute))), done, done},
		{"calm, signed in by a passkey that is gone", plain(calm, evidence([]policy.Evidence{key(byCode, 0, false)})), done, done},
		{"calm, and the page stood open", plain(calm, func(in *Input) { in.Now = in.Now.Add(9 * time.Minute) }), offer, done},
		{"calm, and the page stood open too long", plain(calm, func(in *Input) { in.Now = in.Now.Add(11 * time.Minute) }), done, done},
		{"calm, but prompt", plain(calm, prompt("login")), done, done},
		{"calm, but max_age", plain(calm, maxAge(3600)), done, done},
		{"calm, but acr_values", plain(calm, acr("aal1")), done, done},
		{"calm, but an acr that would do", plain(calm, func(in *Input) { in.Request.ACRPreferred = []string{"aal2"} }), done, done},
		{"calm, but the rules want something", plain(calm, decided(require("aal1"))), done, done},
		{"not calm", plain(calm, decided(risky(policy.Allow, ""))), done, done},
		{"a page, when all is calm", plain(calm, page(PageSecurity)), done, done},
		{"a text message for aal2", plain(acr("aal2"), texted, codes), "sms again", InteractionRequired},
		{"a text message for aal2, where it counts for nothing", plain(acr("aal2"), unheard), UnmetRequirements, UnmetRequirements},
		{"the password comes before the text message", plain(acr("aal2"), evidence(nil), texted), "password again", LoginRequired},
		{"an app comes before the text message", plain(acr("aal2"), texted, otp), "totp or sms again", InteractionRequired},
		{"a text message for phr", plain(acr("phr"), texted), UnmetRequirements, UnmetRequirements},
		{"a text message for aal3", plain(acr("aal3"), texted, otp), UnmetRequirements, UnmetRequirements},
		{"a text message for a person who wants to be asked", plain(texted, codes, asks(policy.AskUnusual, time.Hour)), "remembering sms or recovery again", InteractionRequired},
		{"a text message, where it counts for nothing, for a person who wants to be asked", plain(unheard, asks(policy.AskUnusual, time.Hour)), done, done},
		{"a rule that names text messages", plain(decided(require("aal1", "sms")), unheard, otp), "sms again", InteractionRequired},
		{"a rule that names text messages, of who has none", plain(decided(require("aal1", "sms")), otp), UnmetRequirements, InteractionRequired},
		{"a rule that names text messages, and more, and all of it lapsed", plain(decided(require("aal2", "sms")), unheard, otp, evidence([]policy.Evidence{{Method: policy.Password, At: noon.Add(-30 * time.Hour), Interaction: "another interaction"}})), "totp or password again", InteractionRequired},
		{"a rule that names text messages, and more, of which one is left", plain(decided(require("aal2", "sms")), unheard, otp, evidence([]policy.Evidence{{Method: policy.Password, At: noon.Add(-time.Minute), Interaction: "another interaction"}, code(time.Minute)})), "sms again", InteractionRequired},
		{"a rule that names text messages, met", plain(decided(require("aal1", "sms")), unheard, also(byText(time.Minute, false))), done, done},
		{"a rule that names text messages, and more", plain(decided(require("aal2", "sms")), unheard, also(byText(time.Minute, false))), UnmetRequirements, InteractionRequired},
		{"proofs of who has a phone", plain(page(PageFactor), texted, evidence(here())), "sms again", LoginRequired},
		{"proofs of who has a phone, where it counts for nothing", plain(page(PageFactor), unheard, evidence(here())), done, done},
		{"a first passkey, where the rules are strict, of who has a phone", plain(page(PageAddPasskey), strict, texted, evidence(here())), "sms again", LoginRequired},
		{"a first passkey, where the rules are strict, and a phone counts for nothing", plain(page(PageAddPasskey), strict, unheard, mailbox, evidence(here())), "mail again", InteractionRequired},
		{"login comes before consent", plain(prompt("login", "consent")), again, LoginRequired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := Decide(tc.in)
			fired[next.Rule] = true
			if got := text(next); got != tc.asks {
				t.Errorf("asked: %s (%s), want %s", got, next.Rule, tc.asks)
			}
			tc.in.Request.Silent = true
			if got := text(Decide(tc.in)); got != tc.silent {
				t.Errorf("silent: %s, want %s", got, tc.silent)
			}
		})
	}
	for _, r := range table {
		if !fired[r.says] {
			t.Errorf("no case for the rule %q (%s)", r.says, r.cites)
		}
	}
}

// TestPasskeysThatLeadOnAreAskedFor, and no others; who used another one is told so.
func TestPasskeysThatLeadOnAreAskedFor(t *testing.T) {
	both := mixed
	used := func(credential string, w Way, verified bool) func(*Input) {
		return func(in *Input) {
			ev := key(w, 0, verified)
			ev.Credential, ev.Interaction = credential, string(own)
			in.Evidence = append(in.Evidence, ev)
		}
	}
	elsewhere := func(in *Input) {
		ev := key(bySynced, time.Minute, true)
		ev.Credential = "synced"
		in.Evidence = append(in.Evidence, ev)
	}
	for _, tc := range []struct {
		name     string
		in       Input
		passkeys []string
		another  bool
	}{
		{"either is enough", plain(acr("aal2"), both), []string{"bound", "synced"}, false},
		{"one that stays in its device", plain(acr("aal3"), both), []string{"bound"}, false},
		{"one that stays in its device, and the other was used before", plain(acr("phrh"), both, elsewhere), []string{"bound"}, false},
		{"one that stays in its device, and the other was used here", plain(acr("aal3"), both, used("synced", bySynced, true)), []string{"bound"}, true},
		{"one that stays in its device, once more", plain(acr("aal3"), prompt("login"), both), []string{"bound"}, false},
		{"one that verifies its user, and it did not", plain(acr("aal2"), evidence(nil), both, used("synced", bySynced, false)), []string{"bound"}, true},
		{"none, at the password", plain(maxAge(60), evidence(proven(time.Hour))), nil, false},
		{"all is there", plain(both), nil, false},
	} {
		next := Decide(tc.in)
		if !slices.Equal(next.Passkeys, tc.passkeys) || next.Another != tc.another {
			t.Errorf("%s: %s with %q, another %v; want %q, %v", tc.name, text(next), next.Passkeys, next.Another, tc.passkeys, tc.another)
		}
	}
}

func text(n Next) string {
	switch {
	case n.Step == StepRefuse:
		return n.Refusal
	case n.Refusal != "":
		return fmt.Sprintf("%s with refusal %s", n.Step, n.Refusal)
	case n.Reauth && n.Remembers:
		n.Remembers = false
		return "remembering " + text(n)
	case n.Reauth:
		return strings.Join(append([]string{string(n.Step)}, names(n.Others)...), " or ") + " again"
	}
	return string(n.Step)
}

func names(steps []Step) (out []string) {
	for _, s := range steps {
		out = append(out, string(s))
	}
	return out
}

// mixed is a person with a passkey that stays in its device, and one that does not.
func mixed(in *Input) {
	mine, everywhere := byBound, bySynced
	mine.By, everywhere.By = []string{"bound"}, []string{"synced"}
	in.Ways = append([]Way{mine, everywhere}, in.Ways...)
}

// everyPageOfOurs is every for our own pages.
func everyPageOfOurs(visit func(name string, in Input)) {
	pages := []Page{PageApps, PageSecurity, PageSessions, PageFactor, PageAddPasskey, PageAddTOTP, PageRecovery}
	decisions := []policy.Decision{{Outcome: policy.Allow}, require("aal1"), require("aal2"), require("aal3"), risky(policy.Allow, ""), risky(policy.Require, "aal2"), {Outcome: policy.Deny}}
	sessions := []func(*Input){func(*Input) {}, evidence(here()), evidence(proven(100 * 24 * time.Hour)), nobody}
	ways := []func(*Input){func(*Input) {}, codes, otp, texted, unheard, func(in *Input) { texted(in); otp(in); codes(in) }, func(in *Input) { otp(in); codes(in) }, func(in *Input) { synced(in); codes(in) }, func(in *Input) { otp(in); bound(in); codes(in) }, halted, func(in *Input) { halted(in); codes(in) }, mixed}
	for _, p := range pages {
		for d, decision := range decisions {
			for s, session := range sessions {
				for w, has := range ways {
					visit(fmt.Sprintf("%s, decision %d, session %d, ways %d, ", p, d, s, w), plain(page(p), decided(decision), has, session))
				}
			}
		}
	}
}

// every calls visit with each combination of what a request can ask and what it
// can find.
func every(visit func(name string, in Input)) {
	kinds := []struct {
		of      string
		choices []func(*Input)
	}{
		{"prompt", []func(*Input){prompt(), prompt("login"), prompt("consent"), prompt("select_account"), prompt("login", "consent", "select_account")}},
		{"max_age", []func(*Input){func(*Input) {}, maxAge(0), maxAge(60)}},
		{"acr", []func(*Input){acr(), acr("aal1"), acr("aal2"), acr("gold", "aal2", "aal1"), acr("aal3")}},
		{"decision", []func(*Input){func(*Input) {}, decided(require("aal1")), decided(require("aal2")), decided(policy.Decision{Outcome: policy.Deny})}},
		{"consent", []func(*Input){func(*Input) {}, neverAgreed, func(in *Input) { neverAgreed(in); firstParty(in) }}},
		{"client", []func(*Input){func(*Input) {}, public, func(in *Input) { public(in); in.Request.RedirectURI = "app.example:/cb" }}},
		{"hint", []func(*Input){func(*Input) {}, hinted(bob)}},
		{"session", []func(*Input){func(*Input) {}, evidence(here()), evidence(proven(100 * 24 * time.Hour)), nobody}},
		{"ways", []func(*Input){func(*Input) {}, otp, texted, synced, func(in *Input) { otp(in); bound(in) }, mixed}},
		{"asking", []func(*Input){func(*Input) {}, asks(policy.AskUnusual)}},
		{"silent", []func(*Input){func(*Input) {}, func(in *Input) { in.Request.Silent = true }}},
	}
	pick := make([]int, len(kinds))
	for {
		in, name := plain(), ""
		for i, k := range kinds {
			k.choices[pick[i]](&in)
			name += fmt.Sprintf("%s %d, ", k.of, pick[i])
		}
		visit(name, in)
		i := 0
		for ; i < len(kinds); i++ {
			if pick[i]++; pick[i] < len(kinds[i].choices) {
				break
			}
			pick[i] = 0
		}
		if i == len(kinds) {
			return
		}
	}
}

// TestNothingGetsPastTheTable holds for every combination: what is done was
// proven, decided and agreed; what is silent asks nothing; a page can be shown.
func TestNothingGetsPastTheTable(t *testing.T) {
	refusals := []string{AccessDenied, LoginRequired, ConsentRequired, InteractionRequired, AccountSelectionRequired, UnmetRequirements}
	n := 0
	every(func(name string, in Input) {
		n++
		next := Decide(in)
		wrong := func(what string) { t.Errorf("%s%s: %s (%s)", name, what, text(next), next.Rule) }
		switch {
		case next.Step == "":
			wrong("no step")
		case next.Step == StepRefuse && !slices.Contains(refusals, next.Refusal):
			wrong("a code that is not registered")
		case next.Step != StepRefuse && next.Refusal != "":
			wrong("a refusal that is none")
		case in.Request.Silent && next.Step.asks():
			wrong("silent, and asks")
		}
		if next.Step != StepDone {
			return
		}
		prompts := func(v string) bool { return slices.Contains(in.Request.Prompt, v) }
		isHere := in.Person != "" && in.Evidence[0].Interaction == string(own)
		switch {
		case in.Person == "" || !strings.HasPrefix(next.Assurance.ACR, "aal") || next.Assurance.AuthTime.IsZero():
			wrong("nobody proved anything")
		case in.Request.Person != "" && in.Request.Person != in.Person:
			wrong("not the person that the client named")
		case prompts("select_account"), prompts("login") && !isHere, prompts("consent"):
			wrong("a prompt was not shown")
		case in.Request.MaxAge != nil && *in.Request.MaxAge == 0 && !isHere:
			wrong("max_age=0 met by an old proof")
		case slices.Equal(in.Request.ACRValues, []string{"aal2"}), slices.Equal(in.Request.ACRValues, []string{"aal3"}):
			wrong("aal2 or more out of a password")
		case !in.Decision.MetBy(in.Evidence, in.Now):
			wrong("against the decision")
		case in.Consent.CreatedAt.IsZero() && !in.Client.FirstParty:
			wrong("nobody agreed")
		case in.Client.TokenEndpointAuthMethod == "none" && in.Request.RedirectURI == "app.example:/cb":
			wrong("anybody could pose as this client")
		}
	})
	if n < 50_000 {
		t.Errorf("%d combinations only", n)
	}
}

// A visitor is somebody who does what pages ask.
type visitor struct {
	verifies bool // their passkeys verify them
	lost     bool // they have nothing left but the password and recovery codes
	stubborn bool // takes the passkey first that is not asked for
}

// TestEveryRequestComesToAnEnd: who does what the pages ask is through after few of
// them, and is not asked for the same proof twice; whether their passkey verifies them
// or not, whichever of them they take, and by recovery codes where these are enough.
func TestEveryRequestComesToAnEnd(t *testing.T) {
	n := 0
	visit := func(name string, in Input) {
		has := func(s Step) bool {
			return slices.ContainsFunc(in.Ways, func(w Way) bool { return w.Step == s })
		}
		for _, v := range []visitor{{verifies: true}, {}, {verifies: true, stubborn: true}, {lost: true}} {
			switch several := slices.ContainsFunc(in.Ways, func(w Way) bool { return len(w.By) > 0 }); {
			case v.lost && !has(StepRecovery), v.stubborn && !several, !v.lost && !v.verifies && !has(StepPasskey):
				continue
			}
			n++
			through(t, fmt.Sprintf("%s%+v, ", name, v), in, v)
		}
	}
	every(visit)
	before := n
	everyPageOfOurs(visit)
	if n-before < 400 {
		t.Errorf("%d visits of our pages only", n-before)
	}
}

// step is what a visitor does of what is asked, "" if they cannot.
func (v visitor) step(next Next, seen []Step) Step {
	for _, step := range append([]Step{next.Step}, next.Others...) {
		switch {
		case v.lost && (step == StepPasskey || step == StepTOTP || step == StepSMS), slices.Contains(seen, step) && len(next.Others) > 0:
		default:
			return step
		}
	}
	if v.lost {
		return ""
	}
	return next.Step
}

// gives is the proof that they give at a step.
func (v visitor) gives(in *Input, next Next, step Step) policy.Evidence {
	given := policy.Evidence{Method: policy.Password}
	for _, w := range in.Ways {
		asked := len(w.By) > 0 && slices.Contains(next.Passkeys, w.By[0])
		if w.Step != step || len(w.By) > 0 && asked != (!v.stubborn || next.Another) {
			continue
		}
		if given = w.Gives; len(w.By) > 0 {
			given.Credential = w.By[0]
		}
	}
	if step == StepPasskey && given.Method == policy.Password { // stubborn, and all are asked for
		given = bySynced.Gives
		given.Credential = "synced"
	}
	given.At, given.Interaction, given.UserVerified = in.Now, string(own), given.UserVerified && v.verifies
	return given
}

func through(t *testing.T, name string, in Input, v visitor) {
	t.Helper()
	var seen []Step
	told := false
	for next := Decide(in); next.Step.asks(); next = Decide(in) {
		step := v.step(next, seen)
		if step == "" {
			return // they cannot go on, and are told so
		}
		again := slices.Contains(seen, step)
		if again && step == StepPasskey && v.stubborn && !told {
			if told = next.Another; !told {
				t.Fatalf("%sasks without a word: %v, %s", name, seen, text(next))
			}
		} else if again && (in.Person == "" || step != StepPassword || !slices.Contains(seen, StepPasskey)) {
			t.Fatalf("%sasks twice: %v, %s", name, seen, text(next))
		}
		seen = append(seen, step)
		in.Now = in.Now.Add(time.Minute) // pages are read slowly
		switch step {
		case StepPassword:
			given := v.gives(&in, next, step)
			if in.Person == "" || in.Request.Person != "" {
				in.Person = in.Request.Person
				if in.Person == "" {
					in.Person = ada
				}
				in.Decision = policy.Decision{Outcome: policy.Allow}
			}
			in.Evidence = policy.AddEvidence(in.Evidence, given)
			in.Progress.Chosen = true
		case StepLost:
			return // nothing that they have works, and they are told so
		case StepPasskey, StepTOTP, StepSMS, StepRecovery:
			in.Evidence = policy.AddEvidence(in.Evidence, v.gives(&in, next, step))
		case StepAccount:
			in.Progress.Chosen = true
			if in.Request.Person != "" {
				in.Person = in.Request.Person
			}
		case StepConsent:
			in.Progress.Consent = ConsentAllow
		case StepOffer:
			in.Progress.Offered = true
		case StepAddPasskey, StepAddTOTP, StepRecoveryCodes:
			in.Progress.Done = true
		default:
			t.Fatalf("%s%s is no page", name, step)
		}
	}
}
