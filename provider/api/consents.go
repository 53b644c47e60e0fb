package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/grants"
	"github.com/doorstep-id/doorstep/storage"
)

// Consent is what a client may do for a person: what they agreed to, and by the grants
// that live.
type Consent struct {
	ClientID  string    `json:"client_id" required:"true"`
	Agreed    bool      `json:"agreed" required:"true" doc:"They agreed, and are not asked again for as much. A client of the operator's own has access without."`
	Scopes    []string  `json:"scopes" required:"true"`
	Resources []string  `json:"resources" required:"true" doc:"Audiences."`
	Claims    []string  `json:"claims" required:"true" doc:"Claims that no scope of it stands for."`
	Since     time.Time `json:"since" required:"true" doc:"When they agreed, else when the oldest living grant was made."`
}

type consentPath struct {
	UserPath
	ClientPath
}

func (h *Handler) registerConsents() {
	const of = "/users/{user_id}/consents"
	example := Consent{"shop", true, []string{"openid", "email"}, []string{}, []string{}, time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)}
	register(h, operation{
		id: "listConsents", method: http.MethodGet, path: of, scope: clients.ScopeConsentsRead, status: http.StatusOK,
		summary: "List which clients may do something for a person, by client_id", answers: Page[Consent]{Items: []Consent{example}},
	}, h.listConsents)
	register(h, operation{
		id: "withdrawConsent", method: http.MethodDelete, path: of + "/{client_id}", scope: clients.ScopeConsentsWrite, status: http.StatusNoContent,
		summary: "Take a client's access to a person away",
		text:    "What they agreed to is forgotten, and every grant of the two is revoked with its tokens. They are asked when the client comes again.",
	}, h.withdrawConsent)
}

func (h *Handler) listConsents(ctx context.Context, in *userPage) (*pageOf[Consent], error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	return paged(h, "/users/"+string(person.ID)+"/consents", nil, &in.PageInput, func(p storage.Page) (storage.List[Consent], error) {
		all, err := h.Grants.AccessTo(ctx, person.ID)
		return shown(pageOfAccess(all, p), func(a *grants.Access) Consent {
			return Consent{
				a.ClientID, a.Agreed, append([]string{}, a.Scopes...), append([]string{}, a.Resources...), append([]string{}, a.Claims...), a.Since.UTC(),
			}
		}), err
	})
}

// pageOfAccess is a page of what is read as a whole: it is put together of consents and
// grants.
func pageOfAccess(all []grants.Access, p storage.Page) storage.List[grants.Access] {
	from, _ := slices.BinarySearchFunc(all, p.After+"\x00", func(a grants.Access, after string) int { return strings.Compare(a.ClientID, after) })
	all = all[from:]
	if len(all) <= p.Limit {
		return storage.List[grants.Access]{Items: all}
	}
	return storage.List[grants.Access]{Items: all[:p.Limit], Next: all[p.Limit-1].ClientID}
}

func (h *Handler) withdrawConsent(ctx context.Context, in *consentPath) (*nothing, error) {
	person, err := h.personOf(ctx, in.UserID)
	if err == nil {
		err = h.Grants.Withdraw(ctx, person.ID, in.ID, events.ActorOperator)
	}
	return nil, err
}
