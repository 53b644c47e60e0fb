package templates

import "time"

// Base is what every page knows.
type Base struct {
	Lang      string         // BCP 47: "en", "sv", "es"; any other tag shows the nearest of these
	Brand     Brand          // shown on top
	Languages []LanguageLink // footer: the other languages
	Paths     Paths
	Nonce     string // the CSP nonce of the page's one script tag
}

// Brand is whose door this is: the client's name or the provider's.
type Brand struct{ Name string }

// LanguageLink leads to the same page in another language. Name is that language's own name for itself, which is
// Text(lang, "language.name").
type LanguageLink struct{ Lang, Name, Href string }

// Paths says where things are, with the path of the issuer.
type Paths struct {
	Assets string // URL prefix of Assets without the last slash, e.g. "/assets"
}

// Form is a POST target and the hidden form token, sent as the field "form_token". It is the first form of its page; a
// CancelAction has one of its own, with the same token and nothing else, after it.
type Form struct{ Action, Token string }

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

// OtherWay is another step that proves as much: Name is "password", "passkey", "totp" or "recovery"; or "lost", how to go
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

// SentCode sends a code to an address, and asks for it. The field "do" is "send", with "identifier" where Kind is "recover", or
// "code", with "code".
type SentCode struct {
	Base
	Form         Form
	Kind         string // "verify": an address of Who's; "recover": that of somebody who lost their password
	Who          Account
	Address      string // where to
	Sent         bool   // one is on its way
	Problem      string // "" | "email" | "taken" | "empty" | "wrong" | "over" | "throttled" | "busy"
	RetryAfter   int    // as SignIn's
	CancelAction string
}

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

// Addresses is the person's page of the addresses that they are found by: the field "do" is "verify", with "email", which may be
// another one, or "remove", with "email"; "session" is Who.ID.
type Addresses struct {
	Base
	Form      Form
	Who       Account
	Done      bool // something was just changed
	Mails     bool // there are any: an address can be verified
	Addresses []AddressLine
	Problem   string // "" | "email" | "last"
	Email     string // kept after the problem "email"
	Back      string
}

