package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
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
		Example: "  doorstep events head > /mnt/worm/events-$(date +%F).jws\n  doorstep events head -o json",
		Args:    cobra.NoArgs,
		RunE:    a.chained(a.printHead),
	}
	all := []*cobra.Command{list, head, verify}
	for _, cmd := range all {
		addSettingFlags(cmd, databaseSettings...)
	}
	return a.group("events", "See what happened, and that nobody changed the record of it", all...)
}

// chained is inHouse for a command that reads the chain: what waits for its number
// gets it first, whether a server runs or not.
func (a *app) chained(f func(ctx context.Context, s *provider.Services) error) func(*cobra.Command, []string) error {
	return a.inHouse(func(ctx context.Context, s *provider.Services, _ []string) error {
		if _, err := s.Events.Sequence(ctx); err != nil {
			return err
		}
		return f(ctx, s)
	})
}

// eventFilter is what flags say of the events that are wanted.
type eventFilter struct {
	events.Filter
	person, actor string
	since, until  string
	after         int64
	limit         int
}

const longestList = 10_000

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
		RunE: a.chained(func(ctx context.Context, s *provider.Services) error { return a.listEvents(ctx, s, f) }),
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&f.Kind), "kind", "", "what happened, such as grant.made")
	flags.StringVar((*string)(&f.Outcome), "outcome", "", "success or failure")
	flags.StringVar(&f.person, "person", "", "whom it is about: their address, public subject or id")
	flags.StringVar(&f.Client, "client", "", "client_id")
	flags.StringVar(&f.actor, "actor", "", "who did it: person, client, operator or system, or the id of a person or client")
	flags.StringVar(&f.RequestID, "request-id", "", "id of the request, as the log has it")
	flags.StringVar(&f.since, "since", "", "not before: a time (2026-11-27T12:00:00Z), a day, or how long ago (24h, 7d)")
	flags.StringVar(&f.until, "until", "", "before, in the same forms")
	flags.Int64Var(&f.after, "after", 0, "where to go on: the number that the list before named")
	flags.IntVar(&f.limit, "limit", 50, fmt.Sprintf("how many at most, up to %d", longestList))
	return cmd
}

