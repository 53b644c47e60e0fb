package flow

import (
	"net/url"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/storage"
)

// Step is what happens next.
type Step string

// The steps. All but the last two are pages that ask a person.
const (
	StepPassword Step = "password"
	StepAccount  Step = "account"
	StepConsent  Step = "consent"
	StepDone     Step = "done"
	StepRefuse   Step = "refuse"
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
	Refusal   string           // at StepRefuse: the error code
	Reauth    bool             // at a step that proves: the person is known and proves again
	Rule      string           // which row of the table said so
	Assurance policy.Assurance // what the evidence adds up to, for the acr asked; zero when nobody is signed in
}

// Way is one way in which a person can prove more.
type Way struct {
	Step   Step
	Method string   // what evidence it gives
	ACR    []string // what may hold after it
}

// reaches reports whether w leads to acr ("": to any) by one of methods (none: by any).
func (w Way) reaches(acr string, methods []string) bool {
	return (acr == "" || slices.Contains(w.ACR, acr)) && (len(methods) == 0 || slices.Contains(methods, w.Method))
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
}

// row is one rule: when it holds, next is the answer. A request that is silent
// gets the code in silent in place of a page, or of another refusal.
type row struct {
	says, cites string
	when        func(*view) bool
	next        Next
	silent      string
}

// table is asked from top to bottom; the first row that holds answers, and when
// none does the request is done.
var table = []row{
	{"the person went back to the app", "RFC 6749 section 4.1.2.1",
		func(v *view) bool { return v.Progress.Cancelled }, refuse(AccessDenied), ""},
	{"the person did not agree", "RFC 6749 section 4.1.2.1",
		func(v *view) bool { return v.Progress.Consent == ConsentDeny }, refuse(AccessDenied), ""},

	{"nobody is signed in", "OIDC Core section 3.1.2.3",
		func(v *view) bool { return v.Person == "" }, Next{Step: StepPassword}, LoginRequired},
	{"prompt=select_account", "OIDC Core section 3.1.2.1",
		func(v *view) bool { return v.prompts("select_account") && !v.Progress.Chosen }, Next{Step: StepAccount}, AccountSelectionRequired},
	{"the wrong person signed in or was chosen here", "OIDC Core sections 3.1.2.1, id_token_hint, and 3.1.2.2, sub",
		func(v *view) bool { return v.isSomebodyElse() && v.Progress.Chosen }, refuse(LoginRequired), ""},
	{"somebody else is signed in", "OIDC Core sections 3.1.2.1, id_token_hint, and 3.1.2.2, sub",
		(*view).isSomebodyElse, Next{Step: StepPassword}, LoginRequired},

	{"the rules deny", "the set of rules, policy/rules",
		func(v *view) bool { return v.Decision.Outcome != policy.Allow && v.Decision.Outcome != policy.Require }, refuse(AccessDenied), ""},

	{"every proof has lapsed", "NIST SP 800-63B-4 section 2.1.3",
		func(v *view) bool { return v.best.ACR == "" }, again(StepPassword), LoginRequired},
	{"prompt=login", "OIDC Core section 3.1.2.1",
		func(v *view) bool { return v.prompts("login") && !v.provenHere() }, again(StepPassword), LoginRequired},
	{"max_age", "OIDC Core section 3.1.2.1",
		func(v *view) bool { return v.Request.MaxAge != nil && !v.isFresh(*v.Request.MaxAge) }, again(StepPassword), LoginRequired},

	{"no acr asked for can be reached", "Core Error Code unmet_authentication_requirements 1.0",
		func(v *view) bool { return v.acrUnmet != nil && v.wayToAny(v.acrUnmet) == "" }, refuse(UnmetRequirements), ""},
	{"an acr asked for is not reached yet", "OIDC Core section 3.1.2.1, RFC 9470 section 5",
		func(v *view) bool { return v.acrUnmet != nil }, Next{Reauth: true}, InteractionRequired},
	{"the rules require what cannot be reached", "the set of rules, policy/rules",
		func(v *view) bool { return !v.decisionMet && v.wayTo(v.Decision.ACR, v.Decision.Methods) == "" }, refuse(UnmetRequirements), InteractionRequired},
	{"the rules require more", "the set of rules, policy/rules",
		func(v *view) bool { return !v.decisionMet }, Next{Reauth: true}, InteractionRequired},

	{"consent", "OIDC Core section 3.1.2.4",
		(*view).wantsConsent, Next{Step: StepConsent}, ConsentRequired},
}

