package templates

import (
	"strings"
	"time"
)

func baseIn(lang string) Base {
	return Base{
		Lang: lang, Brand: Brand{"Forecourt Motors"}, Paths: Paths{"/assets"}, Nonce: "bm9uY2U",
		Languages: []LanguageLink{{"sv", "Svenska", "/signin/password?i=1&ui_locales=sv"}},
	}
}

// everyClaim is every claim that a client may ask for by its name.
func everyClaim() []string {
	return []string{
		"address", "birthdate", "email", "email_verified", "family_name", "gender", "given_name", "groups", "locale", "middle_name", "name", "nickname",
		"phone_number", "phone_number_verified", "picture", "preferred_username", "profile", "updated_at", "website", "zoneinfo",
	}
}

// everyWrong is one line of each kind, the last of which tells of no browser.
func everyWrong() (lines []WrongLine) {
	from := time.Date(2026, time.March, 3, 23, 0, 0, 0, time.UTC)
	for i, kind := range []string{"password", "totp", "recovery", "mail", "sms"} {
		lines = append(lines, WrongLine{Kind: kind, Times: i + 1, From: from, To: from.Add(time.Hour), Device: MailDevice{"Firefox", "Windows"}})
	}
	lines[len(lines)-1].Device = MailDevice{}
	return lines
}

// everyActivity is one line of each kind.
func everyActivity() []ActivityLine {
	at, firefox := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC), MailDevice{"Firefox", "Linux"}
	lines := []ActivityLine{{ID: "e0", Words: "signed_in", When: at, Device: firefox, ByPerson: true, Proofs: []string{"password", "totp"}, Here: true}}
	lines = append(lines, ActivityLine{ID: "e1", Words: "signed_in", When: at, Device: firefox, ByPerson: true, Proofs: []string{"passkey"}, NotMe: "/account/not-me/of?id=e1"})
	for _, words := range []string{"added", "renamed"} {
		for _, factor := range []string{"passkey", "totp"} {
			lines = append(lines, ActivityLine{ID: words + factor, Words: words, Factor: factor, Name: "Work laptop", When: at, Device: firefox, ByPerson: true, NotMe: "/account/not-me/of?id=e1"})
			lines = append(lines, ActivityLine{ID: words + factor + "-nameless", Words: words, Factor: factor, When: at, ByPerson: true})
		}
	}
	for _, phone := range []ActivityLine{{ID: "addedphone", Name: "•••• 05"}, {ID: "addedphone-nameless"}} {
		phone.Words, phone.Factor, phone.When, phone.Device, phone.ByPerson = "added", "phone", at, firefox, true
		lines = append(lines, phone)
	}
	for _, words := range []string{"removed", "trusted"} {
		for _, factor := range []string{"passkey", "totp", "phone"} {
			lines = append(lines, ActivityLine{ID: words + factor, Words: words, Factor: factor, When: at, ByPerson: words == "trusted"})
		}
	}
	for _, words := range []string{"stopped", "lifted"} {
		lines = append(lines, ActivityLine{ID: words, Words: words, Factor: "totp", When: at, Device: firefox, ByPerson: words == "stopped"})
	}
	lines = append(lines, ActivityLine{ID: "stopped-named", Words: "stopped", Factor: "totp", Name: "Work phone", When: at, Device: firefox, ByPerson: true})
	for _, words := range []string{"codes_made", "code_used", "recovery", "password", "remembered", "forgotten", "asking", "session_ended", "signed_out", "disowned", "details", "created"} {
		lines = append(lines, ActivityLine{ID: words, Words: words, When: at, Device: firefox, ByPerson: true})
	}
	for _, words := range []string{"app_allowed", "app_removed", "address_verified", "address_removed"} {
		lines = append(lines, ActivityLine{ID: words, Words: words, Name: "Kerbside", When: at, ByPerson: true})
	}
	return lines
}

func doubted(lines []FactorLine) []FactorLine {
	for i := range lines {
		lines[i].Doubted = true
	}
	return lines
}

func stopped(lines []FactorLine) []FactorLine {
	for i := range lines {
		lines[i].Stopped = true
	}
	return lines
}

