package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// EventChain is what the chain of events is at this moment, and by which keys its signed
// heads are verified.
type EventChain struct {
	First  int64      `json:"first" required:"true" doc:"The number of the first event that is kept."`
	Number int64      `json:"number" required:"true" doc:"The number of the last event in it; 0: there is none."`
	Hash   []byte     `json:"hash" required:"true" doc:"Of that event."`
	Anchor string     `json:"anchor,omitempty" doc:"The signed head (a JWS) that stands for what was before first; not there while nothing is gone."`
	Last   int64      `json:"last" required:"true" doc:"The highest number that an event has: beyond number only where somebody meddled."`
	Keep   int64      `json:"keep" required:"true" doc:"For how many seconds events are to be kept; 0: for ever."`
	Keys   []EventKey `json:"keys" required:"true" doc:"Every key that may have signed a head, whatever became of it."`
}

// EventKey is a key that may have signed heads.
type EventKey struct {
	KID     string          `json:"kid" required:"true"`
	JWK     json.RawMessage `json:"jwk" required:"true" doc:"Its public half (RFC 7517 section 4)."`
	Revoked bool            `json:"revoked,omitempty" doc:"What it signed may be somebody else's."`
}

// EventLink is an event as it is chained: all that its hash covers, and no more.
type EventLink struct {
	Number    int64           `json:"number" required:"true"`
	ID        string          `json:"id" required:"true"`
	Kind      string          `json:"kind" required:"true"`
	Outcome   string          `json:"outcome" required:"true"`
	Actor     string          `json:"actor" required:"true"`
	ActorID   string          `json:"actor_id" required:"true"`
	PersonID  string          `json:"person_id" required:"true"`
	ClientID  string          `json:"client_id" required:"true"`
	RequestID string          `json:"request_id" required:"true"`
	Document  json.RawMessage `json:"document" required:"true"`
	Personal  []byte          `json:"personal" required:"true" nullable:"true" doc:"What is personal, as it is sealed; null for nothing."`
	CreatedAt int64           `json:"created_at" required:"true" doc:"In microseconds since 1970."`
	Hash      []byte          `json:"hash" required:"true" doc:"SHA-256 of the hash of the event before it (of the first one: 32 zero bytes) and of its other members as JSON in this order, without white space, with those of document sorted at every depth by the bytes of their names in UTF-8, and <, >, &, U+2028 and U+2029 in texts as \\u003c, \\u003e, \\u0026, \\u2028 and \\u2029."`
}

// EventHead is a signed head of the chain.
type EventHead struct {
	Number    int64  `json:"number" required:"true" doc:"The number of the event that was the last one."`
	CreatedAt int64  `json:"created_at" required:"true" doc:"In microseconds since 1970."`
	JWS       string `json:"jws" required:"true" doc:"With number, hash, first and iat in its payload, and events-head+jws for its type."`
}

// linksInput is what the lists along the chain take: whoever verifies it knows what comes
// next, and takes nobody's word for it.
type linksInput struct {
	After int64 `query:"after" minimum:"0" doc:"The number of an event: those after it."`
	Limit int   `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"How many entries a page has at most; it may have fewer."`
}

