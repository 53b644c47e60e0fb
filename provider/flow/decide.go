package flow

import (
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/storage"
)

// Step is what happens next.
type Step string

// The steps. All but the last two are pages that ask a person.
const (
	StepPassword Step = "password"
	StepPasskey  Step = "passkey"
	StepTOTP     Step = "totp"
	StepSMS      Step = "sms" // what is sent to a phone of theirs is read here
	StepRecovery Step = "recovery"
	StepLost     Step = "lost" // nothing that they have can be given: it is said how to go on
	StepMail     Step = "mail" // what is sent to an address of theirs is read here
	StepAccount  Step = "account"
	StepConsent  Step = "consent"
	// What pages of ours are there for: see pageRules.
	StepAddPasskey    Step = "add-passkey"
	StepAddTOTP       Step = "add-totp"
	StepPhone         Step = "phone" // a mobile is theirs: what is sent to it is read here
	StepRecoveryCodes Step = "recovery-codes"
	StepDisown        Step = "disown"
	// A new password: what a page of ours is there for, and what who chose it at
	// StepBreached comes to.
	StepNewPassword Step = "new-password"
	StepBreached    Step = "breached"
	StepVerify      Step = "verify"
	StepRecover     Step = "recover" // what is sent to an address is read here
	StepReset       Step = "reset"   // and another password chosen
	// What is offered when all else is done.
	StepOffer  Step = "offer-passkey"
	StepDone   Step = "done"
	StepRefuse Step = "refuse"
)

// asks reports whether s is a page.
func (s Step) asks() bool { return s != StepDone && s != StepRefuse }

// Refusals are error codes of RFC 6749 section 4.1.2.1, OIDC Core section 3.1.2.6
// and OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
const (
	AccessDenied             = "access_denied"
	LoginRequired            = "login_required"
	ConsentRequired          = "consent_required"
	InteractionRequired      = "interaction_required"
	AccountSelectionRequired = "account_selection_required"
	UnmetRequirements        = "unmet_authentication_requirements"
)

// Next is the answer.
type Next struct {
	Step      Step
	Others    []Step           // which lead as far as Step does: the person may take one of them instead
	Refusal   string           // at StepRefuse: the error code
	Reauth    bool             // at a step that proves: the person is known and proves again
	Passkeys  []string         // with Reauth: those that lead as far; none where it takes no passkey, or any will do
	Another   bool             // with Reauth: a passkey was used here that is none of them
	Second    bool             // at a step that proves: it is for the second factor of a sign-in, which the person wants to be asked for
	Remembers bool             // there, who proves that they have something may have this browser spare them from now on: see Answer.Remember
	Rule      string           // which row of the table said so
	Assurance policy.Assurance // what the evidence adds up to, for the acr asked; zero when nobody is signed in
}

// Way is one way in which a person can prove more, and the evidence that it gives at
// its best.
type Way struct {
	Step  Step
	Gives policy.Evidence
	By    []string // the ids of the passkeys that give it; none at other steps
	// Stopped: nothing is right there any more. It is not asked for, and stands in the way like
	// before: to stop a factor opens nothing.
	Stopped bool
}

// Input is everything that the answer depends on.
type Input struct {
	Request     Request
	Progress    Progress
	Client      storage.ClientMetadata
	Interaction storage.ID // "" before it is begun
	Begun       time.Time  // now, before it is begun
	Now         time.Time
	Person      storage.ID // who is signed in, of those that the request can go on with; "": nobody
	Subject     string     // of Person, as the client knows it
	Evidence    []policy.Evidence
	Decision    policy.Decision
	Consent     storage.Consent // what Person agreed to before; zero: nothing
	Ways        []Way           // in which Person can prove more
	Offer       bool            // Person has no passkey, could have one, and was not asked for one lately
	Asking      policy.Asking   // how often Person wants to be asked for a second factor
	AsksSince   time.Time       // when they signed in with one factor and are to be asked for another; zero: they are not
	Strict      bool            // the rules demand more of somebody than a password can prove
	Mailboxes   []string        // the addresses that vouch for Person, in their canonical form: a code can be sent there
	Second      bool            // Person, who recovers a password, has a second factor, whether or not it can be used now, and counts
}

