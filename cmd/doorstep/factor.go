package main

import (
	"context"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
)

type printedFactor struct {
	ID      string  `json:"id"`
	Kind    string  `json:"kind"`
	Name    string  `json:"name,omitempty"`
	Added   *string `json:"created_at"`
	Used    *string `json:"used_at"`
	Stopped *string `json:"stopped_at"`
}

func (a *app) listFactorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "factors PERSON",
		Short:   "List a person's passkeys, authenticators and phones",
		Example: "  doorstep user factors ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.onPerson(func(ctx context.Context, o *operators, at string) error {
			var all api.Page[api.Factor]
			if err := o.get(ctx, at+"/factors", &all); err != nil {
				return err
			}
			out := []printedFactor{}
			for _, f := range all.Items {
				out = append(out, printedFactor{f.ID, f.Kind, f.Name, momentOf(&f.CreatedAt), momentOf(f.UsedAt), momentOf(f.StoppedAt)})
			}
			return a.print(out, func(w io.Writer) {
				row(w, "ID", "KIND", "NAME", "ADDED", "USED", "STOPPED")
				for _, f := range out {
					row(w, f.ID, f.Kind, f.Name, show(f.Added), show(f.Used), show(f.Stopped))
				}
			})
		}),
	}
}

func (a *app) removeFactorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove-factor PERSON ID",
		Short: "Remove a passkey, an authenticator or a phone of a person's",
		Long: `Remove a passkey, an authenticator or a phone of a person's, which was lost or is
somebody else's: it opens nothing any more, and what it proved in living sessions counts
no more. Nothing else ends ('doorstep session end' does). They are told by mail.`,
		Example: "  doorstep user remove-factor ada@example.com 01a202a9-03b5-7130-aa5f-c18ae97db90f",
		Args:    cobra.ExactArgs(2),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			at, err := o.userAt(ctx, args[0])
			if err != nil {
				return err
			}
			return notFound(o.remove(ctx, at+"/factors/"+url.PathEscape(args[1])), "factor of theirs", args[1])
		}),
	}
}

func (a *app) liftFactorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lift-factor PERSON ID",
		Short: "Have codes of a stopped authenticator looked at again",
		Long: `Have codes of an authenticator looked at again that a hundred wrong ones stopped. Whoever
typed them had given another proof, such as the password: see first that this is another
one now ('doorstep user set-password').`,
		Example: "  doorstep user lift-factor ada@example.com 01a202a9-03b5-7130-aa5f-c18ae97db90f",
		Args:    cobra.ExactArgs(2),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			at, err := o.userAt(ctx, args[0])
			if err != nil {
				return err
			}
			return notFound(o.post(ctx, at+"/factors/"+url.PathEscape(args[1])+"/lift", nil, nil), "stopped authenticator of theirs", args[1])
		}),
	}
}
