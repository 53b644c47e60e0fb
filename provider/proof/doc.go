// Package proof has one file per way of proving who somebody is. Each checks
// what a person brings and returns it as policy.Evidence: what was proven and
// when, not what it is worth.
//
//	password.go   what the person knows: check, set, refuse a weak one
//	argon2id.go   its hash, in PHC form
//	breached.go   lists of passwords that others know
//	pool.go       how many hashes run at once
//	totp.go       what the person's authenticator app shows (RFC 6238)
//	qr.go         how it learns its seed
//	recovery.go   what the person kept for the day on which the others are lost
//	sent.go       that they read what is sent to an address of theirs
//	phones.go     their mobiles, to which it is sent as well
//	factor.go     what those that a person has several of have in common
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
//   - 2026-11-27: the list in the binary is 49,233 passwords of zxcvbn's, MIT: longer
//     ones on npm are copyleft. A password is looked for as it is and in small letters, as
//     the lists have them. 8 characters are enough for whoever has a second factor, since
//     rules can then ask for it; where they do not, that password stands alone.
//   - 2026-11-27: a recovery code is 80 random bits behind the throttle of passwords,
//     and kept as HMAC-SHA256 under a key of the root secret. OWASP ASVS 5.0 6.5.2 asks
//     for a password hash below 112 bits, against whoever has the table: without the
//     key that one cannot search at all. A code of 112 bits nobody would type.
//   - 2026-11-27: a step of an authenticator and a recovery code are spent at once,
//     outside the caller's unit: what was shown to us is not to work again when the rest
//     fails.
//   - 2026-11-27: a sent code has 8 digits, two more than NIST SP 800-63B-4 section 4.2.1.2
//     asks for, since one alone lets somebody without a second factor choose another password.
package proof
