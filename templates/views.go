package templates

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
