// Package sms sends codes to phones, through a gateway that an operator has: one that takes
// a signed webhook ([Webhook]), or one that speaks as Twilio does ([Twilio]). Messages wait
// in an outbox of their own ([mail.Outbox]), with the same fates as mails.
//
// Every message costs money, and there are those who earn by it: whoever has numbers
// somewhere has codes sent to them for a share of the fee. So nobody is written to in a country
// that the operator did not name, or at a number that is no mobile's; and there are caps for a number,
// a person, a block of addresses and a country, in the database, over all replicas.
//
// It must never log or keep a number beyond its row, or what a message said; believe what a
// gateway says further than a code; or have anybody wait for one.
package sms
