package templates

import "time"

// SignIn asks for an identifier and a password on one page: fields "identifier" and "password".
type SignIn struct {
	Base
	Form         Form
	ClientName   string       // the app that the person goes on to; "" when they came without one
	Identifier   string       // kept after a problem, or login_hint
	Problem      string       // "" | "wrong" | "throttled" | "empty" | "busy" | "passkey" | "again" (please confirm that it is you)
	RetryAfter   int          // seconds, for "throttled" and "busy"; 0 reads "in a moment"
	Reauth       bool         // the person is known and proves again: Who is shown, no identifier asked
	Who          Account      // with Reauth; Identifier is theirs
	Demo         *DemoAccount // set by `doorstep demo` alone
	CancelAction string       // back to the app with access_denied; "" shows no button
	Passkey      *PasskeyPrompt
	Others       []OtherWay // with Reauth
	ForgotHref   string     // for whoever forgot their password; "" where nobody could be written to
}

// PasskeyPrompt asks an authenticator, by script: its answer comes as the field "passkey". Options are JSON, as
// PublicKeyCredential.parseRequestOptionsFromJSON takes it, or with Creates parseCreationOptionsFromJSON.
type PasskeyPrompt struct {
	Form     Form
	Options  string `face:"json"`
	Creates  bool
	Autofill bool // the browser offers passkeys in the field of the address
}

// OtherWay is another step that proves as much: Name is "password", "passkey", "totp", "sms" or "recovery"; or "lost", how to go
// on without what was lost.
type OtherWay struct{ Name, Href string }

// Passkey asks somebody who is signed in to prove more by a passkey of theirs.
type Passkey struct {
	Base
	Prompt       PasskeyPrompt
	Who          Account
	ClientName   string
	Second       bool   // of a sign-in that has but this left; else somebody wants more of who is signed in
	Problem      string // "" | "passkey" | "passkey_other" (the one that was used is not enough) | "throttled" | "busy"
	RetryAfter   int    // as SignIn's
	Others       []OtherWay
	CancelAction string
	Remembering
}

// Remembering is at a step of which the browser can spare its person from now on: with Remembers there is a field "remember", a
// box that is ticked with Remember, as after a problem.
type Remembering struct{ Remembers, Remember bool }

// AddPasskey has somebody make a passkey: fields "name", "session", which is Who.ID, and "passkey".
type AddPasskey struct {
	Base
	Prompt       PasskeyPrompt // without Options: one more cannot be made
	Who          Account
	Name         string // kept after a problem
	Problem      string // "" | "wrong" | "taken" | "passkey_model" | "passkeys_many" | "passkey_name" | "throttled" | "busy"
	RetryAfter   int    // as SignIn's
	CancelAction string
}

// OfferPasskey offers a first passkey: by the prompt with the field "passkey", or the form with the field "decision", "later" or
// "never"; each with "session", which is Who.ID.
type OfferPasskey struct {
	Base
	Prompt     PasskeyPrompt
	Form       Form
	Who        Account
	ClientName string
	Problem    string // as AddPasskey's
	RetryAfter int    // as SignIn's
}

// Code asks somebody who is signed in for a code: field "code".
type Code struct {
	Base
	Form         Form
	Kind         string // "totp" | "recovery"
	Who          Account
	ClientName   string
	Problem      string // "" | "empty" | "wrong" | "throttled" | "busy"
	RetryAfter   int    // as SignIn's
	Others       []OtherWay
	CancelAction string
	Remembering
}

// SentCode sends a code to an address, and asks for it. The field "do" is "send", with "identifier" where Kind is "recover", or "phone"
// where it is "phone" or "sms", or "code", with "code".
type SentCode struct {
	Base
	Form         Form
	Kind         string // "verify": an address of Who's; "phone": a mobile of theirs; "mail": the address that they are known by; "recover": that of somebody who lost their password; "sms": Phone, to prove more
	Who          Account
	ClientName   string // of "sms"
	Address      string // where to; of "sms" the Name of Phone
	Phones       []PhoneChoice
	Phone        string // the ID of one of them
	Sent         bool   // one is on its way
	Problem      string // "" | "email" | "phone" | "taken" | "empty" | "wrong" | "over" | "used" (it was right, and nothing could come of it) | "throttled" | "busy"
	RetryAfter   int    // as SignIn's
	Others       []OtherWay
	CancelAction string
	Remembering
}

// PhoneChoice is a mobile that a code can be sent to: Name has the end of its number.
type PhoneChoice struct{ ID, Name string }

// Reset asks whoever lost their password for another one: field "password".
type Reset struct {
	Base
	Form         Form
	Who          Account
	Owner        string // the field "session": whose password the page is about
	Refused      bool   // there can be no other one here; CancelAction leads back
	Password     NewPassword
	Disowns      time.Time // what happened then is disowned as well
	Doubts       []string  // as Disown's
	CancelAction string
}

