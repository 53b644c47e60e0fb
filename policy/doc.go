// Package policy has the words in which Doorstep thinks about sure and unsure:
// evidence (what was proven), assurance (what it adds up to), facts (what is
// seen of an attempt), signals (what argues for or against the account's owner,
// in bits) and decisions. Scorers implement [Scorer]; policy/rules decides.
//
// It is pure: the standard library only, no clock of its own, no I/O. The same
// evidence, facts and signals give the same answer on every machine, years
// later, so that a stored decision can be derived again bit by bit.
//
// It must never read a database, ask for the time, keep a person's address or
// user agent in the clear (facts carry keyed hashes), and no scorer may decide.
//
// Notes
//
//   - 2026-11-22: documents that outlive a request carry a version number and
//     are read by codec.go alone; storage keeps them without looking inside.
package policy
