package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
)

func (a *app) rotateKEKCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-kek",
		Short: "Take everything that is sealed off older key-encryption keys",
		Long: `Take everything that is sealed off older key-encryption keys, while servers run: each
record's data key is wrapped anew with the current one (keys.kek), and what is sealed
stays as it is. It may be ended at any point and run again. In the end it says which
keys nothing is sealed with any more.

With the file kek beside an SQLite database it makes the new key itself, and keeps the
old one as kek.ID; servers notice within seconds. Otherwise, with any number of servers:

  1. make a key, and give it to every server as keys.kek_accepted beside its keys.kek;
  2. once all have it, exchange the two: the new key is keys.kek, the old one accepted;
  3. once all have that, run this with the same settings;
  4. take the old key away from keys.kek_accepted. Backups that were made with it need it.`,
		Example: `  doorstep key rotate-kek
  DOORSTEP_KEYS__KEK_FILE=new DOORSTEP_KEYS__KEK_ACCEPTED_FILE=old doorstep key rotate-kek`,
		Args: cobra.NoArgs,
		RunE: a.configured(func(ctx context.Context, cfg *config, _ []string) error {
			return a.withServices(ctx, cfg, func(s *provider.Services) error { return a.rotateKEK(ctx, cfg, s) })
		}),
	}
}

// What the last word on a key needs: servers read the files anew, and what they sealed
// before is written, within settleTime; one that still seals with an older key after
// so many passes has not been given the new one.
const (
	settleTime = 5 * time.Second
	maxPasses  = 4
)

func (a *app) rotateKEK(ctx context.Context, cfg *config, s *provider.Services) error {
	beside := cfg.KEK == nil
	if beside {
		if err := cfg.replaceKEK(ctx, s); err != nil {
			return err
		}
		s.Keys.RereadKEKs()
	}
	var total int64
	for pass := 1; ; pass++ {
		done, err := s.Keys.Rewrap(ctx, a.progress(total))
		if err != nil {
			return cfg.explain(err)
		}
		total += done.Records
		if len(done.Damaged) > 0 {
			return fmt.Errorf("%d records cannot be opened, although their key is given: they are damaged, and stay as they are: %v", len(done.Damaged), done.Damaged)
		}
		if done.Records == 0 && (pass > 1 || !beside) {
			break
		}
		if pass == maxPasses {
			return errors.New("something is sealed with an older key again and again: a server has it as its keys.kek. Give every server the new one, then run this again")
		}
		if err := wait(ctx, settleTime); err != nil {
			return err
		}
	}
	if total > 0 {
		e := events.Event{Kind: events.KEKRotated, Actor: events.ActorOperator, Data: map[string]string{"records": strconv.FormatInt(total, 10)}}
		if err := s.Events.Record(ctx, e); err != nil {
			return err
		}
	}
	return a.printKEKs(ctx, s, total)
}

// replaceKEK gives the database another key, unless that was done and what is sealed
// has yet to follow.
func (c *config) replaceKEK(ctx context.Context, s *provider.Services) error {
	dir, err := c.kekDir()
	if err != nil {
		return err
	}
	uses, err := s.Keys.KEKUses(ctx)
	if err != nil {
		return err
	}
	_, err = os.Lstat(filepath.Join(dir, kekNext))
	if errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(uses, func(u keys.KEKUse) bool { return !u.Current && u.Records > 0 }) {
		return nil
	}
	return replaceKEK(ctx, s.Store, dir)
}

// progress says each second how far a pass is, on stderr.
func (a *app) progress(before int64) func(done int64) {
	var said time.Time
	return func(done int64) {
		if now := a.now(); now.Sub(said) >= time.Second {
			said = now
			fmt.Fprintf(a.stderr, "%d records\n", before+done)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (a *app) printKEKs(ctx context.Context, s *provider.Services, rewrapped int64) error {
	uses, err := s.Keys.KEKUses(ctx)
	if err != nil {
		return err
	}
	type printedKEK struct {
		ID      string `json:"id"`
		Records int64  `json:"records"`
	}
	out := struct {
		Current   printedKEK   `json:"current"`
		Others    []printedKEK `json:"others"` // that something is sealed with: none
		Rewrapped int64        `json:"rewrapped"`
	}{Others: []printedKEK{}, Rewrapped: rewrapped}
	for _, use := range uses {
		if use.Current {
			out.Current = printedKEK{use.ID, use.Records}
			continue
		}
		out.Others = append(out.Others, printedKEK{use.ID, use.Records})
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "%d records were wrapped anew.\n", rewrapped)
		fmt.Fprintf(w, "All %d records are sealed with the key %s.\n", out.Current.Records, out.Current.ID)
		for _, other := range out.Others {
			fmt.Fprintf(w, "%d records are sealed with the key %s since: run this again.\n", other.Records, other.ID)
		}
		if len(out.Others) == 0 {
			fmt.Fprintln(w, "Nothing needs an older key any more, backups that were made with one aside: take it away when you keep none of those.")
		}
	})
}
