package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) eventsCommand() *cobra.Command {
	list, verify := a.listEventsCommand(), a.verifyEventsCommand()
	head := &cobra.Command{
		Use:   "head",
		Short: "Sign the head of the chain of events, to be kept elsewhere",
		Long: `Sign the head of the chain of events: the number and the hash of the last one, as a JWS.
Keep it where whoever can write to the database cannot: 'doorstep events verify --head'
then finds whatever was changed, taken out or cut off before it.`,
		Example: `  doorstep events head > /mnt/worm/events-$(date +%F).jws
  doorstep events head --server https://login.example.com > events-$(date +%F).jws
  doorstep events head -o json`,
		Args: cobra.NoArgs,
		RunE: a.onChain(a.printHead),
	}
	drop := &cobra.Command{
		Use:   "drop-head NUMBER",
		Short: "Take out a signed head that is not ours",
		Long: `Take out the signed head that is kept for an event and that no key of ours signed, or
signed for another event. Somebody who can write to the database put it there, so 'doorstep
events verify' names it, and no event from there on is deleted however old. What it was is
recorded as the event head.dropped. One of ours is evidence, and is not taken out.`,
		Example: "  doorstep events verify\n  doorstep events drop-head 4711",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			number, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || number < 1 {
				return &usageError{"NUMBER must be the number of an event"}
			}
			return notFound(s.Events.DropHead(ctx, number, events.ActorOperator), "signed head of event", args[0])
		}),
	}
	all := []*cobra.Command{list, head, verify, drop}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("events", "See what happened, and that nobody changed the record of it", all...)
}

// sequence chains what waits. What waits for a key that is not given is said, and stops
// nobody.
func (a *app) sequence(ctx context.Context, s *provider.Services) error {
	_, err := s.Events.Sequence(ctx)
	if errors.Is(err, keys.ErrWrongKEK) {
		fmt.Fprintf(a.stderr, "%v\n", err)
		return nil
	}
	return err
}

// eventFilter is what flags say of the events that are wanted.
type eventFilter struct {
	kind, outcome, person, client, actor, requestID string
	since, until                                    string
	after                                           int64
	limit                                           int
}

const (
	longestList = 10_000
	longestKeep = 36500 * day
)