func refuse(code string) Next { return Next{Step: StepRefuse, Refusal: code} }

func again(s Step) Next { return Next{Step: s, Reauth: true} }

// Decide answers what next. It is pure: the same input has the same answer.
func Decide(in Input) Next {
	v := newView(in)
	next := Next{Step: StepDone, Rule: "nothing is left to ask"}
	for _, r := range table {
		if r.when(v) {
			next = r.next
			next.Rule = r.says
			if next.Step == "" { // a row that asks for more proof, by whatever way there is
				next.Step = v.wayForward()
			}
			if v.Request.Silent && r.silent != "" {
				next.Step, next.Refusal, next.Reauth = StepRefuse, r.silent, false
			}
			break
		}
	}
	next.Assurance = v.best
	return next
}

// view is the input with what follows from it.
type view struct {
	Input
	best        policy.Assurance // for the acr asked
	acrUnmet    []string         // alternatives of which one must still be reached; nil when there is nothing to reach
	decisionMet bool
}

func newView(in Input) *view {
	v := &view{Input: in}
	held := policy.Assess(in.Evidence, in.Now)
	v.best, v.acrUnmet = policy.Best(held, in.Request.acr()), in.Request.acr().Unmet(held)
	v.decisionMet = in.Decision.MetBy(in.Evidence, in.Now)
	return v
}

func (v *view) prompts(value string) bool { return slices.Contains(v.Request.Prompt, value) }

func (v *view) isSomebodyElse() bool { return !v.Request.fits(v.Person, v.Subject) }

// isHere reports whether a proof was given in this interaction, or since it began.
func (v *view) isHere(e policy.Evidence) bool {
	return v.Interaction != "" && e.Interaction == string(v.Interaction) || e.At.After(v.Begun)
}

// provenHere reports whether the person proved who they are in this interaction.
func (v *view) provenHere() bool {
	here := slices.DeleteFunc(slices.Clone(v.Evidence), func(e policy.Evidence) bool { return !v.isHere(e) })
	return len(policy.Assess(here, v.Now)) > 0
}

// isFresh reports whether max_age is met: the strongest kind of proof that the
// acr needs is at most so many seconds old, or was given here. For 0 only the
// latter counts.
func (v *view) isFresh(maxAge int64) bool {
	age := v.Now.Sub(v.best.FreshAt)
	// In whole seconds first: a huge max_age would overflow a duration.
	if whole := int64(age / time.Second); maxAge > 0 && (whole < maxAge || whole == maxAge && age%time.Second == 0) {
		return true
	}
	return slices.ContainsFunc(v.Evidence, func(e policy.Evidence) bool { return e.At.Equal(v.best.FreshAt) && v.isHere(e) })
}

// wayTo returns the step that leads to acr by one of methods, "" if none does.
func (v *view) wayTo(acr string, methods []string) Step {
	for _, w := range v.Ways {
		if w.reaches(acr, methods) {
			return w.Step
		}
	}
	return ""
}

// wayToAny returns the step that leads to the first of acrs that can be reached.
func (v *view) wayToAny(acrs []string) Step {
	for _, acr := range acrs {
		if s := v.wayTo(acr, nil); s != "" {
			return s
		}
	}
	return ""
}

// wayForward is the step of a row that asks for more proof.
func (v *view) wayForward() Step {
	if v.acrUnmet != nil {
		return v.wayToAny(v.acrUnmet)
	}
	return v.wayTo(v.Decision.ACR, v.Decision.Methods)
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