// AddressLine is one of them.
type AddressLine struct {
	Email    string
	Verified bool
	Stays    bool // nothing stands in for it: it cannot be removed
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

// Security is the person's page of how they prove who they are.
type Security struct {
	Base
	Who                       Account
	Done                      bool // something was just changed
	Refused                   bool // it could not be
	Doubted                   bool // one of them is
	Passkeys, Authenticators  []FactorLine
	AddressesHref             string
	AddPasskeyHref            string // "" where there are no passkeys
	AddTOTPHref, RecoveryHref string
	PasswordHref              string
	PasswordSet               time.Time // zero: there is none
	RecoveryLeft              int
	Asking, AskingHref        string // as Asking's; "" for who has no second factor
	Back                      string
}

// Asking asks how often the person wants to be asked for a second factor: fields "asking", one of Choices ("always", "unusual",
// "sensitive"), and "session", which is Who.ID.
type Asking struct {
	Base
	Form    Form
	Who     Account
	Choices []string
	Now     string // the one that holds
	Back    string
}

// Sessions is the person's page of where they are signed in, and of the browsers that are known. A form posts the fields "session",
// which is Who.ID, and "end", a SessionLine.ID or "others", or "forget", a DeviceLine.ID.
type Sessions struct {
	Base
	Form     Form
	Who      Account
	Done     bool          // something was just ended or forgotten
	Sessions []SessionLine // the one that asks first
	Devices  []DeviceLine  // with which they are not signed in
	Back     string
}

// SessionLine is one sign-in.
type SessionLine struct {
	ID          string
	Device      MailDevice
	Here        bool // this browser
	Since, Seen time.Time
	Apps        []string    // that were used in it
	Known       *DeviceLine // its browser; nil for one that is not known
}

// DeviceLine is a browser. Remembered is until when it spares them from a second factor; zero if it does not.
type DeviceLine struct {
	ID                      string
	Device                  MailDevice
	Since, Seen, Remembered time.Time
}

// FactorLine is a passkey or an authenticator. Used is zero before its first use.
type FactorLine struct {
	Passkey     bool
	ID, Name    string
	Model       string // what its maker calls a passkey's authenticator, "" if nobody knows
	Synced      bool   // a passkey that may be on several devices
	Added, Used time.Time
	Doubted     bool   // it was disowned: it counts for nothing until its person says that it is theirs
	Sole        bool   // it is the last one that counts
	Href        string // its own page
}

// Factor is the page of one of them: the field "do" is "rename", with "name", or "remove"; "session" is Who.ID.
type Factor struct {
	Base
	FactorLine
	Form    Form
	Who     Account
	Problem string // "" | "name"
	// ReviewHref is where a doubted one is said to be the person's.
	ReviewHref, Back string
}

// Review asks whether a doubted factor is the person's after all: the field "session" is Who.ID.
type Review struct {
	Base
	FactorLine
	Form Form
	Who  Account
	Back string
}

// Activity is what happened to the account lately, the newest first.
type Activity struct {
	Base
	Who     Account
	Lines   []ActivityLine
	Later   bool   // it is not the first page
	Earlier string // the next page; "" for none
	Back    string
}

// ActivityLine is one thing that happened. Words is "signed_in", "added", "renamed", "removed" or "trusted", each of a Factor; "codes_made" |
// "code_used" | "password" | "remembered" | "forgotten" | "asking" | "app_allowed" | "app_removed" | "session_ended" | "signed_out" | "disowned" | "details" | "created". Name is a factor's or an
// app's, "" for none.
type ActivityLine struct {
	ID, Words string
	Factor    string // "passkey" | "totp" | ""
	Name      string
	When      time.Time
	Device    MailDevice
	ByPerson  bool   // or somebody in their name; else those who run the place
	Here      bool   // a sign-in with this browser
	NotMe     string // where to say that it was somebody else; "" where that makes no sense
}

// Language asks in which language pages and mails are to speak: the field "language" is one of All or "", "session" is Who.ID.
type Language struct {
	Base
	Form   Form
	Who    Account
	All    []LanguageLink // without Href
	Chosen string         // one of All; "" for what the browser says
	Done   bool
	Back   string
}

// NotMe is where a notice's link leads: what it told of, a mail's name in Told, and a form with the field "key" that begins to
// disown it; or with "do", which is "recover", where that is all that is left. Without a Form it only says what is wrong.
type NotMe struct {
	Base
	Form         Form
	Key          string
	Told         string
	When         time.Time
	Problem      string // "" | "dead" | "refused" | "stopped", by the person | "throttled", before anybody looked at Key
	RetryAfter   int    // as SignIn's
	Recovers     bool   // with "refused": an address would prove enough to begin with
	ActivityHref string
}

// Disown says what happens to whoever did what the person did not, field "session", which is Who.ID; or with Done, where to go on to,
// that it happened.
type Disown struct {
	Base
	Form                        Form
	Who                         Account
	When                        time.Time
	ByLink                      bool     // of a mail, by which more is taken back
	Doubts                      []string // names of factors that are to be reviewed
	Done                        string
	PasswordHref, AddressesHref string // with Done: what else to look after
	CancelAction                string
}

// Lost says how to go on without a passkey or an authenticator: Others, and where it can be replaced.
type Lost struct {
	Base
	Form         Form // of CancelAction
	Who          Account
	ClientName   string
	Passkey      bool // it is that; else an authenticator
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

// Error says what happened and what to do next. It has no place for a link: an address in a faulty request is not proven.
type Error struct {
	Base
	Status     int    // HTTP status; chooses the words when Kind is not one of the kinds below
	Kind       string // "bad_request" | "expired" | "other_browser" | "not_found" | "forbidden" | "too_many" | "unavailable" | "internal" | "client_error"
	RequestID  string // for the person to quote to support
	RetryAfter int    // seconds, for "too_many" and "unavailable"; 0 reads "in a moment"
	Diagnosis  *Diagnosis
}

// Diagnosis is for the developer of a client, in the demo only: what arrived, what is registered, and the command that
// mends it. Its words are the caller's, in English.
type Diagnosis struct {
	Problem             string
	Arrived, Registered []string
	Command             string
}

// Apps is the person's page of what may use their account, and where they can go on to. A form posts the fields "client", which is
// AppAccess.ID, and "session", which is Who.ID, to take an app's access away; it is behind a disclosure that asks first.
type Apps struct {
	Base
	Form    Form
	Who     Account
	Removed bool // an app's access was just taken away
	Apps    []AppAccess
	Open    []App // apps that have no access yet and can be opened
	Back    string
}

// AppAccess is an app that may use the person's account.
type AppAccess struct {
	ID, Name   string
	Host       string // of its own page, so that a copied name shows; "" if it has none
	FirstParty bool
	Scopes     []ScopeLine
	Claims     []string // as Consent's
	Since      time.Time
	OpenHref   string // where it begins a sign-in; "" if it cannot be opened
}

// Welcome is the issuer's front page: who is signed in, where to go. Who is nil for nobody.
type Welcome struct {
	Base
	Who                     *Account
	SignInHref, SignOutHref string
	// With Who: the pages of their apps, of their proofs, of their addresses, of where they are signed in, of what happened lately and of their language.
	AppsHref, SecurityHref, AddressesHref, SessionsHref, ActivityHref, LanguageHref string
	Clients                                                                         []App
}

// App is a client that a person may open.
type App struct{ Name, Href string }

// NewPassword is the part of a page that asks for a new password: field "password". The page's form has its token, and its list of
// problems the template "newpassword-problem".
type NewPassword struct {
	Least   int    // the characters that it must have
	Problem string // "" | "password_short" | "password_long" | "password_context" | "password_breached" | "password_encoding"
	Meter   string // where the page's script asks for stolen passwords whose hash begins as this one's
}

// ChangePassword asks for a new password: fields "session", which is Who.ID, "elsewhere" to sign out everywhere else, and that of
// Password.
type ChangePassword struct {
	Base
	Form         Form
	Who          Account
	Password     NewPassword
	First        bool // there is none yet: nothing is signed out
	Elsewhere    bool // ticked
	CancelAction string
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

// FormPost carries an authorization response to the client (OAuth 2.0 Form Post Response Mode): it submits itself by an
// inline script with the nonce, or by its visible button. Action is the registered redirect; only http, https and private-use schemes
// (RFC 8252 section 7.1) are rendered.
type FormPost struct {
	Action string
	Fields []Field
	Nonce  string `face:"-"`
	Lang   string `face:"-"` // of the button; "" is English
	Paths  Paths  `face:"-"` // without Assets the page is plain
}

// Field is one name and value to post.
type Field struct{ Name, Value string }

// A view knows its page. Every view but FormPost gets base from its Base.
type view interface {
	file() string
	base() Base
}

func (b Base) base() Base { return b }

func (f FormPost) base() Base { return Base{Lang: f.Lang, Paths: f.Paths, Nonce: f.Nonce} }

func (SignIn) file() string         { return "signin" }
func (Passkey) file() string        { return "passkey" }
func (AddPasskey) file() string     { return "addpasskey" }
func (OfferPasskey) file() string   { return "offerpasskey" }
func (Security) file() string       { return "security" }
func (Factor) file() string         { return "factor" }
func (Asking) file() string         { return "asking" }
func (Code) file() string           { return "code" }
func (AddTOTP) file() string        { return "addtotp" }
func (RecoveryCodes) file() string  { return "recoverycodes" }
func (ChangePassword) file() string { return "changepassword" }
func (Breached) file() string       { return "breached" }
func (Sessions) file() string       { return "sessions" }
func (Review) file() string         { return "review" }
func (Activity) file() string       { return "activity" }
func (Language) file() string       { return "language" }
func (NotMe) file() string          { return "notme" }
func (Disown) file() string         { return "disown" }
func (Lost) file() string           { return "lost" }
func (ChooseAccount) file() string  { return "choose" }
func (Consent) file() string        { return "consent" }
func (SignOut) file() string        { return "signout" }
func (SignedOut) file() string      { return "signedout" }
func (Error) file() string          { return "error" }
func (Apps) file() string           { return "apps" }
func (Welcome) file() string        { return "welcome" }
func (Setup) file() string          { return "setup" }
func (SetupClosed) file() string    { return "setupclosed" }
func (SetupDone) file() string      { return "setupdone" }
func (FormPost) file() string       { return "formpost" }
func (SentCode) file() string       { return "sentcode" }
func (Reset) file() string          { return "reset" }
func (Addresses) file() string      { return "addresses" }
