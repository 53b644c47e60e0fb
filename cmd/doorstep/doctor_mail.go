package main

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// smtp asks the SMTP server whether it would take a mail.
func (d *doctor) smtp(ctx context.Context) {
	const check = "mail server"
	server := d.cfg.mail().SMTP
	if server == nil {
		d.ok(check, "there is none: mails are off")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	at := net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	if err := server.Check(ctx, d.cfg.MailFrom.Address); err != nil {
		d.fault(check, "correct mail.smtp, or see to the server and to what is in front of it", "%s takes no mails: %v", at, err)
		return
	}
	d.ok(check, "%s lets us in", at)
}

// noFirstFactors says what becomes of rules that a password cannot meet, where there are no mails.
const noFirstFactors = "the rules demand more than a password, and there are no mails: nobody who has no factor yet can add a first one"

// firstFactors looks whether those can be added that the rules demand.
func (d *doctor) firstFactors() {
	const check = "first factors"
	switch {
	case !d.own.rules.Strict():
	case d.cfg.mail().SMTP == nil:
		d.warning(check, "set mail.smtp, or have no rule require more of those who have no factor", noFirstFactors)
	default:
		d.ok(check, "who has none, and must have one, proves an address by a mail first")
	}
}

// lateMail is how long a mail may wait before somebody should see to it.
const lateMail = 5 * time.Minute

// mails looks at what waits in a channel and what was given up; on says whether anybody takes
// its messages.
func (d *doctor) mails(ctx context.Context, store *storage.Store, check, channel string, on bool) {
	q, err := store.MailQueue(ctx, channel)
	switch age := q.Age(d.now()); {
	case err != nil:
		d.fault(check, "look at the database's own log", "%v", err)
	case age > lateMail && on:
		d.fault(check, "see what `doorstep mail list` says of it", "%d wait, the oldest for %s", q.Waiting, age.Round(time.Minute))
	case q.Dead > 0:
		d.warning(check, "`doorstep mail list --dead` says why", "%d wait, %d were given up", q.Waiting, q.Dead)
	default:
		d.ok(check, "%d wait, and none was given up", q.Waiting)
	}
}
