package templates

import "time"

// MailBase is what every mail knows. Every link in a mail is the caller's, whole, and made of the issuer.
type MailBase struct {
	Lang   string // as Base's
	Brand  Brand
	Issuer string // whose account it is about, at the foot of the mail
}

// MailDevice is a browser in words that are the same in every language: "Firefox", "Windows". Either may be "".
type MailDevice struct{ Browser, System string }

// MailCode has a code to sign in with, which was asked for with a device and works for so many seconds.
type MailCode struct {
	MailBase
	Code    string
	Seconds int
	Device  MailDevice
}

// MailLink has a link to go on by, or a code where Href is "".
type MailLink struct {
	MailBase
	Href, Code string
	Seconds    int
	Device     MailDevice
}

// MailVerifyAddress asks whether an address is its reader's.
type MailVerifyAddress struct{ MailLink }

// MailRecover leads back into an account whose proofs are lost.
type MailRecover struct{ MailLink }

// MailNotice tells what happened, when and with which device, and where to go if it was not the reader who did it.
type MailNotice struct {
	MailBase
	Factor string // "password" | "passkey" | "totp" | "recovery" | "mailcode" | "address" | "phone"; "" where it is about none
	Name   string // its owner's name for it; "" for none
	When   time.Time
	Device MailDevice
	NotMe  string
}

// MailFactorAdded tells of a new way to sign in; Factor is set. One that is Unused is a mobile that codes are sent to, and no way to
// sign in.
type MailFactorAdded struct {
	MailNotice
	Unused bool
}

// MailFactorRemoved tells that a way to sign in is gone; Factor is set.
type MailFactorRemoved struct{ MailNotice }

// MailFactorStopped tells that a way to sign in does not work any more, after too many wrong tries; Factor is set.
type MailFactorStopped struct{ MailNotice }

// MailPasswordChanged tells of a new password.
type MailPasswordChanged struct{ MailNotice }

// MailNewSignIn tells of a sign-in from a browser that was not known.
type MailNewSignIn struct{ MailNotice }

// MailRecoveryUsed tells that a recovery code was used.
type MailRecoveryUsed struct{ MailNotice }

// MailAskingLowered tells that its reader is asked for a second factor less often.
type MailAskingLowered struct{ MailNotice }

// A mailView knows its mail.
type mailView interface {
	mail() string
	mailBase() MailBase
}

func (b MailBase) mailBase() MailBase { return b }

func (MailCode) mail() string            { return "code" }
func (MailVerifyAddress) mail() string   { return "verify_address" }
func (MailRecover) mail() string         { return "recover" }
func (MailFactorAdded) mail() string     { return "factor_added" }
func (MailFactorRemoved) mail() string   { return "factor_removed" }
func (MailFactorStopped) mail() string   { return "factor_stopped" }
func (MailPasswordChanged) mail() string { return "password_changed" }
func (MailNewSignIn) mail() string       { return "new_signin" }
func (MailRecoveryUsed) mail() string    { return "recovery_used" }
func (MailAskingLowered) mail() string   { return "asking_lowered" }

// mailSamples is one mail of each kind, in each of its shapes: what [NewMails] tries, so that a template that cannot be
// carried out is found at the start.
func mailSamples(lang string) map[string]mailView {
	base := MailBase{lang, Brand{"Forecourt Motors"}, "https://login.forecourt.example"}
	device := MailDevice{"Firefox", "Windows"}
	href := base.Issuer + "/recover?key=s3cret"
	notice := MailNotice{
		MailBase: base, When: time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC), Device: device, NotMe: base.Issuer + "/not-me?n=1",
	}
	factor := notice
	factor.Factor, factor.Name = "passkey", "Work laptop"
	unused := notice
	unused.Factor, unused.Name = "phone", "•••• 05"
	nameless := notice
	nameless.Factor, nameless.Device = "totp", MailDevice{}
	return map[string]mailView{
		"code":                MailCode{base, "48151623", 600, device},
		"verify_address":      MailVerifyAddress{MailLink{base, href, "", 86400, device}},
		"verify_address-code": MailVerifyAddress{MailLink{base, "", "481516", 600, MailDevice{Browser: "Firefox"}}},
		"recover":             MailRecover{MailLink{base, href, "", 1800, device}},
		"recover-code":        MailRecover{MailLink{base, "", "481516", 600, MailDevice{System: "Windows"}}},
		"factor_added":        MailFactorAdded{MailNotice: factor},
		"factor_added-unused": MailFactorAdded{unused, true},
		"factor_removed":      MailFactorRemoved{nameless},
		"factor_stopped":      MailFactorStopped{nameless},
		"password_changed":    MailPasswordChanged{notice},
		"new_signin":          MailNewSignIn{notice},
		"recovery_used":       MailRecoveryUsed{notice},
		"asking_lowered":      MailAskingLowered{notice},
	}
}
