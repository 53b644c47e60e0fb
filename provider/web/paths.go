package web

import "net/url"

// Paths that another room redirects to or that metadata names. They are
// relative to the issuer: see [Web.Path] and [Web.URL].
const (
	PathHome = "/"

	PathOpenIDConfiguration = "/.well-known/openid-configuration"       // OpenID Connect Discovery 1.0 section 4
	PathOAuthServer         = "/.well-known/oauth-authorization-server" // RFC 8414 section 3: before the issuer's path, not after
	PathJWKS                = "/.well-known/jwks.json"

	PathAuthorize  = "/oauth2/authorize"
	PathToken      = "/oauth2/token" //nolint:gosec // a path, no credential
	PathIntrospect = "/oauth2/introspect"
	PathRevoke     = "/oauth2/revoke"
	PathUserinfo   = "/oauth2/userinfo"
	PathEndSession = "/oauth2/end_session"

	PathSignIn    = "/signin/password"
	PathPasskey   = "/signin/passkey"
	PathAccount   = "/signin/account"
	PathConsent   = "/signin/consent"
	PathSignOut   = "/signout"
	PathSignedOut = "/signed-out"

	PathTOTP          = "/signin/totp"
	PathSMS           = "/signin/sms"
	PathRecovery      = "/signin/recovery"
	PathVerify        = "/signin/verify"
	PathMail          = "/signin/mail"
	PathForgot        = "/signin/forgot"
	PathRecover       = "/signin/recover"
	PathReset         = "/signin/reset"
	PathAddPasskey    = "/signin/add-passkey"
	PathOfferPasskey  = "/signin/offer-passkey" //nolint:gosec // a path, no credential
	PathAddTOTP       = "/signin/add-totp"
	PathAddPhone      = "/signin/add-phone"
	PathRecoveryCodes = "/signin/recovery-codes"
	PathNewPassword   = "/signin/new-password"
	PathBreached      = "/signin/breached"
	PathStolen        = "/signin/stolen"
	PathDisown        = "/signin/disown"
	PathLost          = "/signin/lost"

	PathApps               = "/account/apps"
	PathSecurity           = "/account/security"
	PathSessions           = "/account/sessions"
	PathActivity           = "/account/activity"
	PathLanguage           = "/account/language"
	PathNotMe              = "/account/not-me"    // where notices lead
	PathNotMeEvent         = "/account/not-me/of" // what the page of what happened lately lists
	PathSecurityReview     = "/account/security/review"
	PathAddresses          = "/account/addresses"
	PathSecurityFactor     = "/account/security/factor"
	PathSecurityAsking     = "/account/security/asking"
	PathSecurityAddPasskey = "/account/security/add-passkey" //nolint:gosec // a path, no credential
	PathSecurityAddTOTP    = "/account/security/add-totp"
	PathSecurityAddPhone   = "/account/security/add-phone"
	PathSecurityRecovery   = "/account/security/recovery-codes"
	PathSecurityPassword   = "/account/security/password" //nolint:gosec // a path, no credential

	PathAPI = "/api/v1" // above the operators' API

	// PathWebAuthn names who may ask for our passkeys (WebAuthn Level 3 section 5.11); at
	// the root of the host, whatever the issuer's path.
	PathWebAuthn = "/.well-known/webauthn"
	// PathAppleApps and PathAndroidApps are where phones ask which apps are ours; likewise.
	PathAppleApps   = "/.well-known/apple-app-site-association"
	PathAndroidApps = "/.well-known/assetlinks.json"

	PathSetup     = "/setup"
	PathSetupDone = "/setup/done"

	PathAssets = "/assets/"
)

// Path returns where p, one of the constants above, is on this server: below
// the issuer's path. RFC 8414's document stands before it, those about passkeys beside it.
func (w *Web) Path(p string) string {
	switch p {
	case PathOAuthServer:
		return p + w.prefix
	case PathWebAuthn, PathAppleApps, PathAndroidApps:
		return p
	}
	return w.prefix + p
}

// URL returns p as an absolute URL of the issuer.
func (w *Web) URL(p string) string { return w.origin + w.Path(p) }

// SignedOut returns where a sign-out ends that leads to no client, for a page in
// the language that the client asked for; "" if it did not.
func (w *Web) SignedOut(uiLocales string) string {
	to := w.Path(PathSignedOut)
	if uiLocales != "" {
		to += "?" + url.Values{ParamUILocales: {uiLocales}}.Encode()
	}
	return to
}

// ParamUILocales has the languages that a client wants pages in (OpenID Connect
// Core section 3.1.2.1, RP-Initiated Logout section 2).
const ParamUILocales = "ui_locales"

// ParamSetupKey has the secret of a set-up link.
const ParamSetupKey = "key"

// Issuer returns the issuer identifier, exactly as configured.
func (w *Web) Issuer() string { return w.issuer }
