package templates

import "time"

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

// Security is the person's page of how they prove who they are.
type Security struct {
	Base
	Who                       Account
	Done                      bool // something was just changed
	Refused                   bool // it could not be
	Doubted, Stopped          bool // one of them is
	Passkeys, Authenticators  []FactorLine
	Phones                    []FactorLine
	PhonesCount               bool // a code that is sent to one is a second factor
	AddressesHref             string
	AddPasskeyHref            string // "" where there are no passkeys
	AddPhoneHref              string // "" where there are no text messages
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

// FactorLine is a passkey, an authenticator or a phone. Used is zero before its first use.
type FactorLine struct {
	Kind        string // "passkey" | "totp" | "phone"
	ID, Name    string
	Model       string // what its maker calls a passkey's authenticator, "" if nobody knows
	Synced      bool   // a passkey that may be on several devices
	Added, Used time.Time
	Doubted     bool   // it was disowned: it counts for nothing until its person says that it is theirs
	Stopped     bool   // too many wrong codes were tried: none of it is looked at any more
	Sole        bool   // it is the last one that counts
	Href        string // its own page
}

// Factor is the page of one of them: the field "do" is "rename", with "name", or "remove"; "session" is Who.ID. A phone has no other
// name than the end of its number.
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
	Wrong   []WrongLine // tries in vain, the newest hour first
	Lines   []ActivityLine
	Later   bool   // it is not the first page
	Earlier string // the next page; "" for none
	Back    string
}

// WrongLine is how often, within an hour, something was wrong: Kind is "password" | "totp" | "recovery" | "mail" | "sms".
type WrongLine struct {
	Kind     string
	Times    int
	From, To time.Time
	Device   MailDevice
}

// ActivityLine is one thing that happened. Words is "signed_in", "added", "renamed", "removed" or "trusted", each of a Factor; "stopped" or "lifted", of an authenticator; "codes_made" |
// "code_used" | "password" | "remembered" | "forgotten" | "asking" | "app_allowed" | "app_removed" | "session_ended" | "signed_out" | "disowned" | "details" | "created". Name is a factor's or an
// app's, "" for none.
type ActivityLine struct {
	ID, Words string
	Factor    string // "passkey" | "totp" | "phone" | ""
	Name      string
	When      time.Time
	Device    MailDevice
	ByPerson  bool     // or somebody in their name; else those who run the place
	Proofs    []string // of a sign-in: "password" | "passkey" | "totp" | "phone"
	Here      bool     // a sign-in with this browser
	NotMe     string   // where to say that it was somebody else; "" where that makes no sense
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
