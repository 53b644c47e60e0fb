// Package keys keeps what the provider signs and seals with: the signing keys
// and their rotation, the root secret that every MAC key is derived from, and
// the envelope encryption of secrets at rest. Everything is sealed under one
// key-encryption key (KEK) that the operator holds and the database never sees.
//
// A signing key is published when it is made, signs from ActiveAt to RetiredAt,
// and leaves the published set at ExpiresAt, when the last token it signed is
// gone. Its public half stays, to verify ID tokens given back as hints. One that is
// revoked does nothing any more: a row of kind key in storage's revocations says so.
//
// It must never let a private key, the root secret or the KEK out, sign with an
// algorithm that is symmetric or "none", accept a token by what the token says
// about its own key, or write anything when the KEK is the wrong one.
//
// Notes
//
//   - 2026-11-22: the header of a token that we verify must be, byte for byte, one
//     that we write. So nothing in it is ever parsed: an unknown kid, another
//     algorithm or type, crit, jwk, jku, x5u or a second member of one name all
//     fail the same comparison (RFC 8725 sections 3.1, 3.10 and 3.11).
//   - 2026-11-22: one RSA key serves RS256 and PS256, so its JWK names no alg
//     (RFC 7517 section 4.4: optional).
//   - 2026-11-27: keys in memory live for 3 s at most, which meets the 5 s within
//     which every server publishes a new key, on both databases and without a
//     listener. Where storage's Watch hears, a change counts at once: a revoked key is
//     not to sign for 3 s more.
//   - 2026-11-26: an RSA key takes 0.05 to 0.5 s to make, so the first one is not on
//     the way to the first answer: it is made when the JWKS, a signature, a list, a
//     rotation or an unknown kid needs it, and a server asks for the JWKS as soon as
//     it listens. The caller makes it itself: no goroutine of this room is left over.
//   - 2026-11-26: a rotation or revocation spends the state of its algorithm's keys
//     that it was thought out from (storage.ReplanKeys). Guards on single keys let two
//     that meet on none of them through, and a version of its own per algorithm would
//     be one more table for the same.
package keys
