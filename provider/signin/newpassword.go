package signin

import (
	"net/http"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/throttle"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/templates"
)

// newPassword is the part of a page that asks for a new password of at least so many
// characters, with what err says of the one that was typed.
func (h *Handler) newPassword(least int, err error) templates.NewPassword {
	part := templates.NewPassword{Least: least, Meter: h.Web.Path(web.PathStolen)}
	for _, f := range fault.All(err) {
		switch {
		case f.Field != fieldPassword:
		case f.Kind == fault.KindTooLarge:
			part.Problem = "password_long"
		default:
			part.Problem = f.Code
		}
	}
	return part
}

const fieldPrefix = "prefix"

// stolen answers the script of such a page: which stolen passwords there are whose hash
// begins as that of the one being typed, which it does not tell.
func (h *Handler) stolen(w http.ResponseWriter, r *http.Request) error {
	if err := h.Throttle.Take(r.Context(), throttle.Stolen, throttle.Block(web.Address(r.Context()))); err != nil {
		return err
	}
	all, err := h.Passwords.Breached(r.PostForm.Get(fieldPrefix))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, all)
}
