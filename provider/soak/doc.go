// Package soak breaks a running provider on purpose and looks whether anybody
// lost something by it.
//
// Servers are the real binary, each a process of its own ([Servers]). A [Crowd]
// of people signs in, swaps codes, refreshes, revokes and signs out, and writes
// down every answer in a [Ledger] that outlives the driver. Meanwhile a test
// kills, stops, starves or delays something. In the end [Ledger.Check] works out
// from the ledger alone what must hold, asks every server, and [Audit] reads the
// tables:
//
//	I1  what was acknowledged is valid, or was replaced by an acknowledged successor
//	I2  what was acknowledged as ended stays ended
//	I3  a code is taken at most once, over all servers
//	I4  one audit row for each acknowledged change
//	I5  each client of an ended session is told
//	I6  what was not acknowledged happened whole or not at all
//
// The suite runs short twins. With the build tag soak they run at length, with
// what a machine must offer for it:
//
//	go test -tags soak -v -timeout 2h ./provider/soak
//
// It must never be imported by the product, and never take a lost answer for a
// lost change: only the tables tell.
package soak