func (a *app) listEventsCommand() *cobra.Command {
	var f eventFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List events, the newest first",
		Long: `List events, the newest first: sign-ins, consents, grants and their end, and every change
to clients, APIs, people, groups and keys. Filters add up. --after goes on where a list
ended, with what it named on stderr. The address is "erased" where a person was
whom it concerned.`,
		Example: `  doorstep events list --person ada@example.com --since 24h
  doorstep events list --kind client.updated --limit 10 -o json
  doorstep events list --actor operator --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z`,
		Args: cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error { return a.listEvents(ctx, o, &f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "kind", "", "what happened, such as grant.made")
	flags.StringVar(&f.outcome, "outcome", "", "success or failure")
	flags.StringVar(&f.person, "person", "", "whom it is about: their address, public subject or id")
	flags.StringVar(&f.client, "client", "", "client_id")
	flags.StringVar(&f.actor, "actor", "", "who did it: person, client, operator or system, or the id of a person or client")
	flags.StringVar(&f.requestID, "request-id", "", "id of the request, as the log has it")
	flags.StringVar(&f.since, "since", "", "not before: a time (2026-11-27T12:00:00Z), a day, or how long ago (24h, 7d)")
	flags.StringVar(&f.until, "until", "", "before, in the same forms")
	flags.Int64Var(&f.after, "after", 0, "where to go on: the number that the list before named")
	flags.IntVar(&f.limit, "limit", 50, fmt.Sprintf("how many at most, up to %d", longestList))
	return cmd
}

// query is the filter as the API is asked for it.
func (f *eventFilter) query(ctx context.Context, o *operators, now time.Time) (url.Values, error) {
	switch {
	case f.limit < 1 || f.limit > longestList:
		return nil, &usageError{fmt.Sprintf("--limit must be from 1 to %d", longestList)}
	case f.after < 0:
		return nil, &usageError{"--after must be the number of an event"}
	}
	switch events.Outcome(f.outcome) {
	case "", events.Success, events.Failure:
	default:
		return nil, &usageError{"--outcome must be success or failure"}
	}
	since, err := momentOrAge("since", f.since, now)
	if err != nil {
		return nil, err
	}
	until, err := momentOrAge("until", f.until, now)
	if err != nil {
		return nil, err
	}
	who, err := o.user(ctx, f.person)
	if err != nil {
		return nil, err
	}
	actor := "actor_id"
	switch events.Actor(f.actor) {
	case events.ActorPerson, events.ActorClient, events.ActorOperator, events.ActorSystem:
		actor = "actor"
	}
	out := url.Values{}
	for name, text := range map[string]string{
		"kind": f.kind, "outcome": f.outcome, "user_id": who, "client_id": f.client, actor: f.actor, "request_id": f.requestID,
		"since": instant(since), "until": instant(until),
	} {
		if text != "" {
			out.Set(name, text)
		}
	}
	if f.after > 0 {
		out.Set("before", strconv.FormatInt(f.after, 10))
	}
	return out, nil
}

// instant is a time as the API is asked for it, "" for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// momentOrAge reads a time, a day (its beginning, UTC) or how long ago.
func momentOrAge(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	var age time.Duration
	if err := duration(func(*settings) *time.Duration { return &age }, 0, 36500*day)(nil, text); err != nil {
		return time.Time{}, &usageError{"--" + flag + " must be a time such as 2026-11-27T12:00:00Z, a day such as 2026-11-27, or how long ago, such as 24h or 7d"}
	}
	return now.Add(-age), nil
}

type printedEvent struct {
	Number    int64          `json:"number"`
	ID        string         `json:"id"`
	At        string         `json:"at"`
	Kind      string         `json:"kind"`
	Outcome   string         `json:"outcome"`
	Actor     string         `json:"actor"`
	ActorID   string         `json:"actor_id,omitempty"`
	Person    string         `json:"person,omitempty"`
	Client    string         `json:"client_id,omitempty"`
	RequestID string         `json:"request_id,omitempty"`
	Data      storage.Raw    `json:"data"`
	Personal  map[string]any `json:"personal,omitempty"` // address and the like
	Erased    bool           `json:"erased,omitempty"`   // there was something personal
}

func newPrintedEvent(e *api.Event) printedEvent {
	return printedEvent{
		e.Number, e.ID, e.At.Format(time.RFC3339), e.Kind, e.Outcome, e.Actor, e.ActorID, e.UserID, e.ClientID, e.RequestID, e.Data, e.Personal, e.Erased,
	}
}

// address is where the request came from that caused the event, in a word.
func (e *printedEvent) address() string {
	if e.Erased {
		return "erased"
	}
	text, _ := e.Personal["address"].(string)
	return text
}

func (a *app) listEvents(ctx context.Context, o *operators, f *eventFilter) error {
	filters, err := f.query(ctx, o, a.now())
	if err != nil {
		return err
	}
	if err := o.sequence(ctx); err != nil {
		return err
	}
	out, next := []printedEvent{}, ""
	for { // a page may have fewer events than there are
		some, cursor, err := readPage[api.Event](ctx, o, "/events", filters, &pageFlags{after: next, limit: min(storage.MaxPage, f.limit-len(out))})
		if err != nil {
			return notFoundOf(err, map[string]thing{"user_id": {"person", f.person}})
		}
		for i := range some {
			out = append(out, newPrintedEvent(&some[i]))
		}
		if next = cursor; next == "" {
			break
		}
		if len(out) == f.limit { // by its number, which any list goes on after
			next = strconv.FormatInt(out[len(out)-1].Number, 10)
			break
		}
	}
	return a.printPage(out, next, func(w io.Writer) {
		row(w, "NUMBER", "AT", "KIND", "OUTCOME", "BY", "PERSON", "CLIENT", "ADDRESS", "DATA")
		for i := range out {
			e := &out[i]
			by := e.Actor
			if e.ActorID != "" {
				by += " " + e.ActorID
			}
			row(w, strconv.FormatInt(e.Number, 10), e.At, e.Kind, e.Outcome, by, e.Person, e.Client, e.address(), string(e.Data))
		}
	})
}

type printedHead struct {
	Number int64   `json:"number"`
	Hash   []byte  `json:"hash"`
	First  int64   `json:"first"` // the first event that is kept
	At     *string `json:"signed_at"`
	KID    string  `json:"kid"`
	Token  string  `json:"jws"`
}

func newPrintedHead(h events.Head) printedHead {
	return printedHead{h.Number, h.Hash, h.First, moment(storage.At(h.At)), h.Key.KID, h.Token}
}

func (a *app) printHead(ctx context.Context, c *chain) error {
	head, err := c.head(ctx)
	if err != nil {
		return err
	}
	return a.print(newPrintedHead(head), func(w io.Writer) { fmt.Fprintln(w, head.Token) })
}

func (a *app) verifyEventsCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify that no event was changed, taken out, put in or moved",
		Long: `Walk the whole chain of events and verify that none was changed, taken out, put in or
moved since it was chained, and that every signed head which is kept here says the same.
The first bad event is named, and the exit code is 1.

An end that was cut off together with its signed heads shows only against a head that
was kept elsewhere: see 'doorstep events head'. So do hashes that were all made anew.
Heads hold for good, whatever became of the key that signed them.

With --server every event is read and verified here, with a token that has events:read. A
server that somebody got into may show another chain that holds as well, signed by its own
keys: only a head that was kept elsewhere tells that one from yours. Where it stops, as when
the token ends, it says how --from goes on; what is before is not looked at again.

Old events are given up, for which an anchor stands that the server signs. Against a head it
is said how many went since that was signed, and which may not have: none while events are
kept for ever, and none that came after a head which is younger than they are kept. For how
long they are is the server's word (events.keep) unless --keep says it. A head of which
nothing is left proves nothing: keep an old one and a new one.`,
		Example: `  doorstep events verify
  doorstep events verify --head /mnt/worm/events-2026-11-27.jws
  doorstep events verify --server https://login.example.com --keep 400d --head events-2026-11-27.jws`,
		Args: cobra.NoArgs,
		RunE: a.onChain(func(ctx context.Context, c *chain) error { return a.verifyEvents(ctx, c, &v) }),
	}
	cmd.Flags().StringVar(&v.head, "head", "", "file with a signed head that was kept elsewhere; - is stdin")
	cmd.Flags().StringVar(&v.from, "from", "", "go on where it stopped, with what it said there")
	cmd.Flags().StringVar(&v.keep, "keep", "", "for how long events are to be kept, such as 400d; 0 is for ever (default: what events.keep is there)")
	return cmd
}