// resolve makes a filter of what the flags say.
func (f *eventFilter) resolve(ctx context.Context, s *provider.Services, now time.Time) (err error) {
	if f.limit < 1 || f.limit > longestList {
		return &usageError{fmt.Sprintf("--limit must be from 1 to %d", longestList)}
	}
	switch f.Outcome {
	case "", events.Success, events.Failure:
	default:
		return &usageError{"--outcome must be success or failure"}
	}
	if f.Since, err = momentOrAge("since", f.since, now); err != nil {
		return err
	}
	if f.Until, err = momentOrAge("until", f.until, now); err != nil {
		return err
	}
	switch by := events.Actor(f.actor); by {
	case events.ActorPerson, events.ActorClient, events.ActorOperator, events.ActorSystem:
		f.Actor = by
	default:
		f.ActorID = f.actor
	}
	if f.person == "" {
		return nil
	}
	if id, err := storage.ParseID(f.person); err == nil { // of somebody who is gone, too
		f.Person = id
		return nil
	}
	entry, err := s.Directory.Show(ctx, f.person)
	if err != nil {
		return notFound(err, "person", f.person)
	}
	f.Person = entry.ID
	return nil
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

func (a *app) listEvents(ctx context.Context, s *provider.Services, f eventFilter) error {
	if err := f.resolve(ctx, s, a.now()); err != nil {
		return err
	}
	out, addresses := []printedEvent{}, []string{}
	cursor := f.after
	for {
		page, err := s.Events.List(ctx, f.Filter, cursor, min(events.MaxPage, f.limit-len(out)))
		if err != nil {
			return err
		}
		for i := range page.Events {
			e := &page.Events[i]
			out = append(out, printedEvent{
				e.Number, string(e.ID), e.At.Format(time.RFC3339), string(e.Kind), string(e.Outcome), string(e.Actor), e.ActorID,
				string(e.Person), e.Client, e.RequestID, e.Data, e.Personal, e.Erased,
			})
			address := e.Address()
			if e.Erased {
				address = "erased"
			}
			addresses = append(addresses, address)
		}
		if cursor = page.Next; cursor == 0 || len(out) == f.limit {
			break
		}
	}
	next := ""
	if cursor != 0 {
		next = strconv.FormatInt(cursor, 10)
	}
	return a.printPage(out, next, func(w io.Writer) {
		row(w, "NUMBER", "AT", "KIND", "OUTCOME", "BY", "PERSON", "CLIENT", "ADDRESS", "DATA")
		for i, e := range out {
			by := e.Actor
			if e.ActorID != "" {
				by += " " + e.ActorID
			}
			row(w, strconv.FormatInt(e.Number, 10), e.At, e.Kind, e.Outcome, by, e.Person, e.Client, addresses[i], string(e.Data))
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

func (a *app) printHead(ctx context.Context, s *provider.Services) error {
	head, err := s.Events.Head(ctx)
	if err != nil {
		return err
	}
	return a.print(newPrintedHead(head), func(w io.Writer) { fmt.Fprintln(w, head.Token) })
}

func (a *app) verifyEventsCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify that no event was changed, taken out, put in or moved",
		Long: `Walk the whole chain of events and verify that none was changed, taken out, put in or
moved since it was chained, and that every signed head which is kept here says the same.
The first bad event is named, and the exit code is 1.

An end that was cut off together with its signed heads shows only against a head that
was kept elsewhere: see 'doorstep events head'. So do hashes that were all made anew.
Heads hold for good, whatever became of the key that signed them.`,
		Example: "  doorstep events verify\n  doorstep events verify --head /mnt/worm/events-2026-11-27.jws",
		Args:    cobra.NoArgs,
		RunE:    a.configured(func(ctx context.Context, cfg *config, _ []string) error { return a.verifyEvents(ctx, cfg, file) }),
	}
	cmd.Flags().StringVar(&file, "head", "", "file with a signed head that was kept elsewhere; - is stdin")
	return cmd
}

type printedFault struct {
	Number int64  `json:"number"` // the first bad event
	ID     string `json:"id,omitempty"`
	Says   string `json:"says"`
}

type printedReport struct {
	Holds   bool          `json:"holds"`
	Fault   *printedFault `json:"fault"`
	First   int64         `json:"first"` // the first event that is kept
	Last    int64         `json:"last"`
	Checked int64         `json:"checked"`
	Heads   int64         `json:"heads"`          // signed heads that say the same
	Trimmed *string       `json:"trimmed_at"`     // when what was before the first went
	Revoked []string      `json:"revoked_keys"`   // that signed heads: somebody else may have had them
	Head    *printedHead  `json:"head,omitempty"` // the newest one that is kept here
}

func (a *app) verifyEvents(ctx context.Context, cfg *config, file string) error {
	var elsewhere string
	if file != "" {
		text, err := a.readInput(file)
		if err != nil {
			return err
		}
		if elsewhere = strings.TrimSpace(string(text)); elsewhere == "" {
			return errors.New("--head: the file is empty")
		}
	}
	var report events.Report
	err := a.withServices(ctx, cfg, func(s *provider.Services) (err error) {
		if _, err := s.Events.Sequence(ctx); err != nil {
			return err
		}
		report, err = s.Events.Verify(ctx, elsewhere, cfg.KeepEvents)
		return err
	})
	if errors.Is(err, keys.ErrToken) {
		return fmt.Errorf("a signed head is none of this provider's: %w", err)
	}
	if err != nil {
		return err
	}
	out := printedReport{
		Holds: report.Fault == nil, First: report.First, Last: report.Last, Checked: report.Checked, Heads: report.Heads,
		Trimmed: moment(storage.At(report.Since)), Revoked: append([]string{}, report.Revoked...),
	}
	if report.Fault != nil {
		out.Fault = &printedFault{report.Fault.Number, string(report.Fault.ID), report.Fault.Says}
	}
	if report.Newest != nil {
		head := newPrintedHead(*report.Newest)
		out.Head = &head
	}
	if err := a.print(out, func(w io.Writer) { writeReport(w, out) }); err != nil || out.Holds {
		return err
	}
	return report.Fault
}

func writeReport(w io.Writer, r printedReport) {
	row(w, "holds", strconv.FormatBool(r.Holds))
	row(w, "events", fmt.Sprintf("%d to %d", r.First, r.Last))
	row(w, "checked", strconv.FormatInt(r.Checked, 10))
	row(w, "signed heads", strconv.FormatInt(r.Heads, 10))
	if r.Trimmed != nil {
		row(w, "older ones went", *r.Trimmed)
	}
	for _, kid := range r.Revoked {
		row(w, "signed by a revoked key", kid)
	}
}
