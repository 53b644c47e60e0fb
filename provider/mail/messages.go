package mail

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/templates"
)

// Kind names what a mail tells. Kinds are kept, and counted by operators' monitoring.
type Kind string

// The kinds of mails.
const (
	KindCode            Kind = "code"
	KindVerifyAddress   Kind = "verify_address"
	KindRecover         Kind = "recover"
	KindFactorAdded     Kind = "factor_added"
	KindFactorRemoved   Kind = "factor_removed"
	KindFactorStopped   Kind = "factor_stopped"
	KindPasswordChanged Kind = "password_changed"
	KindNewSignIn       Kind = "new_signin"
	KindRecoveryUsed    Kind = "recovery_used"
	KindAskingLowered   Kind = "asking_lowered"
)

// Message is what a mail tells: one of the structs of this file.
type Message interface {
	Kind() Kind
	// asked says that whoever asked for it need not be the one who reads it.
	asked() bool
	// life is how long it is of use.
	life() time.Duration
	// view is the mail's view; at makes links of paths.
	view(base templates.MailBase, at links) (any, error)
}

// Device is with what something was done, as people call it: the browser ("Firefox")
// and the system ("Windows"); "" for what is not known.
type Device = templates.MailDevice

// Factor is a way to sign in, as a mail names it.
type Factor string

// The factors that mails can name.
const (
	FactorPassword Factor = "password"
	FactorPasskey  Factor = "passkey"
	FactorTOTP     Factor = "totp"
	FactorRecovery Factor = "recovery"
	FactorMailCode Factor = "mailcode"
	FactorAddress  Factor = "address"
	FactorPhone    Factor = "phone"
)

// Code has a code to sign in with.
type Code struct {
	Code   string
	Valid  time.Duration // how long it works
	Device Device        // which asked for it
}

// VerifyAddress asks whether an address is its reader's: by a link, whose Path is on
// the issuer, or by a code.
type VerifyAddress struct {
	Path, Code string
	Valid      time.Duration
	Device     Device
}

// Recover leads back into an account, by a link or by a code.
type Recover struct {
	Path, Code string
	Valid      time.Duration
	Device     Device
}

// Notice is what every mail says that tells of something that happened. NotMe is the
// path, on the issuer, to go to for whoever did not do it.
type Notice struct {
	When   time.Time
	Device Device
	NotMe  string
}

// FactorAdded tells of a new way to sign in; Name is its owner's name for it, or "". One that is
// Unused is a mobile, a code to which is no second factor here.
type FactorAdded struct {
	Notice
	Factor Factor
	Name   string
	Unused bool
}

// FactorRemoved tells that a way to sign in is gone.
type FactorRemoved struct {
	Notice
	Factor Factor
	Name   string
}

// FactorStopped tells that a way to sign in does not work any more, after too many wrong tries.
type FactorStopped struct {
	Notice
	Factor Factor
	Name   string
}

// PasswordChanged tells of a new password.
type PasswordChanged struct{ Notice }

// NewSignIn tells of a sign-in from a browser that was not known.
type NewSignIn struct{ Notice }

// RecoveryUsed tells that a recovery code was used.
type RecoveryUsed struct{ Notice }

// AskingLowered tells that the person is asked for a second factor less often.
type AskingLowered struct{ Notice }

// Kind implements Message.
func (Code) Kind() Kind { return KindCode }

// Kind implements Message.
func (VerifyAddress) Kind() Kind { return KindVerifyAddress }

// Kind implements Message.
func (Recover) Kind() Kind { return KindRecover }

// Kind implements Message.
func (FactorAdded) Kind() Kind { return KindFactorAdded }

// Kind implements Message.
func (FactorRemoved) Kind() Kind { return KindFactorRemoved }

// Kind implements Message.
func (FactorStopped) Kind() Kind { return KindFactorStopped }

// Kind implements Message.
func (PasswordChanged) Kind() Kind { return KindPasswordChanged }

// Kind implements Message.
func (NewSignIn) Kind() Kind { return KindNewSignIn }

// Kind implements Message.
func (RecoveryUsed) Kind() Kind { return KindRecoveryUsed }

// Kind implements [Message].
func (AskingLowered) Kind() Kind { return KindAskingLowered }

