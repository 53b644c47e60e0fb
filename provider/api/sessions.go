package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/session"
	"github.com/doorstep-id/doorstep/storage"
)

// Session is a living session: where a person is signed in.
type Session struct {
	ID        string    `json:"id" required:"true"`
	UserID    string    `json:"user_id" required:"true" doc:"The person's id."`
	CreatedAt time.Time `json:"created_at" required:"true"`
	SeenAt    time.Time `json:"seen_at" required:"true" doc:"When it was used last, to the minute."`
	ExpiresAt time.Time `json:"expires_at" required:"true" doc:"When it ends by itself, unless it is used."`
	ACR       string    `json:"acr,omitempty" doc:"What was proven in it adds up to this now; not there for nothing any more."`
	ClientIDs []string  `json:"client_ids" required:"true" doc:"Clients that were given something in it, and are told of its end."`
}

type sessionPath struct {
	SessionID string `path:"session_id" maxLength:"64" doc:"The session's id."`
}

// whyAPI is what the record says of an end that this API made.
const whyAPI = "operator"

func (h *Handler) registerSessions() {
	const of = "/users/{user_id}/sessions"
	began := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	example := Session{"01a202a9-03b5-7130-aa5f-c18ae97db70a", exampleUserID, began, began.Add(time.Hour), began.Add(12 * time.Hour), "aal1", []string{"shop"}}
	register(h, operation{
		id: "listSessions", method: http.MethodGet, path: of, scope: clients.ScopeSessionsRead, status: http.StatusOK,
		summary: "List where a person is signed in, the oldest session first", answers: Page[Session]{Items: []Session{example}},
	}, h.listSessions)
	const clientsTold = "Grants without offline_access end with it, and its clients are told. The person may sign in again."
	register(h, operation{
		id: "endSessions", method: http.MethodDelete, path: of, scope: clients.ScopeSessionsWrite, status: http.StatusNoContent,
		summary: "Sign a person out everywhere", text: clientsTold + " Who is signed in nowhere stays so.",
	}, h.endSessions)
	register(h, operation{
		id: "endSession", method: http.MethodDelete, path: "/sessions/{session_id}", scope: clients.ScopeSessionsWrite, status: http.StatusNoContent,
		summary: "End a session", text: clientsTold,
	}, h.endSession)
}

func (h *Handler) listSessions(ctx context.Context, in *userPage) (*pageOf[Session], error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	return paged(h, "/users/"+string(person.ID)+"/sessions", nil, &in.PageInput, func(p storage.Page) (storage.List[Session], error) {
		list, err := h.Sessions.List(ctx, person.ID, p)
		return shown(list, func(s *session.Living) Session {
			return Session{
				string(s.ID), string(s.PersonID), s.CreatedAt.UTC(), s.SeenAt.UTC(), s.ExpiresAt.UTC(), s.ACR, append([]string{}, s.Clients...),
			}
		}), err
	})
}

func (h *Handler) endSession(ctx context.Context, in *sessionPath) (*nothing, error) {
	return nil, h.Sessions.EndByID(ctx, in.SessionID, whyAPI, events.ActorOperator)
}

func (h *Handler) endSessions(ctx context.Context, in *UserPath) (*nothing, error) {
	person, err := h.personOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	err = h.Sessions.EndAll(ctx, person.ID, whyAPI, events.ActorOperator)
	if errors.Is(err, storage.ErrNotFound) { // they are signed in nowhere
		return nil, nil
	}
	return nil, err
}