// AddTOTP shows what an authenticator app has to know, and asks for its first code: fields "code" and "session", which is Who.ID.
type AddTOTP struct {
	Base
	Form         Form
	Who          Account
	Secret       string // to be typed; "" with the problem "many"
	URL          string // otpauth, for an app on this device
	QRSize       int    `face:"-"`
	QRPath       string `face:"-"` // of the dark squares, as SVG draws them
	Problem      string // "" | "wrong" | "late" | "many" | "throttled" | "busy"
	RetryAfter   int    // as SignIn's
	CancelAction string
}

// RecoveryCodes offers new codes, field "session", which is Who.ID; or shows them, this once.
type RecoveryCodes struct {
	Base
	Form         Form
	Who          Account
	Left         int      // of those there are
	Codes        []string // the new ones
	Done         string   // with Codes: where to go on
	CancelAction string
}

// Lost says how to go on without a passkey, an authenticator or a mobile, or with an authenticator that was Stopped: Others, and where
// it can be replaced.
type Lost struct {
	Base
	Form         Form // of CancelAction
	Who          Account
	ClientName   string
	Kind         string // "passkey" | "totp" | "sms"
	Stopped      bool   // codes of it are not looked at any more
	Others       []OtherWay
	SecurityHref string
	CancelAction string
}

// DemoAccount is the made-up person that the demo lets one sign in as.
type DemoAccount struct{ Identifier, Password string }

// ChooseAccount asks which account to go on with: a button "account" with Account.ID for each, and one with "other".
type ChooseAccount struct {
	Base
	Form         Form
	ClientName   string
	Accounts     []Account
	CancelAction string
}

// Account is a person as pages show them. Initials are one or two letters; without them a figure is drawn.
type Account struct {
	ID, Name, Identifier, Initials string
	SignedIn                       bool
}

// Consent asks whether a client may use the person's account: field "decision", "allow" or "deny", and "session", which is
// Who.ID. "Don't allow" is the way back to the app.
type Consent struct {
	Base
	Form       Form
	Who        Account
	ClientName string
	ClientHost string // the host that the answer goes to, so that a copied name shows
	FirstParty bool
	Scopes     []ScopeLine
	Claims     []string // names of standard claims that none of Scopes stands for (OpenID Connect Core section 5.5)
}

// ScopeLine says in words what one scope lets a client do. Title and Detail of openid, profile, email, address, phone, groups
// and offline_access come from the locale when both are empty; any other scope without a Title shows its Name. Icon names a file in
// icons; without one the scope's own is taken, or a key.
type ScopeLine struct{ Name, Title, Detail, Icon string }

// SignOut asks before signing out: field "decision", "signout" or "stay", and "session", which is Who.ID. With a CancelHref,
// staying is a link to it.
type SignOut struct {
	Base
	Form       Form
	Who        Account
	ClientName string // the app that asks; "" when the person does
	CancelHref string
}

// SignedOut says that it is done. ReturnHref is a post_logout_redirect_uri that was proven; "" shows no link.
type SignedOut struct {
	Base
	ReturnHref, ReturnName string
}

// NewPassword is the part of a page that asks for a new password: field "password". The page's form has its token, and its list of
// problems the template "newpassword-problem".
type NewPassword struct {
	Least   int    // the characters that it must have
	Problem string // "" | "password_short" | "password_long" | "password_context" | "password_breached" | "password_encoding" | "throttled" | "busy"
	Meter   string // where the page's script asks for stolen passwords whose hash begins as this one's
	// RetryAfter is in how many seconds to try again, at "throttled" and "busy": nothing was wrong with the password.
	RetryAfter int
}

// Breached says that a password is in lists of stolen ones: fields "session", which is Who.ID, and "replace": "now" or "later".
type Breached struct {
	Base
	Form       Form
	Who        Account
	CanReplace bool // now
}

// Setup asks the first operator who they are: fields "name", "email" and that of Password.
type Setup struct {
	Base
	Form        Form
	Name, Email string       // kept after a problem
	Problems    SetupProblem // zero: there is none
	Problem     string       // "" | "throttled" | "busy"
	RetryAfter  int          // as SignIn's
	Password    NewPassword
}

// SetupProblem is what is wrong with each field of Setup but the password's, "" for nothing.
type SetupProblem struct {
	Name  string // "name"
	Email string // "email" | "taken"
}

// SetupClosed says that a set-up link cannot be used: because it was, or because another one took its place or its time is over.
type SetupClosed struct {
	Base
	Used       bool
	SignInHref string // with Used
}

// SetupDone shows the first operator the commands to go on with. They are the same in every language.
type SetupDone struct {
	Base
	Who  Account
	Home string
}