func sole(f FactorLine) FactorLine {
	f.Sole = true
	return f
}

// everyPage is one page of each kind and each state of it, by the name of its golden file:
// what [ReadOverrides] tries, so that a page of an operator's that cannot be shown is found at the start.
//
//nolint:gosec // its secrets are nobody's
func everyPage(lang string) map[string]any {
	base, form := baseIn(lang), Form{"/signin/password?i=1", "form-token"}
	ada := Account{ID: "a1", Name: "Ada Lovelace", Identifier: "ada@example.com", Initials: "AL", SignedIn: true}
	return map[string]any{
		"signin": SignIn{
			Base: base, Form: form, ClientName: "Forecourt Motors", CancelAction: "/signin/cancel?i=1",
			Demo: &DemoAccount{"ada@example.com", "correct horse battery"},
		},
		"signin-alone":          SignIn{Base: base, Form: form, ForgotHref: "/signin/forgot?i=1"},
		"signin-wrong":          SignIn{Base: base, Form: form, Identifier: "ada@example.com", Problem: "wrong"},
		"signin-empty":          SignIn{Base: base, Form: form, Problem: "empty"},
		"signin-throttled":      SignIn{Base: base, Form: form, Identifier: "ada@example.com", Problem: "throttled", RetryAfter: 61},
		"signin-busy":           SignIn{Base: base, Form: form, Identifier: "ada@example.com", Problem: "busy", RetryAfter: 1},
		"signin-again":          SignIn{Base: base, Form: form, ClientName: "Kerbside", Identifier: "ada@example.com", Problem: "again", Reauth: true, Who: ada},
		"signin-again-alone":    SignIn{Base: base, Form: form, Identifier: "ada@example.com", Problem: "again", Reauth: true, Who: ada, CancelAction: "/signin/cancel?i=1"},
		"signin-again-wrong":    SignIn{Base: base, Form: form, Identifier: "ada@example.com", Problem: "wrong", Reauth: true, Who: ada},
		"signin-again-empty":    SignIn{Base: base, Form: form, Identifier: "ada@example.com", Problem: "empty", Reauth: true, Who: ada},
		"signin-passkey":        SignIn{Base: base, Form: form, ClientName: "Kerbside", Passkey: &PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Autofill: true}, Problem: "passkey"},
		"signin-again-others":   SignIn{Base: base, Form: form, Identifier: "ada@example.com", Reauth: true, Who: ada, Others: []OtherWay{{"passkey", "/signin/passkey?i=1"}}},
		"passkey":               Passkey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`}, Who: ada, ClientName: "Kerbside", Others: []OtherWay{{"password", "/signin/password?i=1"}}, CancelAction: "/signin/cancel?i=1"},
		"passkey-second":        Passkey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`}, Who: ada, ClientName: "Kerbside", Second: true, Remembering: Remembering{Remembers: true}},
		"passkey-wrong":         Passkey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`}, Who: ada, Problem: "passkey"},
		"passkey-throttled":     Passkey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`}, Who: ada, Problem: "throttled", RetryAfter: 61},
		"passkey-busy":          Passkey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`}, Who: ada, Problem: "busy"},
		"addpasskey":            AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Who: ada, CancelAction: "/signin/cancel?i=1"},
		"offerpasskey":          OfferPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Form: form, Who: ada, ClientName: "Forecourt Motors"},
		"offerpasskey-wrong":    OfferPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Form: form, Who: ada, Problem: "wrong"},
		"addpasskey-wrong":      AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Who: ada, Name: "My phone", Problem: "wrong"},
		"addpasskey-taken":      AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Who: ada, Problem: "taken"},
		"addpasskey-model":      AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Who: ada, Problem: "passkey_model"},
		"addpasskey-name":       AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Who: ada, Name: strings.Repeat("long ", 20), Problem: "passkey_name"},
		"offerpasskey-throttle": OfferPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Form: form, Who: ada, Problem: "throttled", RetryAfter: 90},
		"addpasskey-throttled":  AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Options: `{"challenge":"AQ"}`, Creates: true}, Who: ada, Problem: "throttled", RetryAfter: 90},
		"addpasskey-many":       AddPasskey{Base: base, Prompt: PasskeyPrompt{Form: form, Creates: true}, Who: ada, Problem: "passkeys_many", CancelAction: "/signin/cancel?i=1"},
		"security":              Security{Base: base, Who: ada, Done: true, Passkeys: everyPasskey(), Authenticators: everyTOTP(), Phones: everyPhone(), AddPhoneHref: "/account/security/add-phone", AddPasskeyHref: "/account/security/add-passkey", AddTOTPHref: "/account/security/add-totp", RecoveryHref: "/account/security/recovery-codes", AddressesHref: "/account/addresses", RecoveryLeft: 2, PasswordHref: "/account/security/password", PasswordSet: everyTOTP()[0].Added, Asking: "unusual", AskingHref: "/account/security/asking", Back: "/"},
		"asking":                Asking{Base: base, Form: form, Who: ada, Choices: []string{"always", "unusual", "sensitive"}, Now: "unusual", Back: "/account/security"},
		"security-empty":        Security{Base: base, Who: ada, AddPasskeyHref: "/account/security/add-passkey", AddTOTPHref: "/account/security/add-totp", RecoveryHref: "/account/security/recovery-codes", PasswordHref: "/account/security/password", Back: "/"},
		"security-texts":        Security{Base: base, Who: ada, AddPhoneHref: "/account/security/add-phone", AddPasskeyHref: "/account/security/add-passkey", AddTOTPHref: "/account/security/add-totp", RecoveryHref: "/account/security/recovery-codes", PasswordHref: "/account/security/password", Back: "/"},
		"sessions":              Sessions{Base: base, Form: form, Who: ada, Done: true, Sessions: everySession(), Devices: everyDevice(), Back: "/"},
		"activity":              Activity{Base: base, Who: ada, Wrong: everyWrong(), Lines: everyActivity(), Later: true, Earlier: "/account/activity?after=7", Back: "/"},
		"activity-empty":        Activity{Base: base, Who: ada, Back: "/"},
		"language":              Language{Base: base, Form: form, Who: ada, All: []LanguageLink{{Lang: "en", Name: "English"}, {Lang: "es", Name: "Español"}}, Chosen: "es", Done: true, Back: "/"},
		"language-none":         Language{Base: base, Form: form, Who: ada, All: []LanguageLink{{Lang: "en", Name: "English"}}, Back: "/"},
		"notme":                 NotMe{Base: base, Form: form, Key: "s3cret", Told: "factor_added", When: time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC), ActivityHref: "/account/activity"},
		"notme-dead":            NotMe{Base: base, Problem: "dead", ActivityHref: "/account/activity"},
		"notme-throttled":       NotMe{Base: base, Form: form, Key: "KEY", Problem: "throttled", RetryAfter: 90, ActivityHref: "/account/activity"},
		"notme-stopped":         NotMe{Base: base, Problem: "stopped", ActivityHref: "/account/activity"},
		"notme-refused":         NotMe{Base: base, Problem: "refused", ActivityHref: "/account/activity"},
		"notme-recovers":        NotMe{Base: base, Form: form, Key: "s3cret", Problem: "refused", Recovers: true, ActivityHref: "/account/activity"},
		"disown":                Disown{Base: base, Form: form, Who: ada, When: time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC), ByLink: true, Doubts: []string{"Authenticator app", "Blue key"}, CancelAction: "/signin/cancel?i=1"},
		"disown-done":           Disown{Base: base, Who: ada, Done: "/account/security?done", PasswordHref: "/account/security/password", AddressesHref: "/account/addresses"},
		"lost-passkey":          Lost{Base: base, Form: form, Who: ada, ClientName: "Kerbside", Kind: "passkey", Others: []OtherWay{{"recovery", "/signin/recovery?i=1"}}, SecurityHref: "/account/security", CancelAction: "/signin/cancel?i=1"},
		"lost-sms":              Lost{Base: base, Form: form, Who: ada, Kind: "sms", Others: []OtherWay{{"totp", "/signin/totp?i=1"}}, CancelAction: "/signin/cancel?i=1"},
		"lost-none":             Lost{Base: base, Form: form, Who: ada, Kind: "totp", CancelAction: "/signin/cancel?i=1"},
		"lost-stopped":          Lost{Base: base, Form: form, Who: ada, ClientName: "Kerbside", Kind: "totp", Stopped: true, SecurityHref: "/account/security", CancelAction: "/signin/cancel?i=1"},
		"review":                Review{Base: base, FactorLine: everyTOTP()[0], Form: form, Who: ada, Back: "/account/security/factor?id=t1"},
		"security-doubted":      Security{Base: base, Who: ada, Refused: true, Doubted: true, Passkeys: doubted(everyPasskey()), AddTOTPHref: "/account/security/add-totp", RecoveryHref: "/account/security/recovery-codes", Back: "/"},
		"security-stopped":      Security{Base: base, Who: ada, Stopped: true, Authenticators: stopped(everyTOTP()), AddTOTPHref: "/account/security/add-totp", RecoveryHref: "/account/security/recovery-codes", Back: "/"},
		"factor-stopped":        Factor{Base: base, FactorLine: stopped(everyTOTP())[0], Form: form, Who: ada, Back: "/account/security"},
		"factor-doubted-alone":  Factor{Base: base, FactorLine: doubted(everyPasskey())[0], Form: form, Who: ada, Back: "/account/security"},
		"factor-doubted":        Factor{Base: base, FactorLine: doubted(everyPasskey())[0], Form: form, Who: ada, ReviewHref: "/account/security/review?id=p1", Back: "/account/security"},
		"factor-sole":           Factor{Base: base, FactorLine: sole(everyTOTP()[0]), Form: form, Who: ada, Back: "/account/security"},
		"sessions-one":          Sessions{Base: base, Form: form, Who: ada, Sessions: everySession()[:1], Back: "/"},
		"factor-passkey":        Factor{Base: base, FactorLine: everyPasskey()[0], Form: form, Who: ada, Back: "/account/security"},
		"factor-totp":           Factor{Base: base, FactorLine: everyTOTP()[0], Form: form, Who: ada, Problem: "name", Back: "/account/security"},
		"factor-phone":          Factor{Base: base, FactorLine: everyPhone()[0], Form: form, Who: ada, Back: "/account/security"},
		"factor-phone-doubted":  Factor{Base: base, FactorLine: doubted(everyPhone())[0], Form: form, Who: ada, ReviewHref: "/account/security/review?id=n1", Back: "/account/security"},
		"code-totp":             Code{Base: base, Form: form, Kind: "totp", Who: ada, ClientName: "Kerbside", Others: []OtherWay{{"passkey", "/signin/passkey?i=1"}, {"recovery", "/signin/recovery?i=1"}, {"lost", "/account/security"}}, CancelAction: "/signin/cancel?i=1"},
		"code-totp-wrong":       Code{Base: base, Form: form, Kind: "totp", Who: ada, Problem: "wrong"},
		"code-totp-second":      Code{Base: base, Form: form, Kind: "totp", Who: ada, Problem: "wrong", Remembering: Remembering{true, true}},
		"code-totp-empty":       Code{Base: base, Form: form, Kind: "totp", Who: ada, Problem: "empty"},
		"code-totp-throttled":   Code{Base: base, Form: form, Kind: "totp", Who: ada, Problem: "throttled", RetryAfter: 61},
		"code-recovery":         Code{Base: base, Form: form, Kind: "recovery", Who: ada, Others: []OtherWay{{"totp", "/signin/totp?i=1"}, {"password", "/signin/password?i=1"}}},
		"code-recovery-wrong":   Code{Base: base, Form: form, Kind: "recovery", Who: ada, Problem: "wrong"},
		"code-recovery-empty":   Code{Base: base, Form: form, Kind: "recovery", Who: ada, Problem: "empty"},
		"sentcode-verify":       SentCode{Base: base, Form: form, Kind: "verify", Who: ada, Address: "ada@work.example", CancelAction: "/signin/cancel?i=1"},
		"sentcode-verify-sent":  SentCode{Base: base, Form: form, Kind: "verify", Who: ada, Address: "ada@work.example", Sent: true, CancelAction: "/signin/cancel?i=1"},
		"sentcode-mail":         SentCode{Base: base, Form: form, Kind: "mail", Who: ada, Address: "ada@example.com", CancelAction: "/signin/cancel?i=1"},
		"sentcode-mail-sent":    SentCode{Base: base, Form: form, Kind: "mail", Who: ada, Address: "ada@example.com", Sent: true, CancelAction: "/signin/cancel?i=1"},
		"sentcode-verify-taken": SentCode{Base: base, Form: form, Kind: "verify", Who: ada, Address: "ada@work.example", Problem: "taken"},
		"sentcode-phone":        SentCode{Base: base, Form: form, Kind: "phone", Who: ada, CancelAction: "/signin/cancel?i=1"},
		"sentcode-phone-wrong":  SentCode{Base: base, Form: form, Kind: "phone", Who: ada, Address: "0701740605", Problem: "phone"},
		"sentcode-phone-taken":  SentCode{Base: base, Form: form, Kind: "phone", Who: ada, Address: "+46 70 174 06 05", Problem: "taken"},
		"sentcode-phone-sent":   SentCode{Base: base, Form: form, Kind: "phone", Who: ada, Address: "+46 70 174 06 05", Sent: true, CancelAction: "/signin/cancel?i=1"},
		"sentcode-sms":          SentCode{Base: base, Form: form, Kind: "sms", Who: ada, Address: "•••• 05", Phones: []PhoneChoice{{"n1", "•••• 05"}}, Phone: "n1", Others: []OtherWay{{"recovery", "/signin/recovery?i=1"}, {"lost", "/signin/lost?i=1"}}, CancelAction: "/signin/cancel?i=1"},
		"sentcode-sms-some":     SentCode{Base: base, Form: form, Kind: "sms", Who: ada, ClientName: "Kerbside", Address: "•••• 06", Phones: []PhoneChoice{{"n1", "•••• 05"}, {"n2", "•••• 06"}}, Phone: "n2", Others: []OtherWay{{"passkey", "/signin/passkey?i=1"}}, CancelAction: "/signin/cancel?i=1"},
		"sentcode-sms-phone":    SentCode{Base: base, Form: form, Kind: "sms", Who: ada, Address: "•••• 05", Phones: []PhoneChoice{{"n1", "•••• 05"}}, Phone: "n1", Problem: "phone", CancelAction: "/signin/cancel?i=1"},
		"sentcode-sms-sent":     SentCode{Base: base, Form: form, Kind: "sms", Who: ada, Address: "•••• 05", Phones: []PhoneChoice{{"n1", "•••• 05"}, {"n2", "•••• 06"}}, Phone: "n1", Sent: true, Problem: "wrong", Others: []OtherWay{{"recovery", "/signin/recovery?i=1"}}, CancelAction: "/signin/cancel?i=1", Remembering: Remembering{true, true}},
		"sentcode-recover":      SentCode{Base: base, Form: form, Kind: "recover", CancelAction: "/signin/cancel?i=1"},
		"sentcode-email":        SentCode{Base: base, Form: form, Kind: "recover", Address: "ada", Problem: "email"},
		"sentcode-throttled":    SentCode{Base: base, Form: form, Kind: "recover", Address: "ada@example.com", Problem: "throttled", RetryAfter: 61},
		"sentcode-busy":         SentCode{Base: base, Form: form, Kind: "recover", Address: "ada@example.com", Sent: true, Problem: "busy"},
		"sentcode-recover-sent": SentCode{Base: base, Form: form, Kind: "recover", Address: "ada@example.com", Sent: true, CancelAction: "/signin/cancel?i=1"},
		"sentcode-wrong":        SentCode{Base: base, Form: form, Kind: "recover", Address: "ada@example.com", Sent: true, Problem: "wrong"},
		"sentcode-empty":        SentCode{Base: base, Form: form, Kind: "recover", Address: "ada@example.com", Sent: true, Problem: "empty"},
		"sentcode-used":         SentCode{Base: base, Form: form, Kind: "verify", Who: ada, Address: "ada@work.example", Problem: "used", RetryAfter: 61, CancelAction: "/signin/cancel?i=1"},
		"sentcode-over":         SentCode{Base: base, Form: form, Kind: "recover", Address: "ada@example.com", Sent: true, Problem: "over"},
		"reset":                 Reset{Base: base, Form: form, Who: ada, Owner: "s1", Password: NewPassword{Least: 15, Meter: "/signin/stolen"}, CancelAction: "/signin/cancel?i=1"},
		"reset-disowns":         Reset{Base: base, Form: form, Who: ada, Owner: "s1", Password: NewPassword{Least: 15, Meter: "/signin/stolen"}, Disowns: time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC), Doubts: []string{"Authenticator"}, CancelAction: "/signin/cancel?i=1"},
		"reset-refused":         Reset{Base: base, Form: form, Who: ada, Refused: true, CancelAction: "/signin/cancel?i=1"},
		"reset-busy":            Reset{Base: base, Form: form, Who: ada, Owner: "s1", Password: NewPassword{Least: 8, Meter: "/signin/stolen", Problem: "busy", RetryAfter: 2}},
		"reset-short":           Reset{Base: base, Form: form, Who: ada, Owner: "s1", Password: NewPassword{Least: 8, Meter: "/signin/stolen", Problem: "password_short"}},
		"addresses":             Addresses{Base: base, Form: form, Who: ada, Done: true, Mails: true, Addresses: []AddressLine{{"ada@example.com", true, true}, {strings.Repeat("ada.of.", 9) + "@work.example", false, false}}, Back: "/account/security"},
		"addresses-last":        Addresses{Base: base, Form: form, Who: ada, Addresses: []AddressLine{{"ada@example.com", true, true}}, Problem: "last", Back: "/account/security"},
		"addresses-email":       Addresses{Base: base, Form: form, Who: ada, Mails: true, Addresses: []AddressLine{{"ada@example.com", true, true}}, Problem: "email", Email: "ada"},
		"addtotp":               AddTOTP{Base: base, Form: form, Who: ada, Secret: "JBSW Y3DP", URL: "otpauth://totp/x:ada?secret=JBSWY3DP", QRSize: 29, QRPath: "M4 4h7v1h-7z", CancelAction: "/signin/cancel?i=1"},
		"addtotp-wrong":         AddTOTP{Base: base, Form: form, Who: ada, Secret: "JBSW Y3DP", URL: "otpauth://totp/x:ada?secret=JBSWY3DP", QRSize: 29, QRPath: "M4 4h7v1h-7z", Problem: "wrong"},
		"addtotp-late":          AddTOTP{Base: base, Form: form, Who: ada, Secret: "JBSW Y3DP", URL: "otpauth://totp/x:ada?secret=JBSWY3DP", QRSize: 29, QRPath: "M4 4h7v1h-7z", Problem: "late"},
		"addtotp-many":          AddTOTP{Base: base, Form: form, Who: ada, Problem: "many", CancelAction: "/signin/cancel?i=1"},
		"addtotp-throttled":     AddTOTP{Base: base, Form: form, Who: ada, Secret: "JBSW Y3DP", URL: "otpauth://totp/x:ada?secret=JBSWY3DP", QRSize: 29, QRPath: "M4 4h7v1h-7z", Problem: "throttled"},
		"recoverycodes":         RecoveryCodes{Base: base, Form: form, Who: ada, CancelAction: "/signin/cancel?i=1"},
		"recoverycodes-again":   RecoveryCodes{Base: base, Form: form, Who: ada, Left: 1, CancelAction: "/signin/cancel?i=1"},
		"recoverycodes-new":     RecoveryCodes{Base: base, Who: ada, Codes: []string{"0000-1111-2222-3333", "ABCD-EFGH-JKMN-PQRS"}, Done: "/account/security?done"},
		"choose":                ChooseAccount{Base: base, Form: form, ClientName: "Kerbside", Accounts: []Account{ada, {ID: "a2", Identifier: "grace@example.com"}}, CancelAction: "/signin/cancel?i=1"},
		"consent":               Consent{Base: base, Form: form, Who: ada, ClientName: "Kerbside", ClientHost: "kerbside.example", Scopes: everyScope()},
		"consent-claims":        Consent{Base: base, Form: form, Who: ada, ClientName: "Kerbside", ClientHost: "kerbside.example", Scopes: everyScope()[:1], Claims: everyClaim()},
		"consent-ours":          Consent{Base: base, Form: form, Who: ada, ClientName: "Kerbside", FirstParty: true},
		"signout":               SignOut{Base: base, Form: form, Who: ada, ClientName: "Kerbside", CancelHref: "/"},
		"signout-alone":         SignOut{Base: base, Form: form, Who: ada},
		"signedout":             SignedOut{Base: base, ReturnHref: "com.example.shop:/bye", ReturnName: "Kerbside"},
		"signedout-nameless":    SignedOut{Base: base, ReturnHref: "https://shop.example/bye"},
		"signedout-alone":       SignedOut{Base: base},
		"error-bad_request":     Error{Base: base, Status: 400, Kind: "bad_request", RequestID: "01JD3Y5N7Q8T"},
		"error-expired":         Error{Base: base, Status: 400, Kind: "expired"},
		"error-other_browser":   Error{Base: base, Status: 403, Kind: "other_browser"},
		"error-not_found":       Error{Base: base, Status: 404, Kind: "not_found"},
		"error-forbidden":       Error{Base: base, Status: 403, Kind: "forbidden"},
		"error-too_many":        Error{Base: base, Status: 429, Kind: "too_many", RetryAfter: 7200},
		"error-unavailable":     Error{Base: base, Status: 503, Kind: "unavailable"},
		"error-internal":        Error{Base: base, Status: 500, Kind: "internal"},
		"error-client_error":    Error{Base: base, Status: 400, Kind: "client_error", Diagnosis: &Diagnosis{"It is not registered.", []string{"http://localhost:8081/x"}, nil, "doorstep client show shop"}},
		"welcome":               Welcome{Base: base, SignInHref: "/signin"},
		"apps":                  Apps{Base: base, Form: form, Who: ada, Removed: true, Apps: everyApp(), Open: []App{{"Forecourt Motors", "https://forecourt.example/login?iss=x"}}, Back: "/"},
		"apps-empty":            Apps{Base: base, Form: form, Who: ada, Back: "/"},
		"welcome-known":         Welcome{Base: base, Who: &ada, AppsHref: "/account/apps", SecurityHref: "/account/security", AddressesHref: "/account/addresses", SessionsHref: "/account/sessions", ActivityHref: "/account/activity", LanguageHref: "/account/language", SignOutHref: "/signout", Clients: []App{{"Kerbside", "https://kerbside.example/"}}},
		"welcome-known-by-mail": Welcome{Base: base, Who: &Account{Identifier: "grace@example.com"}, SignOutHref: "/signout"},
		"changepassword":        ChangePassword{Base: base, Form: form, Who: ada, Password: NewPassword{Least: 8, Meter: "/signin/stolen"}, Elsewhere: true, CancelAction: "/signin/cancel?i=1"},
		"changepassword-wrong":  ChangePassword{Base: base, Form: form, Who: ada, Password: NewPassword{Least: 15, Problem: "password_breached", Meter: "/signin/stolen"}, CancelAction: "/signin/cancel?i=1"},
		"changepassword-busy":   ChangePassword{Base: base, Form: form, Who: ada, Password: NewPassword{Least: 8, Problem: "busy", RetryAfter: 2, Meter: "/signin/stolen"}, Elsewhere: true, CancelAction: "/signin/cancel?i=1"},
		"changepassword-first":  ChangePassword{Base: base, Form: form, Who: ada, Password: NewPassword{Least: 8, Problem: "password_short", Meter: "/signin/stolen"}, First: true},
		"breached":              Breached{Base: base, Form: form, Who: ada, CanReplace: true},
		"breached-elsewhere":    Breached{Base: base, Form: form, Who: ada},
		"setup":                 Setup{Base: base, Form: form, Password: NewPassword{Least: 15, Meter: "/signin/stolen"}},
		"setup-empty":           Setup{Base: base, Form: form, Problems: SetupProblem{"name", "email"}, Password: NewPassword{Least: 15, Problem: "password_short", Meter: "/signin/stolen"}},
		"setup-throttled":       Setup{Base: base, Form: form, Name: "Ada", Email: "ada@example.com", Problem: "throttled", RetryAfter: 90, Password: NewPassword{Least: 15, Meter: "/signin/stolen"}},
		"setup-taken":           Setup{Base: base, Form: form, Name: "Ada", Email: "ada@example.com", Problems: SetupProblem{Email: "taken"}, Password: NewPassword{Least: 15, Problem: "password_context", Meter: "/signin/stolen"}},
		"setup-long":            Setup{Base: base, Form: form, Name: "Ada", Email: "ada@example.com", Password: NewPassword{Least: 15, Problem: "password_long", Meter: "/signin/stolen"}},
		"setup-encoding":        Setup{Base: base, Form: form, Name: "Ada", Email: "ada@example.com", Password: NewPassword{Least: 15, Problem: "password_encoding", Meter: "/signin/stolen"}},
		"setup-used":            SetupClosed{Base: base, Used: true, SignInHref: "/account/apps"},
		"setup-dead":            SetupClosed{Base: base},
		"setup-done":            SetupDone{Base: base, Who: ada, Home: "/"},
		"formpost":              FormPost{Action: "https://kerbside.example/cb", Fields: []Field{{"code", "c0de"}, {"state", `a"b`}}, Nonce: "bm9uY2U", Lang: lang, Paths: base.Paths},
	}
}

