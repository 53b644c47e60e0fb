package signin

import (
	"net/http"
	"slices"

	"github.com/doorstep-id/doorstep/provider/flow"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// paramLost is the step whose proof somebody has no more.
const paramLost = "lost"

// canBeLost are the steps at which somebody proves that they have something.
var canBeLost = []flow.Step{flow.StepPasskey, flow.StepTOTP, flow.StepSMS}

// showLost says how to go on without a passkey, an authenticator or a phone: another way, or words
// on who can help. It never leads back to what is lost. Where all that they have was stopped it is
// where flow points.
func (h *Handler) showLost(w http.ResponseWriter, r *http.Request, a flow.Answer) error {
	if !a.Reauth {
		return web.SeeOther(w, a.Path)
	}
	lost := flow.Step(r.URL.Query().Get(paramLost))
	if !slices.Contains(canBeLost, lost) {
		lost = flow.StepPasskey
	}
	stopped := a.Step == flow.StepLost
	page := templates.Lost{
		Base: h.base(r, a), Form: h.form(w, r, web.PathLost, a), Who: web.Account(a.SignIn), ClientName: clientName(a.Client), Kind: string(lost), Stopped: stopped,
		Others: h.ways(a, lost), CancelAction: h.stepPath(pathCancel, a),
	}
	if a.Client != nil { // where it can be put right, if the person has another proof
		page.SecurityHref = h.Web.Path(web.PathSecurity)
	}
	return h.Web.Page(w, r, http.StatusOK, page)
}

// ways are the steps that a person may take in place of one of them.
func (h *Handler) ways(a flow.Answer, but flow.Step) []templates.OtherWay {
	var ways []templates.OtherWay
	for _, step := range append([]flow.Step{a.Step}, a.Others...) {
		if step != but && step != flow.StepLost && a.Reauth {
			ways = append(ways, templates.OtherWay{Name: string(step), Href: h.Flow.PathTo(a, step)})
		}
	}
	return ways
}
