// Package events records what happened: one row for each change, which is audit
// and outbox both. A row is appended to the unit of the change that it tells of,
// so that neither exists without the other: where it cannot be written, the
// change fails.
//
// After its commit, and at most a second later on a server, the sequencer gives an
// event its number and chains it: its hash covers all that it says and the hash of
// the event before it ([Service.Sequence]). Every ten minutes a signing key signs
// the head of the chain, and an operator can keep such a head elsewhere
// ([Service.Head]): so whatever is changed, taken out or put in afterwards is found,
// and the first bad event named ([Verify]), on the database or from far away ([Source]).
//
// What is personal in an event (the address that it came from, contacts) is sealed
// under a key that takes the salts of all people concerned: whom it is about, and
// who did it. The salt goes with the person ([Service.Erase]), and with it what was
// personal; the chain holds on, since it covers the ciphertext.
//
// It must never record a secret, a token, a password or an address in the clear,
// never change an event that has a number, and never decide anything: who wants to
// act on an event reads the table.
//
// Notes
//
//   - 2026-11-27: Record has no person's key at hand, and to read one would cost
//     every hot path a statement. So it seals for the provider, and the sequencer,
//     which reads events by the batch, seals them again for the people concerned;
//     until then storage.ErasePersonSalt takes the personal part out. A key for each person,
//     wrapped by the key-encryption key, would have to be wrapped anew when that one
//     is rotated; a salt beside the root secret, which it does wrap, erases as well.
//   - 2026-11-27: there is no lock on being the sequencer. Every replica may try, and
//     a batch is one statement that goes on from the chain's head as it was read
//     (storage.ChainEvents): of two one wins, and the other leaves it to that one until its
//     next turn. It holds behind a transaction pooler, with no transaction open while
//     hashes are made, and is the same on both databases.
//   - 2026-11-27: pages of a list go by number. A page looks through a bounded stretch
//     of numbers, so that no filter can make one read the whole table.
//   - 2026-11-27: a chain is verified where the question is asked: one walk for the
//     database and for a server far away, over a Source of rows. A server says which keys
//     sign its heads, so that one which forges everything is told by a head that was kept
//     elsewhere, and by nothing else.
package events
