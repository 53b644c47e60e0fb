package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Event is something that happened.
type Event struct {
	Number    int64           `json:"number" required:"true" doc:"Its place in the chain of events."`
	ID        string          `json:"id" required:"true"`
	At        time.Time       `json:"at" required:"true"`
	Kind      string          `json:"kind" required:"true" doc:"What happened, such as grant.made."`
	Outcome   string          `json:"outcome" required:"true" enum:"success,failure"`
	Actor     string          `json:"actor" required:"true" enum:"person,client,operator,system" doc:"What kind of actor did it; system is the provider by itself."`
	ActorID   string          `json:"actor_id,omitempty" doc:"Which client or person did it; not there for the provider and its command line."`
	UserID    string          `json:"user_id,omitempty" doc:"The id of the person whom it is about, who may be gone."`
	ClientID  string          `json:"client_id,omitempty" doc:"The client that it is about."`
	RequestID string          `json:"request_id,omitempty" doc:"The request that caused it, as the log has it."`
	Data      json.RawMessage `json:"data" required:"true" doc:"What else there is to say."`
	Personal  map[string]any  `json:"personal,omitempty" doc:"What of it says who somebody is, such as the address that a request came from."`
	Erased    bool            `json:"erased,omitempty" doc:"There was something personal, and somebody whom it concerned was erased."`
}

type eventList struct {
	PageInput
	Kind      string    `query:"kind" maxLength:"64" doc:"What happened, such as grant.made."`
	Outcome   string    `query:"outcome" enum:"success,failure"`
	UserID    string    `query:"user_id" maxLength:"64" doc:"Whom it is about: an id, also of who is gone, or a sub."`
	ClientID  string    `query:"client_id" maxLength:"64" doc:"The client that it is about."`
	Actor     string    `query:"actor" enum:"person,client,operator,system" doc:"What kind of actor did it."`
	ActorID   string    `query:"actor_id" maxLength:"64" doc:"Which client or person did it."`
	RequestID string    `query:"request_id" maxLength:"64" doc:"Of the request that caused it."`
	Since     time.Time `query:"since" doc:"Not before."`
	Until     time.Time `query:"until" doc:"Before."`
	Before    int64     `query:"before" minimum:"1" doc:"The number of an event: those before it in the chain."`
}

func (h *Handler) registerEvents() {
	register(h, operation{
		id: "listEvents", method: http.MethodGet, path: "/events", scope: clients.ScopeEventsRead, status: http.StatusOK,
		summary: "List what happened, the newest first",
		text: "Filters add up. A page looks through a bounded part of what there is: it may have fewer entries than limit, or none, " +
			"and a next page all the same. An event is listed a second after its change at most.",
		answers: Page[Event]{Items: []Event{{
			Number: 4711, ID: "01a202a9-03b5-7130-aa5f-c18ae97db90c", At: time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC), Kind: string(events.PersonDisabled),
			Outcome: string(events.Success), Actor: string(events.ActorClient), ActorID: "deployer", UserID: exampleUserID, RequestID: "IQJ4PVBC2UYZRNH6",
			Data: json.RawMessage(`{"token_id":"T7WBgok3eTkAyHHmBZ4OTA"}`), Personal: map[string]any{"address": "192.0.2.7"},
		}}},
	}, h.listEvents)
	h.huma.OpenAPI().Components.Schemas.Map()["Event"].Properties["data"] = &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "What else there is to say; token_id is the id (jti) of the access token of this API by which it was asked for.",
	}
}

func (h *Handler) listEvents(ctx context.Context, in *eventList) (*pageOf[Event], error) {
	person, err := h.personFilter(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	f := events.Filter{
		Kind: events.Kind(in.Kind), Outcome: events.Outcome(in.Outcome), Person: person, Client: in.ClientID,
		Actor: events.Actor(in.Actor), ActorID: in.ActorID, RequestID: in.RequestID, Since: in.Since, Until: in.Until,
	}
	chosen := filters("kind", in.Kind, "outcome", in.Outcome, "user_id", string(person), "client_id", in.ClientID, "actor", in.Actor,
		"actor_id", in.ActorID, "request_id", in.RequestID, "since", instant(in.Since), "until", instant(in.Until),
		"before", numbered(in.Before))
	return paged(h, "/events", chosen, &in.PageInput, func(p storage.Page) (storage.List[Event], error) {
		after, err := number(cmp.Or(p.After, numbered(in.Before)))
		if err != nil {
			return storage.List[Event]{}, err
		}
		page, err := h.Events.List(ctx, f, after, p.Limit)
		list := storage.List[events.Recorded]{Items: page.Events}
		list.Next = numbered(page.Next)
		return shown(list, showEvent), err
	})
}

func showEvent(e *events.Recorded) Event {
	return Event{
		Number: e.Number, ID: string(e.ID), At: e.At.UTC(), Kind: string(e.Kind), Outcome: string(e.Outcome), Actor: string(e.Actor), ActorID: e.ActorID,
		UserID: string(e.Person), ClientID: e.Client, RequestID: e.RequestID, Data: e.Data, Personal: e.Personal, Erased: e.Erased,
	}
}

// instant is a time as a filter has it; "" for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// numbered is the number of an event as text; "" for 0, which is none.
func numbered(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// number is the place of a page in the list of events, 0 for the first.
func number(after string) (int64, error) {
	if after == "" {
		return 0, nil
	}
	return strconv.ParseInt(after, 10, 64)
}
