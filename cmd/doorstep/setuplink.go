package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) setupLinkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup-link",
		Short: "Print a new set-up link for the first operator",
		Long: `Print the one-time link by which the first operator comes in, as serve does when it
starts and there is none that works: for whoever lost it, or came after the hour for
which one works. Links that were printed before are dead from then on. When there is
an operator already it prints none: 'doorstep group add operators EMAIL' makes another
one, and 'doorstep user enable' and 'doorstep user set-password' let one in again.`,
		Example: "  doorstep setup-link\n  doorstep setup-link -o json",
		Args:    cobra.NoArgs,
		RunE: a.configured(func(ctx context.Context, cfg *config, _ []string) error {
			return a.withServices(ctx, cfg, func(s *provider.Services) error {
				issuer, err := url.Parse(cfg.Issuer)
				if err != nil {
					return err
				}
				link, err := s.SetupLink(ctx, issuer, events.ActorOperator)
				switch {
				case errors.Is(err, storage.ErrSpent):
					return fmt.Errorf("there is an operator already: 'doorstep group show %s' says who, and 'doorstep group add %[1]s EMAIL' adds another", directory.Operators)
				case err != nil:
					return err
				}
				out := struct {
					URL string `json:"url"`
				}{link}
				return a.print(out, func(w io.Writer) { fmt.Fprintln(w, out.URL) })
			})
		}),
	}
	addSettingFlags(cmd, databaseSettings...)
	return cmd
}

// inviteOperator prints the link by which the first operator comes in, if there is
// none yet: as plain text beside the log, so that nobody overlooks it. One that was
// printed before and works stays: it is only said that there is one. That it cannot be
// made keeps nobody from being served.
func (a *app) inviteOperator(ctx context.Context, cfg *config, s *provider.Services) error {
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return err
	}
	link, until, err := s.EnsureSetupLink(ctx, issuer, events.ActorSystem)
	switch {
	case errors.Is(err, storage.ErrSpent):
		return nil
	case err != nil:
		return fmt.Errorf("no set-up link could be made: 'doorstep setup-link' makes one later (%w)", err)
	case link == "":
		_, err = fmt.Fprintf(a.stderr, `
  Nobody runs this house yet. A link for its first operator was printed before and works until %s:
  'doorstep setup-link' prints another one in its place.

`, until.Format("2006-01-02 15:04 MST"))
		return err
	}
	_, err = fmt.Fprintf(a.stderr, `
  Nobody runs this house yet. Be its first operator: open this link, once, within the hour.

  %s

`, link)
	return err
}
