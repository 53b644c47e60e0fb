// Package proof has one file per way of proving who somebody is. Each checks
// what a person brings and returns it as policy.Evidence: what was proven and
// when, not what it is worth.
//
//	password.go   what the person knows: check, set, refuse a weak one
//	argon2id.go   its hash, in PHC form
//	pool.go       how many hashes run at once
//
// It must never say which of identifier and proof was wrong, cost less for a
// person who is not there, change a byte of what was typed, or decide what the
// proof is good for.
//
// Notes
//
//   - 2026-11-22: a password is compared byte by byte: neither trimmed nor
//     normalised, a NUL stays a NUL. SP 800-63B-4 section 3.1.1.2 allows
//     normalising; then two different inputs would open one account, and a hash
//     from another system would not match.
package proof
