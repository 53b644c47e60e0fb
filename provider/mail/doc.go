// Package mail tells people things by e-mail: a code, a link, or that something
// happened to their account. [Service.Send] writes one row into the unit of the
// change that it tells of, so that neither exists without the other, and the
// [Deliverer] of any server sends it by SMTP once the unit was carried out. What a
// mail says is sealed in the row, and goes with the sending.
//
// A mail is claimed by one conditional statement for as long as an attempt may take.
// What fails is tried again, later each time, until the mail is of no use any more;
// what the server refuses for good, or has lapsed, is a dead letter, which operators
// see ([Service.List]), try again ([Service.Retry]) or throw away ([Service.Discard]).
//
// A mail may arrive twice, when the server's answer is lost or the process dies before
// it wrote the answer down; both have the same Message-ID.
//
// It must never take an address in a mail from a request (links are paths on the
// issuer, which is configuration), send what was not committed, keep or log what a
// mail said beyond its sending, or have anybody wait for an SMTP server.
//
// Notes
//
//   - 2026-11-27: a mail is rendered when it is sent for, not when it is delivered: an
//     older server that runs beside this one can deliver a kind that it does not know,
//     and a template that fails, fails the change.
//   - 2026-11-27: only what the server says of this recipient and this message (RCPT and
//     DATA) can make a dead letter. A refusal before that (EHLO, STARTTLS, AUTH, MAIL) is
//     about our configuration, and would bury every mail at the first wrong password.
package mail
