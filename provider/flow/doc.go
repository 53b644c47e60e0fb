// Package flow is the one place that answers "what next?" for an interaction:
// somebody's pending request for something, bound to the browser that began it.
//
//	request.go   what is asked, what was done about it, and where that is kept
//	decide.go    the answer: one pure table of rules in order
//	flow.go      Begin and Resume: read, assess, decide
//	signedin.go  what follows from a right proof: a session, its decision, its device
//	advance.go   what else a person does at a step: choose, consent, go back
//	page.go      pages of our own, which ask like a client does
//	recover.go   who lost their password
//	signout.go   leaving
//
// Surfaces meet here: oidc begins and ends interactions, signin shows the steps
// between, and both ask the same table, so no step can be skipped by asking for
// a later one.
//
// It must never check a proof (proof does), issue anything (oidc does), write an
// interaction when there is nothing to ask, or answer one of another browser.
//
// Notes
//
//   - 2026-11-22: max_age is met by a proof that is young enough, and by one that
//     was given in this very interaction (OIDC Core section 3.1.2.1 asks for an
//     attempt to authenticate; auth_time tells the client the rest). A small
//     max_age would otherwise ask again and again on a slow line.
//   - 2026-11-22: "in this interaction" is a mark on the evidence, or a later time.
//     Times alone would not do: two clocks need not agree to the microsecond.
package flow