// verification is what flags say of one.
type verification struct{ head, from, keep string }

// placeText is a place of a chain as --from takes it.
func placeText(p events.Place) string {
	return fmt.Sprintf("%d:%s", p.Number, base64.RawURLEncoding.EncodeToString(p.Hash))
}

// place reads what placeText wrote; nil for "".
func place(text string) (*events.Place, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nothing was said
	}
	before, after, _ := strings.Cut(text, ":")
	number, err := strconv.ParseInt(before, 10, 64)
	hash, wrong := base64.RawURLEncoding.Strict().DecodeString(after)
	if err != nil || wrong != nil || number < 1 || len(hash) != sha256.Size {
		return nil, &usageError{"--from must be what a walk said where it stopped, such as 4711:" + strings.Repeat("A", 43)}
	}
	return &events.Place{Number: number, Hash: hash}, nil
}

type printedFault struct {
	Number int64  `json:"number"` // the first bad event
	ID     string `json:"id,omitempty"`
	Says   string `json:"says"`
}

type printedReport struct {
	Holds   bool          `json:"holds"`             // all of it, or what is after From
	From    string        `json:"from,omitempty"`    // what is before held when it was walked
	Reached string        `json:"reached,omitempty"` // where it stopped before the end
	Fault   *printedFault `json:"fault"`
	First   int64         `json:"first"` // the first event that is kept
	Last    int64         `json:"last"`
	Checked int64         `json:"checked"`
	Heads   int64         `json:"heads"`          // signed heads that say the same
	Trimmed *string       `json:"trimmed_at"`     // when what was before the first went
	GivenUp int64         `json:"given_up"`       // how many went of what the head from elsewhere covers
	Revoked []string      `json:"revoked_keys"`   // that signed heads: somebody else may have had them
	Head    *printedHead  `json:"head,omitempty"` // the newest one that is kept here
}

