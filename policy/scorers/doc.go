// Package scorers has the scorers that Doorstep brings along: [Chain], the default,
// [Baseline], the one of the literature that it is measured against, and [Behaviour],
// which compares with the last sign-ins as other products do.
//
// They are pure, and they never decide: each signal is a log2 likelihood ratio, bits
// for (negative) or against the account's owner. A person without a history is
// [FirstLogin], of no bits: nothing is known for or against them.
package scorers
