// Package eval measures scorers: worlds of made-up people who sign in, attackers who try
// to be them, and how often people are asked for more where so many attackers are caught.
//
// All of it is synthetic. What a world assumes it rewards: there are three of them, with
// different assumptions, and none says how a scorer does among real people. A world is
// the same again from the same seed.
//
// Attempts are gone through in time order: each is scored with what was known before it,
// and learned after. Thresholds are chosen in one month and used in the next.
package eval
