// Package api is where operators' programs speak: the REST API below /api/v1, and
// the OpenAPI document that describes it. One file per resource:
//
//	api.go         what is mounted, and how one operation is served from end to end
//	caller.go      whose request it is, and whether its token has the scope
//	operation.go   how an operation is declared: nothing is served that is not in the document
//	problem.go     what went wrong, as RFC 9457 has it: the one mapping and the one writer
//	pages.go       lists, a page at a time
//	version.go     ETag and If-Match: who changes something has seen it
//	once.go        Idempotency-Key: what is sent twice is done once
//	document.go    the OpenAPI document
//	clients.go, resources.go, keys.go, users.go, groups.go, sessions.go, grants.go,
//	consents.go, events.go, chain.go: the resources
//
// A resource's file has the shapes of its requests and answers, which are exported
// for whoever speaks to this API in Go, its operations, and one handler for each:
// it parses, makes one service call and answers.
//
// The API is a resource of the provider's own (clients.APIAudience): its tokens are
// those that a client gets for itself by its registered scope. Before anything of a
// request is looked at, its token is checked, whether it lives by the same statement
// as introspection, and its scope; a token of a person's grant opens nothing here.
//
// It must never answer without a token but for the document, read a cookie, answer a
// page of another origin, take a token from a URL, let a caller give a client scopes
// of this API that it does not hold, or say who is an operator without that scope, or log what a request or an answer has in it.
//
// Notes
//
//   - 2026-11-27: people are named by id or sub, never by an address: paths end in
//     logs. Their ETag is when they were changed, which every change moves on.
//   - 2026-11-27: a scope that writes does not read as well. Who is to do both is
//     given both; what a write answers is the one thing that was written.
//   - 2026-11-27: what is wrong with a request is 400 in every case, also where huma
//     has 422: 422 says that an Idempotency-Key was used for another request.
//   - 2026-11-27: who is in a group is told by id. Addresses and names are for a token
//     that may read people besides: nobody learns them by the way.
//   - 2026-11-27: no operation verifies the chain of events: its answer would be the word
//     of the server that is in question. They hand out what the hashes cover, page by
//     page, and whoever asks verifies it.
//   - 2026-11-27: an answer whose request was done and that could not be kept is told
//     as lost (409), not made anew: the change is marked in its own transaction.
package api