func (h *Handler) registerChain() {
	at := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	const jws = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImtKM21WMHlRMXJZIiwidHlwIjoiZXZlbnRzLWhlYWQrandzIn0.eyJudW1iZXIiOjQ3MTF9.c2lnbmF0dXJl"
	hash := make([]byte, 32)
	head := EventHead{Number: 4711, CreatedAt: at.UnixMicro(), JWS: jws}
	register(h, operation{
		id: "getEventChain", method: http.MethodGet, path: "/events/chain", scope: clients.ScopeEventsRead, status: http.StatusOK,
		summary: "Show how far events are chained", answers: EventChain{
			First: 1, Number: 4711, Hash: hash, Last: 4711, Keep: 34560000,
			Keys: []EventKey{{KID: "kJ3mV0yQ1rY", JWK: json.RawMessage(`{"kty":"EC","crv":"P-256","kid":"kJ3mV0yQ1rY","use":"sig","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`)}},
		},
		text: "For whoever verifies the chain, as `doorstep events verify --server` does: it is the word of the server that may be in question, and a head that was kept elsewhere is what to hold it against.",
	}, h.getChain)
	register(h, operation{
		id: "listEventLinks", method: http.MethodGet, path: "/events/chain/links", scope: clients.ScopeEventsRead, status: http.StatusOK,
		summary: "List events as they are chained, the oldest first", answers: Page[EventLink]{Items: []EventLink{{
			Number: 4711, ID: "01a202a9-03b5-7130-aa5f-c18ae97db90c", Kind: string(events.PersonDisabled), Outcome: string(events.Success), Actor: string(events.ActorClient),
			ActorID: "deployer", PersonID: exampleUserID, RequestID: "IQJ4PVBC2UYZRNH6", Document: json.RawMessage(`{"token_id":"T7WBgok3eTkAyHHmBZ4OTA"}`),
			Personal: []byte("sealed"), CreatedAt: at.UnixMicro(), Hash: hash,
		}}},
		text: "A page ends after 1 MiB, whatever its limit. An event that is too long to be one of this provider's has nothing but its number.",
	}, h.listLinks)
	register(h, operation{
		id: "listEventHeads", method: http.MethodGet, path: "/events/chain/heads", scope: clients.ScopeEventsRead, status: http.StatusOK,
		summary: "List the signed heads that are kept, the oldest first", answers: Page[EventHead]{Items: []EventHead{head}},
		text: "One is signed every ten minutes in which something happened.",
	}, h.listHeads)
	register(h, operation{
		id: "signEventHead", method: http.MethodGet, path: "/events/chain/head", scope: clients.ScopeEventsRead, status: http.StatusOK,
		summary: "Sign the head of the chain as it is now", answers: head,
		text: "To be kept where whoever can write to the database cannot. It is not kept here.",
	}, h.signHead)
	schemas := h.huma.OpenAPI().Components.Schemas.Map()
	for schema, member := range map[string]string{"EventLink": "document", "EventKey": "jwk"} {
		said := schemas[schema].Properties[member].Description
		schemas[schema].Properties[member] = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: said}
	}
}

func (h *Handler) getChain(ctx context.Context, _ *struct{}) (*plain[EventChain], error) {
	state, err := h.Events.Source(h.cfg.KeepEvents).State(ctx)
	if err != nil {
		return nil, err
	}
	signers, err := h.Keys.RecordKeys(ctx)
	if err != nil {
		return nil, err
	}
	return &plain[EventChain]{EventChain{
		First: state.Chain.First, Number: state.Chain.Number, Hash: state.Chain.Hash, Anchor: state.Chain.Anchor,
		Last: state.Last, Keep: int64(state.Keep / time.Second),
		Keys: shown(storage.List[keys.RecordKey]{Items: signers}, showEventKey).Items,
	}}, nil
}

func showEventKey(k *keys.RecordKey) EventKey { return EventKey{k.KID, k.JWK, k.Revoked} }

func (h *Handler) listLinks(ctx context.Context, in *linksInput) (*pageOf[EventLink], error) {
	rows, more, err := h.Events.Links(ctx, in.After, in.Limit)
	return along(h, "/events/chain/links", in, rows, more, showLink, err)
}

func (h *Handler) listHeads(ctx context.Context, in *linksInput) (*pageOf[EventHead], error) {
	rows, more, err := h.Events.Heads(ctx, in.After, in.Limit)
	return along(h, "/events/chain/heads", in, rows, more, showHead, err)
}

func (h *Handler) signHead(ctx context.Context, _ *struct{}) (*plain[EventHead], error) {
	head, err := h.Events.Head(ctx)
	if err != nil {
		return nil, err
	}
	return &plain[EventHead]{EventHead{head.Number, head.At.UnixMicro(), head.Token}}, nil
}

func showLink(e *storage.Event) EventLink {
	return EventLink{
		int64(e.Number), string(e.ID), e.Kind, e.Outcome, e.Actor, e.ActorID, string(e.PersonID), e.ClientID, e.RequestID,
		e.Document.V, e.Personal, e.CreatedAt.UnixMicro(), e.Hash,
	}
}

func showHead(e *storage.EventHead) EventHead {
	return EventHead{e.Number, e.CreatedAt.UnixMicro(), e.Token}
}

// number is the place of an entry along the chain.
func (l EventLink) number() int64 { return l.Number }
func (e EventHead) number() int64 { return e.Number }

// along answers with one page of a list along the chain.
func along[E any, T interface{ number() int64 }](h *Handler, path string, in *linksInput, rows []E, more bool, show func(*E) T, err error) (*pageOf[T], error) {
	if err != nil {
		return nil, err
	}
	out := &pageOf[T]{Page[T]{Items: shown(storage.List[E]{Items: rows}, show).Items}}
	if more {
		last := out.Body.Items[len(rows)-1].number()
		out.Body.Next = h.Web.URL(web.PathAPI+path) + "?" + url.Values{"after": {strconv.FormatInt(last, 10)}, "limit": {strconv.Itoa(in.Limit)}}.Encode()
	}
	return out, nil
}
