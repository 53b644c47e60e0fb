package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
)

// pathCancel is where the quiet button of a step goes back to the app.
const pathCancel = "/signin/cancel"

// Routes is the table of the steps.
func (h *Handler) Routes() []web.Route {
	page := func(path string, handler web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodGet, Path: path, Handler: handler, Dialect: web.HTML, Face: true}
	}
	form := func(path string, handler web.HandlerFunc, fields ...string) web.Route {
		return web.Route{Method: http.MethodPost, Path: path, Handler: handler, Dialect: web.HTML, CSRF: true, Face: true, Fields: append([]string{}, fields...)}
	}
	return []web.Route{
		page(web.PathHome, h.home),
		page(web.PathSignIn, h.at(h.showPassword, flow.StepPassword)),
		form(web.PathSignIn, h.at(h.takePassword, flow.StepPassword), fieldIdentifier, fieldPassword, fieldPasskeys),
		page(web.PathPasskey, h.at(h.showPasskey, flow.StepPasskey)),
		form(web.PathPasskey, h.at(h.takePasskey, flow.StepPasskey, flow.StepPassword), fieldPasskey, fieldRemember),
		page(web.PathTOTP, h.showCode(h.totpStep())),
		form(web.PathTOTP, h.takeCode(h.totpStep()), fieldCode, fieldRemember),
		page(web.PathSMS, h.at(h.showSMS, flow.StepSMS)),
		form(web.PathSMS, h.at(h.takeSMS, flow.StepSMS), fieldDo, fieldPhone, fieldCode, fieldRemember),
		page(web.PathRecovery, h.showCode(h.recoveryStep())),
		form(web.PathRecovery, h.takeCode(h.recoveryStep()), fieldCode),
		page(web.PathMail, h.showSent(h.mailStep())),
		form(web.PathMail, h.takeSent(h.mailStep()), fieldDo, fieldCode),
		page(web.PathVerify, h.showSent(h.verifyStep())),
		form(web.PathVerify, h.takeSent(h.verifyStep()), fieldDo, fieldCode),
		page(web.PathForgot, h.forgot),
		page(web.PathRecover, h.showSent(h.recoverStep())),
		form(web.PathRecover, h.takeSent(h.recoverStep()), fieldDo, fieldIdentifier, fieldCode),
		page(web.PathReset, h.at(h.showReset, flow.StepReset, flow.StepRefuse)),
		form(web.PathReset, h.at(h.takeReset, flow.StepReset), fieldPassword, fieldSession),
		page(web.PathAddTOTP, h.at(h.showAddTOTP, flow.StepAddTOTP)),
		form(web.PathAddTOTP, h.at(h.takeAddTOTP, flow.StepAddTOTP), fieldCode, fieldSession),
		page(web.PathAddPhone, h.showSent(h.addPhoneStep())),
		form(web.PathAddPhone, h.takeSent(h.addPhoneStep()), fieldDo, fieldPhone, fieldCode),
		page(web.PathRecoveryCodes, h.at(h.showRecoveryCodes, flow.StepRecoveryCodes)),
		form(web.PathRecoveryCodes, h.at(h.takeRecoveryCodes, flow.StepRecoveryCodes, flow.StepDone), fieldSession),
		page(web.PathLost, h.at(h.showLost, flow.StepPasskey, flow.StepTOTP, flow.StepSMS, flow.StepLost)),
		page(web.PathDisown, h.at(h.showDisown, flow.StepDisown)),
		form(web.PathDisown, h.at(h.takeDisown, flow.StepDisown), fieldSession),
		page(web.PathAddPasskey, h.at(h.showAddPasskey, flow.StepAddPasskey)),
		form(web.PathAddPasskey, h.at(h.takeAddPasskey, flow.StepAddPasskey), fieldName, fieldPasskey, fieldSession),
		page(web.PathNewPassword, h.at(h.showNewPassword, flow.StepNewPassword)),
		form(web.PathNewPassword, h.at(h.takeNewPassword, flow.StepNewPassword), fieldPassword, fieldElsewhere, fieldSession),
		page(web.PathBreached, h.at(h.showBreached, flow.StepBreached)),
		form(web.PathBreached, h.at(h.takeBreached, flow.StepBreached), fieldReplace, fieldSession),
		form(web.PathStolen, h.stolen, fieldPrefix),
		page(web.PathOfferPasskey, h.at(h.showOffer, flow.StepOffer)),
		form(web.PathOfferPasskey, h.at(h.takeOffer, flow.StepOffer), fieldDecision, fieldPasskey, fieldSession),
		page(web.PathAccount, h.at(h.showAccounts, flow.StepAccount)),
		form(web.PathAccount, h.at(h.takeAccount, flow.StepAccount), fieldAccount),
		page(web.PathConsent, h.at(h.showConsent, flow.StepConsent)),
		form(web.PathConsent, h.at(h.takeConsent, flow.StepConsent), fieldDecision, fieldSession),
		form(pathCancel, h.cancel),
		page(web.PathSignOut, h.showSignOut),
		form(web.PathSignOut, h.takeSignOut, fieldDecision, fieldSession),
		page(web.PathSignedOut, h.signedOut),
		page(web.PathSetup, h.showSetup),
		form(web.PathSetup, h.takeSetup, fieldName, fieldEmail, fieldPassword),
		page(web.PathSetupDone, h.setupDone),
		{Method: http.MethodGet, Path: web.PathAppleApps, Handler: h.appleApps, Dialect: web.JSON},
		{Method: http.MethodGet, Path: web.PathAndroidApps, Handler: h.androidApps, Dialect: web.JSON},
		{Method: http.MethodGet, Path: web.PathWebAuthn, Handler: h.relatedOrigins, Dialect: web.JSON, Document: true},
	}
}