func (a *app) verifyEvents(ctx context.Context, c *chain, v *verification) error {
	after, err := place(v.from)
	if err != nil {
		return err
	}
	source := c.Source
	if v.keep != "" {
		k := keeping{Source: source}
		if err := duration(func(*settings) *time.Duration { return &k.keep }, 0, longestKeep)(nil, v.keep); err != nil {
			return &usageError{"--keep: " + err.Error()}
		}
		source = k
	}
	var elsewhere string
	if v.head != "" {
		text, err := a.readInput(v.head)
		if err != nil {
			return err
		}
		if elsewhere = strings.TrimSpace(string(text)); elsewhere == "" {
			return errors.New("--head: the file is empty")
		}
	}
	report, err := events.Verify(ctx, source, elsewhere, after, c.now)
	if errors.Is(err, keys.ErrToken) {
		err = fmt.Errorf("the head in %s is none of this provider's: %w", v.head, err)
	}
	out := newPrintedReport(&report, v.from, err)
	// What stopped before it held anything has nothing to say; in text, the error says it all.
	if err == nil || report.Fault != nil || out.Reached != "" && a.output == asJSON {
		if err := a.print(out, func(w io.Writer) { writeReport(w, out) }); err != nil {
			return err
		}
	}
	switch {
	case report.Fault != nil && err != nil:
		return fmt.Errorf("%w\n%s", report.Fault, message(err))
	case report.Fault != nil:
		return report.Fault
	case out.Reached != "":
		return fmt.Errorf("%s\nEvents %d to %d of %d hold. Go on with --from %s", message(err), report.First, report.Reached.Number, report.Last, out.Reached)
	}
	return err
}

func newPrintedReport(r *events.Report, from string, err error) printedReport {
	out := printedReport{
		Holds: r.Fault == nil && err == nil, From: from, First: r.First, Last: r.Last, Checked: r.Checked, Heads: r.Heads,
		Trimmed: moment(storage.At(r.Since)), GivenUp: r.GivenUp, Revoked: append([]string{}, r.Revoked...),
	}
	if r.Fault != nil {
		out.Fault = &printedFault{r.Fault.Number, string(r.Fault.ID), r.Fault.Says}
	} else if err != nil && r.Checked > 0 {
		out.Reached = placeText(r.Reached)
	}
	if r.Newest != nil {
		head := newPrintedHead(*r.Newest)
		out.Head = &head
	}
	return out
}

func writeReport(w io.Writer, r printedReport) {
	row(w, "holds", strconv.FormatBool(r.Holds))
	if r.From != "" {
		row(w, "only after", r.From)
	}
	row(w, "events", fmt.Sprintf("%d to %d", r.First, r.Last))
	row(w, "checked", strconv.FormatInt(r.Checked, 10))
	row(w, "signed heads", strconv.FormatInt(r.Heads, 10))
	if r.Trimmed != nil {
		row(w, "older ones went", *r.Trimmed)
	}
	if r.GivenUp > 0 {
		row(w, "given up since the head", fmt.Sprintf("%d, by the anchor's word", r.GivenUp))
	}
	for _, kid := range r.Revoked {
		row(w, "signed by a revoked key", printable(kid))
	}
}