// row is one rule: when it holds, then is the answer. A request that is silent
// gets the code in silent in place of a page, or of another refusal.
type row struct {
	says, cites string
	when        func(*view) bool
	then        func(*view, row) Next
	silent      string
}

// table is asked from top to bottom; the first row that holds answers, and when
// none does the request is done.
var table = []row{
	{"the person went back to the app", "RFC 6749 section 4.1.2.1",
		func(v *view) bool { return v.Progress.Cancelled }, refuse(AccessDenied), ""},
	{"the person did not agree", "RFC 6749 section 4.1.2.1",
		func(v *view) bool { return v.Progress.Consent == ConsentDeny }, refuse(AccessDenied), ""},

	{"who lost their password proves an address first", "NIST SP 800-63B-4 section 4.2.2",
		func(v *view) bool { return v.resets() && v.Person == "" }, show(StepRecover), LoginRequired},
	{"nobody is signed in", "OIDC Core section 3.1.2.3",
		func(v *view) bool { return v.Person == "" }, show(StepPassword), LoginRequired},
	{"prompt=select_account", "OIDC Core section 3.1.2.1",
		func(v *view) bool { return v.prompts("select_account") && !v.Progress.Chosen }, show(StepAccount), AccountSelectionRequired},
	{"the wrong person signed in or was chosen here", "OIDC Core sections 3.1.2.1, id_token_hint, and 3.1.2.2, sub",
		func(v *view) bool { return v.isSomebodyElse() && v.Progress.Chosen }, refuse(LoginRequired), ""},
	{"somebody else is signed in", "OIDC Core sections 3.1.2.1, id_token_hint, and 3.1.2.2, sub",
		(*view).isSomebodyElse, show(StepPassword), LoginRequired},

	{"the rules deny", "the set of rules, policy/rules",
		func(v *view) bool { return v.Decision.Outcome != policy.Allow && v.Decision.Outcome != policy.Require }, refuse(AccessDenied), ""},

	{"no password is set by a mail where somebody else may be at work", "see pageRules",
		func(v *view) bool { return v.resets() && v.Decision.Risky() }, refuse(AccessDenied), ""},
	{"who lost their password has their second factor", "NIST SP 800-63B-4 section 4.2.2; OWASP ASVS 5.0 section 6.4.3",
		(*view).lacksSecondToReset, prove, InteractionRequired},
	{"the rules require what another password would not reach", "the set of rules, policy/rules",
		func(v *view) bool { return v.resets() && v.with(byPassword).lacksDecision() }, refuse(UnmetRequirements), InteractionRequired},
	{"who lost their password chooses another", "see pageRules",
		(*view).resets, show(StepReset), InteractionRequired},

	{"every proof has lapsed", "NIST SP 800-63B-4 section 2.1.3",
		func(v *view) bool { return v.best.ACR == "" }, prove, LoginRequired},
	{"prompt=login", "OIDC Core section 3.1.2.1",
		func(v *view) bool { return v.prompts("login") && !v.provenHere() }, prove, LoginRequired},
	{"max_age", "OIDC Core section 3.1.2.1",
		func(v *view) bool { return v.Request.MaxAge != nil && !v.isFresh(v.best, *v.Request.MaxAge) }, prove, LoginRequired},

	{"no acr asked for can be reached", "Core Error Code unmet_authentication_requirements 1.0",
		func(v *view) bool { return v.lacksACR() && len(v.ways((*view).lacksACR)) == 0 }, refuse(UnmetRequirements), ""},
	{"an acr asked for is not reached yet", "OIDC Core section 3.1.2.1, RFC 9470 section 5",
		(*view).lacksACR, prove, InteractionRequired},
	{"the rules require what cannot be reached", "the set of rules, policy/rules",
		func(v *view) bool { return v.lacksDecision() && len(v.ways((*view).lacksDecision)) == 0 }, refuse(UnmetRequirements), InteractionRequired},
	{"the rules require more", "the set of rules, policy/rules",
		(*view).lacksDecision, prove, InteractionRequired},

	{"the person wants to be asked", "see policy.Asking; NIST SP 800-63B-4 section 4.2.2 of recovery codes",
		(*view).lacksSecond, func(v *view, r row) Next {
			next := prove(v, r)
			next.Second, next.Remembers = true, !v.Asking.Asks(true) // else it would be for nothing
			return next
		}, InteractionRequired},

	{"proofs are not changed where somebody else may be at work", "see pageRules",
		func(v *view) bool { return v.page().changes && !v.done() && v.Decision.Risky() }, refuse(AccessDenied), ""},
	{"who has no factor yet, and must have one, has no address to prove first", "see lacksMailbox",
		func(v *view) bool { return v.lacksMailbox() && len(v.Mailboxes) == 0 }, refuse(UnmetRequirements), InteractionRequired},
	{"who has no factor yet, and must have one, proves an address first", "NIST SP 800-63B-4 section 4.1.2",
		(*view).lacksMailbox, func(*view, row) Next { return Next{Step: StepMail, Reauth: true} }, InteractionRequired},
	{"the password that was just given is in lists of stolen ones", "NIST SP 800-63B-4 section 3.1.1.2",
		func(v *view) bool { return v.gaveBreached() && v.Progress.Breached == "" && !v.Request.Silent }, show(StepBreached), ""},
	{"who changes proofs or ends sessions proves anew, as strongly as they can", "NIST SP 800-63B-4 section 4.1.2; OWASP ASVS 5.0 sections 7.5.1 and 7.5.2",
		(*view).lacksFresh, prove, LoginRequired},
	{"the page is for one step", "see pageRules",
		func(v *view) bool { return v.page().does != "" && !v.done() },
		func(v *view, _ row) Next { return Next{Step: v.page().does} }, InteractionRequired},

	{"consent", "OIDC Core section 3.1.2.4",
		(*view).wantsConsent, show(StepConsent), ConsentRequired},

	{"a passkey is offered while all is calm", "see offers",
		(*view).offers, show(StepOffer), ""},
}

