package api

import (
	"context"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Device is a browser that a person signed in with, and that is known by it.
type Device struct {
	ID              string     `json:"id" required:"true"`
	Browser         string     `json:"browser,omitempty" doc:"As it says itself, without its version."`
	System          string     `json:"system,omitempty"`
	CreatedAt       time.Time  `json:"created_at" required:"true" doc:"When they first signed in with it."`
	SeenAt          time.Time  `json:"seen_at" required:"true" doc:"When they last did."`
	ExpiresAt       time.Time  `json:"expires_at" required:"true" doc:"When it is forgotten by itself, unless they sign in with it."`
	RememberedUntil *time.Time `json:"remembered_until,omitempty" doc:"Until when it spares them from a second factor; not there where it does not."`
}

type devicePath struct {
	UserPath
	DeviceID string `path:"device_id" maxLength:"64" doc:"The device's id."`
}

// mostDevices is how many are listed: nobody has more in use.
const mostDevices = 100

func (h *Handler) registerDevices() {
	const of = "/users/{user_id}/devices"
	made := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	until := made.Add(90 * 24 * time.Hour)
	register(h, operation{
		id: "listDevices", method: http.MethodGet, path: of, scope: clients.ScopeUsersRead, status: http.StatusOK,
		summary: "List the browsers that a person signed in with", text: "Those that were used last come first, 100 at most: they are on one page.",
		answers: Page[Device]{Items: []Device{{"01a202a9-03b5-7130-aa5f-c18ae97db911", "Firefox", "Windows", made, made.Add(time.Hour), made.Add(400 * 24 * time.Hour), &until}}},
	}, h.listDevices)
	register(h, operation{
		id: "forgetDevice", method: http.MethodDelete, path: of + "/{device_id}", scope: clients.ScopeUsersWrite, status: http.StatusNoContent,
		summary: "Forget a browser of a person's",
		text:    "It is one that they never signed in with, and spares them from no second factor. Where they are signed in with it they stay so. " + operatorsText,
	}, h.forgetDevice)
}

func (h *Handler) listDevices(ctx context.Context, in *UserPath) (*plain[Page[Device]], error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	all, err := h.Sessions.Devices(ctx, person.ID, mostDevices)
	if err != nil {
		return nil, err
	}
	out := &plain[Page[Device]]{Page[Device]{Items: make([]Device, 0, len(all))}}
	for i := range all {
		d := &all[i]
		shown := Device{ID: string(d.ID), Browser: d.Browser, System: d.System, CreatedAt: d.CreatedAt.UTC(), SeenAt: d.SeenAt.UTC(), ExpiresAt: d.ExpiresAt.UTC()}
		if d.Remembers(storage.At(h.Now())) {
			shown.RememberedUntil = moment(d.RememberedUntil)
		}
		out.Body.Items = append(out.Body.Items, shown)
	}
	return out, nil
}

func (h *Handler) forgetDevice(ctx context.Context, in *devicePath) (*nothing, error) {
	person, err := h.managed(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	return nil, h.Sessions.Forget(ctx, person.ID, in.DeviceID, events.ActorOperator)
}
