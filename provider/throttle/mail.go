package throttle

import "time"

// The limits of mails to one address, whoever has them sent.
var (
	// MailAsked is for those of one kind that anybody may ask for, such as a code: whoever
	// reads them need not have. A browser that is known to be theirs has its own.
	MailAsked = Limit{Name: "mail-asked", Every: 6 * time.Minute, Burst: 10}
	// MailNotices is for those that tell of a change. The change does not happen if its mail
	// is one too many.
	MailNotices = Limit{Name: "mail-notices", Every: 2 * time.Minute, Burst: 30}
	// SentPerson is for the codes for one purpose that one person asks for, or is sent,
	// whatever address they go to. A browser that is known to be theirs has its own.
	SentPerson = Limit{Name: "sent-person", Every: 6 * time.Minute, Burst: 10}
	// SentFresh is for the codes that one person is sent in all browsers together that are known to be
	// theirs, and neither for long nor by more than a password: whoever has that makes as many as they
	// like, and fills no mailbox by it.
	SentFresh = Limit{Name: "sent-fresh", Every: 30 * time.Minute, Burst: 20}
	// SentBlock is for the codes that one block of addresses asks for, whoever they go to.
	SentBlock = Limit{Name: "sent-block", Every: 30 * time.Second, Burst: 40}
)
