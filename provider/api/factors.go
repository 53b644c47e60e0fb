package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/storage"
)

// Factor is a passkey, an authenticator app or a mobile of a person's.
type Factor struct {
	ID        string     `json:"id" required:"true"`
	Kind      string     `json:"kind" required:"true" enum:"passkey,totp,phone"`
	Name      string     `json:"name,omitempty" doc:"Its owner's name for it; of a phone the end of its number."`
	CreatedAt time.Time  `json:"created_at" required:"true"`
	UsedAt    *time.Time `json:"used_at,omitempty" doc:"When it proved something last; not there until it did."`
	StoppedAt *time.Time `json:"stopped_at,omitempty" doc:"Since when, after too many wrong codes, none of an authenticator is looked at any more; not there where they are."`
}

type factorPath struct {
	UserPath
	FactorID string `path:"factor_id" maxLength:"64" doc:"The factor's id."`
}

func (h *Handler) registerFactors() {
	const of = "/users/{user_id}/factors"
	made := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	used := made.Add(time.Hour)
	register(h, operation{
		id: "listFactors", method: http.MethodGet, path: of, scope: clients.ScopeUsersRead, status: http.StatusOK,
		summary: "List a person's passkeys, authenticators and phones", text: "There are few: they are on one page.",
		answers: Page[Factor]{Items: []Factor{{"01a202a9-03b5-7130-aa5f-c18ae97db90f", string(mail.FactorPasskey), "Phone", made, &used, nil}}},
	}, h.listFactors)
	register(h, operation{
		id: "removeFactor", method: http.MethodDelete, path: of + "/{factor_id}", scope: clients.ScopeUsersWrite, status: http.StatusNoContent,
		summary: "Remove a passkey, an authenticator or a phone of a person's",
		text:    "It opens nothing any more, and what it proved in living sessions counts no more; nothing else ends. They are told by mail. " + operatorsText,
	}, h.removeFactor)
	register(h, operation{
		id: "liftFactor", method: http.MethodPost, path: of + "/{factor_id}/lift", scope: clients.ScopeUsersWrite, status: http.StatusNoContent,
		summary: "Have codes of a stopped authenticator looked at again",
		text:    "A hundred wrong codes stopped it: whoever typed them had given another proof, such as the password. See first that this is another one now. " + operatorsText,
	}, h.liftFactor)
}

// factor is one, and what removes it.
type factor struct {
	Factor
	remove func(ctx context.Context, person, id storage.ID, by events.Actor) error
}

func (h *Handler) factors(ctx context.Context, person storage.ID) ([]factor, error) {
	passkeys, err := h.Store.PasskeysOf(ctx, person)
	if err != nil {
		return nil, err
	}
	apps, err := h.TOTP.List(ctx, person)
	if err != nil {
		return nil, err
	}
	phones, err := h.Phones.List(ctx, person)
	if err != nil {
		return nil, err
	}
	var all []factor
	for _, k := range passkeys {
		all = append(all, factor{Factor{string(k.ID), string(mail.FactorPasskey), k.Name, k.CreatedAt.UTC(), moment(k.UsedAt), nil}, h.Passkeys.Remove})
	}
	for _, a := range apps {
		all = append(all, factor{Factor{string(a.ID), string(mail.FactorTOTP), a.Name, a.CreatedAt.UTC(), moment(a.UsedAt), moment(a.StoppedAt)}, h.TOTP.Remove})
	}
	for _, p := range phones {
		all = append(all, factor{Factor{string(p.ID), string(mail.FactorPhone), ident.MaskPhone(p.Number), p.VerifiedAt.UTC(), moment(p.UsedAt), nil}, h.Phones.Remove})
	}
	return all, nil
}

func (h *Handler) listFactors(ctx context.Context, in *UserPath) (*plain[Page[Factor]], error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	all, err := h.factors(ctx, person.ID)
	if err != nil {
		return nil, err
	}
	out := &plain[Page[Factor]]{Page[Factor]{Items: make([]Factor, 0, len(all))}}
	for _, f := range all {
		out.Body.Items = append(out.Body.Items, f.Factor)
	}
	return out, nil
}

func (h *Handler) liftFactor(ctx context.Context, in *factorPath) (*nothing, error) {
	person, err := h.managed(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	return nil, h.TOTP.Lift(ctx, person.ID, storage.ID(in.FactorID), events.ActorOperator)
}

func (h *Handler) removeFactor(ctx context.Context, in *factorPath) (*nothing, error) {
	person, err := h.managed(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	all, err := h.factors(ctx, person.ID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(f factor) bool { return f.ID == in.FactorID })
	if i < 0 {
		return nil, storage.ErrNotFound
	}
	return nil, h.Store.Together(ctx, func(ctx context.Context) error {
		if err := all[i].remove(ctx, person.ID, storage.ID(all[i].ID), events.ActorOperator); err != nil {
			return err
		}
		return h.Notices.Removed(ctx, person, mail.Device{}, mail.Factor(all[i].Kind), all[i].Name)
	})
}