func refuse(code string) func(*view, row) Next {
	return func(*view, row) Next { return Next{Step: StepRefuse, Refusal: code} }
}

func show(s Step) func(*view, row) Next {
	return func(*view, row) Next { return Next{Step: s} }
}

// prove asks for a proof after which the row does not hold any more.
func prove(v *view, r row) Next {
	ways := v.waysAmong(slices.DeleteFunc(slices.Clone(v.Ways), func(w Way) bool { return w.Stopped }), r.when)
	switch {
	case len(ways) > 0:
	case len(v.ways(r.when)) > 0:
		return Next{Step: StepLost, Reauth: true}
	default:
		return Next{Step: StepRefuse, Refusal: LoginRequired}
	}
	// Of several passkeys those that the rows below need as well: nobody is asked for a second one.
	enough := func(w Way) bool { after := v.with(w); return !after.lacksACR() && !after.lacksDecision() }
	some := slices.ContainsFunc(ways, func(w Way) bool { return len(w.By) > 0 && enough(w) })
	next := Next{Reauth: true}
	var steps []Step
	for _, w := range ways {
		steps = append(steps, w.Step)
		if !some || enough(w) {
			next.Passkeys = append(next.Passkeys, w.By...)
		}
	}
	steps = slices.Compact(steps) // the ways of one step stand together
	next.Step, next.Others = steps[0], steps[1:]
	next.Another = len(next.Passkeys) > 0 && slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool {
		return v.isHere(e) && isPasskey(e) && !slices.Contains(next.Passkeys, e.Credential)
	})
	return next
}

// Decide answers what next. It is pure: the same input has the same answer.
func Decide(in Input) Next {
	v := newView(in)
	next := Next{Step: StepDone, Rule: "nothing is left to ask"}
	for _, r := range table {
		if !r.when(v) {
			continue
		}
		if next = r.then(v, r); v.Request.Silent && r.silent != "" {
			next = Next{Step: StepRefuse, Refusal: r.silent}
		}
		next.Rule = r.says
		break
	}
	next.Assurance = v.best
	return next
}