func everyPasskey() []FactorLine {
	added := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC)
	return []FactorLine{
		{Kind: "passkey", ID: "p1", Name: "My phone", Model: "iCloud Keychain", Synced: true, Added: added, Used: added.AddDate(0, 1, 0), Href: "/account/security/factor?id=p1"},
		{Kind: "passkey", ID: "p2", Name: "Blue key on my ring", Added: added, Href: "/account/security/factor?id=p2"},
	}
}

func everySession() []SessionLine {
	since := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC)
	return []SessionLine{
		{ID: "s1", Device: MailDevice{"Firefox", "Linux"}, Here: true, Since: since, Seen: since.AddDate(0, 0, 2)},
		{ID: "s2", Device: MailDevice{"Mobile Safari", "iOS"}, Since: since, Seen: since, Apps: []string{"Forecourt Motors", "Kerbside"}, Known: &DeviceLine{ID: "d2", Remembered: since.AddDate(0, 3, 0)}},
		{ID: "s3", Since: since, Seen: since},
	}
}

func everyDevice() []DeviceLine {
	since := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC)
	return []DeviceLine{
		{ID: "d3", Device: MailDevice{"Chrome", "Windows"}, Since: since, Seen: since, Remembered: since.AddDate(0, 3, 0)},
		{ID: "d4", Since: since, Seen: since},
	}
}