func (Code) asked() bool          { return true }
func (VerifyAddress) asked() bool { return true }
func (Recover) asked() bool       { return true }
func (Notice) asked() bool        { return false }

// noticeLife is how long it is worth telling that something happened.
const noticeLife = 3 * 24 * time.Hour

func (m Code) life() time.Duration          { return m.Valid }
func (m VerifyAddress) life() time.Duration { return m.Valid }
func (m Recover) life() time.Duration       { return m.Valid }
func (Notice) life() time.Duration          { return noticeLife }

func (m Code) view(base templates.MailBase, _ links) (any, error) {
	return templates.MailCode{MailBase: base, Code: m.Code, Seconds: seconds(m.Valid), Device: shown(m.Device)}, checkCode(m.Code, m.Valid)
}

func (m VerifyAddress) view(base templates.MailBase, at links) (any, error) {
	link, err := linked(base, at, m.Path, m.Code, m.Valid, m.Device)
	return templates.MailVerifyAddress{MailLink: link}, err
}

func (m Recover) view(base templates.MailBase, at links) (any, error) {
	link, err := linked(base, at, m.Path, m.Code, m.Valid, m.Device)
	return templates.MailRecover{MailLink: link}, err
}

func (m FactorAdded) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, m.Factor, m.Name)
	return templates.MailFactorAdded{MailNotice: notice, Unused: m.Unused}, err
}

func (m FactorRemoved) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, m.Factor, m.Name)
	return templates.MailFactorRemoved{MailNotice: notice}, err
}

func (m FactorStopped) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, m.Factor, m.Name)
	return templates.MailFactorStopped{MailNotice: notice}, err
}

func (m PasswordChanged) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, "", "")
	return templates.MailPasswordChanged{MailNotice: notice}, err
}

func (m NewSignIn) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, "", "")
	return templates.MailNewSignIn{MailNotice: notice}, err
}

func (m RecoveryUsed) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, "", "")
	return templates.MailRecoveryUsed{MailNotice: notice}, err
}

func (m AskingLowered) view(base templates.MailBase, at links) (any, error) {
	notice, err := m.notice(base, at, "", "")
	return templates.MailAskingLowered{MailNotice: notice}, err
}

func (n Notice) notice(base templates.MailBase, at links, factor Factor, name string) (templates.MailNotice, error) {
	href, err := at.href(n.NotMe)
	if n.When.IsZero() {
		err = errors.Join(err, errors.New("it does not say when"))
	}
	return templates.MailNotice{
		MailBase: base, Factor: string(factor), Name: short(name), When: n.When, Device: shown(n.Device), NotMe: href,
	}, err
}

func linked(base templates.MailBase, at links, path, code string, valid time.Duration, device Device) (templates.MailLink, error) {
	link := templates.MailLink{MailBase: base, Code: code, Seconds: seconds(valid), Device: shown(device)}
	if path == "" {
		return link, checkCode(code, valid)
	}
	if code != "" {
		return link, errors.New("it has a link and a code")
	}
	var err error
	link.Href, err = at.href(path)
	return link, errors.Join(err, checkValid(valid))
}

// Bounds of what a mail is given.
const (
	maxCode  = 32
	maxValid = 7 * 24 * time.Hour
	maxName  = 60 // runes
	maxPath  = 1024
)

func checkCode(code string, valid time.Duration) error {
	if code == "" || len(code) > maxCode || strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("its code is no code")
	}
	return checkValid(valid)
}

func checkValid(valid time.Duration) error {
	if valid < time.Second || valid > maxValid {
		return fmt.Errorf("it is valid for %s", valid)
	}
	return nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// links makes links of paths: all of them are on the issuer.
type links struct{ issuer string }

func (l links) href(path string) (string, error) {
	u, err := url.Parse(path)
	if err != nil || len(path) > maxPath || !strings.HasPrefix(path, "/") || u.Host != "" || u.Fragment != "" ||
		strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return "", errors.New("its link is no path on the issuer")
	}
	return l.issuer + path, nil
}

func shown(d Device) Device { return Device{Browser: short(d.Browser), System: short(d.System)} }

// short is a name in one line, as far as a mail shows it: people and browsers choose
// their own.
func short(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError || unicode.In(r, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, name)
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > maxName {
		name = string(runes[:maxName-1]) + "…"
	}
	return name
}
