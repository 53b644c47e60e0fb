// Package clients keeps the applications that ask for tokens and the resources
// that tokens are made for: their registration, which every way in shares, and
// the cached reads that every request makes.
//
//	registration.go   what is said of a client, in and out; its defaults
//	validate.go       what is wrong with it: all faults at once, each with its field
//	redirect.go       which redirects may be registered, and which match
//	secret.go         what is kept of a client's secret, and how one is compared
//	jwks.go           the keys that a client signs with
//	published.go      those of them that it publishes itself, at its jwks_uri
//	assertion.go      a client that proves who it is by signing (RFC 7523)
//	subject.go        by which subject a client knows a person
//	sector.go         who vouches that clients of several hosts belong together
//	initiate.go       where a client begins a sign-in that it did not ask for
//	resources.go      resources, and which of them a client may use
//	held.go           how long what was read stays in memory
//	origins.go        whose pages may read what the token-style endpoints answer
//	document.go       strict decoding of JSON from outside
//
// What is in memory is read again when [Service.Forget] says that it changed, as
// whoever serves does for other processes (storage.Store.Watch), and at the latest
// after 3 s, so that a change by another process counts within 5 s even if nobody
// says so; an unknown client is never remembered as unknown.
//
// It must never keep a client's secret but as SHA-256, let two sectors know a
// person by one pairwise subject, register a redirect that a
// stranger could receive, compare a redirect other than by its characters, go out
// more than once a minute for whoever sends nonsense, or let
// a cache decide what may happen once.
//
// Notes
//
//   - 2026-11-27: a change is told of by storage's Watch, and counts at once then. The
//     age of 3 s stays what is promised: it holds behind every connection pooler, and
//     while nobody listens. One change of a client has all of them read again, each
//     when it is used: a registration costs nobody that, changes of clients are rare.
package clients