func everyTOTP() []FactorLine {
	added := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC)
	return []FactorLine{{Kind: "totp", ID: "t1", Name: "Authenticator app", Added: added, Used: added, Href: "/account/security/factor?id=t1"}}
}

func everyPhone() []FactorLine {
	added := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC)
	return []FactorLine{{Kind: "phone", ID: "n1", Name: "•••• 05", Added: added, Href: "/account/security/factor?id=n1"}}
}

func everyApp() []AppAccess {
	since := time.Date(2026, time.March, 3, 23, 30, 0, 0, time.UTC)
	return []AppAccess{
		{ID: "kerbside", Name: "Kerbside", Host: "kerbside.example", Scopes: everyScope(), Since: since, OpenHref: "https://kerbside.example/login?iss=https%3A%2F%2Fid.example&target_link_uri=x"},
		{ID: "till.2", Name: "Till", FirstParty: true, Scopes: []ScopeLine{{Name: "openid"}}, Claims: []string{"name", "phone_number"}, Since: since},
	}
}

func everyScope() []ScopeLine {
	return []ScopeLine{
		{Name: "openid"},
		{Name: "profile"},
		{Name: "email"},
		{Name: "address"},
		{Name: "phone"},
		{Name: "groups"},
		{Name: "offline_access"},
		{Name: "bookings", Title: "Book pick-up times", Detail: "At the shops that you choose", Icon: "home"},
		{Name: "bookings:read"},
	}
}
